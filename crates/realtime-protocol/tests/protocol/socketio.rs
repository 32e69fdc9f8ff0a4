//! What the public Socket.IO suite asks for, against the example server over real sockets.

use tokio_tungstenite::tungstenite::Message;

use crate::support::{Client, Echo};
use tokio::net::TcpStream;

const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// A client behind Engine.IO's handshake.
async fn open(echo: &Echo) -> Client<TcpStream> {
    let mut client = echo.websocket(WEBSOCKET).await.unwrap();
    assert!(client.hear().await.starts_with("0{"));
    client
}

/// A client inside the main namespace.
async fn enter(echo: &Echo) -> Client<TcpStream> {
    let mut client = open(echo).await;
    client.say("40").await;
    assert!(hear(&mut client).await.starts_with("40{\"sid\":"));
    assert_eq!(hear(&mut client).await, "42[\"auth\",{}]");
    client
}

/// The next text that is no ping; pings are answered.
async fn hear(client: &mut Client<TcpStream>) -> String {
    loop {
        match client.hear().await {
            ping if ping == "2" => client.say("3").await,
            text => return text,
        }
    }
}

#[tokio::test]
async fn connecting_answers_with_a_sid_and_the_auth() {
    let echo = Echo::start().await;
    for (connect, reply, auth) in [
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
        client.say(connect).await;
        assert!(hear(&mut client).await.starts_with(reply), "{connect}");
        assert_eq!(hear(&mut client).await, auth, "{connect}");
    }
}

#[tokio::test]
async fn an_unknown_namespace_is_refused() {
    let echo = Echo::start().await;
    let mut client = open(&echo).await;
    client.say("40/random").await;
    assert_eq!(
        hear(&mut client).await,
        "44/random,{\"message\":\"Invalid namespace\"}"
    );
}

#[tokio::test]
async fn what_breaks_the_protocol_ends_the_connection() {
    let echo = Echo::start().await;
    for first in ["4abc", "42[\"message\"]", "44{}"] {
        let mut client = open(&echo).await;
        client.say(first).await;
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
        let mut client = enter(&echo).await;
        client.say(later).await;
        assert!(client.closed().await.is_some(), "{later}");
    }
    let mut client = enter(&echo).await;
    client.send(Message::binary(vec![1])).await;
    assert!(client.closed().await.is_some());
}

#[tokio::test]
async fn a_connection_that_enters_nothing_is_closed() {
    let echo = Echo::start().await;
    let mut client = open(&echo).await;
    // Pongs keep Engine.IO alive, so that it is the missing CONNECT that ends this.
    loop {
        match client.next().await {
            Message::Text(_) => client.say("3").await,
            Message::Close(frame) => {
                assert_eq!(frame.unwrap().reason.as_str(), "no CONNECT");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn leaving_one_namespace_keeps_the_others() {
    let echo = Echo::start().await;
    let mut client = enter(&echo).await;
    client.say("40/custom").await;
    assert!(hear(&mut client).await.starts_with("40/custom,"));
    assert_eq!(hear(&mut client).await, "42/custom,[\"auth\",{}]");
    client.say("41/custom").await;
    client.say("42[\"message\",\"to main\"]").await;
    assert_eq!(hear(&mut client).await, "42[\"message-back\",\"to main\"]");
    client.say("41").await;
    assert_eq!(client.hear().await, "2");
}

#[tokio::test]
async fn events_and_their_answers() {
    let echo = Echo::start().await;
    let mut client = enter(&echo).await;
    client.say("42[\"message\",1,\"2\",{\"3\":[true]}]").await;
    assert_eq!(
        hear(&mut client).await,
        "42[\"message-back\",1,\"2\",{\"3\":[true]}]"
    );
    client
        .say("42456[\"message-with-ack\",1,\"2\",{\"3\":[false]}]")
        .await;
    assert_eq!(hear(&mut client).await, "43456[1,\"2\",{\"3\":[false]}]");
}

#[tokio::test]
async fn attachments_go_both_ways() {
    let echo = Echo::start().await;
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
        let mut client = enter(&echo).await;
        client.say(&head).await;
        client.send(Message::binary(vec![1, 2, 3])).await;
        client.send(Message::binary(vec![4, 5, 6])).await;
        assert_eq!(hear(&mut client).await, back);
        assert_eq!(client.next().await, Message::binary(vec![1, 2, 3]));
        assert_eq!(client.next().await, Message::binary(vec![4, 5, 6]));
    }
}

#[tokio::test]
async fn polling_speaks_it_too() {
    let echo = Echo::start().await;
    let session = echo.poll("/socket.io/").await;
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
