//! Every act of an admin is kept: who, what, when and from where (contract section 3).

use serde_json::{Value, json};

use crate::support::Daemon;

#[tokio::test]
async fn every_act_is_kept_with_who_what_when_and_from_where() {
    let daemon = Daemon::start().await;
    let token = json!({ "role": "admin", "name": "a", "subject": "root" });
    let token = daemon.token(token).await;
    let admin = daemon.api_of(&token);
    let made = daemon.local().get("/api/audit").await.expect(200).json;
    let first = &made["entries"][0];
    assert_eq!(
        (&first["actor"], &first["address"]),
        (&json!("admin:cli"), &json!("local"))
    );

    let area = admin.create_area("Kitchen").await;
    let wall = daemon.pair("Wall", &[]).await;
    let other = daemon.token(json!({ "role": "user", "name": "Ann" })).await;
    let ask = async || {
        let asked = daemon
            .unauthenticated()
            .post("/api/pairing/requests", json!({}))
            .await;
        asked.expect(201).json["pairingId"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (granted, denied) = (ask().await, ask().await);
    let jti = other["jti"].as_str().unwrap().to_owned();
    let area_path = format!("/api/areas/{area}");
    let client = format!("/api/clients/{}", wall.id);
    let pairing = |id: &str, verb: &str| format!("/api/pairing/requests/{id}/{verb}");
    // The request, and what is kept of it. Without a target the answer names it.
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
            Some(&wall.id),
        ),
        (
            "PUT",
            format!("{client}/areas"),
            json!({ "areaIds": [] }),
            "client.areas",
            Some(&wall.id),
        ),
        (
            "POST",
            format!("{client}/areas/{area}"),
            json!({}),
            "client.assign",
            Some(&wall.id),
        ),
        (
            "DELETE",
            format!("{client}/areas/{area}"),
            json!({}),
            "client.unassign",
            Some(&wall.id),
        ),
        (
            "POST",
            format!("{client}/disconnect"),
            json!({}),
            "client.disconnect",
            Some(&wall.id),
        ),
        (
            "POST",
            format!("{client}/revoke"),
            json!({ "reason": "lost" }),
            "client.revoke",
            Some(&wall.id),
        ),
        (
            "DELETE",
            client.clone(),
            json!({}),
            "client.delete",
            Some(&wall.id),
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
            pairing(&granted, "approve"),
            json!({}),
            "pairing.approve",
            Some(&granted),
        ),
        (
            "POST",
            pairing(&denied, "deny"),
            json!({}),
            "pairing.deny",
            Some(&denied),
        ),
    ];
    let mut seen = admin.get("/api/audit?limit=1").await.expect(200).json["entries"][0].take();
    for (method, path, body, action, target) in table {
        let headers = [("content-type", "application/json")];
        let answer = admin
            .send_text(method, &path, &headers, &body.to_string())
            .await;
        assert!(answer.status < 300, "{method} {path}: {}", answer.text);
        let list = admin.get("/api/audit?limit=1").await.expect(200);
        let entry = list.json["entries"][0].clone();
        assert!(
            entry["id"].as_i64() > seen["id"].as_i64(),
            "{method} {path} was not kept"
        );
        assert!(entry["timestamp"].as_str() >= seen["timestamp"].as_str());
        assert_eq!(entry["actor"], "admin:root", "{action}");
        assert_eq!(entry["address"], "127.0.0.1", "{action}");
        assert_eq!(entry["action"], action, "{method} {path}");
        let named = ["id", "jti", "pairingId"]
            .iter()
            .find_map(|key| answer.json[key].as_str());
        assert_eq!(entry["target"].as_str(), target.or(named), "{action}");
        for secret in ["token", "code"] {
            let secret = answer.json[secret].as_str().unwrap_or("no secret");
            assert!(!list.text.contains(secret), "{action}");
        }
        seen = entry;
    }
    // It is the newest first, and outlives a restart.
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
