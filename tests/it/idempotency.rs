//! `Idempotency-Key`: a repeated write has one effect and returns the stored response.
//! See docs/protocol.md#idempotency.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Daemon};

const REUSED: &str = "idempotency_key_reused";
const IN_FLIGHT: &str = "idempotency_key_in_flight";

/// A request that carries an `Idempotency-Key`.
struct Write {
    method: &'static str,
    path: String,
    body: Value,
    key: String,
}

impl Write {
    fn new(method: &'static str, path: &str, body: Value, key: &str) -> Self {
        let (path, key) = (path.to_owned(), key.to_owned());
        Self {
            method,
            path,
            body,
            key,
        }
    }

    async fn send(&self, api: &Api) -> Answer {
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", &self.key),
        ];
        let body = self.body.to_string();
        api.send_text(self.method, &self.path, &headers, &body)
            .await
    }
}

/// Prepares a valid write to this route, on resources that are created for it.
async fn prepare(daemon: &Daemon, method: &'static str, pattern: &'static str) -> Write {
    let admin = daemon.local();
    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let token = daemon.token(json!({ "role": "user", "name": "Ann" })).await;
    let create = async |path: &str, body: Value| {
        let made = admin.post(path, body).await.expect(201).json;
        made["id"].as_str().unwrap().to_owned()
    };
    let id = match pattern.split('/').nth(2) {
        Some("areas") => area.clone(),
        Some("clients") => tablet.id.clone(),
        Some("lockers") => {
            let body = json!({ "kioskId": "kiosk-1", "state": "closed" });
            let made = admin.post("/api/lockers", body).await.expect(201);
            made.json["id"].as_str().unwrap().to_owned()
        }
        Some("help") => {
            let body = json!({ "kioskId": "kiosk-1", "category": "access_issue" });
            let made = admin.post("/api/help", body).await.expect(201);
            made.json["id"].to_string()
        }
        Some("pairing") => {
            let path = "/api/pairing/requests";
            let request = daemon
                .unauthenticated()
                .post(path, json!({}))
                .await
                .expect(201);
            request.json["pairingId"].as_str().unwrap().to_owned()
        }
        Some("services") => create("/api/services", json!({ "name": "Search" })).await,
        Some("incidents") => create("/api/incidents", json!({ "title": "Slow" })).await,
        Some("messages") => {
            let message = json!({ "to": { "userId": "ann" }, "body": "Hello" });
            let sent = admin.post("/api/messages", message).await.expect(201);
            sent.json["id"].as_str().unwrap().to_owned()
        }
        Some("users") => "ann".to_owned(),
        _ => String::new(),
    };
    let path = pattern
        .replace("{id}", &id)
        .replace("{area_id}", &area)
        .replace("{jti}", token["jti"].as_str().unwrap());
    let body = match (method, pattern) {
        ("POST", "/api/areas") => json!({ "name": "Made once" }),
        (_, "/api/areas/{id}" | "/api/clients/{id}") => json!({ "name": "Another" }),
        ("POST", "/api/services") => json!({ "name": "Made once" }),
        ("POST", "/api/incidents") => json!({ "title": "Made once" }),
        (_, "/api/services/{id}") => json!({ "name": "Another" }),
        (_, "/api/incidents/{id}") => json!({ "title": "Another" }),
        (_, "/api/incidents/{id}/updates") => json!({ "message": "Found it" }),
        ("POST", "/api/lockers") => json!({ "kioskId": "kiosk-1", "state": "closed" }),
        (_, "/api/lockers/{id}") => json!({ "state": "open" }),
        ("POST", "/api/help") => json!({ "kioskId": "kiosk-1", "category": "access_issue" }),
        (_, "/api/help/{id}") => json!({ "status": "acknowledged" }),
        (_, "/api/commands") => json!({ "type": "open", "clientId": tablet.id }),
        (_, "/api/clients/{id}/areas") => json!({ "areaIds": [] }),
        ("POST", "/api/messages") => json!({ "to": { "userId": "ann" }, "body": "Once" }),
        (_, "/api/messages/{id}") => json!({ "status": "read" }),
        (_, "/api/v1/websocket/broadcast" | "/api/websocket/broadcast") => {
            json!({ "type": "custom_notification", "data": {} })
        }
        _ => json!({}),
    };
    Write::new(
        method,
        &path,
        body,
        &format!("{method} {pattern}").replace(' ', ":"),
    )
}

/// The ids of the newest audit entry and the newest event. A write that has an effect changes them.
async fn newest_ids(admin: &Api) -> (Value, Value) {
    let audit = admin.get("/api/audit?limit=1").await.expect(200).json;
    let events = admin.get("/api/events?limit=1").await.expect(200).json;
    (
        audit["entries"][0]["id"].clone(),
        events["lastEventId"].clone(),
    )
}

#[tokio::test]
async fn repeated_write_has_one_effect_and_one_response() {
    let daemon = Daemon::start().await;
    let admin = daemon.local();
    let mut writes = Vec::new();
    for (method, pattern) in wallcast::api::keyed_routes() {
        // This route needs Home Assistant and has its own test of repeated calls.
        if pattern == "/api/entities/{id}/call" {
            continue;
        }
        let write = prepare(&daemon, method, pattern).await;
        let what = format!("{method} {pattern}");
        let before = newest_ids(&admin).await;
        let first = write.send(&admin).await;
        assert!((200..300).contains(&first.status), "{what}: {}", first.text);
        let after = newest_ids(&admin).await;
        assert_ne!(before, after, "{what} had no effect");
        let again = write.send(&admin).await;
        assert_eq!(
            (again.status, &again.text),
            (first.status, &first.text),
            "{what}"
        );
        let content_type = |answer: &Answer| answer.header("content-type").map(str::to_owned);
        assert_eq!(content_type(&again), content_type(&first), "{what}");
        assert_eq!(
            newest_ids(&admin).await,
            after,
            "{what} had a second effect"
        );

        let other = Write::new(
            method,
            &write.path,
            json!({ "reason": "other" }),
            &write.key,
        );
        let refused = other.send(&admin).await;
        assert_eq!(refused.json["field"], "Idempotency-Key", "{what}");
        assert_eq!(refused.refused(422), REUSED, "{what}");
        assert_eq!(newest_ids(&admin).await, after, "{what}");
        writes.push((write, first));
    }
    assert!(writes.len() >= 14, "keyed routes are missing");
    assert!(!daemon.log().contains("was not kept"), "{}", daemon.log());

    let before = newest_ids(&admin).await;
    let daemon = daemon.kill_and_restart().await;
    let admin = daemon.local();
    for (write, first) in writes {
        let again = write.send(&admin).await;
        assert_eq!(
            (again.status, again.text),
            (first.status, first.text),
            "{}",
            write.key
        );
    }
    assert_eq!(newest_ids(&admin).await, before);
}

#[tokio::test]
async fn crash_keeps_effect_and_response_together_or_neither() {
    let daemon = Daemon::start().await;
    let admin = daemon.local();
    let make = |n: usize| {
        let name = format!("Area {n}");
        Write::new(
            "POST",
            "/api/areas",
            json!({ "name": name }),
            &name.replace(' ', "-"),
        )
    };
    let (sender, mut answers) = tokio::sync::mpsc::unbounded_channel();
    for n in 0..200 {
        let (admin, sender) = (admin.clone(), sender.clone());
        // A request whose connection breaks in the crash panics in its own task.
        tokio::spawn(async move {
            let answer = make(n).send(&admin).await.expect(201);
            sender.send((n, answer.text)).unwrap();
        });
    }
    drop(sender);
    let mut before_crash = BTreeMap::new();
    while before_crash.len() < 20 {
        before_crash.extend(answers.recv().await);
    }
    let daemon = daemon.kill_and_restart().await;
    while let Some((n, text)) = answers.recv().await {
        before_crash.insert(n, text);
    }
    let admin = daemon.local();
    for n in 0..200 {
        let answer = make(n).send(&admin).await.expect(201);
        if let Some(text) = before_crash.get(&n) {
            assert_eq!(answer.text, *text);
        }
    }
    let areas = admin.get("/api/areas?limit=1000").await.expect(200).json;
    let areas = areas["areas"].as_array().unwrap();
    let names: std::collections::BTreeSet<_> =
        areas.iter().map(|area| area["name"].as_str()).collect();
    assert_eq!((areas.len(), names.len()), (200, 200));
}

#[tokio::test]
async fn concurrent_writes_with_one_key_act_once_others_get_409() {
    let daemon = Daemon::start().await;
    let admin = daemon.local();
    let write = Write::new("POST", "/api/areas", json!({ "name": "Once" }), "k");
    let mut answers = join_all((0..30).map(|_| write.send(&admin))).await;
    answers.push(write.send(&admin).await);
    let response = answers.last().unwrap().text.clone();
    for answer in answers {
        if answer.status == 409 {
            assert_eq!(answer.header("retry-after"), Some("1"));
            assert_eq!(answer.refused(409), IN_FLIGHT);
        } else {
            assert_eq!(answer.expect(201).text, response);
        }
    }
    let areas = admin.get("/api/areas").await.expect(200).json;
    assert_eq!(areas["areas"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn key_is_scoped_to_principal_method_and_path() {
    let daemon = Daemon::start().await;
    let (admin, other) = (daemon.admin().await, daemon.admin().await);
    let make = |name: &str| Write::new("POST", "/api/areas", json!({ "name": name }), "k");
    let ids = [
        make("A").send(&admin).await.expect(201).json["id"].take(),
        make("B").send(&other).await.expect(201).json["id"].take(),
    ];
    let path = |id: &Value| format!("/api/areas/{}", id.as_str().unwrap());
    let names = [("PUT", 0, "C"), ("PATCH", 0, "D"), ("PUT", 1, "E")];
    for (method, n, name) in names {
        let write = Write::new(method, &path(&ids[n]), json!({ "name": name }), "k");
        let answer = write.send(&admin).await.expect(200);
        assert_eq!(answer.json["name"], name);
    }
    // A revoked token does not get the stored response.
    let token = daemon.token(json!({ "role": "admin", "name": "x" })).await;
    let revoked = daemon.api_of(&token);
    make("F").send(&revoked).await.expect(201);
    let jti = token["jti"].as_str().unwrap();
    admin
        .delete(&format!("/api/tokens/{jti}"))
        .await
        .expect(204);
    assert_eq!(make("F").send(&revoked).await.refused(401), "revoked");
}

#[tokio::test]
async fn error_response_is_not_stored() {
    let daemon = Daemon::start().await;
    let admin = daemon.local();
    let make = |body: Value| Write::new("POST", "/api/areas", body, "k");
    let refused = make(json!({ "name": "" })).send(&admin).await;
    assert_eq!(refused.refused(422), "invalid_field");
    make(json!({ "name": "A" })).send(&admin).await.expect(201);
    let refused = make(json!({ "name": "" })).send(&admin).await;
    assert_eq!(refused.refused(422), REUSED);
}

#[tokio::test]
async fn routes_with_secrets_or_without_principal_ignore_keys() {
    let daemon = Daemon::start().await;
    let (admin, anonymous) = (daemon.admin().await, daemon.unauthenticated());
    let user = json!({ "role": "user", "name": "Ann" });
    for (api, path, body, status, secret) in [
        (&admin, "/api/tokens", user, 201, "token"),
        (&admin, "/api/auth/session", json!({}), 200, "sessionId"),
        (&admin, "/api/pairing/codes", json!({}), 201, "code"),
        (
            &anonymous,
            "/api/pairing/requests",
            json!({}),
            201,
            "pairingToken",
        ),
    ] {
        let write = Write::new("POST", path, body, "malformed, with spaces");
        let first = write.send(api).await.expect(status).json[secret].take();
        let second = write.send(api).await.expect(status).json[secret].take();
        assert!(first.is_string() && first != second, "{path}");
    }
}

#[tokio::test]
async fn malformed_keys_are_refused() {
    let daemon = Daemon::start().await;
    let admin = daemon.local();
    let body = json!({ "name": "A" }).to_string();
    let content_type = ("content-type", "application/json");
    let long = "k".repeat(256);
    for keys in [&[""][..], &["a b"], &["ä"], &[&long], &["a", "b"]] {
        let keys = keys.iter().map(|key| ("idempotency-key", *key));
        let headers: Vec<_> = keys.chain([content_type]).collect();
        let answer = admin.send_text("POST", "/api/areas", &headers, &body).await;
        assert_eq!(answer.json["field"], "Idempotency-Key", "{headers:?}");
        assert_eq!(answer.refused(422), "invalid_field", "{headers:?}");
    }
    let areas = admin.get("/api/areas").await.expect(200).json;
    assert_eq!(areas["areas"], json!([]));
    let write = Write::new("POST", "/api/areas", json!({ "name": "A" }), &long[1..]);
    write.send(&admin).await.expect(201);
    write.send(&admin).await.expect(201);
    let areas = admin.get("/api/areas").await.expect(200).json;
    assert_eq!(areas["areas"].as_array().unwrap().len(), 1);
}
