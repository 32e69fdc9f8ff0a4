//! Which entities are subscribed at Home Assistant by which subscription, and how that follows what
//! is wanted: additions get one of their own, and one that holds what nobody wants any more is
//! replaced by what is left of it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use wallcast_core::entity_id::EntityId;

/// Entities of one subscription. Home Assistant looks at each subscription for every state change.
const MAX_ENTITIES: usize = 2000;
/// Subscriptions that may stand at once; one more has all of them begun anew, as few as can be.
const MAX_SUBSCRIPTIONS: usize = 16;

/// A subscription's number, ours.
pub(super) type Number = u64;

/// What each subscription is for. Never empty: Home Assistant takes no entities for all of them.
pub(super) type Held = BTreeMap<Number, BTreeSet<EntityId>>;

/// What is to be done, in this order, so that no change is missed between the two.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// To be subscribed.
    pub(super) begin: Vec<BTreeSet<EntityId>>,
    /// To be given up, once the others have begun.
    pub(super) end: Vec<Number>,
}

/// How what is held becomes what is wanted.
pub(super) fn plan(held: &Held, wanted: &BTreeSet<EntityId>) -> Plan {
    let stays = |of: &BTreeSet<EntityId>| of.is_subset(wanted);
    let kept: Vec<_> = held.values().filter(|of| stays(of)).collect();
    let plan = |kept: &[&BTreeSet<EntityId>], end: Vec<Number>| {
        let is_held = |id: &EntityId| kept.iter().any(|of| of.contains(id));
        let missing: Vec<_> = wanted.iter().filter(|id| !is_held(id)).cloned().collect();
        let chunks = missing.chunks(MAX_ENTITIES);
        let begin = chunks
            .map(|chunk| chunk.iter().cloned().collect())
            .collect();
        Plan { begin, end }
    };
    let ended = held.iter().filter(|(_, of)| !stays(of));
    let grown = plan(&kept, ended.map(|(number, _)| *number).collect());
    if grown.begin.is_empty() || kept.len() + grown.begin.len() <= MAX_SUBSCRIPTIONS {
        grown
    } else {
        plan(&[], held.keys().copied().collect())
    }
}

/// Whether Home Assistant takes this for an entity's id (`homeassistant.core.valid_entity_id`). One
/// that it does not would have it refuse a whole subscription.
pub(super) fn is_askable(entity: &EntityId) -> bool {
    let is_framed = |part: &str| part.starts_with('_') || part.ends_with('_');
    let id = entity.as_str();
    !id.contains("__") && !id.split('.').any(is_framed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<EntityId> {
        let id = |n: usize| format!("light.l{n}").parse().unwrap();
        numbers.into_iter().map(id).collect()
    }

    fn carry_out(held: &mut Held, plan: Plan, next: &mut Number) {
        for begun in plan.begin {
            *next += 1;
            held.insert(*next, begun);
        }
        for ended in plan.end {
            assert!(held.remove(&ended).is_some());
        }
    }

    #[test]
    fn additions_get_one_subscription_and_what_goes_replaces_one() {
        let mut held = Held::from([(1, ids(0..3)), (2, ids(3..5))]);
        assert_eq!(plan(&held, &ids(0..5)), Plan::default());
        let grown = plan(&held, &ids(0..9));
        assert_eq!(
            grown,
            Plan {
                begin: vec![ids(5..9)],
                end: vec![]
            }
        );
        let shrunk = plan(&held, &ids([0, 2, 3, 4]));
        assert_eq!(
            shrunk,
            Plan {
                begin: vec![ids([0, 2])],
                end: vec![1]
            }
        );
        let both = plan(&held, &ids([0, 1, 2, 3, 7]));
        assert_eq!(
            both,
            Plan {
                begin: vec![ids([3, 7])],
                end: vec![2]
            }
        );
        let none = plan(&held, &ids([]));
        assert_eq!(
            none,
            Plan {
                begin: vec![],
                end: vec![1, 2]
            }
        );
        held.clear();
        let sizes: Vec<_> = plan(&held, &ids(0..4500))
            .begin
            .iter()
            .map(BTreeSet::len)
            .collect();
        assert_eq!(sizes, [2000, 2000, 500]);
    }

    #[test]
    fn what_home_assistant_takes_for_no_id_is_not_asked() {
        for good in ["light.a", "light.a_b", "input_boolean.x_1"] {
            assert!(is_askable(&good.parse().unwrap()), "{good}");
        }
        for bad in [
            "light._a",
            "light.a_",
            "_light.a",
            "light_.a",
            "light.a__b",
            "li__ght.a",
        ] {
            assert!(!is_askable(&bad.parse().unwrap()), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn after_every_step_just_what_is_wanted_is_held_by_few(
            steps in prop::collection::vec(prop::collection::btree_set(0..40usize, 0..40), 1..40),
        ) {
            let (mut held, mut next) = (Held::new(), 0);
            for step in steps {
                let wanted = ids(step);
                let plan = plan(&held, &wanted);
                carry_out(&mut held, plan, &mut next);
                let all: BTreeSet<_> = held.values().flatten().cloned().collect();
                prop_assert_eq!(all, wanted);
                prop_assert!(held.len() <= MAX_SUBSCRIPTIONS);
                prop_assert!(held.values().all(|of| !of.is_empty()));
                prop_assert_eq!(super::plan(&held, &ids([])).begin.len(), 0);
            }
        }
    }
}
