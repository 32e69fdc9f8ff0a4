//! Server-sent events client over TLS. Parses the stream as the HTML standard specifies.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;

use super::api::{tls_over, tls_stream};
use super::{Daemon, soon};

/// An open SSE stream.
pub struct EventStream {
    body: Incoming,
    text: String,
    pub headers: HeaderMap,
    /// Comment lines received so far.
    pub comments: Vec<String>,
    /// The last `retry` field, in milliseconds.
    pub retry: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SseEvent {
    pub id: Option<String>,
    pub event_type: String,
    pub data: Value,
}

impl SseEvent {
    /// The numeric part of an id of the form `EPOCH:ID`.
    #[track_caller]
    pub fn number(&self) -> i64 {
        let id = self.id.as_deref().expect("it has an id");
        let (_, number) = id.split_once(':').expect("EPOCH:ID");
        number.parse().expect("a number")
    }
}

impl EventStream {
    /// Opens a stream with this token and consumes its welcome.
    pub async fn listen(daemon: &Daemon, token: &str) -> Self {
        let mut events = Self::open(daemon, token).await;
        assert_eq!(events.next().await.event_type, "connection");
        events
    }

    /// Opens a stream with this token.
    pub async fn open(daemon: &Daemon, token: &str) -> Self {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let opened = Self::open_with(daemon, "/api/events", &headers).await;
        opened.expect("the stream opens")
    }

    /// Opens a stream on a path with any headers. Returns the HTTP status if it is not 200.
    pub async fn open_with(
        daemon: &Daemon,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, u16> {
        let stream = tls_stream(daemon.https, daemon.tls.clone()).await;
        Self::request(daemon, stream, path, headers).await
    }

    /// Opens a stream with a 4 kB receive buffer, so that an unread stream blocks the server early.
    pub async fn open_with_small_buffer(daemon: &Daemon, token: &str) -> Self {
        let tcp = TcpSocket::new_v4().expect("a socket");
        tcp.set_recv_buffer_size(4096).expect("a small buffer");
        let tcp = tcp.connect(daemon.https).await.expect("a connection");
        let stream = tls_over(tcp, daemon.tls.clone()).await;
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        Self::request(daemon, stream, "/api/events", &headers)
            .await
            .expect("the stream opens")
    }

    async fn request(
        daemon: &Daemon,
        stream: TlsStream<TcpStream>,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, u16> {
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(8192)
            .handshake(TokioIo::new(stream))
            .await
            .expect("HTTP/1.1");
        tokio::spawn(connection);
        let mut request = Request::builder()
            .uri(path)
            .header("host", format!("localhost:{}", daemon.https.port()))
            .header("accept", "text/event-stream");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        let response = soon("the response", sender.send_request(request)).await;
        let (head, body) = response.expect("a response").into_parts();
        if head.status != 200 {
            return Err(head.status.as_u16());
        }
        Ok(Self {
            body,
            text: String::new(),
            headers: head.headers,
            comments: Vec::new(),
            retry: None,
        })
    }

    pub async fn next(&mut self) -> SseEvent {
        match soon("an event", self.event()).await {
            Some(Ok(event)) => event,
            Some(Err(error)) => panic!("the stream broke: {error}"),
            None => panic!("the stream ended"),
        }
    }

    /// The next event of this type. Skips others.
    pub async fn next_of(&mut self, event_type: &str) -> SseEvent {
        loop {
            let event = self.next().await;
            if event.event_type == event_type {
                return event;
            }
        }
    }

    /// Every event until the stream ends, and whether the response body was complete (`true`) or the
    /// connection broke (`false`).
    pub async fn rest(&mut self) -> (Vec<SseEvent>, bool) {
        let mut all = Vec::new();
        loop {
            match soon("the end of the stream", self.event()).await {
                Some(Ok(event)) => all.push(event),
                Some(Err(_)) => return (all, false),
                None => return (all, true),
            }
        }
    }

    async fn event(&mut self) -> Option<Result<SseEvent, hyper::Error>> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                if let Some(event) = self.parse(&block) {
                    return Some(Ok(event));
                }
                continue;
            }
            match self.body.frame().await? {
                Ok(frame) => {
                    let bytes = frame.into_data().expect("no trailers");
                    // A frame may split a UTF-8 sequence; the events of these tests are ASCII.
                    self.text.push_str(&String::from_utf8_lossy(&bytes));
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Parses one block; `None` if it has no data.
    fn parse(&mut self, block: &str) -> Option<SseEvent> {
        let (mut id, mut event_type, mut data) = (None, None, None);
        for line in block.lines().filter(|line| !line.is_empty()) {
            let (field, value) = line.split_once(':').expect("a field");
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            match field {
                "" => self.comments.push(value),
                "id" => id = Some(value),
                "event" => event_type = Some(value),
                "data" => assert!(data.replace(value).is_none(), "data is one line"),
                "retry" => self.retry = Some(value.parse().expect("milliseconds")),
                other => panic!("unknown field: {other}"),
            }
        }
        let data = serde_json::from_str(&data?).expect("data is JSON");
        Some(SseEvent {
            id,
            event_type: event_type.expect("every event has a type"),
            data,
        })
    }
}
