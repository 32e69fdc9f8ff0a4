//! What has to change in the store for its areas to be Home Assistant's, and the writing of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::areas::Area;
use crate::areas::mirror::{self, Mirrored};
use crate::lockers;
use wallcast_core::ids::{AreaId, KioskId, LockerId};
use wallcast_core::store::{Store, StoreError};

/// Entities that one transaction writes, give or take an area's: others want to write as well.
const BATCH: usize = 2_000;

/// What has to change in the store.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) changed: Vec<Mirrored>,
    pub(super) removed: Vec<AreaId>,
    lockers: BTreeMap<LockerId, KioskId>,
    /// How much there is in all, for the log.
    pub(super) areas: usize,
    pub(super) entities: usize,
}

impl Plan {
    /// The difference between what is kept and what Home Assistant has.
    pub(super) fn new(kept: Vec<Area>, rooms: Vec<Mirrored>) -> Self {
        let mut plan = Self {
            areas: rooms.len(),
            entities: rooms.iter().map(|room| room.entity_ids.len()).sum(),
            ..Self::default()
        };
        let wanted: BTreeSet<&AreaId> = rooms.iter().map(|room| &room.id).collect();
        plan.removed = kept
            .iter()
            .filter(|area| !wanted.contains(&area.id))
            .map(|area| area.id.clone())
            .collect();
        for room in &rooms {
            for entity in room.entity_ids.iter().filter(|id| id.domain() == "lock") {
                let (id, kiosk) = (entity.as_str().parse(), room.id.as_str().parse());
                if let (Ok(id), Ok(kiosk)) = (id, kiosk) {
                    plan.lockers.insert(id, kiosk);
                }
            }
        }
        let kept: BTreeMap<&AreaId, &Area> = kept.iter().map(|area| (&area.id, area)).collect();
        let is_news = |room: &Mirrored| !kept.get(&room.id).is_some_and(|area| room.is(area));
        plan.changed = rooms.into_iter().filter(is_news).collect();
        plan
    }
}

/// Writes a plan: one transaction for all that commonly changes, several for a whole house.
pub(super) async fn apply(store: &Store, plan: Plan) -> Result<(), StoreError> {
    let Plan {
        mut changed,
        removed,
        lockers,
        ..
    } = plan;
    let mut removed = Some(removed);
    // Taken from the end, so that the areas come in Home Assistant's order.
    changed.reverse();
    loop {
        let mut batch = Vec::new();
        let mut entities = 0;
        while entities < BATCH
            && let Some(room) = changed.pop()
        {
            entities += room.entity_ids.len() + 1;
            batch.push(room);
        }
        let gone = removed.take().unwrap_or_default();
        let is_last = changed.is_empty();
        let lockers = is_last.then(|| lockers.clone());
        store
            .write(move |tx| {
                for id in gone {
                    mirror::forget(tx, &id)?;
                }
                for room in batch {
                    let id = room.id.clone();
                    if !mirror::put(tx, room)? {
                        tracing::warn!(
                            area = %id,
                            "an area of Home Assistant's is not mirrored: a local one has its id"
                        );
                    }
                }
                match lockers {
                    Some(lockers) => Ok(lockers::mirror::put(tx, lockers)?),
                    None => Ok::<_, StoreError>(()),
                }
            })
            .await?;
        if is_last {
            return Ok(());
        }
    }
}
