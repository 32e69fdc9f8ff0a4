//! A simulated tablet that reconnects until it is dropped.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::connector::{ConnectionError, Connector};
use crate::json::{Json, TokenPlacement};
use crate::polling::{self, Upgrades};
use crate::proxy::Proxy;
use crate::random::Random;
use crate::receiver::Receiver;
use crate::socketio::SocketIo;
use crate::sse::Sse;

/// The protocol that a tablet uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// JSON WebSocket with the token in the handshake.
    Json,
    /// JSON WebSocket with the token in a message.
    JsonLate,
    /// Socket.IO over WebSocket.
    SocketIo,
    /// Socket.IO over polling.
    Polling,
    /// Socket.IO that starts with polling and upgrades to WebSocket.
    Upgrade,
    /// Server-sent events.
    Sse,
}

impl Dialect {
    pub const ALL: [Self; 6] = [
        Self::Json,
        Self::JsonLate,
        Self::SocketIo,
        Self::Polling,
        Self::Upgrade,
        Self::Sse,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::JsonLate => "json, late token",
            Self::SocketIo => "socket.io ws",
            Self::Polling => "socket.io polling",
            Self::Upgrade => "socket.io upgrade",
            Self::Sse => "sse",
        }
    }
}

pub struct Tablet {
    pub id: String,
    pub dialect: Dialect,
    pub receiver: Receiver,
    pub subscription: Subscription,
    /// The proxy that makes its connections fail, if any.
    pub proxy: Option<Proxy>,
    task: JoinHandle<Infallible>,
}

/// Which events a client receives.
pub enum Subscription {
    /// All of them, as an admin.
    AllEvents,
    /// Those of the areas it had at the start of the run, plus areas that events assign to it later.
    Areas(Vec<String>),
}

pub struct TabletConfig<'a> {
    pub id: &'a str,
    pub token: &'a str,
    pub dialect: Dialect,
    pub subscription: Subscription,
    pub connector: Connector,
    pub proxy: Option<Proxy>,
    pub random: Random,
}

enum Client {
    Json(Json),
    SocketIo(SocketIo),
    Polling(SocketIo, Upgrades),
    Sse(Sse),
}

impl Tablet {
    pub fn start(config: TabletConfig<'_>) -> Self {
        let client = match config.dialect {
            Dialect::Json => Client::Json(Json::new(config.token, TokenPlacement::Header)),
            Dialect::JsonLate => Client::Json(Json::new(config.token, TokenPlacement::Message)),
            Dialect::SocketIo => Client::SocketIo(SocketIo::new(config.token)),
            Dialect::Polling => Client::Polling(SocketIo::new(config.token), Upgrades::Never),
            Dialect::Upgrade => Client::Polling(SocketIo::new(config.token), Upgrades::Soon),
            Dialect::Sse => Client::Sse(Sse::new(config.token)),
        };
        let receiver = Receiver::default();
        let task = tokio::spawn(run(
            client,
            config.connector,
            receiver.clone(),
            config.random,
        ));
        Self {
            id: config.id.to_owned(),
            dialect: config.dialect,
            receiver,
            subscription: config.subscription,
            proxy: config.proxy,
            task,
        }
    }

    pub fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("it has a proxy")
    }
}

impl Drop for Tablet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    mut client: Client,
    connector: Connector,
    receiver: Receiver,
    mut random: Random,
) -> Infallible {
    loop {
        let result = match &mut client {
            Client::Json(client) => client.run(&connector, &receiver).await,
            Client::SocketIo(client) => client.run(&connector, &receiver).await,
            Client::Sse(client) => client.run(&connector, &receiver).await,
            Client::Polling(client, upgrades) => {
                polling::run(client, *upgrades, &connector, &receiver).await
            }
        };
        let Err(error) = result;
        receiver.disconnected(error);
        // A short back-off, so that a run has many reconnects.
        let pause = 5 + random.below(40) as u64;
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}
