//! Limits on sockets: how many may be open, how many one address may open in a minute, and how many
//! messages each may send in a second. See docs/protocol.md#options.

use serde_json::json;

use crate::support::{Answer, Daemon, Socket, soon};

#[track_caller]
fn assert_refused_with_retry(answer: Answer, status: u16, code: &str) {
    let seconds = answer.header("retry-after").and_then(|s| s.parse().ok());
    assert!(seconds.is_some_and(|s: u64| (1..=60).contains(&s)));
    assert_eq!(answer.refused(status), code);
}

#[tokio::test]
async fn eleventh_unauthenticated_socket_per_minute_gets_429() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    for _ in 0..5 {
        daemon.connect_unauthenticated().await.close().await;
    }
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(daemon.connect_unauthenticated().await);
    }
    let refused = daemon.unauthenticated().request_upgrade("/ws").await;
    assert_refused_with_retry(refused, 429, "rate_limited");

    // A handshake with a valid token is not subject to the limit.
    for _ in 0..3 {
        daemon.listen(&tablet.token).await;
    }
    // A socket that authenticates later no longer counts.
    open[0].authenticate(&tablet.token).await;
    open[0].next_of("connection").await;
    open.push(daemon.connect_unauthenticated().await);
    let refused = daemon.unauthenticated().request_upgrade("/ws").await;
    assert_refused_with_retry(refused, 429, "rate_limited");
}

#[tokio::test]
async fn authenticated_sockets_do_not_count_toward_rate() {
    let daemon = Daemon::with(&[("CONNECTIONS_PER_MINUTE", "1")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    for _ in 0..4 {
        daemon.listen(&tablet.token).await;
    }
    daemon.connect_unauthenticated().await;
    let refused = daemon.unauthenticated().request_upgrade("/ws").await;
    assert_refused_with_retry(refused, 429, "rate_limited");
}

#[tokio::test]
async fn socket_over_max_connections_gets_503_until_one_closes() {
    let daemon = Daemon::with(&[("MAX_CONNECTIONS", "2")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    let first = daemon.listen(&tablet.token).await;
    let mut second = daemon.connect_unauthenticated().await;
    for api in [daemon.api(&tablet.token), daemon.unauthenticated()] {
        assert_refused_with_retry(api.request_upgrade("/ws").await, 503, "unavailable");
    }
    daemon.api(&tablet.token).get("/api/me").await.expect(200);

    first.close().await;
    soon("a free connection slot", async {
        loop {
            match Socket::open(&daemon, "/ws", Some(&tablet.token)).await {
                Ok(mut socket) => return socket.next_of("connection").await,
                Err(status) => assert_eq!(status, 503),
            }
        }
    })
    .await;
    second.authenticate(&tablet.token).await;
    second.next_of("authenticated").await;
}

#[tokio::test]
async fn messages_over_rate_are_refused_and_socket_stays_open() {
    let daemon = Daemon::with(&[("MESSAGES_PER_SECOND", "2")]).await;
    let mut socket = daemon.listen(&daemon.pair("Wall", &[]).await.token).await;
    for n in 0..10 {
        socket.send(json!({ "type": "ping", "requestId": n })).await;
    }
    let (mut pongs, mut succeeded, mut refused) = (0, 0, 0);
    while succeeded + refused < 10 {
        let message = socket.next().await;
        match (
            message["type"].as_str(),
            message["data"]["success"].as_bool(),
        ) {
            (Some("pong"), _) => pongs += 1,
            (Some("result"), Some(true)) => succeeded += 1,
            (Some("result"), Some(false)) => {
                assert_eq!(message["data"]["code"], "rate_limited");
                refused += 1;
            }
            _ => panic!("{message}"),
        }
    }
    assert_eq!(pongs, succeeded, "a refused ping gets no pong");
    assert!(
        succeeded >= 2 && refused > 0,
        "{succeeded} succeeded, {refused} refused"
    );
    soon("the rate limit to recover", async {
        while socket.ask(json!({ "type": "ping" })).await["type"] != "pong" {}
    })
    .await;
}

#[tokio::test]
async fn unreadable_messages_count_toward_rate() {
    let daemon = Daemon::with(&[("MESSAGES_PER_SECOND", "1")]).await;
    let mut socket = daemon.listen(&daemon.pair("Wall", &[]).await.token).await;
    soon("rate_limited", async {
        while socket.ask(json!([])).await["data"]["code"] != "rate_limited" {}
    })
    .await;
}
