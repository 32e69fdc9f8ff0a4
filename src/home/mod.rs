//! The connection to Home Assistant (contract section 7): whether it is there, and how to ask it.
//!
//! Home Assistant may be away for hours, or not exist at all; everything else works on meanwhile.
//! Nobody here waits for it longer than a request's time limit, and its token is never shown.

mod address;
pub mod bus;
mod dial;
mod frame;
mod link;
pub mod mirror;
mod plan;
mod registries;
mod run;
mod serve;
pub mod standing;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;

pub use link::{Link, Subscription};
pub use run::run;

use crate::config::Config;
use address::Address;
use wallcast_core::clock::Timestamp;

/// Home Assistant as the rest of the program sees it: a handle that is there whether or not Home
/// Assistant is. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Home(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    address: Option<Address>,
    state: watch::Sender<State>,
}

/// How it stands with Home Assistant.
#[derive(Clone, Debug)]
pub enum State {
    /// None is configured.
    Disabled,
    /// The first attempt since the start is under way.
    Connecting,
    /// It is there.
    Connected(Link),
    /// It is not.
    Away {
        /// Since when.
        since: Timestamp,
    },
}

impl State {
    /// The word for `/health`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Connecting => "connecting",
            Self::Connected(_) => "connected",
            Self::Away { .. } => "disconnected",
        }
    }
}

/// Why Home Assistant gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HomeError {
    /// None is configured.
    #[error("No Home Assistant is configured: set ha_url and ha_token")]
    Disabled,
    /// It is away, or went away meanwhile; whether it acted is not known.
    #[error("Home Assistant is away; try again later")]
    Away,
    /// It said no, in its own words.
    #[error("Home Assistant refused: {message}")]
    Refused {
        /// Its word for it, such as `not_found`.
        code: String,
        /// Its sentence.
        message: String,
    },
    /// It did not answer in time; whether it acted is not known.
    #[error("Home Assistant did not answer in time")]
    Late,
    /// Its answer is not what it should be.
    #[error("Home Assistant's answer cannot be read: {0}")]
    Unreadable(String),
}

impl From<serde_json::Error> for HomeError {
    fn from(error: serde_json::Error) -> Self {
        Self::Unreadable(frame::line(&error.to_string()))
    }
}

/// Each connection to Home Assistant in turn; see [`Home::links`].
#[derive(Debug)]
pub struct Links {
    state: watch::Receiver<State>,
    last: Option<Link>,
}

impl Home {
    /// The one that the options name, if they name one. [`run`] connects to it.
    pub fn new(config: &Config) -> Self {
        let address = Address::of(config);
        let state = match address {
            Some(_) => State::Connecting,
            None => State::Disabled,
        };
        Self(Arc::new(Shared {
            address,
            state: watch::Sender::new(state),
        }))
    }

    /// Whether one is configured.
    pub fn is_configured(&self) -> bool {
        self.0.address.is_some()
    }

    /// How it stands now.
    pub fn state(&self) -> State {
        self.0.state.borrow().clone()
    }

    /// The same, for whoever waits for it to change. Short absences may be passed over.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.0.state.subscribe()
    }

    /// For whoever has subscriptions of its own: each new connection once, on which all of them are
    /// begun anew. Whatever was heard on the one before is to be compared with what is heard now.
    pub fn links(&self) -> Links {
        Links {
            state: self.watch(),
            last: None,
        }
    }

    /// The connection that stands now.
    ///
    /// # Errors
    /// [`HomeError::Disabled`] or [`HomeError::Away`].
    pub fn link(&self) -> Result<Link, HomeError> {
        match &*self.0.state.borrow() {
            State::Disabled => Err(HomeError::Disabled),
            State::Connected(link) if !link.is_closed() => Ok(link.clone()),
            _ => Err(HomeError::Away),
        }
    }

    /// Sends a command, an object with `type` and without `id`, and waits 10 s for its result.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn request<T>(&self, command: Value) -> Result<T, HomeError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.link()?.request(command).await
    }

    fn set(&self, state: State) {
        self.0.state.send_replace(state);
    }
}

impl Links {
    /// Waits for a connection that was not given yet. None when no Home Assistant is configured, or
    /// the daemon ends.
    pub async fn next(&mut self) -> Option<Link> {
        loop {
            match &*self.state.borrow_and_update() {
                State::Disabled => return None,
                State::Connected(link)
                    if !link.is_closed() && !self.last.as_ref().is_some_and(|l| l.is(link)) =>
                {
                    self.last = Some(link.clone());
                    return Some(link.clone());
                }
                _ => {}
            }
            self.state.changed().await.ok()?;
        }
    }
}
