//! What must never be written down: tokens, codes and session ids (contract 3, 6.2 and 9).

use serde_json::{Value, json};

use crate::support::{Daemon, Socket, until};

#[tokio::test]
async fn a_whole_pairing_at_trace_leaves_no_secret_in_the_log_or_the_data_folder() {
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

    // The tablet asks, waits on a socket, polls, and is approved by its code.
    let asked = daemon
        .unauthenticated()
        .post("/api/pairing/requests", json!({}))
        .await
        .expect(201)
        .json;
    let (id, code) = (text(&asked, "pairingId"), text(&asked, "code"));
    let waiting = text(&asked, "pairingToken");
    let mut socket = daemon.connect(&waiting).await;
    socket.next_of("connection").await;
    let approve = format!("/api/pairing/requests/{code}/approve");
    admin.post(&approve, json!({})).await.expect(200);
    let first = text(&socket.next_of("pairing_completed").await["data"], "token");
    let poll = format!("/api/pairing/requests/{id}");
    daemon.api(&waiting).get(&poll).await.expect(200);
    tokens.extend([waiting, first.clone()]);
    codes.push(code);

    // An admin offers, the tablet brings the code and its claim; a wrong one comes in between.
    let offered = admin
        .post("/api/pairing/codes", json!({}))
        .await
        .expect(201)
        .json;
    let (code, claim) = (
        text(&offered, "code"),
        "a-claim-of-the-tablet's-own".to_owned(),
    );
    let wrong = json!({ "code": "QQQQ-7777", "claim": claim });
    daemon
        .unauthenticated()
        .post("/api/pairing/complete", wrong)
        .await
        .refused(401);
    let brought = json!({ "code": code, "claim": claim });
    let done = daemon
        .unauthenticated()
        .post("/api/pairing/complete", brought)
        .await
        .expect(200)
        .json;
    tokens.extend([text(&done, "token"), claim]);
    codes.extend([code, "QQQQ-7777".to_owned()]);

    // Each way of using a token or a session id, right and wrong.
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
    let mut late = Socket::open(&daemon, "/ws", None).await.ok().unwrap();
    late.send(json!({ "type": "authenticate", "data": { "token": fresh } }))
        .await;
    late.next_of("connection").await;
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
        "the pairing was logged: {log}"
    );
    for secret in &tokens {
        assert!(!log.contains(secret), "{secret} is in the log");
        // Its signature or a part of it would do as well.
        let tail = secret.rsplit('.').next().unwrap();
        assert!(!log.contains(tail), "{secret} is in the log in part");
    }
    // The digits of a code may come up in the clock's: the moment of each line is left out.
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
