//! `GET /api/events`: the event history that the caller is entitled to, in pages (`docs/protocol.md#event-history`).

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use wallcast_core::auth::Principal;
use wallcast_core::event::{Event, EventId, EventType, Namespace};
use wallcast_core::history::{last_id, oldest_id, replay};
use wallcast_core::store::StoreError;

use crate::access::entitlement;
use crate::app::App;
use crate::http::{ApiError, Reply, Request};

/// The number of events that one read of the history examines.
const EVENTS_PER_READ: usize = 256;
/// The number of reads for one page, so that a search for a rare type does not read the whole history.
const MAX_READS: usize = 40;
/// A page ends when its events have this many bytes of data.
const MAX_PAGE_BYTES: usize = 1024 * 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventPage<'a> {
    events: Vec<Box<RawValue>>,
    last_event_id: EventId,
    oldest_event_id: EventId,
    epoch: &'a str,
    /// Whether there may be more events after `next_after`.
    more: bool,
    /// The `after` of the next page. It may lie beyond the last event of this page if the search skipped others, so
    /// clients must use it even when a page is empty.
    next_after: EventId,
}

/// `GET /api/events?after=ID&limit=&type=`: oldest first. Events older than `oldestEventId` are no longer kept.
pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let principal = request.principal()?.clone();
    let limit = request.limit()?;
    let mut scan = HistoryScan {
        types: types(&request)?,
        found: Vec::new(),
        bytes: 0,
        reached: after(&request)?,
    };
    let mut state = scan.read(&app, &principal).await?;
    for _ in 1..MAX_READS {
        if state.is_complete || scan.found.len() > limit || scan.bytes >= MAX_PAGE_BYTES {
            break;
        }
        state = scan.read(&app, &principal).await?;
    }
    // The scan continues to one event beyond the limit, so that `more` is exact.
    let is_cut = scan.found.len() > limit;
    scan.found.truncate(limit);
    let last_found = scan.found.last().and_then(Event::id);
    Ok(Reply::ok(&EventPage {
        next_after: last_found.filter(|_| is_cut).unwrap_or(scan.reached),
        events: scan.found.iter().filter_map(to_raw_json).collect(),
        last_event_id: state.newest,
        oldest_event_id: state.oldest,
        epoch: app.store.epoch().as_str(),
        more: is_cut || !state.is_complete,
    }))
}

/// A search through the history: what it looks for, what it has found, and how far it got.
struct HistoryScan {
    /// The event types to find. Empty for all types.
    types: Vec<String>,
    found: Vec<Event>,
    /// The size of the data of the found events.
    bytes: usize,
    reached: EventId,
}

/// The history at the time of a read.
struct HistoryState {
    oldest: EventId,
    newest: EventId,
    /// Whether the read reached the newest event.
    is_complete: bool,
}

impl HistoryScan {
    /// Reads the next events. Each read is a query of its own, so that a long scan does not block other reads.
    async fn read(&mut self, app: &App, principal: &Principal) -> Result<HistoryState, ApiError> {
        let (principal, epoch, after) =
            (principal.clone(), app.store.epoch().clone(), self.reached);
        let (page, state) = app
            .store
            .read(move |db| {
                let spans = entitlement::spans_in(db, &principal, Namespace::Main, after)?;
                let page = replay(db, &epoch, &spans, after, None, EVENTS_PER_READ)?;
                let state = HistoryState {
                    oldest: oldest_id(db)?,
                    newest: last_id(db)?,
                    is_complete: page.is_last,
                };
                Ok::<_, StoreError>((page, state))
            })
            .await?;
        self.reached = page.reached;
        for event in page.events {
            if self.matches(&event) {
                self.bytes += event.data().len();
                self.found.push(event);
            }
        }
        Ok(state)
    }

    fn matches(&self, event: &Event) -> bool {
        self.types.is_empty()
            || self
                .types
                .iter()
                .any(|name| name == event.event_type().as_str())
    }
}

/// The event as in the JSON WebSocket dialect.
fn to_raw_json(event: &Event) -> Option<Box<RawValue>> {
    RawValue::from_string(event.as_json().as_str().to_owned())
        .inspect_err(
            |error| tracing::error!(%error, "skipped an event of the history: invalid JSON"),
        )
        .ok()
}

fn after(request: &Request) -> Result<EventId, ApiError> {
    request
        .query("after")
        .map_or(Ok(EventId::default()), |text| {
            text.parse().map_err(|_| {
                ApiError::field("after", "`after` must be an event id, an integer from 0")
            })
        })
}

/// The values of the parameter `type`, which may be repeated and may contain several types separated by commas.
fn types(request: &Request) -> Result<Vec<String>, ApiError> {
    let values = request.query_all("type");
    let names = values
        .iter()
        .flat_map(|value| value.split(','))
        .map(str::trim);
    let names: Vec<String> = names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    if names.iter().any(|name| !EventType::is_valid_name(name)) {
        return Err(ApiError::field(
            "type",
            "`type` must be one or more event types, separated by commas",
        ));
    }
    Ok(names)
}
