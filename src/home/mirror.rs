//! Keeps the areas of the store as Home Assistant has them (contract section 7).
//!
//! After each connection all three registries are read and compared with the store, so that what
//! happened while we were away is told as changes, and nothing else is. Later their events have the
//! one concerned read again. Never deletes because of an answer that cannot be read, of a Core that
//! is still starting, or of an emptiness that does not last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::plan::{Plan, apply};
use super::registries::{self, Registries};
use super::{Home, HomeError, Link, Subscription};
use crate::areas::Area;
use crate::areas::mirror;
use crate::pause::Pause;
use wallcast_core::shutdown::Shutdown;
use wallcast_core::store::{Store, StoreError};

/// Changes that come together are read together.
const GATHER: Duration = Duration::from_millis(100);
/// A registry that changes all the time is read no more often than this.
const READ_EVERY: Duration = Duration::from_secs(1);
/// How often a Core that starts is asked whether it has started.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// An emptiness of which no event told is believed after this long.
const DOUBT: Duration = Duration::from_secs(5);

/// Serves until the daemon stops.
pub async fn run(home: Home, store: Store, shutdown: Shutdown) {
    let serve = async {
        let mut links = home.links();
        while let Some(link) = links.next().await {
            tokio::select! {
                () = follow(&link, &store) => {}
                () = link.closed() => {}
            }
        }
    };
    tokio::select! {
        () = serve => {}
        () = shutdown.begun() => {}
    }
}

/// Mirrors what this connection tells, until it ends.
async fn follow(link: &Link, store: &Store) {
    let stale = Arc::new(Stale::default());
    let mut pause = Pause::default();
    // Before anything is read, so that no change falls in between.
    let _subscriptions = loop {
        match subscribe(link, &stale).await {
            Ok(subscriptions) => break subscriptions,
            Err(error) => {
                tracing::warn!(%error, "Home Assistant's registries cannot be followed");
                sleep(pause.next()).await;
            }
        }
    };
    until_it_runs(link).await;
    let mut read = Registries::default();
    let mut doubt = Doubt::default();
    stale.mark_all();
    loop {
        stale.news.notified().await;
        sleep(GATHER).await;
        let next = Instant::now() + READ_EVERY;
        let outcome = match refresh(link, &stale, &mut read).await {
            Ok(()) => settle(store, &read, &stale, &mut doubt).await,
            Err(error) => Err(error.into()),
        };
        match outcome {
            Ok(Settled::Done) => pause.reset(None),
            // Asked anew: what is doubted is not remembered.
            Ok(Settled::Doubted) => stale.mark_all(),
            Err(error) => {
                tracing::warn!(%error, "Home Assistant's areas cannot be mirrored now");
                stale.mark_all();
                sleep(pause.next()).await;
            }
        }
        sleep_until(next).await;
    }
}

/// Why the mirror stands still for a while.
#[derive(Debug, thiserror::Error)]
enum MirrorError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Which registries changed since they were read.
#[derive(Debug, Default)]
struct Stale {
    areas: AtomicBool,
    devices: AtomicBool,
    entities: AtomicBool,
    /// Whether Home Assistant itself told that something was removed.
    is_removal_told: AtomicBool,
    news: Notify,
}

impl Stale {
    fn mark_all(&self) {
        for registry in [&self.areas, &self.devices, &self.entities] {
            registry.store(true, Ordering::Relaxed);
        }
        self.news.notify_one();
    }

    fn hear(&self, registry: &AtomicBool, event: &RawValue) {
        #[derive(Default, Deserialize)]
        struct Event<'a> {
            #[serde(borrow, default)]
            data: Data<'a>,
        }
        #[derive(Default, Deserialize)]
        struct Data<'a> {
            #[serde(borrow, default)]
            action: std::borrow::Cow<'a, str>,
        }
        let event: Event<'_> = serde_json::from_str(event.get()).unwrap_or_default();
        if event.data.action == "remove" {
            self.is_removal_told.store(true, Ordering::Relaxed);
        }
        registry.store(true, Ordering::Release);
        self.news.notify_one();
    }
}

async fn subscribe(link: &Link, stale: &Arc<Stale>) -> Result<[Subscription; 3], HomeError> {
    let to = async |kind: &str, registry: fn(&Stale) -> &AtomicBool| {
        let command = json!({ "type": "subscribe_events", "event_type": kind });
        let stale = stale.clone();
        let ear = move |event: &RawValue| stale.hear(registry(&stale), event);
        link.subscribe(command, ear).await
    };
    Ok([
        to("area_registry_updated", |stale| &stale.areas).await?,
        to("device_registry_updated", |stale| &stale.devices).await?,
        to("entity_registry_updated", |stale| &stale.entities).await?,
    ])
}

/// A Core that starts has not all of its devices and entities yet. Supervisor's proxy lets nobody
/// in before; a direct connection may be earlier.
async fn until_it_runs(link: &Link) {
    #[derive(Deserialize)]
    struct CoreConfig {
        state: Option<String>,
    }
    loop {
        let config = link.request::<CoreConfig>(json!({ "type": "get_config" }));
        match config.await {
            Ok(CoreConfig { state: Some(state) }) if state != "RUNNING" => {
                tracing::debug!(?state, "Home Assistant is still starting");
            }
            // One that does not say is taken as it is.
            Ok(_) | Err(HomeError::Refused { .. }) => return,
            Err(error) => tracing::warn!(%error, "Home Assistant does not say whether it runs"),
        }
        sleep(ASK_EVERY).await;
    }
}

/// Reads what is stale; what cannot be read leaves everything as it was.
async fn refresh(link: &Link, stale: &Stale, read: &mut Registries) -> Result<(), HomeError> {
    // Taken before the question, so that a change meanwhile has it asked again.
    if stale.areas.swap(false, Ordering::Acquire) {
        read.areas = registries::areas(link).await?;
    }
    if stale.devices.swap(false, Ordering::Acquire) {
        read.devices = registries::devices(link).await?;
    }
    if stale.entities.swap(false, Ordering::Acquire) {
        read.entities = registries::entities(link).await?;
    }
    Ok(())
}

enum Settled {
    Done,
    Doubted,
}

/// Brings the store to what was read.
async fn settle(
    store: &Store,
    read: &Registries,
    stale: &Stale,
    doubt: &mut Doubt,
) -> Result<Settled, MirrorError> {
    let kept: Vec<Area> = store
        .read(|db| Ok::<_, StoreError>(mirror::all(db)?))
        .await?;
    let is_told = stale.is_removal_told.swap(false, Ordering::Relaxed);
    let is_odd = is_odd(&kept, read) && !is_told;
    if !doubt.believes(is_odd, Instant::now()) {
        tracing::debug!("Home Assistant shows an empty house; asking again before it is believed");
        return Ok(Settled::Doubted);
    }
    let plan = Plan::new(kept, read.rooms());
    let (areas, entities) = (plan.areas, plan.entities);
    let (changed, removed) = (plan.changed.len(), plan.removed.len());
    apply(store, plan).await?;
    if changed + removed > 0 {
        tracing::info!(
            areas,
            entities,
            changed,
            removed,
            "mirrored Home Assistant's areas"
        );
    }
    Ok(Settled::Done)
}

/// Whether believing this would take everything away at once: each area, or what is in them.
fn is_odd(kept: &[Area], read: &Registries) -> bool {
    let has_entities = kept.iter().any(|area| !area.entity_ids.is_empty());
    let is_bare = read.entities.is_empty() || read.lacks_devices();
    (!kept.is_empty() && read.areas.is_empty()) || (has_entities && is_bare)
}

/// An empty answer is believed once it has stood for a while.
#[derive(Debug, Default)]
struct Doubt(Option<Instant>);

impl Doubt {
    fn believes(&mut self, is_odd: bool, now: Instant) -> bool {
        if !is_odd {
            self.0 = None;
            return true;
        }
        now >= *self.0.get_or_insert(now) + DOUBT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emptiness_must_last() {
        let mut doubt = Doubt::default();
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert!(doubt.believes(false, at(0)));
        assert!(!doubt.believes(true, at(1)));
        assert!(!doubt.believes(true, at(5)));
        assert!(doubt.believes(false, at(5)), "it was none");
        assert!(!doubt.believes(true, at(6)), "counted anew");
        assert!(doubt.believes(true, at(11)));
    }
}
