//! The four kinds of principal (contract section 1) and what a token says of one.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::clock::Timestamp;
use crate::event::{Namespace, Topic};
use crate::ids::{ClientId, Jti, OrganizationId, PairingId, TenantId, UserId};

/// A token's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything.
    Admin,
    /// A paired tablet: itself and its areas.
    Client,
    /// A person: its own messages and its organisation's board.
    User,
    /// A tablet that waits to be paired.
    Pairing,
}

impl Role {
    /// The word in a token's `role` claim.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Client => "client",
            Self::User => "user",
            Self::Pairing => "pairing",
        }
    }

    /// The role of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Admin, Self::Client, Self::User, Self::Pairing]
            .into_iter()
            .find(|role| role.as_str() == word)
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Which principal, whatever token it came with. The hub finds sessions by it, memberships are
/// kept by it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// An admin, by the name its token or Home Assistant gives it.
    Admin(UserId),
    /// A paired tablet.
    Client(ClientId),
    /// A person.
    User(UserId),
    /// A tablet that waits to be paired.
    Pairing(PairingId),
}

impl Subject {
    /// The topic that every session of a namespace is subscribed to; none for a tablet that waits to be paired.
    pub fn namespace_topic(&self, namespace: Namespace) -> Option<Topic> {
        match self {
            Self::Admin(_) | Self::Client(_) | Self::User(_) => Some(Topic::Namespace(namespace)),
            Self::Pairing(_) => None,
        }
    }

    /// Its role.
    pub fn role(&self) -> Role {
        match self {
            Self::Admin(_) => Role::Admin,
            Self::Client(_) => Role::Client,
            Self::User(_) => Role::User,
            Self::Pairing(_) => Role::Pairing,
        }
    }

    /// The id that a token's `sub` carries.
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

/// A proven identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Who.
    pub subject: Subject,
    /// The token it came with; none on ingress and on the command line's socket.
    pub jti: Option<Jti>,
    /// When the token ends.
    pub expires_at: Option<Timestamp>,
    /// The token's `email`.
    pub email: Option<String>,
    /// The organisation: a client's own as the store has it, else the token's.
    pub organization_id: Option<OrganizationId>,
    /// The tenant, likewise.
    pub tenant_id: Option<TenantId>,
}

impl Principal {
    /// An admin who was identified without a token: by ingress or by the command line's socket.
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

    /// Its role.
    pub fn role(&self) -> Role {
        self.subject.role()
    }

    /// Whether an open session of this one may go on with the other's token: it is the same principal,
    /// and listens on the same topics.
    pub fn has_same_access_as(&self, other: &Self) -> bool {
        self.subject == other.subject
            && (self.client_id().is_some()
                || (&self.organization_id, &self.tenant_id)
                    == (&other.organization_id, &other.tenant_id))
    }

    /// The client's id, if it is one.
    pub fn client_id(&self) -> Option<&ClientId> {
        match &self.subject {
            Subject::Client(id) => Some(id),
            _ => None,
        }
    }

    /// Whether it may do everything.
    pub fn is_admin(&self) -> bool {
        self.role() == Role::Admin
    }
}
