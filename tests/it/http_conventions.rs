//! Conventions of the HTTP API: the status and fields of errors, that a refused request has no
//! effect, body size limits, and pages of lists. See docs/protocol.md#http-conventions.

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
async fn errors_have_documented_status_and_fields() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let client = daemon.api(&tablet.token);
    let anonymous = daemon.unauthenticated();
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
        (&anonymous, "POST", "/api/pairing/complete", JSON, "{", 400),
        (&anonymous, "GET", "/api/areas", &[], "", 401),
        (&anonymous, "GET", "/api/areas", basic, "", 401),
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
        let content_type = answer.header("content-type");
        assert_eq!(
            content_type,
            Some("application/json; charset=utf-8"),
            "{what}"
        );
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
async fn unsupported_method_gets_405_with_allow_header() {
    let daemon = Daemon::start().await;
    let anonymous = daemon.unauthenticated();
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
        let answer = anonymous.send_text(method, path, &[], "").await;
        let mut methods: Vec<_> = answer.header("allow").expect(path).split(", ").collect();
        methods.sort_unstable();
        assert_eq!(methods, allowed, "{method} {path}");
        assert_eq!(answer.refused(405), "method_not_allowed");
    }
}

#[tokio::test]
async fn body_over_64_kib_gets_413_with_or_without_length() {
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
    let too_large = padded(64 * 1024 + 1);
    let answer = admin
        .send_text("POST", "/api/areas", JSON, &too_large)
        .await;
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
async fn list_pages_join_to_the_whole_list() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    for n in 0..5 {
        admin.create_area(&format!("Area {n}")).await;
        daemon.pair(&format!("Wall {n}"), &[]).await;
    }
    for n in 0..3 {
        let body = json!({ "name": format!("Waiting {n}") });
        daemon
            .unauthenticated()
            .post("/api/pairing/requests", body)
            .await
            .expect(201);
    }
    for (path, key, id) in [
        ("/api/areas", "areas", "id"),
        ("/api/clients", "clients", "id"),
        ("/api/tokens", "tokens", "jti"),
        ("/api/audit", "entries", "id"),
        ("/api/pairing/requests", "requests", "pairingId"),
    ] {
        let ids = |page: &Value| -> Vec<Value> {
            let items = page[key].as_array().expect(key);
            items.iter().map(|item| item[id].clone()).collect()
        };
        let whole = admin.get(path).await.expect(200).json;
        assert_eq!(whole["nextCursor"], Value::Null, "{path}");
        let all = ids(&whole);
        assert!(all.len() >= 3, "{path}");
        let mut joined = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = format!("{path}?limit=2{cursor}");
            let page = admin.get(&page).await.expect(200).json;
            assert!(ids(&page).len() <= 2, "{path}");
            joined.extend(ids(&page));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(joined, all, "{path}");
        let exact = admin
            .get(&format!("{path}?limit={}", all.len()))
            .await
            .expect(200)
            .json;
        assert_eq!(exact["nextCursor"], Value::Null, "{path}");
    }
}

#[tokio::test]
async fn websocket_path_without_upgrade_gets_426_or_405() {
    let daemon = Daemon::start().await;
    let anonymous = daemon.unauthenticated();
    for path in ["/ws", "/ws/lockers", "/ws/help", "/ws/events"] {
        let answer = anonymous.get(path).await;
        assert_eq!(answer.header("upgrade"), Some("websocket"), "{path}");
        assert_eq!(answer.refused(426), "upgrade_required");
        for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE"] {
            let answer = anonymous.send_text(method, path, &[], "").await;
            assert_eq!(answer.header("allow"), Some("GET"), "{method} {path}");
            assert_eq!(answer.refused(405), "method_not_allowed");
        }
    }
}
