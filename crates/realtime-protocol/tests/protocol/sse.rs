//! An event stream as its client sees it: response head, chunks, keep-alive comments and closing.

use std::time::Duration;

use hyper::{Response, Version};
use realtime_protocol::sse::EventStream;
use realtime_protocol::{CloseReason, Event, Frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use crate::support::poll_once;

/// Both ends of a stream over a pipe that buffers `capacity` bytes in each direction.
fn pair(capacity: usize, version: Version) -> (DuplexStream, EventStream<DuplexStream>) {
    let (client, server) = duplex(capacity);
    let response = Response::builder().header("x-test", "yes");
    let (head, ()) = response.body(()).unwrap().into_parts();
    (client, EventStream::new(server, head, version))
}

/// Reads until the text ends with `end`. Returns the text before it.
async fn until(client: &mut DuplexStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        text.push(client.read_u8().await.unwrap().into());
    }
    text.truncate(text.len() - end.len());
    text
}

/// Both ends of a stream, after the client has read the response head.
async fn opened(capacity: usize, version: Version) -> (DuplexStream, EventStream<DuplexStream>) {
    let (mut client, mut stream) = pair(capacity, version);
    let read = tokio::join!(until(&mut client, "\r\n\r\n"), stream.event());
    assert_eq!(read.1, Event::Flushed);
    (client, stream)
}

#[tokio::test]
async fn head_is_sent_first_and_each_event_as_a_chunk() {
    let (mut client, mut stream) = pair(1024, Version::HTTP_11);
    assert!(!stream.can_send());
    assert_eq!(stream.event().await, Event::Flushed);
    assert!(stream.can_send());
    let head = until(&mut client, "\r\n\r\n").await.to_lowercase();
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    for field in [
        "x-test: yes",
        "connection: close",
        "transfer-encoding: chunked",
    ] {
        assert!(head.contains(&format!("\r\n{field}")), "{head}");
    }
    let date = head.split("date: ").nth(1).unwrap().lines().next().unwrap();
    assert_eq!(date.len(), "sun, 06 nov 1994 08:49:37 gmt".len(), "{date}");

    stream.send(Frame::text("data: é\n\n"));
    stream.send(Frame::text("data: 2\n\n"));
    assert!(!stream.can_send());
    assert_eq!(stream.event().await, Event::Flushed);
    let read = until(&mut client, "data: 2\n\n\r\n").await;
    assert_eq!(
        read,
        "a\r\ndata: é\n\n\r\n9\r\n".replace('é', "\u{c3}\u{a9}")
    );

    let mut end = String::new();
    let client_side = async {
        client.read_to_string(&mut end).await.unwrap();
        client.shutdown().await.unwrap();
    };
    tokio::join!(stream.close(), client_side);
    assert_eq!(end, "0\r\n\r\n");
}

#[tokio::test]
async fn http_1_0_stream_has_no_chunks() {
    let (mut client, mut stream) = pair(1024, Version::HTTP_10);
    stream.send(Frame::text("data: 1\n\n"));
    assert_eq!(stream.event().await, Event::Flushed);
    let head = until(&mut client, "\r\n\r\n").await;
    assert!(!head.contains("transfer-encoding"), "{head}");
    let mut text = String::new();
    let client_side = async {
        client.read_to_string(&mut text).await.unwrap();
        drop(client);
    };
    tokio::join!(stream.close(), client_side);
    assert_eq!(text, "data: 1\n\n");
}

#[tokio::test(start_paused = true)]
async fn keep_alive_comment_follows_15_seconds_of_silence() {
    let (mut client, mut stream) = opened(1024, Version::HTTP_11).await;
    let start = Instant::now();
    assert_eq!(stream.event().await, Event::Flushed);
    assert_eq!(start.elapsed().as_secs(), 15);
    assert_eq!(until(&mut client, "\n\n\r\n").await, "e\r\n: keep-alive");

    tokio::time::advance(Duration::from_secs(10)).await;
    stream.send(Frame::text("data: 1\n\n"));
    assert_eq!(stream.event().await, Event::Flushed);
    until(&mut client, "data: 1\n\n\r\n").await;
    let start = Instant::now();
    assert_eq!(stream.event().await, Event::Flushed);
    assert_eq!(start.elapsed().as_secs(), 15);
}

#[tokio::test]
async fn unsent_events_are_discarded_until_one_is_half_written() {
    let (mut client, mut stream) = opened(64, Version::HTTP_11).await;
    stream.send(Frame::text("data: never\n\n"));
    assert!(stream.discard_unsent(), "no byte was written");
    assert!(stream.can_send());

    stream.send(Frame::text(format!("data: {}\n\n", "x".repeat(100))));
    assert!(
        poll_once(stream.event()).await.is_pending(),
        "the peer reads nothing"
    );
    stream.send(Frame::text("data: behind\n\n"));
    assert!(!stream.discard_unsent(), "part of it was written");
    let read = async {
        let text = until(&mut client, "\n\n\r\n").await;
        assert!(text.ends_with('x'));
    };
    let (event, ()) = tokio::join!(stream.event(), read);
    assert_eq!(event, Event::Flushed);
    assert!(stream.discard_unsent());
    stream.send(Frame::text("data: last\n\n"));
    assert_eq!(stream.event().await, Event::Flushed);
    assert_eq!(until(&mut client, "\n\n\r\n").await, "c\r\ndata: last");
}

#[tokio::test]
async fn close_before_the_head_still_sends_the_head() {
    let (mut client, mut stream) = pair(1024, Version::HTTP_11);
    stream.send(Frame::text("data: never\n\n"));
    assert!(stream.discard_unsent());
    stream.send(Frame::text("data: last\n\n"));
    let client_side = async {
        assert!(until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1"));
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "c\r\ndata: last\n\n\r\n0\r\n\r\n");
        drop(client);
    };
    tokio::join!(stream.close(), client_side);
}

#[tokio::test]
async fn client_data_is_ignored_until_it_hangs_up() {
    let (mut client, mut stream) = opened(1024, Version::HTTP_11).await;
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(poll_once(stream.event()).await.is_pending());
    drop(client);
    let ended = Event::Closed(CloseReason::Peer { code: None });
    assert_eq!(stream.event().await, ended);
    assert_eq!(stream.event().await, ended, "it is reported again");
}

#[tokio::test(start_paused = true)]
async fn close_with_stuck_client_takes_two_seconds() {
    let (_client, mut stream) = opened(64, Version::HTTP_11).await;
    stream.send(Frame::text(format!("data: {}\n\n", "x".repeat(100))));
    let start = Instant::now();
    stream.close().await;
    assert_eq!(start.elapsed().as_secs(), 2);
}
