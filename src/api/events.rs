//! `GET /api/events` (contract 6.4): the history as its caller would have heard it, by pages.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::access::entitlement;
use crate::app::App;
use crate::http::{ApiError, Reply, Request};
use wallcast_core::auth::Principal;
use wallcast_core::event::{Event, EventId, Namespace};
use wallcast_core::history::{last_id, oldest_id, replay};
use wallcast_core::store::StoreError;

/// Events that one look at the history takes.
const LOOK: usize = 256;
/// Looks for one answer: a rare type is not searched for through all that is kept at once.
const LOOKS: usize = 40;
/// Bytes of event data after which an answer is full.
const ANSWER_BYTES: usize = 1024 * 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    events: Vec<Box<RawValue>>,
    last_event_id: EventId,
    oldest_event_id: EventId,
    epoch: &'a str,
    /// Whether there is, or may be, more after `next_after`.
    more: bool,
    /// The `after` of the next page. Beyond the last event of this one where others were passed
    /// over, and so the one way on from a page without any.
    next_after: EventId,
}

/// `GET /api/events?after=ID&limit=&type=`: oldest first. What is older than the history reaches
/// back is left out; `oldestEventId` tells.
pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let principal = request.principal()?.clone();
    let limit = request.limit()?;
    let mut search = Search {
        types: types(&request)?,
        found: Vec::new(),
        bytes: 0,
        reached: after(&request)?,
    };
    let mut seen = search.look(&app, &principal).await?;
    for _ in 1..LOOKS {
        if seen.all || search.found.len() > limit || search.bytes >= ANSWER_BYTES {
            break;
        }
        seen = search.look(&app, &principal).await?;
    }
    // One was looked for beyond the limit, so that `more` is no guess.
    let is_cut = search.found.len() > limit;
    search.found.truncate(limit);
    let last_found = search.found.last().and_then(Event::id);
    Ok(Reply::ok(&Answer {
        next_after: last_found.filter(|_| is_cut).unwrap_or(search.reached),
        events: search.found.iter().filter_map(as_json).collect(),
        last_event_id: seen.newest,
        oldest_event_id: seen.oldest,
        epoch: app.store.epoch().as_str(),
        more: is_cut || !seen.all,
    }))
}

/// What is looked for, what was found of it, and how far it was looked.
struct Search {
    /// Empty for every type.
    types: Vec<String>,
    found: Vec<Event>,
    bytes: usize,
    reached: EventId,
}

/// The history at the moment of a look.
struct Seen {
    oldest: EventId,
    newest: EventId,
    /// Whether nothing lay beyond.
    all: bool,
}

impl Search {
    /// Takes the next events. Each look is a query of its own: a long search keeps nobody waiting.
    async fn look(&mut self, app: &App, principal: &Principal) -> Result<Seen, ApiError> {
        let (principal, epoch, after) =
            (principal.clone(), app.store.epoch().clone(), self.reached);
        let (page, seen) = app
            .store
            .read(move |db| {
                let spans = entitlement::spans_in(db, &principal, Namespace::Main, after)?;
                let page = replay(db, &epoch, &spans, after, None, LOOK)?;
                let seen = Seen {
                    oldest: oldest_id(db)?,
                    newest: last_id(db)?,
                    all: page.is_last,
                };
                Ok::<_, StoreError>((page, seen))
            })
            .await?;
        self.reached = page.reached;
        for event in page.events {
            if self.wants(&event) {
                self.bytes += event.data().len();
                self.found.push(event);
            }
        }
        Ok(seen)
    }

    fn wants(&self, event: &Event) -> bool {
        self.types.is_empty()
            || self
                .types
                .iter()
                .any(|name| name == event.event_type().as_str())
    }
}

/// As JSON WebSocket has it.
fn as_json(event: &Event) -> Option<Box<RawValue>> {
    RawValue::from_string(event.as_json().as_str().to_owned())
        .inspect_err(|error| tracing::error!(%error, "an event in the store was passed over"))
        .ok()
}

fn after(request: &Request) -> Result<EventId, ApiError> {
    request
        .query("after")
        .map_or(Ok(EventId::default()), |text| {
            text.parse()
                .map_err(|_| ApiError::field("after", "after must be an event's id, 0 or more"))
        })
}

/// The types of `type=`, which may hold several with commas and may come more than once.
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
    if names
        .iter()
        .any(|name| !wallcast_core::event::EventType::is_valid_name(name))
    {
        return Err(ApiError::field(
            "type",
            "type must be one or more event types, with commas",
        ));
    }
    Ok(names)
}
