//! Which enabled areas contain which visible entities, as of the last commit.

use std::collections::HashMap;

use wallcast_core::entity_id::EntityId;
use wallcast_core::ids::AreaId;

/// Entities by area and areas by entity. Disabled areas are not in it.
#[derive(Debug, Default)]
pub(super) struct AreaIndex {
    entities: HashMap<AreaId, Vec<EntityId>>,
    areas: HashMap<EntityId, Vec<AreaId>>,
}

impl AreaIndex {
    /// Replaces the entities of an area. An empty list removes it.
    pub(super) fn set(&mut self, area: &AreaId, entities: Vec<EntityId>) {
        for entity in self.entities.remove(area).unwrap_or_default() {
            if let Some(holders) = self.areas.get_mut(&entity) {
                holders.retain(|holder| holder != area);
                if holders.is_empty() {
                    self.areas.remove(&entity);
                }
            }
        }
        if entities.is_empty() {
            return;
        }
        for entity in &entities {
            match self.areas.get_mut(entity) {
                Some(holders) => {
                    holders.push(area.clone());
                    holders.sort_unstable();
                }
                // Most entities of a large home are in exactly one area.
                None => {
                    self.areas.insert(entity.clone(), vec![area.clone()]);
                }
            }
        }
        self.entities.insert(area.clone(), entities);
    }

    /// The areas that contain an entity, by ascending id.
    pub(super) fn areas_of(&self, entity: &EntityId) -> &[AreaId] {
        self.areas.get(entity).map_or(&[], Vec::as_slice)
    }

    /// The entities of an area, each with all areas that contain it.
    pub(super) fn entities_in(
        &self,
        area: &AreaId,
    ) -> impl Iterator<Item = (&EntityId, &[AreaId])> {
        let entities = self.entities.get(area).into_iter().flatten();
        entities.map(|id| (id, self.areas_of(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(texts: &[&str]) -> Vec<EntityId> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn index_tracks_entities_in_several_areas() {
        let (kitchen, hall) = ("kitchen".parse().unwrap(), "hall".parse().unwrap());
        let lamp = "light.lamp".parse().unwrap();
        let mut index = AreaIndex::default();
        index.set(&kitchen, ids(&["light.lamp", "light.oven"]));
        index.set(&hall, ids(&["light.lamp"]));
        assert_eq!(index.areas_of(&lamp), [hall.clone(), kitchen.clone()]);
        index.set(&kitchen, ids(&["light.oven"]));
        assert_eq!(index.areas_of(&lamp), std::slice::from_ref(&hall));
        let seen: Vec<_> = index
            .entities_in(&kitchen)
            .map(|(id, _)| id.clone())
            .collect();
        assert_eq!(seen, ids(&["light.oven"]));
        index.set(&hall, Vec::new());
        assert!(index.areas_of(&lamp).is_empty() && index.entities_in(&hall).next().is_none());
        index.set(&kitchen, Vec::new());
        assert!(
            index.areas.is_empty() && index.entities.is_empty(),
            "nothing is left"
        );
    }
}
