//! JSON WebSocket client over TLS.

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::HeaderMap;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::api::{tls_over, tls_stream};
use super::{Daemon, soon};

pub struct Socket {
    stream: WebSocketStream<TlsStream<TcpStream>>,
    /// The headers of the 101 response.
    pub upgrade_headers: HeaderMap,
}

impl Socket {
    /// Opens a socket on a path, with the token as `Authorization: Bearer` if given. Returns the HTTP status
    /// if the upgrade is refused.
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
        let stream = tls_stream(daemon.https, daemon.tls.clone()).await;
        Self::upgrade(daemon, stream, path, headers).await
    }

    /// Opens a socket with a 4 kB receive buffer, so that an unread socket blocks the server early.
    pub async fn open_with_small_buffer(daemon: &Daemon, token: &str) -> Self {
        let tcp = TcpSocket::new_v4().expect("a socket");
        tcp.set_recv_buffer_size(4096).expect("a small buffer");
        let tcp = tcp.connect(daemon.https).await.expect("a connection");
        let stream = tls_over(tcp, daemon.tls.clone()).await;
        let bearer = format!("Bearer {token}");
        Self::upgrade(daemon, stream, "/ws", &[("authorization", &bearer)])
            .await
            .expect("the socket opens")
    }

    async fn upgrade(
        daemon: &Daemon,
        stream: TlsStream<TcpStream>,
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
        let opened = soon(
            "the upgrade",
            tokio_tungstenite::client_async(request, stream),
        )
        .await;
        match opened {
            Ok((stream, response)) => Ok(Self {
                stream,
                upgrade_headers: response.headers().clone(),
            }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("the upgrade failed: {error}"),
        }
    }

    pub async fn next(&mut self) -> Value {
        match soon("a message", self.frame()).await {
            Message::Text(text) => serde_json::from_str(&text).expect("a message is JSON"),
            other => panic!("expected a text message, got {other:?}"),
        }
    }

    /// The next message of this type. Skips others.
    pub async fn next_of(&mut self, message_type: &str) -> Value {
        loop {
            let message = self.next().await;
            if message["type"] == message_type {
                return message;
            }
        }
    }

    /// The next Engine.IO packet as text, or the close code.
    pub async fn packet(&mut self) -> Result<String, u16> {
        match soon("a packet", self.frame()).await {
            Message::Text(text) => Ok(text.as_str().to_owned()),
            Message::Close(frame) => Err(frame.map_or(1005, |frame| frame.code.into())),
            other => panic!("expected a packet, got {other:?}"),
        }
    }

    /// The close code and reason. Skips the messages before the close frame.
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

    /// Every message until the connection ends, and the close code if there was a close frame.
    pub async fn rest(&mut self) -> (Vec<Value>, Option<u16>) {
        let mut messages = Vec::new();
        loop {
            match soon("the end of the connection", self.stream.next()).await {
                Some(Ok(Message::Text(text))) => {
                    messages.push(serde_json::from_str(&text).expect("a message is JSON"));
                }
                Some(Ok(Message::Close(frame))) => {
                    return (messages, frame.map(|frame| frame.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return (messages, None),
            }
        }
    }

    /// Sends this message without pause until the connection ends. Returns the last message received and
    /// the close code.
    pub async fn flood(self, message: Value) -> (Value, Option<u16>) {
        let (mut sink, mut stream) = self.stream.split();
        let message = Message::text(message.to_string());
        let send = async move { while sink.send(message.clone()).await.is_ok() {} };
        let send = tokio::spawn(send);
        let mut last = Value::Null;
        let receive = async {
            loop {
                match stream.next().await {
                    Some(Ok(Message::Text(text))) => {
                        last = serde_json::from_str(&text).expect("a message is JSON");
                    }
                    Some(Ok(Message::Close(frame))) => return frame.map(|f| f.code.into()),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                }
            }
        };
        let code = soon("the end of a flood", receive).await;
        send.abort();
        (last, code)
    }

    /// Sends a message and returns the next one received.
    pub async fn ask(&mut self, message: Value) -> Value {
        self.send(message).await;
        self.next().await
    }

    pub async fn authenticate(&mut self, token: &str) {
        self.send(json!({ "type": "authenticate", "data": { "token": token } }))
            .await;
    }

    /// Sends a close frame and waits for the server's.
    pub async fn close(mut self) {
        self.stream.close(None).await.expect("it can be closed");
        while let Some(Ok(_)) = soon("the close", self.stream.next()).await {}
    }

    pub async fn send(&mut self, message: Value) {
        self.send_raw(Message::text(message.to_string())).await;
    }

    pub async fn send_raw(&mut self, frame: Message) {
        self.stream.send(frame).await.expect("the socket takes it");
    }

    /// Asserts that no message is waiting: the next one is the reply to a ping.
    pub async fn assert_nothing_received(&mut self) {
        self.send(json!({ "type": "ping" })).await;
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
