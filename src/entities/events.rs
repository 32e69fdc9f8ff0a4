//! Builds the events `entity_state_changed` and `entity_states` (`docs/protocol.md#event-types`).

use serde::Serialize;
use serde_json::value::RawValue;
use wallcast_core::clock::Timestamp;
use wallcast_core::entity_id::EntityId;
use wallcast_core::event::{Event, EventType, NewEvent};
use wallcast_core::ids::AreaId;

use super::state::EntityState;

/// One entity in `entity_states` and in `GET /api/entities`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EntityView<'a> {
    pub(super) entity_id: &'a EntityId,
    state: &'a str,
    attributes: &'a RawValue,
    area_ids: Vec<&'a AreaId>,
    last_changed: Timestamp,
}

impl<'a> EntityView<'a> {
    /// `areas` are those through which the receiver sees the entity.
    pub(super) fn new(
        entity: &'a EntityId,
        state: &'a EntityState,
        areas: Vec<&'a AreaId>,
    ) -> Self {
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
struct StateChangedData<'a> {
    entity_id: &'a EntityId,
    old_state: Option<&'a str>,
    new_state: Option<&'a str>,
    attributes: Option<&'a RawValue>,
    #[serde(rename = "areaIds")]
    area_ids: &'a [&'a AreaId],
    timestamp: Timestamp,
}

#[derive(Serialize)]
struct EntityStatesData<'a> {
    states: &'a [EntityView<'a>],
}

/// A state and its predecessor; `None` where Home Assistant has or had no state.
#[derive(Clone, Copy)]
pub(super) struct StateChange<'a> {
    pub(super) entity: &'a EntityId,
    pub(super) old: Option<&'a EntityState>,
    pub(super) new: Option<&'a EntityState>,
}

/// `areas` are those through which the receiver sees the entity. Conflated by entity id: a newer
/// change replaces a queued one.
pub(super) fn state_changed(change: StateChange<'_>, areas: &[&AreaId], now: Timestamp) -> Event {
    let StateChange { entity, old, new } = change;
    let data = StateChangedData {
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

/// The current states of all entities that one session may see.
pub(super) fn entity_states(states: &[EntityView<'_>], now: Timestamp) -> Event {
    let event = NewEvent::new(
        EventType::ENTITY_STATES,
        &EntityStatesData { states },
        Vec::new(),
    );
    Event::ephemeral(event, now)
}
