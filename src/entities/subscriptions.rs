//! Keeps the `subscribe_entities` subscriptions at Home Assistant in line with the visible
//! entities: creates them on each new connection and adjusts them as areas and assignments change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep, timeout_at};
use wallcast_core::clock::Timestamp;
use wallcast_core::entity_id::EntityId;
use wallcast_core::event::Topic;
use wallcast_core::ids::AreaId;
use wallcast_core::shutdown::Shutdown;
use wallcast_core::store::{Store, StoreError};

use super::area_index::AreaIndex;
use super::state::StateUpdate;
use super::subscription_plan::{self, SubscriptionId};
use super::{Entities, SyncStage, rows};
use crate::home::{EventSubscription, HomeAssistant, HomeConnection, HomeError};

/// Time to collect further changes before the subscriptions are adjusted.
const COLLECT_CHANGES: Duration = Duration::from_millis(50);
/// How long a subscription's first event may take.
const FIRST_EVENT_TIMEOUT: Duration = Duration::from_secs(10);
/// Delay before a subscription that Home Assistant refused is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(30);

type OpenSubscriptions = BTreeMap<SubscriptionId, EventSubscription>;

/// Subscriptions to open, and those to close once the new ones have received their first events.
struct SubscriptionChanges {
    subscribe: Vec<(SubscriptionId, BTreeSet<EntityId>)>,
    unsubscribe: Vec<SubscriptionId>,
}

/// Runs until the daemon stops.
pub async fn run(entities: Arc<Entities>, home: HomeAssistant, store: Store, shutdown: Shutdown) {
    tokio::select! {
        () = serve_connections(&entities, &home, &store) => {}
        () = entities.lock_states.save_loop(&store) => {}
        () = shutdown.begun() => {}
    }
}

async fn serve_connections(entities: &Arc<Entities>, home: &HomeAssistant, store: &Store) {
    let mut connections = home.connections();
    while let Some(connection) = connections.next().await {
        entities.on_connected();
        tokio::select! {
            () = serve(entities, store, &connection) => {}
            () = connection.closed() => {}
        }
        entities.on_disconnected();
    }
}

async fn serve(entities: &Arc<Entities>, store: &Store, connection: &HomeConnection) {
    let mut open = OpenSubscriptions::new();
    loop {
        let cache = entities.clone();
        // Read at a commit boundary, so that no commit falls between the read and the update of the
        // cache.
        let changes = store.read_at_commit(move |db, _| {
            let visible = rows::visible_entities(db)?;
            let areas = rows::areas_containing(db, &visible)?;
            Ok::<_, StoreError>(cache.update_visibility(visible, areas))
        });
        let is_complete = match changes.await {
            Ok(changes) => change_subscriptions(entities, connection, &mut open, changes).await,
            Err(error) => {
                tracing::warn!(%error, "visible entities not read from the store");
                false
            }
        };
        if is_complete {
            entities.visibility_changed.notified().await;
        } else {
            tokio::select! {
                () = entities.visibility_changed.notified() => {}
                () = sleep(RETRY_AFTER) => {}
            }
        }
        sleep(COLLECT_CHANGES).await;
    }
}

/// Subscribes, waits for the first events, then unsubscribes. Returns false if a subscription
/// failed.
async fn change_subscriptions(
    entities: &Arc<Entities>,
    connection: &HomeConnection,
    open: &mut OpenSubscriptions,
    changes: SubscriptionChanges,
) -> bool {
    let mut is_complete = true;
    let new_ids: Vec<_> = changes.subscribe.iter().map(|(id, _)| *id).collect();
    for (id, entity_ids) in changes.subscribe {
        match subscribe(entities, connection, id, &entity_ids).await {
            Ok(subscription) => {
                open.insert(id, subscription);
            }
            Err(error) => {
                tracing::warn!(%error, "entity states not subscribed at Home Assistant");
                entities.abandon_subscription(id);
                is_complete = false;
            }
        }
    }
    let deadline = Instant::now() + FIRST_EVENT_TIMEOUT;
    while entities.awaits_any(&new_ids) {
        if timeout_at(deadline, entities.first_event_received.notified())
            .await
            .is_err()
        {
            tracing::warn!("entity states not received from Home Assistant in time");
            for id in entities.awaiting(&new_ids) {
                entities.abandon_subscription(id);
                open.remove(&id);
            }
            is_complete = false;
        }
    }
    entities.mark_live();
    // After a failure the old subscriptions stay open: they still cover entities that the failed
    // one was to take over.
    if is_complete {
        for id in changes.unsubscribe {
            entities.remove_subscription(id);
            open.remove(&id);
        }
    }
    is_complete
}

async fn subscribe(
    entities: &Arc<Entities>,
    connection: &HomeConnection,
    id: SubscriptionId,
    entity_ids: &BTreeSet<EntityId>,
) -> Result<EventSubscription, HomeError> {
    let command = json!({ "type": "subscribe_entities", "entity_ids": entity_ids });
    let handler = entities.clone();
    connection
        .subscribe(command, move |event| handler.handle_event(id, event))
        .await
}

impl Entities {
    /// A new connection has no subscriptions yet.
    fn on_connected(&self) {
        let mut cache = self.cache();
        cache.stage = SyncStage::Syncing;
        cache.subscriptions.clear();
        cache.awaiting_first_event.clear();
    }

    /// The connection is gone. Sessions keep seeing the last known states.
    fn on_disconnected(&self) {
        let mut cache = self.cache();
        cache.stage = SyncStage::Disconnected;
        cache.subscriptions.clear();
        cache.awaiting_first_event.clear();
        // Sessions that waited for first states get a snapshot of what is cached.
        self.hub.retry_snapshots();
    }

    /// Takes over the set of visible entities and the areas that contain them, drops all other
    /// states, and returns the subscriptions to change.
    fn update_visibility(
        &self,
        visible: BTreeSet<EntityId>,
        areas: Vec<(AreaId, Vec<EntityId>)>,
    ) -> SubscriptionChanges {
        let mut guard = self.cache();
        let cache = &mut *guard;
        cache.states.retain(|id, _| visible.contains(id));
        cache.areas = AreaIndex::default();
        for (area, entities) in areas {
            cache.areas.set(&area, entities);
        }
        cache.is_visibility_stale = false;
        let (subscribable, invalid): (BTreeSet<_>, BTreeSet<_>) = visible
            .iter()
            .cloned()
            .partition(subscription_plan::is_valid_entity_id);
        let plan = subscription_plan::plan(&cache.subscriptions, &subscribable);
        cache.visible = visible;
        let mut subscribe = Vec::new();
        for ids in plan.subscribe {
            cache.last_subscription_id += 1;
            cache
                .subscriptions
                .insert(cache.last_subscription_id, ids.clone());
            cache
                .awaiting_first_event
                .insert(cache.last_subscription_id);
            subscribe.push((cache.last_subscription_id, ids));
        }
        let mut added = BTreeSet::new();
        for id in invalid {
            if !cache.states.contains_key(&id) {
                cache.states.insert(id.clone(), None);
                added.insert(id);
            }
        }
        self.request_snapshots(cache, &added);
        self.hub.retry_snapshots();
        // A locker may have been created after its lock's state arrived.
        for (id, state) in &cache.states {
            if let Some(state) = state {
                self.lock_states.record(id, state);
            }
        }
        SubscriptionChanges {
            subscribe,
            unsubscribe: plan.unsubscribe,
        }
    }

    /// Treats the entities of a failed subscription as having no state.
    fn abandon_subscription(&self, id: SubscriptionId) {
        let mut cache = self.cache();
        cache.awaiting_first_event.remove(&id);
        let mut added = BTreeSet::new();
        for entity in cache.subscriptions.remove(&id).unwrap_or_default() {
            // A state known from before may still be right.
            if !cache.states.contains_key(&entity) {
                self.apply_update(&mut cache, &entity, &StateUpdate::Removed, Timestamp::now());
                added.insert(entity);
            }
        }
        self.request_snapshots(&cache, &added);
    }

    /// Forgets a subscription that another one has replaced.
    fn remove_subscription(&self, id: SubscriptionId) {
        self.cache().subscriptions.remove(&id);
    }

    fn awaiting(&self, ids: &[SubscriptionId]) -> Vec<SubscriptionId> {
        let cache = self.cache();
        let is_awaiting = |id: &&SubscriptionId| cache.awaiting_first_event.contains(*id);
        ids.iter().filter(is_awaiting).copied().collect()
    }

    fn awaits_any(&self, ids: &[SubscriptionId]) -> bool {
        !self.awaiting(ids).is_empty()
    }

    /// All first events have arrived: from here on changes are published. Every session gets a
    /// snapshot of what it missed.
    fn mark_live(&self) {
        let mut cache = self.cache();
        if cache.stage == SyncStage::Syncing {
            cache.stage = SyncStage::Live;
            self.hub.request_snapshot(&[Topic::All]);
        }
    }
}
