//! The types of events by name: contract section 5 and the custom ones a broadcast may bring.

use std::borrow::Cow;
use std::fmt;

use super::topic::Namespace;

/// An event's type. Ours are constants; custom ones are `[a-z][a-z0-9_.-]{0,63}`, and they alone own
/// their name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventType(Cow<'static, str>);

/// A custom type that is malformed or one of our own or Socket.IO's reserved names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a custom type is a-z, then up to 63 of a-z 0-9 _ . -, and none of Wallcast's own or Socket.IO's reserved names"
)]
pub struct InvalidEventType;

macro_rules! kinds {
    ($($(#[$doc:meta])* $constant:ident = $name:literal),* $(,)?) => {
        impl EventType {
            $($(#[$doc])* pub const $constant: Self = Self(Cow::Borrowed($name));)*
        }

        /// Every type of our own.
        const OURS: &[&str] = &[$($name),*];
    };
}

kinds! {
    /// An area was assigned to a client.
    AREA_ADDED = "area_added",
    /// An area was unassigned or deleted.
    AREA_REMOVED = "area_removed",
    /// An area's name or entities changed.
    AREA_UPDATED = "area_updated",
    /// An area was switched on.
    AREA_ENABLED = "area_enabled",
    /// An area was switched off.
    AREA_DISABLED = "area_disabled",
    /// A client's tokens were revoked: the client's own last word.
    TOKEN_REVOKED = "token_revoked",
    /// A client's tokens were revoked: told to admins.
    CLIENT_REVOKED = "client_revoked",
    /// A tablet asks to be paired.
    PAIRING_REQUESTED = "pairing_requested",
    /// A tablet was paired.
    PAIRING_COMPLETED = "pairing_completed",
    /// A tablet's wish was refused.
    PAIRING_DENIED = "pairing_denied",
    /// A tablet's wish or an admin's code ran out.
    PAIRING_EXPIRED = "pairing_expired",
    /// A client's first session opened.
    CLIENT_ONLINE = "client_online",
    /// A client's last session ended.
    CLIENT_OFFLINE = "client_offline",
    /// Socket.IO's first words.
    CONNECTED = "connected",
    /// JSON WebSocket's first words.
    CONNECTION = "connection",
    /// A session proved who it is.
    AUTHENTICATED = "authenticated",
    /// A session's token was refused (seed 4).
    AUTH_ERROR = "auth_error",
    /// A session's token was refused (seed 2, Socket.IO).
    AUTHENTICATION_ERROR = "authentication-error",
    /// Seed 1: the area of a room changed.
    ROOM_UPDATED = "room_updated",
    /// A session hears a room of seed 1.
    ROOM_SUBSCRIBED = "room_subscribed",
    /// It hears it no more.
    ROOM_UNSUBSCRIBED = "room_unsubscribed",
    /// A session is in a room of seed 3.
    ROOM_JOINED = "room_joined",
    /// It is there no more.
    ROOM_LEFT = "room_left",
    /// Seed 2: a service of the status board changed.
    SERVICE_UPDATE = "service-update",
    /// An incident changed.
    INCIDENT_UPDATE = "incident-update",
    /// The worst service of a board changed.
    STATUS_UPDATE = "status-update",
    /// The answer to `join-organization`.
    JOINED_ORGANIZATION = "joined-organization",
    /// The answer to `leave-organization`.
    LEFT_ORGANIZATION = "left-organization",
    /// A locker's state changed (seed 3).
    LOCKER_STATE_CHANGED = "locker_state_changed",
    /// A kiosk asks for help (seed 3).
    HELP_REQUESTED = "help_requested",
    /// Somebody took care of it.
    HELP_STATUS_UPDATED = "help_status_updated",
    /// A tablet is to do something (seed 3).
    COMMAND = "command",
    /// A command's outcome is known.
    COMMAND_APPLIED = "command_applied",
    /// An entity of Home Assistant has another state (seed 1).
    ENTITY_STATE_CHANGED = "entity_state_changed",
    /// The newest states of all entities that a session may see.
    ENTITY_STATES = "entity_states",
    /// Seed 4: a message.
    NEW_MESSAGE = "new_message",
    /// Seed 4: a message was delivered or read.
    MESSAGE_STATUS_UPDATE = "message_status_update",
    /// Seed 4: how many messages wait to be read.
    UNREAD_COUNT_UPDATE = "unread_count_update",
    /// Seed 4: a conversation has another last message, or others are read.
    CONVERSATION_UPDATE = "conversation_update",
    /// Somebody writes, or has stopped.
    TYPING = "typing",
    /// A person's first session opened or the last one ended.
    PRESENCE = "presence",
    /// How the daemon is: on change and every minute.
    SYSTEM_STATUS = "system_status",
    /// Sent every `heartbeat_seconds`.
    HEARTBEAT = "heartbeat",
    /// The answer to `ping`.
    PONG = "pong",
    /// A message could not be acted on.
    ERROR = "error",
    /// The answer to a message with a `requestId`.
    RESULT = "result",
    /// What was missed cannot be told any more.
    RESYNC_REQUIRED = "resync_required",
    /// The daemon is about to stop.
    SERVER_SHUTDOWN = "server_shutdown",
}

/// Names of contract 4 and 5 that later systems use; a broadcast may not forge them either.
const RESERVED: &[&str] = &["connect", "connect_error", "disconnect", "disconnecting"];

/// The types of seed 2, which a manual broadcast may carry (contract section 5).
const BROADCASTABLE: &[&str] = &["service-update", "incident-update", "status-update"];

impl EventType {
    /// The type of a stored event, as it was written.
    pub fn from_stored(name: &str) -> Self {
        let mut known = OURS.iter().chain(RESERVED).chain(BROADCASTABLE);
        match known.find(|known| **known == name) {
            Some(known) => Self(Cow::Borrowed(known)),
            None => Self(Cow::Owned(name.to_owned())),
        }
    }

    /// A type that a broadcast names (contract section 5, last row).
    pub fn custom(name: &str) -> Result<Self, InvalidEventType> {
        let taken = OURS.contains(&name) || RESERVED.contains(&name);
        if BROADCASTABLE.contains(&name) || (Self::could_be(name) && !taken) {
            Ok(Self::from_stored(name))
        } else {
            Err(InvalidEventType)
        }
    }

    /// Whether it is none of the types of contract section 5: a broadcast brought it.
    pub fn is_custom(&self) -> bool {
        matches!(self.0, Cow::Owned(_))
    }

    /// Whether an event could have this type, ours or custom.
    pub fn could_be(name: &str) -> bool {
        let mut bytes = name.bytes();
        let starts_well = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
        let goes_on_well = bytes.all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-')
        });
        starts_well && goes_on_well && name.len() <= 64
    }

    /// The name on the wire. Needs no escaping in JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a session of `namespace` is told events of this type. Those of seed 3 are narrow:
    /// lockers, help and commands have a namespace each, and hear nothing else from topics but custom
    /// types: whoever broadcasts one says whom it is for. A tablet is told its commands in `/ws/events`
    /// as in `/`, so that one which speaks seed 3 alone gets them.
    pub fn is_delivered_in(&self, namespace: Namespace) -> bool {
        match namespace {
            Namespace::Main => true,
            _ if self.is_custom() || self.concerns_the_session() => true,
            Namespace::Lockers => self.as_str() == "locker_state_changed",
            Namespace::Help => matches!(self.as_str(), "help_requested" | "help_status_updated"),
            Namespace::Events => matches!(self.as_str(), "command" | "command_applied"),
        }
    }

    /// Whether every session needs this type, whatever its namespace.
    fn concerns_the_session(&self) -> bool {
        matches!(
            self.as_str(),
            "heartbeat" | "token_revoked" | "server_shutdown" | "system_status"
        )
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn custom_types_cannot_forge_ours() {
        for good in ["custom_notification", "a", "x.y-z_9", "service-update"] {
            assert_eq!(EventType::custom(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(65);
        for bad in [
            "",
            "Upper",
            "9lives",
            "area_added",
            "token_revoked",
            "connect",
            "a b",
            &long,
        ] {
            assert_eq!(EventType::custom(bad), Err(InvalidEventType), "{bad}");
        }
    }

    #[test]
    fn narrow_namespaces_hear_their_own_and_what_concerns_the_session() {
        assert!(!EventType::AREA_UPDATED.is_delivered_in(Namespace::Lockers));
        assert!(EventType::AREA_UPDATED.is_delivered_in(Namespace::Main));
        assert!(EventType::HEARTBEAT.is_delivered_in(Namespace::Help));
        for kind in [EventType::COMMAND, EventType::COMMAND_APPLIED] {
            assert!(
                kind.is_delivered_in(Namespace::Events) && !kind.is_delivered_in(Namespace::Help)
            );
        }
        for kind in [
            EventType::custom("alarm").unwrap(),
            EventType::from_stored("alarm"),
        ] {
            assert!(kind.is_delivered_in(Namespace::Lockers));
        }
        for kind in ["service-update", "presence", "area_added"] {
            assert!(!EventType::from_stored(kind).is_delivered_in(Namespace::Lockers));
        }
    }
}
