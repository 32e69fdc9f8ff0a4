//! A server for the public Engine.IO and Socket.IO test suites: `suite_server [PORT]`, 3000 by default.
//! `/engine.io/` echoes messages. `/socket.io/` has the namespaces `/` and `/custom` with the events of the suite.
//! For a smaller start see `socketio_echo`.

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use realtime_protocol::engineio::{Config, Engine, Socket};
use realtime_protocol::socketio::{AttachmentLimits, Decoder, Packet, PacketData, ack, binary_ack};
use realtime_protocol::socketio::{binary_event, connect, connect_error, event};
use realtime_protocol::{Event, Frame};
use serde_json::value::RawValue;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout_at};

/// The time limit for the first CONNECT. The suite has a test with three heartbeats before any CONNECT, which
/// takes 900 ms or more, and one that waits 2 s until a connection without CONNECT is closed.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);

/// The pause between the response to CONNECT and the `auth` event. The suite awaits them one after the other,
/// and its WebSocket client loses the second of two frames that it reads at once.
const AUTH_DELAY: Duration = Duration::from_millis(10);

const LIMITS: AttachmentLimits = AttachmentLimits {
    count: 8,
    bytes: 1_000_000,
};

/// Runs on one thread, like the reference server, so that packets are handled in the order they were sent.
#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port = std::env::args()
        .nth(1)
        .and_then(|port| port.parse().ok())
        .unwrap_or(3000);
    let v4 = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on {}", v4.local_addr()?);
    let server = Server::new();
    // `localhost` may resolve to either address family. IPv6 may be missing.
    if let Ok(v6) = TcpListener::bind(("::1", v4.local_addr()?.port())).await {
        tokio::spawn(server.clone().serve(v6));
    }
    server.serve(v4).await
}

/// Both endpoints, with the timings that the test suites expect.
#[derive(Clone)]
pub(crate) struct Server {
    pub engine: Engine<TcpStream>,
    pub socketio: Engine<TcpStream>,
}

impl Server {
    pub(crate) fn new() -> Self {
        let config = |path: &'static str| Config {
            path: path.into(),
            ping_interval: Duration::from_millis(300),
            ping_timeout: Duration::from_millis(200),
            max_payload: 1_000_000,
            initial_max_payload: 1_000_000,
            ..Config::default()
        };
        Self {
            engine: Engine::new(config("/engine.io/")),
            socketio: Engine::new(config("/socket.io/")),
        }
    }

    /// Serves until the listener fails.
    pub(crate) async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            let server = self.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let server = server.clone();
                    async move { Ok::<_, Infallible>(server.respond(request).await) }
                });
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades()
                    .await;
            });
        }
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let mut response = if self.engine.serves(path) {
            self.engine
                .handle(request, |socket| drop(tokio::spawn(echo(socket))))
                .await
        } else if self.socketio.serves(path) {
            self.socketio
                .handle(request, |socket| drop(tokio::spawn(session(socket))))
                .await
        } else {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        };
        let any = HeaderValue::from_static("*");
        response
            .headers_mut()
            .insert(ACCESS_CONTROL_ALLOW_ORIGIN, any);
        response
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

async fn echo(mut socket: Socket<TcpStream>) {
    loop {
        match socket.event().await {
            Event::Message(frame) => socket.send(frame),
            Event::Flushed => {}
            Event::Closed(_) => return,
        }
    }
}

async fn session(mut socket: Socket<TcpStream>) {
    let mut decoder = Decoder::new(LIMITS);
    let mut namespaces = HashSet::new();
    let mut delayed = VecDeque::new();
    let mut is_connected = false;
    let connect_by = Instant::now() + CONNECT_TIMEOUT;
    loop {
        let event = match is_connected {
            true => socket.event().await,
            false => match timeout_at(connect_by, socket.event()).await {
                Ok(event) => event,
                Err(_) => return socket.close(1000, "no CONNECT").await,
            },
        };
        match event {
            Event::Message(frame) => match decoder.decode(frame) {
                Ok(None) => {}
                Ok(Some(packet)) => match replies(packet, &mut namespaces, &mut delayed) {
                    Some(frames) => frames.into_iter().for_each(|frame| socket.send(frame)),
                    None => return socket.close(1000, "not connected").await,
                },
                Err(error) => return socket.close(1000, &error.to_string()).await,
            },
            Event::Flushed => {
                if let Some(frame) = delayed.pop_front() {
                    sleep(AUTH_DELAY).await;
                    socket.send(frame);
                }
            }
            Event::Closed(_) => return,
        }
        is_connected |= !namespaces.is_empty();
    }
}

/// The frames to send at once, or `None` if the connection must be closed. Adds frames for later to `delayed`.
fn replies(
    packet: Packet,
    namespaces: &mut HashSet<Box<str>>,
    delayed: &mut VecDeque<Frame>,
) -> Option<Vec<Frame>> {
    let name = packet.namespace;
    match packet.data {
        PacketData::Connect { auth } => {
            if !matches!(&*name, "/" | "/custom") {
                return Some(vec![connect_error(&name, "Invalid namespace", None)]);
            }
            let auth = auth.or_else(|| RawValue::from_string("{}".to_owned()).ok())?;
            let sid = format!("{}{}", &*name, namespaces.len());
            delayed.push_back(event(&name, None, "auth", [&*auth]));
            let frames = vec![connect(&name, &sid, None)];
            namespaces.insert(name);
            Some(frames)
        }
        PacketData::Disconnect => namespaces.remove(&name).then(Vec::new),
        PacketData::Event {
            ack: id,
            args,
            attachments,
        } => {
            namespaces.get(&name)?;
            let data = args.items().into_iter().skip(1);
            Some(match (args.name()?.as_ref(), id) {
                ("message", _) if attachments.is_empty() => {
                    vec![event(&name, None, "message-back", data)]
                }
                ("message", _) => binary_event(&name, None, "message-back", data, attachments),
                ("message-with-ack", Some(id)) if attachments.is_empty() => {
                    vec![ack(&name, id, data)]
                }
                ("message-with-ack", Some(id)) => binary_ack(&name, id, data, attachments),
                _ => Vec::new(),
            })
        }
        PacketData::Ack { .. } => Some(Vec::new()),
    }
}
