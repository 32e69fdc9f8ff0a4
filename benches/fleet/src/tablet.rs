//! One tablet: a TLS WebSocket in one dialect that counts the events it hears.

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

/// Handshakes that run at once.
pub const OPENING: usize = 32;

/// An open WebSocket of a tablet's.
pub type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// What all tablets of a fleet heard, together.
#[derive(Debug)]
pub struct Heard {
    tally: Mutex<Tally>,
    /// Events heard or passed over, for whoever waits until a number is reached.
    count: watch::Sender<usize>,
}

/// The figures of [`Heard`].
#[derive(Clone, Debug)]
pub struct Tally {
    /// From publishing to hearing, in nanoseconds.
    pub latency: Histogram<u64>,
    pub faults: Faults,
}

/// What should not be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Numbers that were passed over.
    pub lost: u64,
    /// Numbers that came again at once.
    pub twice: u64,
    /// Numbers that came after a later one.
    pub late: u64,
}

impl std::ops::AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.twice += other.twice;
        self.late += other.late;
    }
}

impl Tally {
    fn new() -> Self {
        Self {
            latency: latency::histogram(),
            faults: Faults::default(),
        }
    }
}

impl Heard {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            tally: Mutex::new(Tally::new()),
            count: watch::Sender::new(0),
        })
    }

    /// Events heard or passed over since the fleet began.
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until so many events were heard or passed over since the fleet began.
    pub async fn until(&self, count: usize) -> Outcome<()> {
        let mut watch = self.count.subscribe();
        watch.wait_for(|heard| *heard >= count).await?;
        Ok(())
    }

    /// Takes the figures so far and begins anew.
    pub fn take(&self) -> Tally {
        std::mem::replace(&mut self.tally(), Tally::new())
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// `last` is the number that the tablet heard last, none before the first.
    fn note(&self, last: &mut Option<u64>, number: u64, sent: u64) {
        let newer = number - last.unwrap_or(number.saturating_sub(1)).min(number);
        {
            let mut tally = self.tally();
            tally
                .latency
                .saturating_record(clock::nanos().saturating_sub(sent));
            match newer {
                0 if *last == Some(number) => tally.faults.twice += 1,
                0 => tally.faults.late += 1,
                _ => tally.faults.lost += newer - 1,
            }
        }
        *last = (*last).max(Some(number));
        let newer = usize::try_from(newer).unwrap_or(usize::MAX);
        self.count.send_modify(|count| *count += newer);
    }
}

/// Opens a socket and hears its first words; then it listens by itself until the server ends.
pub async fn open(
    address: SocketAddr,
    dialect: Dialect,
    token: Option<String>,
    heard: Arc<Heard>,
) -> Outcome<()> {
    let socket = enter(&http::TLS, address, dialect, token).await?;
    tokio::spawn(listen(socket, heard));
    Ok(())
}

/// Opens a socket and hears its first words.
pub async fn enter(
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
            return Err(format!("no Engine.IO open but {open}").into());
        }
        let auth = token.map_or_else(|| json!({}), |token| json!({ "token": token }));
        socket.send(Message::text(format!("40{auth}"))).await?;
        let mut connect = text(&mut socket).await?;
        if connect == PING {
            socket.send(Message::text(PONG)).await?;
            connect = text(&mut socket).await?;
        }
        if !connect.starts_with("40") {
            return Err(format!("no Socket.IO CONNECT but {connect}").into());
        }
    }
    Ok(socket)
}

/// Opens a socket for each token, and waits for all of them.
pub async fn open_all(
    address: SocketAddr,
    dialect: Dialect,
    tokens: Vec<Option<String>>,
    heard: &Arc<Heard>,
) -> Outcome<()> {
    let mut opening = JoinSet::new();
    for token in tokens {
        if opening.len() >= OPENING
            && let Some(opened) = opening.join_next().await
        {
            opened??;
        }
        opening.spawn(open(address, dialect, token, heard.clone()));
    }
    while let Some(opened) = opening.join_next().await {
        opened??;
    }
    Ok(())
}

/// Opens a WebSocket over TLS.
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

async fn listen(mut socket: Socket, heard: Arc<Heard>) {
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
            heard.note(&mut last, number, sent);
        }
    }
}

/// A number that the fleet put into an event, found without reading all of it.
fn field(text: &str, name: &str) -> Option<u64> {
    let (_, rest) = text.split_once(name)?;
    let digits = rest.trim_start_matches(['"', ':', ' ', '\\']);
    let end = digits.find(|c: char| !c.is_ascii_digit())?;
    digits.get(..end)?.parse().ok()
}
