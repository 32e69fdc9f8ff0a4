//! The WebSocket as its client sees it: the rules of RFC 6455, message limits, closing and buffered writes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use realtime_protocol::websocket::{Keepalive, Limits, WebSocket};
use realtime_protocol::{CloseReason, Event, Frame};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Message, protocol::CloseFrame};

use crate::support::{Client, poll_once};

/// No pings, and messages of at most 64 bytes.
const NO_KEEPALIVE: Limits = Limits {
    max_message: 64,
    keepalive: None,
};

/// Both ends of a WebSocket over a pipe that buffers `capacity` bytes in each direction.
async fn pair(capacity: usize, limits: Limits) -> (Client<DuplexStream>, WebSocket<DuplexStream>) {
    let (client, server) = duplex(capacity);
    let client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
    (Client(client), WebSocket::new(server, Bytes::new(), limits))
}

fn text(text: &str) -> Frame {
    Frame::text(text)
}

#[tokio::test]
async fn messages_are_received_and_sent() {
    let (mut client, mut socket) = pair(1024, NO_KEEPALIVE).await;
    client.send(Message::Ping("x".into())).await;
    client.send_text("hé").await;
    client.send(Message::binary(vec![0, 255])).await;
    assert_eq!(socket.event().await, Event::Message(text("hé")));
    assert_eq!(
        socket.event().await,
        Event::Message(Frame::Binary(vec![0, 255].into()))
    );
    socket.send(text("back"));
    assert!(!socket.can_send());
    assert_eq!(socket.event().await, Event::Flushed);
    assert!(socket.can_send());
    assert_eq!(client.receive().await, "back");
}

#[tokio::test]
async fn changed_message_limit_applies_to_the_next_message() {
    let (mut client, mut socket) = pair(4096, NO_KEEPALIVE).await;
    socket.set_max_message(200);
    client.send_text(&"x".repeat(200)).await;
    assert_eq!(socket.event().await, Event::Message(text(&"x".repeat(200))));
    socket.set_max_message(100);
    client.send_text(&"x".repeat(101)).await;
    let (closed, event) = tokio::join!(client.closed(), socket.event());
    assert_eq!(
        (closed.unwrap().0, event),
        (1009, Event::Closed(CloseReason::MessageTooBig))
    );
}

/// Sends raw bytes, and asserts how the socket ends and which close code the client receives.
async fn assert_closed(bytes: &[u8], ended: CloseReason, code: u16) {
    let (mut client, server) = duplex(1024);
    let mut socket = WebSocket::new(server, Bytes::new(), NO_KEEPALIVE);
    client.write_all(bytes).await.unwrap();
    let read = async {
        let mut close = [0; 4];
        client.read_exact(&mut close).await.unwrap();
        // The socket waits until the client closes its end.
        drop(client);
        close
    };
    let (close, event) = tokio::join!(read, socket.event());
    assert_eq!(event, Event::Closed(ended), "{bytes:x?}");
    let [high, low] = code.to_be_bytes();
    assert_eq!(close, [0x88, 2, high, low], "{bytes:x?}");
    assert_eq!(socket.event().await, Event::Closed(ended));
}

#[tokio::test]
async fn invalid_frame_is_closed_with_its_code() {
    for (bytes, ended, code) in [
        (&b"\x81\x01x"[..], CloseReason::Protocol, 1002),
        (b"\xc1\x80\0\0\0\0", CloseReason::Protocol, 1002),
        (b"\x83\x80\0\0\0\0", CloseReason::Protocol, 1002),
        (b"\x80\x80\0\0\0\0", CloseReason::Protocol, 1002),
        (b"\x09\x80\0\0\0\0", CloseReason::Protocol, 1002),
        (b"\x88\x81\0\0\0\0x", CloseReason::Protocol, 1002),
        (b"\x81\x82\0\0\0\0\xc3\x28", CloseReason::InvalidUtf8, 1007),
        (
            b"\x82\xfe\xff\xff\0\0\0\0",
            CloseReason::MessageTooBig,
            1009,
        ),
        (
            b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
            CloseReason::MessageTooBig,
            1009,
        ),
    ] {
        assert_closed(bytes, ended, code).await;
    }
    // The limit applies to all fragments of a message together.
    let mut fragments = vec![0x01, 0xc0 - 0x40 + 60, 0, 0, 0, 0];
    fragments.extend([b'x'; 60]);
    fragments.extend(b"\x80\x85\0\0\0\0abcde");
    assert_closed(&fragments, CloseReason::MessageTooBig, 1009).await;
}

#[tokio::test]
async fn client_close_is_answered_and_reported() {
    let (mut client, mut socket) = pair(1024, NO_KEEPALIVE).await;
    let frame = CloseFrame {
        code: 4321.into(),
        reason: "enough".into(),
    };
    client.send(Message::Close(Some(frame))).await;
    assert_eq!(
        socket.event().await,
        Event::Closed(CloseReason::Peer { code: Some(4321) })
    );
    assert_eq!(client.closed().await.unwrap().0, 4321);

    let (client, mut socket) = pair(1024, NO_KEEPALIVE).await;
    drop(client);
    let broken = CloseReason::Transport(io::ErrorKind::UnexpectedEof);
    assert_eq!(socket.event().await, Event::Closed(broken));
}

#[tokio::test]
async fn close_sends_queued_messages_first() {
    let (mut client, mut socket) = pair(16, NO_KEEPALIVE).await;
    socket.send(text("a rather long last message"));
    let close = tokio::spawn(socket.close(4008, "stalled"));
    assert_eq!(client.receive().await, "a rather long last message");
    assert_eq!(client.closed().await, Some((4008, "stalled".to_owned())));
    drop(client);
    close.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn close_takes_at_most_two_seconds() {
    let (_client, mut socket) = pair(16, NO_KEEPALIVE).await;
    socket.send(text("more than the connection will ever take"));
    let start = Instant::now();
    socket.close(1000, "").await;
    assert_eq!(start.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn silent_client_is_pinged_and_times_out() {
    let limits = Limits {
        max_message: 64,
        keepalive: Some(Keepalive::default()),
    };
    let (client, mut socket) = pair(1024, limits).await;
    let start = Instant::now();
    assert_eq!(
        socket.event().await,
        Event::Closed(CloseReason::PingTimeout)
    );
    assert_eq!(start.elapsed().as_secs(), 60);
    let mut raw = client.0.into_inner();
    let mut bytes = [0; 2];
    raw.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes, [0x89, 0]);

    let (mut client, mut socket) = pair(1024, limits).await;
    let start = Instant::now();
    let responding = tokio::spawn(async move { client.closed().await });
    let waiting = tokio::time::timeout(std::time::Duration::from_secs(600), socket.event());
    assert!(waiting.await.is_err());
    assert_eq!(start.elapsed().as_secs(), 600);
    drop(socket);
    responding.await.unwrap();
}

#[tokio::test]
async fn unsent_frames_are_discarded_until_one_is_half_written() {
    let (mut client, mut socket) = pair(16, NO_KEEPALIVE).await;
    socket.send(text("dropped"));
    assert!(socket.discard_unsent() && socket.can_send());
    socket.send(text("sent"));
    while socket.event().await != Event::Flushed {}
    assert_eq!(client.receive().await, "sent");
    socket.send(text("a message that does not fit into the connection"));
    assert!(poll_once(socket.event()).await.is_pending());
    socket.send(text("never"));
    assert!(!socket.discard_unsent());
    let (received, event) = tokio::join!(client.receive(), socket.event());
    assert_eq!(received, "a message that does not fit into the connection");
    assert_eq!(event, Event::Flushed);
    assert!(socket.can_send());
}

#[tokio::test]
async fn flush_now_reports_only_incomplete_writes_later() {
    let (mut client, mut socket) = pair(64, NO_KEEPALIVE).await;
    socket.send(text("at once"));
    assert!(socket.flush_now() && socket.can_send());
    assert_eq!(client.receive().await, "at once");
    assert!(
        poll_once(socket.event()).await.is_pending(),
        "no event is pending"
    );

    let long = "more than fits into the connection ".repeat(3);
    socket.send(text(&long));
    assert!(!socket.flush_now() && !socket.can_send());
    let (received, event) = tokio::join!(client.receive(), socket.event());
    assert_eq!((received, event), (long, Event::Flushed));

    drop(client);
    socket.send(text("to nobody"));
    assert!(!socket.flush_now(), "poll_event reports the error");
    assert!(matches!(socket.event().await, Event::Closed(_)));
}

#[tokio::test]
async fn bursts_of_messages_are_read_completely() {
    let (mut client, mut socket) = pair(64 * 1024, NO_KEEPALIVE).await;
    socket.set_max_message(4096);
    for _ in 0..3 {
        assert!(poll_once(socket.event()).await.is_pending());
        let long = "x".repeat(3000);
        for message in ["one", &long, "two"] {
            client.send_text(message).await;
        }
        for message in ["one", &long, "two"] {
            assert_eq!(socket.event().await, Event::Message(text(message)));
        }
    }
}

#[tokio::test]
async fn paused_socket_writes_but_does_not_read() {
    let (mut client, mut socket) = pair(1024, NO_KEEPALIVE).await;
    client.send_text("later").await;
    socket.set_paused(true);
    socket.send(text("now"));
    assert_eq!(socket.event().await, Event::Flushed);
    assert_eq!(client.receive().await, "now");
    assert!(poll_once(socket.event()).await.is_pending());
    socket.set_paused(false);
    assert_eq!(socket.event().await, Event::Message(text("later")));
}

#[tokio::test]
async fn blocked_pongs_stop_reading() {
    let (mut client, mut socket) = pair(1024, NO_KEEPALIVE).await;
    let mut sent = 0;
    // The client reads nothing, so the socket must stop reading after a while too.
    while poll_once(client.0.send(Message::Ping(vec![0; 100].into())))
        .await
        .is_ready()
    {
        assert!(poll_once(socket.event()).await.is_pending());
        sent += 1;
        assert!(sent < 100);
    }
    // Once the client reads again, the socket continues.
    let (mut sink, mut stream) = client.0.split();
    let reading = tokio::spawn(async move { while stream.next().await.is_some() {} });
    let writing = tokio::spawn(async move { sink.send(Message::text("there")).await });
    // `Flushed` reports that the pongs were written.
    assert_eq!(socket.event().await, Event::Flushed);
    assert_eq!(socket.event().await, Event::Message(text("there")));
    writing.await.unwrap().unwrap();
    drop(socket);
    reading.await.unwrap();
}

/// Counts the writes to the stream.
struct CountingStream(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for CountingStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for CountingStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn queued_frames_are_written_at_once() {
    let (_client, server) = duplex(64 * 1024);
    let writes = Arc::new(AtomicUsize::new(0));
    let mut socket = WebSocket::new(
        CountingStream(server, writes.clone()),
        Bytes::new(),
        NO_KEEPALIVE,
    );
    for _ in 0..10 {
        socket.send(text("a short event"));
    }
    assert_eq!(socket.event().await, Event::Flushed);
    assert_eq!(writes.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn handshake_response_is_written_before_the_first_frames() {
    let (mut client, server) = duplex(64 * 1024);
    let writes = Arc::new(AtomicUsize::new(0));
    let response = hyper::Response::builder().status(101);
    let (head, ()) = response
        .header("upgrade", "websocket")
        .body(())
        .unwrap()
        .into_parts();
    // A ping that arrived before the response is answered after the first frames.
    let ping = Bytes::from_static(b"\x89\x80\x00\x00\x00\x00");
    let stream = CountingStream(server, writes.clone());
    let mut socket = WebSocket::with_pending_response(stream, &head, ping, NO_KEEPALIVE);
    assert!(!socket.can_send());
    socket.send(text("dropped"));
    assert!(socket.discard_unsent(), "the response remains");
    socket.send(text("first event"));
    assert_eq!(socket.event().await, Event::Flushed);
    assert!(socket.can_send());
    assert_eq!(writes.load(Ordering::Relaxed), 2);

    let expected = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n\x81\x0bfirst event\x8a\x00";
    let mut received = vec![0; expected.len()];
    client.read_exact(&mut received).await.unwrap();
    assert_eq!(received, expected);
}

/// Both ends of a TLS connection over a pipe.
async fn tls(
    capacity: usize,
) -> (
    client::TlsStream<DuplexStream>,
    server::TlsStream<DuplexStream>,
) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (near, far) = duplex(capacity);
    let name = "localhost".try_into().unwrap();
    let connecting = TlsConnector::from(Arc::new(client)).connect(name, near);
    let accepting = TlsAcceptor::from(Arc::new(server)).accept(far);
    let (client, server) = tokio::join!(connecting, accepting);
    (client.unwrap(), server.unwrap())
}

#[tokio::test]
async fn tls_data_blocked_by_the_kernel_is_not_flushed() {
    let (client, server) = tls(4096).await;
    let client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
    let mut client = Client(client);
    let mut socket = WebSocket::new(server, Bytes::new(), NO_KEEPALIVE);
    let long = "x".repeat(10_000);
    socket.send(text(&long));
    // rustls has buffered the whole message, but the pipe has not accepted it.
    assert!(poll_once(socket.event()).await.is_pending());
    assert!(!socket.can_send() && !socket.discard_unsent());
    let (received, event) = tokio::join!(client.receive(), socket.event());
    assert_eq!((received, event), (long, Event::Flushed));
    let close = tokio::spawn(socket.close(4000, "try_again"));
    assert_eq!(client.closed().await, Some((4000, "try_again".to_owned())));
    // The stream ends with TLS close_notify.
    assert_eq!(client.0.get_mut().read(&mut [0]).await.unwrap(), 0);
    drop(client);
    close.await.unwrap();
}

/// A connection to the example server.
async fn echo() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(crate::websocket_echo::serve(listener));
    TcpStream::connect(address).await.unwrap()
}

#[tokio::test]
async fn echo_over_tcp_returns_long_messages() {
    let mut client = Client::open(echo().await, "/").await.unwrap();
    let long = "é€😀".repeat(20_000);
    client.send_text(&long).await;
    assert_eq!(client.receive().await, long);
    client.send(Message::Close(None)).await;
    assert_eq!(client.closed().await, None);
}

#[tokio::test]
async fn frames_sent_with_the_request_are_not_lost() {
    let mut stream = echo().await;
    let request = "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let mut bytes = request.as_bytes().to_vec();
    bytes.extend(b"\x81\x82\0\0\0\0hi");
    stream.write_all(&bytes).await.unwrap();
    let mut response = Vec::new();
    while !response.ends_with(b"\x81\x02hi") {
        assert_ne!(stream.read_buf(&mut response).await.unwrap(), 0);
    }
    let response = String::from_utf8_lossy(&response).to_lowercase();
    assert!(response.starts_with("http/1.1 101"));
    assert!(!response.contains("sec-websocket-extensions"));
}

#[tokio::test]
async fn request_without_upgrade_gets_426_or_400() {
    let response = crate::support::request(echo().await, hyper::Method::GET, "/", "").await;
    assert_eq!(response.status, 426);
    assert_eq!(response.headers["upgrade"], "websocket");
    let response = crate::support::request(echo().await, hyper::Method::POST, "/", "").await;
    assert_eq!(response.status, 400);
}
