//! The handles to every part of the server, shared by request handlers, sockets and jobs. `daemon` builds them.

use std::sync::{Arc, OnceLock};

use local_tls::Certificates;
use realtime_protocol::websocket;
use wallcast_core::auth::Signer;
use wallcast_core::hub::Hub;
use wallcast_core::idempotency::InFlight;
use wallcast_core::shutdown::Shutdown;
use wallcast_core::store::Store;

use crate::authentication::IngressAuthenticator;
use crate::clients::Acks;
use crate::config::Config;
use crate::entities::Entities;
use crate::expiry::Expiry;
use crate::home::HomeAssistant;
use crate::http::{ListenerKind, Request};
use crate::net::{BoundAddresses, Engine, MAX_UNAUTHENTICATED_MESSAGE, SocketLimit};
use crate::pairing::PairingRegistry;
use crate::system::{System, SystemHealth};
use crate::tokens::FirstUseTimes;

pub struct App {
    pub config: Config,
    pub store: Store,
    pub hub: Arc<Hub>,
    /// Signs tokens and pids.
    pub signer: Signer,
    /// Open pairings.
    pub pairings: Arc<PairingRegistry>,
    /// First uses of tokens that are not stored yet.
    pub first_uses: Arc<FirstUseTimes>,
    /// The events that tablets have acknowledged.
    pub acks: Arc<Acks>,
    /// Wakes the job that expires commands and messages.
    pub expiry: Arc<Expiry>,
    /// The public listener's certificates.
    pub certificates: Certificates,
    pub ingress: IngressAuthenticator,
    pub sockets: SocketLimit,
    /// The Engine.IO sessions of Socket.IO connections.
    pub engine: Engine,
    /// The connection to Home Assistant; present also when none is configured.
    pub home: HomeAssistant,
    /// The states of Home Assistant's entities and their subscribers.
    pub entities: Arc<Entities>,
    /// Requests with an `Idempotency-Key` that are being handled.
    pub in_flight: InFlight,
    pub system: System,
    pub shutdown: Shutdown,
    /// Set once the listeners are bound.
    pub(crate) bound: OnceLock<BoundAddresses>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

impl App {
    /// Measures the health of the process, from counters and one file in `/proc`.
    pub fn system_health(&self) -> SystemHealth {
        SystemHealth {
            is_writable: self.store.is_writable(),
            uptime: self.system.uptime(),
            memory: self.system.memory(),
            memory_limit: self.system.memory_limit(),
            sockets: self.sockets.open(),
            max_sockets: self.config.max_connections,
            sessions: self.hub.session_count(),
        }
    }

    /// The limits of a JSON WebSocket until it is authenticated.
    pub fn websocket_limits(&self) -> websocket::Limits {
        websocket::Limits {
            max_message: MAX_UNAUTHENTICATED_MESSAGE,
            ..websocket::Limits::default()
        }
    }

    /// The lifetime of a paired tablet's token.
    pub fn client_token_seconds(&self) -> i64 {
        i64::try_from(self.config.client_token_life.as_secs()).unwrap_or(i64::MAX)
    }

    /// The lifetime of a pairing request or code.
    pub fn pairing_ttl_seconds(&self) -> i64 {
        i64::try_from(self.config.pairing_ttl.as_secs()).unwrap_or(i64::MAX)
    }

    /// The base URL of the public listener, for links: as the caller reached it, otherwise with Home Assistant's
    /// default host name.
    pub fn public_url(&self, request: &Request) -> String {
        match (request.peer().listener, request.host()) {
            (ListenerKind::Public, Some(host)) => format!("https://{host}"),
            _ => {
                let port = self
                    .bound
                    .get()
                    .and_then(|bound| bound.https.first())
                    .map_or(8443, |address| address.port());
                format!("https://homeassistant.local:{port}")
            }
        }
    }
}
