//! Socket.IO as the public test suite requires it, against the example server over real sockets.

use tokio_tungstenite::tungstenite::Message;

use crate::support::{Client, EchoServer};
use tokio::net::TcpStream;

const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// A client after the Engine.IO handshake.
async fn open(echo: &EchoServer) -> Client<TcpStream> {
    let mut client = echo.websocket(WEBSOCKET).await.unwrap();
    assert!(client.receive().await.starts_with("0{"));
    client
}

/// A client that is connected to the main namespace.
async fn connect(echo: &EchoServer) -> Client<TcpStream> {
    let mut client = open(echo).await;
    client.send_text("40").await;
    assert!(receive(&mut client).await.starts_with("40{\"sid\":"));
    assert_eq!(receive(&mut client).await, "42[\"auth\",{}]");
    client
}

/// The next text that is not a ping. Answers pings.
async fn receive(client: &mut Client<TcpStream>) -> String {
    loop {
        match client.receive().await {
            ping if ping == "2" => client.send_text("3").await,
            text => return text,
        }
    }
}

#[tokio::test]
async fn connect_is_answered_with_sid_and_auth() {
    let echo = EchoServer::start().await;
    for (packet, reply, auth) in [
        ("40", "40{\"sid\":", "42[\"auth\",{}]"),
        (
            "40{\"token\":\"123\"}",
            "40{\"sid\":",
            "42[\"auth\",{\"token\":\"123\"}]",
        ),
        (
            "40/custom,",
            "40/custom,{\"sid\":",
            "42/custom,[\"auth\",{}]",
        ),
        (
            "40/custom?x=1,{\"a\":1}",
            "40/custom,{\"sid\":",
            "42/custom,[\"auth\",{\"a\":1}]",
        ),
    ] {
        let mut client = open(&echo).await;
        client.send_text(packet).await;
        assert!(receive(&mut client).await.starts_with(reply), "{packet}");
        assert_eq!(receive(&mut client).await, auth, "{packet}");
    }
}

#[tokio::test]
async fn unknown_namespace_is_refused() {
    let echo = EchoServer::start().await;
    let mut client = open(&echo).await;
    client.send_text("40/random").await;
    assert_eq!(
        receive(&mut client).await,
        "44/random,{\"message\":\"Invalid namespace\"}"
    );
}

#[tokio::test]
async fn protocol_violation_closes_the_connection() {
    let echo = EchoServer::start().await;
    for first in ["4abc", "42[\"message\"]", "44{}"] {
        let mut client = open(&echo).await;
        client.send_text(first).await;
        assert!(client.closed().await.is_some(), "{first}");
    }
    for later in [
        "4abc",
        "42{}",
        "42[]",
        "42abc[\"message-with-ack\",1]",
        "42[\"connect\"]",
        "451-",
    ] {
        let mut client = connect(&echo).await;
        client.send_text(later).await;
        assert!(client.closed().await.is_some(), "{later}");
    }
    let mut client = connect(&echo).await;
    client.send(Message::binary(vec![1])).await;
    assert!(client.closed().await.is_some());
}

#[tokio::test]
async fn connection_without_connect_packet_is_closed() {
    let echo = EchoServer::start().await;
    let mut client = open(&echo).await;
    // Pongs keep Engine.IO alive, so the missing CONNECT is what closes the connection.
    loop {
        match client.next().await {
            Message::Text(_) => client.send_text("3").await,
            Message::Close(frame) => {
                assert_eq!(frame.unwrap().reason.as_str(), "no CONNECT");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn disconnect_keeps_other_namespaces() {
    let echo = EchoServer::start().await;
    let mut client = connect(&echo).await;
    client.send_text("40/custom").await;
    assert!(receive(&mut client).await.starts_with("40/custom,"));
    assert_eq!(receive(&mut client).await, "42/custom,[\"auth\",{}]");
    client.send_text("41/custom").await;
    client.send_text("42[\"message\",\"to main\"]").await;
    assert_eq!(
        receive(&mut client).await,
        "42[\"message-back\",\"to main\"]"
    );
    client.send_text("41").await;
    assert_eq!(client.receive().await, "2");
}

#[tokio::test]
async fn events_and_acks_are_echoed() {
    let echo = EchoServer::start().await;
    let mut client = connect(&echo).await;
    client
        .send_text("42[\"message\",1,\"2\",{\"3\":[true]}]")
        .await;
    assert_eq!(
        receive(&mut client).await,
        "42[\"message-back\",1,\"2\",{\"3\":[true]}]"
    );
    client
        .send_text("42456[\"message-with-ack\",1,\"2\",{\"3\":[false]}]")
        .await;
    assert_eq!(receive(&mut client).await, "43456[1,\"2\",{\"3\":[false]}]");
}

#[tokio::test]
async fn binary_attachments_are_echoed() {
    let echo = EchoServer::start().await;
    let holders = r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#;
    for (head, back) in [
        (
            format!("452-[\"message\",{holders}]"),
            format!("452-[\"message-back\",{holders}]"),
        ),
        (
            format!("452-789[\"message-with-ack\",{holders}]"),
            format!("462-789[{holders}]"),
        ),
    ] {
        let mut client = connect(&echo).await;
        client.send_text(&head).await;
        client.send(Message::binary(vec![1, 2, 3])).await;
        client.send(Message::binary(vec![4, 5, 6])).await;
        assert_eq!(receive(&mut client).await, back);
        assert_eq!(client.next().await, Message::binary(vec![1, 2, 3]));
        assert_eq!(client.next().await, Message::binary(vec![4, 5, 6]));
    }
}

#[tokio::test]
async fn polling_supports_connect_events_and_acks() {
    let echo = EchoServer::start().await;
    let session = echo.open_polling("/socket.io/").await;
    assert_eq!(echo.post(&session, "40{\"token\":1}").await.body, "ok");
    assert!(echo.get(&session).await.body.starts_with("40{\"sid\":"));
    assert_eq!(echo.get(&session).await.body, "42[\"auth\",{\"token\":1}]");
    let body = "42[\"message\",\"é\"]\u{1e}451-7[\"message-with-ack\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQI=";
    assert_eq!(echo.post(&session, body).await.body, "ok");
    assert_eq!(
        echo.get(&session).await.body,
        "42[\"message-back\",\"é\"]\u{1e}461-7[{\"_placeholder\":true,\"num\":0}]\u{1e}bAQI="
    );
}
