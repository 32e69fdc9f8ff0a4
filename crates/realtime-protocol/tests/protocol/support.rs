//! Test support: an HTTP client, a WebSocket client, and servers whose sockets a test can drive.

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

use crate::suite_server::Server;

#[derive(Debug)]
pub(crate) struct HttpResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl HttpResponse {
    /// Status and body, for comparisons.
    pub(crate) fn parts(&self) -> (u16, &str) {
        (self.status.as_u16(), &self.body)
    }
}

/// Sends one request on the given connection.
pub(crate) async fn request<S: ByteStream>(
    stream: S,
    method: Method,
    uri: &str,
    body: &str,
) -> HttpResponse {
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
    read_response(sender.send_request(request.unwrap()).await.unwrap()).await
}

async fn read_response<B: Body<Error: Debug>>(response: Response<B>) -> HttpResponse {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.into()).unwrap();
    HttpResponse {
        status: head.status,
        headers: head.headers,
        body,
    }
}

pub(crate) struct Client<S>(pub WebSocketStream<S>);

impl<S: ByteStream> Client<S> {
    /// Opens a WebSocket, or returns the status with which the server refused it.
    pub(crate) async fn open(stream: S, path: &str) -> Result<Self, StatusCode> {
        match client_async(format!("ws://test{path}"), stream).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(response)) => Err(response.status()),
            Err(other) => panic!("{other}"),
        }
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn send(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    /// The next message, without WebSocket pings and pongs.
    pub(crate) async fn next(&mut self) -> Message {
        loop {
            match self
                .0
                .next()
                .await
                .expect("the connection is open")
                .unwrap()
            {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    /// The next text message.
    pub(crate) async fn receive(&mut self) -> String {
        match self.next().await {
            Message::Text(text) => text.to_string(),
            other => panic!("expected text, got {other:?}"),
        }
    }

    /// Skips messages until the server closes. Returns the code and reason of its close frame, if any.
    pub(crate) async fn closed(&mut self) -> Option<(u16, String)> {
        while let Some(Ok(message)) = self.0.next().await {
            if let Message::Close(frame) = message {
                return frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
            }
        }
        None
    }
}

/// The example server on its own port.
pub(crate) struct EchoServer {
    pub address: SocketAddr,
    pub server: Server,
}

impl EchoServer {
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

    pub(crate) async fn get(&self, uri: &str) -> HttpResponse {
        request(self.connect().await, Method::GET, uri, "").await
    }

    pub(crate) async fn post(&self, uri: &str, body: &str) -> HttpResponse {
        request(self.connect().await, Method::POST, uri, body).await
    }

    pub(crate) async fn websocket(&self, path: &str) -> Result<Client<TcpStream>, StatusCode> {
        Client::open(self.connect().await, path).await
    }

    /// Opens a polling session and returns its URL.
    pub(crate) async fn open_polling(&self, path: &str) -> String {
        let response = self.get(&format!("{path}?EIO=4&transport=polling")).await;
        format!("{path}?EIO=4&transport=polling&sid={}", sid(&response.body))
    }
}

/// Polls a future once.
pub(crate) async fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// The session id in a handshake packet.
pub(crate) fn sid(handshake: &str) -> String {
    let json: serde_json::Value =
        serde_json::from_str(handshake.strip_prefix('0').unwrap()).unwrap();
    json["sid"].as_str().unwrap().to_owned()
}

/// An engine on pipes whose sockets the test drives, so that it can run with paused time.
#[derive(Clone)]
pub(crate) struct TestEngine {
    pub engine: Engine<DuplexStream>,
    opened: mpsc::UnboundedSender<Socket<DuplexStream>>,
}

pub(crate) type Opened = mpsc::UnboundedReceiver<Socket<DuplexStream>>;

pub(crate) const NEW_POLLING: &str = "/socket.io/?EIO=4&transport=polling";
pub(crate) const NEW_WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

impl TestEngine {
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
        let test = self.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let test = test.clone();
                async move {
                    let opened = test.opened.clone();
                    let open = move |socket| drop(opened.send(socket));
                    Ok::<_, Infallible>(test.engine.handle(request, open).await)
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

    pub(crate) async fn get(&self, uri: &str) -> HttpResponse {
        request(self.connect(), Method::GET, uri, "").await
    }

    pub(crate) async fn post(&self, uri: &str, body: &str) -> HttpResponse {
        request(self.connect(), Method::POST, uri, body).await
    }

    /// A GET without a connection, for tests that poll the request themselves.
    pub(crate) async fn handle(&self, uri: &str) -> HttpResponse {
        let request = Request::get(uri).body(Full::<Bytes>::default()).unwrap();
        read_response(self.engine.handle(request, drop).await).await
    }

    /// Opens a polling session. Returns its URL and the server's socket.
    pub(crate) async fn polling(&self, opened: &mut Opened) -> (String, Socket<DuplexStream>) {
        let response = self.get(NEW_POLLING).await;
        let socket = opened.recv().await.unwrap();
        (format!("{NEW_POLLING}&sid={}", sid(&response.body)), socket)
    }

    pub(crate) async fn websocket(&self, path: &str) -> Result<Client<DuplexStream>, StatusCode> {
        Client::open(self.connect(), path).await
    }

    /// Opens a WebSocket session. Returns the client after its handshake and the server's socket.
    pub(crate) async fn open_websocket(
        &self,
        opened: &mut Opened,
    ) -> (Client<DuplexStream>, Socket<DuplexStream>) {
        let client = self.websocket(NEW_WEBSOCKET).await.unwrap();
        (client, opened.recv().await.unwrap())
    }
}

/// The URL that upgrades a polling session to WebSocket.
pub(crate) fn upgrade_url(polling: &str) -> String {
    polling.replace("transport=polling", "transport=websocket")
}
