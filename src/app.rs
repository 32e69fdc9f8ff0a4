//! The handles that features, the API and sockets receive. Built by `daemon`, which nobody imports.

use std::sync::{Arc, OnceLock};

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
use local_tls::Certificates;
use realtime_protocol::websocket;
use wallcast_core::auth::Signer;
use wallcast_core::hub::Hub;
use wallcast_core::idempotency::InFlight;
use wallcast_core::shutdown::Shutdown;
use wallcast_core::store::Store;

/// Every part, for those who answer requests and serve sessions.
pub struct App {
    /// The options.
    pub config: Config,
    /// The house's file.
    pub store: Store,
    /// Who is connected.
    pub hub: Arc<Hub>,
    /// Signs tokens.
    pub signer: Signer,
    /// Pairings that wait.
    pub pairings: Arc<PairingRegistry>,
    /// When tokens were first used.
    pub first_uses: Arc<FirstUseTimes>,
    /// How far tablets are.
    pub acks: Arc<Acks>,
    /// Ends commands and unread messages at their time.
    pub expiry: Arc<Expiry>,
    /// What the public listener serves.
    pub certificates: Certificates,
    /// Who is an admin on ingress.
    pub ingress: IngressAuthenticator,
    /// Open sockets and their limits.
    pub sockets: SocketLimit,
    /// Engine.IO's connections.
    pub engine: Engine,
    /// Home Assistant, whether it is there or not.
    pub home: HomeAssistant,
    /// Their states, and who is told.
    pub entities: Arc<Entities>,
    /// Writes with an `Idempotency-Key` that are under way.
    pub in_flight: InFlight,
    /// The process itself.
    pub system: System,
    /// Whether the daemon stops.
    pub shutdown: Shutdown,
    pub(crate) bound: OnceLock<BoundAddresses>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

impl App {
    /// Measures the process: reads counters and one file of `/proc`.
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

    /// Bounds of a JSON WebSocket until a token is proven (contract 4.2 and section 8).
    pub fn websocket_limits(&self) -> websocket::Limits {
        websocket::Limits {
            max_message: MAX_UNAUTHENTICATED_MESSAGE,
            ..websocket::Limits::default()
        }
    }

    /// Life of a paired tablet's token.
    pub fn client_token_seconds(&self) -> i64 {
        i64::try_from(self.config.client_token_life.as_secs()).unwrap_or(i64::MAX)
    }

    /// Life of a pairing's request or code.
    pub fn pairing_ttl_seconds(&self) -> i64 {
        i64::try_from(self.config.pairing_ttl.as_secs()).unwrap_or(i64::MAX)
    }

    /// Where a tablet or admin reaches the public listener, for links: as the caller did, or by
    /// the host's usual name.
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
