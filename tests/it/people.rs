//! People: any number of sessions, whether they are here, typing, and being disconnected
//! (contract section 5 and 6.5, seed 4).

use serde_json::json;

use crate::messages::{House, person, send, text};
use crate::support::{assert_timestamp, keys, until};

#[tokio::test]
async fn a_person_is_here_from_its_first_session_to_its_last() {
    let mut house = House::new().await;
    let path = "/api/users/bob";
    let never = house.admin.get(path).await.expect(200).json;
    let nobody = json!({ "userId": "bob", "isOnline": false, "sessions": 0, "lastSeenAt": null });
    assert_eq!(never, nobody);

    let token = person(&house.daemon, "bob").await;
    let mut first = house.daemon.listen(&token).await;
    let told = house.office.next().await;
    assert_eq!(
        (&told["type"], &told["id"]),
        (&json!("presence"), &json!(null))
    );
    assert_eq!(
        keys(&told["data"]),
        ["isOnline", "lastSeenAt", "timestamp", "userId"]
    );
    assert_eq!(
        (&told["data"]["userId"], &told["data"]["isOnline"]),
        (&json!("bob"), &json!(true))
    );
    let mut second = house.daemon.listen(&token).await;
    let here = house.admin.get(path).await.expect(200).json;
    assert_eq!(
        (&here["isOnline"], &here["sessions"]),
        (&json!(true), &json!(2))
    );
    assert_timestamp(&here["lastSeenAt"]);
    // Each of them gets every event.
    let body = json!({ "to": { "userId": "bob" }, "body": "Hi" });
    let message = send(&house.admin, body).await.expect(201).json;
    for socket in [&mut first, &mut second] {
        assert_eq!(socket.next().await["data"]["message"], message);
    }
    for kind in ["new_message", "conversation_update"] {
        assert_eq!(house.office.next().await["type"], kind);
    }
    first.close().await;
    until("the first end", async || {
        let here = house.admin.get(path).await.expect(200).json;
        (here["sessions"] == 1).then_some(())
    })
    .await;
    house.office.assert_nothing_received().await;
    second.close().await;
    let told = house.office.next().await;
    assert_eq!(told["type"], "presence");
    assert_eq!(told["data"]["isOnline"], false);
    let gone = house.admin.get(path).await.expect(200).json;
    assert_eq!(
        (&gone["isOnline"], &gone["sessions"]),
        (&json!(false), &json!(0))
    );
    assert_eq!(gone["lastSeenAt"], told["data"]["lastSeenAt"]);
    // It is remembered.
    let daemon = house.daemon.kill_and_restart().await;
    assert_eq!(daemon.local().get(path).await.expect(200).json, gone);
}

#[tokio::test]
async fn presence_is_told_to_who_shares_a_conversation_and_to_no_other() {
    let mut house = House::new().await;
    let token = person(&house.daemon, "bob").await;
    let body = json!({ "from": { "userId": "bob" }, "to": house.to_wall(), "body": "Hi" });
    let message = send(&house.admin, body).await.expect(201).json;
    house.tablet.next_of("conversation_update").await;
    let bob = house.daemon.listen(&token).await;
    for socket in [&mut house.tablet, &mut house.office] {
        let told = socket.next().await;
        assert_eq!(told["type"], "presence");
        assert_eq!(told["data"]["userId"], "bob");
    }
    house.user.assert_nothing_received().await;
    drop(bob);

    let typing = json!({ "conversationId": message["conversationId"], "isTyping": true });
    house.office.next_of("presence").await;
    house.tablet.next_of("presence").await;
    let mut bob = house.daemon.listen(&token).await;
    house.tablet.next_of("presence").await;
    house.office.next_of("presence").await;
    bob.send(json!({ "type": "typing", "data": typing, "requestId": 1 }))
        .await;
    assert_eq!(bob.next_of("result").await["data"]["success"], true);
    let told = house.tablet.next().await;
    let expected = json!({
        "conversationId": message["conversationId"], "from": { "userId": "bob" },
        "isTyping": true, "timestamp": told["data"]["timestamp"],
    });
    assert_eq!(
        (&told["type"], &told["data"]),
        (&json!("typing"), &expected)
    );
    assert!(told["id"].is_null(), "typing is ephemeral");
    bob.assert_nothing_received().await;
    house.assert_nothing_received().await;
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
        house
            .user
            .send(json!({ "type": "typing", "data": data, "requestId": 1 }))
            .await;
        assert_eq!(house.user.next_of("result").await["data"]["code"], code);
    }
    house.tablet.assert_nothing_received().await;
}

#[tokio::test]
async fn typing_to_the_admins_reaches_every_admin() {
    let mut house = House::new().await;
    let message = send(&house.ann(), json!({ "body": "Hi" }))
        .await
        .expect(201)
        .json;
    house.office.next_of("conversation_update").await;
    let typing = json!({ "conversationId": message["conversationId"], "isTyping": false });
    house
        .user
        .send(json!({ "type": "typing", "data": typing }))
        .await;
    let told = house.office.next().await;
    assert_eq!(
        (&told["type"], &told["data"]["isTyping"]),
        (&json!("typing"), &json!(false))
    );
}

#[tokio::test]
async fn disconnecting_a_person_ends_its_sessions_and_lets_it_come_back() {
    let mut house = House::new().await;
    let path = "/api/users/ann/disconnect";
    for api in [house.wall(), house.ann()] {
        assert_eq!(api.post(path, json!({})).await.refused(403), "forbidden");
    }
    let mut second = house.daemon.listen(&house.user_token).await;
    let answer = house
        .admin
        .post(path, json!({ "reason": "logout" }))
        .await
        .expect(200);
    assert_eq!(answer.json, json!({ "success": true, "disconnected": 2 }));
    for socket in [&mut house.user, &mut second] {
        assert_eq!(socket.closed().await, (4000, "try_again".to_owned()));
    }
    assert_eq!(
        house.office.next_of("presence").await["data"]["isOnline"],
        false
    );
    house.tablet.assert_nothing_received().await;
    house.daemon.listen(&house.user_token).await;
    let audit = house.admin.get("/api/audit").await.expect(200).json;
    let entry = &audit["entries"][0];
    assert_eq!(
        (
            text(entry, "action"),
            text(entry, "target"),
            text(entry, "detail")
        ),
        ("user.disconnect", "ann", "logout")
    );
    let none = house
        .admin
        .post("/api/users/nobody/disconnect", json!({}))
        .await
        .expect(200);
    assert_eq!(none.json["disconnected"], 0);
}

#[tokio::test]
async fn a_person_sees_itself_and_nobody_else() {
    let house = House::new().await;
    let own = house.ann().get("/api/users/ann").await.expect(200).json;
    assert_eq!(
        (&own["isOnline"], &own["sessions"]),
        (&json!(true), &json!(1))
    );
    for path in ["/api/users/bob", "/api/users/nobody"] {
        for api in [house.ann(), house.wall()] {
            assert_eq!(api.get(path).await.refused(403), "forbidden");
        }
    }
    assert_eq!(
        house.admin.get("/api/users/a%20b").await.refused(404),
        "not_found"
    );
}
