//! A plain JSON WebSocket client over real TLS.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::api::tls_stream;
use super::{Daemon, soon};

/// An open JSON WebSocket.
pub struct Socket {
    stream: WebSocketStream<TlsStream<TcpStream>>,
}

impl Socket {
    /// Opens a socket on a path, with a token as `Authorization: Bearer` if given; the status of
    /// the refusal if it is refused.
    pub async fn open(daemon: &Daemon, path: &str, token: Option<&str>) -> Result<Self, u16> {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer
            .iter()
            .map(|value| ("authorization", value.as_str()))
            .collect();
        Self::open_with(daemon, path, &headers).await
    }

    /// Opens a socket with any headers.
    pub async fn open_with(
        daemon: &Daemon,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let url = format!("wss://localhost:{}{path}", daemon.https.port());
        let mut request = url.into_client_request().expect("a URL");
        for (name, value) in headers {
            request
                .headers_mut()
                .append(*name, value.parse().expect("a header value"));
        }
        let stream = tls_stream(daemon.https, daemon.tls.clone()).await;
        let opened = soon(
            "the upgrade",
            tokio_tungstenite::client_async(request, stream),
        )
        .await;
        match opened {
            Ok((stream, _)) => Ok(Self { stream }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("the upgrade failed: {error}"),
        }
    }

    /// The next message.
    pub async fn next(&mut self) -> Value {
        match soon("a message", self.frame()).await {
            Message::Text(text) => serde_json::from_str(&text).expect("a message is JSON"),
            other => panic!("no message but {other:?}"),
        }
    }

    /// The next message of this type; others are passed over.
    pub async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await;
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// The code and reason of the close; messages before it are passed over.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            match soon("the close", self.frame()).await {
                Message::Close(Some(frame)) => {
                    return (frame.code.into(), frame.reason.as_str().to_owned());
                }
                Message::Close(None) => return (1005, String::new()),
                _ => {}
            }
        }
    }

    /// Sends a message.
    pub async fn send(&mut self, message: Value) {
        self.send_raw(Message::text(message.to_string())).await;
    }

    /// Sends a frame as it is.
    pub async fn send_raw(&mut self, frame: Message) {
        self.stream.send(frame).await.expect("the socket takes it");
    }

    /// Asserts that nothing was told until now: a ping is answered before anything else.
    pub async fn heard_nothing(&mut self) {
        self.send(serde_json::json!({ "type": "ping" })).await;
        assert_eq!(self.next().await["type"], "pong");
    }

    async fn frame(&mut self) -> Message {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => return message,
                Some(Err(error)) => panic!("the socket broke: {error}"),
                None => panic!("the socket ended without a close"),
            }
        }
    }
}
