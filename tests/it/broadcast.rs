//! Broadcasts by an admin: types of its own, and who is told (contract section 5 and 6.4).

use serde_json::{Value, json};

use crate::support::{Answer, Api, Daemon, Socket, Tablet, assert_timestamp, keys};

const V1: &str = "/api/v1/websocket/broadcast";
const PLAIN: &str = "/api/websocket/broadcast";

/// Sends a broadcast of this audience and gives how many sessions it counted.
async fn tell(admin: &Api, audience: Value) -> u64 {
    let mut body = json!({ "type": "alarm", "data": { "audience": audience } });
    for (key, value) in audience.as_object().unwrap() {
        body[key] = value.clone();
    }
    counted(admin.post(PLAIN, body).await)
}

#[track_caller]
fn counted(answer: Answer) -> u64 {
    answer.expect(200).json["data"]["clients_count"]
        .as_u64()
        .unwrap()
}

/// Sockets of several principals in several namespaces, by a name.
struct House {
    daemon: Daemon,
    admin: Api,
    area: Value,
    wall: Tablet,
    sockets: Vec<(&'static str, Socket)>,
}

impl House {
    async fn new() -> Self {
        let daemon = Daemon::with(&[("HEARTBEAT_SECONDS", "3600")]).await;
        let admin = daemon.local();
        let body = json!({ "name": "Kitchen" });
        let area = admin.post("/api/areas", body).await.expect(201).json;
        let wall = daemon.pair("Wall", &[area["id"].as_str().unwrap()]).await;
        let hall = daemon.pair("Hall", &[]).await;
        let people = [
            json!({ "role": "user", "name": "a", "subject": "ann", "organizationId": "o1", "tenantId": "t1" }),
            json!({ "role": "user", "name": "b", "subject": "bob", "organizationId": "o2", "tenantId": "t1" }),
        ];
        let mut tokens = Vec::new();
        for person in people {
            let token = daemon.token(person).await["token"].take();
            tokens.push(token.as_str().unwrap().to_owned());
        }
        let table = [
            ("wall", "/ws", &wall.token),
            ("wall lockers", "/ws/lockers", &wall.token),
            ("hall", "/", &hall.token),
            ("hall lockers", "/ws/lockers", &hall.token),
            ("ann", "/ws", &tokens[0]),
            ("ann help", "/ws/help", &tokens[0]),
            ("bob", "/ws", &tokens[1]),
        ];
        let mut sockets = Vec::new();
        for (name, path, token) in table {
            let mut socket = Socket::open(&daemon, path, Some(token)).await.unwrap();
            assert_eq!(socket.next().await["type"], "connection");
            sockets.push((name, socket));
        }
        Self {
            daemon,
            admin,
            area,
            wall,
            sockets,
        }
    }

    /// Asserts that these and nobody else hear a broadcast of this audience.
    async fn heard_by(&mut self, audience: Value, names: &[&str]) {
        let count = tell(&self.admin, audience.clone()).await;
        for (name, socket) in &mut self.sockets {
            if names.contains(name) {
                let event = socket.next().await;
                assert_eq!(event["type"], "alarm", "{name}: {event}");
                assert_eq!(event["data"], json!({ "audience": audience }), "{name}");
                assert!(event["id"].is_i64(), "it is durable: {event}");
            }
            socket.assert_nothing_received().await;
        }
        assert_eq!(count, names.len() as u64, "{audience}");
    }
}

#[tokio::test]
async fn a_broadcast_reaches_whom_it_names_and_nobody_else() {
    let mut house = House::new().await;
    let (_, wall) = &mut house.sockets[0];
    let kiosk = json!({ "type": "join_room", "room": house.wall.id });
    assert_eq!(wall.ask(kiosk.clone()).await["type"], "room_joined");
    let (_, lockers) = &mut house.sockets[1];
    assert_eq!(lockers.ask(kiosk).await["type"], "room_joined");

    let all = [
        "wall",
        "wall lockers",
        "hall",
        "hall lockers",
        "ann",
        "ann help",
        "bob",
    ];
    let own = ["wall", "wall lockers"];
    let (area, number, wall) = (
        house.area["id"].clone(),
        house.area["roomId"].clone(),
        house.wall.id.clone(),
    );
    let table: [(Value, &[&str]); 17] = [
        (json!({}), &all),
        (json!({ "clientId": null, "namespace": null }), &all),
        (json!({ "clientId": wall }), &own),
        (json!({ "client_id": wall }), &own),
        (json!({ "userId": "ann" }), &["ann", "ann help"]),
        (json!({ "userId": "nobody" }), &[]),
        (json!({ "room_id": number }), &own),
        (json!({ "roomId": area }), &own),
        (json!({ "organizationId": "o1" }), &["ann", "ann help"]),
        (json!({ "tenantId": "t1" }), &["ann", "ann help", "bob"]),
        (
            json!({ "organizationId": "o2", "tenantId": "t1" }),
            &["bob"],
        ),
        (json!({ "organizationId": "o2", "tenantId": "t2" }), &[]),
        (
            json!({ "namespace": "/ws/lockers" }),
            &["wall lockers", "hall lockers"],
        ),
        (json!({ "namespace": "/ws/events" }), &[]),
        (json!({ "namespace": "/" }), &["wall", "hall", "ann", "bob"]),
        (
            json!({ "namespace": "/ws/lockers", "room": wall }),
            &["wall lockers"],
        ),
        (json!({ "room": wall }), &["wall"]),
    ];
    for (audience, names) in table {
        house.heard_by(audience, names).await;
    }
}

#[tokio::test]
async fn a_broadcast_is_answered_in_seed_1s_words_and_kept_in_the_audit() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let mut socket = daemon.listen(&tablet.token).await;
    let data = json!({
        "message": "System maintenance scheduled",
        "level": "warning",
        "expires_at": "2025-07-16T22:00:00Z",
    });
    for (path, key) in [(V1, "type"), (PLAIN, "type"), (PLAIN, "event")] {
        let body = json!({ key: "custom_notification", "data": data });
        let answer = admin.post(path, body).await.expect(200).json;
        let expected = json!({
            "success": true,
            "data": {
                "message": "Message broadcasted successfully",
                "clients_count": 1,
                "message_type": "custom_notification",
            },
            "timestamp": answer["timestamp"],
        });
        assert_eq!(answer, expected);
        assert_timestamp(&answer["timestamp"]);
        let event = socket.next().await;
        assert_eq!(keys(&event), ["data", "id", "timestamp", "type"]);
        assert_eq!(event["type"], "custom_notification");
        assert_eq!(event["data"], data);
        let audit = admin.get("/api/audit?limit=1").await.expect(200).json;
        let entry = &audit["entries"][0];
        assert_eq!(
            (&entry["action"], &entry["target"], &entry["detail"]),
            (
                &json!("event.broadcast"),
                &json!("all"),
                &json!("custom_notification")
            )
        );
    }
}

#[tokio::test]
async fn seed_2s_types_are_told_as_manual() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let token = daemon
        .token(json!({ "role": "user", "name": "x", "organizationId": "org-456" }))
        .await;
    let token = token["token"].as_str().unwrap();
    let mut user = daemon.listen(token).await;
    let office = daemon.token(json!({ "role": "admin", "name": "o" })).await;
    let mut office = daemon.listen(office["token"].as_str().unwrap()).await;
    assert_eq!(office.ask(json!({ "type": "ping" })).await["type"], "pong");
    for kind in ["service-update", "incident-update", "status-update"] {
        let body = json!({ "type": kind, "data": { "id": 7 }, "organizationId": "org-456" });
        assert_eq!(counted(admin.post(PLAIN, body).await), 2);
        let event = user.next().await;
        assert_eq!(event["type"], kind);
        assert_eq!(keys(&event["data"]), ["data", "timestamp", "type"]);
        assert_eq!(event["data"]["type"], "manual");
        assert_eq!(event["data"]["data"], json!({ "id": 7 }));
        assert_timestamp(&event["data"]["timestamp"]);
        // Admins hear of every board (contract section 5).
        assert_eq!(office.next().await["data"], event["data"]);
        let body = json!({ "event": kind, "data": {}, "namespace": "/ws/lockers" });
        let answer = admin.post(PLAIN, body).await;
        assert_eq!(answer.refused(422), "invalid_field");
    }
    user.assert_nothing_received().await;
}

#[tokio::test]
async fn what_a_broadcast_may_not_say_is_refused_and_told_to_nobody() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let mut socket = daemon.listen(&tablet.token).await;
    let good = json!({ "type": "alarm", "data": {} });
    let mut table = vec![
        ("type", json!({ "type": null })),
        ("type", json!({ "type": 7 })),
        ("data", json!({ "data": null })),
        ("data", json!({ "data": [1] })),
        ("data", json!({ "data": "text" })),
        ("namespace", json!({ "namespace": "/ws/nowhere" })),
        ("namespace", json!({ "namespace": 1 })),
        ("room", json!({ "namespace": "/", "room": "two words" })),
        ("roomId", json!({ "room_id": 999 })),
        ("roomId", json!({ "room_id": true })),
        ("clientId", json!({ "clientId": "client_none" })),
        ("userId", json!({ "clientId": tablet.id, "userId": "ann" })),
        ("tenantId", json!({ "namespace": "/", "tenantId": "t" })),
    ];
    for kind in [
        "",
        "Upper",
        "9lives",
        "with space",
        "area_added",
        "token_revoked",
        "system_status",
        "heartbeat",
        "new_message",
        "command",
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
    ] {
        table.push(("type", json!({ "type": kind })));
        table.push(("event", json!({ "type": null, "event": kind })));
    }
    table.push(("type", json!({ "type": "a".repeat(65) })));
    let events =
        async || admin.get("/api/events?limit=1").await.expect(200).json["lastEventId"].take();
    let before = events().await;
    for path in [V1, PLAIN] {
        for (field, change) in &table {
            let mut body = good.clone();
            for (key, value) in change.as_object().unwrap() {
                body[key] = value.clone();
            }
            let answer = admin.post(path, body.clone()).await;
            assert_eq!(answer.json["field"], *field, "{body}");
            assert_eq!(answer.refused(422), "invalid_field", "{body}");
        }
        let user = daemon.token(json!({ "role": "user", "name": "x" })).await;
        for api in [daemon.api(&tablet.token), daemon.api_of(&user)] {
            assert_eq!(api.post(path, good.clone()).await.refused(403), "forbidden");
        }
        daemon
            .unauthenticated()
            .post(path, good.clone())
            .await
            .refused(401);
    }
    assert_eq!(events().await, before);
    socket.assert_nothing_received().await;
}

#[tokio::test]
async fn a_tablet_that_slept_gets_the_broadcasts_of_its_namespace_and_a_waiting_one_gets_none() {
    let daemon = Daemon::start().await;
    let admin = daemon.local();
    let tablet = daemon.pair("Wall", &[]).await;
    let words = daemon.welcome(&tablet.token).await;
    let asked = daemon
        .unauthenticated()
        .post("/api/pairing/requests", json!({}))
        .await;
    let asked = asked.expect(201).json;
    let mut waiting = daemon.listen(asked["pairingToken"].as_str().unwrap()).await;
    tell(&admin, json!({ "namespace": "/ws/lockers" })).await;
    tell(&admin, json!({ "namespace": "/ws/help" })).await;
    tell(&admin, json!({ "namespace": "/" })).await;
    tell(&admin, json!({ "clientId": tablet.id })).await;
    tell(&admin, json!({})).await;
    waiting.assert_nothing_received().await;

    let daemon = daemon.kill_and_restart().await;
    let query = format!(
        "?since={}&epoch={}",
        words["lastEventId"],
        words["epoch"].as_str().unwrap()
    );
    let both = [json!({ "clientId": tablet.id }), json!({})];
    for (path, namespace) in [("/ws", "/"), ("/ws/lockers", "/ws/lockers")] {
        let path = format!("{path}{query}");
        let mut socket = Socket::open(&daemon, &path, Some(&tablet.token))
            .await
            .unwrap();
        assert_eq!(socket.next().await["data"]["recovered"], true);
        for audience in [json!({ "namespace": namespace })].iter().chain(&both) {
            let event = socket.next_of("alarm").await;
            assert_eq!(event["data"]["audience"], *audience);
        }
        socket.assert_nothing_received().await;
    }
    // What it may read of the history is what it hears on `/`.
    let own = daemon
        .api(&tablet.token)
        .get("/api/events?type=alarm")
        .await;
    assert_eq!(own.expect(200).json["events"].as_array().unwrap().len(), 3);
}
