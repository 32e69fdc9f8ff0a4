//! HTTP client for the API: one connection per request. Every response is checked against the OpenAPI document.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::{schema, soon};

/// The API at one endpoint, with the headers (such as a token) that go with each request.
#[derive(Clone)]
pub struct Api {
    endpoint: Endpoint,
    headers: Vec<(String, String)>,
}

#[derive(Clone)]
enum Endpoint {
    Tls(SocketAddr, Arc<ClientConfig>),
    Plain(SocketAddr),
    Local(PathBuf),
}

/// An HTTP response with its complete body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// `null` if the body is not JSON.
    pub json: Value,
}

impl Answer {
    /// Returns the response itself; panics unless it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Asserts this status and an error body (docs/protocol.md#errors). Returns the error's `code`.
    #[track_caller]
    pub fn refused(self, status: u16) -> String {
        let answer = self.expect(status);
        assert_eq!(answer.json["success"], false, "{}", answer.text);
        assert!(answer.json["error"].is_string() && answer.json["timestamp"].is_string());
        answer.json["code"].as_str().expect("a code").to_owned()
    }

    /// The seconds of `Retry-After`.
    #[track_caller]
    pub fn retry_after(&self) -> u64 {
        let header = self.header("retry-after").expect("Retry-After");
        header.parse().expect("whole seconds")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Api {
    pub fn tls(address: SocketAddr, config: Arc<ClientConfig>, token: Option<String>) -> Self {
        let api = Self {
            endpoint: Endpoint::Tls(address, config),
            headers: Vec::new(),
        };
        match token {
            Some(token) => api.with_header(AUTHORIZATION.as_str(), &format!("Bearer {token}")),
            None => api,
        }
    }

    pub fn plain(address: SocketAddr) -> Self {
        Self {
            endpoint: Endpoint::Plain(address),
            headers: Vec::new(),
        }
    }

    pub fn local(socket: &Path) -> Self {
        Self {
            endpoint: Endpoint::Local(socket.to_owned()),
            headers: Vec::new(),
        }
    }

    /// Adds a header to every request.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// Sends a body as it is, which need not be JSON.
    pub async fn send_text(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        self.raw(request.body(body).expect("a request")).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.raw(request.body(Full::new(body.into())).expect("a request"))
            .await
    }

    /// Sends a request with this client's headers added, and `Host` if it is missing.
    pub async fn raw(&self, mut request: Request<Full<Bytes>>) -> Answer {
        for (name, value) in &self.headers {
            let name: hyper::header::HeaderName = name.parse().expect("a header name");
            request
                .headers_mut()
                .append(name, value.parse().expect("a header value"));
        }
        if !request.headers().contains_key(HOST) {
            let host = match &self.endpoint {
                Endpoint::Tls(address, _) | Endpoint::Plain(address) => {
                    format!("localhost:{}", address.port())
                }
                Endpoint::Local(_) => "wallcast".to_owned(),
            };
            request
                .headers_mut()
                .insert(HOST, host.parse().expect("a host"));
        }
        match &self.endpoint {
            Endpoint::Tls(address, config) => {
                exchange(tls_stream(*address, config.clone()).await, request).await
            }
            Endpoint::Plain(address) => {
                exchange(
                    TcpStream::connect(address).await.expect("a connection"),
                    request,
                )
                .await
            }
            Endpoint::Local(path) => {
                exchange(
                    UnixStream::connect(path).await.expect("a connection"),
                    request,
                )
                .await
            }
        }
    }

    /// Requests a WebSocket upgrade and returns the response; the socket itself is dropped.
    pub async fn request_upgrade(&self, path: &str) -> Answer {
        let request = Request::builder()
            .uri(path)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .body(Full::default());
        self.raw(request.expect("a request")).await
    }

    /// Creates a session and returns its id (docs/protocol.md#session-ids).
    pub async fn open_session(&self) -> String {
        let answer = self.post("/api/auth/session", json!({})).await;
        let session = answer.expect(200).json;
        session["sessionId"].as_str().expect("an id").to_owned()
    }

    /// Creates an area and returns its id.
    pub async fn create_area(&self, name: &str) -> String {
        let area = self
            .post("/api/areas", json!({ "name": name }))
            .await
            .expect(201)
            .json;
        area["id"].as_str().expect("an id").to_owned()
    }
}

/// A TLS connection to the daemon, verified against its CA as `localhost`.
pub async fn tls_stream(
    address: SocketAddr,
    config: Arc<ClientConfig>,
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let tcp = TcpStream::connect(address).await.expect("a connection");
    tls_over(tcp, config).await
}

/// TLS on an open TCP connection.
pub async fn tls_over(
    tcp: TcpStream,
    config: Arc<ClientConfig>,
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let name = ServerName::try_from("localhost").expect("a name");
    soon(
        "the TLS handshake",
        TlsConnector::from(config).connect(name, tcp),
    )
    .await
    .expect("a trusted certificate")
}

/// Sends a request on an open connection and reads the complete response.
pub async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Answer {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .expect("HTTP/1.1");
    tokio::spawn(connection);
    let response = soon("the response", sender.send_request(request))
        .await
        .expect("a response");
    let (head, body) = response.into_parts();
    let bytes = soon("the body", body.collect())
        .await
        .expect("a body")
        .to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let json = serde_json::from_str(&text).unwrap_or_default();
    let (path, status) = (uri.path(), head.status.as_u16());
    schema::check(method.as_str(), path, status, &head.headers, &json);
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        text,
        json,
    }
}
