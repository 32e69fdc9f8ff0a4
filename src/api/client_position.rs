//! How far a tablet is behind: the events it should have received but has not acknowledged.

use std::sync::Arc;

use rusqlite::Connection;
use serde::Serialize;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{EventId, Namespace};
use wallcast_core::history::{self, Backlog};
use wallcast_core::ids::ClientId;

use super::client_view::principal;
use super::clients::own_or_any;
use crate::access::entitlement;
use crate::app::App;
use crate::clients::{Client, ClientError, rows};
use crate::http::{ApiError, Reply, Request, page};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PositionJson {
    client_id: ClientId,
    last_acked_event_id: Option<EventId>,
    last_event_id: EventId,
    behind: Behind,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Behind {
    /// Events that are not acknowledged, counted up to [`history::MAX_BACKLOG`].
    events: usize,
    /// When the oldest of them was published.
    since: Option<Timestamp>,
    /// The time since then.
    milliseconds: i64,
}

/// `GET /api/positions`: the positions of all tablets.
pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let limit = request.limit()?;
    let after: Option<String> = page::cursor(&request)?;
    let clients = app
        .store
        .read(move |db| Ok::<_, ApiError>(rows::page(db, after.as_deref(), limit + 1)?))
        .await?;
    let mut positions = Vec::with_capacity(clients.len());
    for client in clients {
        // One read per tablet, so that counting for many tablets does not block other reads.
        let acked = app.acks.newest(&client.id, client.last_acked_event_id);
        let position = app.store.read(move |db| position(db, client, acked));
        positions.push(position.await?);
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

/// `GET /api/clients/{id}/position`: a client gets 403 for other clients.
pub(super) async fn get(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let id = own_or_any(&request)?;
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
    let principal = principal(&client);
    let spans = entitlement::spans_in(db, &principal, Namespace::Main, after)?;
    let Backlog { events, since } = history::backlog(db, &spans, after)?;
    let milliseconds = since.map_or(0, |since| Timestamp::now().unix_ms() - since.unix_ms());
    Ok(PositionJson {
        client_id: client.id,
        last_acked_event_id: acked,
        last_event_id: history::last_id(db)?,
        behind: Behind {
            events,
            since,
            milliseconds: milliseconds.max(0),
        },
    })
}
