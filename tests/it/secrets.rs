//! Tokens, pairing codes and session ids never appear in the log or in the data folder.

use serde_json::{Value, json};

use crate::support::{Daemon, Socket, until};

#[tokio::test]
async fn secrets_never_appear_in_trace_log_or_data_folder() {
    let mut daemon = Daemon::with(&[
        ("LOG_LEVEL", "trace"),
        ("LOG_FORMAT", "json"),
        ("PLAIN_LISTEN", "127.0.0.1:0"),
    ])
    .await;
    let text = |value: &Value, key: &str| value[key].as_str().expect(key).to_owned();
    let admin = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let (mut tokens, mut codes) = (vec![text(&admin, "token")], Vec::new());
    let admin = daemon.api_of(&admin);

    // Pairing by request: the tablet opens a socket, an admin approves its code, the tablet polls.
    let request = daemon
        .unauthenticated()
        .post("/api/pairing/requests", json!({}))
        .await
        .expect(201)
        .json;
    let (id, code) = (text(&request, "pairingId"), text(&request, "code"));
    let pairing_token = text(&request, "pairingToken");
    let mut socket = daemon.connect(&pairing_token).await;
    socket.next_of("connection").await;
    let approve = format!("/api/pairing/requests/{code}/approve");
    admin.post(&approve, json!({})).await.expect(200);
    let first = text(&socket.next_of("pairing_completed").await["data"], "token");
    let poll = format!("/api/pairing/requests/{id}");
    daemon.api(&pairing_token).get(&poll).await.expect(200);
    tokens.extend([pairing_token, first.clone()]);
    codes.push(code);

    // Pairing by code: a wrong code is refused, then the tablet completes with the right one.
    let created = admin
        .post("/api/pairing/codes", json!({}))
        .await
        .expect(201)
        .json;
    let (code, claim) = (
        text(&created, "code"),
        "a-claim-of-the-tablet's-own".to_owned(),
    );
    let wrong = json!({ "code": "QQQQ-7777", "claim": claim });
    daemon
        .unauthenticated()
        .post("/api/pairing/complete", wrong)
        .await
        .refused(401);
    let completion = json!({ "code": code, "claim": claim });
    let completed = daemon
        .unauthenticated()
        .post("/api/pairing/complete", completion)
        .await
        .expect(200)
        .json;
    tokens.extend([text(&completed, "token"), claim]);
    codes.extend([code, "QQQQ-7777".to_owned()]);

    // Valid and invalid use of a token and a session id, in every place that accepts one.
    let api = daemon.api(&first);
    let fresh = api
        .post("/api/tokens/refresh", json!({}))
        .await
        .expect(200)
        .json;
    let (fresh, session) = (text(&fresh, "token"), api.open_session().await);
    let cookie = format!("sessionId={session}");
    daemon
        .unauthenticated()
        .with_header("cookie", &cookie)
        .get("/api/me")
        .await
        .expect(200);
    daemon.api(&session).get("/api/me").await.expect(200);
    let query = format!("/ws?sessionId={session}");
    Socket::open(&daemon, &query, None)
        .await
        .ok()
        .unwrap()
        .next_of("connection")
        .await;
    let mut by_message = Socket::open(&daemon, "/ws", None).await.ok().unwrap();
    by_message
        .send(json!({ "type": "authenticate", "data": { "token": fresh } }))
        .await;
    by_message.next_of("connection").await;
    let forged = format!("{fresh}x");
    let mut wrong = Socket::open(&daemon, "/ws", None).await.ok().unwrap();
    wrong
        .send(json!({ "type": "authenticate", "token": forged }))
        .await;
    wrong.closed().await;
    daemon.api(&forged).get("/api/me").await.refused(401);
    assert_eq!(
        Socket::open(&daemon, "/ws", Some(&forged)).await.err(),
        Some(401)
    );
    for path in ["/api/me", "/ws", "/socket.io/", "/nowhere"] {
        let path = format!("{path}?token={fresh}&sessionId={session}&EIO=4&transport=polling");
        assert!(
            daemon.unauthenticated().get(&path).await.status >= 400,
            "{path}"
        );
    }
    let broken = format!("{{\"code\":\"{fresh}");
    let headers = [("content-type", "application/json")];
    let path = "/api/pairing/complete";
    daemon
        .unauthenticated()
        .send_text("POST", path, &headers, &broken)
        .await
        .refused(400);
    tokens.extend([fresh, session, forged]);

    assert!(daemon.stop().await.success());
    let log = until("the whole log", async || {
        let log = daemon.log();
        log.contains("\"stopping\"").then_some(log)
    })
    .await;
    assert!(
        log.contains(&id) && log.contains("DEBUG"),
        "the log covers the pairing at debug level: {log}"
    );
    for secret in &tokens {
        assert!(!log.contains(secret), "{secret} is in the log");
        // The signature of a token alone is secret, too.
        let tail = secret.rsplit('.').next().unwrap();
        assert!(
            !log.contains(tail),
            "the signature of {secret} is in the log"
        );
    }
    // The digits of a code may occur in a timestamp by chance, so timestamps are removed first.
    for line in log.lines() {
        let mut line: Value = serde_json::from_str(line).expect("a line is JSON");
        line.as_object_mut().unwrap().remove("timestamp");
        let line = line.to_string();
        for code in &codes {
            let found = line
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                .any(|w| w == code);
            assert!(!found, "{code} is in the log: {line}");
        }
    }
    for file in std::fs::read_dir(daemon.folder()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for secret in &tokens {
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {}", path.display());
        }
    }
}
