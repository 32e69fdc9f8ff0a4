//! Engine.IO's heartbeat, on a paused clock: when pings come, and what silence leads to.

use std::time::Duration;

use realtime_protocol::engineio::Config;
use realtime_protocol::{Ended, Event, Frame};
use tokio::time::{Instant, sleep};

use crate::support::{Echo, Lab};

#[tokio::test(start_paused = true)]
async fn the_first_ping_comes_after_the_interval() {
    let (lab, mut opened) = Lab::new(Config::default());
    let start = Instant::now();
    let (session, mut socket) = lab.polling(&mut opened).await;
    let driver = tokio::spawn(async move { socket.event().await });
    for round in 1..=3 {
        assert_eq!(lab.get(&session).await.body, "2");
        assert_eq!(start.elapsed().as_secs(), 25 * round);
        assert_eq!(lab.post(&session, "3").await.body, "ok");
        // A spare pong is no sign of anything.
        assert_eq!(lab.post(&session, "3").await.body, "ok");
    }
    assert_eq!(lab.get(&session).await.body, "2");
    assert_eq!(driver.await.unwrap(), Event::Closed(Ended::PingTimeout));
    assert_eq!(start.elapsed().as_secs(), 4 * 25 + 20);
    assert_eq!(lab.get(&session).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_waits_for_a_poll_holds_up_nothing() {
    let (lab, mut opened) = Lab::new(Config::default());
    let (session, mut socket) = lab.polling(&mut opened).await;
    let pinged = tokio::time::timeout(Duration::from_secs(30), socket.event()).await;
    assert!(pinged.is_err(), "nothing is to be told of a ping");
    // Nobody would be told that it was fetched.
    assert!(socket.can_send());
    socket.send(Frame::text("4later"));
    assert!(!socket.can_send());
    let polled = async { lab.get(&session).await.body };
    let (body, told) = tokio::join!(polled, socket.event());
    assert_eq!(body, "2\u{1e}4later");
    assert_eq!(told, Event::Flushed);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_polls_dies() {
    let (lab, mut opened) = Lab::new(Config::default());
    let (_, mut socket) = lab.polling(&mut opened).await;
    let start = Instant::now();
    assert_eq!(socket.event().await, Event::Closed(Ended::PingTimeout));
    assert_eq!(start.elapsed().as_secs(), 45);
    drop(socket);
    assert_eq!(lab.engine.sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_websocket_is_pinged_and_given_up() {
    let (lab, mut opened) = Lab::new(Config::default());
    let (mut client, mut socket) = lab.session(&mut opened).await;
    let start = Instant::now();
    let driver = tokio::spawn(async move {
        while socket.event().await == Event::Flushed {}
        socket.event().await
    });
    client.hear().await;
    for round in 1..=3 {
        assert_eq!(client.hear().await, "2");
        assert_eq!(start.elapsed().as_secs(), 25 * round);
        client.say("3").await;
    }
    assert_eq!(client.hear().await, "2");
    client.say("6").await;
    assert!(client.closed().await.is_some());
    assert_eq!(start.elapsed().as_secs(), 4 * 25 + 20);
    assert_eq!(driver.await.unwrap(), Event::Closed(Ended::PingTimeout));
}

#[tokio::test(start_paused = true)]
async fn a_paused_websocket_is_not_given_up() {
    let (lab, mut opened) = Lab::new(Config::default());
    let (mut client, mut socket) = lab.session(&mut opened).await;
    socket.pause(true);
    let driver = tokio::spawn(async move {
        let resume = sleep(Duration::from_secs(300));
        tokio::pin!(resume);
        loop {
            tokio::select! {
                () = &mut resume => break,
                event = socket.event() => assert_eq!(event, Event::Flushed),
            }
        }
        socket.pause(false);
        loop {
            match socket.event().await {
                Event::Flushed => {}
                event => return event,
            }
        }
    });
    client.hear().await;
    assert_eq!(client.hear().await, "2");
    client.say("3").await;
    client.say("4still here").await;
    let event = driver.await.unwrap();
    assert_eq!(
        event,
        Event::Message(realtime_protocol::Frame::text("4still here"))
    );
}

#[tokio::test]
async fn both_carriers_give_a_silent_client_up_in_real_time() {
    let echo = Echo::start().await;
    let session = echo.poll("/engine.io/").await;
    let mut client = echo
        .websocket("/engine.io/?EIO=4&transport=websocket")
        .await
        .unwrap();
    assert!(client.closed().await.is_some());
    // The poll that waits is told; whoever comes later is not known any more.
    while echo.get(&session).await.status == 200 {}
    let known = || echo.server.engine.sessions();
    while known() > 0 {
        tokio::task::yield_now().await;
    }
}
