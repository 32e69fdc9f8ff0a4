//! Session ids, the cookie that carries them, and from which origins that cookie is accepted.
//! See docs/protocol.md#session-ids and docs/protocol.md#browser-origins.

use hyper::Method;
use serde_json::json;

use crate::support::{Answer, Api, Daemon, Socket, Tablet};

const PANEL: &str = "https://panel.example";

struct Session {
    id: String,
    cookie: String,
}

async fn open_session(daemon: &Daemon, token: &str) -> (Session, Answer) {
    let answer = daemon.api(token).post("/api/auth/session", json!({})).await;
    let answer = answer.expect(200);
    let id = answer.json["sessionId"].as_str().expect("an id").to_owned();
    let cookie = format!("sessionId={id}");
    (Session { id, cookie }, answer)
}

fn api_by_cookie(daemon: &Daemon, session: &Session) -> Api {
    daemon
        .unauthenticated()
        .with_header("cookie", &session.cookie)
}

#[tokio::test]
async fn session_id_is_accepted_in_cookie_bearer_and_socket_query() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let (session, _) = open_session(&daemon, &tablet.token).await;
    for api in [api_by_cookie(&daemon, &session), daemon.api(&session.id)] {
        let me = api.get("/api/me").await.expect(200).json;
        assert_eq!(me["clientId"], tablet.id);
    }
    let among_others = format!("a=b; {}; c=d", session.cookie);
    let api = daemon
        .unauthenticated()
        .with_header("cookie", &among_others);
    api.get("/api/me").await.expect(200);

    let query = format!("?sessionId={}", session.id);
    let mut socket = Socket::open(&daemon, &format!("/ws{query}"), None)
        .await
        .ok()
        .unwrap();
    assert_eq!(socket.next().await["data"]["clientId"], tablet.id);
    let mut socket = Socket::open_with(&daemon, "/ws", &[("cookie", &session.cookie)]).await;
    let socket = socket.as_mut().ok().unwrap();
    assert_eq!(socket.next().await["data"]["clientId"], tablet.id);
    // A session id that the page puts in the URL takes precedence over the cookie.
    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let (admin, _) = open_session(&daemon, token["token"].as_str().unwrap()).await;
    let both = format!("/ws{query}");
    let mut socket = Socket::open_with(&daemon, &both, &[("cookie", &admin.cookie)]).await;
    let socket = socket.as_mut().ok().unwrap();
    assert_eq!(socket.next().await["data"]["clientId"], tablet.id);
    // Only sockets accept a session id in the URL.
    let answer = daemon
        .unauthenticated()
        .get(&format!("/api/me{query}"))
        .await;
    assert_eq!(answer.refused(401), "unauthenticated");
    assert!(!daemon.log().contains(&session.id));
}

#[tokio::test]
async fn cookie_is_strict_secure_and_lives_as_long_as_the_token() {
    let daemon = Daemon::start().await;
    let token = daemon
        .token(json!({ "role": "admin", "name": "a", "ttlSeconds": 1000 }))
        .await;
    let (session, answer) = open_session(&daemon, token["token"].as_str().unwrap()).await;
    assert_eq!(answer.json["expiresAt"], token["expiresAt"]);
    let cookie = answer.header("set-cookie").expect("a cookie");
    let mut parts: Vec<_> = cookie.split("; ").collect();
    assert_eq!(parts.remove(0), session.cookie);
    let (ages, parts): (Vec<_>, Vec<_>) = parts
        .into_iter()
        .partition(|part| part.starts_with("Max-Age="));
    assert_eq!(parts, ["HttpOnly", "Secure", "SameSite=Strict", "Path=/"]);
    let age: i64 = ages[0]["Max-Age=".len()..].parse().unwrap();
    assert!((1..=1000).contains(&age), "{age}");
}

#[tokio::test]
async fn session_id_survives_restart_and_is_never_stored_in_plain() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let (session, _) = open_session(&daemon, &tablet.token).await;
    let daemon = daemon.restart().await;
    api_by_cookie(&daemon, &session)
        .get("/api/me")
        .await
        .expect(200);
    for file in std::fs::read_dir(daemon.folder()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        for secret in [&session.id, &tablet.token] {
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}

#[tokio::test]
async fn delete_ends_only_the_given_session_id() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let (first, _) = open_session(&daemon, &tablet.token).await;
    let (second, _) = open_session(&daemon, &tablet.token).await;
    let ended = api_by_cookie(&daemon, &first)
        .delete("/api/auth/session")
        .await
        .expect(204);
    let cookie = ended
        .header("set-cookie")
        .expect("a cookie that deletes the old one");
    assert!(cookie.starts_with("sessionId=;") && cookie.contains("Max-Age=0"));
    assert_eq!(
        api_by_cookie(&daemon, &first)
            .get("/api/me")
            .await
            .refused(401),
        "invalid_token"
    );
    api_by_cookie(&daemon, &second)
        .get("/api/me")
        .await
        .expect(200);
    daemon.api(&tablet.token).get("/api/me").await.expect(200);
}

#[tokio::test]
async fn seventeenth_session_id_ends_only_the_oldest() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let other = daemon.pair("Hall", &[]).await;
    let (unrelated, _) = open_session(&daemon, &other.token).await;
    let (oldest, _) = open_session(&daemon, &tablet.token).await;
    let mut valid = vec![unrelated];
    for _ in 1..16 {
        valid.push(open_session(&daemon, &tablet.token).await.0);
    }
    api_by_cookie(&daemon, &oldest)
        .get("/api/me")
        .await
        .expect(200);
    valid.push(open_session(&daemon, &tablet.token).await.0);
    let answer = api_by_cookie(&daemon, &oldest).get("/api/me").await;
    assert_eq!(answer.refused(401), "invalid_token");
    for session in &valid {
        api_by_cookie(&daemon, session)
            .get("/api/me")
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn session_id_is_issued_for_access_tokens_only() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let (session, _) = open_session(&daemon, &tablet.token).await;
    for api in [
        daemon.unauthenticated(),
        api_by_cookie(&daemon, &session),
        daemon.api(&session.id),
    ] {
        api.post("/api/auth/session", json!({})).await.refused(401);
    }
    let request = daemon
        .unauthenticated()
        .post("/api/pairing/requests", json!({}))
        .await
        .expect(201);
    let pairing = daemon.api(request.json["pairingToken"].as_str().unwrap());
    assert_eq!(
        pairing
            .post("/api/auth/session", json!({}))
            .await
            .refused(403),
        "forbidden"
    );
}

/// Starts a daemon with [`PANEL`] as CORS origin and opens a session as admin.
async fn start_with_admin_session() -> (Daemon, Session) {
    let daemon = Daemon::with(&[("CORS_ORIGINS", PANEL)]).await;
    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let (session, _) = open_session(&daemon, token["token"].as_str().unwrap()).await;
    (daemon, session)
}

#[tokio::test]
async fn cookie_is_accepted_from_own_and_cors_origins_only() {
    let (daemon, session) = start_with_admin_session().await;
    let own_origin = format!("https://localhost:{}", daemon.https.port());
    let other_port = "https://localhost:1".to_owned();
    let plain_http = own_origin.replace("https", "http");
    let cases: [(&[(&'static str, &str)], bool); 12] = [
        (&[], true),
        (&[("origin", &own_origin)], true),
        (&[("origin", PANEL)], true),
        (&[("sec-fetch-site", "same-origin")], true),
        (
            &[("origin", &own_origin), ("sec-fetch-site", "same-origin")],
            true,
        ),
        (&[("sec-fetch-site", "none")], false),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("origin", &other_port)], false),
        (&[("origin", &plain_http)], false),
        (&[("origin", "https://evil.example")], false),
        (&[("origin", "null")], false),
    ];
    for (headers, is_accepted) in cases {
        let api = api_by_cookie(&daemon, &session);
        let json = [headers, &[("content-type", "application/json")]].concat();
        let read = api.send_text("GET", "/api/areas", headers, "").await;
        let write = api
            .send_text("POST", "/api/areas", &json, r#"{"name":"A"}"#)
            .await;
        let with_cookie = [headers, &[("cookie", session.cookie.as_str())]].concat();
        let socket = Socket::open_with(&daemon, "/ws", &with_cookie).await;
        if is_accepted {
            read.expect(200);
            write.expect(201);
            assert_eq!(socket.err(), None, "{headers:?}");
        } else {
            assert_eq!(read.refused(403), "foreign_origin", "{headers:?}");
            assert_eq!(write.refused(403), "foreign_origin", "{headers:?}");
            assert_eq!(socket.err(), Some(403), "{headers:?}");
        }
        // A browser does not add a bearer token by itself, so it is accepted from any origin.
        let bearer = daemon.api(&session.id);
        bearer
            .send_text("GET", "/api/areas", headers, "")
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn cors_headers_are_sent_to_configured_origins_only() {
    let (daemon, session) = start_with_admin_session().await;
    let api = api_by_cookie(&daemon, &session);
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        let headers = [
            ("origin", PANEL),
            ("access-control-request-method", method),
            (
                "access-control-request-headers",
                "authorization,content-type,idempotency-key",
            ),
        ];
        let preflight = daemon
            .unauthenticated()
            .send_text("OPTIONS", "/api/areas/x", &headers, "")
            .await;
        let preflight = preflight.expect(204);
        assert_eq!(preflight.header("access-control-allow-origin"), Some(PANEL));
        assert_eq!(
            preflight.header("access-control-allow-credentials"),
            Some("true")
        );
        let listed = |header: &str, word: &str| {
            let list = preflight.header(header).expect(header);
            list.split(", ").any(|item| item.eq_ignore_ascii_case(word))
        };
        assert!(listed("access-control-allow-methods", method), "{method}");
        for header in ["authorization", "content-type", "idempotency-key"] {
            assert!(listed("access-control-allow-headers", header), "{header}");
        }
    }
    for path in ["/api/areas", "/api/areas/none", "/nowhere"] {
        let answer = api.send_text("GET", path, &[("origin", PANEL)], "").await;
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some(PANEL),
            "{path}"
        );
        assert_eq!(
            answer.header("access-control-allow-credentials"),
            Some("true")
        );
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
    let foreign = [
        ("origin", "https://evil.example"),
        ("access-control-request-method", "GET"),
    ];
    for method in [Method::OPTIONS, Method::GET] {
        let answer = api
            .send_text(method.as_str(), "/api/areas", &foreign, "")
            .await;
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
}

#[tokio::test]
async fn refresh_by_cookie_moves_session_without_showing_token() {
    let daemon = Daemon::with(&[("CLIENT_TOKEN_DAYS", "2")]).await;
    let client = daemon
        .token(json!({ "role": "client", "name": "Wall", "ttlSeconds": 60 }))
        .await;
    let tablet = Tablet {
        id: client["subject"].as_str().unwrap().to_owned(),
        token: client["token"].as_str().unwrap().to_owned(),
    };
    let (session, _) = open_session(&daemon, &tablet.token).await;
    let api = api_by_cookie(&daemon, &session);
    let mut socket = daemon.connect(&tablet.token).await;
    socket.next_of("connection").await;

    let refreshed = api.post("/api/tokens/refresh", json!({})).await.expect(200);
    assert!(refreshed.json.get("token").is_none(), "{}", refreshed.text);
    let jti = refreshed.json["jti"]
        .as_str()
        .expect("the id of the new token")
        .to_owned();
    assert_ne!(refreshed.json["jti"], client["jti"]);
    let me = api.get("/api/me").await.expect(200).json;
    assert_eq!(
        (&me["jti"], &me["clientId"]),
        (&json!(jti), &json!(tablet.id))
    );
    // The response renews the cookie, so that the browser keeps it as long as the new token lives.
    let cookie = refreshed.header("set-cookie").expect("a renewed cookie");
    assert!(
        cookie.starts_with(&format!("{};", session.cookie)),
        "{cookie}"
    );
    let age = cookie.rsplit_once("Max-Age=").expect("an age").1;
    assert!(age.parse::<i64>().unwrap() > 86_400, "{age}");
    // The socket now belongs to the new token and closes when that is revoked.
    socket.assert_nothing_received().await;
    daemon
        .local()
        .delete(&format!("/api/tokens/{jti}"))
        .await
        .expect(204);
    assert_eq!(socket.closed().await, (4403, "revoked".to_owned()));
    api.get("/api/me").await.refused(401);
}
