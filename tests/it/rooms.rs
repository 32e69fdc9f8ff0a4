//! Rooms: who may enter, who is told, and that a recovered session has them again (contract 4.5).

use serde_json::{Value, json};

use crate::support::{Daemon, Socket};

fn room(kind: &str, key: &str, room: &Value) -> Value {
    json!({ "type": kind, "data": { key: room } })
}

/// Enters a room with success.
async fn enter(socket: &mut Socket, kind: &str, key: &str, name: &Value) {
    let answer = socket.ask(room(kind, key, name)).await;
    let expected = match kind {
        "join_room" => "room_joined",
        _ => "room_subscribed",
    };
    assert_eq!(
        (&answer["type"], &answer["data"][key]),
        (&json!(expected), name)
    );
}

#[tokio::test]
async fn a_session_that_subscribed_a_room_hears_room_updated_and_no_other_does() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let path = format!("/api/areas/{area}");
    let number = admin.get(&path).await.json["roomId"].clone();
    let tablet = daemon.pair("Wall", &[&area]).await;
    let mut inside = daemon.listen(&tablet.token).await;
    let mut outside = daemon.listen(&tablet.token).await;
    enter(&mut inside, "subscribe_room", "room_id", &number).await;
    enter(&mut inside, "subscribe_room", "room_id", &json!(area)).await;

    admin
        .patch(&path, json!({ "name": "Galley" }))
        .await
        .expect(200);
    for socket in [&mut inside, &mut outside] {
        assert_eq!(socket.next().await["type"], "area_updated");
    }
    let told = inside.next().await;
    let data = json!({ "room_id": number, "room_name": "Galley", "action": "updated" });
    assert_eq!(
        (&told["type"], &told["data"]),
        (&json!("room_updated"), &data)
    );
    outside.assert_nothing_received().await;

    let left = inside
        .ask(room("unsubscribe_room", "room_id", &number))
        .await;
    assert_eq!(
        (&left["type"], &left["data"]["room_id"]),
        (&json!("room_unsubscribed"), &number)
    );
    admin
        .patch(&path, json!({ "name": "Kitchen" }))
        .await
        .expect(200);
    assert_eq!(inside.next().await["type"], "area_updated");
    inside.assert_nothing_received().await;
}

#[tokio::test]
async fn a_client_may_enter_its_areas_and_its_kiosk_and_nothing_else() {
    let daemon = Daemon::with(&[("MESSAGES_PER_SECOND", "1000")]).await;
    let admin = daemon.admin().await;
    let (own, foreign) = (
        admin.create_area("Own").await,
        admin.create_area("Foreign").await,
    );
    let tablet = daemon.pair("Wall", &[&own]).await;
    let mut socket = daemon.listen(&tablet.token).await;
    for name in [&own, &tablet.id] {
        enter(&mut socket, "join_room", "room", &json!(name)).await;
    }
    let path = format!("/api/clients/{}", tablet.id);
    admin
        .patch(&path, json!({ "kioskId": "kiosk-1" }))
        .await
        .expect(200);
    enter(&mut socket, "join_room", "room", &json!("kiosk-1")).await;
    for name in [
        json!(foreign),
        json!(tablet.id),
        json!("nowhere"),
        json!(99),
    ] {
        let refused = socket.ask(room("join_room", "room", &name)).await;
        assert_eq!(
            (&refused["type"], &refused["data"]["code"]),
            (&json!("error"), &json!("forbidden"))
        );
    }
    let refused = socket.ask(room("join_room", "room", &json!(true))).await;
    assert_eq!(refused["data"]["code"], "invalid_field");

    let user = daemon.token(json!({ "role": "user", "name": "x" })).await;
    let mut user = daemon.listen(user["token"].as_str().unwrap()).await;
    assert_eq!(
        user.ask(room("join_room", "room", &json!(own))).await["data"]["code"],
        "forbidden"
    );
    let token = daemon.token(json!({ "role": "admin", "name": "x" })).await;
    let mut any = daemon.connect(token["token"].as_str().unwrap()).await;
    let own = any.next().await["data"]["connectionId"].clone();
    for n in 0..64 {
        enter(&mut any, "join_room", "room", &json!(format!("any-{n}"))).await;
    }
    let full = any.ask(room("join_room", "room", &json!("one-more"))).await;
    assert_eq!(full["data"]["code"], "too_many_rooms");
    let mut full = room("join_room", "room", &json!("one-more"));
    full["connectionId"] = own;
    let full = daemon.api_of(&token).post("/api/send", full).await;
    assert_eq!(full.refused(409), "too_many_rooms");
}

#[tokio::test]
async fn a_room_that_is_a_tablets_for_two_reasons_stays_while_one_holds() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let client = format!("/api/clients/{}", tablet.id);
    admin
        .patch(&client, json!({ "kioskId": area }))
        .await
        .expect(200);
    let mut socket = daemon.listen(&tablet.token).await;
    enter(&mut socket, "subscribe_room", "room_id", &json!(area)).await;
    admin
        .delete(&format!("{client}/areas/{area}"))
        .await
        .expect(204);
    assert_eq!(socket.next().await["type"], "area_removed");
    let path = format!("/api/areas/{area}");
    admin.patch(&path, json!({ "name": "B" })).await.expect(200);
    assert_eq!(socket.next().await["type"], "room_updated");
    admin
        .patch(&client, json!({ "kioskId": null }))
        .await
        .expect(200);
    admin.patch(&path, json!({ "name": "C" })).await.expect(200);
    socket.assert_nothing_received().await;
}

#[tokio::test]
async fn an_area_that_is_taken_away_takes_its_room_with_it() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let mut socket = daemon.listen(&tablet.token).await;
    enter(&mut socket, "subscribe_room", "room_id", &json!(area)).await;
    let assignment = format!("/api/clients/{}/areas/{area}", tablet.id);
    admin.delete(&assignment).await.expect(204);
    assert_eq!(socket.next().await["type"], "area_removed");
    admin.post(&assignment, json!({})).await.expect(200);
    assert_eq!(socket.next().await["type"], "area_added");
    admin
        .patch(&format!("/api/areas/{area}"), json!({ "name": "B" }))
        .await
        .expect(200);
    assert_eq!(socket.next().await["type"], "area_updated");
    socket.assert_nothing_received().await;
}

#[tokio::test]
async fn a_room_that_comes_or_goes_is_told_to_every_admin_and_to_whoever_has_it() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let token = daemon.token(json!({ "role": "admin", "name": "x" })).await;
    let token = token["token"].as_str().unwrap();
    let mut office = daemon.listen(token).await;
    let mut root = Socket::open(&daemon, "/", Some(token)).await.unwrap();
    assert_eq!(root.next().await["type"], "connection");
    let mut narrow = Socket::open(&daemon, "/ws/lockers", Some(token))
        .await
        .unwrap();
    assert_eq!(narrow.next().await["type"], "connection");
    let other = daemon.pair("Other", &[]).await;
    let mut other = daemon.listen(&other.token).await;
    for socket in [&mut office, &mut root] {
        socket.next_of("client_online").await;
    }

    let body = json!({ "name": "Kitchen" });
    let area = admin.post("/api/areas", body).await.expect(201).json;
    let told = |action: &str| json!({ "room_id": area["roomId"], "room_name": "Kitchen", "action": action });
    for socket in [&mut office, &mut root] {
        let event = socket.next().await;
        assert_eq!(event["type"], "room_updated");
        assert_eq!(event["data"], told("created"));
        assert!(event["id"].is_i64(), "it is durable: {event}");
    }
    let id = area["id"].as_str().unwrap();
    let tablet = daemon.pair("Wall", &[id]).await;
    let mut wall = daemon.listen(&tablet.token).await;
    // Whoever has subscribed the room as well is told once.
    let mut inside = daemon.listen(&tablet.token).await;
    enter(&mut inside, "subscribe_room", "room_id", &area["roomId"]).await;
    admin.delete(&format!("/api/areas/{id}")).await.expect(204);
    for socket in [&mut wall, &mut inside] {
        assert_eq!(socket.next().await["type"], "area_removed");
        let event = socket.next().await;
        assert_eq!(event["type"], "room_updated");
        assert_eq!(event["data"], told("deleted"));
        socket.assert_nothing_received().await;
    }
    for socket in [&mut office, &mut root] {
        assert_eq!(
            socket.next_of("room_updated").await["data"],
            told("deleted")
        );
    }
    narrow.assert_nothing_received().await;
    other.assert_nothing_received().await;
}
