//! The one function that says what a principal may hear.
//!
//! Live delivery subscribes to the open spans, the first snapshot shows them, and a replay asks
//! all of them: so a replay is what the session would have been told had it been there.

use rusqlite::Connection;

use super::audience::{Audience, View};
use wallcast_core::auth::{Principal, Subject};
use wallcast_core::event::{EventId, Namespace, Topic};
use wallcast_core::history::{self, Span};
use wallcast_core::ids::ConnectionId;

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
