//! Broadcasts by an admin: which event types are allowed and which sessions receive them
//! (docs/protocol.md#broadcast).

use serde_json::{Value, json};

use crate::support::{Answer, Api, Daemon, Socket, Tablet, assert_timestamp, keys};

const V1: &str = "/api/v1/websocket/broadcast";
const PLAIN: &str = "/api/websocket/broadcast";

/// Sends a broadcast to this audience and returns the number of sessions that the response counts.
async fn broadcast(admin: &Api, audience: Value) -> u64 {
    let mut body = json!({ "type": "alarm", "data": { "audience": audience } });
    for (key, value) in audience.as_object().unwrap() {
        body[key] = value.clone();
    }
    clients_count(admin.post(PLAIN, body).await)
}

#[track_caller]
fn clients_count(answer: Answer) -> u64 {
    answer.expect(200).json["data"]["clients_count"]
        .as_u64()
        .unwrap()
}

/// A daemon with named sockets of several principals in several namespaces.
struct TestServer {
    daemon: Daemon,
    admin: Api,
    area: Value,
    wall: Tablet,
    sockets: Vec<(&'static str, Socket)>,
}

impl TestServer {
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

    /// Asserts that exactly these sockets receive a broadcast to this audience.
    async fn assert_received_by(&mut self, audience: Value, names: &[&str]) {
        let count = broadcast(&self.admin, audience.clone()).await;
        for (name, socket) in &mut self.sockets {
            if names.contains(name) {
                let event = socket.next().await;
                assert_eq!(event["type"], "alarm", "{name}: {event}");
                assert_eq!(event["data"], json!({ "audience": audience }), "{name}");
                assert!(event["id"].is_i64(), "not durable: {event}");
            }
            socket.assert_nothing_received().await;
        }
        assert_eq!(count, names.len() as u64, "{audience}");
    }
}

#[tokio::test]
async fn broadcast_reaches_exactly_its_audience() {
    let mut server = TestServer::new().await;
    let (_, wall) = &mut server.sockets[0];
    let kiosk = json!({ "type": "join_room", "room": server.wall.id });
    assert_eq!(wall.ask(kiosk.clone()).await["type"], "room_joined");
    let (_, lockers) = &mut server.sockets[1];
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
        server.area["id"].clone(),
        server.area["roomId"].clone(),
        server.wall.id.clone(),
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
        server.assert_received_by(audience, names).await;
    }
}

#[tokio::test]
async fn broadcast_response_has_the_rooms_format_and_is_audited() {
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
async fn board_event_types_are_broadcast_as_manual() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let token = daemon
        .token(json!({ "role": "user", "name": "x", "organizationId": "org-456" }))
        .await;
    let token = token["token"].as_str().unwrap();
    let mut user = daemon.listen(token).await;
    let admin_socket = daemon.token(json!({ "role": "admin", "name": "o" })).await;
    let mut admin_socket = daemon.listen(admin_socket["token"].as_str().unwrap()).await;
    assert_eq!(
        admin_socket.ask(json!({ "type": "ping" })).await["type"],
        "pong"
    );
    for event_type in ["service-update", "incident-update", "status-update"] {
        let body = json!({ "type": event_type, "data": { "id": 7 }, "organizationId": "org-456" });
        assert_eq!(clients_count(admin.post(PLAIN, body).await), 2);
        let event = user.next().await;
        assert_eq!(event["type"], event_type);
        assert_eq!(keys(&event["data"]), ["data", "timestamp", "type"]);
        assert_eq!(event["data"]["type"], "manual");
        assert_eq!(event["data"]["data"], json!({ "id": 7 }));
        assert_timestamp(&event["data"]["timestamp"]);
        // Admins receive the events of every board.
        assert_eq!(admin_socket.next().await["data"], event["data"]);
        let body = json!({ "event": event_type, "data": {}, "namespace": "/ws/lockers" });
        let answer = admin.post(PLAIN, body).await;
        assert_eq!(answer.refused(422), "invalid_field");
    }
    user.assert_nothing_received().await;
}

#[tokio::test]
async fn invalid_broadcast_is_refused_and_reaches_nobody() {
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
    for event_type in [
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
        table.push(("type", json!({ "type": event_type })));
        table.push(("event", json!({ "type": null, "event": event_type })));
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
async fn replay_has_the_broadcasts_of_the_sessions_namespace() {
    let daemon = Daemon::start().await;
    let admin = daemon.local();
    let tablet = daemon.pair("Wall", &[]).await;
    let welcome = daemon.welcome(&tablet.token).await;
    let pairing = daemon
        .unauthenticated()
        .post("/api/pairing/requests", json!({}))
        .await;
    let pairing = pairing.expect(201).json;
    let mut waiting = daemon
        .listen(pairing["pairingToken"].as_str().unwrap())
        .await;
    broadcast(&admin, json!({ "namespace": "/ws/lockers" })).await;
    broadcast(&admin, json!({ "namespace": "/ws/help" })).await;
    broadcast(&admin, json!({ "namespace": "/" })).await;
    broadcast(&admin, json!({ "clientId": tablet.id })).await;
    broadcast(&admin, json!({})).await;
    waiting.assert_nothing_received().await;

    let daemon = daemon.kill_and_restart().await;
    let query = format!(
        "?since={}&epoch={}",
        welcome["lastEventId"],
        welcome["epoch"].as_str().unwrap()
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
    // The event list has what the client's sessions on `/` receive.
    let own = daemon
        .api(&tablet.token)
        .get("/api/events?type=alarm")
        .await;
    assert_eq!(own.expect(200).json["events"].as_array().unwrap().len(), 3);
}
