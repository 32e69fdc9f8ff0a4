//! A plain client of server-sent events over real TLS, which reads them as the HTML standard says.

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

/// An open stream of events.
pub struct EventStream {
    body: Incoming,
    text: String,
    /// The headers of the answer.
    pub headers: HeaderMap,
    /// Comments that were passed over.
    pub comments: Vec<String>,
    /// The last `retry` in milliseconds.
    pub retry: Option<u64>,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct SseEvent {
    pub id: Option<String>,
    pub event_type: String,
    pub data: Value,
}

impl SseEvent {
    /// The number behind the epoch in its id.
    #[track_caller]
    pub fn number(&self) -> i64 {
        let id = self.id.as_deref().expect("it has an id");
        let (_, number) = id.split_once(':').expect("EPOCH:ID");
        number.parse().expect("a number")
    }
}

impl EventStream {
    /// Opens a stream with this token, its first words already heard.
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

    /// Opens a stream on a path with any headers; the status of the refusal if it is refused.
    pub async fn open_with(
        daemon: &Daemon,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, u16> {
        let stream = tls_stream(daemon.https, daemon.tls.clone()).await;
        Self::ask(daemon, stream, path, headers).await
    }

    /// Opens a stream that takes next to nothing from the kernel while it is not read.
    pub async fn open_with_small_buffer(daemon: &Daemon, token: &str) -> Self {
        let tcp = TcpSocket::new_v4().expect("a socket");
        tcp.set_recv_buffer_size(4096).expect("a small buffer");
        let tcp = tcp.connect(daemon.https).await.expect("a connection");
        let stream = tls_over(tcp, daemon.tls.clone()).await;
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        Self::ask(daemon, stream, "/api/events", &headers)
            .await
            .expect("the stream opens")
    }

    async fn ask(
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
        let response = soon("an answer", sender.send_request(request)).await;
        let (head, body) = response.expect("an answer").into_parts();
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

    /// The next event.
    pub async fn next(&mut self) -> SseEvent {
        match soon("an event", self.event()).await {
            Some(Ok(told)) => told,
            Some(Err(error)) => panic!("the stream broke: {error}"),
            None => panic!("the stream ended"),
        }
    }

    /// The next event of this type; others are passed over.
    pub async fn next_of(&mut self, event_type: &str) -> SseEvent {
        loop {
            let told = self.next().await;
            if told.event_type == event_type {
                return told;
            }
        }
    }

    /// Every event until the end, and whether it was the answer's own end rather than a broken
    /// connection's.
    pub async fn rest(&mut self) -> (Vec<SseEvent>, bool) {
        let mut all = Vec::new();
        loop {
            match soon("the end", self.event()).await {
                Some(Ok(told)) => all.push(told),
                Some(Err(_)) => return (all, false),
                None => return (all, true),
            }
        }
    }

    async fn event(&mut self) -> Option<Result<SseEvent, hyper::Error>> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                if let Some(told) = self.read(&block) {
                    return Some(Ok(told));
                }
                continue;
            }
            match self.body.frame().await? {
                Ok(frame) => {
                    let bytes = frame.into_data().expect("no trailers");
                    // Every frame of the server's is whole text, but what arrives may be part of one;
                    // the tests' events are ASCII.
                    self.text.push_str(&String::from_utf8_lossy(&bytes));
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn read(&mut self, block: &str) -> Option<SseEvent> {
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
                other => panic!("no field of an event: {other}"),
            }
        }
        let data = serde_json::from_str(&data?).expect("data is JSON");
        Some(SseEvent {
            id,
            event_type: event_type.expect("every event says its type"),
            data,
        })
    }
}
