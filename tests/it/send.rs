//! `POST /api/send` (contract 4.3): a message for an open session by HTTP, and its answer.

use serde_json::{Value, json};

use crate::support::{Api, Daemon, EventStream, Socket, assert_timestamp, soon};

/// A stream of events and the id of its session.
async fn listen(daemon: &Daemon, token: &str) -> (EventStream, String) {
    let mut events = EventStream::open(daemon, token).await;
    let words = events.next().await;
    let id = words.data["connectionId"].as_str().unwrap().to_owned();
    (events, id)
}

#[tokio::test]
async fn a_ping_is_answered_and_its_pong_goes_out_on_the_stream() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let (mut events, id) = listen(&daemon, &tablet.token).await;
    let api = daemon.api(&tablet.token);
    let body = json!({ "connectionId": id, "type": "ping", "data": {}, "requestId": 7 });
    let answer = api.post("/api/send", body).await.expect(200).json;
    assert_eq!(answer["success"], true);
    assert_timestamp(&answer["timestamp"]);
    let pong = events.next().await;
    assert_eq!((pong.event_type.as_str(), pong.id), ("pong", None));
    assert_eq!(pong.data["timestamp"], answer["timestamp"]);

    let snake = json!({ "connection_id": id, "type": "ping" });
    api.post("/api/send", snake).await.expect(200);
    assert_eq!(events.next().await.event_type, "pong");
}

#[tokio::test]
async fn sessions_of_any_dialect_take_messages() {
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
async fn a_session_of_somebody_else_and_one_that_is_none_are_refused_alike() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let other = daemon.pair("Other", &[]).await;
    let (_events, id) = listen(&daemon, &tablet.token).await;
    let mut texts = Vec::new();
    for api in [daemon.api(&other.token), daemon.admin().await] {
        for id in [id.as_str(), "conn_none"] {
            let body = json!({ "connectionId": id, "type": "ping" });
            let mut answer = api.post("/api/send", body).await;
            answer.json["timestamp"] = Value::Null;
            texts.push(answer.json.to_string());
            assert_eq!(answer.status, 403);
        }
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    let body = json!({ "connectionId": id, "type": "ping" });
    let stranger = daemon.unauthenticated().post("/api/send", body).await;
    assert_eq!(stranger.refused(401), "unauthenticated");
}

#[tokio::test]
async fn a_cookie_ingress_and_the_command_line_send_as_a_bearer_does() {
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
    let not_theirs = json!({ "connectionId": id, "type": "ping" });
    let answer = ingress.post("/api/send", not_theirs.clone()).await;
    assert_eq!(answer.refused(403), "forbidden");
    let answer = daemon.local().post("/api/send", not_theirs).await;
    assert_eq!(answer.refused(403), "forbidden");
}

#[tokio::test]
async fn what_fails_has_the_status_of_its_code() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let (mut events, id) = listen(&daemon, &tablet.token).await;
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
        "nothing else was told"
    );
}

#[tokio::test]
async fn messages_over_the_rate_get_429_and_the_session_stays() {
    let daemon = Daemon::with(&[("MESSAGES_PER_SECOND", "1")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    let (mut events, id) = listen(&daemon, &tablet.token).await;
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
    let wait = limited.header("retry-after").map(str::to_owned);
    assert_eq!(limited.refused(429), "rate_limited");
    assert_eq!(wait.as_deref(), Some("1"));
    soon("a place in the rate", async {
        while api.post("/api/send", body.clone()).await.status != 200 {}
    })
    .await;
    assert_eq!(events.next().await.event_type, "pong");
}

#[tokio::test]
async fn authenticate_renews_the_token_and_a_wrong_one_ends_the_session() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let (mut events, id) = listen(&daemon, &tablet.token).await;
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
    let (told, in_order) = events.rest().await;
    assert!(in_order);
    let kinds: Vec<_> = told.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(kinds, ["auth_error", "error"]);
    assert_eq!(told[1].data["code"], "unauthenticated");
    // It is gone, as if it had never been.
    let body = json!({ "connectionId": id, "type": "ping" });
    assert_eq!(api.post("/api/send", body).await.refused(403), "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_while_the_session_ends_is_always_answered() {
    let daemon = Daemon::with(&[("MESSAGES_PER_SECOND", "1000")]).await;
    let admin = daemon.admin().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let path = format!("/api/clients/{}/disconnect", tablet.id);
    for _ in 0..5 {
        let (mut events, id) = listen(&daemon, &tablet.token).await;
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
