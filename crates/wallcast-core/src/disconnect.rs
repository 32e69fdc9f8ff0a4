//! The reasons for which Wallcast ends a session, and which sessions a change ends.

use crate::auth::Subject;
use crate::event::Event;
use crate::ids::Jti;

/// Why a session is ended. The close code tells the client whether it may reconnect
/// (`docs/protocol.md#close-codes`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DisconnectReason {
    /// Reconnect: an admin requested it, or Wallcast failed.
    TryAgain,
    /// Reconnect: the peer accepted no data for ten seconds.
    Stalled,
    /// Reconnect: the daemon is stopping.
    Shutdown,
    /// The token is invalid or has expired.
    Unauthenticated,
    /// The token was revoked.
    Revoked,
    /// The client sent no valid token in time.
    AuthTimeout,
    /// A newer session of the same client replaced this one.
    Superseded,
    /// An admin deactivated the client.
    Inactive,
}

impl DisconnectReason {
    /// The WebSocket close code: 1001 of RFC 6455 section 7.4, or 4000 to 4499 of Wallcast's own.
    pub fn code(self) -> u16 {
        match self {
            Self::Shutdown => 1001,
            Self::TryAgain => 4000,
            Self::Stalled => 4008,
            Self::Unauthenticated => 4401,
            Self::Revoked => 4403,
            Self::AuthTimeout => 4408,
            Self::Superseded => 4409,
            Self::Inactive => 4410,
        }
    }

    /// The close reason on the wire, and the `code` of the final `error` event on Socket.IO.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shutdown => "server_shutdown",
            Self::TryAgain => "try_again",
            Self::Stalled => "stalled",
            Self::Unauthenticated => "unauthenticated",
            Self::Revoked => "revoked",
            Self::AuthTimeout => "auth_timeout",
            Self::Superseded => "superseded",
            Self::Inactive => "inactive",
        }
    }

    /// An English sentence for the person in front of the client.
    pub fn message(self) -> &'static str {
        match self {
            Self::Shutdown => "Wallcast is restarting; connect again in a moment",
            Self::TryAgain => "Connect again",
            Self::Stalled => "The connection took no data for ten seconds; connect again",
            Self::Unauthenticated => "The token has ended; connect with a new one",
            Self::Revoked => "The token was revoked; pair this tablet again",
            Self::AuthTimeout => "No valid token came in time; connect and authenticate at once",
            Self::Superseded => "A newer session took this one's place",
            Self::Inactive => "An admin has deactivated this client",
        }
    }

    /// Whether the client may reconnect only with another token.
    pub fn is_final(self) -> bool {
        self.code() >= 4400
    }
}

/// An instruction to end sessions, which the hub carries out after the commit.
#[derive(Debug)]
pub struct EndSessions {
    /// The sessions to end.
    pub filter: SessionFilter,
    /// Determines the close code and the close reason.
    pub reason: DisconnectReason,
    /// The last event that the sessions receive before the close.
    pub final_event: Option<Event>,
}

/// Selects sessions of one principal.
#[derive(Debug, Clone)]
pub enum SessionFilter {
    /// All sessions of the principal.
    Subject(Subject),
    /// The principal's sessions that use this token.
    Token(Subject, Jti),
}
