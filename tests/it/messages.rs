//! Messages and conversations over HTTP: their JSON fields, who may write to whom, and which
//! sessions receive the events. See docs/protocol.md#messages.

use serde_json::{Value, json};

use crate::support::{Answer, Api, Daemon, Socket, assert_timestamp, keys};

/// A daemon with an admin, a tablet and the user `ann`. Each has an open socket whose welcome has
/// been read.
pub struct MessageFixture {
    pub daemon: Daemon,
    pub admin: Api,
    pub admin_socket: Socket,
    pub tablet_id: String,
    pub tablet_token: String,
    pub tablet_socket: Socket,
    pub user_token: String,
    pub user_socket: Socket,
}

impl MessageFixture {
    pub async fn new() -> Self {
        let daemon = Daemon::with(&[("MESSAGES_PER_SECOND", "1000")]).await;
        let admin_token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
        let tablet = daemon.pair("Wall", &[]).await;
        let user_token = issue_user_token(&daemon, "ann").await;
        let mut admin_socket = daemon.listen(text(&admin_token, "token")).await;
        let tablet_socket = daemon.listen(&tablet.token).await;
        admin_socket.next_of("client_online").await;
        let user_socket = daemon.listen(&user_token).await;
        admin_socket.next_of("presence").await;
        Self {
            admin: daemon.api_of(&admin_token),
            admin_socket,
            tablet_id: tablet.id,
            tablet_token: tablet.token,
            tablet_socket,
            user_token,
            user_socket,
            daemon,
        }
    }

    pub fn tablet_api(&self) -> Api {
        self.daemon.api(&self.tablet_token)
    }

    pub fn user_api(&self) -> Api {
        self.daemon.api(&self.user_token)
    }

    pub fn to_tablet(&self) -> Value {
        json!({ "clientId": self.tablet_id })
    }

    /// Sends a message as admin, and reads the events it causes from the sender's and the
    /// recipient's sockets.
    pub async fn send(&mut self, to: &Value, body: &str) -> Value {
        let sent = post_message(&self.admin, json!({ "to": to, "body": body })).await;
        let message = sent.expect(201).json;
        self.admin_socket.next_of("conversation_update").await;
        let recipient = match to["userId"].is_string() {
            true => &mut self.user_socket,
            false => &mut self.tablet_socket,
        };
        recipient.next_of("conversation_update").await;
        message
    }

    /// Asserts that no socket has an unread event.
    pub async fn assert_no_events(&mut self) {
        for socket in [
            &mut self.admin_socket,
            &mut self.tablet_socket,
            &mut self.user_socket,
        ] {
            socket.assert_nothing_received().await;
        }
    }
}

pub async fn issue_user_token(daemon: &Daemon, id: &str) -> String {
    let body = json!({ "role": "user", "name": id, "subject": id });
    text(&daemon.token(body).await, "token").to_owned()
}

pub async fn post_message(api: &Api, body: Value) -> Answer {
    api.post("/api/messages", body).await
}

pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().expect("a string")
}

pub async fn patch_status(api: &Api, message: &Value, status: &str) -> Answer {
    let path = format!("/api/messages/{}", text(message, "id"));
    api.patch(&path, json!({ "status": status })).await
}

async fn list<const N: usize>(api: &Api, path: &str) -> [Value; N] {
    let answer = api.get(path).await.expect(200).json;
    let key = if path.ends_with("conversations") {
        "conversations"
    } else {
        "messages"
    };
    let list = answer[key].as_array().expect("a list").clone();
    list.try_into().unwrap_or_else(|list| panic!("{list:?}"))
}

#[tokio::test]
async fn sent_message_is_published_to_sender_and_recipient() {
    let mut fixture = MessageFixture::new().await;
    let body = json!({ "to": fixture.to_tablet(), "body": "Dinner!", "level": "warning" });
    let message = post_message(&fixture.admin, body).await.expect(201).json;
    let (id, conversation) = (text(&message, "id"), text(&message, "conversationId"));
    assert!(id.starts_with("message_") && conversation.starts_with("conversation_"));
    assert_timestamp(&message["createdAt"]);
    let expected = json!({
        "id": id, "conversationId": conversation,
        "from": { "admin": true }, "to": { "clientId": fixture.tablet_id },
        "platform": "wallcast", "body": "Dinner!", "level": "warning", "status": "sent",
        "createdAt": message["createdAt"],
    });
    assert_eq!(message, expected);

    let tablet_id = fixture.tablet_id.clone();
    let conversation_with = |unread: usize| {
        json!({
            "id": conversation, "platform": "wallcast", "unread": unread,
            "participants": [{ "admin": true }, { "clientId": tablet_id }],
            "lastMessage": message, "updatedAt": message["createdAt"],
        })
    };
    let at = &message["createdAt"];
    let at_tablet = [
        (
            "new_message",
            json!({ "message": message, "conversation": conversation_with(1), "timestamp": at }),
        ),
        (
            "unread_count_update",
            json!({ "unreadCounts": { "wallcast": 1 }, "totalUnread": 1, "timestamp": at }),
        ),
        (
            "conversation_update",
            json!({ "conversation": conversation_with(1), "timestamp": at }),
        ),
    ];
    for (event_type, data) in at_tablet {
        let event = fixture.tablet_socket.next().await;
        assert_eq!(
            (&event["type"], &event["data"]),
            (&json!(event_type), &data)
        );
        assert!(event["id"].is_i64(), "{event_type} is durable");
    }
    for (event_type, data) in [
        (
            "new_message",
            json!({ "message": message, "conversation": conversation_with(0), "timestamp": at }),
        ),
        (
            "conversation_update",
            json!({ "conversation": conversation_with(0), "timestamp": at }),
        ),
    ] {
        let event = fixture.admin_socket.next().await;
        assert_eq!(
            (&event["type"], &event["data"]),
            (&json!(event_type), &data)
        );
    }
    fixture.assert_no_events().await;

    for api in [&fixture.tablet_api(), &fixture.admin] {
        let [only] = list(api, "/api/messages").await;
        assert_eq!(only, message);
    }
    let []: [Value; 0] = list(&fixture.user_api(), "/api/messages").await;
    assert_eq!(
        list(&fixture.tablet_api(), "/api/conversations").await,
        [conversation_with(1)]
    );
    assert_eq!(
        list(&fixture.admin, "/api/conversations").await,
        [conversation_with(0)]
    );
    let path = format!("/api/conversations/{conversation}/messages");
    assert_eq!(list(&fixture.tablet_api(), &path).await, [message]);
}

#[tokio::test]
async fn status_changes_reach_both_sides_and_never_go_back() {
    let mut fixture = MessageFixture::new().await;
    let to = fixture.to_tablet();
    let message = fixture.send(&to, "Dinner!").await;
    for status in ["delivered", "read"] {
        let changed = patch_status(&fixture.tablet_api(), &message, status)
            .await
            .expect(200);
        assert_eq!(changed.json["status"], status);
        for socket in [&mut fixture.tablet_socket, &mut fixture.admin_socket] {
            let event = socket.next().await;
            let expected = json!({
                "messageId": message["id"], "conversationId": message["conversationId"],
                "status": status, "timestamp": event["data"]["timestamp"],
            });
            assert_eq!(event["type"], "message_status_update");
            assert_eq!(event["data"], expected);
            assert!(event["id"].is_i64());
        }
    }
    // Reading changes the unread count. Only the reader receives that.
    let event = fixture.tablet_socket.next().await;
    assert_eq!(event["type"], "unread_count_update");
    assert_eq!(event["data"]["unreadCounts"], json!({ "wallcast": 0 }));
    assert_eq!(event["data"]["totalUnread"], 0);
    let event = fixture.tablet_socket.next().await;
    assert_eq!(event["type"], "conversation_update");
    assert_eq!(event["data"]["conversation"]["unread"], 0);
    for status in ["delivered", "read"] {
        let same = patch_status(&fixture.tablet_api(), &message, status)
            .await
            .expect(200);
        assert_eq!(same.json["status"], "read");
    }
    fixture.assert_no_events().await;
}

#[tokio::test]
async fn unread_messages_are_counted_per_platform_and_side() {
    let mut fixture = MessageFixture::new().await;
    let ann = json!({ "userId": "ann" });
    for (platform, n) in [("slack", 2), ("WhatsApp", 1)] {
        for _ in 0..n {
            let body = json!({ "to": ann, "platform": platform, "body": "Hello" });
            let message = post_message(&fixture.admin, body).await.expect(201).json;
            assert_eq!(message["platform"], platform);
        }
    }
    let unread = fixture
        .user_api()
        .get("/api/messages/unread")
        .await
        .expect(200);
    let expected = json!({
        "unreadCounts": { "slack": 2, "WhatsApp": 1, "wallcast": 0 }, "totalUnread": 3,
    });
    assert_eq!(unread.json, expected);
    for _ in 0..2 {
        fixture.user_socket.next_of("unread_count_update").await;
    }
    let event = fixture.user_socket.next_of("unread_count_update").await;
    assert_eq!(event["data"]["unreadCounts"], expected["unreadCounts"]);
    assert_eq!(
        keys(&event["data"]),
        ["timestamp", "totalUnread", "unreadCounts"]
    );

    let [one, two] = list(&fixture.user_api(), "/api/conversations").await;
    assert_eq!(
        (&one["platform"], &one["unread"]),
        (&json!("WhatsApp"), &json!(1))
    );
    assert_eq!(
        (&two["platform"], &two["unread"]),
        (&json!("slack"), &json!(2))
    );
    let [first, ..] = list::<3>(&fixture.user_api(), "/api/messages").await;
    patch_status(&fixture.user_api(), &first, "read")
        .await
        .expect(200);
    let unread = fixture
        .user_api()
        .get("/api/messages/unread")
        .await
        .expect(200)
        .json;
    assert_eq!(unread["totalUnread"], 2);

    // All admins together are one side with one unread count.
    post_message(&fixture.user_api(), json!({ "to": "admin", "body": "Hi" }))
        .await
        .expect(201);
    let unread = fixture
        .admin
        .get("/api/messages/unread")
        .await
        .expect(200)
        .json;
    assert_eq!(
        unread,
        json!({ "unreadCounts": { "wallcast": 1 }, "totalUnread": 1 })
    );
}

#[tokio::test]
async fn clients_and_users_write_to_admins_and_own_conversations() {
    let mut fixture = MessageFixture::new().await;
    for to in [
        json!("admin"),
        json!({ "admin": true }),
        json!({ "userId": "admin" }),
        json!(null),
    ] {
        for api in [fixture.tablet_api(), fixture.user_api()] {
            let sent = post_message(&api, json!({ "to": to, "body": "Hello" }))
                .await
                .expect(201);
            assert_eq!(sent.json["to"], json!({ "admin": true }), "{to}");
        }
    }
    let event = fixture.admin_socket.next_of("new_message").await;
    assert_eq!(
        event["data"]["message"]["from"],
        json!({ "clientId": fixture.tablet_id })
    );
    assert_eq!(event["data"]["conversation"]["unread"], 1);
    // A message that came from another platform opens a conversation between its two parties.
    let from_slack = json!({ "from": { "userId": "ann" }, "to": fixture.to_tablet(), "body": "Hi",
        "platform": "slack" });
    let message = post_message(&fixture.admin, from_slack)
        .await
        .expect(201)
        .json;
    assert_eq!(message["from"], json!({ "userId": "ann" }));
    while fixture.tablet_socket.next_of("new_message").await["data"]["message"] != message {}
    let reply = json!({ "conversationId": message["conversationId"], "body": "Hi, Ann" });
    let reply = post_message(&fixture.tablet_api(), reply)
        .await
        .expect(201)
        .json;
    assert_eq!(
        (&reply["to"], &reply["platform"]),
        (&json!({ "userId": "ann" }), &json!("slack"))
    );
    let again = json!({ "to": fixture.to_tablet(), "platform": "slack", "body": "Bye" });
    let again = post_message(&fixture.user_api(), again)
        .await
        .expect(201)
        .json;
    assert_eq!(again["conversationId"], message["conversationId"]);
}

#[tokio::test]
async fn messaging_outside_own_conversations_is_refused_uniformly() {
    let mut fixture = MessageFixture::new().await;
    let to = fixture.to_tablet();
    let message = fixture.send(&to, "For the wall").await;
    let conversation = message["conversationId"].clone();
    let bob = fixture
        .daemon
        .api(&issue_user_token(&fixture.daemon, "bob").await);
    let none = json!({ "id": "message_none" });
    for (api, body) in [
        (&fixture.user_api(), json!({ "to": to, "body": "x" })),
        (
            &fixture.user_api(),
            json!({ "to": { "clientId": "client_none" }, "body": "x" }),
        ),
        (
            &fixture.user_api(),
            json!({ "to": { "userId": "bob" }, "body": "x" }),
        ),
        (
            &fixture.user_api(),
            json!({ "to": { "all": true }, "body": "x" }),
        ),
        (
            &fixture.user_api(),
            json!({ "to": "admin", "platform": "slack", "body": "x" }),
        ),
        (
            &fixture.user_api(),
            json!({ "conversationId": conversation, "body": "x" }),
        ),
        (
            &fixture.user_api(),
            json!({ "conversationId": "conversation_none", "body": "x" }),
        ),
        (
            &fixture.user_api(),
            json!({ "from": { "userId": "bob" }, "to": "admin", "body": "x" }),
        ),
        (
            &fixture.tablet_api(),
            json!({ "to": { "userId": "ann" }, "body": "x" }),
        ),
        (
            &fixture.tablet_api(),
            json!({ "to": { "all": true }, "body": "x" }),
        ),
    ] {
        assert_eq!(post_message(api, body).await.refused(403), "forbidden");
    }
    // Users outside a conversation get the same error whether or not the id exists.
    for api in [&fixture.user_api(), &bob] {
        for message in [&message, &none] {
            assert_eq!(
                patch_status(api, message, "read").await.refused(403),
                "forbidden"
            );
        }
        for id in [text(&message, "conversationId"), "conversation_none", "a b"] {
            let path = format!("/api/conversations/{}/messages", id.replace(' ', "%20"));
            assert_eq!(api.get(&path).await.refused(403), "forbidden");
        }
    }
    // A sender must not set the status of its own message.
    let own = post_message(&fixture.tablet_api(), json!({ "body": "Hi" }))
        .await
        .expect(201)
        .json;
    assert_eq!(
        patch_status(&fixture.tablet_api(), &own, "read")
            .await
            .refused(403),
        "forbidden"
    );
    assert_eq!(
        patch_status(&fixture.admin, &none, "read")
            .await
            .refused(404),
        "not_found"
    );
    let path = "/api/conversations/conversation_none/messages";
    assert_eq!(fixture.admin.get(path).await.refused(404), "not_found");
    fixture.user_socket.assert_nothing_received().await;
    let request = fixture
        .daemon
        .unauthenticated()
        .post("/api/pairing/requests", json!({}))
        .await;
    let pairing = fixture
        .daemon
        .api(text(&request.expect(201).json, "pairingToken"));
    for path in [
        "/api/messages",
        "/api/conversations",
        "/api/messages/unread",
        "/api/users/ann",
    ] {
        assert_eq!(pairing.get(path).await.refused(403), "forbidden");
        assert_eq!(fixture.daemon.unauthenticated().get(path).await.status, 401);
    }
}

#[tokio::test]
async fn invalid_message_fields_are_named_and_nothing_is_sent() {
    let mut fixture = MessageFixture::new().await;
    let to = fixture.to_tablet();
    let message = fixture.send(&to, "x").await;
    let invalid_bodies = [
        ("body", json!({ "to": to })),
        ("body", json!({ "to": to, "body": "" })),
        ("body", json!({ "to": to, "body": "  \n" })),
        ("body", json!({ "to": to, "body": "x".repeat(4001) })),
        ("body", json!({ "to": to, "body": "a\u{7}" })),
        ("body", json!({ "to": to, "body": 7 })),
        ("to", json!({ "body": "x" })),
        ("to", json!({ "to": "everybody", "body": "x" })),
        ("to", json!({ "to": {}, "body": "x" })),
        ("to", json!({ "to": { "all": false }, "body": "x" })),
        (
            "to",
            json!({ "to": { "userId": "u", "all": true }, "body": "x" }),
        ),
        ("to", json!({ "to": { "userId": "a b" }, "body": "x" })),
        (
            "to",
            json!({ "to": { "clientId": "client_none" }, "body": "x" }),
        ),
        ("to", json!({ "to": "admin", "body": "x" })),
        (
            "from",
            json!({ "from": { "all": true }, "to": to, "body": "x" }),
        ),
        (
            "from",
            json!({ "from": { "userId": "u" }, "to": { "all": true }, "body": "x" }),
        ),
        (
            "from",
            json!({ "from": { "clientId": "client_none" }, "to": to, "body": "x" }),
        ),
        (
            "platform",
            json!({ "to": to, "body": "x", "platform": "a b" }),
        ),
        (
            "platform",
            json!({ "to": to, "body": "x", "platform": "x".repeat(33) }),
        ),
        ("level", json!({ "to": to, "body": "x", "level": "" })),
        (
            "ttlSeconds",
            json!({ "to": to, "body": "x", "ttlSeconds": 0 }),
        ),
        (
            "ttlSeconds",
            json!({ "to": to, "body": "x", "ttlSeconds": 366 * 86_400 + 1 }),
        ),
        (
            "conversationId",
            json!({ "to": to, "body": "x", "conversationId": message["conversationId"] }),
        ),
    ];
    for (field, body) in invalid_bodies {
        let answer = post_message(&fixture.admin, body.clone()).await;
        assert_eq!(answer.json["field"], field, "{body}");
        assert_eq!(answer.refused(422), "invalid_field");
    }
    for status in [json!("sent"), json!("lost"), json!(7), json!(null)] {
        let path = format!("/api/messages/{}", text(&message, "id"));
        let answer = fixture
            .tablet_api()
            .patch(&path, json!({ "status": status }))
            .await;
        assert_eq!(answer.json["field"], "status");
        assert_eq!(answer.refused(422), "invalid_field");
    }
    fixture.assert_no_events().await;
    assert_eq!(list(&fixture.admin, "/api/messages").await, [message]);
}

#[tokio::test]
async fn message_to_all_has_read_state_per_recipient() {
    let mut fixture = MessageFixture::new().await;
    let body = json!({ "to": { "all": true }, "body": "Fire drill" });
    let message = post_message(&fixture.admin, body).await.expect(201).json;
    assert_eq!(message["to"], json!({ "all": true }));
    for socket in [
        &mut fixture.tablet_socket,
        &mut fixture.user_socket,
        &mut fixture.admin_socket,
    ] {
        let event = socket.next().await;
        assert_eq!(event["type"], "new_message");
        assert_eq!(event["data"]["message"], message);
    }
    assert_eq!(
        fixture.admin_socket.next().await["type"],
        "conversation_update"
    );
    // Each recipient has its own unread count, and receives it as an ephemeral event.
    for socket in [&mut fixture.tablet_socket, &mut fixture.user_socket] {
        let event = socket.next().await;
        let expected = json!({
            "unreadCounts": { "wallcast": 1 }, "totalUnread": 1,
            "timestamp": event["data"]["timestamp"],
        });
        assert_eq!(
            (&event["type"], &event["data"], &event["id"]),
            (&json!("unread_count_update"), &expected, &json!(null))
        );
    }
    let later_user = fixture
        .daemon
        .api(&issue_user_token(&fixture.daemon, "late").await);
    for api in [fixture.tablet_api(), fixture.user_api()] {
        let unread = api.get("/api/messages/unread").await.expect(200).json;
        assert_eq!(unread["totalUnread"], 1);
        let [conversation] = list(&api, "/api/conversations").await;
        assert_eq!(conversation["unread"], 1);
        assert_eq!(
            conversation["participants"],
            json!([{ "admin": true }, { "all": true }])
        );
    }
    patch_status(&fixture.user_api(), &message, "read")
        .await
        .expect(200);
    for socket in [&mut fixture.user_socket, &mut fixture.admin_socket] {
        let event = socket.next().await;
        assert_eq!(event["type"], "message_status_update");
        assert_eq!(event["data"]["status"], "read");
    }
    assert_eq!(fixture.user_socket.next().await["data"]["totalUnread"], 0);
    assert_eq!(
        fixture.user_socket.next().await["type"],
        "conversation_update"
    );
    // For the other recipients the message stays unread, and they receive no event.
    fixture.assert_no_events().await;
    let unread = fixture
        .tablet_api()
        .get("/api/messages/unread")
        .await
        .expect(200)
        .json;
    assert_eq!(unread["totalUnread"], 1);
    assert_eq!(
        list::<1>(&fixture.tablet_api(), "/api/messages").await[0]["status"],
        "sent"
    );
    assert_eq!(
        list::<1>(&fixture.user_api(), "/api/messages").await[0]["status"],
        "read"
    );
    assert_eq!(
        list::<1>(&fixture.admin, "/api/messages").await[0]["status"],
        "read"
    );
    patch_status(&fixture.tablet_api(), &message, "delivered")
        .await
        .expect(200);
    assert_eq!(
        fixture.tablet_socket.next().await["data"]["status"],
        "delivered"
    );
    fixture.assert_no_events().await;
    let reply = json!({ "conversationId": message["conversationId"], "body": "x" });
    assert_eq!(
        post_message(&later_user, reply).await.refused(403),
        "forbidden"
    );
}

#[tokio::test]
async fn message_and_conversation_lists_page_newest_first() {
    let fixture = MessageFixture::new().await;
    for n in 0..5 {
        let to = json!({ "userId": format!("user-{}", n % 3) });
        let body = json!({ "to": to, "body": n.to_string() });
        post_message(&fixture.admin, body).await.expect(201);
    }
    for (path, plural, expected) in [
        (
            "/api/messages",
            "messages",
            ["4", "3", "2", "1", "0"].as_slice(),
        ),
        ("/api/conversations", "conversations", &["4", "3", "2"]),
    ] {
        let (mut bodies, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = fixture
                .admin
                .get(&format!("{path}?limit=2&cursor={cursor}"))
                .await;
            let page = page.expect(200).json;
            for item in page[plural].as_array().unwrap() {
                let message = if item["body"].is_string() {
                    item
                } else {
                    &item["lastMessage"]
                };
                bodies.push(text(message, "body").to_owned());
            }
            match page["nextCursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(bodies, expected, "{path}");
    }
}

#[tokio::test]
async fn audit_lists_message_actions_of_admins_only() {
    let mut fixture = MessageFixture::new().await;
    let to = fixture.to_tablet();
    let message = fixture.send(&to, "A secret").await;
    patch_status(&fixture.admin, &message, "delivered")
        .await
        .expect(200);
    post_message(&fixture.tablet_api(), json!({ "body": "Hi" }))
        .await
        .expect(201);
    patch_status(&fixture.tablet_api(), &message, "read")
        .await
        .expect(200);
    let audit = fixture.admin.get("/api/audit").await.expect(200);
    assert!(!audit.text.contains("A secret"), "{}", audit.text);
    let entries = audit.json["entries"].as_array().unwrap().clone();
    let message_entries: Vec<_> = entries
        .iter()
        .filter(|entry| text(entry, "action").starts_with("message."))
        .map(|entry| {
            (
                text(entry, "action"),
                text(entry, "target"),
                text(entry, "detail"),
            )
        })
        .collect();
    let id = text(&message, "id");
    let detail = format!("admin to client:{} on wallcast", fixture.tablet_id);
    assert_eq!(
        message_entries,
        [
            ("message.status", id, "delivered"),
            ("message.send", id, &detail)
        ]
    );
}
