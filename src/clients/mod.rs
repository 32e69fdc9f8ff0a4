//! Paired tablets: what an admin knows and decides of each.

mod acks;
mod events;
pub mod presence;
pub(crate) mod rows;

use std::str::FromStr;

use rusqlite::Connection;
use serde::{Serialize, Serializer};

use crate::access::entitlement::affiliation;
use crate::areas::{self, Area, InvalidName, checked_name};
use crate::board::Audience;
use crate::http::text_fields;
use crate::{rooms, tokens};
use wallcast_core::audit::{self, Actor};
use wallcast_core::auth::Subject;
use wallcast_core::clock::Timestamp;
use wallcast_core::disconnect::{DisconnectReason, SessionFilter};
use wallcast_core::event::{EventId, Topic};
use wallcast_core::ids::{AreaId, ClientId, KioskId, OrganizationId, TenantId};
use wallcast_core::store::ClientMoved;
use wallcast_core::store::{StoreError, WriteTx};

pub use acks::Acks;
pub use rows::{at_kiosk, find, page};

/// A paired tablet as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its id, which is also its tokens' `sub`.
    pub id: ClientId,
    /// Its name.
    pub name: ClientName,
    /// False while an admin refuses its tokens.
    pub is_active: bool,
    /// Seed 2's organisation.
    pub organization_id: Option<OrganizationId>,
    /// Seed 2's tenant.
    pub tenant_id: Option<TenantId>,
    /// Seed 3's kiosk.
    pub kiosk_id: Option<KioskId>,
    /// What the tablet says it is.
    pub platform: Option<String>,
    /// When it was paired first.
    pub created_at: Timestamp,
    /// When its last session ended.
    pub last_seen_at: Option<Timestamp>,
    /// How far it has acknowledged events.
    pub last_acked_event_id: Option<EventId>,
}

impl Client {
    /// Whose board it sees.
    pub fn audience(&self) -> Audience {
        Audience {
            organization_id: self.organization_id.clone(),
            tenant_id: self.tenant_id.clone(),
        }
    }

    /// The kiosk that it stands at, after which its own room is named: the client's id while that is
    /// unset (contract 4.5).
    pub fn kiosk(&self) -> KioskId {
        self.kiosk_id
            .clone()
            .unwrap_or_else(|| KioskId::of_client(&self.id))
    }
}

/// A name of 1 to 100 characters, as an area's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientName(String);

impl FromStr for ClientName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        checked_name(text).map(Self)
    }
}

impl ClientName {
    /// The name of a tablet that brought none.
    pub fn unnamed() -> Self {
        Self("Tablet".to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for ClientName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Why a change to clients was refused.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no such client.
    #[error("there is no such client")]
    UnknownClient,
    /// There is no such area.
    #[error("there is no area {0}")]
    UnknownArea(AreaId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for ClientError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What is to change of a client; what is left out stays, `Some(None)` clears.
#[derive(Clone, Debug, Default)]
pub struct ClientPatch {
    /// A new name.
    pub name: Option<ClientName>,
    /// Whether its tokens are taken.
    pub is_active: Option<bool>,
    /// Its organisation.
    pub organization_id: Option<Option<OrganizationId>>,
    /// Its tenant.
    pub tenant_id: Option<Option<TenantId>>,
    /// Its kiosk.
    pub kiosk_id: Option<Option<KioskId>>,
}

/// A client together with its areas.
#[derive(Clone, Debug)]
pub struct ClientWithAreas {
    /// The client.
    pub client: Client,
    /// Its areas, whole.
    pub areas: Vec<Area>,
}

/// Reads a client's areas beside it.
///
/// # Errors
/// SQLite's.
pub fn with_areas(db: &Connection, client: Client) -> rusqlite::Result<ClientWithAreas> {
    let areas = areas::of_client(db, &client.id)?;
    Ok(ClientWithAreas { client, areas })
}

/// Makes a client without areas or tokens.
///
/// # Errors
/// SQLite's.
pub fn create(
    tx: &mut WriteTx<'_>,
    name: ClientName,
    platform: Option<String>,
) -> rusqlite::Result<Client> {
    let client = Client {
        id: ClientId::random(),
        name,
        is_active: true,
        organization_id: None,
        tenant_id: None,
        kiosk_id: None,
        platform,
        created_at: tx.now(),
        last_seen_at: None,
        last_acked_event_id: None,
    };
    rows::save(tx.connection(), &client)?;
    Ok(client)
}

/// The client, or [`ClientError::UnknownClient`].
///
/// # Errors
/// That, or SQLite's.
pub fn expect(db: &Connection, id: &ClientId) -> Result<Client, ClientError> {
    rows::find(db, id)?.ok_or(ClientError::UnknownClient)
}

/// Changes a client. Deactivating it ends its sessions; another organisation or tenant changes
/// what it hears from this event on.
///
/// # Errors
/// [`ClientError`].
pub fn change(
    tx: &mut WriteTx<'_>,
    id: &ClientId,
    patch: ClientPatch,
    platform: Option<String>,
) -> Result<Client, ClientError> {
    let before = expect(tx.connection(), id)?;
    let after = Client {
        name: patch.name.unwrap_or_else(|| before.name.clone()),
        is_active: patch.is_active.unwrap_or(before.is_active),
        organization_id: patch
            .organization_id
            .unwrap_or_else(|| before.organization_id.clone()),
        tenant_id: patch.tenant_id.unwrap_or_else(|| before.tenant_id.clone()),
        kiosk_id: patch.kiosk_id.unwrap_or_else(|| before.kiosk_id.clone()),
        platform: platform.or_else(|| before.platform.clone()),
        ..before.clone()
    };
    if after == before {
        return Ok(after);
    }
    rows::save(tx.connection(), &after)?;
    let subject = Subject::Client(id.clone());
    move_to(tx, &subject, &before.audience(), &after.audience());
    if before.audience() != after.audience() {
        resettle(tx, &subject, &after);
    }
    let kiosk = before.kiosk();
    if kiosk != after.kiosk() {
        rooms::expel(tx, &subject, kiosk.as_str())?;
    }
    if before.is_active != after.is_active || before.kiosk_id != after.kiosk_id {
        tx.change_audience();
    }
    if before.is_active && !after.is_active {
        tx.end_sessions(
            SessionFilter::Subject(subject),
            DisconnectReason::Inactive,
            None,
        );
    }
    Ok(after)
}

/// Has a client listen on the topics of its organisation and tenant, and no longer on others.
fn move_to(tx: &mut WriteTx<'_>, subject: &Subject, from: &Audience, to: &Audience) {
    let (from, to) = (affiliation(from), affiliation(to));
    for topic in from.iter().filter(|topic| !to.contains(topic)) {
        tx.leave(subject.clone(), topic.clone());
    }
    for topic in to.iter().filter(|topic| !from.contains(topic)) {
        tx.join(subject.clone(), topic.clone());
    }
}

/// Has its open sessions say where a client belongs now.
fn resettle(tx: &mut WriteTx<'_>, subject: &Subject, client: &Client) {
    tx.move_sessions(ClientMoved {
        subject: subject.clone(),
        organization: client.organization_id.clone(),
        tenant: client.tenant_id.clone(),
    });
}

/// Makes `area_ids` the client's areas: tells of what is new and what is gone, and nothing else.
///
/// # Errors
/// [`ClientError`].
pub fn set_areas(
    tx: &mut WriteTx<'_>,
    id: &ClientId,
    area_ids: &[AreaId],
) -> Result<(), ClientError> {
    expect(tx.connection(), id)?;
    for old in areas::of_client(tx.connection(), id)? {
        if !area_ids.contains(&old.id) {
            areas::unassign(tx, &old, id)?;
        }
    }
    for area_id in area_ids {
        let area = find_area(tx.connection(), area_id)?;
        areas::assign(tx, &area, id)?;
    }
    Ok(())
}

/// Gives the client one more area.
///
/// # Errors
/// [`ClientError`].
pub fn add_area(tx: &mut WriteTx<'_>, id: &ClientId, area: &AreaId) -> Result<(), ClientError> {
    expect(tx.connection(), id)?;
    let area = find_area(tx.connection(), area)?;
    areas::assign(tx, &area, id)?;
    Ok(())
}

/// Takes an area from the client.
///
/// # Errors
/// [`ClientError`], [`ClientError::UnknownArea`] also when the client does not have it.
pub fn remove_area(tx: &mut WriteTx<'_>, id: &ClientId, area: &AreaId) -> Result<(), ClientError> {
    expect(tx.connection(), id)?;
    let found = find_area(tx.connection(), area)?;
    if areas::unassign(tx, &found, id)? {
        Ok(())
    } else {
        Err(ClientError::UnknownArea(area.clone()))
    }
}

fn find_area(db: &Connection, id: &AreaId) -> Result<Area, ClientError> {
    areas::find(db, id)?.ok_or_else(|| ClientError::UnknownArea(id.clone()))
}

/// Revokes every token of the client and ends its sessions, a barrier (contract 6.2).
///
/// # Errors
/// [`ClientError`].
pub fn revoke(
    tx: &mut WriteTx<'_>,
    id: &ClientId,
    reason: &str,
    actor: &Actor,
) -> Result<Client, ClientError> {
    let client = expect(tx.connection(), id)?;
    let subject = Subject::Client(id.clone());
    tokens::revoke_all(tx, &subject)?;
    tx.publish(events::client_revoked(&client, reason, tx.now()))?;
    let final_event = tokens::token_revoked(id.as_str(), reason, tx.now());
    tx.end_sessions(
        SessionFilter::Subject(subject),
        DisconnectReason::Revoked,
        Some(final_event),
    );
    audit::record(tx, actor, "client.revoke", Some(id.as_str()), reason)?;
    Ok(client)
}

/// Revokes the client and forgets it with its assignments.
///
/// # Errors
/// [`ClientError`].
pub fn delete(tx: &mut WriteTx<'_>, id: &ClientId, actor: &Actor) -> Result<(), ClientError> {
    let client = revoke(tx, id, "deleted", actor)?;
    let subject = Subject::Client(id.clone());
    for area in areas::of_client(tx.connection(), id)? {
        tx.leave(subject.clone(), Topic::Area(area.id));
    }
    move_to(tx, &subject, &client.audience(), &Audience::default());
    rows::delete(tx.connection(), id)?;
    tx.change_audience();
    audit::record(
        tx,
        actor,
        "client.delete",
        Some(id.as_str()),
        client.name.as_str(),
    )?;
    Ok(())
}

text_fields!(ClientName);

/// Whether `principal` may be told of an organisation (seed 2's `join-organization`): an admin of
/// any, anyone else of its own.
///
/// # Errors
/// SQLite's.
pub fn may_join(
    connection: &Connection,
    principal: &wallcast_core::auth::Principal,
    organization: &OrganizationId,
) -> rusqlite::Result<bool> {
    let own = match &principal.subject {
        Subject::Admin(_) => return Ok(true),
        // As the store has it now: the session may be older.
        Subject::Client(id) => find(connection, id)?.and_then(|client| client.organization_id),
        Subject::User(_) => principal.organization_id.clone(),
        Subject::Pairing(_) => None,
    };
    Ok(own.as_ref() == Some(organization))
}
