//! Engine.IO's heartbeat with paused time: when pings are sent, and when a silent client is closed.

use std::time::Duration;

use realtime_protocol::engineio::Config;
use realtime_protocol::{CloseReason, Event, Frame};
use tokio::time::{Instant, sleep};

use crate::support::{EchoServer, TestEngine};

#[tokio::test(start_paused = true)]
async fn polling_session_is_pinged_and_times_out() {
    let (test, mut opened) = TestEngine::new(Config::default());
    let start = Instant::now();
    let (session, mut socket) = test.polling(&mut opened).await;
    let driver = tokio::spawn(async move { socket.event().await });
    for round in 1..=3 {
        assert_eq!(test.get(&session).await.body, "2");
        assert_eq!(start.elapsed().as_secs(), 25 * round);
        assert_eq!(test.post(&session, "3").await.body, "ok");
        // An additional pong has no effect.
        assert_eq!(test.post(&session, "3").await.body, "ok");
    }
    assert_eq!(test.get(&session).await.body, "2");
    assert_eq!(
        driver.await.unwrap(),
        Event::Closed(CloseReason::PingTimeout)
    );
    assert_eq!(start.elapsed().as_secs(), 4 * 25 + 20);
    assert_eq!(test.get(&session).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn ping_waiting_for_a_poll_does_not_block_sending() {
    let (test, mut opened) = TestEngine::new(Config::default());
    let (session, mut socket) = test.polling(&mut opened).await;
    let pinged = tokio::time::timeout(Duration::from_secs(30), socket.event()).await;
    assert!(pinged.is_err(), "a ping causes no event");
    // A ping must not count as unsent, because no `Flushed` would follow it.
    assert!(socket.can_send());
    socket.send(Frame::text("4later"));
    assert!(!socket.can_send());
    let polled = async { test.get(&session).await.body };
    let (body, event) = tokio::join!(polled, socket.event());
    assert_eq!(body, "2\u{1e}4later");
    assert_eq!(event, Event::Flushed);
}

#[tokio::test(start_paused = true)]
async fn session_without_polls_times_out() {
    let (test, mut opened) = TestEngine::new(Config::default());
    let (_, mut socket) = test.polling(&mut opened).await;
    let start = Instant::now();
    assert_eq!(
        socket.event().await,
        Event::Closed(CloseReason::PingTimeout)
    );
    assert_eq!(start.elapsed().as_secs(), 45);
    drop(socket);
    assert_eq!(test.engine.sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn websocket_session_is_pinged_and_times_out() {
    let (test, mut opened) = TestEngine::new(Config::default());
    let (mut client, mut socket) = test.open_websocket(&mut opened).await;
    let start = Instant::now();
    let driver = tokio::spawn(async move {
        while socket.event().await == Event::Flushed {}
        socket.event().await
    });
    client.receive().await;
    for round in 1..=3 {
        assert_eq!(client.receive().await, "2");
        assert_eq!(start.elapsed().as_secs(), 25 * round);
        client.send_text("3").await;
    }
    assert_eq!(client.receive().await, "2");
    client.send_text("6").await;
    assert!(client.closed().await.is_some());
    assert_eq!(start.elapsed().as_secs(), 4 * 25 + 20);
    assert_eq!(
        driver.await.unwrap(),
        Event::Closed(CloseReason::PingTimeout)
    );
}

#[tokio::test(start_paused = true)]
async fn paused_websocket_session_does_not_time_out() {
    let (test, mut opened) = TestEngine::new(Config::default());
    let (mut client, mut socket) = test.open_websocket(&mut opened).await;
    socket.set_paused(true);
    let driver = tokio::spawn(async move {
        let resume = sleep(Duration::from_secs(300));
        tokio::pin!(resume);
        loop {
            tokio::select! {
                () = &mut resume => break,
                event = socket.event() => assert_eq!(event, Event::Flushed),
            }
        }
        socket.set_paused(false);
        loop {
            match socket.event().await {
                Event::Flushed => {}
                event => return event,
            }
        }
    });
    client.receive().await;
    assert_eq!(client.receive().await, "2");
    client.send_text("3").await;
    client.send_text("4still here").await;
    let event = driver.await.unwrap();
    assert_eq!(
        event,
        Event::Message(realtime_protocol::Frame::text("4still here"))
    );
}

#[tokio::test]
async fn silent_client_times_out_on_both_transports() {
    let echo = EchoServer::start().await;
    let session = echo.open_polling("/engine.io/").await;
    let mut client = echo
        .websocket("/engine.io/?EIO=4&transport=websocket")
        .await
        .unwrap();
    assert!(client.closed().await.is_some());
    // A pending poll ends with a close packet. Later polls get 400.
    while echo.get(&session).await.status == 200 {}
    while echo.server.engine.sessions() > 0 {
        tokio::task::yield_now().await;
    }
}
