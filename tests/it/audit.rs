//! The audit log: one entry for each change by an admin, with actor, action, target, time and address
//! (docs/protocol.md#roles).

use serde_json::{Value, json};

use crate::support::Daemon;

#[tokio::test]
async fn admin_actions_are_audited_with_actor_target_and_address() {
    let daemon = Daemon::start().await;
    let token = json!({ "role": "admin", "name": "a", "subject": "root" });
    let token = daemon.token(token).await;
    let admin = daemon.api_of(&token);
    let audit = daemon.local().get("/api/audit").await.expect(200).json;
    let first = &audit["entries"][0];
    assert_eq!(
        (&first["actor"], &first["address"]),
        (&json!("admin:cli"), &json!("local"))
    );

    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[]).await;
    let other = daemon.token(json!({ "role": "user", "name": "Ann" })).await;
    let request_pairing = async || {
        let request = daemon
            .unauthenticated()
            .post("/api/pairing/requests", json!({}))
            .await;
        request.expect(201).json["pairingId"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (approved, denied) = (request_pairing().await, request_pairing().await);
    let jti = other["jti"].as_str().unwrap().to_owned();
    let area_path = format!("/api/areas/{area}");
    let client = format!("/api/clients/{}", tablet.id);
    let pairing = |id: &str, verb: &str| format!("/api/pairing/requests/{id}/{verb}");
    // Request, audited action and target. `None`: the target is the id in the response.
    let table: Vec<(&str, String, Value, &str, Option<&str>)> = vec![
        (
            "POST",
            "/api/areas".into(),
            json!({ "name": "A" }),
            "area.create",
            None,
        ),
        (
            "PUT",
            area_path.clone(),
            json!({ "name": "B" }),
            "area.change",
            Some(&area),
        ),
        (
            "PATCH",
            area_path.clone(),
            json!({ "name": "C" }),
            "area.change",
            Some(&area),
        ),
        (
            "PATCH",
            format!("{area_path}/toggle"),
            json!({}),
            "area.change",
            Some(&area),
        ),
        (
            "PATCH",
            client.clone(),
            json!({ "name": "D" }),
            "client.change",
            Some(&tablet.id),
        ),
        (
            "PUT",
            format!("{client}/areas"),
            json!({ "areaIds": [] }),
            "client.areas",
            Some(&tablet.id),
        ),
        (
            "POST",
            format!("{client}/areas/{area}"),
            json!({}),
            "client.assign",
            Some(&tablet.id),
        ),
        (
            "DELETE",
            format!("{client}/areas/{area}"),
            json!({}),
            "client.unassign",
            Some(&tablet.id),
        ),
        (
            "POST",
            format!("{client}/disconnect"),
            json!({}),
            "client.disconnect",
            Some(&tablet.id),
        ),
        (
            "POST",
            format!("{client}/revoke"),
            json!({ "reason": "lost" }),
            "client.revoke",
            Some(&tablet.id),
        ),
        (
            "DELETE",
            client.clone(),
            json!({}),
            "client.delete",
            Some(&tablet.id),
        ),
        (
            "DELETE",
            area_path.clone(),
            json!({}),
            "area.delete",
            Some(&area),
        ),
        (
            "POST",
            "/api/tokens".into(),
            json!({ "role": "user", "name": "x" }),
            "token.create",
            None,
        ),
        (
            "DELETE",
            format!("/api/tokens/{jti}"),
            json!({}),
            "token.revoke",
            Some(&jti),
        ),
        (
            "POST",
            "/api/pairing/codes".into(),
            json!({}),
            "pairing.offer",
            None,
        ),
        (
            "POST",
            pairing(&approved, "approve"),
            json!({}),
            "pairing.approve",
            Some(&approved),
        ),
        (
            "POST",
            pairing(&denied, "deny"),
            json!({}),
            "pairing.deny",
            Some(&denied),
        ),
    ];
    let mut previous = admin.get("/api/audit?limit=1").await.expect(200).json["entries"][0].take();
    for (method, path, body, action, target) in table {
        let headers = [("content-type", "application/json")];
        let answer = admin
            .send_text(method, &path, &headers, &body.to_string())
            .await;
        assert!(answer.status < 300, "{method} {path}: {}", answer.text);
        let list = admin.get("/api/audit?limit=1").await.expect(200);
        let entry = list.json["entries"][0].clone();
        assert!(
            entry["id"].as_i64() > previous["id"].as_i64(),
            "{method} {path} was not audited"
        );
        assert!(entry["timestamp"].as_str() >= previous["timestamp"].as_str());
        assert_eq!(entry["actor"], "admin:root", "{action}");
        assert_eq!(entry["address"], "127.0.0.1", "{action}");
        assert_eq!(entry["action"], action, "{method} {path}");
        let id = ["id", "jti", "pairingId"]
            .iter()
            .find_map(|key| answer.json[key].as_str());
        assert_eq!(entry["target"].as_str(), target.or(id), "{action}");
        for secret in ["token", "code"] {
            let secret = answer.json[secret].as_str().unwrap_or("no secret");
            assert!(!list.text.contains(secret), "{action}");
        }
        previous = entry;
    }
    // Newest first, and unchanged after a restart.
    let before = admin.get("/api/audit").await.expect(200).json;
    let ids: Vec<_> = before["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["id"].as_i64())
        .collect();
    assert!(ids.is_sorted_by(|a, b| a > b), "{ids:?}");
    let daemon = daemon.restart().await;
    assert_eq!(
        daemon.local().get("/api/audit").await.expect(200).json,
        before
    );
}
