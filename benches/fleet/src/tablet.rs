//! A simulated tablet: a WebSocket over TLS in one dialect that counts the events it receives.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt as _, StreamExt as _};
use hdrhistogram::Histogram;
use rustls::ClientConfig;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::subject::Dialect;
use crate::{Outcome, clock, http, latency};

/// Engine.IO's ping and pong.
const PING: &str = "2";
const PONG: &str = "3";

/// Concurrent handshakes.
pub const OPENING: usize = 32;

pub type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// The events that all tablets of a fleet received together.
#[derive(Debug)]
pub struct Deliveries {
    stats: Mutex<DeliveryStats>,
    /// Received events plus lost ones.
    count: watch::Sender<usize>,
}

#[derive(Clone, Debug)]
pub struct DeliveryStats {
    /// From publishing to receiving, in nanoseconds.
    pub latency: Histogram<u64>,
    pub faults: Faults,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Numbers that were skipped.
    pub lost: u64,
    /// Numbers that were received twice in a row.
    pub duplicates: u64,
    /// Numbers that were received after a higher one.
    pub out_of_order: u64,
}

impl std::ops::AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.out_of_order += other.out_of_order;
    }
}

impl DeliveryStats {
    fn new() -> Self {
        Self {
            latency: latency::histogram(),
            faults: Faults::default(),
        }
    }
}

impl Deliveries {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            stats: Mutex::new(DeliveryStats::new()),
            count: watch::Sender::new(0),
        })
    }

    /// Received and lost events since the start of the fleet.
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until `count` events were received or lost since the start of the fleet.
    pub async fn wait_for(&self, count: usize) -> Outcome<()> {
        let mut watch = self.count.subscribe();
        watch.wait_for(|current| *current >= count).await?;
        Ok(())
    }

    /// Returns the statistics so far, and resets them.
    pub fn take(&self) -> DeliveryStats {
        std::mem::replace(&mut self.stats(), DeliveryStats::new())
    }

    fn stats(&self) -> std::sync::MutexGuard<'_, DeliveryStats> {
        self.stats
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Records an event. `last` is the highest number that the tablet received, `None` before the first.
    fn record(&self, last: &mut Option<u64>, number: u64, sent: u64) {
        let newer = number - last.unwrap_or(number.saturating_sub(1)).min(number);
        {
            let mut stats = self.stats();
            stats
                .latency
                .saturating_record(clock::nanos().saturating_sub(sent));
            match newer {
                0 if *last == Some(number) => stats.faults.duplicates += 1,
                0 => stats.faults.out_of_order += 1,
                _ => stats.faults.lost += newer - 1,
            }
        }
        *last = (*last).max(Some(number));
        let newer = usize::try_from(newer).unwrap_or(usize::MAX);
        self.count.send_modify(|count| *count += newer);
    }
}

/// Opens a session, and counts its events in a task until the server closes it.
pub async fn open(
    address: SocketAddr,
    dialect: Dialect,
    token: Option<String>,
    deliveries: Arc<Deliveries>,
) -> Outcome<()> {
    let socket = connect_session(&http::TLS, address, dialect, token).await?;
    tokio::spawn(listen(socket, deliveries));
    Ok(())
}

/// Opens a socket, authenticates, and reads the welcome.
pub async fn connect_session(
    tls: &Arc<ClientConfig>,
    address: SocketAddr,
    dialect: Dialect,
    token: Option<String>,
) -> Outcome<Socket> {
    let path = match dialect {
        Dialect::Json => "/ws",
        Dialect::SocketIo => "/socket.io/?EIO=4&transport=websocket",
    };
    let bearer = token.as_deref().filter(|_| dialect == Dialect::Json);
    let mut socket = connect_with(tls, address, path, bearer).await?;
    if bearer.is_some() {
        text(&mut socket).await?;
    }
    if dialect == Dialect::SocketIo {
        let open = text(&mut socket).await?;
        if !open.starts_with('0') {
            return Err(format!("expected an Engine.IO open packet, got {open}").into());
        }
        let auth = token.map_or_else(|| json!({}), |token| json!({ "token": token }));
        socket.send(Message::text(format!("40{auth}"))).await?;
        let mut connect = text(&mut socket).await?;
        if connect == PING {
            socket.send(Message::text(PONG)).await?;
            connect = text(&mut socket).await?;
        }
        if !connect.starts_with("40") {
            return Err(format!("expected a Socket.IO CONNECT packet, got {connect}").into());
        }
    }
    Ok(socket)
}

/// Opens a session for each token, and waits until all are open.
pub async fn open_all(
    address: SocketAddr,
    dialect: Dialect,
    tokens: Vec<Option<String>>,
    deliveries: &Arc<Deliveries>,
) -> Outcome<()> {
    let mut opening = JoinSet::new();
    for token in tokens {
        if opening.len() >= OPENING
            && let Some(opened) = opening.join_next().await
        {
            opened??;
        }
        opening.spawn(open(address, dialect, token, deliveries.clone()));
    }
    while let Some(opened) = opening.join_next().await {
        opened??;
    }
    Ok(())
}

pub async fn connect(address: SocketAddr, path: &str, token: Option<&str>) -> Outcome<Socket> {
    connect_with(&http::TLS, address, path, token).await
}

async fn connect_with(
    tls: &Arc<ClientConfig>,
    address: SocketAddr,
    path: &str,
    token: Option<&str>,
) -> Outcome<Socket> {
    let stream = http::connect(tls, address).await?;
    let mut request = format!("wss://localhost{path}").into_client_request()?;
    if let Some(token) = token {
        let bearer = format!("Bearer {token}").parse()?;
        request.headers_mut().insert("authorization", bearer);
    }
    let config = WebSocketConfig::default().read_buffer_size(2048);
    let (socket, _) =
        tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
    Ok(socket)
}

/// The next text message.
pub async fn text(socket: &mut Socket) -> Outcome<String> {
    loop {
        match socket.next().await.ok_or("the socket closed")?? {
            Message::Text(text) => return Ok(text.as_str().to_owned()),
            Message::Close(why) => return Err(format!("closed: {why:?}").into()),
            _ => {}
        }
    }
}

async fn listen(mut socket: Socket, deliveries: Arc<Deliveries>) {
    let mut last = None;
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else {
            continue;
        };
        if text.as_str() == PING {
            if socket.send(Message::text(PONG)).await.is_err() {
                return;
            }
        } else if let (Some(number), Some(sent)) = (field(&text, "number"), field(&text, "sent")) {
            deliveries.record(&mut last, number, sent);
        }
    }
}

/// A number in an event's data, found without parsing the JSON.
fn field(text: &str, name: &str) -> Option<u64> {
    let (_, rest) = text.split_once(name)?;
    let digits = rest.trim_start_matches(['"', ':', ' ', '\\']);
    let end = digits.find(|c: char| !c.is_ascii_digit())?;
    digits.get(..end)?.parse().ok()
}
