//! Engine.IO: handshake, polling, limits and closing, as the public test suite requires, and bugs that other
//! servers had.

use std::pin::pin;
use std::time::Duration;

use hyper::Method;
use realtime_protocol::engineio::{Config, Socket, Transport};
use realtime_protocol::websocket::WebSocket;
use realtime_protocol::{CloseReason, Event, Frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{EchoServer, NEW_POLLING, TestEngine, poll_once, request, sid};

const POLLING: &str = "/engine.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/engine.io/?EIO=4&transport=websocket";

fn text(text: &str) -> Frame {
    Frame::text(text)
}

#[tokio::test]
async fn handshake_contains_the_timings() {
    let echo = EchoServer::start().await;
    let polling = echo.get(POLLING).await;
    assert_eq!(polling.headers["content-type"], "text/plain; charset=UTF-8");
    assert_eq!(polling.headers["cache-control"], "no-store");
    let websocket = echo.websocket(WEBSOCKET).await.unwrap().receive().await;
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
async fn invalid_request_gets_the_reference_error_code() {
    let echo = EchoServer::start().await;
    let open = echo.open_polling("/engine.io/").await;
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
        let response = request(echo.connect().await, method, uri, "").await;
        assert_eq!(response.status, 400, "{uri}");
        assert_eq!(response.headers["content-type"], "application/json");
        assert!(
            response
                .body
                .starts_with(&format!("{{\"code\":{code},\"message\":\"")),
            "{}",
            response.body
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
async fn invalid_websocket_request_is_refused() {
    let echo = EchoServer::start().await;
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
async fn polling_echoes_text_and_binary() {
    let echo = EchoServer::start().await;
    let session = echo.open_polling("/engine.io/").await;
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
async fn websocket_echoes_text_and_binary() {
    let echo = EchoServer::start().await;
    let mut client = echo.websocket(WEBSOCKET).await.unwrap();
    client.receive().await;
    client.send_text("4hé").await;
    assert_eq!(client.receive().await, "4hé");
    client.send(Message::binary(vec![1, 2])).await;
    assert_eq!(client.next().await, Message::binary(vec![1, 2]));
}

#[tokio::test]
async fn invalid_packet_closes_the_session() {
    let echo = EchoServer::start().await;
    for body in ["abc", "", "4a\u{1e}", "bA", "2", "5", "\u{1e}", "b€"] {
        let session = echo.open_polling("/engine.io/").await;
        assert_eq!(echo.post(&session, body).await.status, 400, "{body}");
        assert_eq!(echo.get(&session).await.status, 400, "{body}");
        if !body.starts_with('4') {
            let mut client = echo.websocket(WEBSOCKET).await.unwrap();
            client.send_text(body).await;
            assert_eq!(client.closed().await.unwrap().0, 1002, "{body}");
        }
    }
}

#[tokio::test]
async fn concurrent_poll_closes_the_session() {
    let (test, mut opened) = TestEngine::new(Config::default());
    let (session, mut socket) = test.polling(&mut opened).await;
    let (first, second) = tokio::join!(test.get(&session), test.get(&session));
    assert_eq!(first.parts(), (200, "1"));
    assert_eq!(second.status, 400);
    assert_eq!(
        socket.event().await,
        Event::Closed(CloseReason::ConcurrentRequests)
    );
    assert_eq!(test.get(&session).await.status, 400);
}

#[tokio::test]
async fn concurrent_post_closes_the_session() {
    let (test, mut opened) = TestEngine::new(Config::default());
    let (session, mut socket) = test.polling(&mut opened).await;
    let mut slow = test.connect();
    let head = format!("POST {session} HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\n4he");
    slow.write_all(head.as_bytes()).await.unwrap();
    // Once a quick post is refused, the slow one has begun.
    while test.post(&session, "3").await.status == 200 {}
    assert_eq!(
        socket.event().await,
        Event::Closed(CloseReason::ConcurrentRequests)
    );
    slow.write_all(b"llo").await.unwrap();
    let mut response = [0; 12];
    slow.read_exact(&mut response).await.unwrap();
    assert_eq!(&response, b"HTTP/1.1 400");
}

#[tokio::test]
async fn post_body_over_the_limit_is_refused() {
    let (test, mut opened) = TestEngine::new(Config {
        initial_max_payload: 8,
        max_packets: 3,
        ..Config::default()
    });
    let (session, mut socket) = test.polling(&mut opened).await;
    assert_eq!(test.post(&session, "412345678").await.status, 413);
    let mut chunked = test.connect();
    let head =
        format!("POST {session} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    chunked.write_all(head.as_bytes()).await.unwrap();
    chunked
        .write_all(b"5\r\n41234\r\n5\r\n56789\r\n0\r\n\r\n")
        .await
        .unwrap();
    let mut response = [0; 12];
    chunked.read_exact(&mut response).await.unwrap();
    assert_eq!(&response, b"HTTP/1.1 413");
    // The session survives both.
    socket.set_max_payload(9);
    assert_eq!(test.post(&session, "412345678").await.status, 200);
    assert_eq!(socket.event().await, Event::Message(text("412345678")));
    assert_eq!(
        test.post(&session, "4\u{1e}4\u{1e}4\u{1e}4").await.status,
        400
    );
    assert_eq!(socket.event().await, Event::Closed(CloseReason::Protocol));
}

#[tokio::test]
async fn websocket_message_over_the_limit_closes_it() {
    let (test, mut opened) = TestEngine::new(Config {
        initial_max_payload: 8,
        ..Config::default()
    });
    let (mut client, mut socket) = test.open_websocket(&mut opened).await;
    socket.set_max_payload(9);
    client.send_text("412345678").await;
    assert_eq!(socket.event().await, Event::Message(text("412345678")));
    socket.set_max_payload(8);
    client.send_text("412345678").await;
    let (closed, event) = tokio::join!(client.closed(), socket.event());
    assert_eq!(closed.unwrap().0, 1009);
    assert_eq!(event, Event::Closed(CloseReason::MessageTooBig));
}

#[tokio::test]
async fn client_close_ends_pending_poll_with_noop() {
    let (test, mut opened) = TestEngine::new(Config::default());
    let (session, mut socket) = test.polling(&mut opened).await;
    // The server may read the two in either order, because they use different connections.
    let (post, poll) = tokio::join!(test.post(&session, "4bye\u{1e}1"), test.get(&session));
    assert_eq!((post.parts(), poll.parts()), ((200, "ok"), (200, "6")));
    assert_eq!(socket.event().await, Event::Message(text("4bye")));
    assert_eq!(
        socket.event().await,
        Event::Closed(CloseReason::Peer { code: None })
    );
    assert_eq!(test.get(&session).await.status, 400);

    let (mut client, mut socket) = test.open_websocket(&mut opened).await;
    client.send_text("1").await;
    let (closed, event) = tokio::join!(client.closed(), socket.event());
    assert_eq!(closed.unwrap().0, 1000);
    assert_eq!(event, Event::Closed(CloseReason::Peer { code: None }));
}

#[tokio::test]
async fn server_close_delivers_queued_messages_first() {
    let (test, mut opened) = TestEngine::new(Config::default());
    let (session, mut socket) = test.polling(&mut opened).await;
    socket.send(text("4last"));
    // In separate payloads, because official clients drop messages that share one with the close packet.
    let polls = async { (test.get(&session).await, test.get(&session).await) };
    let ((first, second), ()) = tokio::join!(polls, socket.close(4000, "try_again"));
    assert_eq!(
        (first.parts(), second.parts()),
        ((200, "4last"), (200, "1"))
    );
    assert_eq!(test.get(&session).await.status, 400);
    assert_eq!(test.engine.sessions(), 0);

    let (mut client, mut socket) = test.open_websocket(&mut opened).await;
    socket.send(text("4last"));
    let close = tokio::spawn(async move { socket.close(4000, "try_again").await });
    assert!(client.receive().await.starts_with("0{"));
    assert_eq!(client.receive().await, "4last");
    assert_eq!(client.closed().await, Some((4000, "try_again".to_owned())));
    drop(client);
    close.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn close_without_poll_times_out() {
    let (test, mut opened) = TestEngine::new(Config::default());
    let (session, socket) = test.polling(&mut opened).await;
    socket.close(1000, "").await;
    assert_eq!(test.engine.sessions(), 0);
    assert_eq!(test.get(&session).await.status, 400);
}

#[tokio::test]
async fn dropped_socket_frees_its_session() {
    let (test, mut opened) = TestEngine::new(Config::default());
    let (session, socket) = test.polling(&mut opened).await;
    assert_eq!(
        (test.engine.sessions(), socket.transport()),
        (1, Transport::Polling)
    );
    assert!(session.ends_with(socket.id()));
    drop(socket);
    assert_eq!(test.engine.sessions(), 0);
    assert_eq!(test.get(&session).await.status, 400);

    // A pending poll gets a close packet.
    let (session, socket) = test.polling(&mut opened).await;
    let mut poll = pin!(test.handle(&session));
    assert!(poll_once(poll.as_mut()).await.is_pending());
    drop(socket);
    assert_eq!(poll.await.parts(), (200, "1"));
    assert_eq!(test.engine.sessions(), 0);
}

#[tokio::test]
async fn sent_packets_wait_for_the_next_poll() {
    let (test, mut opened) = TestEngine::new(Config::default());
    let (session, mut socket) = test.polling(&mut opened).await;
    assert!(socket.can_send());
    socket.send(text("4a"));
    socket.send(Frame::Binary(vec![1].into()));
    assert!(!socket.can_send());
    let (poll, event) = tokio::join!(test.get(&session), socket.event());
    assert_eq!(poll.body, "4a\u{1e}bAQ==");
    assert_eq!(event, Event::Flushed);
    assert!(socket.can_send());

    socket.send(text("4never"));
    assert!(socket.discard_unsent() && socket.can_send());
    assert_eq!(socket.event().await, Event::Flushed);
    socket.send(text("4b"));
    assert_eq!(
        tokio::join!(test.get(&session), socket.event()).0.body,
        "4b"
    );
}

#[tokio::test]
async fn dropped_poll_lets_the_next_poll_through() {
    let (test, mut opened) = TestEngine::new(Config::default());
    let (session, mut socket) = test.polling(&mut opened).await;
    {
        let gone = pin!(test.handle(&session));
        assert!(poll_once(gone).await.is_pending());
    }
    socket.send(text("4x"));
    assert_eq!(
        tokio::join!(test.get(&session), socket.event()).0.parts(),
        (200, "4x")
    );
}

#[tokio::test(start_paused = true)]
async fn paused_socket_delays_posts_and_stays_open() {
    let (test, mut opened) = TestEngine::new(Config::default());
    let (session, mut socket) = test.polling(&mut opened).await;
    socket.set_paused(true);
    assert_eq!(test.post(&session, "4a").await.status, 200);
    let mut second = pin!(test.post(&session, "4b"));
    // The client cannot answer pings, because its posts wait for each other. The session must not time out.
    let minutes = Duration::from_secs(300);
    assert!(timeout(minutes, socket.event()).await.is_err());
    assert_eq!(test.get(&session).await.parts(), (200, "2"));
    assert!(timeout(minutes, socket.event()).await.is_err());
    assert!(poll_once(second.as_mut()).await.is_pending());
    assert!(timeout(minutes, second.as_mut()).await.is_err());
    socket.set_paused(false);
    assert_eq!(socket.event().await, Event::Message(text("4a")));
    assert_eq!(second.await.parts(), (200, "ok"));
    assert_eq!(socket.event().await, Event::Message(text("4b")));
}

#[tokio::test]
async fn garbage_in_the_query_is_refused() {
    let echo = EchoServer::start().await;
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
fn socket_types_stay_small() {
    // Each tablet has a task that is as large as its largest state.
    assert!(size_of::<Socket<TcpStream>>() <= 128);
    assert!(size_of::<WebSocket<TcpStream>>() <= 536);
}
