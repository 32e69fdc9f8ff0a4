//! Which enabled areas hold which of the wanted entities, as of the last commit.

use std::collections::HashMap;

use wallcast_core::entity_id::EntityId;
use wallcast_core::ids::AreaId;

/// Areas and their entities, both ways. Knows nothing of disabled areas.
#[derive(Debug, Default)]
pub(super) struct View {
    entities: HashMap<AreaId, Vec<EntityId>>,
    areas: HashMap<EntityId, Vec<AreaId>>,
}

impl View {
    /// The area has these entities from now on, or none.
    pub(super) fn show(&mut self, area: &AreaId, entities: Vec<EntityId>) {
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
                // Of a large house most are in one area alone.
                None => {
                    self.areas.insert(entity.clone(), vec![area.clone()]);
                }
            }
        }
        self.entities.insert(area.clone(), entities);
    }

    /// The areas that hold an entity, by their ids.
    pub(super) fn areas_of(&self, entity: &EntityId) -> &[AreaId] {
        self.areas.get(entity).map_or(&[], Vec::as_slice)
    }

    /// The entities of an area, and all areas of each.
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
    fn an_entity_is_in_each_area_that_shows_it_and_in_no_other() {
        let (kitchen, hall) = ("kitchen".parse().unwrap(), "hall".parse().unwrap());
        let lamp = "light.lamp".parse().unwrap();
        let mut view = View::default();
        view.show(&kitchen, ids(&["light.lamp", "light.oven"]));
        view.show(&hall, ids(&["light.lamp"]));
        assert_eq!(view.areas_of(&lamp), [hall.clone(), kitchen.clone()]);
        view.show(&kitchen, ids(&["light.oven"]));
        assert_eq!(view.areas_of(&lamp), std::slice::from_ref(&hall));
        let seen: Vec<_> = view
            .entities_in(&kitchen)
            .map(|(id, _)| id.clone())
            .collect();
        assert_eq!(seen, ids(&["light.oven"]));
        view.show(&hall, Vec::new());
        assert!(view.areas_of(&lamp).is_empty() && view.entities_in(&hall).next().is_none());
        view.show(&kitchen, Vec::new());
        assert!(
            view.areas.is_empty() && view.entities.is_empty(),
            "nothing is left"
        );
    }
}
