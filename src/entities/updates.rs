//! Applies `subscribe_entities` events to the state cache and publishes the changes to the sessions
//! that may see them.

use std::collections::BTreeSet;

use serde_json::value::RawValue;
use wallcast_core::clock::Timestamp;
use wallcast_core::entity_id::EntityId;
use wallcast_core::event::Topic;

use super::events::{self, StateChange};
use super::state::{self, EntityState, StateUpdate};
use super::subscription_plan::SubscriptionId;
use super::{Entities, StateCache, SyncStage};

/// The effect of one update on the cache.
pub(super) enum UpdateOutcome {
    /// The entity is not visible, or the update is a diff of an unknown state.
    Ignored,
    Updated,
    /// The entity had no entry in the cache before.
    Added,
}

impl Entities {
    /// Handles one event of a subscription.
    pub(super) fn handle_event(&self, id: SubscriptionId, event: &RawValue) {
        let updates = match state::parse_event(event) {
            Ok(updates) => updates,
            // Not counted as the first event: it does not say which entities have no state.
            Err(error) => {
                tracing::warn!(%error, "unreadable state event from Home Assistant ignored");
                return;
            }
        };
        let now = Timestamp::now();
        let mut cache = self.cache();
        if !cache.subscriptions.contains_key(&id) {
            return;
        }
        let is_first = cache.awaiting_first_event.remove(&id);
        let mut added = BTreeSet::new();
        for (entity, update) in &updates {
            if let UpdateOutcome::Added = self.apply_update(&mut cache, entity, update, now) {
                added.insert(entity.clone());
            }
        }
        if is_first {
            let reported = updates.iter().map(|(id, _)| id).collect::<BTreeSet<_>>();
            self.remove_unreported(&mut cache, id, &reported, &mut added, now);
            self.first_event_received.notify_one();
        }
        if cache.stage == SyncStage::Live {
            self.request_snapshots(&cache, &added);
        }
    }

    /// An entity missing from a subscription's first event has no state at Home Assistant.
    fn remove_unreported(
        &self,
        cache: &mut StateCache,
        id: SubscriptionId,
        reported: &BTreeSet<&EntityId>,
        added: &mut BTreeSet<EntityId>,
        now: Timestamp,
    ) {
        let subscribed = cache.subscriptions.get(&id).cloned().unwrap_or_default();
        for entity in subscribed.iter().filter(|id| !reported.contains(id)) {
            if let UpdateOutcome::Added =
                self.apply_update(cache, entity, &StateUpdate::Removed, now)
            {
                added.insert(entity.clone());
            }
        }
    }

    pub(super) fn apply_update(
        &self,
        cache: &mut StateCache,
        entity: &EntityId,
        update: &StateUpdate<'_>,
        now: Timestamp,
    ) -> UpdateOutcome {
        let Some(entity) = cache.visible.get(entity).cloned() else {
            return UpdateOutcome::Ignored;
        };
        let before = cache.states.get(&entity);
        let is_new = before.is_none();
        let old = before.cloned().flatten();
        if is_new && matches!(update, StateUpdate::Changed(_)) {
            return UpdateOutcome::Ignored;
        }
        let new = EntityState::apply(old.as_ref(), update, now);
        let is_same = match (&old, &new) {
            (Some(old), Some(new)) => old.is_same_as(new),
            (None, None) => true,
            _ => false,
        };
        if let (false, Some(new)) = (is_same, &new) {
            self.lock_states.record(&entity, new);
        }
        if !is_same && !is_new && cache.stage == SyncStage::Live {
            let change = StateChange {
                entity: &entity,
                old: old.as_ref(),
                new: new.as_ref(),
            };
            self.publish_change(cache, change, now);
        }
        cache.states.insert(entity, new);
        if is_new {
            UpdateOutcome::Added
        } else {
            UpdateOutcome::Updated
        }
    }

    /// Publishes a change. Each session gets it with the areas through which it sees the entity.
    fn publish_change(&self, cache: &StateCache, change: StateChange<'_>, now: Timestamp) {
        let areas = cache.areas.areas_of(change.entity);
        if areas.is_empty() {
            return;
        }
        let topics = areas.iter().cloned().map(Topic::Area);
        let topics: Vec<_> = topics.chain([Topic::Admins]).collect();
        self.hub.publish_per_audience(&topics, |audience| {
            let is_admin = audience.contains(&areas.len());
            let seen_in: Vec<_> = match is_admin {
                true => areas.iter().collect(),
                false => audience
                    .iter()
                    .filter_map(|topic| areas.get(*topic))
                    .collect(),
            };
            events::state_changed(change, &seen_in, now)
        });
    }

    /// Requests a snapshot for the sessions that see newly cached entities.
    pub(super) fn request_snapshots(&self, cache: &StateCache, added: &BTreeSet<EntityId>) {
        let areas = added.iter().flat_map(|id| cache.areas.areas_of(id));
        let areas: BTreeSet<_> = areas.collect();
        if !areas.is_empty() {
            let topics = areas.into_iter().cloned().map(Topic::Area);
            let topics: Vec<_> = topics.chain([Topic::Admins]).collect();
            self.hub.request_snapshot(&topics);
        }
    }
}
