//! The one function that says what a principal may hear.
//!
//! Live delivery subscribes to the open spans, the first snapshot shows them, and a replay asks
//! all of them: so a replay is what the session would have been told had it been there.

use rusqlite::Connection;

use crate::areas;
use crate::board::{Audience, View};
use crate::clients::{self, Client};
use crate::entities;
use wallcast_core::auth::{Principal, Subject};
use wallcast_core::entity_id::EntityId;
use wallcast_core::event::{EventId, Namespace, Topic};
use wallcast_core::history::{self, Span};
use wallcast_core::ids::{ConnectionId, OrganizationId, RoomName};

/// Every topic that `principal` listens on, with since and until when, as far back as `since`.
///
/// # Errors
/// SQLite's.
pub fn spans(
    connection: &Connection,
    principal: &Principal,
    since: EventId,
) -> rusqlite::Result<Vec<Span>> {
    let mut spans = fixed_topics(principal)
        .into_iter()
        .map(Span::always)
        .collect::<Vec<_>>();
    if matches!(principal.subject, Subject::Client(_)) {
        spans.extend(history::spans_of(connection, &principal.subject, since)?);
    }
    Ok(spans)
}

/// The same for its sessions of a namespace, which listen on the namespace as well.
///
/// # Errors
/// SQLite's.
pub fn spans_in(
    connection: &Connection,
    principal: &Principal,
    namespace: Namespace,
    since: EventId,
) -> rusqlite::Result<Vec<Span>> {
    let mut spans = spans(connection, principal, since)?;
    spans.extend(
        principal
            .subject
            .namespace_topic(namespace)
            .map(Span::always),
    );
    Ok(spans)
}

/// The rooms that one session of `principal` was or is in, besides what all its sessions hear.
///
/// # Errors
/// SQLite's.
pub fn rooms(
    connection: &Connection,
    session: &ConnectionId,
    since: EventId,
) -> rusqlite::Result<Vec<Span>> {
    history::rooms_of(connection, session, since)
}

/// Whether `subject` may enter a room (contract 4.5): an admin any, a client those of its areas
/// and its kiosk's.
///
/// # Errors
/// SQLite's.
pub fn may_enter(
    connection: &Connection,
    subject: &Subject,
    room: &RoomName,
) -> rusqlite::Result<bool> {
    match subject {
        Subject::Admin(_) => Ok(true),
        Subject::Client(id) => {
            let has_area = match room.as_str().parse() {
                Ok(area) => areas::is_assigned(connection, &area, id)?,
                Err(_) => false,
            };
            let is_own = |client: Client| client.kiosk().as_str() == room.as_str();
            Ok(has_area || clients::find(connection, id)?.is_some_and(is_own))
        }
        Subject::User(_) | Subject::Pairing(_) => Ok(false),
    }
}

/// Whether `subject` may have something done with an entity (contract 6.3), as far as that is a
/// matter of who it is: an enabled area holds it, one of its own for a tablet.
///
/// # Errors
/// SQLite's.
pub fn may_control(
    connection: &Connection,
    subject: &Subject,
    entity: &EntityId,
) -> rusqlite::Result<bool> {
    match subject {
        Subject::Admin(_) => entities::is_in_enabled_area(connection, entity, None),
        Subject::Client(id) => entities::is_in_enabled_area(connection, entity, Some(id)),
        Subject::User(_) | Subject::Pairing(_) => Ok(false),
    }
}

/// Whether `principal` may be told of an organisation (seed 2's `join-organization`): an admin of
/// any, anyone else of its own.
///
/// # Errors
/// SQLite's.
pub fn may_join(
    connection: &Connection,
    principal: &Principal,
    organization: &OrganizationId,
) -> rusqlite::Result<bool> {
    let own = match &principal.subject {
        Subject::Admin(_) => return Ok(true),
        // As the store has it now: the session may be older.
        Subject::Client(id) => {
            clients::find(connection, id)?.and_then(|client| client.organization_id)
        }
        Subject::User(_) => principal.organization_id.clone(),
        Subject::Pairing(_) => None,
    };
    Ok(own.as_ref() == Some(organization))
}

/// What of the status board `principal` may see: an admin whatever there is, anyone else the board
/// of its organisation and tenant.
pub fn board(principal: &Principal) -> View {
    match principal.subject {
        Subject::Admin(_) => View::Everything,
        _ => View::Board(audience_of(principal)),
    }
}

/// The topics of those who are of an organisation, of a tenant, or of both.
pub fn affiliation(of: &Audience) -> Vec<Topic> {
    let layers = of.layers().into_iter();
    layers
        .filter(|layer| *layer != Audience::default())
        .map(|layer| layer.topic())
        .collect()
}

fn audience_of(principal: &Principal) -> Audience {
    Audience {
        organization_id: principal.organization_id.clone(),
        tenant_id: principal.tenant_id.clone(),
    }
}

/// The topics that follow from who the principal is, and never change while its token stands.
fn fixed_topics(principal: &Principal) -> Vec<Topic> {
    match &principal.subject {
        Subject::Admin(_) => vec![Topic::All, Topic::Admins],
        Subject::Client(id) => vec![Topic::All, Topic::Client(id.clone())],
        Subject::User(id) => {
            let mut topics = vec![Topic::All, Topic::User(id.clone())];
            topics.extend(affiliation(&audience_of(principal)));
            topics
        }
        Subject::Pairing(id) => vec![Topic::Pairing(id.clone())],
    }
}

#[cfg(test)]
mod tests;
