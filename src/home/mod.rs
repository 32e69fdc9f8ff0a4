//! The connection to Home Assistant (`docs/protocol.md#home-assistant`): its state, requests, and
//! what Wallcast mirrors and publishes over it.
//!
//! Home Assistant may be absent for hours or not configured at all, and everything else keeps
//! working. No caller waits for it longer than a request's time limit. Its token is never logged or
//! shown.

mod address;
pub mod board_status;
pub mod bus;
mod connection;
mod connection_task;
mod dial;
mod message;
pub mod mirror;
mod mirror_plan;
mod reconnect;
mod registries;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;
use wallcast_core::clock::Timestamp;

pub use connection::{EventSubscription, HomeConnection};
pub use reconnect::run;

use crate::config::Config;
use address::HomeAddress;

/// Handle to the configured Home Assistant; exists also while it is absent. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HomeAssistant(Arc<HomeAssistantInner>);

#[derive(Debug)]
struct HomeAssistantInner {
    address: Option<HomeAddress>,
    state: watch::Sender<ConnectionState>,
}

/// State of the connection to Home Assistant.
#[derive(Clone, Debug)]
pub enum ConnectionState {
    /// No Home Assistant is configured.
    Disabled,
    /// The first attempt since the start is under way.
    Connecting,
    Connected(HomeConnection),
    /// The connection is lost or could not be made.
    Disconnected {
        since: Timestamp,
    },
}

impl ConnectionState {
    /// The value in `/health`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Connecting => "connecting",
            Self::Connected(_) => "connected",
            Self::Disconnected { .. } => "disconnected",
        }
    }
}

/// Why a request to Home Assistant failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HomeError {
    #[error("No Home Assistant is configured: set ha_url and ha_token")]
    Disabled,
    /// Not connected, or the connection was lost before the answer. The command may have been
    /// executed.
    #[error("Home Assistant is not connected; try again later")]
    Disconnected,
    /// Home Assistant answered with an error.
    #[error("Home Assistant refused: {message}")]
    Refused {
        /// Home Assistant's error code, for example `not_found`.
        code: String,
        /// Home Assistant's error message.
        message: String,
    },
    /// No answer within the time limit. The command may have been executed.
    #[error("Home Assistant did not answer in time")]
    Timeout,
    /// The answer does not have the expected form.
    #[error("Home Assistant's answer cannot be read: {0}")]
    Unreadable(String),
}

impl From<serde_json::Error> for HomeError {
    fn from(error: serde_json::Error) -> Self {
        Self::Unreadable(message::single_line(&error.to_string()))
    }
}

/// Yields each new connection once; see [`HomeAssistant::connections`].
#[derive(Debug)]
pub struct HomeConnections {
    state: watch::Receiver<ConnectionState>,
    last: Option<HomeConnection>,
}

impl HomeAssistant {
    /// The Home Assistant named by the options, not connected yet. [`run`] connects to it.
    pub fn new(config: &Config) -> Self {
        let address = HomeAddress::from_config(config);
        let state = match address {
            Some(_) => ConnectionState::Connecting,
            None => ConnectionState::Disabled,
        };
        Self(Arc::new(HomeAssistantInner {
            address,
            state: watch::Sender::new(state),
        }))
    }

    pub fn is_configured(&self) -> bool {
        self.0.address.is_some()
    }

    pub fn state(&self) -> ConnectionState {
        self.0.state.borrow().clone()
    }

    /// Watches the state. A receiver may miss short disconnections.
    pub fn watch(&self) -> watch::Receiver<ConnectionState> {
        self.0.state.subscribe()
    }

    /// For subscribers: yields each new connection once. Subscriptions do not survive a reconnect,
    /// so subscribe again and compare the new data with what you had.
    pub fn connections(&self) -> HomeConnections {
        HomeConnections {
            state: self.watch(),
            last: None,
        }
    }

    /// The current connection.
    ///
    /// # Errors
    /// [`HomeError::Disabled`] or [`HomeError::Disconnected`].
    pub fn connection(&self) -> Result<HomeConnection, HomeError> {
        match &*self.0.state.borrow() {
            ConnectionState::Disabled => Err(HomeError::Disabled),
            ConnectionState::Connected(connection) if !connection.is_closed() => {
                Ok(connection.clone())
            }
            _ => Err(HomeError::Disconnected),
        }
    }

    /// Sends a command and waits up to 10 s for its result. `command` is an object with `type` and
    /// without `id`.
    ///
    /// # Errors
    /// Any [`HomeError`].
    pub async fn request<T>(&self, command: Value) -> Result<T, HomeError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.connection()?.request(command).await
    }

    fn set(&self, state: ConnectionState) {
        self.0.state.send_replace(state);
    }
}

impl HomeConnections {
    /// Waits for the next connection. `None` if no Home Assistant is configured or the daemon
    /// stops.
    pub async fn next(&mut self) -> Option<HomeConnection> {
        loop {
            match &*self.state.borrow_and_update() {
                ConnectionState::Disabled => return None,
                ConnectionState::Connected(connection)
                    if !connection.is_closed()
                        && !self
                            .last
                            .as_ref()
                            .is_some_and(|last| last.is_same(connection)) =>
                {
                    self.last = Some(connection.clone());
                    return Some(connection.clone());
                }
                _ => {}
            }
            self.state.changed().await.ok()?;
        }
    }
}
