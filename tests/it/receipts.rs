//! How a message reaches who was away, what an `ack` says of it, and when it is too late
//! (contract 4.4 and 4.5).

use serde_json::{Value, json};

use crate::messages::{House, patch, person, send, text};
use crate::support::{Api, Daemon, Socket, until};

async fn status_of(api: &Api, message: &Value) -> String {
    let path = format!(
        "/api/conversations/{}/messages",
        text(message, "conversationId")
    );
    let messages = api.get(&path).await.expect(200).json;
    let found = messages["messages"].as_array().unwrap().iter();
    let mut found = found.filter(|one| one["id"] == message["id"]);
    text(found.next().expect("the message"), "status").to_owned()
}

/// Asks by a message with a `requestId` and gives the result; events before it are passed over.
async fn ask(socket: &mut Socket, kind: &str, data: Value) -> Value {
    socket
        .send(json!({ "type": kind, "data": data, "requestId": 1 }))
        .await;
    socket.next_of("result").await["data"].clone()
}

#[tokio::test]
async fn an_ack_at_or_beyond_a_messages_event_delivers_it() {
    let mut house = House::new().await;
    for (to, api) in [
        (house.to_wall(), house.wall()),
        (json!({ "userId": "ann" }), house.ann()),
    ] {
        let sent = json!({ "to": to, "body": "One" });
        let message = send(&house.admin, sent).await.expect(201).json;
        let socket = match to["userId"].is_string() {
            true => &mut house.user,
            false => &mut house.tablet,
        };
        let id = socket.next_of("new_message").await["id"].as_i64().unwrap();
        assert_eq!(
            ask(socket, "ack", json!({ "id": id - 1 })).await["success"],
            true
        );
        assert_eq!(status_of(&api, &message).await, "sent");
        assert_eq!(
            ask(socket, "ack", json!({ "id": id })).await["success"],
            true
        );
        assert_eq!(status_of(&api, &message).await, "delivered");
        let told = house.office.next_of("message_status_update").await;
        assert_eq!(told["data"]["messageId"], message["id"]);
        assert_eq!(told["data"]["status"], "delivered");
        // Said again it is no news.
        assert_eq!(
            ask(socket, "ack", json!({ "id": id })).await["success"],
            true
        );
        house.office.assert_nothing_received().await;
    }
    // The admins' acks are for what they are told.
    let message = send(&house.ann(), json!({ "body": "Hi" }))
        .await
        .expect(201)
        .json;
    let id = house.office.next_of("new_message").await["id"].clone();
    ask(&mut house.office, "ack", json!({ "id": id })).await;
    assert_eq!(status_of(&house.ann(), &message).await, "delivered");
}

#[tokio::test]
async fn an_ack_delivers_what_was_said_to_all_for_its_own_session_alone() {
    let mut house = House::new().await;
    let body = json!({ "to": { "all": true }, "body": "Fire drill" });
    let message = send(&house.admin, body).await.expect(201).json;
    let id = house.user.next_of("new_message").await["id"].clone();
    ask(&mut house.user, "ack", json!({ "id": id })).await;
    assert_eq!(status_of(&house.ann(), &message).await, "delivered");
    assert_eq!(status_of(&house.wall(), &message).await, "sent");
    assert_eq!(status_of(&house.admin, &message).await, "delivered");
}

#[tokio::test]
async fn message_status_by_socket_is_the_recipients_own() {
    let mut house = House::new().await;
    let to = house.to_wall();
    let message = house.send(&to, "Dinner!").await;
    let id = &message["id"];
    for (data, code) in [
        (
            json!({ "messageId": id, "status": "sent" }),
            "invalid_field",
        ),
        (json!({ "status": "read" }), "invalid_field"),
        (
            json!({ "messageId": "message_none", "status": "read" }),
            "forbidden",
        ),
    ] {
        let answer = ask(&mut house.tablet, "message_status", data).await;
        assert_eq!(
            (&answer["success"], &answer["code"]),
            (&json!(false), &json!(code))
        );
    }
    let read = json!({ "messageId": id, "status": "read" });
    let answer = ask(&mut house.user, "message_status", read.clone()).await;
    assert_eq!(answer["code"], "forbidden");
    house
        .tablet
        .send(json!({ "type": "message_status", "data": read }))
        .await;
    for kind in [
        "message_status_update",
        "unread_count_update",
        "conversation_update",
    ] {
        assert_eq!(house.tablet.next().await["type"], kind);
    }
    let told = house.office.next().await;
    assert_eq!(told["type"], "message_status_update");
    assert_eq!(told["data"]["status"], "read");
    house.assert_nothing_received().await;
}

#[tokio::test]
async fn by_post_to_send_a_session_says_the_same() {
    let mut house = House::new().await;
    let mut stream = house.daemon.connect(&house.user_token).await;
    let words = stream.next_of("connection").await;
    let ann = json!({ "userId": "ann" });
    let message = house.send(&ann, "Dinner!").await;
    let body = json!({ "connectionId": words["data"]["connectionId"], "type": "message_status",
        "data": { "messageId": message["id"], "status": "read" } });
    let answer = house.ann().post("/api/send", body).await.expect(200).json;
    assert_eq!(answer["success"], true);
    assert_eq!(status_of(&house.ann(), &message).await, "read");
}

#[tokio::test]
async fn who_comes_without_a_position_is_told_what_was_not_delivered() {
    for is_person in [false, true] {
        let daemon = Daemon::start().await;
        let admin = daemon.admin().await;
        let wall = daemon.pair("Wall", &[]).await;
        let (to, token) = match is_person {
            true => (json!({ "userId": "ann" }), person(&daemon, "ann").await),
            false => (json!({ "clientId": wall.id }), wall.token),
        };
        let mut expected = Vec::new();
        for body in ["one", "two", "three"] {
            let body = json!({ "to": to, "body": body });
            expected.push(send(&admin, body).await.expect(201).json);
        }
        let to_all = json!({ "to": { "all": true }, "body": "all" });
        expected.push(send(&admin, to_all).await.expect(201).json);
        // One of them is known to have arrived.
        let arrived = expected.remove(1);
        patch(&daemon.api(&token), &arrived, "delivered")
            .await
            .expect(200);

        let mut socket = daemon.connect(&token).await;
        let words = socket.next().await;
        assert_eq!(words["type"], "connection");
        let newest = words["data"]["lastEventId"].as_i64().unwrap();
        let mut last = 0;
        for message in &expected {
            let told = socket.next().await;
            assert_eq!(told["type"], "new_message", "nothing else: {told}");
            assert_eq!(told["data"]["message"], *message);
            let id = told["id"].as_i64().unwrap();
            assert!(id > last && id <= newest);
            last = id;
        }
        socket.assert_nothing_received().await;
        // Whoever then goes back hears none of them twice.
        let position = json!({ "lastEventId": 0, "epoch": words["data"]["epoch"] });
        ask(&mut socket, "resume", position).await;
        let after = send(&admin, json!({ "to": to, "body": "after" })).await;
        let after = after.expect(201).json;
        for message in [&json!({ "id": arrived["id"] }), &after] {
            let told = socket.next_of("new_message").await;
            assert_eq!(told["data"]["message"]["id"], message["id"]);
        }
        // Until it says so they are not delivered: the next session is told of them again.
        let mut other = daemon.listen(&token).await;
        assert_eq!(other.next().await["data"]["message"], expected[0]);
        let told = other.next_of("new_message").await;
        assert_eq!(told["data"]["message"], expected[1]);
        let events = admin.get("/api/events?limit=1").await.expect(200).json;
        ask(&mut other, "ack", json!({ "id": events["lastEventId"] })).await;
        daemon.listen(&token).await.assert_nothing_received().await;
    }
}

#[tokio::test]
async fn who_comes_back_with_a_position_is_told_by_replay_alone() {
    let mut house = House::new().await;
    let to = house.to_wall();
    let before = house.daemon.welcome(&house.wall_token).await["lastEventId"].clone();
    let message = house.send(&to, "Dinner!").await;
    let path = format!("/ws?since={before}");
    let mut back = Socket::open(&house.daemon, &path, Some(&house.wall_token))
        .await
        .unwrap();
    assert_eq!(back.next().await["data"]["recovered"], true);
    let told = back.next().await;
    assert_eq!(told["data"]["message"], message);
    for kind in ["unread_count_update", "conversation_update"] {
        assert_eq!(back.next().await["type"], kind);
    }
    back.assert_nothing_received().await;
}

#[tokio::test]
async fn who_came_after_is_not_told_what_was_said_to_all_before() {
    let house = House::new().await;
    let to_all = json!({ "to": { "all": true }, "body": "Before" });
    let before = send(&house.admin, to_all).await.expect(201).json;
    // Tokens are issued in whole seconds.
    let second = |at: &Value| at.as_str().unwrap()[..19].to_owned();
    let mut n = 0;
    let token = until("another second", async || {
        n += 1;
        let token = person(&house.daemon, &format!("late-{n}")).await;
        let tokens = house.admin.get("/api/tokens").await.expect(200).json;
        let issued = second(&tokens["tokens"][0]["createdAt"]);
        (issued > second(&before["createdAt"])).then_some(token)
    })
    .await;
    house
        .daemon
        .listen(&token)
        .await
        .assert_nothing_received()
        .await;
    let api = house.daemon.api(&token);
    let unread = api.get("/api/messages/unread").await.expect(200).json;
    assert_eq!(unread["totalUnread"], 0);
}

#[tokio::test]
async fn a_message_past_its_expiry_is_given_to_nobody() {
    let mut house = House::new().await;
    let before = house.daemon.welcome(&house.wall_token).await["lastEventId"].clone();
    let short = json!({ "to": house.to_wall(), "body": "Short", "ttlSeconds": 1 });
    let short = send(&house.admin, short).await.expect(201).json;
    assert!(short["expiresAt"].as_str() > short["createdAt"].as_str());
    let long = json!({ "to": house.to_wall(), "body": "Long", "ttlSeconds": 86_400 });
    let long = send(&house.admin, long).await.expect(201).json;
    until("the expiry", async || {
        let list = house.wall().get("/api/messages").await.expect(200).json;
        (list["messages"] == json!([long])).then_some(())
    })
    .await;
    let unread = house
        .wall()
        .get("/api/messages/unread")
        .await
        .expect(200)
        .json;
    assert_eq!(unread["totalUnread"], 1);
    // What is unread changed by itself.
    for total in [1, 2, 1] {
        let told = house.tablet.next_of("unread_count_update").await;
        assert_eq!(told["data"]["totalUnread"], total);
        let told = house.tablet.next_of("conversation_update").await;
        assert_eq!(told["data"]["conversation"]["unread"], total);
    }
    // Neither to a new session, nor to one that comes back, nor by GET /api/events.
    let mut fresh = house.daemon.listen(&house.wall_token).await;
    assert_eq!(fresh.next().await["data"]["message"], long);
    fresh.assert_nothing_received().await;
    let path = format!("/ws?since={before}");
    let mut back = Socket::open(&house.daemon, &path, Some(&house.wall_token))
        .await
        .unwrap();
    assert_eq!(back.next().await["type"], "connection");
    assert_eq!(back.next_of("new_message").await["data"]["message"], long);
    assert_eq!(
        back.next_of("conversation_update").await["data"]["conversation"]["lastMessage"],
        long
    );
    for kind in ["unread_count_update", "conversation_update"] {
        assert_eq!(back.next().await["type"], kind, "that it is over");
    }
    back.assert_nothing_received().await;
    let path = format!("/api/events?after={before}&type=new_message");
    let events = house.wall().get(&path).await.expect(200);
    assert!(!events.text.contains("Short") && events.text.contains("Long"));
    let last = house
        .admin
        .get("/api/events?limit=1")
        .await
        .expect(200)
        .json;
    let last = json!({ "id": last["lastEventId"] });
    // What was never given is not delivered by a later ack.
    ask(&mut fresh, "ack", last).await;
    assert_eq!(status_of(&house.admin, &short).await, "sent");
    assert_eq!(status_of(&house.admin, &long).await, "delivered");
}

#[tokio::test]
async fn messages_outlive_a_kill() {
    let mut house = House::new().await;
    let to = house.to_wall();
    let message = house.send(&to, "Dinner!").await;
    let (token, wall) = (house.wall_token.clone(), house.wall.clone());
    let daemon = house.daemon.kill_and_restart().await;
    let mut socket = daemon.listen(&token).await;
    assert_eq!(socket.next().await["data"]["message"], message);
    let list = daemon
        .api(&token)
        .get("/api/messages")
        .await
        .expect(200)
        .json;
    assert_eq!(list["messages"][0]["to"]["clientId"], wall);
}

#[tokio::test]
async fn what_lapses_while_the_daemon_is_down_or_was_said_to_all_changes_what_is_unread_too() {
    let mut house = House::new().await;
    let all = json!({ "to": { "all": true }, "body": "Short", "ttlSeconds": 1 });
    let all = send(&house.admin, all).await.expect(201).json;
    // Another has read it, and so it is read as admins see it.
    let bob = person(&house.daemon, "bob").await;
    patch(&house.daemon.api(&bob), &all, "read")
        .await
        .expect(200);
    for socket in [&mut house.tablet, &mut house.user] {
        for total in [1, 0] {
            let told = socket.next_of("unread_count_update").await;
            assert_eq!(told["data"]["totalUnread"], total);
        }
    }
    let read = json!({ "to": house.to_wall(), "body": "Read", "ttlSeconds": 1 });
    let read = send(&house.admin, read).await.expect(201).json;
    patch(&house.wall(), &read, "read").await.expect(200);
    let short = json!({ "to": { "userId": "ann" }, "body": "Short", "ttlSeconds": 1 });
    let sent = send(&house.admin, short).await.expect(201).json;
    let daemon = house.daemon.kill_and_restart().await;
    let api = daemon.api(&house.user_token);
    let counts = until("the end of the message to be told", async || {
        let path = "/api/events?type=unread_count_update";
        let events = api.get(path).await.expect(200).json;
        let events = events["events"].as_array().unwrap().iter();
        let counts = events.map(|event| event["data"]["totalUnread"].clone());
        let counts: Vec<_> = counts.collect();
        (counts.len() > 1).then_some(counts)
    })
    .await;
    assert_eq!(counts, [1, 0]);
    // Who has read it hears nothing of its end.
    let wall = daemon.api(&house.wall_token);
    let events = wall.get("/api/events?type=unread_count_update").await;
    assert_eq!(
        events.expect(200).json["events"].as_array().unwrap().len(),
        2
    );
    assert_eq!(sent["status"], "sent");
}
