//! Coming back on a JSON WebSocket: what was missed is told once, in order, then what is new
//! (contract 4.2, 4.4, 4.5).

use serde_json::{Value, json};

use crate::support::{Api, Daemon, Socket, Tablet, keys, until};

/// A daemon with one area and a tablet that has it.
async fn house() -> (Daemon, Api, String, Tablet) {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    (daemon, admin, area, tablet)
}

async fn rename(admin: &Api, area: &str, names: impl IntoIterator<Item = impl ToString>) {
    for name in names {
        let body = json!({ "name": name.to_string() });
        admin
            .patch(&format!("/api/areas/{area}"), body)
            .await
            .expect(200);
    }
}

/// Opens a socket after this position; the first words beside it.
async fn resume(daemon: &Daemon, tablet: &Tablet, since: &Value, epoch: &Value) -> (Socket, Value) {
    let epoch = epoch.as_str().unwrap();
    let path = format!("/ws?since={since}&epoch={epoch}");
    let socket = Socket::open(daemon, &path, Some(&tablet.token)).await;
    let mut socket = socket.unwrap();
    let words = socket.next().await;
    assert_eq!(words["type"], "connection");
    (socket, words["data"].clone())
}

/// The names that the next `count` events tell; their ids must rise.
async fn names(socket: &mut Socket, count: usize) -> Vec<String> {
    let mut names = Vec::new();
    let mut last = 0;
    for _ in 0..count {
        let event = socket.next().await;
        assert_eq!(event["type"], "area_updated", "{event}");
        let id = event["id"].as_i64().unwrap();
        assert!(id > last, "{id} after {last}");
        last = id;
        names.push(event["data"]["name"].as_str().unwrap().to_owned());
    }
    names
}

#[tokio::test]
async fn a_tablet_that_slept_is_told_what_it_missed_and_then_what_is_new() {
    let (daemon, admin, area, tablet) = house().await;
    let mut socket = daemon.listen(&tablet.token).await;
    rename(&admin, &area, ["A"]).await;
    let heard = socket.next().await;
    socket.close().await;
    rename(&admin, &area, ["B", "C"]).await;

    let epoch = daemon.welcome(&tablet.token).await["epoch"].clone();
    let (mut socket, words) = resume(&daemon, &tablet, &heard["id"], &epoch).await;
    assert_eq!(words["recovered"], true);
    assert_eq!(words["assignedAreas"][0]["name"], "C");
    assert_eq!(names(&mut socket, 2).await, ["B", "C"]);
    rename(&admin, &area, ["D"]).await;
    assert_eq!(names(&mut socket, 1).await, ["D"]);
    socket.assert_nothing_received().await;
}

#[tokio::test]
async fn a_position_outlives_a_kill() {
    let (daemon, admin, area, tablet) = house().await;
    let words = daemon.welcome(&tablet.token).await;
    rename(&admin, &area, ["A"]).await;
    let daemon = daemon.kill_and_restart().await;
    let (mut socket, now) = resume(&daemon, &tablet, &words["lastEventId"], &words["epoch"]).await;
    assert_eq!(now["recovered"], true);
    assert_eq!(names(&mut socket, 1).await, ["A"]);
}

#[tokio::test]
async fn nothing_is_missed_twice_or_out_of_order_while_events_are_published_meanwhile() {
    let (daemon, admin, area, tablet) = house().await;
    let words = daemon.welcome(&tablet.token).await;
    rename(&admin, &area, 0..300).await;
    let publishing = {
        let (admin, area) = (admin.clone(), area.clone());
        tokio::spawn(async move { rename(&admin, &area, 300..400).await })
    };
    let (mut socket, _) = resume(&daemon, &tablet, &words["lastEventId"], &words["epoch"]).await;
    let expected: Vec<_> = (0..400).map(|n| n.to_string()).collect();
    assert_eq!(names(&mut socket, 400).await, expected);
    publishing.await.unwrap();
    socket.assert_nothing_received().await;
}

#[tokio::test]
async fn a_replay_is_what_it_would_have_heard_and_not_what_it_may_hear_now() {
    let (daemon, admin, kitchen, tablet) = house().await;
    let bath = admin.create_area("Bath").await;
    let words = daemon.welcome(&tablet.token).await;
    let areas = format!("/api/clients/{}/areas", tablet.id);
    rename(&admin, &kitchen, ["K1"]).await;
    rename(&admin, &bath, ["not yet"]).await;
    admin
        .put(&areas, json!({ "areaIds": [bath] }))
        .await
        .expect(200);
    rename(&admin, &kitchen, ["no more"]).await;
    rename(&admin, &bath, ["B1"]).await;
    admin
        .delete(&format!("/api/areas/{bath}"))
        .await
        .expect(204);

    let (mut socket, _) = resume(&daemon, &tablet, &words["lastEventId"], &words["epoch"]).await;
    let mut told = Vec::new();
    for _ in 0..6 {
        let event = socket.next().await;
        let (kind, data) = (&event["type"], &event["data"]);
        let name = data.get("name").unwrap_or(&data["room_name"]);
        told.push(format!(
            "{} {}",
            kind.as_str().unwrap(),
            name.as_str().unwrap()
        ));
    }
    let expected = [
        "area_updated K1",
        "area_removed K1",
        "area_added not yet",
        "area_updated B1",
        "area_removed B1",
        "room_updated B1",
    ];
    assert_eq!(told, expected);
    socket.assert_nothing_received().await;
}

#[tokio::test]
async fn what_cannot_be_told_any_more_is_said_so() {
    let (daemon, _, _, tablet) = house().await;
    let words = daemon.welcome(&tablet.token).await;
    let last = words["lastEventId"].as_i64().unwrap();
    let table = [
        (json!(last + 1), words["epoch"].clone(), "ahead"),
        (json!(last), json!("another"), "epoch_changed"),
    ];
    for (since, epoch, reason) in table {
        let (mut socket, now) = resume(&daemon, &tablet, &since, &epoch).await;
        assert_eq!(now["recovered"], false);
        let lost = socket.next().await;
        assert_eq!(lost["type"], "resync_required");
        let data = &lost["data"];
        assert_eq!(
            (&data["reason"], &data["lastEventId"]),
            (&json!(reason), &json!(last))
        );
        assert!(data["oldestEventId"].is_i64());
        socket.assert_nothing_received().await;
    }
    let refused = daemon
        .api(&tablet.token)
        .request_upgrade("/ws?since=soon")
        .await;
    assert_eq!(refused.refused(422), "invalid_field");
}

#[tokio::test]
async fn resume_by_message_tells_what_came_before_the_socket_and_nothing_twice() {
    let (daemon, admin, area, tablet) = house().await;
    let words = daemon.welcome(&tablet.token).await;
    rename(&admin, &area, ["A", "B"]).await;
    let mut socket = daemon.listen(&tablet.token).await;
    rename(&admin, &area, ["C"]).await;
    assert_eq!(names(&mut socket, 1).await, ["C"]);
    let ask = json!({
        "type": "resume",
        "data": { "lastEventId": words["lastEventId"], "epoch": words["epoch"] },
        "requestId": 7,
    });
    let answer = socket.ask(ask.clone()).await;
    assert_eq!(answer["requestId"], 7);
    assert_eq!(answer["data"]["success"], true);
    assert_eq!(answer["data"]["recovered"], true);
    assert_eq!(names(&mut socket, 2).await, ["A", "B"]);
    assert_eq!(socket.ask(ask).await["data"]["success"], true);
    rename(&admin, &area, ["D"]).await;
    assert_eq!(names(&mut socket, 1).await, ["D"]);

    let ahead = json!({ "type": "resume", "lastEventId": 10_000, "epoch": words["epoch"] });
    assert_eq!(socket.ask(ahead).await["data"]["reason"], "ahead");
    let unclear = socket
        .ask(json!({ "type": "resume", "lastEventId": "x" }))
        .await;
    assert_eq!(
        (&unclear["type"], &unclear["data"]["code"]),
        (&json!("error"), &json!("invalid_field"))
    );
}

#[tokio::test]
async fn a_socket_that_authenticates_by_message_goes_on_from_its_url_or_resumes() {
    let (daemon, admin, area, tablet) = house().await;
    let words = daemon.welcome(&tablet.token).await;
    rename(&admin, &area, ["A"]).await;
    let path = format!("/ws?since={}", words["lastEventId"]);
    let mut socket = Socket::open(&daemon, &path, None).await.unwrap();
    socket.authenticate(&tablet.token).await;
    assert_eq!(
        socket.next_of("connection").await["data"]["recovered"],
        true
    );
    assert_eq!(names(&mut socket, 1).await, ["A"]);
}

#[tokio::test]
async fn resume_takes_the_place_of_an_old_session_of_the_same_principal_alone() {
    let (daemon, _, _, tablet) = house().await;
    let other = daemon.pair("Other", &[]).await;
    let mut old = Socket::open(&daemon, "/ws", Some(&tablet.token))
        .await
        .unwrap();
    let words = old.next().await["data"].clone();
    let ask = json!({
        "type": "resume", "requestId": "r",
        "lastEventId": words["lastEventId"], "epoch": words["epoch"],
        "connectionId": words["connectionId"],
    });
    let mut thief = daemon.listen(&other.token).await;
    assert_eq!(thief.ask(ask.clone()).await["data"]["success"], true);
    old.assert_nothing_received().await;
    let mut new = daemon.listen(&tablet.token).await;
    assert_eq!(new.ask(ask).await["data"]["recovered"], true);
    assert_eq!(old.closed().await, (4409, "superseded".to_owned()));
    new.assert_nothing_received().await;
}

#[tokio::test]
async fn a_tablets_acknowledgements_are_kept_and_say_how_far_it_is_behind() {
    let (daemon, admin, area, tablet) = house().await;
    let mut socket = daemon.listen(&tablet.token).await;
    rename(&admin, &area, ["A", "B", "C"]).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(socket.next().await["id"].clone());
    }
    let client = format!("/api/clients/{}", tablet.id);
    let position = format!("{client}/position");
    let ack = |id: &Value| json!({ "type": "ack", "data": { "id": id }, "requestId": 1 });
    for id in [&ids[1], &ids[0]] {
        assert_eq!(socket.ask(ack(id)).await["data"]["success"], true);
        let seen = admin.get(&client).await.expect(200).json;
        assert_eq!(seen["lastAckedEventId"], ids[1]);
    }
    let behind = daemon
        .api(&tablet.token)
        .get(&position)
        .await
        .expect(200)
        .json;
    let fields = ["behind", "clientId", "lastAckedEventId", "lastEventId"];
    assert_eq!(keys(&behind), fields);
    assert_eq!(behind["behind"]["events"], 1);
    assert!(behind["behind"]["since"].is_string());
    assert_eq!(
        admin.get("/api/positions").await.expect(200).json["positions"][0]["behind"]["events"],
        1
    );

    socket.send(json!({ "type": "ack", "id": ids[2] })).await;
    socket.assert_nothing_received().await;
    let ahead = ids[2].as_i64().unwrap() + 1;
    assert_eq!(
        socket.ask(ack(&json!(ahead))).await["data"]["code"],
        "invalid_field"
    );
    let daemon = daemon.restart().await;
    let kept = daemon.local().get(&position).await.expect(200).json;
    assert_eq!(
        (&kept["lastAckedEventId"], &kept["behind"]["events"]),
        (&ids[2], &json!(0))
    );
    let other = daemon.pair("Other", &[]).await;
    daemon.api(&other.token).get(&position).await.refused(403);
}

#[tokio::test]
async fn a_slow_tablet_hears_that_what_it_had_yet_to_read_was_deleted() {
    let daemon = Daemon::with(&[("HISTORY_EVENTS", "20")]).await;
    let admin = daemon.admin().await;
    let entities: Vec<_> = (0..500).map(|n| format!("light.{n:0>110}")).collect();
    let body = json!({ "name": "Hall", "entityIds": entities });
    let area = admin.post("/api/areas", body).await.expect(201).json;
    let area = area["id"].as_str().unwrap();
    let tablet = daemon.pair("Wall", &[area]).await;
    let mut slow = Socket::open_with_small_buffer(&daemon, &tablet.token).await;
    assert_eq!(slow.next().await["type"], "connection");
    rename(&admin, area, 0..120).await;
    let last = until("what is old to be deleted", async || {
        let page = admin.get("/api/events?limit=1").await.json;
        let ids = [&page["oldestEventId"], &page["lastEventId"]].map(|id| id.as_i64().unwrap());
        (ids[1] - ids[0] < 20).then_some(ids[1])
    })
    .await;
    let (mut told, mut lost) = (0, 0);
    while told < last {
        let message = slow.next().await;
        match message["type"].as_str().unwrap() {
            "resync_required" => {
                assert_eq!(message["data"]["reason"], "too_old");
                lost += 1;
                // It goes on with what is new.
                rename(&admin, area, ["new"]).await;
                assert_eq!(slow.next_of("area_updated").await["data"]["name"], "new");
                break;
            }
            "area_updated" => {
                let id = message["id"].as_i64().unwrap();
                assert!(told == 0 || id == told + 1, "{id} after {told}");
                told = id;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(lost, 1);
}

#[tokio::test]
async fn resume_takes_over_the_rooms_of_the_old_session_and_what_was_told_there() {
    let (daemon, admin, area, tablet) = house().await;
    let mut old = Socket::open(&daemon, "/ws", Some(&tablet.token))
        .await
        .unwrap();
    let words = old.next().await["data"].clone();
    let join = json!({ "type": "subscribe_room", "room_id": area });
    assert_eq!(old.ask(join).await["type"], "room_subscribed");
    old.close().await;
    rename(&admin, &area, ["A"]).await;
    let mut new = daemon.listen(&tablet.token).await;
    let resume = json!({
        "type": "resume", "requestId": 1, "connectionId": words["connectionId"],
        "lastEventId": words["lastEventId"], "epoch": words["epoch"],
    });
    // Once it is answered, the rooms are the new session's.
    assert_eq!(new.ask(resume).await["type"], "result");
    rename(&admin, &area, ["B"]).await;
    let mut told = Vec::new();
    for _ in 0..4 {
        let event = new.next().await;
        told.push(event["type"].as_str().unwrap().to_owned());
    }
    let both = ["area_updated", "room_updated"];
    assert_eq!(told, [both, both].concat());
    new.assert_nothing_received().await;
}
