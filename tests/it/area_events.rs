//! Events of areas and clients: which sessions receive them and which do not (docs/protocol.md#event-types).

use serde_json::{Value, json};

use crate::support::{Api, Daemon, Socket, Tablet, assert_timestamp, keys};

/// A daemon with one area, a tablet, and sessions that must not receive the area's events.
struct TestServer {
    daemon: Daemon,
    admin: Api,
    area: String,
    tablet: Tablet,
    /// The tablet and an admin.
    receivers: [Socket; 2],
    /// Another tablet, a user, a tablet whose pairing is pending, and an unauthenticated socket.
    bystanders: Vec<Socket>,
}

impl TestServer {
    async fn new(is_assigned: bool) -> Self {
        let daemon = Daemon::start().await;
        let admin = daemon.admin().await;
        let body = json!({ "name": "Kitchen", "entityIds": ["light.a", "light.b"] });
        let area = admin.post("/api/areas", body).await.expect(201).json;
        let area = area["id"].as_str().unwrap().to_owned();
        let bath = admin.create_area("Bath").await;
        let assigned: Vec<&str> = is_assigned.then_some(area.as_str()).into_iter().collect();
        let tablet = daemon.pair("Wall", &assigned).await;
        let other = daemon.pair("Other", &[&bath]).await;
        let user = daemon.token(json!({ "role": "user", "name": "x" })).await;
        let unauthenticated = daemon.unauthenticated();
        let pairing = unauthenticated
            .post("/api/pairing/requests", json!({}))
            .await;
        let pairing = pairing.expect(201).json;

        let token = daemon.token(json!({ "role": "admin", "name": "w" })).await;
        let mut admin_socket = daemon.listen(token["token"].as_str().unwrap()).await;
        let mut bystanders = vec![daemon.listen(&other.token).await];
        for token in [&user["token"], &pairing["pairingToken"]] {
            bystanders.push(daemon.listen(token.as_str().unwrap()).await);
        }
        let client = daemon.listen(&tablet.token).await;
        // The tablets' events come in the order of their connections; that of the user may come at any point.
        let mut clients = Vec::new();
        let mut users = 0;
        for _ in 0..3 {
            let online = admin_socket.next().await;
            match online["type"].as_str() {
                Some("client_online") => clients.push(online["data"]["clientId"].clone()),
                Some("presence") => users += 1,
                _ => panic!("{online}"),
            }
        }
        assert_eq!(
            (clients, users),
            (vec![json!(other.id), json!(tablet.id)], 1)
        );
        bystanders.push(daemon.connect_unauthenticated().await);
        Self {
            daemon,
            admin,
            area,
            tablet,
            receivers: [client, admin_socket],
            bystanders,
        }
    }

    fn area_path(&self) -> String {
        format!("/api/areas/{}", self.area)
    }

    fn client_path(&self, rest: &str) -> String {
        format!("/api/clients/{}{rest}", self.tablet.id)
    }

    /// Asserts that the next event of both the tablet and the admin is the same, of this type and durable.
    /// Returns its data.
    async fn expect_event(&mut self, event_type: &str) -> Value {
        let [tablet, admin] = &mut self.receivers;
        let event = tablet.next().await;
        assert_eq!(event["type"], event_type, "{event}");
        assert!(event["id"].as_i64().is_some(), "not durable: {event}");
        assert_eq!(admin.next().await, event);
        event["data"].clone()
    }

    /// Like [`TestServer::expect_event`] for an event of the area; checks all its fields.
    async fn expect_area_event(&mut self, event_type: &str, name: &str, is_enabled: bool) -> Value {
        let data = self.expect_event(event_type).await;
        let mut expected = vec!["areaId", "entityIds", "isEnabled", "message", "name"];
        if event_type == "area_removed" {
            expected.push("reason");
        }
        expected.push("timestamp");
        assert_eq!(keys(&data), expected);
        assert_eq!(data["areaId"], self.area);
        assert_eq!(data["name"], name);
        assert_eq!(data["isEnabled"], is_enabled);
        assert!(data["entityIds"].is_array() && data["message"].is_string());
        assert_timestamp(&data["timestamp"]);
        data
    }

    /// Asserts that the receivers have no more events, and the bystanders none at all.
    async fn assert_no_other_events(mut self) {
        for socket in self.receivers.iter_mut().chain(&mut self.bystanders[..3]) {
            socket.assert_nothing_received().await;
        }
        let unauthenticated = &mut self.bystanders[3];
        let answer = unauthenticated.ask(json!({ "type": "ping" })).await;
        assert_eq!(answer["data"]["code"], "unauthenticated");
    }
}

#[tokio::test]
async fn assignment_is_published_to_the_client_and_admins() {
    let mut server = TestServer::new(false).await;
    let one = server.client_path(&format!("/areas/{}", server.area));
    let all = server.client_path("/areas");
    for _ in 0..2 {
        // The second assignment changes nothing and emits nothing.
        server.admin.post(&one, json!({})).await.expect(200);
    }
    let data = server
        .expect_area_event("area_added", "Kitchen", true)
        .await;
    assert_eq!(data["entityIds"], json!(["light.a", "light.b"]));
    server.admin.delete(&one).await.expect(204);
    let data = server
        .expect_area_event("area_removed", "Kitchen", true)
        .await;
    assert_eq!(data["reason"], "unassigned");

    for areas in [json!([server.area]), json!([server.area]), json!([])] {
        let body = json!({ "areaIds": areas });
        server.admin.put(&all, body).await.expect(200);
    }
    server
        .expect_area_event("area_added", "Kitchen", true)
        .await;
    let data = server
        .expect_area_event("area_removed", "Kitchen", true)
        .await;
    assert_eq!(data["reason"], "unassigned");
    server.assert_no_other_events().await;
}

#[tokio::test]
async fn area_events_are_received_only_while_assigned() {
    let mut server = TestServer::new(false).await;
    let one = server.client_path(&format!("/areas/{}", server.area));
    let rename = json!({ "name": "Before" });
    let path = server.area_path();
    server.admin.put(&path, rename).await.expect(200);
    assert_eq!(server.receivers[1].next().await["type"], "area_updated");

    server.admin.post(&one, json!({})).await.expect(200);
    server.expect_area_event("area_added", "Before", true).await;
    server
        .admin
        .put(&path, json!({ "name": "During" }))
        .await
        .expect(200);
    server
        .expect_area_event("area_updated", "During", true)
        .await;
    server.admin.delete(&one).await.expect(204);
    server
        .expect_area_event("area_removed", "During", true)
        .await;

    server
        .admin
        .put(&path, json!({ "name": "After" }))
        .await
        .expect(200);
    assert_eq!(server.receivers[1].next().await["data"]["name"], "After");
    server.assert_no_other_events().await;
}

#[tokio::test]
async fn area_change_emits_one_event_per_kind_of_change() {
    let mut server = TestServer::new(true).await;
    let path = server.area_path();
    let toggle = format!("{path}/toggle");
    let admin = server.admin.clone();

    admin
        .put(&path, json!({ "name": "Pantry" }))
        .await
        .expect(200);
    server
        .expect_area_event("area_updated", "Pantry", true)
        .await;
    let entities = json!({ "entity_ids": ["light.c"] });
    admin.patch(&path, entities.clone()).await.expect(200);
    let data = server
        .expect_area_event("area_updated", "Pantry", true)
        .await;
    assert_eq!(data["entityIds"], entities["entity_ids"]);

    admin.patch(&toggle, json!({})).await.expect(200);
    server
        .expect_area_event("area_disabled", "Pantry", false)
        .await;
    admin
        .patch(&toggle, json!({ "isEnabled": true }))
        .await
        .expect(200);
    server
        .expect_area_event("area_enabled", "Pantry", true)
        .await;

    let both = json!({ "name": "Larder", "isEnabled": false });
    admin.put(&path, both).await.expect(200);
    let updated = server
        .expect_area_event("area_updated", "Larder", false)
        .await;
    let disabled = server
        .expect_area_event("area_disabled", "Larder", false)
        .await;
    assert_eq!(
        updated["timestamp"], disabled["timestamp"],
        "one transaction"
    );

    admin
        .put(&path, json!({ "name": " Larder " }))
        .await
        .expect(200);
    admin.put(&path, json!({})).await.expect(200);
    admin
        .patch(&toggle, json!({ "isEnabled": false }))
        .await
        .expect(200);
    admin.put(&path, json!({ "name": "" })).await.refused(422);
    server.assert_no_other_events().await;
}

#[tokio::test]
async fn deleted_area_is_removed_from_every_client() {
    let mut server = TestServer::new(true).await;
    let path = server.area_path();
    server.admin.delete(&path).await.expect(204);
    let data = server
        .expect_area_event("area_removed", "Kitchen", true)
        .await;
    assert_eq!(data["reason"], "deleted");
    let data = server.expect_event("room_updated").await;
    assert_eq!(data["action"], "deleted");
    server.admin.delete(&path).await.refused(404);
    server.assert_no_other_events().await;
}

#[tokio::test]
async fn client_revoked_is_a_durable_event_for_admins() {
    let mut server = TestServer::new(true).await;
    let path = server.client_path("/revoke");
    let body = json!({ "reason": "stolen" });
    server.admin.post(&path, body).await.expect(200);
    let [tablet, admin] = &mut server.receivers;
    assert_eq!(tablet.next().await["type"], "token_revoked");
    let event = admin.next().await;
    assert_eq!(event["type"], "client_revoked");
    assert!(event["id"].as_i64().is_some());
    let data = &event["data"];
    assert_eq!(keys(data), ["clientId", "name", "reason", "timestamp"]);
    assert_eq!(data["clientId"], server.tablet.id);
    assert_eq!(data["name"], "Wall");
    assert_eq!(data["reason"], "stolen");
    assert_timestamp(&data["timestamp"]);

    let offline = admin.next().await;
    assert_eq!(offline["type"], "client_offline");
    for socket in &mut server.bystanders[..3] {
        socket.assert_nothing_received().await;
    }
}

#[tokio::test]
async fn presence_events_follow_the_first_and_last_session() {
    let mut server = TestServer::new(false).await;
    let path = server.client_path("");
    let [first, admin] = &mut server.receivers;
    let second = server.daemon.listen(&server.tablet.token).await;
    second.close().await;
    first.assert_nothing_received().await;

    let closing = std::mem::replace(first, server.daemon.connect_unauthenticated().await);
    closing.close().await;
    let offline = admin.next().await;
    assert_eq!(offline["type"], "client_offline");
    assert_eq!(offline.get("id"), None, "presence is ephemeral");
    let data = &offline["data"];
    assert_eq!(keys(data), ["clientId", "lastSeenAt", "name", "sessions"]);
    assert_eq!(data["clientId"], server.tablet.id);
    assert_eq!(data["name"], "Wall");
    assert_eq!(data["sessions"], 0);
    assert_timestamp(&data["lastSeenAt"]);
    let client = server.admin.get(&path).await.expect(200).json;
    assert_eq!(client["isOnline"], false);
    assert_timestamp(&client["lastSeenAt"]);

    *first = server.daemon.listen(&server.tablet.token).await;
    let online = admin.next().await;
    assert_eq!(online["type"], "client_online");
    assert_eq!(online["data"]["clientId"], server.tablet.id);
    assert_eq!(online["data"]["sessions"], 1);
    let client = server.admin.get(&path).await.expect(200).json;
    assert_eq!(client["isOnline"], true);
    server.assert_no_other_events().await;
}
