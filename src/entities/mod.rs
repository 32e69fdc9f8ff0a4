//! Home Assistant entities for clients: caches the states of entities that at least one client may see, and publishes
//! changes to the sessions that may see them (`docs/protocol.md#entities`).
//!
//! States are kept in memory only, because Home Assistant owns them. [`Entities`] receives each
//! commit before the hub does, so no session gets a state through an area that was just disabled,
//! deleted or unassigned.

mod area_index;
mod events;
mod locks;
pub(crate) mod rows;
mod snapshot;
mod state;
mod subscription_plan;
mod subscriptions;
mod updates;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use wallcast_core::auth::Subject;
use wallcast_core::entity_id::EntityId;
use wallcast_core::event::Topic;
use wallcast_core::hub::Hub;
use wallcast_core::ids::AreaId;
use wallcast_core::store::{CommitListener, Effects};

pub use rows::is_in_enabled_area;
pub(crate) use snapshot::DeviceClass;
pub use subscriptions::run;

use area_index::AreaIndex;
use locks::LockStates;
use state::EntityState;
use subscription_plan::{SubscribedEntities, SubscriptionId};

/// The state cache and its subscriptions at Home Assistant. Installed as the store's commit
/// listener in front of the hub.
#[derive(Debug)]
pub struct Entities {
    hub: Arc<Hub>,
    /// False if no Home Assistant is configured: then no session gets states.
    is_enabled: bool,
    /// Held while an event is published, so that states and commits reach sessions in one order.
    /// Lock order: this lock before any lock of the hub.
    cache: Mutex<StateCache>,
    /// The set of visible entities may have changed.
    visibility_changed: Notify,
    /// A subscription has received its first event.
    first_event_received: Notify,
    lock_states: LockStates,
}

#[derive(Debug, Default)]
struct StateCache {
    areas: AreaIndex,
    /// Entities that at least one active client may see.
    visible: BTreeSet<EntityId>,
    /// A commit may have changed `visible`, and it has not been read again yet.
    is_visibility_stale: bool,
    /// The last known state of each visible entity. `None`: Home Assistant has no state for it.
    states: HashMap<EntityId, Option<EntityState>>,
    stage: SyncStage,
    /// Entities by open subscription.
    subscriptions: SubscribedEntities,
    /// Subscriptions that have not received their first event yet.
    awaiting_first_event: BTreeSet<SubscriptionId>,
    last_subscription_id: SubscriptionId,
}

/// How current the cached states are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SyncStage {
    /// Home Assistant is not connected; the cache holds the last known states.
    #[default]
    Disconnected,
    /// Connected, but the first events of the new subscriptions are not all here yet.
    Syncing,
    /// Every change arrives as it happens.
    Live,
}

impl Entities {
    /// Create it before opening the store, which takes it as commit listener.
    pub fn new(hub: Arc<Hub>, is_enabled: bool) -> Self {
        Self {
            hub,
            is_enabled,
            cache: Mutex::default(),
            visibility_changed: Notify::new(),
            first_event_received: Notify::new(),
            lock_states: LockStates::default(),
        }
    }

    fn cache(&self) -> MutexGuard<'_, StateCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateCache {
    /// Replaces the entities of an area. Entities outside `visible` are dropped.
    fn set_area_entities(&mut self, area: &AreaId, entities: Vec<EntityId>) {
        // Shares one allocation per entity id, however many areas name it.
        let visible = entities.iter().filter_map(|id| self.visible.get(id));
        let visible = visible.cloned().collect();
        self.areas.set(area, visible);
    }
}

impl CommitListener for Entities {
    fn committed(&self, mut effects: Effects) {
        if !self.is_enabled {
            return self.hub.committed(effects);
        }
        let areas = std::mem::take(&mut effects.areas);
        let client_of_area_topic = |(subject, topic): &(Subject, Topic)| match (subject, topic) {
            (Subject::Client(id), Topic::Area(_)) => Some(Topic::Client(id.clone())),
            _ => None,
        };
        let assigned: BTreeSet<_> = effects
            .joined
            .iter()
            .filter_map(client_of_area_topic)
            .collect();
        let is_unassigned = effects
            .left
            .iter()
            .any(|left| client_of_area_topic(left).is_some());
        let is_visibility_stale =
            effects.audience_changed || is_unassigned || !assigned.is_empty() || !areas.is_empty();
        {
            let mut cache = self.cache();
            let mut snapshot_topics: Vec<_> = assigned.into_iter().collect();
            for (area, entities) in areas {
                if !entities.is_empty() {
                    snapshot_topics.extend([Topic::Area(area.clone()), Topic::Admins]);
                }
                cache.set_area_entities(&area, entities);
            }
            cache.is_visibility_stale |= is_visibility_stale;
            self.hub.committed(effects);
            self.hub.request_snapshot(&snapshot_topics);
        }
        if is_visibility_stale {
            self.visibility_changed.notify_one();
        }
    }
}
