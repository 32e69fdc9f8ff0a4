//! What an admin reads about the instance (`/api/house`), and about what a client sees and may do
//! (`/api/clients/{id}/view`, docs/protocol.md#clients).

use serde_json::{Value, json};

use crate::support::{Daemon, keys};

#[tokio::test]
async fn instance_details_are_readable_by_admins_only() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let instance = admin.get("/api/house").await.expect(200).json;
    let expected = ["certificate", "epoch", "isIngress", "publicUrl", "version"];
    assert_eq!(keys(&instance), expected);
    assert_eq!(instance["isIngress"], false);
    let url = instance["publicUrl"].as_str().unwrap();
    assert!(url.starts_with("https://"), "{url}");
    let certificate = &instance["certificate"];
    assert_eq!(certificate["origin"], "local");
    let fingerprint = certificate["authority"]["fingerprint"].as_str().unwrap();
    // 32 octets in hex, separated by colons.
    assert_eq!(fingerprint.len(), 32 * 3 - 1);
    assert_ne!(certificate["fingerprint"], fingerprint);

    let tablet = daemon.pair("Wall", &[]).await;
    let refused = daemon.api(&tablet.token).get("/api/house").await;
    assert_eq!(refused.refused(403), "forbidden");
    daemon
        .unauthenticated()
        .get("/api/house")
        .await
        .refused(401);
}

#[tokio::test]
async fn view_equals_what_the_tablet_itself_reads() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let kitchen = admin.create_area("Kitchen").await;
    admin.create_area("Bedroom").await;
    let tablet = daemon.pair("Wall", &[&kitchen]).await;
    let path = format!("/api/clients/{}", tablet.id);
    let patch = json!({ "kioskId": "lobby", "organizationId": "acme" });
    admin.patch(&path, patch).await.expect(200);
    for (id, kiosk) in [("here", "lobby"), ("elsewhere", "cellar")] {
        let locker = json!({ "id": id, "kioskId": kiosk, "state": "locked" });
        admin.post("/api/lockers", locker).await.expect(201);
    }
    for (name, organization) in [("Heating", "acme"), ("Pool", "other")] {
        let service = json!({ "name": name, "organizationId": organization });
        admin.post("/api/services", service).await.expect(201);
    }

    let view = admin.get(&format!("{path}/view")).await.expect(200).json;
    let own = daemon.api(&tablet.token);
    let areas = own.get("/api/areas").await.expect(200).json;
    assert_eq!(view["assignedAreas"], areas["areas"]);
    let lockers = own.get("/api/lockers").await.expect(200).json;
    assert_eq!(view["lockers"], lockers["lockers"]);
    assert_eq!(view["lockers"][0]["id"], "here");
    let states = own.get("/api/entities").await.expect(200).json;
    assert_eq!(view["states"], states["states"]);
    let board = own.get("/api/status").await.expect(200).json;
    for part in ["status", "services", "incidents", "organizationId"] {
        assert_eq!(view["board"][part], board[part], "{part}");
    }
    let client = own.get(&path).await.expect(200).json;
    assert_eq!(view["client"]["id"], client["id"]);
    assert_eq!(view["rooms"], json!([kitchen, "lobby"]));
    let topics = view["topics"].as_array().unwrap();
    let has_topic = |topic: String| topics.contains(&Value::from(topic));
    assert!(has_topic(format!("client:{}", tablet.id)) && has_topic(format!("area:{kitchen}")));
    assert!(has_topic("all".to_owned()) && has_topic("org:acme".to_owned()));
    assert!(!has_topic("admins".to_owned()) && !has_topic("org:other".to_owned()));
    assert_eq!(view["mayConnect"], true);
}

#[tokio::test]
async fn view_lists_allowed_services_without_disabled_areas() {
    let options = [("ALLOWED_SERVICES", "light.turn_on,cover.*")];
    let daemon = Daemon::with(&options).await;
    let admin = daemon.admin().await;
    let create = async |name: &str, entities: Value| {
        let body = json!({ "name": name, "entityIds": entities });
        let area = admin.post("/api/areas", body).await.expect(201).json;
        area["id"].as_str().unwrap().to_owned()
    };
    let kitchen = json!(["light.k", "sensor.k", "switch.k", "cover.k"]);
    let kitchen = create("Kitchen", kitchen).await;
    let hall = create("Hall", json!(["light.hall"])).await;
    let tablet = daemon.pair("Wall", &[&kitchen, &hall]).await;
    let off = json!({ "isEnabled": false });
    let toggle = format!("/api/areas/{hall}/toggle");
    admin.patch(&toggle, off).await.expect(200);
    let path = format!("/api/clients/{}/view", tablet.id);
    let view = admin.get(&path).await.expect(200).json;
    // A cover whose device class is unknown could be an entrance, so it may not be called.
    let expected = json!({
        "light.k": ["turn_on"], "sensor.k": [], "switch.k": [], "cover.k": [],
    });
    assert_eq!(view["mayCall"], expected);
}

#[tokio::test]
async fn view_shows_whether_the_tablet_may_connect() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let path = format!("/api/clients/{}", tablet.id);
    let connect_and_token = async || {
        let view = admin.get(&format!("{path}/view")).await.expect(200).json;
        (view["mayConnect"].clone(), view["hasToken"].clone())
    };
    assert_eq!(connect_and_token().await, (json!(true), json!(true)));
    let inactive = json!({ "isActive": false });
    admin.patch(&path, inactive).await.expect(200);
    assert_eq!(connect_and_token().await, (json!(false), json!(true)));
    let revoke = format!("{path}/revoke");
    admin.post(&revoke, json!({})).await.expect(200);
    assert_eq!(connect_and_token().await, (json!(false), json!(false)));

    let own = daemon.pair("Other", &[]).await;
    let view = format!("/api/clients/{}/view", own.id);
    let refused = daemon.api(&own.token).get(&view).await;
    assert_eq!(refused.refused(403), "forbidden");
    let unknown = admin.get("/api/clients/client_none/view").await;
    assert_eq!(unknown.refused(404), "not_found");
}
