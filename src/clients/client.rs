//! A client: a paired tablet, or another device with a client token.

use std::str::FromStr;

use serde::{Serialize, Serializer};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::EventId;
use wallcast_core::ids::{ClientId, KioskId, OrganizationId, TenantId};

use crate::access::Audience;
use crate::areas::{InvalidName, checked_name};
use crate::http::text_fields;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Also the `sub` of its tokens.
    pub id: ClientId,
    pub name: ClientName,
    /// While false, its tokens are rejected.
    pub is_active: bool,
    /// Decides with the tenant which parts of the status board it sees.
    pub organization_id: Option<OrganizationId>,
    pub tenant_id: Option<TenantId>,
    /// As an admin set it; see [`Client::kiosk`].
    pub kiosk_id: Option<KioskId>,
    /// As the device described itself when it was paired.
    pub platform: Option<String>,
    pub created_at: Timestamp,
    /// When its last session ended.
    pub last_seen_at: Option<Timestamp>,
    /// As stored; [`super::Acks`] may know a newer one.
    pub last_acked_event_id: Option<EventId>,
}

impl Client {
    /// The part of the status board that it sees.
    pub fn audience(&self) -> Audience {
        Audience {
            organization_id: self.organization_id.clone(),
            tenant_id: self.tenant_id.clone(),
        }
    }

    /// The kiosk that it belongs to, after which its room is named. Without one it is a kiosk of its own, named by
    /// the client's id.
    pub fn kiosk(&self) -> KioskId {
        self.kiosk_id
            .clone()
            .unwrap_or_else(|| KioskId::of_client(&self.id))
    }
}

/// 1 to 100 characters after trimming, without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientName(String);

impl FromStr for ClientName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        checked_name(text).map(Self)
    }
}

impl ClientName {
    /// The name of a tablet for which nobody chose one.
    pub fn unnamed() -> Self {
        Self("Tablet".to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name that was checked before it was stored.
    pub(super) fn from_stored(name: String) -> Self {
        Self(name)
    }
}

impl Serialize for ClientName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

text_fields!(ClientName);
