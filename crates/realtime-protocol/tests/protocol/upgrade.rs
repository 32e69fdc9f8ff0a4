//! The upgrade from polling to WebSocket: no message is lost, duplicated or reordered, and a failed upgrade
//! leaves the polling session intact.

use std::time::Duration;

use realtime_protocol::engineio::{Config, Socket, Transport};
use realtime_protocol::{CloseReason, Event, Frame};
use tokio::io::DuplexStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Client, EchoServer, TestEngine, upgrade_url};

fn text(text: impl Into<String>) -> Frame {
    Frame::text(text.into())
}

/// Drives the socket until a message arrives.
async fn message(socket: &mut Socket<DuplexStream>) -> Frame {
    loop {
        match socket.event().await {
            Event::Message(frame) => return frame,
            Event::Flushed => {}
            Event::Closed(ended) => panic!("{ended}"),
        }
    }
}

async fn probe(client: &mut Client<impl realtime_protocol::ByteStream>) {
    client.send_text("2probe").await;
    assert_eq!(client.receive().await, "3probe");
}

#[tokio::test]
async fn upgrade_follows_the_public_suite() {
    let echo = EchoServer::start().await;
    let session = echo.open_polling("/engine.io/").await;
    let mut client = echo.websocket(&upgrade_url(&session)).await.unwrap();
    probe(&mut client).await;
    assert_eq!(echo.get(&session).await.parts(), (200, "6"));
    client.send_text("5").await;
    client.send_text("4hello").await;
    assert_eq!(client.receive().await, "4hello");
    // Later requests and WebSockets with this session id have no effect.
    assert_eq!(echo.get(&session).await.status, 400);
    assert_eq!(echo.post(&session, "4x").await.status, 400);
    let mut second = echo.websocket(&upgrade_url(&session)).await.unwrap();
    assert!(second.closed().await.is_some());
    client.send_text("4again").await;
    assert_eq!(client.receive().await, "4again");
    assert_eq!(client.receive().await, "2");
}

#[tokio::test]
async fn poll_after_upgrade_packet_is_refused() {
    let echo = EchoServer::start().await;
    for _ in 0..20 {
        let session = echo.open_polling("/engine.io/").await;
        let mut client = echo.websocket(&upgrade_url(&session)).await.unwrap();
        client.send_text("2probe").await;
        client.send_text("5").await;
        assert_eq!(echo.get(&session).await.status, 400);
        assert_eq!(client.receive().await, "3probe");
        client.send_text("4hello").await;
        assert_eq!(client.receive().await, "4hello");
    }
}

#[tokio::test]
async fn polls_get_noops_until_the_upgrade_is_done() {
    let (test, mut opened) = TestEngine::new(Config::default());
    let (session, mut socket) = test.polling(&mut opened).await;
    let driver = tokio::spawn(async move {
        let first = message(&mut socket).await;
        socket.send(text("4waiting"));
        assert_eq!(socket.transport(), Transport::Polling);
        let second = message(&mut socket).await;
        assert_eq!(socket.transport(), Transport::WebSocket);
        assert_eq!(socket.event().await, Event::Flushed);
        (first, second)
    });
    let mut client = test.websocket(&upgrade_url(&session)).await.unwrap();
    let pending = tokio::spawn({
        let (test, session) = (test.clone(), session.clone());
        async move { test.get(&session).await }
    });
    probe(&mut client).await;
    assert_eq!(pending.await.unwrap().parts(), (200, "6"));
    for _ in 0..3 {
        assert_eq!(test.get(&session).await.parts(), (200, "6"));
    }
    // Posts still arrive. Messages sent before the switch wait for it, or for a poll.
    assert_eq!(test.post(&session, "4posted").await.parts(), (200, "ok"));
    client.send_text("5").await;
    client.send_text("4on websocket").await;
    assert_eq!(client.receive().await, "4waiting");
    assert_eq!(
        driver.await.unwrap(),
        (text("4posted"), text("4on websocket"))
    );
}

#[tokio::test]
async fn upgrade_of_paused_socket_completes() {
    let (test, mut opened) = TestEngine::new(Config::default());
    let (session, mut socket) = test.polling(&mut opened).await;
    assert_eq!(test.post(&session, "4posted").await.body, "ok");
    socket.send(text("4waiting"));
    socket.set_paused(true);
    let driver = tokio::spawn(async move {
        let posted = message(&mut socket).await;
        assert_eq!(socket.event().await, Event::Flushed);
        assert_eq!(socket.transport(), Transport::WebSocket);
        socket.set_paused(false);
        (posted, message(&mut socket).await)
    });
    let mut client = test.websocket(&upgrade_url(&session)).await.unwrap();
    // The client no longer polls, so queued messages can reach it only over the WebSocket.
    probe(&mut client).await;
    client.send_text("5").await;
    client.send_text("4hello").await;
    assert_eq!(client.receive().await, "4waiting");
    assert_eq!(driver.await.unwrap(), (text("4posted"), text("4hello")));
}

#[tokio::test(start_paused = true)]
async fn unfinished_upgrade_times_out() {
    let (test, mut opened) = TestEngine::new(Config::default());
    let (session, mut socket) = test.polling(&mut opened).await;
    let driver = tokio::spawn(async move {
        socket.send(text("4one"));
        assert_eq!(message(&mut socket).await, text("4two"));
        socket
    });
    for probes in [false, true] {
        let mut client = test.websocket(&upgrade_url(&session)).await.unwrap();
        if probes {
            probe(&mut client).await;
        }
        assert!(client.closed().await.is_some());
    }
    // Polling continues, and the client can try another upgrade.
    assert_eq!(test.get(&session).await.body, "4one");
    let mut client = test.websocket(&upgrade_url(&session)).await.unwrap();
    probe(&mut client).await;
    assert_eq!(test.post(&session, "4two").await.body, "ok");
    drop(driver.await.unwrap());
    assert!(client.closed().await.is_none());
    assert_eq!(test.engine.sessions(), 0);
}

#[tokio::test]
async fn failed_upgrade_keeps_polling_session() {
    let (test, mut opened) = TestEngine::new(Config::default());
    let (session, mut socket) = test.polling(&mut opened).await;
    let driver = tokio::spawn(async move { message(&mut socket).await });
    for wrong in ["5", "4hello", "2", "x", "3probe"] {
        let mut client = test.websocket(&upgrade_url(&session)).await.unwrap();
        client.send_text(wrong).await;
        assert_eq!(client.closed().await.unwrap().0, 1002, "{wrong}");
    }
    let mut client = test.websocket(&upgrade_url(&session)).await.unwrap();
    probe(&mut client).await;
    client.send(Message::Close(None)).await;
    client.closed().await;
    assert_eq!(test.post(&session, "4ok").await.status, 200);
    assert_eq!(driver.await.unwrap(), text("4ok"));
}

#[tokio::test]
async fn second_upgrade_is_closed_and_first_completes() {
    let (test, mut opened) = TestEngine::new(Config::default());
    let (session, mut socket) = test.polling(&mut opened).await;
    let driver = tokio::spawn(async move { message(&mut socket).await });
    let mut first = test.websocket(&upgrade_url(&session)).await.unwrap();
    probe(&mut first).await;
    let mut second = test.websocket(&upgrade_url(&session)).await.unwrap();
    assert_eq!(second.closed().await.unwrap().0, 1008);
    first.send_text("5").await;
    first.send_text("4first").await;
    assert_eq!(driver.await.unwrap(), text("4first"));
}

#[tokio::test]
async fn closed_session_closes_its_probe() {
    let (test, mut opened) = TestEngine::new(Config::default());
    let (session, mut socket) = test.polling(&mut opened).await;
    let driver = tokio::spawn(async move {
        assert_eq!(socket.event().await, Event::Closed(CloseReason::Protocol));
    });
    let mut client = test.websocket(&upgrade_url(&session)).await.unwrap();
    probe(&mut client).await;
    assert_eq!(test.post(&session, "nonsense").await.status, 400);
    driver.await.unwrap();
    assert!(client.closed().await.is_none());
    assert_eq!(test.engine.sessions(), 0);
}

/// Both sides send numbered messages during the upgrade, which the client does as a browser would.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn upgrade_loses_and_reorders_no_message() {
    const COUNT: usize = 300;
    let (test, mut opened) = TestEngine::new(Config::default());
    let mut rounds = Vec::new();
    for _ in 0..24 {
        let (session, socket) = test.polling(&mut opened).await;
        rounds.push(tokio::spawn(server(socket, COUNT)));
        rounds.push(tokio::spawn(client(test.clone(), session, COUNT)));
    }
    for round in rounds {
        round.await.unwrap();
    }
}

/// Sends numbers in small batches, and expects the client's numbers in order.
async fn server(mut socket: Socket<DuplexStream>, count: usize) {
    let (mut sent, mut received) = (0, 0);
    while received < count {
        if socket.can_send() && sent < count {
            for number in sent..(sent + 3).min(count) {
                socket.send(text(format!("4{number}")));
            }
            sent = (sent + 3).min(count);
        }
        match socket.event().await {
            Event::Message(frame) => {
                assert_eq!(frame, text(format!("4{received}")));
                received += 1;
            }
            Event::Flushed => {}
            Event::Closed(ended) => panic!("{ended} at {received}"),
        }
    }
    assert_eq!(socket.transport(), Transport::WebSocket);
    while sent < count || !socket.can_send() {
        if socket.can_send() {
            socket.send(text(format!("4{sent}")));
            sent += 1;
        }
        assert_eq!(socket.event().await, Event::Flushed);
    }
    socket.close(1000, "done").await;
}

async fn client(test: TestEngine, session: String, count: usize) {
    let mut received = 0;
    let mut check = |body: &str| {
        for packet in body
            .split('\u{1e}')
            .filter(|packet| !matches!(*packet, "6" | "2"))
        {
            assert_eq!(packet, format!("4{received}"));
            received += 1;
        }
        received
    };
    // A few polls and posts before the upgrade.
    let mut sent = 0;
    for _ in 0..5 {
        check(&test.get(&session).await.body);
        test.post(&session, &format!("4{sent}")).await;
        sent += 1;
    }
    // The last poll and post run concurrently with the handshake and probe, as in the official client.
    let polling = async {
        let packet = format!("4{sent}");
        let (poll, post) = tokio::join!(test.get(&session), test.post(&session, &packet));
        assert_eq!(post.parts(), (200, "ok"));
        poll.body
    };
    let opening = async {
        let mut socket = test.websocket(&upgrade_url(&session)).await.unwrap();
        probe(&mut socket).await;
        socket
    };
    let (last, mut socket) = tokio::join!(polling, opening);
    check(&last);
    sent += 1;
    socket.send_text("5").await;
    for number in sent..count {
        socket.send_text(&format!("4{number}")).await;
    }
    let finish = async {
        while check(&socket.receive().await) < count {}
        socket.closed().await
    };
    let closed = tokio::time::timeout(Duration::from_secs(60), finish)
        .await
        .unwrap();
    assert_eq!(closed, Some((1000, "done".to_owned())));
}
