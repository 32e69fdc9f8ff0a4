//! A server made of the protocol layer alone, as the public Engine.IO and Socket.IO test suites want it:
//! `socketio_echo [PORT]`, 3000 by default. `/engine.io/` says back what it hears; `/socket.io/` has the
//! namespaces `/` and `/custom` with the suite's events.

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
use realtime_protocol::socketio::{AttachmentLimits, Decoder, Kind, Packet, ack, binary_ack};
use realtime_protocol::socketio::{binary_event, connect, connect_error, event};
use realtime_protocol::{Event, Frame};
use serde_json::value::RawValue;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout_at};

/// From the opening to the first CONNECT. The suite's three heartbeats come before any CONNECT and take
/// 900 ms at best; it waits 2 s for the end of a connection without one.
const CONNECT_TIME: Duration = Duration::from_millis(1500);

/// Between the answer to CONNECT and the `auth` event. The suite awaits them one after the other, and
/// its WebSocket client forgets the second of two frames that it reads at once.
const APART: Duration = Duration::from_millis(10);

const LIMITS: AttachmentLimits = AttachmentLimits {
    count: 8,
    bytes: 1_000_000,
};

/// One thread, like the reference server's, so that what is sent first is seen first.
#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port = std::env::args()
        .nth(1)
        .and_then(|port| port.parse().ok())
        .unwrap_or(3000);
    let v4 = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on {}", v4.local_addr()?);
    let server = Server::new();
    // `localhost` may mean either family; where there is only one, one is enough.
    if let Ok(v6) = TcpListener::bind(("::1", v4.local_addr()?.port())).await {
        tokio::spawn(server.clone().serve(v6));
    }
    server.serve(v4).await
}

/// Both endpoints, with the timings that the suites expect.
#[derive(Clone)]
pub(crate) struct Server {
    /// Echoes Engine.IO messages.
    pub engine: Engine<TcpStream>,
    /// Speaks Socket.IO.
    pub socketio: Engine<TcpStream>,
}

impl Server {
    /// A server without connections.
    pub(crate) fn new() -> Self {
        let config = |path: &'static str| Config {
            path: path.into(),
            ping_interval: Duration::from_millis(300),
            ping_timeout: Duration::from_millis(200),
            max_payload: 1_000_000,
            first_max_payload: 1_000_000,
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
                    async move { Ok::<_, Infallible>(server.answer(request).await) }
                });
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades()
                    .await;
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
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
    let mut apart = VecDeque::new();
    let mut entered = false;
    let connect_by = Instant::now() + CONNECT_TIME;
    loop {
        let event = match entered {
            true => socket.event().await,
            false => match timeout_at(connect_by, socket.event()).await {
                Ok(event) => event,
                Err(_) => return socket.close(1000, "no CONNECT").await,
            },
        };
        match event {
            Event::Message(frame) => match decoder.decode(frame) {
                Ok(None) => {}
                Ok(Some(packet)) => match answers(packet, &mut namespaces, &mut apart) {
                    Some(frames) => frames.into_iter().for_each(|frame| socket.send(frame)),
                    None => return socket.close(1000, "not connected").await,
                },
                Err(error) => return socket.close(1000, &error.to_string()).await,
            },
            Event::Flushed => {
                if let Some(frame) = apart.pop_front() {
                    sleep(APART).await;
                    socket.send(frame);
                }
            }
            Event::Closed(_) => return,
        }
        entered |= !namespaces.is_empty();
    }
}

/// What the suite expects back at once, or none when the connection is to be closed.
fn answers(
    packet: Packet,
    namespaces: &mut HashSet<Box<str>>,
    apart: &mut VecDeque<Frame>,
) -> Option<Vec<Frame>> {
    let name = packet.namespace;
    match packet.kind {
        Kind::Connect { auth } => {
            if !matches!(&*name, "/" | "/custom") {
                return Some(vec![connect_error(&name, "Invalid namespace", None)]);
            }
            let auth = auth.or_else(|| RawValue::from_string("{}".to_owned()).ok())?;
            let sid = format!("{}{}", &*name, namespaces.len());
            apart.push_back(event(&name, None, "auth", [&*auth]));
            let frames = vec![connect(&name, &sid, None)];
            namespaces.insert(name);
            Some(frames)
        }
        Kind::Disconnect => namespaces.remove(&name).then(Vec::new),
        Kind::Event {
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
        Kind::Ack { .. } => Some(Vec::new()),
    }
}
