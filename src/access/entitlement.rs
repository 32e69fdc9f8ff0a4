//! Decides which topics a principal is entitled to, and over which spans of event ids.
//!
//! Live delivery subscribes to the open spans and a replay reads all of them. So a replay contains exactly the events
//! that a session would have received if it had been connected.

use rusqlite::Connection;
use wallcast_core::auth::{Principal, Subject};
use wallcast_core::event::{EventId, Namespace, Topic};
use wallcast_core::history::{self, Span};
use wallcast_core::ids::ConnectionId;

use super::audience::{Audience, BoardView};

/// The topics that `principal` receives, each with its span of event ids. Spans that ended before `since` are left out.
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

/// [`spans`] and the topic of a namespace, which its sessions receive too.
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

/// The spans of the rooms that one session is or was in. They belong to the session, not to its principal.
pub fn rooms(
    connection: &Connection,
    session: &ConnectionId,
    since: EventId,
) -> rusqlite::Result<Vec<Span>> {
    history::rooms_of(connection, session, since)
}

/// The part of the status board that `principal` may see: everything for admins, otherwise the board of its
/// organisation and tenant.
pub fn board(principal: &Principal) -> BoardView {
    match principal.subject {
        Subject::Admin(_) => BoardView::Everything,
        _ => BoardView::Board(audience_of(principal)),
    }
}

/// The topics of a member of this organisation, this tenant, or both. Empty if the audience is everyone.
pub fn affiliation(audience: &Audience) -> Vec<Topic> {
    let layers = audience.layers().into_iter();
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

/// The topics that depend only on the principal's identity and never change while its token is valid.
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
