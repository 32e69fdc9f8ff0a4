//! How a request is refused (contract section 6), and that nothing comes of one that was.

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::Request;
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use crate::support::{Daemon, soon, tls_stream};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

#[tokio::test]
async fn each_fault_has_its_status_and_the_one_shape() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let client = daemon.api(&tablet.token);
    let stranger = daemon.stranger();
    let text: &[(&str, &str)] = &[("content-type", "text/plain")];
    let form: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];
    let basic: &[(&str, &str)] = &[("authorization", "Basic YTpi")];
    let table = [
        (&admin, "POST", "/api/areas", JSON, "{", 400),
        (&admin, "POST", "/api/areas", JSON, "[]", 400),
        (&admin, "POST", "/api/areas", JSON, "\"name\"", 400),
        (&admin, "POST", "/api/areas", JSON, "null", 400),
        (
            &admin,
            "POST",
            "/api/areas",
            JSON,
            "{\"name\":\"a\"} x",
            400,
        ),
        (&stranger, "POST", "/api/pairing/complete", JSON, "{", 400),
        (&stranger, "GET", "/api/areas", &[], "", 401),
        (&stranger, "GET", "/api/areas", basic, "", 401),
        (&client, "POST", "/api/areas", JSON, "{", 403),
        (&admin, "GET", "/nowhere", &[], "", 404),
        (&admin, "GET", "/api/areas/", &[], "", 404),
        (&admin, "GET", "/api/areas/none", &[], "", 404),
        (&admin, "GET", "/api/areas/%FF", &[], "", 404),
        (&admin, "DELETE", "/api/areas", &[], "", 405),
        (&admin, "POST", "/api/areas", text, "{\"name\":\"a\"}", 415),
        (&admin, "POST", "/api/areas", form, "name=a", 415),
        (&admin, "POST", "/api/areas", &[], "{\"name\":\"a\"}", 415),
        (&admin, "POST", "/api/areas", JSON, "{}", 422),
        (&admin, "GET", "/api/areas?limit=0", &[], "", 422),
        (&admin, "GET", "/api/areas?limit=1001", &[], "", 422),
        (&admin, "GET", "/api/areas?limit=many", &[], "", 422),
        (&admin, "GET", "/api/areas?cursor=rubbish", &[], "", 422),
    ];
    for (caller, method, path, headers, body, status) in table {
        let answer = caller.send_text(method, path, headers, body).await;
        let what = format!("{method} {path} {body}: {}", answer.text);
        assert_eq!(answer.status, status, "{what}");
        let kind = answer.header("content-type");
        assert_eq!(kind, Some("application/json; charset=utf-8"), "{what}");
        assert_eq!(answer.json["field"].is_string(), status == 422, "{what}");
        assert_eq!(answer.header("allow").is_some(), status == 405, "{what}");
        let keys = answer.json.as_object().unwrap().keys();
        let known = ["success", "error", "code", "timestamp", "field"];
        assert!(
            keys.into_iter().all(|key| known.contains(&key.as_str())),
            "{what}"
        );
        let at = answer.json["timestamp"].as_str().unwrap();
        assert!(at.len() == 24 && at.ends_with('Z'), "{what}");
        assert!(!answer.refused(status).is_empty());
    }
    let areas = admin.get("/api/areas").await.expect(200).json;
    assert_eq!(areas, json!({ "areas": [], "nextCursor": null }));
    let with_charset = [("content-type", "Application/JSON; charset=utf-8")];
    let body = r#"{"name":"a"}"#;
    admin
        .send_text("POST", "/api/areas", &with_charset, body)
        .await
        .expect(201);
}

#[tokio::test]
async fn a_method_that_a_path_does_not_know_is_told_those_that_it_does() {
    let daemon = Daemon::start().await;
    let stranger = daemon.stranger();
    for (method, path, allowed) in [
        ("DELETE", "/api/areas", vec!["GET", "POST"]),
        (
            "POST",
            "/api/areas/x",
            vec!["DELETE", "GET", "PATCH", "PUT"],
        ),
        ("GET", "/api/areas/x/toggle", vec!["PATCH"]),
        ("GET", "/api/clients/x/areas/y", vec!["DELETE", "POST"]),
        ("DELETE", "/api/tokens/refresh", vec!["POST"]),
        ("GET", "/api/auth/session", vec!["DELETE", "POST"]),
        ("POST", "/health", vec!["GET"]),
        ("BREW", "/health", vec!["GET"]),
        ("PUT", "/", vec!["GET"]),
    ] {
        let answer = stranger.send_text(method, path, &[], "").await;
        let mut told: Vec<_> = answer.header("allow").expect(path).split(", ").collect();
        told.sort_unstable();
        assert_eq!(told, allowed, "{method} {path}");
        assert_eq!(answer.refused(405), "method_not_allowed");
    }
}

#[tokio::test]
async fn a_body_over_64_kib_is_refused_with_or_without_its_length() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let padded = |bytes: usize| {
        let body = json!({ "name": "A", "padding": "" }).to_string();
        body.replace("\"\"", &format!("\"{}\"", "x".repeat(bytes - body.len())))
    };
    let fits = padded(64 * 1024);
    admin
        .send_text("POST", "/api/areas", JSON, &fits)
        .await
        .expect(201);
    let over = padded(64 * 1024 + 1);
    let answer = admin.send_text("POST", "/api/areas", JSON, &over).await;
    assert_eq!(answer.refused(413), "body_too_large");

    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let stream = tls_stream(daemon.https, daemon.tls.clone()).await;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let parts =
        (0..5).map(|_| Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![b' '; 16_384]))));
    let request = Request::post("/api/areas")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header(
            "authorization",
            format!("Bearer {}", token["token"].as_str().unwrap()),
        )
        .body(StreamBody::new(stream::iter(parts)))
        .unwrap();
    let answer = soon("an answer", sender.send_request(request))
        .await
        .unwrap();
    assert_eq!(answer.status(), 413);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["code"], "body_too_large");
    let areas = admin.get("/api/areas").await.expect(200).json;
    assert_eq!(areas["areas"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn whoever_asks_for_more_gets_403_and_learns_of_nothing() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let other = daemon.pair("Other", &[&area]).await;
    let client = daemon.pair("Wall", &[]).await;
    let user = daemon.token(json!({ "role": "user", "name": "Ann" })).await;
    let asked = daemon
        .stranger()
        .post("/api/pairing/requests", json!({}))
        .await
        .expect(201);
    let asked_too = daemon
        .stranger()
        .post("/api/pairing/requests", json!({}))
        .await
        .expect(201);
    let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
    let (waiting, foreign) = (
        text(&asked_too.json, "pairingId"),
        text(&asked.json, "pairingId"),
    );
    let jti = text(&user, "jti");
    let callers = [
        ("client", daemon.api(&client.token)),
        ("user", daemon.api_of(&user)),
        (
            "pairing",
            daemon.api(&text(&asked_too.json, "pairingToken")),
        ),
    ];
    // Each with a thing that is there and with one that is not.
    let ids = |there: &str| [there.to_owned(), "none".to_owned()];
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
    for id in ids(&foreign) {
        paths.push(("GET", format!("/api/pairing/requests/{id}")));
        paths.push(("POST", format!("/api/pairing/requests/{id}/approve")));
        paths.push(("POST", format!("/api/pairing/requests/{id}/deny")));
    }
    paths.extend(ids(&jti).map(|id| ("DELETE", format!("/api/tokens/{id}"))));
    for (who, api) in &callers {
        let mut texts = std::collections::HashSet::new();
        for (method, path) in &paths {
            let answer = api.send_text(method, path, JSON, "{}").await;
            texts.insert(answer.json["error"].to_string());
            assert_eq!(answer.status, 403, "{who} {method} {path}: {}", answer.text);
            assert_eq!(answer.refused(403), "forbidden");
        }
        assert_eq!(texts.len(), 1, "{who} could tell them apart: {texts:?}");
    }
    for (who, api) in &callers[1..] {
        assert_eq!(
            api.get("/api/areas").await.refused(403),
            "forbidden",
            "{who}"
        );
    }
    // Nothing came of any of it.
    admin.get(&format!("/api/areas/{area}")).await.expect(200);
    daemon.api(&other.token).get("/api/me").await.expect(200);
    daemon.api_of(&user).get("/api/me").await.expect(200);
    let own = format!("/api/pairing/requests/{waiting}");
    callers[2].1.get(&own).await.expect(200);
}

#[tokio::test]
async fn a_failed_request_changes_nothing_and_tells_nobody() {
    let daemon = Daemon::start().await;
    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let admin = daemon.api_of(&token);
    let (one, two) = (
        admin.create_area("One").await,
        admin.create_area("Two").await,
    );
    let tablet = daemon.pair("Wall", &[&one]).await;
    let mut wall = daemon.connect(&tablet.token).await;
    wall.next_of("connection").await;
    let mut office = daemon.connect(token["token"].as_str().unwrap()).await;
    office.next_of("connection").await;
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
        // The one key that moves by itself while a tablet is there.
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
    wall.heard_nothing().await;
    office.heard_nothing().await;
}

#[tokio::test]
async fn lists_come_in_pages_that_meet() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    for n in 0..5 {
        admin.create_area(&format!("Area {n}")).await;
        daemon.pair(&format!("Wall {n}"), &[]).await;
    }
    for n in 0..3 {
        let body = json!({ "name": format!("Waiting {n}") });
        daemon
            .stranger()
            .post("/api/pairing/requests", body)
            .await
            .expect(201);
    }
    for (path, plural, id) in [
        ("/api/areas", "areas", "id"),
        ("/api/clients", "clients", "id"),
        ("/api/tokens", "tokens", "jti"),
        ("/api/audit", "entries", "id"),
        ("/api/pairing/requests", "requests", "pairingId"),
    ] {
        let ids = |page: &Value| -> Vec<Value> {
            let items = page[plural].as_array().expect(plural);
            items.iter().map(|item| item[id].clone()).collect()
        };
        let whole = admin.get(path).await.expect(200).json;
        assert_eq!(whole["nextCursor"], Value::Null, "{path}");
        let all = ids(&whole);
        assert!(all.len() >= 3, "{path}");
        let mut met = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = format!("{path}?limit=2{cursor}");
            let page = admin.get(&page).await.expect(200).json;
            assert!(ids(&page).len() <= 2, "{path}");
            met.extend(ids(&page));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(met, all, "{path}");
        let exact = admin
            .get(&format!("{path}?limit={}", all.len()))
            .await
            .expect(200)
            .json;
        assert_eq!(exact["nextCursor"], Value::Null, "{path}");
    }
}
