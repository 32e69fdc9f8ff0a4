//! The event types of the protocol (`docs/protocol.md#event-types`) and the custom types of broadcasts.

use std::borrow::Cow;
use std::fmt;

use super::topic::Namespace;

/// An event type. The built-in types are constants; a custom type matches `[a-z][a-z0-9_.-]{0,63}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventType(
    /// Borrowed for built-in types, owned for custom types; [`EventType::is_custom`] relies on it.
    Cow<'static, str>,
);

/// The name is malformed, a built-in type, or reserved by Socket.IO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a custom type is a-z, then up to 63 of a-z 0-9 _ . -, and none of Wallcast's own or Socket.IO's reserved names"
)]
pub struct InvalidEventType;

macro_rules! event_types {
    ($($(#[$doc:meta])* $constant:ident = $name:literal),* $(,)?) => {
        impl EventType {
            $($(#[$doc])* pub const $constant: Self = Self(Cow::Borrowed($name));)*
        }

        /// Every built-in type.
        const BUILT_IN: &[&str] = &[$($name),*];
    };
}

event_types! {
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
    /// A client's tokens were revoked: the final event for the client itself.
    TOKEN_REVOKED = "token_revoked",
    /// A client's tokens were revoked: the event for admins.
    CLIENT_REVOKED = "client_revoked",
    /// A tablet requested to be paired.
    PAIRING_REQUESTED = "pairing_requested",
    /// A tablet was paired.
    PAIRING_COMPLETED = "pairing_completed",
    /// An admin denied a pairing request.
    PAIRING_DENIED = "pairing_denied",
    /// A pairing request or an admin's pairing code expired.
    PAIRING_EXPIRED = "pairing_expired",
    /// A client's first session opened.
    CLIENT_ONLINE = "client_online",
    /// A client's last session ended.
    CLIENT_OFFLINE = "client_offline",
    /// The welcome on Socket.IO.
    CONNECTED = "connected",
    /// The welcome on the JSON WebSocket.
    CONNECTION = "connection",
    /// A session authenticated.
    AUTHENTICATED = "authenticated",
    /// A session's token was rejected.
    AUTH_ERROR = "auth_error",
    /// A session's token was rejected; sent on Socket.IO after `auth_error`.
    AUTHENTICATION_ERROR = "authentication-error",
    /// The area of a room changed.
    ROOM_UPDATED = "room_updated",
    /// The response to `subscribe_room`.
    ROOM_SUBSCRIBED = "room_subscribed",
    /// The response to `unsubscribe_room`.
    ROOM_UNSUBSCRIBED = "room_unsubscribed",
    /// The response to `join_room`.
    ROOM_JOINED = "room_joined",
    /// The response to `leave_room`.
    ROOM_LEFT = "room_left",
    /// A service on the status board changed.
    SERVICE_UPDATE = "service-update",
    /// An incident on the status board changed.
    INCIDENT_UPDATE = "incident-update",
    /// The overall status of a status board changed.
    STATUS_UPDATE = "status-update",
    /// The response to `join-organization`.
    JOINED_ORGANIZATION = "joined-organization",
    /// The response to `leave-organization`.
    LEFT_ORGANIZATION = "left-organization",
    /// A locker's state changed.
    LOCKER_STATE_CHANGED = "locker_state_changed",
    /// A kiosk requested help.
    HELP_REQUESTED = "help_requested",
    /// The status of a help request changed.
    HELP_STATUS_UPDATED = "help_status_updated",
    /// A command to a tablet.
    COMMAND = "command",
    /// The outcome of a command is known.
    COMMAND_APPLIED = "command_applied",
    /// The state of a Home Assistant entity changed.
    ENTITY_STATE_CHANGED = "entity_state_changed",
    /// The current states of all entities that a session may see: the snapshot.
    ENTITY_STATES = "entity_states",
    /// A new message in a conversation.
    NEW_MESSAGE = "new_message",
    /// A message was delivered or read.
    MESSAGE_STATUS_UPDATE = "message_status_update",
    /// The number of unread messages changed.
    UNREAD_COUNT_UPDATE = "unread_count_update",
    /// The last message or the unread count of a conversation changed.
    CONVERSATION_UPDATE = "conversation_update",
    /// A person started or stopped typing.
    TYPING = "typing",
    /// A person's first session opened, or the last one ended.
    PRESENCE = "presence",
    /// The health of the daemon, on change and every minute.
    SYSTEM_STATUS = "system_status",
    /// Sent to every session, every `heartbeat_seconds`.
    HEARTBEAT = "heartbeat",
    /// The response to `ping`.
    PONG = "pong",
    /// A client's message was rejected.
    ERROR = "error",
    /// The response to a message with a `requestId`.
    RESULT = "result",
    /// Missed events are no longer in the history (`docs/protocol.md#resync`).
    RESYNC_REQUIRED = "resync_required",
    /// The daemon is stopping.
    SERVER_SHUTDOWN = "server_shutdown",
}

/// Reserved event names of Socket.IO, which a broadcast must not forge either.
const RESERVED: &[&str] = &["connect", "connect_error", "disconnect", "disconnecting"];

/// The built-in types that a broadcast may send: those of the status board.
const BROADCASTABLE: &[&str] = &["service-update", "incident-update", "status-update"];

impl EventType {
    /// The type of a stored event. The text is not validated.
    pub fn from_stored(name: &str) -> Self {
        let mut known = BUILT_IN.iter().chain(RESERVED).chain(BROADCASTABLE);
        match known.find(|known| **known == name) {
            Some(known) => Self(Cow::Borrowed(known)),
            None => Self(Cow::Owned(name.to_owned())),
        }
    }

    /// Parses the type of a broadcast (`docs/protocol.md#broadcast`).
    ///
    /// # Errors
    /// [`InvalidEventType`] unless it is a well-formed custom type or a type of the status board.
    pub fn custom(name: &str) -> Result<Self, InvalidEventType> {
        let taken = BUILT_IN.contains(&name) || RESERVED.contains(&name);
        if BROADCASTABLE.contains(&name) || (Self::is_valid_name(name) && !taken) {
            Ok(Self::from_stored(name))
        } else {
            Err(InvalidEventType)
        }
    }

    /// Whether the type is not built in, but was named by a broadcast.
    pub fn is_custom(&self) -> bool {
        matches!(self.0, Cow::Owned(_))
    }

    /// Whether `name` is well-formed: `[a-z][a-z0-9_.-]{0,63}`.
    pub fn is_valid_name(name: &str) -> bool {
        let mut bytes = name.bytes();
        let first_is_valid = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
        let rest_is_valid = bytes.all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-')
        });
        first_is_valid && rest_is_valid && name.len() <= 64
    }

    /// The name on the wire. It needs no escaping in JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether sessions of `namespace` receive events of this type.
    ///
    /// The main namespace receives all. The kiosk namespaces receive only their own types, custom types (because a
    /// broadcast names its recipients) and types that concern the session itself. Commands are delivered in
    /// `/ws/events` as well as in `/`, so that a kiosk need not open the main namespace.
    pub fn is_delivered_in(&self, namespace: Namespace) -> bool {
        match namespace {
            Namespace::Main => true,
            _ if self.is_custom() || self.concerns_session() => true,
            Namespace::Lockers => self.as_str() == "locker_state_changed",
            Namespace::Help => matches!(self.as_str(), "help_requested" | "help_status_updated"),
            Namespace::Events => matches!(self.as_str(), "command" | "command_applied"),
        }
    }

    /// Whether sessions of every namespace need this type.
    fn concerns_session(&self) -> bool {
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
    fn custom_with_built_in_or_malformed_name_fails() {
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
    fn kiosk_namespace_receives_own_custom_and_session_types() {
        assert!(!EventType::AREA_UPDATED.is_delivered_in(Namespace::Lockers));
        assert!(EventType::AREA_UPDATED.is_delivered_in(Namespace::Main));
        assert!(EventType::HEARTBEAT.is_delivered_in(Namespace::Help));
        for event_type in [EventType::COMMAND, EventType::COMMAND_APPLIED] {
            assert!(
                event_type.is_delivered_in(Namespace::Events)
                    && !event_type.is_delivered_in(Namespace::Help)
            );
        }
        for event_type in [
            EventType::custom("alarm").unwrap(),
            EventType::from_stored("alarm"),
        ] {
            assert!(event_type.is_delivered_in(Namespace::Lockers));
        }
        for event_type in ["service-update", "presence", "area_added"] {
            assert!(!EventType::from_stored(event_type).is_delivered_in(Namespace::Lockers));
        }
    }
}
