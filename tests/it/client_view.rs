//! What an admin learns of the house itself, and of what a tablet could see and do.

use serde_json::{Value, json};

use crate::support::{Daemon, keys};

#[tokio::test]
async fn instance_details_are_readable_by_admins_only() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let house = admin.get("/api/house").await.expect(200).json;
    let expected = ["certificate", "epoch", "isIngress", "publicUrl", "version"];
    assert_eq!(keys(&house), expected);
    assert_eq!(house["isIngress"], false);
    let url = house["publicUrl"].as_str().unwrap();
    assert!(url.starts_with("https://"), "{url}");
    let certificate = &house["certificate"];
    assert_eq!(certificate["origin"], "local");
    let fingerprint = certificate["authority"]["fingerprint"].as_str().unwrap();
    // 32 octets in hex, with colons between them.
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
    for (name, of) in [("Heating", "acme"), ("Pool", "other")] {
        let service = json!({ "name": name, "organizationId": of });
        admin.post("/api/services", service).await.expect(201);
    }

    let view = admin.get(&format!("{path}/view")).await.expect(200).json;
    let own = daemon.api(&tablet.token);
    let same = async |of: &str| own.get(of).await;
    let areas = same("/api/areas").await.expect(200).json;
    assert_eq!(view["assignedAreas"], areas["areas"]);
    let lockers = same("/api/lockers").await.expect(200).json;
    assert_eq!(view["lockers"], lockers["lockers"]);
    assert_eq!(view["lockers"][0]["id"], "here");
    let states = same("/api/entities").await.expect(200).json;
    assert_eq!(view["states"], states["states"]);
    let board = same("/api/status").await.expect(200).json;
    for part in ["status", "services", "incidents", "organizationId"] {
        assert_eq!(view["board"][part], board[part], "{part}");
    }
    let client = own.get(&path).await.expect(200).json;
    assert_eq!(view["client"]["id"], client["id"]);
    assert_eq!(view["rooms"], json!([kitchen, "lobby"]));
    let topics = view["topics"].as_array().unwrap();
    let hears = |topic: String| topics.contains(&Value::from(topic));
    assert!(hears(format!("client:{}", tablet.id)) && hears(format!("area:{kitchen}")));
    assert!(hears("all".to_owned()) && hears("org:acme".to_owned()));
    assert!(!hears("admins".to_owned()) && !hears("org:other".to_owned()));
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
    // A cover that Home Assistant has told nothing of could be a garage's.
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
    let may = async || {
        let view = admin.get(&format!("{path}/view")).await.expect(200).json;
        (view["mayConnect"].clone(), view["hasToken"].clone())
    };
    assert_eq!(may().await, (json!(true), json!(true)));
    let asleep = json!({ "isActive": false });
    admin.patch(&path, asleep).await.expect(200);
    assert_eq!(may().await, (json!(false), json!(true)));
    let revoke = format!("{path}/revoke");
    admin.post(&revoke, json!({})).await.expect(200);
    assert_eq!(may().await, (json!(false), json!(false)));

    let own = daemon.pair("Other", &[]).await;
    let view = format!("/api/clients/{}/view", own.id);
    let refused = daemon.api(&own.token).get(&view).await;
    assert_eq!(refused.refused(403), "forbidden");
    let unknown = admin.get("/api/clients/client_none/view").await;
    assert_eq!(unknown.refused(404), "not_found");
}
