//! Session ids, their cookie, and which web pages it may be used from (contract 3 and 6.2).

use hyper::Method;
use serde_json::json;

use crate::support::{Answer, Api, Daemon, Socket, Tablet};

const PANEL: &str = "https://panel.example";

struct Session {
    id: String,
    cookie: String,
}

async fn open(daemon: &Daemon, token: &str) -> (Session, Answer) {
    let answer = daemon.api(token).post("/api/auth/session", json!({})).await;
    let answer = answer.expect(200);
    let id = answer.json["sessionId"].as_str().expect("an id").to_owned();
    let cookie = format!("sessionId={id}");
    (Session { id, cookie }, answer)
}

fn by_cookie(daemon: &Daemon, session: &Session) -> Api {
    daemon
        .unauthenticated()
        .with_header("cookie", &session.cookie)
}

#[tokio::test]
async fn a_session_id_is_taken_by_cookie_and_by_bearer_and_on_sockets_by_query() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let (session, _) = open(&daemon, &tablet.token).await;
    for api in [by_cookie(&daemon, &session), daemon.api(&session.id)] {
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
    // What a page says goes before what its browser adds by itself.
    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let (admin, _) = open(&daemon, token["token"].as_str().unwrap()).await;
    let both = format!("/ws{query}");
    let mut socket = Socket::open_with(&daemon, &both, &[("cookie", &admin.cookie)]).await;
    let socket = socket.as_mut().ok().unwrap();
    assert_eq!(socket.next().await["data"]["clientId"], tablet.id);
    // Elsewhere a session id does not belong in a URL.
    let answer = daemon
        .unauthenticated()
        .get(&format!("/api/me{query}"))
        .await;
    assert_eq!(answer.refused(401), "unauthenticated");
    assert!(!daemon.log().contains(&session.id));
}

#[tokio::test]
async fn the_cookie_is_for_our_own_pages_over_tls_as_long_as_the_token_lives() {
    let daemon = Daemon::start().await;
    let token = daemon
        .token(json!({ "role": "admin", "name": "a", "ttlSeconds": 1000 }))
        .await;
    let (session, answer) = open(&daemon, token["token"].as_str().unwrap()).await;
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
async fn a_session_id_outlives_a_restart_and_is_nowhere_kept_as_it_is() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let (session, _) = open(&daemon, &tablet.token).await;
    let daemon = daemon.restart().await;
    by_cookie(&daemon, &session)
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
async fn delete_ends_a_session_id_and_no_other() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let (first, _) = open(&daemon, &tablet.token).await;
    let (second, _) = open(&daemon, &tablet.token).await;
    let ended = by_cookie(&daemon, &first)
        .delete("/api/auth/session")
        .await
        .expect(204);
    let cookie = ended
        .header("set-cookie")
        .expect("the cookie is taken back");
    assert!(cookie.starts_with("sessionId=;") && cookie.contains("Max-Age=0"));
    assert_eq!(
        by_cookie(&daemon, &first).get("/api/me").await.refused(401),
        "invalid_token"
    );
    by_cookie(&daemon, &second).get("/api/me").await.expect(200);
    daemon.api(&tablet.token).get("/api/me").await.expect(200);
}

#[tokio::test]
async fn a_seventeenth_session_id_of_a_token_ends_its_oldest_alone() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let other = daemon.pair("Hall", &[]).await;
    let (bystander, _) = open(&daemon, &other.token).await;
    let (oldest, _) = open(&daemon, &tablet.token).await;
    let mut kept = vec![bystander];
    for _ in 1..16 {
        kept.push(open(&daemon, &tablet.token).await.0);
    }
    by_cookie(&daemon, &oldest).get("/api/me").await.expect(200);
    kept.push(open(&daemon, &tablet.token).await.0);
    let answer = by_cookie(&daemon, &oldest).get("/api/me").await;
    assert_eq!(answer.refused(401), "invalid_token");
    for session in &kept {
        by_cookie(&daemon, session).get("/api/me").await.expect(200);
    }
}

#[tokio::test]
async fn a_session_id_is_made_from_a_token_alone() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let (session, _) = open(&daemon, &tablet.token).await;
    for api in [
        daemon.unauthenticated(),
        by_cookie(&daemon, &session),
        daemon.api(&session.id),
    ] {
        api.post("/api/auth/session", json!({})).await.refused(401);
    }
    let asked = daemon
        .unauthenticated()
        .post("/api/pairing/requests", json!({}))
        .await
        .expect(201);
    let waiting = daemon.api(asked.json["pairingToken"].as_str().unwrap());
    assert_eq!(
        waiting
            .post("/api/auth/session", json!({}))
            .await
            .refused(403),
        "forbidden"
    );
}

async fn as_admin() -> (Daemon, Session) {
    let daemon = Daemon::with(&[("CORS_ORIGINS", PANEL)]).await;
    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let (session, _) = open(&daemon, token["token"].as_str().unwrap()).await;
    (daemon, session)
}

#[tokio::test]
async fn a_cookie_counts_for_our_own_pages_and_cors_origins_and_for_no_browser_at_all() {
    let (daemon, session) = as_admin().await;
    let own = format!("https://localhost:{}", daemon.https.port());
    let other_port = "https://localhost:1".to_owned();
    let plain = own.replace("https", "http");
    let table: [(&[(&'static str, &str)], bool); 12] = [
        (&[], true),
        (&[("origin", &own)], true),
        (&[("origin", PANEL)], true),
        (&[("sec-fetch-site", "same-origin")], true),
        (&[("origin", &own), ("sec-fetch-site", "same-origin")], true),
        (&[("sec-fetch-site", "none")], false),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("origin", &other_port)], false),
        (&[("origin", &plain)], false),
        (&[("origin", "https://evil.example")], false),
        (&[("origin", "null")], false),
    ];
    for (headers, passes) in table {
        let api = by_cookie(&daemon, &session);
        let json = [headers, &[("content-type", "application/json")]].concat();
        let read = api.send_text("GET", "/api/areas", headers, "").await;
        let write = api
            .send_text("POST", "/api/areas", &json, r#"{"name":"A"}"#)
            .await;
        let with_cookie = [headers, &[("cookie", session.cookie.as_str())]].concat();
        let socket = Socket::open_with(&daemon, "/ws", &with_cookie).await;
        if passes {
            read.expect(200);
            write.expect(201);
            assert_eq!(socket.err(), None, "{headers:?}");
        } else {
            assert_eq!(read.refused(403), "foreign_origin", "{headers:?}");
            assert_eq!(write.refused(403), "foreign_origin", "{headers:?}");
            assert_eq!(socket.err(), Some(403), "{headers:?}");
        }
        // What is not sent by itself counts from anywhere.
        let bearer = daemon.api(&session.id);
        bearer
            .send_text("GET", "/api/areas", headers, "")
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn cors_origins_get_credentials_and_the_preflight_they_need_and_others_get_nothing() {
    let (daemon, session) = as_admin().await;
    let api = by_cookie(&daemon, &session);
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        let asked = [
            ("origin", PANEL),
            ("access-control-request-method", method),
            (
                "access-control-request-headers",
                "authorization,content-type,idempotency-key",
            ),
        ];
        let preflight = daemon
            .unauthenticated()
            .send_text("OPTIONS", "/api/areas/x", &asked, "")
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
    let evil = [
        ("origin", "https://evil.example"),
        ("access-control-request-method", "GET"),
    ];
    for method in [Method::OPTIONS, Method::GET] {
        let answer = api
            .send_text(method.as_str(), "/api/areas", &evil, "")
            .await;
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
}

#[tokio::test]
async fn refresh_by_cookie_moves_the_session_and_its_sockets_and_tells_no_token() {
    let daemon = Daemon::with(&[("CLIENT_TOKEN_DAYS", "2")]).await;
    let client = daemon
        .token(json!({ "role": "client", "name": "Wall", "ttlSeconds": 60 }))
        .await;
    let tablet = Tablet {
        id: client["subject"].as_str().unwrap().to_owned(),
        token: client["token"].as_str().unwrap().to_owned(),
    };
    let (session, _) = open(&daemon, &tablet.token).await;
    let api = by_cookie(&daemon, &session);
    let mut socket = daemon.connect(&tablet.token).await;
    socket.next_of("connection").await;

    let refreshed = api.post("/api/tokens/refresh", json!({})).await.expect(200);
    assert!(refreshed.json.get("token").is_none(), "{}", refreshed.text);
    let jti = refreshed.json["jti"]
        .as_str()
        .expect("the new identity")
        .to_owned();
    assert_ne!(refreshed.json["jti"], client["jti"]);
    let me = api.get("/api/me").await.expect(200).json;
    assert_eq!(
        (&me["jti"], &me["clientId"]),
        (&json!(jti), &json!(tablet.id))
    );
    // The browser must keep the cookie as long as the new token lives.
    let cookie = refreshed.header("set-cookie").expect("the cookie again");
    assert!(
        cookie.starts_with(&format!("{};", session.cookie)),
        "{cookie}"
    );
    let age = cookie.rsplit_once("Max-Age=").expect("an age").1;
    assert!(age.parse::<i64>().unwrap() > 86_400, "{age}");
    // The socket went along: it ends with the new token.
    socket.assert_nothing_received().await;
    daemon
        .local()
        .delete(&format!("/api/tokens/{jti}"))
        .await
        .expect(204);
    assert_eq!(socket.closed().await, (4403, "revoked".to_owned()));
    api.get("/api/me").await.refused(401);
}
