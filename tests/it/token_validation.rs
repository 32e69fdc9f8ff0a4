//! Which tokens are accepted, and where a token may be sent (docs/protocol.md#tokens).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

use crate::support::{Daemon, Socket, until};

/// The instance's signing key, read from its database.
fn signing_key(daemon: &Daemon) -> Vec<u8> {
    let file = daemon.folder().join("wallcast.db");
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    rusqlite::Connection::open_with_flags(file, flags)
        .unwrap()
        .query_row(
            "SELECT value FROM house WHERE key = 'signing_key'",
            [],
            |row| row.get(0),
        )
        .unwrap()
}

fn forge(header: &Value, claims: &Value, key: &[u8], algorithm: hmac::Algorithm) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let tag = hmac::sign(&hmac::Key::new(algorithm, key), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn with(claims: &Value, key: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[key] = value;
    claims
}

#[tokio::test]
async fn token_is_hs256_with_the_documented_claims_only() {
    let daemon = Daemon::start().await;
    let minimal = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let token = minimal["token"].as_str().unwrap();
    assert_eq!(part(token, 0)["alg"], "HS256");
    let claims = part(token, 1);
    let mut keys: Vec<_> = claims.as_object().unwrap().keys().cloned().collect();
    keys.sort();
    assert_eq!(keys, ["exp", "iat", "jti", "role", "sub", "username"]);
    assert_eq!(claims["username"], claims["sub"]);
    assert_eq!(
        (&claims["role"], &claims["jti"]),
        (&json!("admin"), &minimal["jti"])
    );

    let full = daemon
        .token(
            json!({ "role": "user", "name": "Ann", "subject": "ann", "email": "ann@example.org",
            "organizationId": "o1", "tenantId": "t1", "ttlSeconds": 60 }),
        )
        .await;
    let claims = part(full["token"].as_str().unwrap(), 1);
    for (claim, value) in [
        ("sub", "ann"),
        ("role", "user"),
        ("email", "ann@example.org"),
        ("organizationId", "o1"),
        ("tenantId", "t1"),
    ] {
        assert_eq!(claims[claim], value, "{claim}");
    }
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        60
    );
    assert_eq!(signing_key(&daemon).len() * 8, 256);
}

#[tokio::test]
async fn forged_tokens_are_refused_over_http_and_websocket() {
    // Refused tokens count against the rate limit of their address.
    let daemon = Daemon::with(&[("CONNECTIONS_PER_MINUTE", "100")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let token = token["token"].as_str().unwrap();
    let (header, claims) = (part(token, 0), part(token, 1));
    let key = signing_key(&daemon);
    let sign = |header: &Value, claims: &Value| forge(header, claims, &key, hmac::HMAC_SHA256);
    daemon
        .api(&sign(&header, &claims))
        .get("/api/me")
        .await
        .expect(200);

    let signature = token.rsplit('.').next().unwrap();
    let none = json!({ "alg": "none", "typ": "JWT" });
    let unsigned = forge(&none, &claims, &key, hmac::HMAC_SHA256);
    let unsigned = unsigned.rsplit_once('.').unwrap().0;
    let mut no_jti = claims.clone();
    no_jti.as_object_mut().unwrap().remove("jti");
    let mut no_exp = claims.clone();
    no_exp.as_object_mut().unwrap().remove("exp");
    let hs512 = json!({ "alg": "HS512", "typ": "JWT" });
    let forged = [
        ("alg none, no signature", format!("{unsigned}.")),
        ("alg none, a signature", format!("{unsigned}.{signature}")),
        ("HS512", forge(&hs512, &claims, &key, hmac::HMAC_SHA512)),
        (
            "a wrong key",
            forge(&header, &claims, &[7; 32], hmac::HMAC_SHA256),
        ),
        ("no key", forge(&header, &claims, b"", hmac::HMAC_SHA256)),
        ("a missing jti", sign(&header, &no_jti)),
        (
            "an empty jti",
            sign(&header, &with(&claims, "jti", json!(""))),
        ),
        (
            "an unknown jti",
            sign(&header, &with(&claims, "jti", json!("elsewhere"))),
        ),
        ("a missing exp", sign(&header, &no_exp)),
        (
            "an exp in the past",
            sign(&header, &with(&claims, "exp", json!(1_700_000_000))),
        ),
        (
            "username different from sub",
            sign(&header, &with(&claims, "username", json!("root"))),
        ),
        (
            "an unknown role",
            sign(&header, &with(&claims, "role", json!("root"))),
        ),
        ("another's jti", {
            let own = part(&tablet.token, 1);
            sign(&header, &with(&claims, "jti", own["jti"].clone()))
        }),
        ("a client's claims as admin", {
            let own = part(&tablet.token, 1);
            sign(&header, &with(&own, "role", json!("admin")))
        }),
        ("a truncated signature", token[..token.len() - 2].to_owned()),
        ("two parts", token.rsplit_once('.').unwrap().0.to_owned()),
        ("not a JWT", "rubbish".to_owned()),
    ];
    for (what, token) in &forged {
        let code = daemon.api(token).get("/api/me").await.refused(401);
        assert!(
            ["invalid_token", "token_expired"].contains(&code.as_str()),
            "{what}: {code}"
        );
        let socket = Socket::open(&daemon, "/ws", Some(token)).await;
        assert_eq!(socket.err(), Some(401), "{what}");
    }
}

#[tokio::test]
async fn expired_token_is_refused_and_its_socket_closed() {
    let daemon = Daemon::start().await;
    let token = daemon
        .token(json!({ "role": "admin", "name": "brief", "ttlSeconds": 4 }))
        .await;
    let brief = daemon.api_of(&token);
    let mut socket = daemon.connect(token["token"].as_str().unwrap()).await;
    assert_eq!(socket.closed().await, (4401, "unauthenticated".to_owned()));
    assert_eq!(brief.get("/api/me").await.refused(401), "token_expired");

    let token = daemon
        .token(json!({ "role": "client", "name": "brief", "ttlSeconds": 1 }))
        .await;
    let brief = daemon.api_of(&token);
    let code = until("the token to expire", async || {
        let answer = brief.get("/api/me").await;
        (answer.status != 200).then(|| answer.refused(401))
    });
    assert_eq!(code.await, "token_expired");
}

#[tokio::test]
async fn revoked_token_is_refused_immediately_everywhere() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let api = daemon.api(&tablet.token);
    let by_session = daemon.api(&api.open_session().await);
    let mut socket = daemon.listen(&tablet.token).await;
    let jti = part(&tablet.token, 1)["jti"].as_str().unwrap().to_owned();

    let path = format!("/api/tokens/{jti}");
    assert_eq!(admin.delete(&path).await.expect(204).text, "");

    assert_eq!(api.get("/api/me").await.refused(401), "revoked");
    assert_eq!(by_session.get("/api/me").await.refused(401), "revoked");
    assert_eq!(
        api.post("/api/tokens/refresh", json!({}))
            .await
            .refused(401),
        "revoked"
    );
    assert_eq!(
        Socket::open(&daemon, "/ws", Some(&tablet.token))
            .await
            .err(),
        Some(401)
    );
    let last = socket.next().await;
    assert_eq!(last["type"], "token_revoked");
    assert_eq!(last["data"]["clientId"], tablet.id);
    assert_eq!(socket.closed().await, (4403, "revoked".to_owned()));
    assert_eq!(admin.delete(&path).await.refused(404), "not_found");
    let daemon = daemon.restart().await;
    assert_eq!(
        daemon.api(&tablet.token).get("/api/me").await.refused(401),
        "revoked"
    );
}

#[tokio::test]
async fn token_in_the_url_is_refused_on_every_path() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let api = daemon.api(&tablet.token);
    for path in ["/api/me", "/api/areas", "/health", "/ca.crt"] {
        let path = format!("{path}?x=1&token={}", tablet.token);
        for caller in [&api, &daemon.unauthenticated()] {
            assert_eq!(
                caller.get(&path).await.refused(401),
                "token_in_url",
                "{path}"
            );
        }
    }
    let path = format!("/ws?token={}", tablet.token);
    assert_eq!(Socket::open(&daemon, &path, None).await.err(), Some(401));
    assert!(!daemon.log().contains(&tablet.token));
}
