//! Messages and conversations over HTTP: their shapes, who may write to whom, and who hears of it
//! (contract 6.5 and section 5, seed 4).

use serde_json::{Value, json};

use crate::support::{Answer, Api, Daemon, Socket, assert_timestamp, keys};

/// A daemon with an admin, a tablet and a person, each with a socket past its first words.
pub struct House {
    pub daemon: Daemon,
    pub admin: Api,
    pub office: Socket,
    pub wall: String,
    pub wall_token: String,
    pub tablet: Socket,
    pub user_token: String,
    pub user: Socket,
}

impl House {
    pub async fn new() -> Self {
        let daemon = Daemon::with(&[("MESSAGES_PER_SECOND", "1000")]).await;
        let admin_token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
        let wall = daemon.pair("Wall", &[]).await;
        let user_token = person(&daemon, "ann").await;
        let mut office = daemon.listen(text(&admin_token, "token")).await;
        let tablet = daemon.listen(&wall.token).await;
        office.next_of("client_online").await;
        let user = daemon.listen(&user_token).await;
        office.next_of("presence").await;
        Self {
            admin: daemon.api_of(&admin_token),
            office,
            wall: wall.id,
            wall_token: wall.token,
            tablet,
            user_token,
            user,
            daemon,
        }
    }

    pub fn wall(&self) -> Api {
        self.daemon.api(&self.wall_token)
    }

    pub fn ann(&self) -> Api {
        self.daemon.api(&self.user_token)
    }

    pub fn to_wall(&self) -> Value {
        json!({ "clientId": self.wall })
    }

    /// An admin's message, which everybody concerned has heard of.
    pub async fn send(&mut self, to: &Value, body: &str) -> Value {
        let sent = send(&self.admin, json!({ "to": to, "body": body })).await;
        let message = sent.expect(201).json;
        self.office.next_of("conversation_update").await;
        let hears = match to["userId"].is_string() {
            true => &mut self.user,
            false => &mut self.tablet,
        };
        hears.next_of("conversation_update").await;
        message
    }

    pub async fn assert_nothing_received(&mut self) {
        for socket in [&mut self.office, &mut self.tablet, &mut self.user] {
            socket.assert_nothing_received().await;
        }
    }
}

/// A person's token.
pub async fn person(daemon: &Daemon, id: &str) -> String {
    let wanted = json!({ "role": "user", "name": id, "subject": id });
    text(&daemon.token(wanted).await, "token").to_owned()
}

pub async fn send(api: &Api, body: Value) -> Answer {
    api.post("/api/messages", body).await
}

pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().expect("a text")
}

pub async fn patch(api: &Api, message: &Value, status: &str) -> Answer {
    let path = format!("/api/messages/{}", text(message, "id"));
    api.patch(&path, json!({ "status": status })).await
}

async fn list<const N: usize>(api: &Api, path: &str) -> [Value; N] {
    let answer = api.get(path).await.expect(200).json;
    let plural = if path.ends_with("conversations") {
        "conversations"
    } else {
        "messages"
    };
    let list = answer[plural].as_array().expect("a list").clone();
    list.try_into().unwrap_or_else(|list| panic!("{list:?}"))
}

#[tokio::test]
async fn a_message_has_the_shape_of_the_contract_and_both_sides_hear_of_it() {
    let mut house = House::new().await;
    let body = json!({ "to": house.to_wall(), "body": "Dinner!", "level": "warning" });
    let message = send(&house.admin, body).await.expect(201).json;
    let (id, conversation) = (text(&message, "id"), text(&message, "conversationId"));
    assert!(id.starts_with("message_") && conversation.starts_with("conversation_"));
    assert_timestamp(&message["createdAt"]);
    let expected = json!({
        "id": id, "conversationId": conversation,
        "from": { "admin": true }, "to": { "clientId": house.wall },
        "platform": "wallcast", "body": "Dinner!", "level": "warning", "status": "sent",
        "createdAt": message["createdAt"],
    });
    assert_eq!(message, expected);

    let wall = house.wall.clone();
    let seen = |unread: usize| {
        json!({
            "id": conversation, "platform": "wallcast", "unread": unread,
            "participants": [{ "admin": true }, { "clientId": wall }],
            "lastMessage": message, "updatedAt": message["createdAt"],
        })
    };
    let at = &message["createdAt"];
    let tablets = [
        (
            "new_message",
            json!({ "message": message, "conversation": seen(1), "timestamp": at }),
        ),
        (
            "unread_count_update",
            json!({ "unreadCounts": { "wallcast": 1 }, "totalUnread": 1, "timestamp": at }),
        ),
        (
            "conversation_update",
            json!({ "conversation": seen(1), "timestamp": at }),
        ),
    ];
    for (kind, data) in tablets {
        let told = house.tablet.next().await;
        assert_eq!((&told["type"], &told["data"]), (&json!(kind), &data));
        assert!(told["id"].is_i64(), "{kind} is durable");
    }
    for (kind, data) in [
        (
            "new_message",
            json!({ "message": message, "conversation": seen(0), "timestamp": at }),
        ),
        (
            "conversation_update",
            json!({ "conversation": seen(0), "timestamp": at }),
        ),
    ] {
        let told = house.office.next().await;
        assert_eq!((&told["type"], &told["data"]), (&json!(kind), &data));
    }
    house.assert_nothing_received().await;

    for api in [&house.wall(), &house.admin] {
        let [only] = list(api, "/api/messages").await;
        assert_eq!(only, message);
    }
    let []: [Value; 0] = list(&house.ann(), "/api/messages").await;
    assert_eq!(list(&house.wall(), "/api/conversations").await, [seen(1)]);
    assert_eq!(list(&house.admin, "/api/conversations").await, [seen(0)]);
    let inside = format!("/api/conversations/{conversation}/messages");
    assert_eq!(list(&house.wall(), &inside).await, [message]);
}

#[tokio::test]
async fn delivered_and_read_are_told_to_both_sides_and_never_go_back() {
    let mut house = House::new().await;
    let to = house.to_wall();
    let message = house.send(&to, "Dinner!").await;
    for status in ["delivered", "read"] {
        let changed = patch(&house.wall(), &message, status).await.expect(200);
        assert_eq!(changed.json["status"], status);
        for socket in [&mut house.tablet, &mut house.office] {
            let told = socket.next().await;
            let expected = json!({
                "messageId": message["id"], "conversationId": message["conversationId"],
                "status": status, "timestamp": told["data"]["timestamp"],
            });
            assert_eq!(told["type"], "message_status_update");
            assert_eq!(told["data"], expected);
            assert!(told["id"].is_i64());
        }
    }
    // Reading changes what is unread, and that is the reader's own.
    let told = house.tablet.next().await;
    assert_eq!(told["type"], "unread_count_update");
    assert_eq!(told["data"]["unreadCounts"], json!({ "wallcast": 0 }));
    assert_eq!(told["data"]["totalUnread"], 0);
    let told = house.tablet.next().await;
    assert_eq!(told["type"], "conversation_update");
    assert_eq!(told["data"]["conversation"]["unread"], 0);
    for status in ["delivered", "read"] {
        let same = patch(&house.wall(), &message, status).await.expect(200);
        assert_eq!(same.json["status"], "read");
    }
    house.assert_nothing_received().await;
}

#[tokio::test]
async fn unread_messages_are_counted_by_platform_for_each_side() {
    let mut house = House::new().await;
    let ann = json!({ "userId": "ann" });
    for (platform, n) in [("slack", 2), ("WhatsApp", 1)] {
        for _ in 0..n {
            let body = json!({ "to": ann, "platform": platform, "body": "Hello" });
            let message = send(&house.admin, body).await.expect(201).json;
            assert_eq!(message["platform"], platform);
        }
    }
    let unread = house.ann().get("/api/messages/unread").await.expect(200);
    let expected = json!({
        "unreadCounts": { "slack": 2, "WhatsApp": 1, "wallcast": 0 }, "totalUnread": 3,
    });
    assert_eq!(unread.json, expected);
    for _ in 0..2 {
        house.user.next_of("unread_count_update").await;
    }
    let told = house.user.next_of("unread_count_update").await;
    assert_eq!(told["data"]["unreadCounts"], expected["unreadCounts"]);
    assert_eq!(
        keys(&told["data"]),
        ["timestamp", "totalUnread", "unreadCounts"]
    );

    let [one, two] = list(&house.ann(), "/api/conversations").await;
    assert_eq!(
        (&one["platform"], &one["unread"]),
        (&json!("WhatsApp"), &json!(1))
    );
    assert_eq!(
        (&two["platform"], &two["unread"]),
        (&json!("slack"), &json!(2))
    );
    let [first, ..] = list::<3>(&house.ann(), "/api/messages").await;
    patch(&house.ann(), &first, "read").await.expect(200);
    let unread = house
        .ann()
        .get("/api/messages/unread")
        .await
        .expect(200)
        .json;
    assert_eq!(unread["totalUnread"], 2);

    // The admins are one side, which counts its own.
    send(&house.ann(), json!({ "to": "admin", "body": "Hi" }))
        .await
        .expect(201);
    let unread = house
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
async fn tablets_and_people_write_to_the_admins_and_within_their_conversations() {
    let mut house = House::new().await;
    for to in [
        json!("admin"),
        json!({ "admin": true }),
        json!({ "userId": "admin" }),
        json!(null),
    ] {
        for api in [house.wall(), house.ann()] {
            let sent = send(&api, json!({ "to": to, "body": "Hello" }))
                .await
                .expect(201);
            assert_eq!(sent.json["to"], json!({ "admin": true }), "{to}");
        }
    }
    let told = house.office.next_of("new_message").await;
    assert_eq!(
        told["data"]["message"]["from"],
        json!({ "clientId": house.wall })
    );
    assert_eq!(told["data"]["conversation"]["unread"], 1);
    // A person's word that another platform brought opens a conversation of the two.
    let brought = json!({ "from": { "userId": "ann" }, "to": house.to_wall(), "body": "Hi",
        "platform": "slack" });
    let message = send(&house.admin, brought).await.expect(201).json;
    assert_eq!(message["from"], json!({ "userId": "ann" }));
    let is_told = async |house: &mut House| {
        while house.tablet.next_of("new_message").await["data"]["message"] != message {}
    };
    is_told(&mut house).await;
    let reply = json!({ "conversationId": message["conversationId"], "body": "Hi, Ann" });
    let reply = send(&house.wall(), reply).await.expect(201).json;
    assert_eq!(
        (&reply["to"], &reply["platform"]),
        (&json!({ "userId": "ann" }), &json!("slack"))
    );
    let again = json!({ "to": house.to_wall(), "platform": "slack", "body": "Bye" });
    let again = send(&house.ann(), again).await.expect(201).json;
    assert_eq!(again["conversationId"], message["conversationId"]);
}

#[tokio::test]
async fn whoever_asks_for_more_is_refused_and_learns_of_nothing() {
    let mut house = House::new().await;
    let to = house.to_wall();
    let message = house.send(&to, "For the wall").await;
    let conversation = message["conversationId"].clone();
    let bob = house.daemon.api(&person(&house.daemon, "bob").await);
    let none = json!({ "id": "message_none" });
    for (api, body) in [
        (&house.ann(), json!({ "to": to, "body": "x" })),
        (
            &house.ann(),
            json!({ "to": { "clientId": "client_none" }, "body": "x" }),
        ),
        (
            &house.ann(),
            json!({ "to": { "userId": "bob" }, "body": "x" }),
        ),
        (&house.ann(), json!({ "to": { "all": true }, "body": "x" })),
        (
            &house.ann(),
            json!({ "to": "admin", "platform": "slack", "body": "x" }),
        ),
        (
            &house.ann(),
            json!({ "conversationId": conversation, "body": "x" }),
        ),
        (
            &house.ann(),
            json!({ "conversationId": "conversation_none", "body": "x" }),
        ),
        (
            &house.ann(),
            json!({ "from": { "userId": "bob" }, "to": "admin", "body": "x" }),
        ),
        (
            &house.wall(),
            json!({ "to": { "userId": "ann" }, "body": "x" }),
        ),
        (&house.wall(), json!({ "to": { "all": true }, "body": "x" })),
    ] {
        assert_eq!(send(api, body).await.refused(403), "forbidden");
    }
    // The sender of a message cannot read it for its recipient, nor can a stranger.
    for api in [&house.ann(), &bob] {
        for message in [&message, &none] {
            assert_eq!(patch(api, message, "read").await.refused(403), "forbidden");
        }
        for id in [text(&message, "conversationId"), "conversation_none", "a b"] {
            let path = format!("/api/conversations/{}/messages", id.replace(' ', "%20"));
            assert_eq!(api.get(&path).await.refused(403), "forbidden");
        }
    }
    let own = send(&house.wall(), json!({ "body": "Hi" }))
        .await
        .expect(201)
        .json;
    assert_eq!(
        patch(&house.wall(), &own, "read").await.refused(403),
        "forbidden"
    );
    assert_eq!(
        patch(&house.admin, &none, "read").await.refused(404),
        "not_found"
    );
    let path = "/api/conversations/conversation_none/messages";
    assert_eq!(house.admin.get(path).await.refused(404), "not_found");
    house.user.assert_nothing_received().await;
    let asked = house
        .daemon
        .unauthenticated()
        .post("/api/pairing/requests", json!({}))
        .await;
    let waiting = house
        .daemon
        .api(text(&asked.expect(201).json, "pairingToken"));
    for path in [
        "/api/messages",
        "/api/conversations",
        "/api/messages/unread",
        "/api/users/ann",
    ] {
        assert_eq!(waiting.get(path).await.refused(403), "forbidden");
        assert_eq!(house.daemon.unauthenticated().get(path).await.status, 401);
    }
}

#[tokio::test]
async fn fields_out_of_bounds_are_named_and_nothing_is_sent() {
    let mut house = House::new().await;
    let to = house.to_wall();
    let message = house.send(&to, "x").await;
    let table = [
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
    for (field, body) in table {
        let answer = send(&house.admin, body.clone()).await;
        assert_eq!(answer.json["field"], field, "{body}");
        assert_eq!(answer.refused(422), "invalid_field");
    }
    for status in [json!("sent"), json!("lost"), json!(7), json!(null)] {
        let path = format!("/api/messages/{}", text(&message, "id"));
        let answer = house.wall().patch(&path, json!({ "status": status })).await;
        assert_eq!(answer.json["field"], "status");
        assert_eq!(answer.refused(422), "invalid_field");
    }
    house.assert_nothing_received().await;
    assert_eq!(list(&house.admin, "/api/messages").await, [message]);
}

#[tokio::test]
async fn a_message_to_all_reaches_everyone_and_each_reads_it_alone() {
    let mut house = House::new().await;
    let body = json!({ "to": { "all": true }, "body": "Fire drill" });
    let message = send(&house.admin, body).await.expect(201).json;
    assert_eq!(message["to"], json!({ "all": true }));
    for socket in [&mut house.tablet, &mut house.user, &mut house.office] {
        let told = socket.next().await;
        assert_eq!(told["type"], "new_message");
        assert_eq!(told["data"]["message"], message);
    }
    assert_eq!(house.office.next().await["type"], "conversation_update");
    // Each has a count of its own, which is told to who is here.
    for socket in [&mut house.tablet, &mut house.user] {
        let told = socket.next().await;
        let expected = json!({
            "unreadCounts": { "wallcast": 1 }, "totalUnread": 1,
            "timestamp": told["data"]["timestamp"],
        });
        assert_eq!(
            (&told["type"], &told["data"], &told["id"]),
            (&json!("unread_count_update"), &expected, &json!(null))
        );
    }
    let late = house.daemon.api(&person(&house.daemon, "late").await);
    for api in [house.wall(), house.ann()] {
        let unread = api.get("/api/messages/unread").await.expect(200).json;
        assert_eq!(unread["totalUnread"], 1);
        let [conversation] = list(&api, "/api/conversations").await;
        assert_eq!(conversation["unread"], 1);
        assert_eq!(
            conversation["participants"],
            json!([{ "admin": true }, { "all": true }])
        );
    }
    patch(&house.ann(), &message, "read").await.expect(200);
    for socket in [&mut house.user, &mut house.office] {
        let told = socket.next().await;
        assert_eq!(told["type"], "message_status_update");
        assert_eq!(told["data"]["status"], "read");
    }
    assert_eq!(house.user.next().await["data"]["totalUnread"], 0);
    assert_eq!(house.user.next().await["type"], "conversation_update");
    // What one reads is no news to another, and stays unread with it.
    house.assert_nothing_received().await;
    let unread = house
        .wall()
        .get("/api/messages/unread")
        .await
        .expect(200)
        .json;
    assert_eq!(unread["totalUnread"], 1);
    assert_eq!(
        list::<1>(&house.wall(), "/api/messages").await[0]["status"],
        "sent"
    );
    assert_eq!(
        list::<1>(&house.ann(), "/api/messages").await[0]["status"],
        "read"
    );
    assert_eq!(
        list::<1>(&house.admin, "/api/messages").await[0]["status"],
        "read"
    );
    patch(&house.wall(), &message, "delivered")
        .await
        .expect(200);
    assert_eq!(house.tablet.next().await["data"]["status"], "delivered");
    house.assert_nothing_received().await;
    let reply = json!({ "conversationId": message["conversationId"], "body": "x" });
    assert_eq!(send(&late, reply).await.refused(403), "forbidden");
}

#[tokio::test]
async fn lists_go_by_pages_newest_first() {
    let house = House::new().await;
    for n in 0..5 {
        let to = json!({ "userId": format!("user-{}", n % 3) });
        let body = json!({ "to": to, "body": n.to_string() });
        send(&house.admin, body).await.expect(201);
    }
    for (path, plural, expected) in [
        (
            "/api/messages",
            "messages",
            ["4", "3", "2", "1", "0"].as_slice(),
        ),
        ("/api/conversations", "conversations", &["4", "3", "2"]),
    ] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = house
                .admin
                .get(&format!("{path}?limit=2&cursor={cursor}"))
                .await;
            let page = page.expect(200).json;
            for thing in page[plural].as_array().unwrap() {
                let message = if thing["body"].is_string() {
                    thing
                } else {
                    &thing["lastMessage"]
                };
                seen.push(text(message, "body").to_owned());
            }
            match page["nextCursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(seen, expected, "{path}");
    }
}

#[tokio::test]
async fn what_admins_do_is_audited_and_what_others_say_is_not() {
    let mut house = House::new().await;
    let to = house.to_wall();
    let message = house.send(&to, "A secret").await;
    patch(&house.admin, &message, "delivered").await.expect(200);
    send(&house.wall(), json!({ "body": "Hi" }))
        .await
        .expect(201);
    patch(&house.wall(), &message, "read").await.expect(200);
    let audit = house.admin.get("/api/audit").await.expect(200);
    assert!(!audit.text.contains("A secret"), "{}", audit.text);
    let entries = audit.json["entries"].as_array().unwrap().clone();
    let about: Vec<_> = entries
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
    let detail = format!("admin to client:{} on wallcast", house.wall);
    assert_eq!(
        about,
        [
            ("message.status", id, "delivered"),
            ("message.send", id, &detail)
        ]
    );
}
