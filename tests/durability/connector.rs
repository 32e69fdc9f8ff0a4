//! Connects to the daemon over TLS. The daemon or the connection may go away at any moment, so every
//! function returns a `ConnectionError`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

/// A loopback address whose port changes when the daemon restarts. Clones share the port.
#[derive(Clone)]
pub struct Endpoint(Arc<AtomicU16>);

impl Endpoint {
    pub fn new(address: SocketAddr) -> Self {
        Self(Arc::new(AtomicU16::new(address.port())))
    }

    pub fn set_address(&self, address: SocketAddr) {
        self.0.store(address.port(), Ordering::Relaxed);
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.0.load(Ordering::Relaxed)).into()
    }
}

/// Why a connection failed or ended.
#[derive(Debug)]
pub enum ConnectionError {
    /// The client may reconnect.
    Retryable(String),
    /// The daemon does not want the client to reconnect, or sent something invalid.
    Fatal(String),
}

impl ConnectionError {
    pub fn retryable(error: impl std::fmt::Display) -> Self {
        Self::Retryable(error.to_string())
    }

    /// The meaning of an HTTP error status for a client that connects.
    pub fn from_status(status: u16) -> Self {
        let text = format!("refused with {status}");
        match status {
            400 | 429 | 503 => Self::Retryable(text),
            _ => Self::Fatal(text),
        }
    }
}

pub type Tls = TlsStream<TcpStream>;

/// How one client reaches the daemon.
#[derive(Clone)]
pub struct Connector {
    pub endpoint: Endpoint,
    pub tls: Arc<ClientConfig>,
    /// The local address. Each tablet has its own, as in a home network.
    pub from: Ipv4Addr,
    /// Whether the socket has a small receive buffer, so that a client which does not read blocks soon.
    pub is_narrow: bool,
}

/// The buffer size of a narrow connection in bytes. It must hold the largest packet of the loopback. With
/// less, the kernel drops packets and takes many seconds to send them again after a pause.
pub const NARROW: u32 = 128 * 1024;

/// Connects from the given local address.
pub async fn connect_from(
    from: Ipv4Addr,
    to: SocketAddr,
    narrow: bool,
) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if narrow {
        socket.set_recv_buffer_size(NARROW)?;
    }
    socket.bind((from, 0).into())?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Connector {
    pub async fn connect(&self) -> Result<Tls, ConnectionError> {
        let dialled = connect_from(self.from, self.endpoint.address(), self.is_narrow).await;
        let stream = dialled.map_err(ConnectionError::retryable)?;
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(self.tls.clone())
            .connect(name, stream)
            .await
            .map_err(ConnectionError::retryable)
    }

    pub async fn websocket(
        &self,
        path: &str,
        token: Option<&str>,
    ) -> Result<Socket, ConnectionError> {
        let url = format!("wss://localhost{path}");
        let mut request = url.into_client_request().expect("a URL");
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().expect("a header value");
            request.headers_mut().append(AUTHORIZATION, value);
        }
        let stream = self.connect().await?;
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(Error::Http(response)) => {
                Err(ConnectionError::from_status(response.status().as_u16()))
            }
            Err(error) => Err(ConnectionError::retryable(error)),
        }
    }

    /// An HTTP client that connects at its first request, and again after a failure.
    pub fn http_client(&self, token: Option<&str>) -> HttpClient {
        HttpClient {
            connector: self.clone(),
            token: token.map(str::to_owned),
            sender: None,
        }
    }
}

pub struct Socket(WebSocketStream<Tls>);

impl Socket {
    /// The next text message. Close codes from 4400 are fatal.
    pub async fn text(&mut self) -> Result<String, ConnectionError> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
                Some(Ok(Message::Close(Some(frame)))) => {
                    let (code, text) = (u16::from(frame.code), format!("closed: {frame}"));
                    return Err(match code {
                        4400.. => ConnectionError::Fatal(text),
                        _ => ConnectionError::Retryable(text),
                    });
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(ConnectionError::retryable(error)),
                None => return Err(ConnectionError::retryable("the stream ended")),
            }
        }
    }

    pub async fn send(&mut self, text: String) -> Result<(), ConnectionError> {
        use futures_util::SinkExt as _;
        self.0
            .send(Message::text(text))
            .await
            .map_err(ConnectionError::retryable)
    }
}

/// A keep-alive connection that sends one request after another.
pub struct HttpClient {
    connector: Connector,
    token: Option<String>,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl HttpClient {
    /// Sends a request and reads the whole response. After an error, it is unknown whether the daemon acted
    /// on the request.
    pub async fn request(
        &mut self,
        method: Method,
        path: &str,
        body: Option<(&'static str, String)>,
    ) -> Result<(u16, String), ConnectionError> {
        let response = self.exchange(method, path, body).await;
        if response.is_err() {
            self.sender = None;
        }
        response
    }

    async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        body: Option<(&'static str, String)>,
    ) -> Result<(u16, String), ConnectionError> {
        let mut request = Request::builder().method(method).uri(path);
        let mut text = String::new();
        if let Some((content_type, body)) = body {
            request = request.header(CONTENT_TYPE, content_type);
            text = body;
        }
        let response = self.send(request, text).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await;
        let body = body.map_err(ConnectionError::retryable)?.to_bytes();
        let text = String::from_utf8(body.into()).map_err(ConnectionError::retryable)?;
        Ok((status, text))
    }

    /// Sends a request and returns the response without reading its body.
    pub async fn send(
        &mut self,
        request: hyper::http::request::Builder,
        body: String,
    ) -> Result<Response<Incoming>, ConnectionError> {
        let mut request = request.header(HOST, "localhost");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::from(body)).expect("a request");
        let is_ready = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !is_ready {
            let stream = TokioIo::new(self.connector.connect().await?);
            let (sender, connection) = http1::handshake(stream)
                .await
                .map_err(ConnectionError::retryable)?;
            tokio::spawn(connection);
            self.sender = Some(sender);
        }
        let sender = self.sender.as_mut().expect("it was just opened");
        sender
            .send_request(request)
            .await
            .map_err(ConnectionError::retryable)
    }
}
