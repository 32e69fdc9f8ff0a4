//! What the public Engine.IO suite asks for and where such servers went wrong before: handshake, polling, limits, endings.

use std::pin::pin;
use std::time::Duration;

use hyper::Method;
use realtime_protocol::engineio::{Config, Socket, Transport};
use realtime_protocol::websocket::WebSocket;
use realtime_protocol::{Ended, Event, Frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Echo, Lab, NEW_POLLING, ask, glance, sid};

const POLLING: &str = "/engine.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/engine.io/?EIO=4&transport=websocket";

fn text(text: &str) -> Frame {
    Frame::text(text)
}

#[tokio::test]
async fn the_handshake_tells_the_timings() {
    let echo = Echo::start().await;
    let polling = echo.get(POLLING).await;
    assert_eq!(polling.headers["content-type"], "text/plain; charset=UTF-8");
    assert_eq!(polling.headers["cache-control"], "no-store");
    let websocket = echo.websocket(WEBSOCKET).await.unwrap().hear().await;
    for (handshake, upgrades) in [(polling.body, "\"websocket\""), (websocket, "")] {
        let sid = sid(&handshake);
        assert_eq!(sid.len(), 22);
        let rest = r#""pingInterval":300,"pingTimeout":200,"maxPayload":1000000"#;
        assert_eq!(
            handshake,
            format!(r#"0{{"sid":"{sid}","upgrades":[{upgrades}],{rest}}}"#)
        );
    }
}

#[tokio::test]
async fn wrong_requests_are_refused_with_the_reference_codes() {
    let echo = Echo::start().await;
    let open = echo.poll("/engine.io/").await;
    let both = format!("{open}&sid=x");
    for (method, uri, code) in [
        (Method::GET, "/engine.io/?EIO=4", 0),
        (Method::GET, "/engine.io/?EIO=4&transport=abc", 0),
        (
            Method::GET,
            "/engine.io/?EIO=4&transport=polling&sid=unknown",
            1,
        ),
        (Method::GET, "/engine.io/?EIO=4&transport=polling&sid=", 1),
        (
            Method::POST,
            "/engine.io/?EIO=4&transport=polling&sid=%00%ff",
            1,
        ),
        (Method::POST, "/engine.io/?EIO=4&transport=polling", 2),
        (Method::PUT, "/engine.io/?EIO=4&transport=polling", 2),
        (Method::GET, "/engine.io/?EIO=4&transport=websocket", 3),
        (Method::DELETE, open.as_str(), 3),
        (Method::GET, both.as_str(), 3),
        (Method::GET, "/engine.io/?transport=polling", 5),
        (Method::GET, "/engine.io?EIO=3&transport=polling", 5),
    ] {
        let answer = ask(echo.connect().await, method, uri, "").await;
        assert_eq!(answer.status, 400, "{uri}");
        assert_eq!(answer.headers["content-type"], "application/json");
        assert!(
            answer
                .body
                .starts_with(&format!("{{\"code\":{code},\"message\":\"")),
            "{}",
            answer.body
        );
    }
    let unknown = echo
        .get("/engine.io/?EIO=4&transport=polling&sid=unknown")
        .await;
    assert_eq!(unknown.body, r#"{"code":1,"message":"Session ID unknown"}"#);
    for path in ["/engine.io/x", "/engine.iox/", "/engine.io//"] {
        assert_eq!(
            echo.get(&format!("{path}?EIO=4&transport=polling"))
                .await
                .status,
            404
        );
    }
}

#[tokio::test]
async fn wrong_websocket_requests_are_refused() {
    let echo = Echo::start().await;
    for uri in [
        "/engine.io/?transport=websocket",
        "/engine.io/?EIO=abc&transport=websocket",
        "/engine.io/?EIO=4",
        "/engine.io/?EIO=4&transport=abc",
        "/engine.io/?EIO=4&transport=polling",
        "/engine.io/?EIO=4&transport=websocket&sid=unknown",
    ] {
        assert_eq!(
            echo.websocket(uri)
                .await
                .err()
                .map(|status| status.as_u16()),
            Some(400),
            "{uri}"
        );
    }
}

#[tokio::test]
async fn polling_carries_text_and_binary() {
    let echo = Echo::start().await;
    let session = echo.poll("/engine.io/").await;
    for body in [
        "4hello",
        "4test1\u{1e}4test2\u{1e}4test3",
        "4é€😀\u{1e}bAQIDBA==",
        "4",
    ] {
        assert_eq!(echo.post(&session, body).await.parts(), (200, "ok"));
        assert_eq!(echo.get(&session).await.parts(), (200, body));
    }
}

#[tokio::test]
async fn a_websocket_carries_text_and_binary() {
    let echo = Echo::start().await;
    let mut client = echo.websocket(WEBSOCKET).await.unwrap();
    client.hear().await;
    client.say("4hé").await;
    assert_eq!(client.hear().await, "4hé");
    client.send(Message::binary(vec![1, 2])).await;
    assert_eq!(client.next().await, Message::binary(vec![1, 2]));
}

#[tokio::test]
async fn what_is_no_packet_ends_the_session() {
    let echo = Echo::start().await;
    for body in ["abc", "", "4a\u{1e}", "bA", "2", "5", "\u{1e}", "b€"] {
        let session = echo.poll("/engine.io/").await;
        assert_eq!(echo.post(&session, body).await.status, 400, "{body}");
        assert_eq!(echo.get(&session).await.status, 400, "{body}");
        if !body.starts_with('4') {
            let mut client = echo.websocket(WEBSOCKET).await.unwrap();
            client.say(body).await;
            assert_eq!(client.closed().await.unwrap().0, 1002, "{body}");
        }
    }
}

#[tokio::test]
async fn a_second_poll_ends_the_session() {
    let (lab, mut opened) = Lab::new(Config::default());
    let (session, mut socket) = lab.polling(&mut opened).await;
    let (first, second) = tokio::join!(lab.get(&session), lab.get(&session));
    assert_eq!(first.parts(), (200, "1"));
    assert_eq!(second.status, 400);
    assert_eq!(socket.event().await, Event::Closed(Ended::Duplicate));
    assert_eq!(lab.get(&session).await.status, 400);
}

#[tokio::test]
async fn a_second_push_ends_the_session() {
    let (lab, mut opened) = Lab::new(Config::default());
    let (session, mut socket) = lab.polling(&mut opened).await;
    let mut slow = lab.connect();
    let head = format!("POST {session} HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\n4he");
    slow.write_all(head.as_bytes()).await.unwrap();
    // The slow push has begun when a quick one is refused.
    while lab.post(&session, "3").await.status == 200 {}
    assert_eq!(socket.event().await, Event::Closed(Ended::Duplicate));
    slow.write_all(b"llo").await.unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
}

#[tokio::test]
async fn bodies_are_bounded_and_the_bound_moves() {
    let (lab, mut opened) = Lab::new(Config {
        first_max_payload: 8,
        max_packets: 3,
        ..Config::default()
    });
    let (session, mut socket) = lab.polling(&mut opened).await;
    assert_eq!(lab.post(&session, "412345678").await.status, 413);
    let mut chunked = lab.connect();
    let head =
        format!("POST {session} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    chunked.write_all(head.as_bytes()).await.unwrap();
    chunked
        .write_all(b"5\r\n41234\r\n5\r\n56789\r\n0\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0; 12];
    chunked.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    // The session survives both.
    socket.set_max_payload(9);
    assert_eq!(lab.post(&session, "412345678").await.status, 200);
    assert_eq!(socket.event().await, Event::Message(text("412345678")));
    assert_eq!(
        lab.post(&session, "4\u{1e}4\u{1e}4\u{1e}4").await.status,
        400
    );
    assert_eq!(socket.event().await, Event::Closed(Ended::Protocol));
}

#[tokio::test]
async fn messages_on_a_websocket_are_bounded_and_the_bound_moves() {
    let (lab, mut opened) = Lab::new(Config {
        first_max_payload: 8,
        ..Config::default()
    });
    let (mut client, mut socket) = lab.session(&mut opened).await;
    socket.set_max_payload(9);
    client.say("412345678").await;
    assert_eq!(socket.event().await, Event::Message(text("412345678")));
    socket.set_max_payload(8);
    client.say("412345678").await;
    let (closed, event) = tokio::join!(client.closed(), socket.event());
    assert_eq!(closed.unwrap().0, 1009);
    assert_eq!(event, Event::Closed(Ended::TooBig));
}

#[tokio::test]
async fn the_clients_close_ends_its_poll_with_a_noop() {
    let (lab, mut opened) = Lab::new(Config::default());
    let (session, mut socket) = lab.polling(&mut opened).await;
    // In either order, since the two travel on different connections.
    let (push, poll) = tokio::join!(lab.post(&session, "4bye\u{1e}1"), lab.get(&session));
    assert_eq!((push.parts(), poll.parts()), ((200, "ok"), (200, "6")));
    assert_eq!(socket.event().await, Event::Message(text("4bye")));
    assert_eq!(
        socket.event().await,
        Event::Closed(Ended::Peer { code: None })
    );
    assert_eq!(lab.get(&session).await.status, 400);

    let (mut client, mut socket) = lab.session(&mut opened).await;
    client.say("1").await;
    let (closed, event) = tokio::join!(client.closed(), socket.event());
    assert_eq!(closed.unwrap().0, 1000);
    assert_eq!(event, Event::Closed(Ended::Peer { code: None }));
}

#[tokio::test]
async fn the_servers_close_comes_after_what_was_sent() {
    let (lab, mut opened) = Lab::new(Config::default());
    let (session, mut socket) = lab.polling(&mut opened).await;
    socket.send(text("4last"));
    // Apart, since stock clients drop what shares a payload with the close packet.
    let polls = async { (lab.get(&session).await, lab.get(&session).await) };
    let ((first, second), ()) = tokio::join!(polls, socket.close(4000, "try_again"));
    assert_eq!(
        (first.parts(), second.parts()),
        ((200, "4last"), (200, "1"))
    );
    assert_eq!(lab.get(&session).await.status, 400);
    assert_eq!(lab.engine.sessions(), 0);

    let (mut client, mut socket) = lab.session(&mut opened).await;
    socket.send(text("4last"));
    let close = tokio::spawn(async move { socket.close(4000, "try_again").await });
    assert!(client.hear().await.starts_with("0{"));
    assert_eq!(client.hear().await, "4last");
    assert_eq!(client.closed().await, Some((4000, "try_again".to_owned())));
    drop(client);
    close.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_close_that_nobody_polls_for_is_given_up() {
    let (lab, mut opened) = Lab::new(Config::default());
    let (session, socket) = lab.polling(&mut opened).await;
    socket.close(1000, "").await;
    assert_eq!(lab.engine.sessions(), 0);
    assert_eq!(lab.get(&session).await.status, 400);
}

#[tokio::test]
async fn dropping_a_socket_frees_its_session() {
    let (lab, mut opened) = Lab::new(Config::default());
    let (session, socket) = lab.polling(&mut opened).await;
    assert_eq!(
        (lab.engine.sessions(), socket.transport()),
        (1, Transport::Polling)
    );
    assert!(session.ends_with(socket.id()));
    drop(socket);
    assert_eq!(lab.engine.sessions(), 0);
    assert_eq!(lab.get(&session).await.status, 400);

    // A poll that waits is told.
    let (session, socket) = lab.polling(&mut opened).await;
    let mut poll = pin!(lab.handle(&session));
    assert!(glance(poll.as_mut()).await.is_pending());
    drop(socket);
    assert_eq!(poll.await.parts(), (200, "1"));
    assert_eq!(lab.engine.sessions(), 0);
}

#[tokio::test]
async fn sending_is_a_matter_of_polls() {
    let (lab, mut opened) = Lab::new(Config::default());
    let (session, mut socket) = lab.polling(&mut opened).await;
    assert!(socket.can_send());
    socket.send(text("4a"));
    socket.send(Frame::Binary(vec![1].into()));
    assert!(!socket.can_send());
    let (poll, event) = tokio::join!(lab.get(&session), socket.event());
    assert_eq!(poll.body, "4a\u{1e}bAQ==");
    assert_eq!(event, Event::Flushed);
    assert!(socket.can_send());

    socket.send(text("4never"));
    assert!(socket.discard_unsent() && socket.can_send());
    assert_eq!(socket.event().await, Event::Flushed);
    socket.send(text("4b"));
    assert_eq!(tokio::join!(lab.get(&session), socket.event()).0.body, "4b");
}

#[tokio::test]
async fn a_poll_that_hung_up_makes_room_for_the_next() {
    let (lab, mut opened) = Lab::new(Config::default());
    let (session, mut socket) = lab.polling(&mut opened).await;
    {
        let gone = pin!(lab.handle(&session));
        assert!(glance(gone).await.is_pending());
    }
    socket.send(text("4x"));
    assert_eq!(
        tokio::join!(lab.get(&session), socket.event()).0.parts(),
        (200, "4x")
    );
}

#[tokio::test(start_paused = true)]
async fn a_paused_socket_holds_pushes_back_and_lives() {
    let (lab, mut opened) = Lab::new(Config::default());
    let (session, mut socket) = lab.polling(&mut opened).await;
    socket.pause(true);
    assert_eq!(lab.post(&session, "4a").await.status, 200);
    let mut second = pin!(lab.post(&session, "4b"));
    // Pings go unanswered, since the client's pushes wait behind each other.
    let minutes = Duration::from_secs(300);
    assert!(timeout(minutes, socket.event()).await.is_err());
    assert_eq!(lab.get(&session).await.parts(), (200, "2"));
    assert!(timeout(minutes, socket.event()).await.is_err());
    assert!(glance(second.as_mut()).await.is_pending());
    assert!(timeout(minutes, second.as_mut()).await.is_err());
    socket.pause(false);
    assert_eq!(socket.event().await, Event::Message(text("4a")));
    assert_eq!(second.await.parts(), (200, "ok"));
    assert_eq!(socket.event().await, Event::Message(text("4b")));
}

#[tokio::test]
async fn garbage_in_a_request_never_panics() {
    let echo = Echo::start().await;
    for query in [
        "?",
        "?%",
        "?EIO=%f0%9f&transport=polling",
        "?sid=%",
        "?&&=&",
        "?transport",
    ] {
        assert_eq!(
            echo.get(&format!("/engine.io/{query}")).await.status,
            400,
            "{query}"
        );
    }
    assert_eq!(echo.get(NEW_POLLING).await.status, 200);
}

#[test]
fn sockets_stay_small() {
    // The session's task is as large as its largest state, and there is one for each tablet.
    assert!(size_of::<Socket<TcpStream>>() <= 128);
    assert!(size_of::<WebSocket<TcpStream>>() <= 536);
}
