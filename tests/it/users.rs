//! Users of the messages API: presence over any number of sessions, typing events, and being
//! disconnected by an admin. See docs/protocol.md#messages.

use serde_json::json;

use crate::messages::{MessageFixture, issue_user_token, post_message, text};
use crate::support::{assert_timestamp, keys, until};

#[tokio::test]
async fn user_is_online_from_first_to_last_session() {
    let mut fixture = MessageFixture::new().await;
    let path = "/api/users/bob";
    let before = fixture.admin.get(path).await.expect(200).json;
    let offline = json!({ "userId": "bob", "isOnline": false, "sessions": 0, "lastSeenAt": null });
    assert_eq!(before, offline);

    let token = issue_user_token(&fixture.daemon, "bob").await;
    let mut first = fixture.daemon.listen(&token).await;
    let event = fixture.admin_socket.next().await;
    assert_eq!(
        (&event["type"], &event["id"]),
        (&json!("presence"), &json!(null))
    );
    assert_eq!(
        keys(&event["data"]),
        ["isOnline", "lastSeenAt", "timestamp", "userId"]
    );
    assert_eq!(
        (&event["data"]["userId"], &event["data"]["isOnline"]),
        (&json!("bob"), &json!(true))
    );
    let mut second = fixture.daemon.listen(&token).await;
    let online = fixture.admin.get(path).await.expect(200).json;
    assert_eq!(
        (&online["isOnline"], &online["sessions"]),
        (&json!(true), &json!(2))
    );
    assert_timestamp(&online["lastSeenAt"]);
    // Every session receives the user's events.
    let body = json!({ "to": { "userId": "bob" }, "body": "Hi" });
    let message = post_message(&fixture.admin, body).await.expect(201).json;
    for socket in [&mut first, &mut second] {
        assert_eq!(socket.next().await["data"]["message"], message);
    }
    for event_type in ["new_message", "conversation_update"] {
        assert_eq!(fixture.admin_socket.next().await["type"], event_type);
    }
    first.close().await;
    until("the first session to end", async || {
        let user = fixture.admin.get(path).await.expect(200).json;
        (user["sessions"] == 1).then_some(())
    })
    .await;
    fixture.admin_socket.assert_nothing_received().await;
    second.close().await;
    let event = fixture.admin_socket.next().await;
    assert_eq!(event["type"], "presence");
    assert_eq!(event["data"]["isOnline"], false);
    let after = fixture.admin.get(path).await.expect(200).json;
    assert_eq!(
        (&after["isOnline"], &after["sessions"]),
        (&json!(false), &json!(0))
    );
    assert_eq!(after["lastSeenAt"], event["data"]["lastSeenAt"]);
    // The last-seen time survives a crash.
    let daemon = fixture.daemon.kill_and_restart().await;
    assert_eq!(daemon.local().get(path).await.expect(200).json, after);
}

#[tokio::test]
async fn presence_and_typing_reach_conversation_members_only() {
    let mut fixture = MessageFixture::new().await;
    let token = issue_user_token(&fixture.daemon, "bob").await;
    let body = json!({ "from": { "userId": "bob" }, "to": fixture.to_tablet(), "body": "Hi" });
    let message = post_message(&fixture.admin, body).await.expect(201).json;
    fixture.tablet_socket.next_of("conversation_update").await;
    let bob = fixture.daemon.listen(&token).await;
    for socket in [&mut fixture.tablet_socket, &mut fixture.admin_socket] {
        let event = socket.next().await;
        assert_eq!(event["type"], "presence");
        assert_eq!(event["data"]["userId"], "bob");
    }
    fixture.user_socket.assert_nothing_received().await;
    drop(bob);

    let typing = json!({ "conversationId": message["conversationId"], "isTyping": true });
    fixture.admin_socket.next_of("presence").await;
    fixture.tablet_socket.next_of("presence").await;
    let mut bob = fixture.daemon.listen(&token).await;
    fixture.tablet_socket.next_of("presence").await;
    fixture.admin_socket.next_of("presence").await;
    bob.send(json!({ "type": "typing", "data": typing, "requestId": 1 }))
        .await;
    assert_eq!(bob.next_of("result").await["data"]["success"], true);
    let event = fixture.tablet_socket.next().await;
    let expected = json!({
        "conversationId": message["conversationId"], "from": { "userId": "bob" },
        "isTyping": true, "timestamp": event["data"]["timestamp"],
    });
    assert_eq!(
        (&event["type"], &event["data"]),
        (&json!("typing"), &expected)
    );
    assert!(event["id"].is_null(), "typing is ephemeral");
    bob.assert_nothing_received().await;
    fixture.assert_no_events().await;
    for (data, code) in [
        (typing.clone(), "forbidden"),
        (
            json!({ "conversationId": "conversation_none", "isTyping": true }),
            "forbidden",
        ),
        (
            json!({ "conversationId": message["conversationId"] }),
            "invalid_field",
        ),
    ] {
        fixture
            .user_socket
            .send(json!({ "type": "typing", "data": data, "requestId": 1 }))
            .await;
        assert_eq!(
            fixture.user_socket.next_of("result").await["data"]["code"],
            code
        );
    }
    fixture.tablet_socket.assert_nothing_received().await;
}

#[tokio::test]
async fn typing_to_admins_reaches_every_admin() {
    let mut fixture = MessageFixture::new().await;
    let message = post_message(&fixture.user_api(), json!({ "body": "Hi" }))
        .await
        .expect(201)
        .json;
    fixture.admin_socket.next_of("conversation_update").await;
    let typing = json!({ "conversationId": message["conversationId"], "isTyping": false });
    fixture
        .user_socket
        .send(json!({ "type": "typing", "data": typing }))
        .await;
    let event = fixture.admin_socket.next().await;
    assert_eq!(
        (&event["type"], &event["data"]["isTyping"]),
        (&json!("typing"), &json!(false))
    );
}

#[tokio::test]
async fn disconnect_closes_user_sessions_but_allows_reconnect() {
    let mut fixture = MessageFixture::new().await;
    let path = "/api/users/ann/disconnect";
    for api in [fixture.tablet_api(), fixture.user_api()] {
        assert_eq!(api.post(path, json!({})).await.refused(403), "forbidden");
    }
    let mut second = fixture.daemon.listen(&fixture.user_token).await;
    let answer = fixture
        .admin
        .post(path, json!({ "reason": "logout" }))
        .await
        .expect(200);
    assert_eq!(answer.json, json!({ "success": true, "disconnected": 2 }));
    for socket in [&mut fixture.user_socket, &mut second] {
        assert_eq!(socket.closed().await, (4000, "try_again".to_owned()));
    }
    assert_eq!(
        fixture.admin_socket.next_of("presence").await["data"]["isOnline"],
        false
    );
    fixture.tablet_socket.assert_nothing_received().await;
    fixture.daemon.listen(&fixture.user_token).await;
    let audit = fixture.admin.get("/api/audit").await.expect(200).json;
    let entry = &audit["entries"][0];
    assert_eq!(
        (
            text(entry, "action"),
            text(entry, "target"),
            text(entry, "detail")
        ),
        ("user.disconnect", "ann", "logout")
    );
    let none = fixture
        .admin
        .post("/api/users/nobody/disconnect", json!({}))
        .await
        .expect(200);
    assert_eq!(none.json["disconnected"], 0);
}

#[tokio::test]
async fn user_may_read_only_own_presence() {
    let fixture = MessageFixture::new().await;
    let own = fixture
        .user_api()
        .get("/api/users/ann")
        .await
        .expect(200)
        .json;
    assert_eq!(
        (&own["isOnline"], &own["sessions"]),
        (&json!(true), &json!(1))
    );
    for path in ["/api/users/bob", "/api/users/nobody"] {
        for api in [fixture.user_api(), fixture.tablet_api()] {
            assert_eq!(api.get(path).await.refused(403), "forbidden");
        }
    }
    assert_eq!(
        fixture.admin.get("/api/users/a%20b").await.refused(404),
        "not_found"
    );
}
