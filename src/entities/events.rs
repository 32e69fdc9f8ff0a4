//! `entity_state_changed` and `entity_states` (contract section 5), built here and nowhere else.

use serde::Serialize;
use serde_json::value::RawValue;

use super::state::State;
use wallcast_core::clock::Timestamp;
use wallcast_core::entity_id::EntityId;
use wallcast_core::event::{Event, EventType, NewEvent};
use wallcast_core::ids::AreaId;

/// An entity as `entity_states` and `GET /api/entities` show it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown<'a> {
    pub(super) entity_id: &'a EntityId,
    state: &'a str,
    attributes: &'a RawValue,
    area_ids: Vec<&'a AreaId>,
    last_changed: Timestamp,
}

impl<'a> Shown<'a> {
    /// To whoever sees it in these areas.
    pub(super) fn new(entity: &'a EntityId, state: &'a State, areas: Vec<&'a AreaId>) -> Self {
        Self {
            entity_id: entity,
            state: &state.value,
            attributes: &state.attributes,
            area_ids: areas,
            last_changed: state.changed_at,
        }
    }
}

#[derive(Serialize)]
struct Changed<'a> {
    entity_id: &'a EntityId,
    old_state: Option<&'a str>,
    new_state: Option<&'a str>,
    attributes: Option<&'a RawValue>,
    #[serde(rename = "areaIds")]
    area_ids: &'a [&'a AreaId],
    timestamp: Timestamp,
}

#[derive(Serialize)]
struct States<'a> {
    states: &'a [Shown<'a>],
}

/// A state and the one before it; none where Home Assistant had, or has, none.
#[derive(Clone, Copy)]
pub(super) struct Change<'a> {
    pub(super) entity: &'a EntityId,
    pub(super) old: Option<&'a State>,
    pub(super) new: Option<&'a State>,
}

/// To whoever sees the entity in these areas.
pub(super) fn state_changed(change: Change<'_>, areas: &[&AreaId], now: Timestamp) -> Event {
    let Change { entity, old, new } = change;
    let data = Changed {
        entity_id: entity,
        old_state: old.map(|state| &*state.value),
        new_state: new.map(|state| &*state.value),
        attributes: new.or(old).map(|state| &*state.attributes),
        area_ids: areas,
        timestamp: now,
    };
    let event = NewEvent::new(EventType::ENTITY_STATE_CHANGED, &data, Vec::new());
    Event::ephemeral(event, now).conflated_by(entity.as_str())
}

/// The newest of each entity that one session may see.
pub(super) fn states(states: &[Shown<'_>], now: Timestamp) -> Event {
    let event = NewEvent::new(EventType::ENTITY_STATES, &States { states }, Vec::new());
    Event::ephemeral(event, now)
}
