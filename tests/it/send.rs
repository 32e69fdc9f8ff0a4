//! `POST /api/send`: a client message sent over HTTP to an open session, and its response.
//! See docs/protocol.md#server-sent-events and docs/protocol.md#client-messages.

use serde_json::{Value, json};

use crate::support::{Api, Daemon, EventStream, Socket, assert_timestamp, soon};

/// Opens an event stream. Returns it with its connection id.
async fn open_stream(daemon: &Daemon, token: &str) -> (EventStream, String) {
    let mut events = EventStream::open(daemon, token).await;
    let welcome = events.next().await;
    let id = welcome.data["connectionId"].as_str().unwrap().to_owned();
    (events, id)
}

#[tokio::test]
async fn ping_by_http_returns_success_and_pong_on_stream() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let (mut events, id) = open_stream(&daemon, &tablet.token).await;
    let api = daemon.api(&tablet.token);
    let body = json!({ "connectionId": id, "type": "ping", "data": {}, "requestId": 7 });
    let answer = api.post("/api/send", body).await.expect(200).json;
    assert_eq!(answer["success"], true);
    assert_timestamp(&answer["timestamp"]);
    let pong = events.next().await;
    assert_eq!((pong.event_type.as_str(), pong.id), ("pong", None));
    assert_eq!(pong.data["timestamp"], answer["timestamp"]);

    let snake_case = json!({ "connection_id": id, "type": "ping" });
    api.post("/api/send", snake_case).await.expect(200);
    assert_eq!(events.next().await.event_type, "pong");
}

#[tokio::test]
async fn websocket_session_accepts_messages_by_http() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let mut socket = daemon.connect(&tablet.token).await;
    let id = socket.next().await["data"]["connectionId"].clone();
    let body = json!({ "connectionId": id, "type": "ping" });
    let api = daemon.api(&tablet.token);
    api.post("/api/send", body).await.expect(200);
    assert_eq!(socket.next().await["type"], "pong");
    socket.assert_nothing_received().await;
}

#[tokio::test]
async fn foreign_and_unknown_sessions_get_same_error() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let other = daemon.pair("Other", &[]).await;
    let (_events, id) = open_stream(&daemon, &tablet.token).await;
    let mut errors = Vec::new();
    for api in [daemon.api(&other.token), daemon.admin().await] {
        for id in [id.as_str(), "conn_none"] {
            let body = json!({ "connectionId": id, "type": "ping" });
            let mut answer = api.post("/api/send", body).await;
            answer.json["timestamp"] = Value::Null;
            errors.push(answer.json.to_string());
            assert_eq!(answer.status, 403);
        }
    }
    errors.dedup();
    assert_eq!(errors.len(), 1, "{errors:?}");
    let body = json!({ "connectionId": id, "type": "ping" });
    let answer = daemon.unauthenticated().post("/api/send", body).await;
    assert_eq!(answer.refused(401), "unauthenticated");
}

#[tokio::test]
async fn send_by_cookie_ingress_and_cli_checks_session_owner() {
    let daemon = Daemon::with(&[
        ("INGRESS_LISTEN", "127.0.0.1:0"),
        ("INGRESS_FROM", "127.0.0.1"),
        ("INGRESS_VERIFY_ADMIN", "false"),
    ])
    .await;
    let tablet = daemon.pair("Wall", &[]).await;
    let api = daemon.api(&tablet.token);
    let session = api.post("/api/auth/session", json!({})).await.expect(200);
    let cookie = format!("sessionId={}", session.json["sessionId"].as_str().unwrap());
    let headers = [("cookie", cookie.as_str())];
    let events = EventStream::open_with(&daemon, "/api/events", &headers).await;
    let mut events = events.expect("the stream opens");
    let id = events.next().await.data["connectionId"].clone();
    let body = json!({ "connectionId": id, "type": "ping" });
    let by_cookie = daemon.unauthenticated().with_header("cookie", &cookie);
    by_cookie.post("/api/send", body.clone()).await.expect(200);
    let foreign = by_cookie.with_header("origin", "https://evil.example");
    let answer = foreign.post("/api/send", body).await;
    assert_eq!(answer.refused(403), "foreign_origin");

    let ingress = Api::plain(daemon.ingress.unwrap()).with_header("x-remote-user-id", "u1");
    let body = json!({ "connectionId": id, "type": "ping" });
    let answer = ingress.post("/api/send", body.clone()).await;
    assert_eq!(answer.refused(403), "forbidden");
    let answer = daemon.local().post("/api/send", body).await;
    assert_eq!(answer.refused(403), "forbidden");
}

#[tokio::test]
async fn invalid_messages_get_matching_http_status() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let (mut events, id) = open_stream(&daemon, &tablet.token).await;
    let api = daemon.api(&tablet.token);
    let table = [
        (json!({ "type": "fly" }), 400, "unknown_type"),
        (json!({ "type": 7 }), 400, "invalid_message"),
        (
            json!({ "type": "ping", "data": [] }),
            400,
            "invalid_message",
        ),
        (json!({}), 400, "invalid_message"),
        (
            json!({ "type": "authenticate", "userId": 7, "token": "x" }),
            422,
            "invalid_field",
        ),
    ];
    for (mut body, status, code) in table {
        body["connectionId"] = id.clone().into();
        let answer = api.post("/api/send", body.clone()).await;
        assert_eq!(answer.refused(status), code, "{body}");
    }
    let answer = api.post("/api/send", json!({ "type": "ping" })).await;
    assert_eq!(answer.json["field"], "connectionId");
    answer.refused(422);
    let body = json!({ "connectionId": id, "type": "ping" });
    api.post("/api/send", body).await.expect(200);
    assert_eq!(
        events.next().await.event_type,
        "pong",
        "invalid messages produce no event"
    );
}

#[tokio::test]
async fn messages_over_rate_get_429_and_session_stays() {
    let daemon = Daemon::with(&[("MESSAGES_PER_SECOND", "1")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    let (mut events, id) = open_stream(&daemon, &tablet.token).await;
    let api = daemon.api(&tablet.token);
    let body = json!({ "connectionId": id, "type": "ping" });
    let limited = soon("the limit", async {
        loop {
            let answer = api.post("/api/send", body.clone()).await;
            if answer.status != 200 {
                return answer;
            }
        }
    })
    .await;
    let retry_after = limited.header("retry-after").map(str::to_owned);
    assert_eq!(limited.refused(429), "rate_limited");
    assert_eq!(retry_after.as_deref(), Some("1"));
    soon("the rate limit to recover", async {
        while api.post("/api/send", body.clone()).await.status != 200 {}
    })
    .await;
    assert_eq!(events.next().await.event_type, "pong");
}

#[tokio::test]
async fn authenticate_renews_token_and_invalid_one_ends_session() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let (mut events, id) = open_stream(&daemon, &tablet.token).await;
    let second = json!({ "role": "client", "name": "second", "subject": tablet.id });
    let second = daemon.token(second).await;
    let api = daemon.api(&tablet.token);
    let renew = |token: &Value| json!({ "connectionId": id, "type": "authenticate", "data": { "token": token } });
    let answer = api.post("/api/send", renew(&second["token"])).await;
    let answer = answer.expect(200).json;
    assert_eq!(
        (&answer["success"], &answer["clientId"]),
        (&json!(true), &json!(tablet.id))
    );
    assert_eq!(events.next().await.event_type, "authenticated");

    let other = daemon.pair("Other", &[]).await;
    let answer = api.post("/api/send", renew(&json!(other.token))).await;
    assert_eq!(answer.refused(409), "already_authenticated");

    let answer = api.post("/api/send", renew(&json!("nonsense"))).await;
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    assert_eq!(answer.refused(401), "invalid_token");
    let (rest, ended_cleanly) = events.rest().await;
    assert!(ended_cleanly);
    let event_types: Vec<_> = rest.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(event_types, ["auth_error", "error"]);
    assert_eq!(rest[1].data["code"], "unauthenticated");
    // The ended session is treated like an unknown one.
    let body = json!({ "connectionId": id, "type": "ping" });
    assert_eq!(api.post("/api/send", body).await.refused(403), "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn send_during_session_end_is_always_answered() {
    let daemon = Daemon::with(&[("MESSAGES_PER_SECOND", "1000")]).await;
    let admin = daemon.admin().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let path = format!("/api/clients/{}/disconnect", tablet.id);
    for _ in 0..5 {
        let (mut events, id) = open_stream(&daemon, &tablet.token).await;
        let body = json!({ "connectionId": id, "type": "ping" });
        let senders: Vec<_> = (0..16)
            .map(|_| {
                let (api, body) = (daemon.api(&tablet.token), body.clone());
                tokio::spawn(async move { api.post("/api/send", body).await })
            })
            .collect();
        assert_eq!(events.next().await.event_type, "pong");
        admin.post(&path, json!({})).await.expect(200);
        for sender in senders {
            let answer = soon("an answer", sender).await.unwrap();
            match answer.status {
                200 => assert_eq!(answer.json["success"], true),
                409 => assert_eq!(answer.refused(409), "session_ended"),
                _ => assert_eq!(answer.refused(403), "forbidden"),
            }
        }
    }
}
