//! How far a tablet is behind what it has to know, in events and in time.

use std::sync::Arc;

use rusqlite::Connection;
use serde::Serialize;

use crate::access::entitlement;
use crate::app::App;
use crate::clients::{Client, ClientError, rows};
use crate::http::{ApiError, Reply, Request, page};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{EventId, Namespace};
use wallcast_core::history::{self, Backlog};
use wallcast_core::ids::ClientId;

/// A tablet's position on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PositionJson {
    client_id: ClientId,
    last_acked_event_id: Option<EventId>,
    last_event_id: EventId,
    behind: Behind,
}

/// What it has not acknowledged.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Behind {
    /// Events, counted up to [`history::MAX_BACKLOG`].
    events: usize,
    /// Since when the oldest of them waits.
    since: Option<Timestamp>,
    /// The same as a duration.
    milliseconds: i64,
}

/// `GET /api/positions`: every tablet's, for admins.
pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let limit = request.limit()?;
    let after: Option<String> = page::cursor(&request)?;
    let clients = app
        .store
        .read(move |db| Ok::<_, ApiError>(rows::page(db, after.as_deref(), limit + 1)?))
        .await?;
    let mut positions = Vec::with_capacity(clients.len());
    for client in clients {
        // Each a look of its own: counting for a thousand tablets keeps nobody else waiting.
        let acked = app.acks.newest(&client.id, client.last_acked_event_id);
        let counted = app.store.read(move |db| position(db, client, acked));
        positions.push(counted.await?);
    }
    let key = |position: &PositionJson| position.client_id.to_string();
    Ok(page::reply(
        "positions",
        positions,
        limit,
        key,
        |position| position,
    ))
}

/// `GET /api/clients/{id}/position`: a client gets 403 for any but itself.
pub(super) async fn get(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let id = super::clients::own_or_any(&request)?;
    let acks = app.acks.clone();
    let position = app
        .store
        .read(move |db| {
            let client = rows::find(db, &id)?.ok_or(ClientError::UnknownClient)?;
            let acked = acks.newest(&client.id, client.last_acked_event_id);
            position(db, client, acked)
        })
        .await?;
    Ok(Reply::ok(&position))
}

fn position(
    db: &Connection,
    client: Client,
    acked: Option<EventId>,
) -> Result<PositionJson, ApiError> {
    let after = acked.unwrap_or_default();
    let principal = super::client_view::principal(&client);
    let spans = entitlement::spans_in(db, &principal, Namespace::Main, after)?;
    let Backlog { events, since } = history::backlog(db, &spans, after)?;
    let waited = since.map_or(0, |since| Timestamp::now().unix_ms() - since.unix_ms());
    Ok(PositionJson {
        client_id: client.id,
        last_acked_event_id: acked,
        last_event_id: history::last_id(db)?,
        behind: Behind {
            events,
            since,
            milliseconds: waited.max(0),
        },
    })
}
