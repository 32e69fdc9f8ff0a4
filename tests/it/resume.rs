//! Resuming on a JSON WebSocket: missed events are replayed once and in order, then the session
//! continues with live events. See docs/protocol.md#replay and docs/protocol.md#resync.

use serde_json::{Value, json};

use crate::support::{Api, Daemon, Socket, Tablet, keys, until};

/// A daemon, an admin, an area and a tablet that is assigned to it.
async fn start_with_tablet() -> (Daemon, Api, String, Tablet) {
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

/// Opens a socket that resumes from this position. Returns it with the data of its welcome.
async fn resume(daemon: &Daemon, tablet: &Tablet, since: &Value, epoch: &Value) -> (Socket, Value) {
    let epoch = epoch.as_str().unwrap();
    let path = format!("/ws?since={since}&epoch={epoch}");
    let socket = Socket::open(daemon, &path, Some(&tablet.token)).await;
    let mut socket = socket.unwrap();
    let welcome = socket.next().await;
    assert_eq!(welcome["type"], "connection");
    (socket, welcome["data"].clone())
}

/// The area names in the next `count` events, whose ids must ascend.
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
async fn resume_replays_missed_events_then_continues_live() {
    let (daemon, admin, area, tablet) = start_with_tablet().await;
    let mut socket = daemon.listen(&tablet.token).await;
    rename(&admin, &area, ["A"]).await;
    let last_received = socket.next().await;
    socket.close().await;
    rename(&admin, &area, ["B", "C"]).await;

    let epoch = daemon.welcome(&tablet.token).await["epoch"].clone();
    let (mut socket, welcome) = resume(&daemon, &tablet, &last_received["id"], &epoch).await;
    assert_eq!(welcome["recovered"], true);
    assert_eq!(welcome["assignedAreas"][0]["name"], "C");
    assert_eq!(names(&mut socket, 2).await, ["B", "C"]);
    rename(&admin, &area, ["D"]).await;
    assert_eq!(names(&mut socket, 1).await, ["D"]);
    socket.assert_nothing_received().await;
}

#[tokio::test]
async fn position_survives_crash() {
    let (daemon, admin, area, tablet) = start_with_tablet().await;
    let before = daemon.welcome(&tablet.token).await;
    rename(&admin, &area, ["A"]).await;
    let daemon = daemon.kill_and_restart().await;
    let (mut socket, welcome) =
        resume(&daemon, &tablet, &before["lastEventId"], &before["epoch"]).await;
    assert_eq!(welcome["recovered"], true);
    assert_eq!(names(&mut socket, 1).await, ["A"]);
}

#[tokio::test]
async fn replay_during_publishing_keeps_order_without_duplicates() {
    let (daemon, admin, area, tablet) = start_with_tablet().await;
    let welcome = daemon.welcome(&tablet.token).await;
    rename(&admin, &area, 0..300).await;
    let publishing = {
        let (admin, area) = (admin.clone(), area.clone());
        tokio::spawn(async move { rename(&admin, &area, 300..400).await })
    };
    let (mut socket, _) =
        resume(&daemon, &tablet, &welcome["lastEventId"], &welcome["epoch"]).await;
    let expected: Vec<_> = (0..400).map(|n| n.to_string()).collect();
    assert_eq!(names(&mut socket, 400).await, expected);
    publishing.await.unwrap();
    socket.assert_nothing_received().await;
}

#[tokio::test]
async fn replay_follows_assignments_at_time_of_event() {
    let (daemon, admin, kitchen, tablet) = start_with_tablet().await;
    let bath = admin.create_area("Bath").await;
    let welcome = daemon.welcome(&tablet.token).await;
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

    let (mut socket, _) =
        resume(&daemon, &tablet, &welcome["lastEventId"], &welcome["epoch"]).await;
    let mut events = Vec::new();
    for _ in 0..6 {
        let event = socket.next().await;
        let (event_type, data) = (&event["type"], &event["data"]);
        let name = data.get("name").unwrap_or(&data["room_name"]);
        events.push(format!(
            "{} {}",
            event_type.as_str().unwrap(),
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
    assert_eq!(events, expected);
    socket.assert_nothing_received().await;
}

#[tokio::test]
async fn unusable_position_gets_resync_required() {
    let (daemon, _, _, tablet) = start_with_tablet().await;
    let before = daemon.welcome(&tablet.token).await;
    let last = before["lastEventId"].as_i64().unwrap();
    let cases = [
        (json!(last + 1), before["epoch"].clone(), "ahead"),
        (json!(last), json!("another"), "epoch_changed"),
    ];
    for (since, epoch, reason) in cases {
        let (mut socket, welcome) = resume(&daemon, &tablet, &since, &epoch).await;
        assert_eq!(welcome["recovered"], false);
        let resync = socket.next().await;
        assert_eq!(resync["type"], "resync_required");
        let data = &resync["data"];
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
async fn resume_by_message_replays_without_duplicates() {
    let (daemon, admin, area, tablet) = start_with_tablet().await;
    let welcome = daemon.welcome(&tablet.token).await;
    rename(&admin, &area, ["A", "B"]).await;
    let mut socket = daemon.listen(&tablet.token).await;
    rename(&admin, &area, ["C"]).await;
    assert_eq!(names(&mut socket, 1).await, ["C"]);
    let message = json!({
        "type": "resume",
        "data": { "lastEventId": welcome["lastEventId"], "epoch": welcome["epoch"] },
        "requestId": 7,
    });
    let answer = socket.ask(message.clone()).await;
    assert_eq!(answer["requestId"], 7);
    assert_eq!(answer["data"]["success"], true);
    assert_eq!(answer["data"]["recovered"], true);
    assert_eq!(names(&mut socket, 2).await, ["A", "B"]);
    assert_eq!(socket.ask(message).await["data"]["success"], true);
    rename(&admin, &area, ["D"]).await;
    assert_eq!(names(&mut socket, 1).await, ["D"]);

    let ahead = json!({ "type": "resume", "lastEventId": 10_000, "epoch": welcome["epoch"] });
    assert_eq!(socket.ask(ahead).await["data"]["reason"], "ahead");
    let invalid = socket
        .ask(json!({ "type": "resume", "lastEventId": "x" }))
        .await;
    assert_eq!(
        (&invalid["type"], &invalid["data"]["code"]),
        (&json!("error"), &json!("invalid_field"))
    );
}

#[tokio::test]
async fn since_in_url_applies_after_authenticate_message() {
    let (daemon, admin, area, tablet) = start_with_tablet().await;
    let welcome = daemon.welcome(&tablet.token).await;
    rename(&admin, &area, ["A"]).await;
    let path = format!("/ws?since={}", welcome["lastEventId"]);
    let mut socket = Socket::open(&daemon, &path, None).await.unwrap();
    socket.authenticate(&tablet.token).await;
    assert_eq!(
        socket.next_of("connection").await["data"]["recovered"],
        true
    );
    assert_eq!(names(&mut socket, 1).await, ["A"]);
}

#[tokio::test]
async fn resume_supersedes_old_session_of_same_principal_only() {
    let (daemon, _, _, tablet) = start_with_tablet().await;
    let other = daemon.pair("Other", &[]).await;
    let mut old = Socket::open(&daemon, "/ws", Some(&tablet.token))
        .await
        .unwrap();
    let welcome = old.next().await["data"].clone();
    let message = json!({
        "type": "resume", "requestId": "r",
        "lastEventId": welcome["lastEventId"], "epoch": welcome["epoch"],
        "connectionId": welcome["connectionId"],
    });
    let mut foreign = daemon.listen(&other.token).await;
    assert_eq!(foreign.ask(message.clone()).await["data"]["success"], true);
    old.assert_nothing_received().await;
    let mut new = daemon.listen(&tablet.token).await;
    assert_eq!(new.ask(message).await["data"]["recovered"], true);
    assert_eq!(old.closed().await, (4409, "superseded".to_owned()));
    new.assert_nothing_received().await;
}

#[tokio::test]
async fn acks_are_stored_and_show_how_far_a_client_is_behind() {
    let (daemon, admin, area, tablet) = start_with_tablet().await;
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
        let shown = admin.get(&client).await.expect(200).json;
        assert_eq!(shown["lastAckedEventId"], ids[1]);
    }
    let answer = daemon
        .api(&tablet.token)
        .get(&position)
        .await
        .expect(200)
        .json;
    let fields = ["behind", "clientId", "lastAckedEventId", "lastEventId"];
    assert_eq!(keys(&answer), fields);
    assert_eq!(answer["behind"]["events"], 1);
    assert!(answer["behind"]["since"].is_string());
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
    let stored = daemon.local().get(&position).await.expect(200).json;
    assert_eq!(
        (&stored["lastAckedEventId"], &stored["behind"]["events"]),
        (&ids[2], &json!(0))
    );
    let other = daemon.pair("Other", &[]).await;
    daemon.api(&other.token).get(&position).await.refused(403);
}

#[tokio::test]
async fn slow_reader_gets_resync_once_its_events_are_trimmed() {
    let daemon = Daemon::with(&[("HISTORY_EVENTS", "20")]).await;
    let admin = daemon.admin().await;
    let entities: Vec<_> = (0..500).map(|n| format!("light.{n:0>110}")).collect();
    let body = json!({ "name": "Hall", "entityIds": entities });
    let area = admin.post("/api/areas", body).await.expect(201).json;
    let area = area["id"].as_str().unwrap();
    let tablet = daemon.pair("Wall", &[area]).await;
    let mut slow = Socket::open_with_small_buffer(&daemon, &tablet.token).await;
    assert_eq!(slow.next().await["type"], "connection");
    rename(&admin, area, 0..50).await;
    let last = until("old events to be trimmed", async || {
        let page = admin.get("/api/events?limit=1").await.json;
        let ids = [&page["oldestEventId"], &page["lastEventId"]].map(|id| id.as_i64().unwrap());
        (ids[1] - ids[0] < 20).then_some(ids[1])
    })
    .await;
    let (mut newest_received, mut resyncs) = (0, 0);
    while newest_received < last {
        let message = slow.next().await;
        match message["type"].as_str().unwrap() {
            "resync_required" => {
                assert_eq!(message["data"]["reason"], "too_old");
                resyncs += 1;
                // The session continues with live events.
                rename(&admin, area, ["new"]).await;
                assert_eq!(slow.next_of("area_updated").await["data"]["name"], "new");
                break;
            }
            "area_updated" => {
                let id = message["id"].as_i64().unwrap();
                assert!(
                    newest_received == 0 || id == newest_received + 1,
                    "{id} after {newest_received}"
                );
                newest_received = id;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(resyncs, 1);
}

#[tokio::test]
async fn resume_restores_rooms_and_their_missed_events() {
    let (daemon, admin, area, tablet) = start_with_tablet().await;
    let mut old = Socket::open(&daemon, "/ws", Some(&tablet.token))
        .await
        .unwrap();
    let welcome = old.next().await["data"].clone();
    let join = json!({ "type": "subscribe_room", "room_id": area });
    assert_eq!(old.ask(join).await["type"], "room_subscribed");
    old.close().await;
    rename(&admin, &area, ["A"]).await;
    let mut new = daemon.listen(&tablet.token).await;
    let resume = json!({
        "type": "resume", "requestId": 1, "connectionId": welcome["connectionId"],
        "lastEventId": welcome["lastEventId"], "epoch": welcome["epoch"],
    });
    // As soon as `resume` is answered, the new session is a member of the rooms.
    assert_eq!(new.ask(resume).await["type"], "result");
    rename(&admin, &area, ["B"]).await;
    let mut event_types = Vec::new();
    for _ in 0..4 {
        let event = new.next().await;
        event_types.push(event["type"].as_str().unwrap().to_owned());
    }
    let both = ["area_updated", "room_updated"];
    assert_eq!(event_types, [both, both].concat());
    new.assert_nothing_received().await;
}
