//! Verbs for the tests: ask over HTTP, talk over WebSocket, and hold a server's sockets in hand.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use hyper::header::HOST;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use realtime_protocol::ByteStream;
use realtime_protocol::engineio::{Config, Engine, Socket};
use tokio::io::{DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::socketio_echo::Server;

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// Status and body, for comparing.
    pub(crate) fn parts(&self) -> (u16, &str) {
        (self.status.as_u16(), &self.body)
    }
}

/// One request on a connection of its own.
pub(crate) async fn ask<S: ByteStream>(stream: S, method: Method, uri: &str, body: &str) -> Answer {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let body = Full::new(Bytes::from(body.to_owned()));
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .header(HOST, "test")
        .body(body);
    answer(sender.send_request(request.unwrap()).await.unwrap()).await
}

async fn answer<B: Body<Error: Debug>>(response: Response<B>) -> Answer {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.into()).unwrap();
    Answer {
        status: head.status,
        headers: head.headers,
        body,
    }
}

/// A WebSocket client.
pub(crate) struct Client<S>(pub WebSocketStream<S>);

impl<S: ByteStream> Client<S> {
    /// Opens one, or says with which status the server refused.
    pub(crate) async fn open(stream: S, path: &str) -> Result<Self, StatusCode> {
        match client_async(format!("ws://test{path}"), stream).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(response)) => Err(response.status()),
            Err(other) => panic!("{other}"),
        }
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn send(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    /// The next message that is no WebSocket ping or pong.
    pub(crate) async fn next(&mut self) -> Message {
        loop {
            match self.0.next().await.expect("the server hung up").unwrap() {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    /// The next text.
    pub(crate) async fn hear(&mut self) -> String {
        match self.next().await {
            Message::Text(text) => text.to_string(),
            other => panic!("expected text, got {other:?}"),
        }
    }

    /// Skips what comes until the server closes; gives code and reason.
    pub(crate) async fn closed(&mut self) -> Option<(u16, String)> {
        while let Some(Ok(message)) = self.0.next().await {
            if let Message::Close(frame) = message {
                return frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
            }
        }
        None
    }
}

/// The example server on a port of its own.
pub(crate) struct Echo {
    pub address: SocketAddr,
    pub server: Server,
}

impl Echo {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::new();
        tokio::spawn(server.clone().serve(listener));
        Self { address, server }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub(crate) async fn get(&self, uri: &str) -> Answer {
        ask(self.connect().await, Method::GET, uri, "").await
    }

    pub(crate) async fn post(&self, uri: &str, body: &str) -> Answer {
        ask(self.connect().await, Method::POST, uri, body).await
    }

    pub(crate) async fn websocket(&self, path: &str) -> Result<Client<TcpStream>, StatusCode> {
        Client::open(self.connect().await, path).await
    }

    /// Opens a polling session and gives its address.
    pub(crate) async fn poll(&self, path: &str) -> String {
        let answer = self.get(&format!("{path}?EIO=4&transport=polling")).await;
        format!("{path}?EIO=4&transport=polling&sid={}", sid(&answer.body))
    }
}

/// Polls a future once.
pub(crate) async fn glance<F: Future>(future: F) -> Poll<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// The sid in a handshake packet.
pub(crate) fn sid(handshake: &str) -> String {
    let json: serde_json::Value =
        serde_json::from_str(handshake.strip_prefix('0').unwrap()).unwrap();
    json["sid"].as_str().unwrap().to_owned()
}

/// An engine whose sockets the test itself drives, on pipes, so that the clock may be paused.
#[derive(Clone)]
pub(crate) struct Lab {
    pub engine: Engine<DuplexStream>,
    opened: mpsc::UnboundedSender<Socket<DuplexStream>>,
}

pub(crate) type Opened = mpsc::UnboundedReceiver<Socket<DuplexStream>>;

pub(crate) const NEW_POLLING: &str = "/socket.io/?EIO=4&transport=polling";
pub(crate) const NEW_WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

impl Lab {
    pub(crate) fn new(config: Config) -> (Self, Opened) {
        let (opened, sockets) = mpsc::unbounded_channel();
        (
            Self {
                engine: Engine::new(config),
                opened,
            },
            sockets,
        )
    }

    /// A connection to the engine.
    pub(crate) fn connect(&self) -> DuplexStream {
        let (client, server) = duplex(64 * 1024);
        let lab = self.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let lab = lab.clone();
                async move {
                    let opened = lab.opened.clone();
                    let open = move |socket| drop(opened.send(socket));
                    Ok::<_, Infallible>(lab.engine.handle(request, open).await)
                }
            });
            let http = hyper::server::conn::http1::Builder::new();
            let _ = http
                .serve_connection(TokioIo::new(server), service)
                .with_upgrades()
                .await;
        });
        client
    }

    pub(crate) async fn get(&self, uri: &str) -> Answer {
        ask(self.connect(), Method::GET, uri, "").await
    }

    pub(crate) async fn post(&self, uri: &str, body: &str) -> Answer {
        ask(self.connect(), Method::POST, uri, body).await
    }

    /// A GET without a connection, for tests that must know how far it has come.
    pub(crate) async fn handle(&self, uri: &str) -> Answer {
        let request = Request::get(uri).body(Full::<Bytes>::default()).unwrap();
        answer(self.engine.handle(request, drop).await).await
    }

    /// Opens a polling session: its address, and the server's socket.
    pub(crate) async fn polling(&self, opened: &mut Opened) -> (String, Socket<DuplexStream>) {
        let answer = self.get(NEW_POLLING).await;
        let socket = opened.recv().await.unwrap();
        (format!("{NEW_POLLING}&sid={}", sid(&answer.body)), socket)
    }

    pub(crate) async fn websocket(&self, path: &str) -> Result<Client<DuplexStream>, StatusCode> {
        Client::open(self.connect(), path).await
    }

    /// Opens a WebSocket session: the client behind its handshake, and the server's socket.
    pub(crate) async fn session(
        &self,
        opened: &mut Opened,
    ) -> (Client<DuplexStream>, Socket<DuplexStream>) {
        let client = self.websocket(NEW_WEBSOCKET).await.unwrap();
        (client, opened.recv().await.unwrap())
    }
}

/// The WebSocket address that belongs to a polling session's.
pub(crate) fn upgraded(polling: &str) -> String {
    polling.replace("transport=polling", "transport=websocket")
}
