//! The four roles, and the identity that a token or a trusted connection proves.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::clock::Timestamp;
use crate::event::{Namespace, Topic};
use crate::ids::{ClientId, Jti, OrganizationId, PairingId, TenantId, UserId};

/// The role of a principal (`docs/protocol.md#authentication`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// May do everything.
    Admin,
    /// A paired tablet: may act for itself and its areas.
    Client,
    /// A person: may read and write its own messages and read its organisation's status board.
    User,
    /// A tablet that is waiting to be paired.
    Pairing,
}

impl Role {
    /// The value of a token's `role` claim.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Client => "client",
            Self::User => "user",
            Self::Pairing => "pairing",
        }
    }

    /// The role with this `role` claim.
    pub fn parse(claim: &str) -> Option<Self> {
        [Self::Admin, Self::Client, Self::User, Self::Pairing]
            .into_iter()
            .find(|role| role.as_str() == claim)
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Identifies a principal regardless of its token. Sessions and memberships are indexed by it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// An admin, with the id from its token or from Home Assistant.
    Admin(UserId),
    /// A paired tablet.
    Client(ClientId),
    /// A person.
    User(UserId),
    /// A tablet that is waiting to be paired.
    Pairing(PairingId),
}

impl Subject {
    /// The topic to which every session of the namespace is subscribed. `None` for a tablet that is waiting to be
    /// paired.
    pub fn namespace_topic(&self, namespace: Namespace) -> Option<Topic> {
        match self {
            Self::Admin(_) | Self::Client(_) | Self::User(_) => Some(Topic::Namespace(namespace)),
            Self::Pairing(_) => None,
        }
    }

    /// The role.
    pub fn role(&self) -> Role {
        match self {
            Self::Admin(_) => Role::Admin,
            Self::Client(_) => Role::Client,
            Self::User(_) => Role::User,
            Self::Pairing(_) => Role::Pairing,
        }
    }

    /// The id, as in a token's `sub` claim.
    pub fn id(&self) -> &str {
        match self {
            Self::Admin(id) | Self::User(id) => id.as_str(),
            Self::Client(id) => id.as_str(),
            Self::Pairing(id) => id.as_str(),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.role().as_str(), self.id())
    }
}

/// An authenticated identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The role and the id, without the token.
    pub subject: Subject,
    /// The token. `None` for admins on Home Assistant's ingress or the command line's socket.
    pub jti: Option<Jti>,
    /// When the token expires.
    pub expires_at: Option<Timestamp>,
    /// The token's `email` claim.
    pub email: Option<String>,
    /// The organisation: a client's from the store, a person's from the token.
    pub organization_id: Option<OrganizationId>,
    /// The tenant: a client's from the store, a person's from the token.
    pub tenant_id: Option<TenantId>,
}

impl Principal {
    /// An admin authenticated without a token: by Home Assistant's ingress or the command line's socket.
    pub fn local_admin(id: UserId) -> Self {
        Self {
            subject: Subject::Admin(id),
            jti: None,
            expires_at: None,
            email: None,
            organization_id: None,
            tenant_id: None,
        }
    }

    /// The role.
    pub fn role(&self) -> Role {
        self.subject.role()
    }

    /// Whether an open session of `self` may continue with the token of `other`: both name the same principal and
    /// give the same subscriptions. A client's organisation and tenant come from the store, so they need not match.
    pub fn has_same_access_as(&self, other: &Self) -> bool {
        self.subject == other.subject
            && (self.client_id().is_some()
                || (&self.organization_id, &self.tenant_id)
                    == (&other.organization_id, &other.tenant_id))
    }

    /// The client's id, if the principal is a client.
    pub fn client_id(&self) -> Option<&ClientId> {
        match &self.subject {
            Subject::Client(id) => Some(id),
            _ => None,
        }
    }

    /// Whether the principal may do everything.
    pub fn is_admin(&self) -> bool {
        self.role() == Role::Admin
    }
}
