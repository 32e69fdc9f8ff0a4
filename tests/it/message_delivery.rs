//! Delivery of messages: to recipients that were offline, their status after an `ack` or
//! `message_status`, and expiry. See docs/protocol.md#messages.

use serde_json::{Value, json};

use crate::messages::{MessageFixture, issue_user_token, patch_status, post_message, text};
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

/// Sends a message with a `requestId` and returns the data of its `result`. Skips other events.
async fn request(socket: &mut Socket, message_type: &str, data: Value) -> Value {
    socket
        .send(json!({ "type": message_type, "data": data, "requestId": 1 }))
        .await;
    socket.next_of("result").await["data"].clone()
}

#[tokio::test]
async fn ack_at_or_after_event_id_marks_message_delivered() {
    let mut fixture = MessageFixture::new().await;
    for (to, api) in [
        (fixture.to_tablet(), fixture.tablet_api()),
        (json!({ "userId": "ann" }), fixture.user_api()),
    ] {
        let sent = json!({ "to": to, "body": "One" });
        let message = post_message(&fixture.admin, sent).await.expect(201).json;
        let socket = match to["userId"].is_string() {
            true => &mut fixture.user_socket,
            false => &mut fixture.tablet_socket,
        };
        let id = socket.next_of("new_message").await["id"].as_i64().unwrap();
        assert_eq!(
            request(socket, "ack", json!({ "id": id - 1 })).await["success"],
            true
        );
        assert_eq!(status_of(&api, &message).await, "sent");
        assert_eq!(
            request(socket, "ack", json!({ "id": id })).await["success"],
            true
        );
        assert_eq!(status_of(&api, &message).await, "delivered");
        let event = fixture.admin_socket.next_of("message_status_update").await;
        assert_eq!(event["data"]["messageId"], message["id"]);
        assert_eq!(event["data"]["status"], "delivered");
        // A repeated ack publishes nothing.
        assert_eq!(
            request(socket, "ack", json!({ "id": id })).await["success"],
            true
        );
        fixture.admin_socket.assert_nothing_received().await;
    }
    // An admin's ack marks messages to the admins as delivered.
    let message = post_message(&fixture.user_api(), json!({ "body": "Hi" }))
        .await
        .expect(201)
        .json;
    let id = fixture.admin_socket.next_of("new_message").await["id"].clone();
    request(&mut fixture.admin_socket, "ack", json!({ "id": id })).await;
    assert_eq!(status_of(&fixture.user_api(), &message).await, "delivered");
}

#[tokio::test]
async fn ack_of_message_to_all_counts_for_that_recipient_only() {
    let mut fixture = MessageFixture::new().await;
    let body = json!({ "to": { "all": true }, "body": "Fire drill" });
    let message = post_message(&fixture.admin, body).await.expect(201).json;
    let id = fixture.user_socket.next_of("new_message").await["id"].clone();
    request(&mut fixture.user_socket, "ack", json!({ "id": id })).await;
    assert_eq!(status_of(&fixture.user_api(), &message).await, "delivered");
    assert_eq!(status_of(&fixture.tablet_api(), &message).await, "sent");
    assert_eq!(status_of(&fixture.admin, &message).await, "delivered");
}

#[tokio::test]
async fn message_status_is_accepted_from_recipient_only() {
    let mut fixture = MessageFixture::new().await;
    let to = fixture.to_tablet();
    let message = fixture.send(&to, "Dinner!").await;
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
        let answer = request(&mut fixture.tablet_socket, "message_status", data).await;
        assert_eq!(
            (&answer["success"], &answer["code"]),
            (&json!(false), &json!(code))
        );
    }
    let read = json!({ "messageId": id, "status": "read" });
    let answer = request(&mut fixture.user_socket, "message_status", read.clone()).await;
    assert_eq!(answer["code"], "forbidden");
    fixture
        .tablet_socket
        .send(json!({ "type": "message_status", "data": read }))
        .await;
    for event_type in [
        "message_status_update",
        "unread_count_update",
        "conversation_update",
    ] {
        assert_eq!(fixture.tablet_socket.next().await["type"], event_type);
    }
    let event = fixture.admin_socket.next().await;
    assert_eq!(event["type"], "message_status_update");
    assert_eq!(event["data"]["status"], "read");
    fixture.assert_no_events().await;
}

#[tokio::test]
async fn message_status_by_http_send_is_applied() {
    let mut fixture = MessageFixture::new().await;
    let mut stream = fixture.daemon.connect(&fixture.user_token).await;
    let welcome = stream.next_of("connection").await;
    let ann = json!({ "userId": "ann" });
    let message = fixture.send(&ann, "Dinner!").await;
    let body = json!({ "connectionId": welcome["data"]["connectionId"], "type": "message_status",
        "data": { "messageId": message["id"], "status": "read" } });
    let answer = fixture
        .user_api()
        .post("/api/send", body)
        .await
        .expect(200)
        .json;
    assert_eq!(answer["success"], true);
    assert_eq!(status_of(&fixture.user_api(), &message).await, "read");
}

#[tokio::test]
async fn session_without_position_receives_undelivered_messages() {
    for is_user in [false, true] {
        let daemon = Daemon::start().await;
        let admin = daemon.admin().await;
        let tablet = daemon.pair("Wall", &[]).await;
        let (to, token) = match is_user {
            true => (
                json!({ "userId": "ann" }),
                issue_user_token(&daemon, "ann").await,
            ),
            false => (json!({ "clientId": tablet.id }), tablet.token),
        };
        let mut expected = Vec::new();
        for body in ["one", "two", "three"] {
            let body = json!({ "to": to, "body": body });
            expected.push(post_message(&admin, body).await.expect(201).json);
        }
        let to_all = json!({ "to": { "all": true }, "body": "all" });
        expected.push(post_message(&admin, to_all).await.expect(201).json);
        // The second message is already marked as delivered.
        let delivered = expected.remove(1);
        patch_status(&daemon.api(&token), &delivered, "delivered")
            .await
            .expect(200);

        let mut socket = daemon.connect(&token).await;
        let welcome = socket.next().await;
        assert_eq!(welcome["type"], "connection");
        let newest = welcome["data"]["lastEventId"].as_i64().unwrap();
        let mut last = 0;
        for message in &expected {
            let event = socket.next().await;
            assert_eq!(
                event["type"], "new_message",
                "nothing but messages: {event}"
            );
            assert_eq!(event["data"]["message"], *message);
            let id = event["id"].as_i64().unwrap();
            assert!(id > last && id <= newest);
            last = id;
        }
        socket.assert_nothing_received().await;
        // Resuming from the start replays only messages that this session has not received.
        let position = json!({ "lastEventId": 0, "epoch": welcome["data"]["epoch"] });
        request(&mut socket, "resume", position).await;
        let after = post_message(&admin, json!({ "to": to, "body": "after" })).await;
        let after = after.expect(201).json;
        for message in [&json!({ "id": delivered["id"] }), &after] {
            let event = socket.next_of("new_message").await;
            assert_eq!(event["data"]["message"]["id"], message["id"]);
        }
        // Without an ack the messages stay undelivered, so the next session receives them again.
        let mut other = daemon.listen(&token).await;
        assert_eq!(other.next().await["data"]["message"], expected[0]);
        let event = other.next_of("new_message").await;
        assert_eq!(event["data"]["message"], expected[1]);
        let events = admin.get("/api/events?limit=1").await.expect(200).json;
        request(&mut other, "ack", json!({ "id": events["lastEventId"] })).await;
        daemon.listen(&token).await.assert_nothing_received().await;
    }
}

#[tokio::test]
async fn session_with_position_receives_messages_by_replay_only() {
    let mut fixture = MessageFixture::new().await;
    let to = fixture.to_tablet();
    let before = fixture.daemon.welcome(&fixture.tablet_token).await["lastEventId"].clone();
    let message = fixture.send(&to, "Dinner!").await;
    let path = format!("/ws?since={before}");
    let mut resumed = Socket::open(&fixture.daemon, &path, Some(&fixture.tablet_token))
        .await
        .unwrap();
    assert_eq!(resumed.next().await["data"]["recovered"], true);
    let event = resumed.next().await;
    assert_eq!(event["data"]["message"], message);
    for event_type in ["unread_count_update", "conversation_update"] {
        assert_eq!(resumed.next().await["type"], event_type);
    }
    resumed.assert_nothing_received().await;
}

#[tokio::test]
async fn message_to_all_skips_tokens_issued_later() {
    let fixture = MessageFixture::new().await;
    let to_all = json!({ "to": { "all": true }, "body": "Before" });
    let before = post_message(&fixture.admin, to_all).await.expect(201).json;
    // Tokens are issued in whole seconds.
    let second = |at: &Value| at.as_str().unwrap()[..19].to_owned();
    let mut n = 0;
    let token = until("another second", async || {
        n += 1;
        let token = issue_user_token(&fixture.daemon, &format!("late-{n}")).await;
        let tokens = fixture.admin.get("/api/tokens").await.expect(200).json;
        let issued = second(&tokens["tokens"][0]["createdAt"]);
        (issued > second(&before["createdAt"])).then_some(token)
    })
    .await;
    fixture
        .daemon
        .listen(&token)
        .await
        .assert_nothing_received()
        .await;
    let api = fixture.daemon.api(&token);
    let unread = api.get("/api/messages/unread").await.expect(200).json;
    assert_eq!(unread["totalUnread"], 0);
}

#[tokio::test]
async fn expired_message_is_not_delivered_or_replayed() {
    let mut fixture = MessageFixture::new().await;
    let before = fixture.daemon.welcome(&fixture.tablet_token).await["lastEventId"].clone();
    let short = json!({ "to": fixture.to_tablet(), "body": "Short", "ttlSeconds": 1 });
    let short = post_message(&fixture.admin, short).await.expect(201).json;
    assert!(short["expiresAt"].as_str() > short["createdAt"].as_str());
    let long = json!({ "to": fixture.to_tablet(), "body": "Long", "ttlSeconds": 86_400 });
    let long = post_message(&fixture.admin, long).await.expect(201).json;
    until("the expiry", async || {
        let list = fixture
            .tablet_api()
            .get("/api/messages")
            .await
            .expect(200)
            .json;
        (list["messages"] == json!([long])).then_some(())
    })
    .await;
    let unread = fixture
        .tablet_api()
        .get("/api/messages/unread")
        .await
        .expect(200)
        .json;
    assert_eq!(unread["totalUnread"], 1);
    // The expiry itself publishes the lower unread count.
    for total in [1, 2, 1] {
        let event = fixture.tablet_socket.next_of("unread_count_update").await;
        assert_eq!(event["data"]["totalUnread"], total);
        let event = fixture.tablet_socket.next_of("conversation_update").await;
        assert_eq!(event["data"]["conversation"]["unread"], total);
    }
    // The expired message reaches neither a new session, nor a resumed one, nor `GET /api/events`.
    let mut fresh = fixture.daemon.listen(&fixture.tablet_token).await;
    assert_eq!(fresh.next().await["data"]["message"], long);
    fresh.assert_nothing_received().await;
    let path = format!("/ws?since={before}");
    let mut resumed = Socket::open(&fixture.daemon, &path, Some(&fixture.tablet_token))
        .await
        .unwrap();
    assert_eq!(resumed.next().await["type"], "connection");
    assert_eq!(
        resumed.next_of("new_message").await["data"]["message"],
        long
    );
    assert_eq!(
        resumed.next_of("conversation_update").await["data"]["conversation"]["lastMessage"],
        long
    );
    for event_type in ["unread_count_update", "conversation_update"] {
        assert_eq!(
            resumed.next().await["type"],
            event_type,
            "the events of the expiry"
        );
    }
    resumed.assert_nothing_received().await;
    let path = format!("/api/events?after={before}&type=new_message");
    let events = fixture.tablet_api().get(&path).await.expect(200);
    assert!(!events.text.contains("Short") && events.text.contains("Long"));
    let last = fixture
        .admin
        .get("/api/events?limit=1")
        .await
        .expect(200)
        .json;
    let last = json!({ "id": last["lastEventId"] });
    // An ack does not mark the expired message as delivered.
    request(&mut fresh, "ack", last).await;
    assert_eq!(status_of(&fixture.admin, &short).await, "sent");
    assert_eq!(status_of(&fixture.admin, &long).await, "delivered");
}

#[tokio::test]
async fn message_survives_crash() {
    let mut fixture = MessageFixture::new().await;
    let to = fixture.to_tablet();
    let message = fixture.send(&to, "Dinner!").await;
    let (token, tablet_id) = (fixture.tablet_token.clone(), fixture.tablet_id.clone());
    let daemon = fixture.daemon.kill_and_restart().await;
    let mut socket = daemon.listen(&token).await;
    assert_eq!(socket.next().await["data"]["message"], message);
    let list = daemon
        .api(&token)
        .get("/api/messages")
        .await
        .expect(200)
        .json;
    assert_eq!(list["messages"][0]["to"]["clientId"], tablet_id);
}

#[tokio::test]
async fn messages_expired_while_down_reduce_unread_counts() {
    let mut fixture = MessageFixture::new().await;
    let all = json!({ "to": { "all": true }, "body": "Short", "ttlSeconds": 1 });
    let all = post_message(&fixture.admin, all).await.expect(201).json;
    // Admins see the message as read as soon as one recipient has read it.
    let bob = issue_user_token(&fixture.daemon, "bob").await;
    patch_status(&fixture.daemon.api(&bob), &all, "read")
        .await
        .expect(200);
    for socket in [&mut fixture.tablet_socket, &mut fixture.user_socket] {
        for total in [1, 0] {
            let event = socket.next_of("unread_count_update").await;
            assert_eq!(event["data"]["totalUnread"], total);
        }
    }
    let read = json!({ "to": fixture.to_tablet(), "body": "Read", "ttlSeconds": 1 });
    let read = post_message(&fixture.admin, read).await.expect(201).json;
    patch_status(&fixture.tablet_api(), &read, "read")
        .await
        .expect(200);
    let short = json!({ "to": { "userId": "ann" }, "body": "Short", "ttlSeconds": 1 });
    let sent = post_message(&fixture.admin, short).await.expect(201).json;
    let daemon = fixture.daemon.kill_and_restart().await;
    let api = daemon.api(&fixture.user_token);
    let counts = until("the event of the expiry", async || {
        let path = "/api/events?type=unread_count_update";
        let events = api.get(path).await.expect(200).json;
        let events = events["events"].as_array().unwrap().iter();
        let counts = events.map(|event| event["data"]["totalUnread"].clone());
        let counts: Vec<_> = counts.collect();
        (counts.len() > 1).then_some(counts)
    })
    .await;
    assert_eq!(counts, [1, 0]);
    // The tablet has read its message, so the expiry does not change its unread count.
    let tablet = daemon.api(&fixture.tablet_token);
    let events = tablet.get("/api/events?type=unread_count_update").await;
    assert_eq!(
        events.expect(200).json["events"].as_array().unwrap().len(),
        2
    );
    assert_eq!(sent["status"], "sent");
}
