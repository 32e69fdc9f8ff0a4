//! How many sockets may be open, how fast they may come and how much they may say (contract section 8).

use serde_json::json;

use crate::support::{Answer, Daemon, Socket, soon};

#[track_caller]
fn assert_wait(answer: Answer, status: u16, code: &str) {
    let seconds = answer.header("retry-after").and_then(|s| s.parse().ok());
    assert!(seconds.is_some_and(|s: u64| (1..=60).contains(&s)));
    assert_eq!(answer.refused(status), code);
}

#[tokio::test]
async fn the_eleventh_socket_of_an_address_in_a_minute_that_proves_no_token_gets_429() {
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
    assert_wait(refused, 429, "rate_limited");

    // A valid token in the handshake is never refused.
    for _ in 0..3 {
        daemon.listen(&tablet.token).await;
    }
    // Whoever authenticates later gives its place back.
    open[0].authenticate(&tablet.token).await;
    open[0].next_of("connection").await;
    open.push(daemon.connect_unauthenticated().await);
    let refused = daemon.unauthenticated().request_upgrade("/ws").await;
    assert_wait(refused, 429, "rate_limited");
}

#[tokio::test]
async fn sockets_that_bring_a_valid_token_are_not_counted() {
    let daemon = Daemon::with(&[("CONNECTIONS_PER_MINUTE", "1")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    for _ in 0..4 {
        daemon.listen(&tablet.token).await;
    }
    daemon.connect_unauthenticated().await;
    let refused = daemon.unauthenticated().request_upgrade("/ws").await;
    assert_wait(refused, 429, "rate_limited");
}

#[tokio::test]
async fn beyond_max_connections_a_socket_gets_503_until_one_has_gone() {
    let daemon = Daemon::with(&[("MAX_CONNECTIONS", "2")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    let first = daemon.listen(&tablet.token).await;
    let mut second = daemon.connect_unauthenticated().await;
    for api in [daemon.api(&tablet.token), daemon.unauthenticated()] {
        assert_wait(api.request_upgrade("/ws").await, 503, "unavailable");
    }
    daemon.api(&tablet.token).get("/api/me").await.expect(200);

    first.close().await;
    soon("a place", async {
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
async fn messages_beyond_the_rate_are_not_acted_on_and_the_socket_stays() {
    let daemon = Daemon::with(&[("MESSAGES_PER_SECOND", "2")]).await;
    let mut socket = daemon.listen(&daemon.pair("Wall", &[]).await.token).await;
    for n in 0..10 {
        socket.send(json!({ "type": "ping", "requestId": n })).await;
    }
    let (mut pongs, mut done, mut refused) = (0, 0, 0);
    while done + refused < 10 {
        let message = socket.next().await;
        match (
            message["type"].as_str(),
            message["data"]["success"].as_bool(),
        ) {
            (Some("pong"), _) => pongs += 1,
            (Some("result"), Some(true)) => done += 1,
            (Some("result"), Some(false)) => {
                assert_eq!(message["data"]["code"], "rate_limited");
                refused += 1;
            }
            _ => panic!("{message}"),
        }
    }
    assert_eq!(pongs, done, "what was refused was not acted on");
    assert!(done >= 2 && refused > 0, "{done} done, {refused} refused");
    soon("a place in the rate", async {
        while socket.ask(json!({ "type": "ping" })).await["type"] != "pong" {}
    })
    .await;
}

#[tokio::test]
async fn messages_that_cannot_be_read_count_too() {
    let daemon = Daemon::with(&[("MESSAGES_PER_SECOND", "1")]).await;
    let mut socket = daemon.listen(&daemon.pair("Wall", &[]).await.token).await;
    soon("rate_limited", async {
        while socket.ask(json!([])).await["data"]["code"] != "rate_limited" {}
    })
    .await;
}
