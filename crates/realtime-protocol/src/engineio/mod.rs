//! Engine.IO protocol version 4, server side: handshake, polling, WebSocket, upgrade and heartbeat. Messages are
//! opaque to it, and it adds no CORS headers.
//!
//! Every request goes to [`Engine::handle`]. A request that opens a connection yields a [`Socket`], which one
//! task of the application drives. Later requests of a polling session find its shared state by session id and
//! exchange packets with the socket through two queues. A session that starts as a WebSocket has no shared
//! state: no other request may refer to it.

mod heartbeat;
mod packet;
mod polling;
mod polling_requests;
mod polling_session;
mod probe;
mod query;
mod response;
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
use self::polling_session::PollingSession;
use self::query::Query;
pub use self::query::Transport;
use self::response::{RequestError, payload};
pub use self::socket::Socket;
use super::websocket::{self, Limits, WebSocket};
use super::{ByteStream, CloseReason, Frame};

/// The query of a request, and the polling session of its `sid`.
type ValidatedRequest<S> = (Query, Option<Arc<PollingSession<S>>>);

/// Configuration of an [`Engine`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The path of the endpoint. A trailing slash is optional, here and in requests.
    pub path: Cow<'static, str>,
    /// Time from the handshake, or from a pong, to the next ping.
    pub ping_interval: Duration,
    /// Time that the client has to reply to a ping before the connection is closed.
    pub ping_timeout: Duration,
    /// The `maxPayload` of the handshake: the maximum size of a message or POST body in bytes that the client
    /// should assume. Not enforced by itself, see [`Socket::set_max_payload`].
    pub max_payload: usize,
    /// The limit in bytes that is enforced until the first [`Socket::set_max_payload`]. A lower value than
    /// `max_payload` limits clients that have not authenticated yet.
    pub initial_max_payload: usize,
    /// The maximum number of packets in one POST.
    pub max_packets: usize,
    /// Maximum duration of an upgrade, and of opening a WebSocket after its request.
    pub upgrade_timeout: Duration,
}

impl Default for Config {
    /// The reference server's path and heartbeat (25 s and 20 s), 64 KiB payloads, 1024 packets, 10 s to upgrade.
    fn default() -> Self {
        Self {
            path: Cow::Borrowed("/socket.io/"),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            max_payload: 65_536,
            initial_max_payload: 65_536,
            max_packets: 1024,
            upgrade_timeout: Duration::from_secs(10),
        }
    }
}

/// An Engine.IO endpoint. A clone shares its sessions.
///
/// `S` is the stream type that the HTTP server wraps in `TokioIo` and serves `with_upgrades`; after an upgrade
/// the engine gets this type back from hyper.
pub struct Engine<S> {
    state: Arc<EngineState<S>>,
}

struct EngineState<S> {
    config: Config,
    /// The sessions that started as polling, by session id. A std mutex, because it is never held across an
    /// await.
    polling_sessions: Mutex<HashMap<Arc<str>, Arc<PollingSession<S>>>>,
}

impl<S> Clone for Engine<S> {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
        }
    }
}

impl<S: ByteStream> Engine<S> {
    /// Creates an endpoint without sessions.
    pub fn new(config: Config) -> Self {
        Self {
            state: Arc::new(EngineState {
                config,
                polling_sessions: Mutex::default(),
            }),
        }
    }

    /// Whether `path` is this endpoint's path, with or without a trailing slash. Paths below it are not.
    pub fn serves(&self, path: &str) -> bool {
        let own = self.state.config.path.trim_end_matches('/');
        path.strip_prefix(own)
            .is_some_and(|rest| matches!(rest, "" | "/"))
    }

    /// The number of open sessions that started as polling, including upgraded ones.
    pub fn sessions(&self) -> usize {
        self.state.polling_sessions().len()
    }

    /// Responds to a request for this endpoint. A poll waits for packets, at most until the next ping.
    ///
    /// `open` is called if the request opens a connection: before this method returns for polling, and on a
    /// new task after the 101 response for a WebSocket. It should spawn the task that drives the socket.
    ///
    /// An invalid request gets an error response with the reference server's JSON body and code.
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
            .unwrap_or_else(RequestError::response)
    }

    async fn route<B>(
        &self,
        mut request: Request<B>,
        open: impl FnOnce(Socket<S>) + Send + 'static,
    ) -> Result<Response<Full<Bytes>>, RequestError>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (query, session) = self.validate(&request)?;
        match (query.transport, session) {
            (Transport::Polling, None) => self.open_polling(open),
            (Transport::WebSocket, None) => self.open_websocket(&mut request, open),
            (Transport::WebSocket, Some(session)) => Ok(self.upgrade(&mut request, &session)),
            (Transport::Polling, Some(session)) => match *request.method() {
                Method::GET => polling_requests::poll(&session).await,
                Method::POST => {
                    let max_packets = self.state.config.max_packets;
                    polling_requests::post(&session, request.into_body(), max_packets).await
                }
                _ => Err(RequestError::BadRequest),
            },
        }
    }

    /// The checks that apply to every request.
    fn validate<B>(&self, request: &Request<B>) -> Result<ValidatedRequest<S>, RequestError> {
        if !self.serves(request.uri().path()) {
            return Err(RequestError::NotFound);
        }
        let query = Query::parse(request.uri().query().unwrap_or_default())?;
        let session = match &query.sid {
            Some(sid) => Some(self.state.find(sid)?),
            None if request.method() != Method::GET => {
                return Err(RequestError::BadHandshakeMethod);
            }
            None => None,
        };
        if websocket::is_upgrade(request) != (query.transport == Transport::WebSocket) {
            return Err(RequestError::BadRequest);
        }
        query.check_version()?;
        Ok((query, session))
    }

    fn open_polling(
        &self,
        open: impl FnOnce(Socket<S>),
    ) -> Result<Response<Full<Bytes>>, RequestError> {
        let config = &self.state.config;
        let id = generate_sid()?;
        let handshake = self.handshake(&id, r#""websocket""#);
        let heartbeat = self.heartbeat();
        let session = Arc::new(PollingSession::new(heartbeat, config.initial_max_payload));
        self.state
            .polling_sessions()
            .insert(id.clone(), session.clone());
        let polling = Polling::new(session.clone(), config.upgrade_timeout);
        let guard = SessionGuard {
            state: self.state.clone(),
            id,
            session,
        };
        open(Socket::polling(guard, polling, heartbeat));
        Ok(payload(handshake))
    }

    fn open_websocket<B>(
        &self,
        request: &mut Request<B>,
        open: impl FnOnce(Socket<S>) + Send + 'static,
    ) -> Result<Response<Full<Bytes>>, RequestError> {
        let id = generate_sid()?;
        let (response, upgrading) = match websocket::accept(request, self.limits()) {
            Ok(accepted) => accepted,
            Err(error) => return Ok(error.response()),
        };
        let engine = self.clone();
        tokio::spawn(async move {
            let upgrade_timeout = engine.state.config.upgrade_timeout;
            if let Ok(Ok(socket)) = timeout(upgrade_timeout, upgrading).await {
                open(engine.socket(id, socket));
            }
        });
        Ok(response)
    }

    /// Accepts a request that opens a session as a WebSocket, without hyper's upgrade mechanism.
    ///
    /// Use it if the application takes the stream out of hyper before the response is sent. On success,
    /// pass the stream and the head of the 101 response to [`PendingWebSocket::open`], which sends the
    /// response together with the first packets. `None` means that the response is an error, to be sent as
    /// usual.
    pub fn accept<B>(
        &self,
        request: &Request<B>,
    ) -> (Response<Full<Bytes>>, Option<PendingWebSocket<S>>) {
        let id =
            self.validate(request)
                .and_then(|(query, session)| match (query.transport, session) {
                    (Transport::WebSocket, None) => generate_sid(),
                    _ => Err(RequestError::BadRequest),
                });
        let id = match id {
            Ok(id) => id,
            Err(error) => return (error.response(), None),
        };
        match websocket::handshake_response(request) {
            Ok(response) => {
                let engine = self.clone();
                (response, Some(PendingWebSocket { engine, id }))
            }
            Err(error) => (error.response(), None),
        }
    }

    fn socket(&self, id: Arc<str>, socket: WebSocket<S>) -> Socket<S> {
        let handshake = Frame::text(self.handshake(&id, ""));
        Socket::websocket(id, socket, self.heartbeat(), handshake)
    }

    fn upgrade<B>(
        &self,
        request: &mut Request<B>,
        session: &PollingSession<S>,
    ) -> Response<Full<Bytes>> {
        let (response, upgrading) = match websocket::accept(request, self.limits()) {
            Ok(accepted) => accepted,
            Err(error) => return error.response(),
        };
        if let Some(rejected) = session.request_upgrade(upgrading) {
            let upgrade_timeout = self.state.config.upgrade_timeout;
            tokio::spawn(async move {
                if let Ok(Ok(socket)) = timeout(upgrade_timeout, rejected).await {
                    socket
                        .close(1008, "the session already has a WebSocket")
                        .await;
                }
            });
        }
        response
    }

    /// Without a WebSocket keepalive: Engine.IO has its own heartbeat.
    fn limits(&self) -> Limits {
        Limits {
            max_message: self.state.config.initial_max_payload,
            keepalive: None,
        }
    }

    fn heartbeat(&self) -> Heartbeat {
        let config = &self.state.config;
        Heartbeat::start(config.ping_interval, config.ping_timeout, Instant::now())
    }

    /// The open packet. `upgrades` is the content of its `upgrades` array.
    fn handshake(&self, sid: &str, upgrades: &str) -> String {
        let config = &self.state.config;
        format!(
            r#"0{{"sid":"{sid}","upgrades":[{upgrades}],"pingInterval":{},"pingTimeout":{},"maxPayload":{}}}"#,
            config.ping_interval.as_millis(),
            config.ping_timeout.as_millis(),
            config.max_payload,
        )
    }
}

impl<S> EngineState<S> {
    fn polling_sessions(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<PollingSession<S>>>> {
        self.polling_sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, sid: &str) -> Result<Arc<PollingSession<S>>, RequestError> {
        self.polling_sessions()
            .get(sid)
            .cloned()
            .ok_or(RequestError::UnknownSession)
    }
}

/// An accepted session that starts as a WebSocket and has no stream yet, see [`Engine::accept`].
pub struct PendingWebSocket<S> {
    engine: Engine<S>,
    id: Arc<str>,
}

impl<S: ByteStream> PendingWebSocket<S> {
    /// Creates the connection on the stream that the request came from.
    ///
    /// `head` is the 101 response of [`Engine::accept`]; it is sent with the first packets. `read_ahead` holds
    /// the bytes that were already read after the request.
    pub fn open(self, stream: S, head: &Parts, read_ahead: Bytes) -> Socket<S> {
        let socket =
            WebSocket::with_pending_response(stream, head, read_ahead, self.engine.limits());
        self.engine.socket(self.id, socket)
    }
}

/// Ends a polling session and removes its session id when dropped.
struct SessionGuard<S> {
    state: Arc<EngineState<S>>,
    id: Arc<str>,
    session: Arc<PollingSession<S>>,
}

impl<S> SessionGuard<S> {
    fn id(&self) -> &Arc<str> {
        &self.id
    }
}

impl<S> Drop for SessionGuard<S> {
    fn drop(&mut self) {
        self.state.polling_sessions().remove(&self.id);
        self.session.end(CloseReason::Peer { code: None }, CLOSE);
    }
}

/// 128 random bits, because the session id authorizes requests.
fn generate_sid() -> Result<Arc<str>, RequestError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| RequestError::RandomUnavailable)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes).into())
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::*;

    #[test]
    fn path_matches_only_as_a_whole() {
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
