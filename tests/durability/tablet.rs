//! A tablet that comes back by itself for as long as the run lasts.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::chance::Chance;
use crate::ears::Ears;
use crate::json::{Json, Proof};
use crate::polling::{self, Upgrades};
use crate::proxy::Proxy;
use crate::socketio::SocketIo;
use crate::sse::Sse;
use crate::way::{Lost, Way};

/// How a tablet speaks and comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// JSON WebSocket, the token in the handshake.
    Json,
    /// JSON WebSocket, the token by message.
    JsonLate,
    /// Socket.IO over WebSocket.
    SocketIo,
    /// Socket.IO over polling.
    Polling,
    /// Socket.IO that begins with polling and changes to WebSocket.
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

/// A tablet on the wall.
pub struct Tablet {
    pub id: String,
    pub dialect: Dialect,
    pub ears: Ears,
    pub hears: Hears,
    /// What it is reached through, where its connections are to fail.
    pub proxy: Option<Proxy>,
    task: JoinHandle<Infallible>,
}

/// What concerns it.
pub enum Hears {
    /// It is an admin's.
    Everything,
    /// The areas that it had when the run began; later ones are told by their events.
    Areas(Vec<String>),
}

/// What a tablet is to be.
pub struct Plan<'a> {
    pub id: &'a str,
    pub token: &'a str,
    pub dialect: Dialect,
    pub hears: Hears,
    pub way: Way,
    pub proxy: Option<Proxy>,
    pub chance: Chance,
}

enum Client {
    Json(Json),
    SocketIo(SocketIo),
    Polling(SocketIo, Upgrades),
    Sse(Sse),
}

impl Tablet {
    pub fn start(plan: Plan<'_>) -> Self {
        let client = match plan.dialect {
            Dialect::Json => Client::Json(Json::new(plan.token, Proof::Header)),
            Dialect::JsonLate => Client::Json(Json::new(plan.token, Proof::Message)),
            Dialect::SocketIo => Client::SocketIo(SocketIo::new(plan.token)),
            Dialect::Polling => Client::Polling(SocketIo::new(plan.token), Upgrades::Never),
            Dialect::Upgrade => Client::Polling(SocketIo::new(plan.token), Upgrades::Soon),
            Dialect::Sse => Client::Sse(Sse::new(plan.token)),
        };
        let ears = Ears::default();
        let task = tokio::spawn(live(client, plan.way, ears.clone(), plan.chance));
        Self {
            id: plan.id.to_owned(),
            dialect: plan.dialect,
            ears,
            hears: plan.hears,
            proxy: plan.proxy,
            task,
        }
    }

    pub fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("it is reached by a proxy")
    }
}

impl Drop for Tablet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn live(mut client: Client, way: Way, ears: Ears, mut chance: Chance) -> Infallible {
    loop {
        let lost = match &mut client {
            Client::Json(client) => client.live(&way, &ears).await,
            Client::SocketIo(client) => client.live(&way, &ears).await,
            Client::Sse(client) => client.live(&way, &ears).await,
            Client::Polling(client, upgrades) => {
                polling::live(client, *upgrades, &way, &ears).await
            }
        };
        let Err(why) = lost;
        ears.lost(why);
        // The back-off of a client that is in a hurry.
        let pause = 5 + chance.below(40) as u64;
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}
