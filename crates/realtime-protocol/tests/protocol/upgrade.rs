//! The way from polling to WebSocket: nothing lost, nothing twice, nothing out of order, and no harm when it fails.

use std::time::Duration;

use realtime_protocol::engineio::{Config, Socket, Transport};
use realtime_protocol::{Ended, Event, Frame};
use tokio::io::DuplexStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Client, Echo, Lab, upgraded};

fn text(text: impl Into<String>) -> Frame {
    Frame::text(text.into())
}

/// Drives the socket until a message comes.
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
    client.say("2probe").await;
    assert_eq!(client.hear().await, "3probe");
}

#[tokio::test]
async fn as_the_suite_does_it() {
    let echo = Echo::start().await;
    let session = echo.poll("/engine.io/").await;
    let mut client = echo.websocket(&upgraded(&session)).await.unwrap();
    probe(&mut client).await;
    assert_eq!(echo.get(&session).await.parts(), (200, "6"));
    client.say("5").await;
    client.say("4hello").await;
    assert_eq!(client.hear().await, "4hello");
    // Later requests and WebSockets of this sid change nothing.
    assert_eq!(echo.get(&session).await.status, 400);
    assert_eq!(echo.post(&session, "4x").await.status, 400);
    let mut second = echo.websocket(&upgraded(&session)).await.unwrap();
    assert!(second.closed().await.is_some());
    client.say("4again").await;
    assert_eq!(client.hear().await, "4again");
    assert_eq!(client.hear().await, "2");
}

#[tokio::test]
async fn a_poll_behind_the_upgrade_packet_is_refused() {
    let echo = Echo::start().await;
    for _ in 0..20 {
        let session = echo.poll("/engine.io/").await;
        let mut client = echo.websocket(&upgraded(&session)).await.unwrap();
        client.say("2probe").await;
        client.say("5").await;
        assert_eq!(echo.get(&session).await.status, 400);
        assert_eq!(client.hear().await, "3probe");
        client.say("4hello").await;
        assert_eq!(client.hear().await, "4hello");
    }
}

#[tokio::test]
async fn every_poll_gets_a_noop_until_it_is_done() {
    let (lab, mut opened) = Lab::new(Config::default());
    let (session, mut socket) = lab.polling(&mut opened).await;
    let driver = tokio::spawn(async move {
        let first = message(&mut socket).await;
        socket.send(text("4waiting"));
        assert_eq!(socket.transport(), Transport::Polling);
        let second = message(&mut socket).await;
        assert_eq!(socket.transport(), Transport::WebSocket);
        assert_eq!(socket.event().await, Event::Flushed);
        (first, second)
    });
    let mut client = lab.websocket(&upgraded(&session)).await.unwrap();
    let pending = tokio::spawn({
        let (lab, session) = (lab.clone(), session.clone());
        async move { lab.get(&session).await }
    });
    probe(&mut client).await;
    assert_eq!(pending.await.unwrap().parts(), (200, "6"));
    for _ in 0..3 {
        assert_eq!(lab.get(&session).await.parts(), (200, "6"));
    }
    // Pushes still arrive, and what is sent before the change waits for it or for a poll.
    assert_eq!(lab.post(&session, "4pushed").await.parts(), (200, "ok"));
    client.say("5").await;
    client.say("4on the new way").await;
    assert_eq!(client.hear().await, "4waiting");
    assert_eq!(
        driver.await.unwrap(),
        (text("4pushed"), text("4on the new way"))
    );
}

#[tokio::test]
async fn one_that_reads_nothing_just_now_changes_over_all_the_same() {
    let (lab, mut opened) = Lab::new(Config::default());
    let (session, mut socket) = lab.polling(&mut opened).await;
    assert_eq!(lab.post(&session, "4pushed").await.body, "ok");
    socket.send(text("4waiting"));
    socket.pause(true);
    let driver = tokio::spawn(async move {
        let pushed = message(&mut socket).await;
        assert_eq!(socket.event().await, Event::Flushed);
        assert_eq!(socket.transport(), Transport::WebSocket);
        socket.pause(false);
        (pushed, message(&mut socket).await)
    });
    let mut client = lab.websocket(&upgraded(&session)).await.unwrap();
    // The client polls no more, so what waits can reach it on its new carrier alone.
    probe(&mut client).await;
    client.say("5").await;
    client.say("4hello").await;
    assert_eq!(client.hear().await, "4waiting");
    assert_eq!(driver.await.unwrap(), (text("4pushed"), text("4hello")));
}

#[tokio::test(start_paused = true)]
async fn one_that_never_ends_is_given_up() {
    let (lab, mut opened) = Lab::new(Config::default());
    let (session, mut socket) = lab.polling(&mut opened).await;
    let driver = tokio::spawn(async move {
        socket.send(text("4one"));
        assert_eq!(message(&mut socket).await, text("4two"));
        socket
    });
    for probes in [false, true] {
        let mut client = lab.websocket(&upgraded(&session)).await.unwrap();
        if probes {
            probe(&mut client).await;
        }
        assert!(client.closed().await.is_some());
    }
    // Polling goes on as if nothing had been, and another upgrade may be tried.
    assert_eq!(lab.get(&session).await.body, "4one");
    let mut client = lab.websocket(&upgraded(&session)).await.unwrap();
    probe(&mut client).await;
    assert_eq!(lab.post(&session, "4two").await.body, "ok");
    drop(driver.await.unwrap());
    assert!(client.closed().await.is_none());
    assert_eq!(lab.engine.sessions(), 0);
}

#[tokio::test]
async fn one_that_goes_wrong_leaves_polling_alone() {
    let (lab, mut opened) = Lab::new(Config::default());
    let (session, mut socket) = lab.polling(&mut opened).await;
    let driver = tokio::spawn(async move { message(&mut socket).await });
    for wrong in ["5", "4hello", "2", "x", "3probe"] {
        let mut client = lab.websocket(&upgraded(&session)).await.unwrap();
        client.say(wrong).await;
        assert_eq!(client.closed().await.unwrap().0, 1002, "{wrong}");
    }
    let mut client = lab.websocket(&upgraded(&session)).await.unwrap();
    probe(&mut client).await;
    client.send(Message::Close(None)).await;
    client.closed().await;
    assert_eq!(lab.post(&session, "4ok").await.status, 200);
    assert_eq!(driver.await.unwrap(), text("4ok"));
}

#[tokio::test]
async fn a_second_one_is_closed_and_the_first_goes_on() {
    let (lab, mut opened) = Lab::new(Config::default());
    let (session, mut socket) = lab.polling(&mut opened).await;
    let driver = tokio::spawn(async move { message(&mut socket).await });
    let mut first = lab.websocket(&upgraded(&session)).await.unwrap();
    probe(&mut first).await;
    let mut second = lab.websocket(&upgraded(&session)).await.unwrap();
    assert_eq!(second.closed().await.unwrap().0, 1008);
    first.say("5").await;
    first.say("4first").await;
    assert_eq!(driver.await.unwrap(), text("4first"));
}

#[tokio::test]
async fn a_session_that_ends_meanwhile_takes_its_probe_along() {
    let (lab, mut opened) = Lab::new(Config::default());
    let (session, mut socket) = lab.polling(&mut opened).await;
    let driver = tokio::spawn(async move {
        assert_eq!(socket.event().await, Event::Closed(Ended::Protocol));
    });
    let mut client = lab.websocket(&upgraded(&session)).await.unwrap();
    probe(&mut client).await;
    assert_eq!(lab.post(&session, "nonsense").await.status, 400);
    driver.await.unwrap();
    assert!(client.closed().await.is_none());
    assert_eq!(lab.engine.sessions(), 0);
}

/// Both sides send numbered messages all the while, as a browser's client would go about its upgrade.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_reordered_on_the_way() {
    const COUNT: usize = 300;
    let (lab, mut opened) = Lab::new(Config::default());
    let mut rounds = Vec::new();
    for _ in 0..24 {
        let (session, socket) = lab.polling(&mut opened).await;
        rounds.push(tokio::spawn(server(socket, COUNT)));
        rounds.push(tokio::spawn(client(lab.clone(), session, COUNT)));
    }
    for round in rounds {
        round.await.unwrap();
    }
}

/// Sends numbers a few at a time, and expects the client's in order.
async fn server(mut socket: Socket<DuplexStream>, count: usize) {
    let (mut sent, mut heard) = (0, 0);
    while heard < count {
        if socket.can_send() && sent < count {
            for number in sent..(sent + 3).min(count) {
                socket.send(text(format!("4{number}")));
            }
            sent = (sent + 3).min(count);
        }
        match socket.event().await {
            Event::Message(frame) => {
                assert_eq!(frame, text(format!("4{heard}")));
                heard += 1;
            }
            Event::Flushed => {}
            Event::Closed(ended) => panic!("{ended} at {heard}"),
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

async fn client(lab: Lab, session: String, count: usize) {
    let mut heard = 0;
    let mut hear = |body: &str| {
        for packet in body
            .split('\u{1e}')
            .filter(|packet| !matches!(*packet, "6" | "2"))
        {
            assert_eq!(packet, format!("4{heard}"));
            heard += 1;
        }
        heard
    };
    // Some polls and pushes first.
    let mut said = 0;
    for _ in 0..5 {
        hear(&lab.get(&session).await.body);
        lab.post(&session, &format!("4{said}")).await;
        said += 1;
    }
    // The last poll and push run beside the opening and the probe, as in a real client.
    let polling = async {
        let push = format!("4{said}");
        let (poll, push) = tokio::join!(lab.get(&session), lab.post(&session, &push));
        assert_eq!(push.parts(), (200, "ok"));
        poll.body
    };
    let opening = async {
        let mut socket = lab.websocket(&upgraded(&session)).await.unwrap();
        probe(&mut socket).await;
        socket
    };
    let (last, mut socket) = tokio::join!(polling, opening);
    hear(&last);
    said += 1;
    socket.say("5").await;
    for number in said..count {
        socket.say(&format!("4{number}")).await;
    }
    let finish = async {
        while hear(&socket.hear().await) < count {}
        socket.closed().await
    };
    let closed = tokio::time::timeout(Duration::from_secs(60), finish)
        .await
        .unwrap();
    assert_eq!(closed, Some((1000, "done".to_owned())));
}
