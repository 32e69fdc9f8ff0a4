//! The built-in services of the board, whose status Wallcast sets itself: `database`, which follows
//! the store's health as `/health` shows it, and `homeassistant`, where one is configured. Their
//! rows are marked `is_own`, and no request can change them.
//!
//! While the disk accepts no writes, an outage of `database` cannot be stored either. Its row
//! therefore always says `operational`; readers apply the store's current state with
//! [`with_outage`]. The start of an outage is published as ephemeral events to connected sessions
//! only. Its end is stored, so that clients that disconnected meanwhile receive it.

use std::sync::Arc;
use std::time::Duration;

use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Event, NewEvent};
use wallcast_core::hub::Hub;
use wallcast_core::ids::ServiceId;
use wallcast_core::shutdown::Shutdown;
use wallcast_core::store::{Store, StoreError, WriteTx};

use super::board_status::BoardStatuses;
use super::events::{self, ChangeType};
use super::service::Service;
use super::services;
use super::status::ServiceStatus;
use crate::access::Audience;

/// How often a write is tried while the store cannot write.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Probes the store, and returns since when it cannot write. `None` while it can.
pub async fn store_outage(store: &Store) -> Option<Timestamp> {
    if store.probe().await {
        None
    } else {
        store.broken_since()
    }
}

/// Applies a store outage to a service that was read: `database` shows `major_outage`.
pub fn with_outage(service: Service, outage: Option<Timestamp>) -> Service {
    match outage {
        Some(since) if service.id == ServiceId::database() => Service {
            status: ServiceStatus::MajorOutage,
            updated_at: since,
            ..service
        },
        _ => service,
    }
}

/// Applies a store outage to a board's overall status that was read.
pub fn status_with_outage(status: ServiceStatus, outage: Option<Timestamp>) -> ServiceStatus {
    match outage {
        Some(_) => status.max(ServiceStatus::MajorOutage),
        None => status,
    }
}

/// Publishes the start and the end of each outage of the store. Runs until the daemon stops.
pub async fn run(store: Store, hub: Arc<Hub>, shutdown: Shutdown) {
    let serve = async {
        let mut broken_since = store.watch_broken();
        loop {
            let Ok(since) = broken_since.wait_for(Option::is_some).await.map(|at| *at) else {
                return;
            };
            let Some(since) = since else { continue };
            publish_outage(&store, &hub, since).await;
            while let Err(error) = publish_recovery(&store).await {
                if matches!(error, StoreError::Stopped) {
                    return;
                }
                // Another write may succeed first; then there is no need to wait any longer.
                let _ = tokio::time::timeout(RETRY_INTERVAL, broken_since.changed()).await;
            }
        }
    };
    tokio::select! {
        () = serve => {}
        () = shutdown.begun() => {}
    }
}

/// Sets the status of the service `homeassistant`. `None` removes the service, because no Home
/// Assistant is configured. `Some(None)` keeps the current status, because the new one is not known
/// yet. Publishes nothing when nothing changes.
pub fn set_home_assistant(
    tx: &mut WriteTx<'_>,
    status: Option<Option<ServiceStatus>>,
) -> rusqlite::Result<()> {
    let id = ServiceId::home_assistant();
    let service = services::find(tx.connection(), &id)?;
    let before = BoardStatuses::read(tx.connection(), &[&Audience::default()])?;
    match (service, status) {
        (None, None) | (Some(_), Some(None)) => return Ok(()),
        (Some(service), Some(Some(status))) if service.status == status => return Ok(()),
        (Some(service), None) => services::delete_built_in(tx, &service)?,
        (Some(service), Some(Some(status))) => services::set_built_in_status(tx, service, status)?,
        (None, Some(status)) => {
            let texts = (
                "Home Assistant",
                "Reports the home's devices and controls them",
            );
            services::create_built_in(tx, id, texts, status.unwrap_or_default())?;
        }
    }
    before.publish_changes(tx)
}

async fn publish_outage(store: &Store, hub: &Hub, since: Timestamp) {
    let read = store.read(move |db| {
        let Some(database) = services::find(db, &ServiceId::database())? else {
            return Ok(Vec::new());
        };
        let down = with_outage(database, Some(since));
        let mut events = vec![events::service_update(ChangeType::Updated, &down, since)];
        let before = BoardStatuses::read(db, &[&Audience::default()])?;
        let after = BoardStatuses::read(db, &[&Audience::default()])?.at_least(down.status);
        let changed = before.differences(&after);
        events.extend(changed.map(|(board, was, is)| events::status_update(board, was, is, since)));
        Ok::<Vec<NewEvent>, StoreError>(events)
    });
    match read.await {
        Ok(events) => {
            for event in events {
                hub.publish(Event::ephemeral(event, since));
            }
        }
        Err(error) => tracing::warn!(%error, "store outage not published"),
    }
}

/// Publishes that the store can write again. Fails while it still cannot.
async fn publish_recovery(store: &Store) -> Result<(), StoreError> {
    store
        .write(|tx: &mut WriteTx<'_>| {
            let id = ServiceId::database();
            services::set_updated(tx.connection(), &id, tx.now())?;
            if let Some(database) = services::find(tx.connection(), &id)? {
                tx.publish(events::service_update(
                    ChangeType::Updated,
                    &database,
                    tx.now(),
                ))?;
            }
            let before = BoardStatuses::read(tx.connection(), &[&Audience::default()])?;
            before
                .at_least(ServiceStatus::MajorOutage)
                .publish_changes(tx)?;
            Ok(())
        })
        .await
}
