//! The entity states that a session may see: snapshots for sessions, pages for the HTTP API.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::value::RawValue;
use wallcast_core::auth::Subject;
use wallcast_core::clock::Timestamp;
use wallcast_core::entity_id::EntityId;
use wallcast_core::event::Event;
use wallcast_core::hub::Session;
use wallcast_core::ids::AreaId;

use super::events::{self, EntityView};
use super::{Entities, StateCache, SyncStage};

enum EntityScope {
    /// Every cached entity that is in an enabled area.
    All,
    /// The entities of these areas.
    Areas(Vec<AreaId>),
    /// This subject never sees entities.
    None,
}

/// An entity's `device_class` attribute.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DeviceClass {
    /// No state of the entity is cached.
    Unknown,
    /// From the cached state; `None` if the entity has no device class.
    Known(Option<String>),
}

impl Entities {
    /// Whether sessions of `subject` receive entity states at all.
    pub fn receives_states(&self, subject: &Subject) -> bool {
        self.is_enabled && matches!(subject, Subject::Admin(_) | Subject::Client(_))
    }

    /// Queues the snapshot of a session that is due one. If the first states of visible entities
    /// have yet to arrive, the snapshot stays pending and the session is woken later. Returns
    /// whether nothing is awaited any more.
    pub fn queue_snapshot(&self, session: &Session) -> bool {
        let cache = self.cache();
        if !session.outbox().is_snapshot_due() {
            return false;
        }
        let scope = self.scope(session.subject());
        let Some(visible) = cache.visible_in(&scope) else {
            if cache.stage == SyncStage::Disconnected || !cache.is_visibility_stale {
                session.outbox().queue_snapshot(None);
            }
            return false;
        };
        let is_cached = |id: &EntityId| cache.states.contains_key(id);
        let is_awaited = match cache.stage {
            SyncStage::Disconnected => !visible.keys().any(|id| is_cached(id)),
            SyncStage::Syncing => true,
            SyncStage::Live => {
                matches!(scope, EntityScope::Areas(_))
                    && (cache.is_visibility_stale || !visible.keys().all(|id| is_cached(id)))
            }
        };
        if !is_awaited {
            let states = events::entity_states(&cache.entity_views(visible), Timestamp::now());
            session
                .outbox()
                .queue_snapshot(Some(Arc::new(states.published_now())));
        }
        !is_awaited
    }

    /// A current `entity_states` event, for a session that asks.
    pub fn snapshot_for(&self, subject: &Subject) -> Event {
        let cache = self.cache();
        let visible = cache.visible_in(&self.scope(subject)).unwrap_or_default();
        events::entity_states(&cache.entity_views(visible), Timestamp::now())
    }

    /// The entities of these areas as JSON, by ascending id: at most `limit` after the id `after`.
    pub(crate) fn page(
        &self,
        areas: &BTreeSet<AreaId>,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<(EntityId, Box<RawValue>)> {
        let cache = self.cache();
        let scope = EntityScope::Areas(areas.iter().cloned().collect());
        let mut visible = cache.visible_in(&scope).unwrap_or_default();
        visible.retain(|id, _| after.is_none_or(|after| id.as_str() > after));
        let views = cache.entity_views(visible).into_iter().take(limit);
        views
            .filter_map(|view| {
                let json = serde_json::value::to_raw_value(&view).ok()?;
                Some((view.entity_id.clone(), json))
            })
            .collect()
    }

    /// All entities of these areas as JSON.
    pub fn states_in(&self, areas: &BTreeSet<AreaId>) -> Vec<Box<RawValue>> {
        let states = self.page(areas, None, usize::MAX).into_iter();
        states.map(|(_, json)| json).collect()
    }

    pub(crate) fn device_class(&self, entity: &EntityId) -> DeviceClass {
        match self.cache().states.get(entity) {
            Some(Some(state)) => DeviceClass::Known(state.device_class()),
            _ => DeviceClass::Unknown,
        }
    }

    fn scope(&self, subject: &Subject) -> EntityScope {
        match subject {
            Subject::Admin(_) => EntityScope::All,
            Subject::Client(_) => EntityScope::Areas(self.hub.areas_of(subject)),
            Subject::User(_) | Subject::Pairing(_) => EntityScope::None,
        }
    }
}

impl StateCache {
    /// The visible entities of a scope, each with the areas through which it is visible. `None` if
    /// there are none.
    fn visible_in(&self, scope: &EntityScope) -> Option<BTreeMap<&EntityId, Vec<&AreaId>>> {
        let visible: BTreeMap<_, Vec<_>> = match scope {
            EntityScope::None => return None,
            EntityScope::All => {
                let all = self.states.keys();
                let visible =
                    all.map(|id| (id, self.areas.areas_of(id).iter().collect::<Vec<_>>()));
                visible.filter(|(_, areas)| !areas.is_empty()).collect()
            }
            EntityScope::Areas(areas) => {
                let mut areas: Vec<_> = areas.iter().collect();
                areas.sort_unstable();
                let mut visible = BTreeMap::<_, Vec<_>>::new();
                for area in areas {
                    for (id, areas) in self.areas.entities_in(area) {
                        let own = areas.iter().find(|id| *id == area);
                        visible.entry(id).or_default().extend(own);
                    }
                }
                visible
            }
        };
        (!visible.is_empty()).then_some(visible)
    }

    fn entity_views<'a>(
        &'a self,
        visible: BTreeMap<&'a EntityId, Vec<&'a AreaId>>,
    ) -> Vec<EntityView<'a>> {
        let views = visible.into_iter().filter_map(|(id, areas)| {
            let state = self.states.get(id)?.as_ref()?;
            Some(EntityView::new(id, state, areas))
        });
        views.collect()
    }
}
