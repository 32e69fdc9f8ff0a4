//! What happens to areas and clients, who is told of it and who is not (contract section 5, seed 0).

use serde_json::{Value, json};

use crate::support::{Api, Daemon, Socket, Tablet, assert_timestamp, keys};

/// A house with one area, a tablet that has it, and everyone who must not hear of it.
struct House {
    daemon: Daemon,
    admin: Api,
    area: String,
    tablet: Tablet,
    /// The tablet, and an admin.
    hear: [Socket; 2],
    /// Another tablet, a user, a waiting tablet, and a socket without a token.
    deaf: Vec<Socket>,
}

impl House {
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
        let stranger = daemon.unauthenticated();
        let asked = stranger.post("/api/pairing/requests", json!({})).await;
        let asked = asked.expect(201).json;

        let watcher = daemon.token(json!({ "role": "admin", "name": "w" })).await;
        let mut watcher = daemon.listen(watcher["token"].as_str().unwrap()).await;
        let mut deaf = vec![daemon.listen(&other.token).await];
        for token in [&user["token"], &asked["pairingToken"]] {
            deaf.push(daemon.listen(token.as_str().unwrap()).await);
        }
        let client = daemon.listen(&tablet.token).await;
        // Of tablets in their order, of people beside them.
        let mut here = Vec::new();
        let mut people = 0;
        for _ in 0..3 {
            let online = watcher.next().await;
            match online["type"].as_str() {
                Some("client_online") => here.push(online["data"]["clientId"].clone()),
                Some("presence") => people += 1,
                _ => panic!("{online}"),
            }
        }
        assert_eq!((here, people), (vec![json!(other.id), json!(tablet.id)], 1));
        deaf.push(daemon.connect_unauthenticated().await);
        Self {
            daemon,
            admin,
            area,
            tablet,
            hear: [client, watcher],
            deaf,
        }
    }

    fn area_path(&self) -> String {
        format!("/api/areas/{}", self.area)
    }

    fn client_path(&self, rest: &str) -> String {
        format!("/api/clients/{}{rest}", self.tablet.id)
    }

    /// Asserts that the tablet and the admin are told this, the same, and next; gives its data.
    async fn told(&mut self, kind: &str) -> Value {
        let [tablet, admin] = &mut self.hear;
        let event = tablet.next().await;
        assert_eq!(event["type"], kind, "{event}");
        assert!(event["id"].as_i64().is_some(), "it is durable: {event}");
        assert_eq!(admin.next().await, event);
        event["data"].clone()
    }

    /// Asserts an area's event with its whole shape.
    async fn told_of_area(&mut self, kind: &str, name: &str, is_enabled: bool) -> Value {
        let data = self.told(kind).await;
        let mut expected = vec!["areaId", "entityIds", "isEnabled", "message", "name"];
        if kind == "area_removed" {
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

    /// Asserts that nothing else was told, and nothing at all to those whom it does not concern.
    async fn nobody_else_was_told(mut self) {
        for socket in self.hear.iter_mut().chain(&mut self.deaf[..3]) {
            socket.assert_nothing_received().await;
        }
        let stranger = &mut self.deaf[3];
        let answer = stranger.ask(json!({ "type": "ping" })).await;
        assert_eq!(answer["data"]["code"], "unauthenticated");
    }
}

#[tokio::test]
async fn assigning_and_unassigning_is_told_to_the_client_and_to_admins() {
    let mut house = House::new(false).await;
    let one = house.client_path(&format!("/areas/{}", house.area));
    let all = house.client_path("/areas");
    for _ in 0..2 {
        // The second time changes nothing and tells nobody.
        house.admin.post(&one, json!({})).await.expect(200);
    }
    let data = house.told_of_area("area_added", "Kitchen", true).await;
    assert_eq!(data["entityIds"], json!(["light.a", "light.b"]));
    house.admin.delete(&one).await.expect(204);
    let data = house.told_of_area("area_removed", "Kitchen", true).await;
    assert_eq!(data["reason"], "unassigned");

    for areas in [json!([house.area]), json!([house.area]), json!([])] {
        let body = json!({ "areaIds": areas });
        house.admin.put(&all, body).await.expect(200);
    }
    house.told_of_area("area_added", "Kitchen", true).await;
    let data = house.told_of_area("area_removed", "Kitchen", true).await;
    assert_eq!(data["reason"], "unassigned");
    house.nobody_else_was_told().await;
}

#[tokio::test]
async fn an_area_is_heard_of_from_its_assignment_on_and_until_it_is_taken() {
    let mut house = House::new(false).await;
    let one = house.client_path(&format!("/areas/{}", house.area));
    let rename = json!({ "name": "Before" });
    let path = house.area_path();
    house.admin.put(&path, rename).await.expect(200);
    assert_eq!(house.hear[1].next().await["type"], "area_updated");

    house.admin.post(&one, json!({})).await.expect(200);
    house.told_of_area("area_added", "Before", true).await;
    house
        .admin
        .put(&path, json!({ "name": "During" }))
        .await
        .expect(200);
    house.told_of_area("area_updated", "During", true).await;
    house.admin.delete(&one).await.expect(204);
    house.told_of_area("area_removed", "During", true).await;

    house
        .admin
        .put(&path, json!({ "name": "After" }))
        .await
        .expect(200);
    assert_eq!(house.hear[1].next().await["data"]["name"], "After");
    house.nobody_else_was_told().await;
}

#[tokio::test]
async fn changes_of_an_area_are_told_by_what_changed_and_nothing_is_told_of_none() {
    let mut house = House::new(true).await;
    let path = house.area_path();
    let toggle = format!("{path}/toggle");
    let admin = house.admin.clone();

    admin
        .put(&path, json!({ "name": "Pantry" }))
        .await
        .expect(200);
    house.told_of_area("area_updated", "Pantry", true).await;
    let entities = json!({ "entity_ids": ["light.c"] });
    admin.patch(&path, entities.clone()).await.expect(200);
    let data = house.told_of_area("area_updated", "Pantry", true).await;
    assert_eq!(data["entityIds"], entities["entity_ids"]);

    admin.patch(&toggle, json!({})).await.expect(200);
    house.told_of_area("area_disabled", "Pantry", false).await;
    admin
        .patch(&toggle, json!({ "isEnabled": true }))
        .await
        .expect(200);
    house.told_of_area("area_enabled", "Pantry", true).await;

    let both = json!({ "name": "Larder", "isEnabled": false });
    admin.put(&path, both).await.expect(200);
    let updated = house.told_of_area("area_updated", "Larder", false).await;
    let disabled = house.told_of_area("area_disabled", "Larder", false).await;
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
    house.nobody_else_was_told().await;
}

#[tokio::test]
async fn a_deleted_area_is_removed_from_everyone_who_has_it() {
    let mut house = House::new(true).await;
    let path = house.area_path();
    house.admin.delete(&path).await.expect(204);
    let data = house.told_of_area("area_removed", "Kitchen", true).await;
    assert_eq!(data["reason"], "deleted");
    let data = house.told("room_updated").await;
    assert_eq!(data["action"], "deleted");
    house.admin.delete(&path).await.refused(404);
    house.nobody_else_was_told().await;
}

#[tokio::test]
async fn a_revoked_client_is_told_to_admins_by_a_durable_event() {
    let mut house = House::new(true).await;
    let path = house.client_path("/revoke");
    let body = json!({ "reason": "stolen" });
    house.admin.post(&path, body).await.expect(200);
    let [tablet, admin] = &mut house.hear;
    assert_eq!(tablet.next().await["type"], "token_revoked");
    let event = admin.next().await;
    assert_eq!(event["type"], "client_revoked");
    assert!(event["id"].as_i64().is_some());
    let data = &event["data"];
    assert_eq!(keys(data), ["clientId", "name", "reason", "timestamp"]);
    assert_eq!(data["clientId"], house.tablet.id);
    assert_eq!(data["name"], "Wall");
    assert_eq!(data["reason"], "stolen");
    assert_timestamp(&data["timestamp"]);

    let offline = admin.next().await;
    assert_eq!(offline["type"], "client_offline");
    for socket in &mut house.deaf[..3] {
        socket.assert_nothing_received().await;
    }
}

#[tokio::test]
async fn admins_are_told_when_a_clients_first_session_opens_and_its_last_one_ends() {
    let mut house = House::new(false).await;
    let path = house.client_path("");
    let [first, admin] = &mut house.hear;
    let second = house.daemon.listen(&house.tablet.token).await;
    second.close().await;
    first.assert_nothing_received().await;

    let closing = std::mem::replace(first, house.daemon.connect_unauthenticated().await);
    closing.close().await;
    let offline = admin.next().await;
    assert_eq!(offline["type"], "client_offline");
    assert_eq!(offline.get("id"), None, "presence is ephemeral");
    let data = &offline["data"];
    assert_eq!(keys(data), ["clientId", "lastSeenAt", "name", "sessions"]);
    assert_eq!(data["clientId"], house.tablet.id);
    assert_eq!(data["name"], "Wall");
    assert_eq!(data["sessions"], 0);
    assert_timestamp(&data["lastSeenAt"]);
    let client = house.admin.get(&path).await.expect(200).json;
    assert_eq!(client["isOnline"], false);
    assert_timestamp(&client["lastSeenAt"]);

    *first = house.daemon.listen(&house.tablet.token).await;
    let online = admin.next().await;
    assert_eq!(online["type"], "client_online");
    assert_eq!(online["data"]["clientId"], house.tablet.id);
    assert_eq!(online["data"]["sessions"], 1);
    let client = house.admin.get(&path).await.expect(200).json;
    assert_eq!(client["isOnline"], true);
    house.nobody_else_was_told().await;
}
