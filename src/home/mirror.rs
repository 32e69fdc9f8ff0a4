//! Mirrors Home Assistant's areas into the store (`docs/protocol.md#home-assistant`).
//!
//! On each new connection it reads all three registries and writes only the differences, so changes
//! made while disconnected become events and nothing else does. Later, registry events make it read
//! the changed registry again. It never deletes areas because of an unreadable answer, a Core that
//! is still starting, or an empty registry that does not last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use wallcast_core::shutdown::Shutdown;
use wallcast_core::store::{Store, StoreError};

use super::mirror_plan::{MirrorPlan, apply};
use super::registries::{self, Registries};
use super::{EventSubscription, HomeAssistant, HomeConnection, HomeError};
use crate::areas::Area;
use crate::areas::mirror;
use crate::pause::Pause;

/// Time to collect further registry events before reading.
const COLLECT_EVENTS: Duration = Duration::from_millis(100);
/// Minimum time between two reads, for registries that change all the time.
const MIN_READ_INTERVAL: Duration = Duration::from_secs(1);
/// Interval of asking a starting Core whether it is running.
const START_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// An empty registry without a removal event is accepted after this time.
const EMPTY_FOR: Duration = Duration::from_secs(5);

/// Runs until the daemon stops.
pub async fn run(home: HomeAssistant, store: Store, shutdown: Shutdown) {
    let serve = async {
        let mut connections = home.connections();
        while let Some(connection) = connections.next().await {
            tokio::select! {
                () = mirror_connection(&connection, &store) => {}
                () = connection.closed() => {}
            }
        }
    };
    tokio::select! {
        () = serve => {}
        () = shutdown.begun() => {}
    }
}

/// Mirrors over one connection, until the caller drops the future.
async fn mirror_connection(connection: &HomeConnection, store: &Store) {
    let changes = Arc::new(ChangedRegistries::default());
    let mut pause = Pause::default();
    // Subscribe before the first read, so that no change falls in between.
    let _subscriptions = loop {
        match subscribe(connection, &changes).await {
            Ok(subscriptions) => break subscriptions,
            Err(error) => {
                tracing::warn!(%error, "registry events not subscribed at Home Assistant");
                sleep(pause.next()).await;
            }
        }
    };
    wait_until_running(connection).await;
    let mut current = Registries::default();
    let mut guard = EmptyRegistryGuard::default();
    changes.mark_all();
    loop {
        changes.marked.notified().await;
        sleep(COLLECT_EVENTS).await;
        let next = Instant::now() + MIN_READ_INTERVAL;
        let outcome = match refresh(connection, &changes, &mut current).await {
            Ok(()) => sync_store(store, &current, &changes, &mut guard).await,
            Err(error) => Err(error.into()),
        };
        match outcome {
            Ok(SyncOutcome::Applied) => pause.reset(None),
            // Read again, because the empty answer was not stored.
            Ok(SyncOutcome::Postponed) => changes.mark_all(),
            Err(error) => {
                tracing::warn!(%error, "Home Assistant's areas not mirrored");
                changes.mark_all();
                sleep(pause.next()).await;
            }
        }
        sleep_until(next).await;
    }
}

/// Why a synchronization failed.
#[derive(Debug, thiserror::Error)]
enum MirrorError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Registries that changed since they were read.
#[derive(Debug, Default)]
struct ChangedRegistries {
    areas: AtomicBool,
    devices: AtomicBool,
    entities: AtomicBool,
    /// Set by a registry event with the action `remove`.
    has_removal: AtomicBool,
    marked: Notify,
}

impl ChangedRegistries {
    fn mark_all(&self) {
        for registry in [&self.areas, &self.devices, &self.entities] {
            registry.store(true, Ordering::Relaxed);
        }
        self.marked.notify_one();
    }

    fn handle_event(&self, registry: &AtomicBool, event: &RawValue) {
        #[derive(Default, Deserialize)]
        struct RegistryEvent<'a> {
            #[serde(borrow, default)]
            data: RegistryEventData<'a>,
        }
        #[derive(Default, Deserialize)]
        struct RegistryEventData<'a> {
            #[serde(borrow, default)]
            action: std::borrow::Cow<'a, str>,
        }
        let event: RegistryEvent<'_> = serde_json::from_str(event.get()).unwrap_or_default();
        if event.data.action == "remove" {
            self.has_removal.store(true, Ordering::Relaxed);
        }
        registry.store(true, Ordering::Release);
        self.marked.notify_one();
    }
}

async fn subscribe(
    connection: &HomeConnection,
    changes: &Arc<ChangedRegistries>,
) -> Result<[EventSubscription; 3], HomeError> {
    let subscribe_to = async |event_type: &str, registry: fn(&ChangedRegistries) -> &AtomicBool| {
        let command = json!({ "type": "subscribe_events", "event_type": event_type });
        let changes = changes.clone();
        let handler = move |event: &RawValue| changes.handle_event(registry(&changes), event);
        connection.subscribe(command, handler).await
    };
    Ok([
        subscribe_to("area_registry_updated", |changes| &changes.areas).await?,
        subscribe_to("device_registry_updated", |changes| &changes.devices).await?,
        subscribe_to("entity_registry_updated", |changes| &changes.entities).await?,
    ])
}

/// Waits until Core is running: a starting Core does not list all devices and entities yet.
/// Supervisor's proxy accepts no connection before that, but a direct connection may succeed earlier.
async fn wait_until_running(connection: &HomeConnection) {
    #[derive(Deserialize)]
    struct CoreState {
        state: Option<String>,
    }
    loop {
        let config = connection.request::<CoreState>(json!({ "type": "get_config" }));
        match config.await {
            Ok(CoreState { state: Some(state) }) if state != "RUNNING" => {
                tracing::debug!(?state, "waiting for Home Assistant to start");
            }
            // Without a state, Core counts as running.
            Ok(_) | Err(HomeError::Refused { .. }) => return,
            Err(error) => tracing::warn!(%error, "state of Home Assistant unknown"),
        }
        sleep(START_POLL_INTERVAL).await;
    }
}

/// Reads the changed registries. After an error the previous content stays.
async fn refresh(
    connection: &HomeConnection,
    changes: &ChangedRegistries,
    current: &mut Registries,
) -> Result<(), HomeError> {
    // Clear the mark before the request, so that a change during the request causes another read.
    if changes.areas.swap(false, Ordering::Acquire) {
        current.areas = registries::areas(connection).await?;
    }
    if changes.devices.swap(false, Ordering::Acquire) {
        current.devices = registries::devices(connection).await?;
    }
    if changes.entities.swap(false, Ordering::Acquire) {
        current.entities = registries::entities(connection).await?;
    }
    Ok(())
}

enum SyncOutcome {
    Applied,
    Postponed,
}

/// Writes the differences between the store and the registries.
async fn sync_store(
    store: &Store,
    current: &Registries,
    changes: &ChangedRegistries,
    guard: &mut EmptyRegistryGuard,
) -> Result<SyncOutcome, MirrorError> {
    let stored: Vec<Area> = store
        .read(|db| Ok::<_, StoreError>(mirror::all(db)?))
        .await?;
    let has_removal = changes.has_removal.swap(false, Ordering::Relaxed);
    let is_suspicious = is_suspiciously_empty(&stored, current) && !has_removal;
    if !guard.accepts(is_suspicious, Instant::now()) {
        tracing::debug!(
            "Home Assistant's registries are empty; reading again before areas are removed"
        );
        return Ok(SyncOutcome::Postponed);
    }
    let plan = MirrorPlan::new(stored, current.mirrored_areas());
    let (areas, entities) = (plan.areas, plan.entities);
    let (changed, removed) = (plan.changed.len(), plan.removed.len());
    apply(store, plan).await?;
    if changed + removed > 0 {
        tracing::info!(
            areas,
            entities,
            changed,
            removed,
            "areas mirrored from Home Assistant"
        );
    }
    Ok(SyncOutcome::Applied)
}

/// Whether these registries would remove all areas, or all entities of all areas, at once.
fn is_suspiciously_empty(stored: &[Area], current: &Registries) -> bool {
    let has_entities = stored.iter().any(|area| !area.entity_ids.is_empty());
    let is_bare = current.entities.is_empty() || current.lacks_devices();
    (!stored.is_empty() && current.areas.is_empty()) || (has_entities && is_bare)
}

/// Accepts a suspiciously empty result only after it has lasted for `EMPTY_FOR`.
#[derive(Debug, Default)]
struct EmptyRegistryGuard(Option<Instant>);

impl EmptyRegistryGuard {
    fn accepts(&mut self, is_suspicious: bool, now: Instant) -> bool {
        if !is_suspicious {
            self.0 = None;
            return true;
        }
        now >= *self.0.get_or_insert(now) + EMPTY_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_registry_is_accepted_after_a_while() {
        let mut guard = EmptyRegistryGuard::default();
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert!(guard.accepts(false, at(0)));
        assert!(!guard.accepts(true, at(1)));
        assert!(!guard.accepts(true, at(5)));
        assert!(guard.accepts(false, at(5)), "not empty any more");
        assert!(!guard.accepts(true, at(6)), "the time starts again");
        assert!(guard.accepts(true, at(11)));
    }
}
