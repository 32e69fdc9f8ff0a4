//! Plans the `subscribe_entities` subscriptions at Home Assistant. New entities get an additional
//! subscription; a subscription with an entity that is no longer visible is replaced by one with
//! the rest. Pure.

use std::collections::{BTreeMap, BTreeSet};

use wallcast_core::entity_id::EntityId;

/// Entities per subscription. Home Assistant checks each subscription on every state change.
const MAX_ENTITIES: usize = 2000;
/// Subscriptions open at once. One more makes the plan replace all of them by as few as possible.
const MAX_SUBSCRIPTIONS: usize = 16;

/// Our own number for a subscription.
pub(super) type SubscriptionId = u64;

/// Entities by subscription. No set is empty: Home Assistant reads an empty list as all entities.
pub(super) type SubscribedEntities = BTreeMap<SubscriptionId, BTreeSet<EntityId>>;

/// What to change. Subscribe first, then unsubscribe, so that no change is missed in between.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SubscriptionPlan {
    pub(super) subscribe: Vec<BTreeSet<EntityId>>,
    pub(super) unsubscribe: Vec<SubscriptionId>,
}

/// The steps from the `current` subscriptions to the `visible` entities.
pub(super) fn plan(current: &SubscribedEntities, visible: &BTreeSet<EntityId>) -> SubscriptionPlan {
    let is_kept = |ids: &BTreeSet<EntityId>| ids.is_subset(visible);
    let kept: Vec<_> = current.values().filter(|ids| is_kept(ids)).collect();
    let plan_with = |kept: &[&BTreeSet<EntityId>], unsubscribe: Vec<SubscriptionId>| {
        let is_subscribed = |id: &EntityId| kept.iter().any(|ids| ids.contains(id));
        let missing: Vec<_> = visible
            .iter()
            .filter(|id| !is_subscribed(id))
            .cloned()
            .collect();
        let chunks = missing.chunks(MAX_ENTITIES);
        let subscribe = chunks
            .map(|chunk| chunk.iter().cloned().collect())
            .collect();
        SubscriptionPlan {
            subscribe,
            unsubscribe,
        }
    };
    let replaced = current.iter().filter(|(_, ids)| !is_kept(ids));
    let incremental = plan_with(&kept, replaced.map(|(id, _)| *id).collect());
    if incremental.subscribe.is_empty()
        || kept.len() + incremental.subscribe.len() <= MAX_SUBSCRIPTIONS
    {
        incremental
    } else {
        plan_with(&[], current.keys().copied().collect())
    }
}

/// Whether Home Assistant accepts the entity id (`homeassistant.core.valid_entity_id`). One id that
/// it rejects would fail the whole subscription.
pub(super) fn is_valid_entity_id(entity: &EntityId) -> bool {
    let has_outer_underscore = |part: &str| part.starts_with('_') || part.ends_with('_');
    let id = entity.as_str();
    !id.contains("__") && !id.split('.').any(has_outer_underscore)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<EntityId> {
        let id = |n: usize| format!("light.l{n}").parse().unwrap();
        numbers.into_iter().map(id).collect()
    }

    fn execute(
        current: &mut SubscribedEntities,
        plan: SubscriptionPlan,
        next: &mut SubscriptionId,
    ) {
        for subscribed in plan.subscribe {
            *next += 1;
            current.insert(*next, subscribed);
        }
        for unsubscribed in plan.unsubscribe {
            assert!(current.remove(&unsubscribed).is_some());
        }
    }

    #[test]
    fn plan_adds_one_subscription_and_replaces_shrunk_ones() {
        let mut current = SubscribedEntities::from([(1, ids(0..3)), (2, ids(3..5))]);
        assert_eq!(plan(&current, &ids(0..5)), SubscriptionPlan::default());
        let grown = plan(&current, &ids(0..9));
        assert_eq!(
            grown,
            SubscriptionPlan {
                subscribe: vec![ids(5..9)],
                unsubscribe: vec![]
            }
        );
        let shrunk = plan(&current, &ids([0, 2, 3, 4]));
        assert_eq!(
            shrunk,
            SubscriptionPlan {
                subscribe: vec![ids([0, 2])],
                unsubscribe: vec![1]
            }
        );
        let both = plan(&current, &ids([0, 1, 2, 3, 7]));
        assert_eq!(
            both,
            SubscriptionPlan {
                subscribe: vec![ids([3, 7])],
                unsubscribe: vec![2]
            }
        );
        let none = plan(&current, &ids([]));
        assert_eq!(
            none,
            SubscriptionPlan {
                subscribe: vec![],
                unsubscribe: vec![1, 2]
            }
        );
        current.clear();
        let sizes: Vec<_> = plan(&current, &ids(0..4500))
            .subscribe
            .iter()
            .map(BTreeSet::len)
            .collect();
        assert_eq!(sizes, [2000, 2000, 500]);
    }

    #[test]
    fn invalid_entity_ids_are_recognized() {
        for good in ["light.a", "light.a_b", "input_boolean.x_1"] {
            assert!(is_valid_entity_id(&good.parse().unwrap()), "{good}");
        }
        for bad in [
            "light._a",
            "light.a_",
            "_light.a",
            "light_.a",
            "light.a__b",
            "li__ght.a",
        ] {
            assert!(!is_valid_entity_id(&bad.parse().unwrap()), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn plan_reaches_visible_set_within_limits(
            steps in prop::collection::vec(prop::collection::btree_set(0..40usize, 0..40), 1..40),
        ) {
            let (mut current, mut next) = (SubscribedEntities::new(), 0);
            for step in steps {
                let visible = ids(step);
                let plan = plan(&current, &visible);
                execute(&mut current, plan, &mut next);
                let all: BTreeSet<_> = current.values().flatten().cloned().collect();
                prop_assert_eq!(all, visible);
                prop_assert!(current.len() <= MAX_SUBSCRIPTIONS);
                prop_assert!(current.values().all(|of| !of.is_empty()));
                prop_assert_eq!(super::plan(&current, &ids([])).subscribe.len(), 0);
            }
        }
    }
}
