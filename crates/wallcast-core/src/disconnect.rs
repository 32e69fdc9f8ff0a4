//! Every way in which Wallcast ends a session, and what it tells the other side to do next.

use crate::auth::Subject;
use crate::event::Event;
use crate::ids::Jti;

/// Why a session is ended (contract 4.2): the close code says whether to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DisconnectReason {
    /// Come back: an admin asked for it, or something here went wrong.
    TryAgain,
    /// Come back: the peer took nothing for ten seconds.
    Stalled,
    /// Come back: the daemon stops.
    Shutdown,
    /// The token is wrong or has ended.
    Unauthenticated,
    /// The token was revoked.
    Revoked,
    /// No token came in time.
    AuthTimeout,
    /// A newer session took this one's place.
    Superseded,
    /// The client was deactivated.
    Inactive,
}

impl DisconnectReason {
    /// The WebSocket close code (RFC 6455 section 7.4, and 4000 to 4499 as contract 4.2 has them).
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

    /// The close reason, which is also the `code` of the last `error` on Socket.IO.
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

    /// The sentence for a person.
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

    /// Whether the other side must not come back without a new token.
    pub fn is_final(self) -> bool {
        self.code() >= 4400
    }
}

/// Sessions to be ended after a commit, and the last thing they are told.
#[derive(Debug)]
pub struct EndSessions {
    /// Whose sessions.
    pub filter: SessionFilter,
    /// Why, which decides the close code.
    pub reason: DisconnectReason,
    /// A last event before the close.
    pub final_event: Option<Event>,
}

/// A choice of sessions.
#[derive(Debug, Clone)]
pub enum SessionFilter {
    /// Every session of a principal.
    Subject(Subject),
    /// The principal's sessions that were opened with this token.
    Token(Subject, Jti),
}
