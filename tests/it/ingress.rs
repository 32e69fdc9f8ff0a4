//! The ingress listener: it accepts Supervisor's proxy only, admins only, and allowed origins only
//! (docs/protocol.md#ingress, docs/protocol.md#browser-origins).

use serde_json::json;

use crate::support::{Answer, Api, Daemon};
use crate::web::assert_strict;

const FROM_LOOPBACK: (&str, &str) = ("INGRESS_FROM", "127.0.0.1");
const LISTEN: (&str, &str) = ("INGRESS_LISTEN", "127.0.0.1:0");
const UNVERIFIED: (&str, &str) = ("INGRESS_VERIFY_ADMIN", "false");

fn ingress(daemon: &Daemon) -> Api {
    Api::plain(daemon.ingress.expect("an ingress address"))
}

#[tokio::test]
async fn peer_other_than_supervisors_proxy_gets_403() {
    let daemon = Daemon::with(&[LISTEN, UNVERIFIED]).await;
    // Forwarding headers do not help, not even from a trusted proxy.
    let api = ingress(&daemon).with_header("x-forwarded-for", "172.30.32.2");
    for path in [
        "/",
        "/health",
        "/api/areas",
        "/wallcast.js",
        "/ws",
        "/socket.io/",
    ] {
        assert_eq!(api.get(path).await.refused(403), "not_ingress", "{path}");
    }
    let trusts_proxy = Daemon::with(&[LISTEN, UNVERIFIED, ("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let api = ingress(&trusts_proxy).with_header("x-forwarded-for", "172.30.32.2");
    assert_eq!(api.get("/").await.refused(403), "not_ingress");
}

#[tokio::test]
async fn ingress_is_closed_while_admins_cannot_be_looked_up() {
    let daemon = Daemon::with(&[LISTEN, FROM_LOOPBACK]).await;
    let table: [(&[&str], &str); 4] = [
        (&["5f0e"], "cannot ask Home Assistant"),
        (&[], "did not say which user"),
        (&[""], "did not say which user"),
        (&["5f0e", "5f0e"], "did not say which user"),
    ];
    for (users, reason) in table {
        let mut api = ingress(&daemon);
        for user in users {
            api = api.with_header("x-remote-user-id", user);
        }
        for (method, path) in [
            ("GET", "/api/areas"),
            ("POST", "/api/tokens"),
            ("GET", "/api/me"),
        ] {
            let answer = api.send_text(method, path, &[], "").await;
            assert!(answer.text.contains(reason), "{users:?}: {}", answer.text);
            assert_eq!(answer.refused(403), "not_an_admin");
        }
        assert_eq!(upgrade(&api, &[]).await.refused(403), "not_an_admin");
        // A browser gets a page that gives the reason and loads its style sheet.
        let page = api.get("/").await.expect(403);
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert_strict(page.header("content-security-policy").expect("a policy"));
        assert!(page.text.contains(reason), "{}", page.text);
        let style = page.text.split('"').find(|link| link.ends_with(".css"));
        let style = format!("/{}", style.expect("a style sheet"));
        api.get(&style).await.expect(200);
    }
}

#[tokio::test]
async fn unauthenticated_endpoints_are_closed_on_ingress() {
    let daemon = Daemon::with(&[LISTEN, FROM_LOOPBACK]).await;
    let admin = daemon.admin().await;
    let pairing = admin
        .post("/api/pairing/codes", json!({}))
        .await
        .expect(201);
    let code = &pairing.json["code"];
    let api = ingress(&daemon).with_header("x-remote-user-id", "5f0e");
    for (path, body) in [
        ("/api/pairing/requests", json!({ "name": "Wall" })),
        ("/api/pairing/complete", json!({ "code": code })),
    ] {
        let answer = api.post(path, body.clone()).await;
        assert_eq!(answer.refused(403), "not_an_admin", "{path}");
        let public = daemon.unauthenticated().post(path, body).await;
        assert!((200..300).contains(&public.status), "{path}");
    }
}

#[tokio::test]
async fn ingress_ignores_tokens() {
    let daemon = Daemon::with(&[LISTEN, FROM_LOOPBACK]).await;
    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let bearer = format!("Bearer {}", token["token"].as_str().unwrap());
    let api = ingress(&daemon)
        .with_header("authorization", &bearer)
        .with_header("x-remote-user-id", "5f0e");
    assert_eq!(api.get("/api/areas").await.refused(403), "not_an_admin");
}

#[tokio::test]
async fn disabled_check_admits_every_peer_and_warns_at_start() {
    let daemon = Daemon::with(&[LISTEN, FROM_LOOPBACK, UNVERIFIED]).await;
    assert!(
        daemon.log().contains("ingress_verify_admin"),
        "{}",
        daemon.log()
    );
    let me = ingress(&daemon).get("/api/me").await.expect(200).json;
    assert_eq!(me["role"], "admin");
    let ann = ingress(&daemon).with_header("x-remote-user-id", "ann");
    assert_eq!(ann.get("/api/me").await.expect(200).json["username"], "ann");
    ann.create_area("Kitchen").await;
    let audit = ann.get("/api/audit?limit=1").await.expect(200).json;
    assert_eq!(audit["entries"][0]["actor"], "admin:ann");
    let page = ann.get("/").await.expect(200);
    assert_strict(page.header("content-security-policy").expect("a policy"));
    assert_eq!(upgrade(&ann, &[]).await.status, 101);
    let daemon = daemon.restart().await;
    assert!(daemon.log().contains("ingress_verify_admin"));
}

async fn upgrade(api: &Api, headers: &[(&str, &str)]) -> Answer {
    let websocket = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    api.send_text("GET", "/ws", &[&websocket[..], headers].concat(), "")
        .await
}

#[tokio::test]
async fn foreign_origin_is_refused_on_ingress() {
    let daemon = Daemon::with(&[
        LISTEN,
        FROM_LOOPBACK,
        UNVERIFIED,
        ("CORS_ORIGINS", "https://panel.example"),
    ])
    .await;
    let home = ingress(&daemon)
        .with_header("x-forwarded-proto", "https")
        .with_header("x-forwarded-host", "ha.example:8123");
    let (passes, refused) = (true, false);
    // Request headers, whether the API and sockets accept them, whether a page does.
    type Headers = &'static [(&'static str, &'static str)];
    let table: [(Headers, bool, bool); 11] = [
        (&[], passes, passes),
        (&[("origin", "https://ha.example:8123")], passes, passes),
        (&[("origin", "https://panel.example")], passes, passes),
        (&[("sec-fetch-site", "same-origin")], passes, passes),
        (&[("sec-fetch-site", "none")], refused, passes),
        (&[("sec-fetch-site", "same-site")], refused, refused),
        (&[("sec-fetch-site", "cross-site")], refused, refused),
        (&[("origin", "http://ha.example:8123")], refused, refused),
        (&[("origin", "https://ha.example")], refused, refused),
        (&[("origin", "https://evil.example")], refused, refused),
        (&[("origin", "null")], refused, refused),
    ];
    for (headers, api, page) in table {
        let expect = |answer: Answer, passes: bool, status: u16| {
            let wanted = if passes { status } else { 403 };
            assert_eq!(answer.status, wanted, "{headers:?}: {}", answer.text);
            if !passes && answer.json.is_object() {
                assert_eq!(answer.json["code"], "foreign_origin");
            }
        };
        expect(
            home.send_text("GET", "/api/areas", headers, "").await,
            api,
            200,
        );
        let json = [headers, &[("content-type", "application/json")]].concat();
        let body = r#"{"name":"A"}"#;
        expect(
            home.send_text("POST", "/api/areas", &json, body).await,
            api,
            201,
        );
        expect(upgrade(&home, headers).await, api, 101);
        expect(home.send_text("GET", "/", headers, "").await, page, 200);
    }
    // Without the proxy's forwarding headers no origin counts as the daemon's own.
    let without_forwarding = ingress(&daemon).with_header("origin", "http://localhost");
    assert_eq!(
        without_forwarding.get("/api/areas").await.refused(403),
        "foreign_origin"
    );
}
