//! Clients: paired tablets and what admins set for each: name, areas, organisation, tenant, kiosk, active or not.
//!
//! A client authenticates with tokens, which [`crate::tokens`] stores. An inactive client keeps its tokens, but they
//! are rejected; revoking a client invalidates them for good. Deleting a client revokes it first.

mod acks;
mod client;
mod events;
pub mod presence;
pub(crate) mod rows;

use rusqlite::Connection;
use wallcast_core::audit::{self, Actor};
use wallcast_core::auth::{Principal, Subject};
use wallcast_core::disconnect::{DisconnectReason, SessionFilter};
use wallcast_core::event::Topic;
use wallcast_core::ids::{AreaId, ClientId, KioskId, OrganizationId, TenantId};
use wallcast_core::store::{ClientTenancy, StoreError, WriteTx};

use crate::access::Audience;
use crate::access::entitlement::affiliation;
use crate::areas::{self, Area};
use crate::{rooms, tokens};

pub use acks::Acks;
pub use client::{Client, ClientName};
pub use rows::{at_kiosk, find, page};

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("there is no such client")]
    UnknownClient,
    #[error("there is no area {0}")]
    UnknownArea(AreaId),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for ClientError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Fields to change: `None` keeps the old value, `Some(None)` clears it.
#[derive(Clone, Debug, Default)]
pub struct ClientPatch {
    pub name: Option<ClientName>,
    pub is_active: Option<bool>,
    pub organization_id: Option<Option<OrganizationId>>,
    pub tenant_id: Option<Option<TenantId>>,
    pub kiosk_id: Option<Option<KioskId>>,
}

#[derive(Clone, Debug)]
pub struct ClientWithAreas {
    pub client: Client,
    pub areas: Vec<Area>,
}

pub fn with_areas(db: &Connection, client: Client) -> rusqlite::Result<ClientWithAreas> {
    let areas = areas::of_client(db, &client.id)?;
    Ok(ClientWithAreas { client, areas })
}

/// Creates an active client without areas and tokens.
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

/// Reads a client that must exist.
///
/// # Errors
/// [`ClientError::UnknownClient`] if it does not.
pub fn expect(db: &Connection, id: &ClientId) -> Result<Client, ClientError> {
    rows::find(db, id)?.ok_or(ClientError::UnknownClient)
}

/// Changes a client. Deactivating it ends its sessions. A new organisation or tenant changes which events its open
/// sessions receive from now on.
///
/// # Errors
/// [`ClientError::UnknownClient`].
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
    move_subscriptions(tx, &subject, &before.audience(), &after.audience());
    if before.audience() != after.audience() {
        update_session_tenancy(tx, &subject, &after);
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

/// Moves a client's subscriptions from the topics of one organisation and tenant to those of another.
fn move_subscriptions(tx: &mut WriteTx<'_>, subject: &Subject, from: &Audience, to: &Audience) {
    let (from, to) = (affiliation(from), affiliation(to));
    for topic in from.iter().filter(|topic| !to.contains(topic)) {
        tx.leave(subject.clone(), topic.clone());
    }
    for topic in to.iter().filter(|topic| !from.contains(topic)) {
        tx.join(subject.clone(), topic.clone());
    }
}

/// Gives the client's open sessions its new organisation and tenant.
fn update_session_tenancy(tx: &mut WriteTx<'_>, subject: &Subject, client: &Client) {
    tx.set_session_tenancy(ClientTenancy {
        subject: subject.clone(),
        organization: client.organization_id.clone(),
        tenant: client.tenant_id.clone(),
    });
}

/// Replaces the client's areas. Publishes `area_added` and `area_removed` only for the differences.
///
/// # Errors
/// [`ClientError::UnknownClient`] and [`ClientError::UnknownArea`].
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

/// Assigns one more area; an area that the client has already stays assigned.
///
/// # Errors
/// [`ClientError::UnknownClient`] and [`ClientError::UnknownArea`].
pub fn add_area(tx: &mut WriteTx<'_>, id: &ClientId, area: &AreaId) -> Result<(), ClientError> {
    expect(tx.connection(), id)?;
    let area = find_area(tx.connection(), area)?;
    areas::assign(tx, &area, id)?;
    Ok(())
}

/// Takes an area from the client.
///
/// # Errors
/// [`ClientError::UnknownClient`]; [`ClientError::UnknownArea`] also if the client does not have the area.
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

/// Revokes every token of the client and ends its sessions. After the commit no session of the client receives another
/// event (`docs/protocol.md#revocation`).
///
/// # Errors
/// [`ClientError::UnknownClient`].
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

/// Revokes the client, then deletes it with its assignments.
///
/// # Errors
/// [`ClientError::UnknownClient`].
pub fn delete(tx: &mut WriteTx<'_>, id: &ClientId, actor: &Actor) -> Result<(), ClientError> {
    let client = revoke(tx, id, "deleted", actor)?;
    let subject = Subject::Client(id.clone());
    for area in areas::of_client(tx.connection(), id)? {
        tx.leave(subject.clone(), Topic::Area(area.id));
    }
    move_subscriptions(tx, &subject, &client.audience(), &Audience::default());
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

/// Whether `join-organization` may subscribe `principal` to an organisation: an admin to any, others to their own.
pub fn may_join(
    connection: &Connection,
    principal: &Principal,
    organization: &OrganizationId,
) -> rusqlite::Result<bool> {
    let own = match &principal.subject {
        Subject::Admin(_) => return Ok(true),
        // From the database, because the session may be older than the client's latest change.
        Subject::Client(id) => find(connection, id)?.and_then(|client| client.organization_id),
        Subject::User(_) => principal.organization_id.clone(),
        Subject::Pairing(_) => None,
    };
    Ok(own.as_ref() == Some(organization))
}
