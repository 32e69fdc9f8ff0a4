//! Engine.IO protocol 4: handshake, polling, WebSocket, upgrade and heartbeat; knows no Socket.IO, and adds no CORS headers.
//!
//! A request goes through [`Engine::handle`]. A new connection becomes a [`Socket`], which one task
//! of the app's drives; the later requests of a polling session meet it in the shared session. A
//! session that begins as a WebSocket is in no table at all.

mod heartbeat;
mod packet;
mod polling;
mod probe;
mod refusal;
mod request;
mod requests;
mod session;
mod socket;
mod timer;

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::http::response::Parts;
use hyper::{Method, Request, Response};
use tokio::time::{Instant, timeout};

use self::heartbeat::Heartbeat;
use self::packet::CLOSE;
use self::polling::Polling;
use self::refusal::{Refusal, payload};
use self::request::Query;
pub use self::request::Transport;
use self::session::Session;
pub use self::socket::Socket;
use super::websocket::{self, Limits, WebSocket};
use super::{ByteStream, Ended, Frame};

/// What a request asks for, and the session that it names.
type Recognised<S> = (Query, Option<Arc<Session<S>>>);

/// How an engine behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The one path served, with or without a slash at its end.
    pub path: Cow<'static, str>,
    /// From the opening, or a pong, to the next ping.
    pub ping_interval: Duration,
    /// From a ping to giving the client up.
    pub ping_timeout: Duration,
    /// The longest message or POST body in bytes, as the handshake tells the client.
    pub max_payload: usize,
    /// The limit in force until the first `Socket::set_max_payload`.
    pub first_max_payload: usize,
    /// The most packets in one POST.
    pub max_packets: usize,
    /// From the request for an upgrade to giving it up.
    pub upgrade_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: Cow::Borrowed("/socket.io/"),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            max_payload: 65_536,
            first_max_payload: 65_536,
            max_packets: 1024,
            upgrade_timeout: Duration::from_secs(10),
        }
    }
}

/// One Engine.IO endpoint. `S` is the stream that the server wraps in `TokioIo`. A clone is the same endpoint.
pub struct Engine<S> {
    shared: Arc<Shared<S>>,
}

struct Shared<S> {
    config: Config,
    /// The sessions that began as polling, by sid. Std mutex: held for a lookup, never while waiting.
    table: Mutex<HashMap<Arc<str>, Arc<Session<S>>>>,
}

impl<S> Clone for Engine<S> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<S: ByteStream> Engine<S> {
    /// An endpoint without sessions.
    pub fn new(config: Config) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                table: Mutex::default(),
            }),
        }
    }

    /// Whether a request path is this endpoint's, which it is as a whole or not at all.
    pub fn serves(&self, path: &str) -> bool {
        let own = self.shared.config.path.trim_end_matches('/');
        path.strip_prefix(own)
            .is_some_and(|rest| matches!(rest, "" | "/"))
    }

    /// How many sessions that began as polling are known.
    pub fn sessions(&self) -> usize {
        self.shared.table().len()
    }

    /// Answers a request of this endpoint. A GET may wait as long as the ping interval.
    ///
    /// `open` is called when the request opened a connection: at once for polling, on a task of its
    /// own after the 101 for a WebSocket. It should spawn the task that drives the socket.
    pub async fn handle<B>(
        &self,
        request: Request<B>,
        open: impl FnOnce(Socket<S>) + Send + 'static,
    ) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        self.route(request, open)
            .await
            .unwrap_or_else(Refusal::response)
    }

    async fn route<B>(
        &self,
        mut request: Request<B>,
        open: impl FnOnce(Socket<S>) + Send + 'static,
    ) -> Result<Response<Full<Bytes>>, Refusal>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (query, session) = self.recognise(&request)?;
        match (query.transport, session) {
            (Transport::Polling, None) => self.open_polling(open),
            (Transport::WebSocket, None) => self.open_websocket(&mut request, open),
            (Transport::WebSocket, Some(session)) => Ok(self.upgrade(&mut request, &session)),
            (Transport::Polling, Some(session)) => match *request.method() {
                Method::GET => requests::poll(&session).await,
                Method::POST => {
                    let max_packets = self.shared.config.max_packets;
                    requests::push(&session, request.into_body(), max_packets).await
                }
                _ => Err(Refusal::BadRequest),
            },
        }
    }

    /// The checks that every request passes, whoever holds its connection.
    fn recognise<B>(&self, request: &Request<B>) -> Result<Recognised<S>, Refusal> {
        if !self.serves(request.uri().path()) {
            return Err(Refusal::NotFound);
        }
        let query = Query::parse(request.uri().query().unwrap_or_default())?;
        let session = match &query.sid {
            Some(sid) => Some(self.shared.find(sid)?),
            None if request.method() != Method::GET => return Err(Refusal::BadHandshakeMethod),
            None => None,
        };
        if websocket::is_upgrade(request) != (query.transport == Transport::WebSocket) {
            return Err(Refusal::BadRequest);
        }
        query.check_version()?;
        Ok((query, session))
    }

    fn open_polling(&self, open: impl FnOnce(Socket<S>)) -> Result<Response<Full<Bytes>>, Refusal> {
        let config = &self.shared.config;
        let id = new_sid()?;
        let handshake = self.handshake(&id, r#""websocket""#);
        let heartbeat = self.heartbeat();
        let session = Arc::new(Session::new(heartbeat, config.first_max_payload));
        self.shared.table().insert(id.clone(), session.clone());
        let polling = Polling::new(session.clone(), config.upgrade_timeout);
        let lease = Lease {
            shared: self.shared.clone(),
            id,
            session,
        };
        open(Socket::polling(lease, polling, heartbeat));
        Ok(payload(handshake))
    }

    fn open_websocket<B>(
        &self,
        request: &mut Request<B>,
        open: impl FnOnce(Socket<S>) + Send + 'static,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        let id = new_sid()?;
        let (response, upgrading) = match websocket::accept(request, self.limits()) {
            Ok(accepted) => accepted,
            Err(error) => return Ok(error.response()),
        };
        let engine = self.clone();
        tokio::spawn(async move {
            let patience = engine.shared.config.upgrade_timeout;
            if let Ok(Ok(carrier)) = timeout(patience, upgrading).await {
                open(engine.socket(id, carrier));
            }
        });
        Ok(response)
    }

    /// Answers a request that opens a connection as a WebSocket, as [`Engine::handle`] does, but for
    /// a connection that is taken out of the server's hands: nothing of the answer is sent before
    /// the [`Opening`] is given the stream. There is none where the answer refuses it.
    pub fn accept<B>(&self, request: &Request<B>) -> (Response<Full<Bytes>>, Option<Opening<S>>) {
        let id =
            self.recognise(request)
                .and_then(|(query, session)| match (query.transport, session) {
                    (Transport::WebSocket, None) => new_sid(),
                    _ => Err(Refusal::BadRequest),
                });
        let id = match id {
            Ok(id) => id,
            Err(refusal) => return (refusal.response(), None),
        };
        match websocket::answer(request) {
            Ok(response) => {
                let engine = self.clone();
                (response, Some(Opening { engine, id }))
            }
            Err(error) => (error.response(), None),
        }
    }

    fn socket(&self, id: Arc<str>, carrier: WebSocket<S>) -> Socket<S> {
        let handshake = Frame::text(self.handshake(&id, ""));
        Socket::websocket(id, carrier, self.heartbeat(), handshake)
    }

    fn upgrade<B>(&self, request: &mut Request<B>, session: &Session<S>) -> Response<Full<Bytes>> {
        let (response, upgrading) = match websocket::accept(request, self.limits()) {
            Ok(accepted) => accepted,
            Err(error) => return error.response(),
        };
        if let Some(refused) = session.ask_upgrade(upgrading) {
            let patience = self.shared.config.upgrade_timeout;
            tokio::spawn(async move {
                if let Ok(Ok(carrier)) = timeout(patience, refused).await {
                    carrier
                        .close(1008, "this session has its WebSocket already")
                        .await;
                }
            });
        }
        response
    }

    /// The heartbeat above keeps the connection alive, so the WebSocket needs none of its own.
    fn limits(&self) -> Limits {
        Limits {
            max_message: self.shared.config.first_max_payload,
            keepalive: None,
        }
    }

    fn heartbeat(&self) -> Heartbeat {
        let config = &self.shared.config;
        Heartbeat::start(config.ping_interval, config.ping_timeout, Instant::now())
    }

    /// The open packet; `upgrades` are the names in its list.
    fn handshake(&self, sid: &str, upgrades: &str) -> String {
        let config = &self.shared.config;
        format!(
            r#"0{{"sid":"{sid}","upgrades":[{upgrades}],"pingInterval":{},"pingTimeout":{},"maxPayload":{}}}"#,
            config.ping_interval.as_millis(),
            config.ping_timeout.as_millis(),
            config.max_payload,
        )
    }
}

impl<S> Shared<S> {
    fn table(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Session<S>>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, sid: &str) -> Result<Arc<Session<S>>, Refusal> {
        self.table()
            .get(sid)
            .cloned()
            .ok_or(Refusal::UnknownSession)
    }
}

/// A connection that opens as a WebSocket, once it has its stream.
pub struct Opening<S> {
    engine: Engine<S>,
    id: Arc<str>,
}

impl<S: ByteStream> Opening<S> {
    /// The connection on this stream: the answer's head goes out with its first packets. `read` is
    /// what came after the request.
    pub fn on(self, stream: S, head: &Parts, read: Bytes) -> Socket<S> {
        let carrier = WebSocket::opening(stream, head, read, self.engine.limits());
        self.engine.socket(self.id, carrier)
    }
}

/// A socket's place in the table; dropping it ends the session and frees the sid.
struct Lease<S> {
    shared: Arc<Shared<S>>,
    id: Arc<str>,
    session: Arc<Session<S>>,
}

impl<S> Lease<S> {
    fn id(&self) -> &Arc<str> {
        &self.id
    }
}

impl<S> Drop for Lease<S> {
    fn drop(&mut self) {
        self.shared.table().remove(&self.id);
        self.session.end(Ended::Peer { code: None }, CLOSE);
    }
}

/// 128 random bits: whoever knows them may speak for the session.
fn new_sid() -> Result<Arc<str>, Refusal> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Refusal::NoRandom)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes).into())
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::*;

    #[test]
    fn the_path_is_matched_as_a_whole() {
        let engine = Engine::<DuplexStream>::new(Config::default());
        for path in ["/socket.io", "/socket.io/"] {
            assert!(engine.serves(path), "{path}");
        }
        for path in [
            "/",
            "/socket.io//",
            "/socket.iox",
            "/socket.io/x",
            "/x/socket.io/",
            "socket.io",
        ] {
            assert!(!engine.serves(path), "{path}");
        }
    }
}
