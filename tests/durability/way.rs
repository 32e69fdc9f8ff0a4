//! The way to the daemon, which may be gone or cut at any moment: everything here may fail and
//! says so.

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

/// Where something listens on this machine; it changes when the daemon starts anew.
#[derive(Clone)]
pub struct Door(Arc<AtomicU16>);

impl Door {
    pub fn new(address: SocketAddr) -> Self {
        Self(Arc::new(AtomicU16::new(address.port())))
    }

    pub fn moved(&self, address: SocketAddr) {
        self.0.store(address.port(), Ordering::Relaxed);
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.0.load(Ordering::Relaxed)).into()
    }
}

/// Why a connection is over.
#[derive(Debug)]
pub enum Lost {
    /// As connections break: come back.
    Broken(String),
    /// The daemon ended it and does not want the client back, or spoke nonsense.
    Final(String),
}

impl Lost {
    pub fn broken(error: impl std::fmt::Display) -> Self {
        Self::Broken(error.to_string())
    }

    /// What an HTTP status means to whoever wants to connect.
    pub fn refused(status: u16) -> Self {
        let text = format!("refused with {status}");
        match status {
            400 | 429 | 503 => Self::Broken(text),
            _ => Self::Final(text),
        }
    }
}

pub type Tls = TlsStream<TcpStream>;

/// How one peer reaches the daemon.
#[derive(Clone)]
pub struct Way {
    pub door: Door,
    pub tls: Arc<ClientConfig>,
    /// Each tablet has an address of its own, as in a house.
    pub from: Ipv4Addr,
    /// Leaves little with the kernel while it does not read.
    pub is_narrow: bool,
}

/// Bytes that the kernel keeps for a narrow connection. No less than a packet of the loopback may
/// carry: with less the kernel drops packets, and after a nap takes many seconds to send them again.
pub const NARROW: u32 = 128 * 1024;

/// A connection that goes out from this address.
pub async fn dial_from(from: Ipv4Addr, to: SocketAddr, narrow: bool) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if narrow {
        socket.set_recv_buffer_size(NARROW)?;
    }
    socket.bind((from, 0).into())?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Way {
    pub async fn dial(&self) -> Result<Tls, Lost> {
        let dialled = dial_from(self.from, self.door.address(), self.is_narrow).await;
        let stream = dialled.map_err(Lost::broken)?;
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(self.tls.clone())
            .connect(name, stream)
            .await
            .map_err(Lost::broken)
    }

    pub async fn websocket(&self, path: &str, token: Option<&str>) -> Result<Socket, Lost> {
        let url = format!("wss://localhost{path}");
        let mut request = url.into_client_request().expect("a URL");
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().expect("a header value");
            request.headers_mut().append(AUTHORIZATION, value);
        }
        let stream = self.dial().await?;
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(Error::Http(response)) => Err(Lost::refused(response.status().as_u16())),
            Err(error) => Err(Lost::broken(error)),
        }
    }

    /// A connection for requests, opened when the first one is sent and again when it has broken.
    pub fn line(&self, token: Option<&str>) -> Line {
        Line {
            way: self.clone(),
            token: token.map(str::to_owned),
            sender: None,
        }
    }
}

/// A WebSocket that may break.
pub struct Socket(WebSocketStream<Tls>);

impl Socket {
    /// The next text.
    pub async fn text(&mut self) -> Result<String, Lost> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
                Some(Ok(Message::Close(Some(frame)))) => {
                    let (code, text) = (u16::from(frame.code), format!("closed: {frame}"));
                    return Err(match code {
                        4400.. => Lost::Final(text),
                        _ => Lost::Broken(text),
                    });
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(Lost::broken(error)),
                None => return Err(Lost::broken("it ended")),
            }
        }
    }

    pub async fn send(&mut self, text: String) -> Result<(), Lost> {
        use futures_util::SinkExt as _;
        self.0.send(Message::text(text)).await.map_err(Lost::broken)
    }
}

/// A keep-alive connection that carries one request after another.
pub struct Line {
    way: Way,
    token: Option<String>,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Line {
    /// Sends a request and reads its answer whole. Once this has failed nobody knows whether the
    /// request was acted on.
    pub async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Option<(&'static str, String)>,
    ) -> Result<(u16, String), Lost> {
        let answered = self.exchange(method, path, body).await;
        if answered.is_err() {
            self.sender = None;
        }
        answered
    }

    async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        body: Option<(&'static str, String)>,
    ) -> Result<(u16, String), Lost> {
        let mut request = Request::builder().method(method).uri(path);
        let mut text = String::new();
        if let Some((kind, body)) = body {
            request = request.header(CONTENT_TYPE, kind);
            text = body;
        }
        let response = self.open(request, text).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await;
        let body = body.map_err(Lost::broken)?.to_bytes();
        let text = String::from_utf8(body.into()).map_err(Lost::broken)?;
        Ok((status, text))
    }

    /// Sends a request; its answer's body is yet to be read.
    pub async fn open(
        &mut self,
        request: hyper::http::request::Builder,
        body: String,
    ) -> Result<Response<Incoming>, Lost> {
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
            let stream = TokioIo::new(self.way.dial().await?);
            let (sender, connection) = http1::handshake(stream).await.map_err(Lost::broken)?;
            tokio::spawn(connection);
            self.sender = Some(sender);
        }
        let sender = self.sender.as_mut().expect("it is open");
        sender.send_request(request).await.map_err(Lost::broken)
    }
}
