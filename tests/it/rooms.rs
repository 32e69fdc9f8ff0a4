//! Rooms: who may join them, who receives `room_updated`, and when a membership ends.
//! See docs/protocol.md#rooms.

use serde_json::{Value, json};

use crate::support::{Daemon, Socket};

fn room_message(message_type: &str, key: &str, room: &Value) -> Value {
    json!({ "type": message_type, "data": { key: room } })
}

/// Joins or subscribes to a room and asserts the confirmation.
async fn join(socket: &mut Socket, message_type: &str, key: &str, name: &Value) {
    let answer = socket.ask(room_message(message_type, key, name)).await;
    let expected = match message_type {
        "join_room" => "room_joined",
        _ => "room_subscribed",
    };
    assert_eq!(
        (&answer["type"], &answer["data"][key]),
        (&json!(expected), name)
    );
}

#[tokio::test]
async fn room_updated_reaches_room_members_only() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let path = format!("/api/areas/{area}");
    let room_id = admin.get(&path).await.json["roomId"].clone();
    let tablet = daemon.pair("Wall", &[&area]).await;
    let mut member = daemon.listen(&tablet.token).await;
    let mut non_member = daemon.listen(&tablet.token).await;
    join(&mut member, "subscribe_room", "room_id", &room_id).await;
    join(&mut member, "subscribe_room", "room_id", &json!(area)).await;

    admin
        .patch(&path, json!({ "name": "Galley" }))
        .await
        .expect(200);
    for socket in [&mut member, &mut non_member] {
        assert_eq!(socket.next().await["type"], "area_updated");
    }
    let event = member.next().await;
    let data = json!({ "room_id": room_id, "room_name": "Galley", "action": "updated" });
    assert_eq!(
        (&event["type"], &event["data"]),
        (&json!("room_updated"), &data)
    );
    non_member.assert_nothing_received().await;

    let answer = member
        .ask(room_message("unsubscribe_room", "room_id", &room_id))
        .await;
    assert_eq!(
        (&answer["type"], &answer["data"]["room_id"]),
        (&json!("room_unsubscribed"), &room_id)
    );
    admin
        .patch(&path, json!({ "name": "Kitchen" }))
        .await
        .expect(200);
    assert_eq!(member.next().await["type"], "area_updated");
    member.assert_nothing_received().await;
}

#[tokio::test]
async fn client_may_join_only_its_areas_and_kiosk() {
    let daemon = Daemon::with(&[("MESSAGES_PER_SECOND", "1000")]).await;
    let admin = daemon.admin().await;
    let (own_area, foreign_area) = (
        admin.create_area("Own").await,
        admin.create_area("Foreign").await,
    );
    let tablet = daemon.pair("Wall", &[&own_area]).await;
    let mut socket = daemon.listen(&tablet.token).await;
    for name in [&own_area, &tablet.id] {
        join(&mut socket, "join_room", "room", &json!(name)).await;
    }
    let path = format!("/api/clients/{}", tablet.id);
    admin
        .patch(&path, json!({ "kioskId": "kiosk-1" }))
        .await
        .expect(200);
    join(&mut socket, "join_room", "room", &json!("kiosk-1")).await;
    for name in [
        json!(foreign_area),
        json!(tablet.id),
        json!("nowhere"),
        json!(99),
    ] {
        let refused = socket.ask(room_message("join_room", "room", &name)).await;
        assert_eq!(
            (&refused["type"], &refused["data"]["code"]),
            (&json!("error"), &json!("forbidden"))
        );
    }
    let refused = socket
        .ask(room_message("join_room", "room", &json!(true)))
        .await;
    assert_eq!(refused["data"]["code"], "invalid_field");

    let user = daemon.token(json!({ "role": "user", "name": "x" })).await;
    let mut user = daemon.listen(user["token"].as_str().unwrap()).await;
    assert_eq!(
        user.ask(room_message("join_room", "room", &json!(own_area)))
            .await["data"]["code"],
        "forbidden"
    );
    let token = daemon.token(json!({ "role": "admin", "name": "x" })).await;
    let mut admin_socket = daemon.connect(token["token"].as_str().unwrap()).await;
    let connection_id = admin_socket.next().await["data"]["connectionId"].clone();
    for n in 0..64 {
        join(
            &mut admin_socket,
            "join_room",
            "room",
            &json!(format!("any-{n}")),
        )
        .await;
    }
    let refused = admin_socket
        .ask(room_message("join_room", "room", &json!("one-more")))
        .await;
    assert_eq!(refused["data"]["code"], "too_many_rooms");
    let mut body = room_message("join_room", "room", &json!("one-more"));
    body["connectionId"] = connection_id;
    let answer = daemon.api_of(&token).post("/api/send", body).await;
    assert_eq!(answer.refused(409), "too_many_rooms");
}

#[tokio::test]
async fn room_granted_twice_stays_until_both_grants_end() {
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
    join(&mut socket, "subscribe_room", "room_id", &json!(area)).await;
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
async fn unassigned_area_ends_room_membership() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let mut socket = daemon.listen(&tablet.token).await;
    join(&mut socket, "subscribe_room", "room_id", &json!(area)).await;
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
async fn room_creation_and_deletion_reach_admins_and_members() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let token = daemon.token(json!({ "role": "admin", "name": "x" })).await;
    let token = token["token"].as_str().unwrap();
    let mut admin_socket = daemon.listen(token).await;
    let mut root = Socket::open(&daemon, "/", Some(token)).await.unwrap();
    assert_eq!(root.next().await["type"], "connection");
    let mut lockers = Socket::open(&daemon, "/ws/lockers", Some(token))
        .await
        .unwrap();
    assert_eq!(lockers.next().await["type"], "connection");
    let other = daemon.pair("Other", &[]).await;
    let mut other = daemon.listen(&other.token).await;
    for socket in [&mut admin_socket, &mut root] {
        socket.next_of("client_online").await;
    }

    let body = json!({ "name": "Kitchen" });
    let area = admin.post("/api/areas", body).await.expect(201).json;
    let room_updated = |action: &str| json!({ "room_id": area["roomId"], "room_name": "Kitchen", "action": action });
    for socket in [&mut admin_socket, &mut root] {
        let event = socket.next().await;
        assert_eq!(event["type"], "room_updated");
        assert_eq!(event["data"], room_updated("created"));
        assert!(event["id"].is_i64(), "the event is durable: {event}");
    }
    let id = area["id"].as_str().unwrap();
    let tablet = daemon.pair("Wall", &[id]).await;
    let mut assigned = daemon.listen(&tablet.token).await;
    // Assigned to the area and subscribed to its room, this session still receives the event once.
    let mut member = daemon.listen(&tablet.token).await;
    join(&mut member, "subscribe_room", "room_id", &area["roomId"]).await;
    admin.delete(&format!("/api/areas/{id}")).await.expect(204);
    for socket in [&mut assigned, &mut member] {
        assert_eq!(socket.next().await["type"], "area_removed");
        let event = socket.next().await;
        assert_eq!(event["type"], "room_updated");
        assert_eq!(event["data"], room_updated("deleted"));
        socket.assert_nothing_received().await;
    }
    for socket in [&mut admin_socket, &mut root] {
        assert_eq!(
            socket.next_of("room_updated").await["data"],
            room_updated("deleted")
        );
    }
    lockers.assert_nothing_received().await;
    other.assert_nothing_received().await;
}
