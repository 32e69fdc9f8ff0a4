//! Wallcast's own services on the board: `database`, as `/health` sees it. Their rows are marked
//! `is_own`, and no request changes them.
//!
//! While the disk takes no writes nothing can be stored of it either: so the row of `database`
//! always says that all is well, what is shown is what the store knows of itself, and an outage is
//! told only to who is there. Its end is stored, for whoever was there and went away meanwhile.
//! `homeassistant` is a row as any other, there where one is configured.

use std::sync::Arc;
use std::time::Duration;

use super::events::{self, Change};
use super::overall::Standing;
use super::services::{self, Service};
use super::{Audience, ServiceStatus};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Event, NewEvent};
use wallcast_core::hub::Hub;
use wallcast_core::ids::ServiceId;
use wallcast_core::shutdown::Shutdown;
use wallcast_core::store::{Store, StoreError, WriteTx};

/// How often a store that cannot write is tried.
const TRY_EVERY: Duration = Duration::from_secs(5);

/// Since when the disk takes no writes, as `/health` would say now.
pub async fn outage(store: &Store) -> Option<Timestamp> {
    if store.probe().await {
        None
    } else {
        store.broken_since()
    }
}

/// A service as it is while the disk takes no writes since `outage`.
pub fn as_it_is(service: Service, outage: Option<Timestamp>) -> Service {
    match outage {
        Some(since) if service.id == ServiceId::database() => Service {
            status: ServiceStatus::MajorOutage,
            updated_at: since,
            ..service
        },
        _ => service,
    }
}

/// A board's worst service while the disk takes no writes since `outage`.
pub fn worst_as_it_is(worst: ServiceStatus, outage: Option<Timestamp>) -> ServiceStatus {
    match outage {
        Some(_) => worst.max(ServiceStatus::MajorOutage),
        None => worst,
    }
}

/// Tells when the store ceases and begins again to take writes. Serves until the daemon stops.
pub async fn run(store: Store, hub: Arc<Hub>, shutdown: Shutdown) {
    let serve = async {
        let mut broken_since = store.watch_broken();
        loop {
            let Ok(since) = broken_since.wait_for(Option::is_some).await.map(|at| *at) else {
                return;
            };
            let Some(since) = since else { continue };
            tell_outage(&store, &hub, since).await;
            while let Err(error) = tell_end(&store).await {
                if matches!(error, StoreError::Stopped) {
                    return;
                }
                // Whoever comes with a write may find out first.
                let _ = tokio::time::timeout(TRY_EVERY, broken_since.changed()).await;
            }
        }
    };
    tokio::select! {
        () = serve => {}
        () = shutdown.begun() => {}
    }
}

/// Says how Home Assistant is, where one is configured: `Some(None)` is that nothing new is known. A
/// change that changes nothing tells nothing.
///
/// # Errors
/// SQLite's.
pub fn set_home(
    tx: &mut WriteTx<'_>,
    status: Option<Option<ServiceStatus>>,
) -> rusqlite::Result<()> {
    let id = ServiceId::home_assistant();
    let before = services::find(tx.connection(), &id)?;
    let standing = Standing::of(tx.connection(), &[&Audience::default()])?;
    match (before, status) {
        (None, None) | (Some(_), Some(None)) => return Ok(()),
        (Some(service), Some(Some(status))) if service.status == status => return Ok(()),
        (Some(service), None) => services::drop_own(tx, &service)?,
        (Some(service), Some(Some(status))) => services::set_own(tx, service, status)?,
        (None, Some(status)) => {
            let texts = (
                "Home Assistant",
                "Says what is in the house, and acts on it",
            );
            services::add_own(tx, id, texts, status.unwrap_or_default())?;
        }
    }
    standing.tell_changes(tx)
}

async fn tell_outage(store: &Store, hub: &Hub, since: Timestamp) {
    let read = store.read(move |db| {
        let Some(database) = services::find(db, &ServiceId::database())? else {
            return Ok(Vec::new());
        };
        let down = as_it_is(database, Some(since));
        let mut told = vec![Change::Updated.of_service(&down, since)];
        let before = Standing::of(db, &[&Audience::default()])?;
        let after = Standing::of(db, &[&Audience::default()])?.at_least(down.status);
        let changed = before.differences(&after);
        told.extend(changed.map(|(board, was, is)| events::status_update(board, was, is, since)));
        Ok::<Vec<NewEvent>, StoreError>(told)
    });
    match read.await {
        Ok(events) => {
            for event in events {
                hub.publish(Event::ephemeral(event, since));
            }
        }
        Err(error) => tracing::warn!(%error, "that the store cannot write could not be told"),
    }
}

async fn tell_end(store: &Store) -> Result<(), StoreError> {
    store
        .write(|tx: &mut WriteTx<'_>| {
            let id = ServiceId::database();
            services::set_updated(tx.connection(), &id, tx.now())?;
            if let Some(database) = services::find(tx.connection(), &id)? {
                tx.publish(Change::Updated.of_service(&database, tx.now()))?;
            }
            let before = Standing::of(tx.connection(), &[&Audience::default()])?;
            before
                .at_least(ServiceStatus::MajorOutage)
                .tell_changes(tx)?;
            Ok(())
        })
        .await
}
