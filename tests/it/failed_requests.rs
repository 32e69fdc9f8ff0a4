//! Requests that must fail: on other principals' objects, and with invalid input, which changes nothing
//! (docs/protocol.md#roles, docs/protocol.md#errors).

use serde_json::{Value, json};

use crate::support::Daemon;

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

#[tokio::test]
async fn client_gets_403_for_foreign_and_unknown_ids_alike() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let other = daemon.pair("Other", &[&area]).await;
    let client = daemon.pair("Wall", &[]).await;
    let user = daemon.token(json!({ "role": "user", "name": "Ann" })).await;
    let other_request = daemon
        .unauthenticated()
        .post("/api/pairing/requests", json!({}))
        .await
        .expect(201);
    let own_request = daemon
        .unauthenticated()
        .post("/api/pairing/requests", json!({}))
        .await
        .expect(201);
    let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
    let (own_pairing, other_pairing) = (
        text(&own_request.json, "pairingId"),
        text(&other_request.json, "pairingId"),
    );
    let jti = text(&user, "jti");
    let callers = [
        ("client", daemon.api(&client.token)),
        ("user", daemon.api_of(&user)),
        (
            "pairing",
            daemon.api(&text(&own_request.json, "pairingToken")),
        ),
    ];
    // Each path with an existing id and with an unknown one.
    let ids = |existing: &str| [existing.to_owned(), "none".to_owned()];
    let mut paths: Vec<(&str, String)> = vec![
        ("GET", "/api/clients".into()),
        ("GET", "/api/tokens".into()),
        ("POST", "/api/tokens".into()),
        ("GET", "/api/audit".into()),
        ("POST", "/api/areas".into()),
        ("GET", "/api/pairing/requests".into()),
        ("POST", "/api/pairing/codes".into()),
    ];
    for id in ids(&area) {
        for method in ["GET", "PUT", "PATCH", "DELETE"] {
            paths.push((method, format!("/api/areas/{id}")));
        }
        paths.push(("PATCH", format!("/api/areas/{id}/toggle")));
    }
    for id in ids(&other.id) {
        for method in ["GET", "PATCH", "DELETE"] {
            paths.push((method, format!("/api/clients/{id}")));
        }
        paths.push(("PUT", format!("/api/clients/{id}/areas")));
        paths.push(("POST", format!("/api/clients/{id}/areas/{area}")));
        paths.push(("POST", format!("/api/clients/{id}/revoke")));
        paths.push(("POST", format!("/api/clients/{id}/disconnect")));
    }
    for id in ids(&other_pairing) {
        paths.push(("GET", format!("/api/pairing/requests/{id}")));
        paths.push(("POST", format!("/api/pairing/requests/{id}/approve")));
        paths.push(("POST", format!("/api/pairing/requests/{id}/deny")));
    }
    paths.extend(ids(&jti).map(|id| ("DELETE", format!("/api/tokens/{id}"))));
    for (role, api) in &callers {
        let mut errors = std::collections::HashSet::new();
        for (method, path) in &paths {
            let answer = api.send_text(method, path, JSON, "{}").await;
            errors.insert(answer.json["error"].to_string());
            assert_eq!(
                answer.status, 403,
                "{role} {method} {path}: {}",
                answer.text
            );
            assert_eq!(answer.refused(403), "forbidden");
        }
        assert_eq!(errors.len(), 1, "{role} gets different errors: {errors:?}");
    }
    for (role, api) in &callers[1..] {
        assert_eq!(
            api.get("/api/areas").await.refused(403),
            "forbidden",
            "{role}"
        );
    }
    // None of the requests had an effect.
    admin.get(&format!("/api/areas/{area}")).await.expect(200);
    daemon.api(&other.token).get("/api/me").await.expect(200);
    daemon.api_of(&user).get("/api/me").await.expect(200);
    let own = format!("/api/pairing/requests/{own_pairing}");
    callers[2].1.get(&own).await.expect(200);
}

#[tokio::test]
async fn failed_request_changes_nothing_and_emits_nothing() {
    let daemon = Daemon::start().await;
    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let admin = daemon.api_of(&token);
    let (one, two) = (
        admin.create_area("One").await,
        admin.create_area("Two").await,
    );
    let tablet = daemon.pair("Wall", &[&one]).await;
    let mut tablet_socket = daemon.connect(&tablet.token).await;
    tablet_socket.next_of("connection").await;
    let mut admin_socket = daemon.connect(token["token"].as_str().unwrap()).await;
    admin_socket.next_of("connection").await;
    let snapshot = async || {
        let mut lists = Vec::new();
        for path in [
            "/api/areas",
            "/api/tokens",
            "/api/audit",
            "/api/pairing/requests",
        ] {
            lists.push(admin.get(path).await.expect(200).json);
        }
        let mut clients = admin.get("/api/clients").await.expect(200).json;
        // Changes on its own while the tablet is connected.
        clients["clients"][0]["lastSeenAt"].take();
        lists.push(clients);
        lists
    };
    let before = snapshot().await;
    let client = format!("/api/clients/{}", tablet.id);
    let table = [
        (
            "PUT",
            format!("{client}/areas"),
            json!({ "areaIds": [two, "area_none"] }),
            422,
        ),
        ("POST", format!("{client}/areas/area_none"), json!({}), 404),
        ("DELETE", format!("{client}/areas/{two}"), json!({}), 404),
        (
            "PATCH",
            client.clone(),
            json!({ "isActive": false, "name": "" }),
            422,
        ),
        (
            "PATCH",
            client.clone(),
            json!({ "isActive": false, "kioskId": "a b" }),
            422,
        ),
        (
            "POST",
            format!("{client}/revoke"),
            json!({ "reason": "x".repeat(201) }),
            422,
        ),
        (
            "POST",
            format!("{client}/disconnect"),
            json!({ "reason": 7 }),
            422,
        ),
        ("POST", "/api/clients/none/revoke".into(), json!({}), 404),
        ("DELETE", "/api/clients/none".into(), json!({}), 404),
        (
            "POST",
            "/api/tokens".into(),
            json!({ "role": "client", "name": "x", "ttlSeconds": 0 }),
            422,
        ),
        (
            "POST",
            "/api/tokens".into(),
            json!({ "role": "client", "name": "x", "email": 7 }),
            422,
        ),
        (
            "POST",
            "/api/tokens".into(),
            json!({ "role": "pairing", "name": "x" }),
            422,
        ),
        (
            "POST",
            "/api/pairing/codes".into(),
            json!({ "areaIds": [one, "area_none"] }),
            422,
        ),
        (
            "POST",
            "/api/pairing/codes".into(),
            json!({ "clientId": "client_none" }),
            422,
        ),
        (
            "POST",
            "/api/pairing/requests".into(),
            json!({ "name": "" }),
            422,
        ),
        (
            "POST",
            "/api/pairing/requests".into(),
            json!({ "platform": "x".repeat(101) }),
            422,
        ),
    ];
    for (method, path, body, status) in table {
        let answer = admin
            .send_text(method, &path, JSON, &body.to_string())
            .await;
        assert_eq!(
            answer.status, status,
            "{method} {path} {body}: {}",
            answer.text
        );
        answer.refused(status);
    }
    assert_eq!(snapshot().await, before);
    tablet_socket.assert_nothing_received().await;
    admin_socket.assert_nothing_received().await;
}
