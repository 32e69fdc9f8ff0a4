//! An event stream from its peer's side: the answer around it, what waits, and its end.

use std::time::Duration;

use hyper::{Response, Version};
use realtime_protocol::sse::EventStream;
use realtime_protocol::{Ended, Event, Frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use crate::support::glance;

/// Both ends of a stream whose connection holds so many bytes each way.
fn pair(capacity: usize, version: Version) -> (DuplexStream, EventStream<DuplexStream>) {
    let (client, server) = duplex(capacity);
    let answer = Response::builder().header("x-test", "yes");
    let (head, ()) = answer.body(()).unwrap().into_parts();
    (client, EventStream::new(server, head, version))
}

/// Reads until the text ends so; gives what came before.
async fn until(client: &mut DuplexStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        text.push(client.read_u8().await.unwrap().into());
    }
    text.truncate(text.len() - end.len());
    text
}

async fn opened(capacity: usize, version: Version) -> (DuplexStream, EventStream<DuplexStream>) {
    let (mut client, mut stream) = pair(capacity, version);
    let read = tokio::join!(until(&mut client, "\r\n\r\n"), stream.event());
    assert_eq!(read.1, Event::Flushed);
    (client, stream)
}

#[tokio::test]
async fn the_head_goes_out_by_itself_and_each_event_is_a_chunk() {
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
async fn http_1_0_knows_no_chunks() {
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
async fn a_comment_breaks_every_fifteen_seconds_of_silence_and_an_event_puts_it_off() {
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
async fn what_no_byte_has_left_of_is_taken_back_and_the_rest_is_said_to_be_stuck() {
    let (mut client, mut stream) = opened(64, Version::HTTP_11).await;
    stream.send(Frame::text("data: never\n\n"));
    assert!(stream.discard_unsent(), "nothing was begun");
    assert!(stream.can_send());

    stream.send(Frame::text(format!("data: {}\n\n", "x".repeat(100))));
    assert!(
        glance(stream.event()).await.is_pending(),
        "the peer reads nothing"
    );
    stream.send(Frame::text("data: behind\n\n"));
    assert!(!stream.discard_unsent(), "some of it has left");
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
async fn an_end_that_comes_before_the_head_does_not_swallow_it() {
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
async fn what_the_peer_says_is_passed_over_until_it_hangs_up() {
    let (mut client, mut stream) = opened(1024, Version::HTTP_11).await;
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(glance(stream.event()).await.is_pending());
    drop(client);
    let ended = Event::Closed(Ended::Peer { code: None });
    assert_eq!(stream.event().await, ended);
    assert_eq!(stream.event().await, ended, "said again");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_does_not_hold_up_the_end() {
    let (_client, mut stream) = opened(64, Version::HTTP_11).await;
    stream.send(Frame::text(format!("data: {}\n\n", "x".repeat(100))));
    let start = Instant::now();
    stream.close().await;
    assert_eq!(start.elapsed().as_secs(), 2);
}
