//! The differences between the store's areas and Home Assistant's, and how they are written.

use std::collections::{BTreeMap, BTreeSet};

use wallcast_core::ids::{AreaId, KioskId, LockerId};
use wallcast_core::store::{Store, StoreError};

use crate::areas::Area;
use crate::areas::mirror::{self, MirroredArea};
use crate::lockers;

/// Entities per transaction, rounded up to whole areas, so that other writes are not delayed long.
const BATCH_ENTITIES: usize = 2_000;

/// The changes to make.
#[derive(Debug, Default)]
pub(super) struct MirrorPlan {
    pub(super) changed: Vec<MirroredArea>,
    pub(super) removed: Vec<AreaId>,
    lockers: BTreeMap<LockerId, KioskId>,
    /// Totals for the log.
    pub(super) areas: usize,
    pub(super) entities: usize,
}

impl MirrorPlan {
    /// Compares the stored areas with those of Home Assistant.
    pub(super) fn new(stored: Vec<Area>, areas: Vec<MirroredArea>) -> Self {
        let mut plan = Self {
            areas: areas.len(),
            entities: areas.iter().map(|area| area.entity_ids.len()).sum(),
            ..Self::default()
        };
        let wanted: BTreeSet<&AreaId> = areas.iter().map(|area| &area.id).collect();
        plan.removed = stored
            .iter()
            .filter(|area| !wanted.contains(&area.id))
            .map(|area| area.id.clone())
            .collect();
        for area in &areas {
            for entity in area.entity_ids.iter().filter(|id| id.domain() == "lock") {
                let (id, kiosk) = (entity.as_str().parse(), area.id.as_str().parse());
                if let (Ok(id), Ok(kiosk)) = (id, kiosk) {
                    plan.lockers.insert(id, kiosk);
                }
            }
        }
        let stored: BTreeMap<&AreaId, &Area> = stored.iter().map(|area| (&area.id, area)).collect();
        let is_changed =
            |area: &MirroredArea| !stored.get(&area.id).is_some_and(|old| area.matches(old));
        plan.changed = areas.into_iter().filter(is_changed).collect();
        plan
    }
}

/// Writes a plan. Usual changes fit one transaction; a large home takes several.
pub(super) async fn apply(store: &Store, plan: MirrorPlan) -> Result<(), StoreError> {
    let MirrorPlan {
        mut changed,
        removed,
        lockers,
        ..
    } = plan;
    let mut removed = Some(removed);
    // `pop` takes from the end: reverse, so that areas are written in Home Assistant's order.
    changed.reverse();
    loop {
        let mut batch = Vec::new();
        let mut entities = 0;
        while entities < BATCH_ENTITIES
            && let Some(area) = changed.pop()
        {
            entities += area.entity_ids.len() + 1;
            batch.push(area);
        }
        let removed_now = removed.take().unwrap_or_default();
        let is_last = changed.is_empty();
        let lockers = is_last.then(|| lockers.clone());
        store
            .write(move |tx| {
                for id in removed_now {
                    mirror::delete(tx, &id)?;
                }
                for area in batch {
                    let id = area.id.clone();
                    if !mirror::put(tx, area)? {
                        tracing::warn!(
                            area = %id,
                            "area not mirrored from Home Assistant: a local area has its id"
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
