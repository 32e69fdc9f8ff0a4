//! The state of one entity, and the compressed form in which `subscribe_entities` sends it
//! (`homeassistant.components.websocket_api`, compressed states). Pure. Malformed data of one
//! entity does not affect the others.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use wallcast_core::clock::Timestamp;
use wallcast_core::entity_id::EntityId;

/// Characters kept of a state. Home Assistant allows 255.
const MAX_STATE_CHARS: usize = 1024;
/// Attributes kept per entity, in bytes. Above it the largest attributes are dropped.
const MAX_ATTRIBUTES_BYTES: usize = 32 * 1024;

#[derive(Clone, Debug)]
pub(super) struct EntityState {
    /// For example `on` or `unavailable`.
    pub(super) value: Box<str>,
    /// A JSON object; its values are as Home Assistant wrote them.
    pub(super) attributes: Box<RawValue>,
    /// When `value` last changed.
    pub(super) changed_at: Timestamp,
}

/// An event's content for one entity.
#[derive(Debug)]
pub(super) enum StateUpdate<'a> {
    /// The full state.
    Added(CompressedState<'a>),
    /// The difference from the previous state.
    Changed(StateDiff<'a>),
    /// The entity has no state any more.
    Removed,
}

#[derive(Debug, Deserialize)]
pub(super) struct CompressedState<'a> {
    #[serde(rename = "s")]
    state: String,
    #[serde(rename = "a", borrow, default)]
    attributes: Option<&'a RawValue>,
    #[serde(rename = "lc", default)]
    last_changed: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct StateDiff<'a> {
    #[serde(rename = "+", borrow, default)]
    additions: Option<DiffAdditions<'a>>,
    #[serde(rename = "-", default)]
    removals: Option<DiffRemovals>,
}

#[derive(Debug, Default, Deserialize)]
struct DiffAdditions<'a> {
    #[serde(rename = "s", default)]
    state: Option<String>,
    #[serde(rename = "a", borrow, default)]
    attributes: Option<BTreeMap<String, &'a RawValue>>,
    #[serde(rename = "lc", default)]
    last_changed: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
struct DiffRemovals {
    #[serde(rename = "a", default)]
    attributes: Option<Vec<String>>,
}

/// An event of `subscribe_entities`.
#[derive(Deserialize)]
struct EntitiesEvent<'a> {
    #[serde(rename = "a", borrow, default)]
    added: Option<BTreeMap<String, &'a RawValue>>,
    #[serde(rename = "c", borrow, default)]
    changed: Option<BTreeMap<String, &'a RawValue>>,
    #[serde(rename = "r", default)]
    removed: Option<Vec<String>>,
}

/// Parses an event. Entities whose part is malformed are left out.
///
/// # Errors
/// Fails if the event itself is malformed.
pub(super) fn parse_event(
    event: &RawValue,
) -> Result<Vec<(EntityId, StateUpdate<'_>)>, serde_json::Error> {
    let event: EntitiesEvent<'_> = serde_json::from_str(event.get())?;
    let mut updates = Vec::new();
    for (id, state) in event.added.unwrap_or_default() {
        let state = serde_json::from_str(state.get())
            .ok()
            .map(StateUpdate::Added);
        updates.extend(id.parse().ok().zip(state));
    }
    for (id, diff) in event.changed.unwrap_or_default() {
        let diff = serde_json::from_str(diff.get())
            .ok()
            .map(StateUpdate::Changed);
        updates.extend(id.parse().ok().zip(diff));
    }
    for id in event.removed.unwrap_or_default() {
        updates.extend(id.parse().ok().map(|id| (id, StateUpdate::Removed)));
    }
    Ok(updates)
}

impl EntityState {
    /// The state after an update; `None` if the entity is gone, or if a diff arrives without a
    /// previous state.
    pub(super) fn apply(
        before: Option<&Self>,
        update: &StateUpdate<'_>,
        now: Timestamp,
    ) -> Option<Self> {
        match (update, before) {
            (StateUpdate::Added(full), _) => Some(Self {
                value: truncated(&full.state),
                attributes: full.attributes.map_or_else(empty_object, normalized),
                changed_at: full.last_changed.map_or(now, timestamp),
            }),
            (StateUpdate::Changed(diff), Some(before)) => Some(before.with_diff(diff, now)),
            (StateUpdate::Changed(_), None) | (StateUpdate::Removed, _) => None,
        }
    }

    fn with_diff(&self, diff: &StateDiff<'_>, now: Timestamp) -> Self {
        let additions = diff.additions.as_ref();
        let removals = diff.removals.as_ref();
        let gone = removals.and_then(|removals| removals.attributes.as_ref());
        let new = additions.and_then(|additions| additions.attributes.as_ref());
        let attributes = match (new, gone) {
            (None, None) => self.attributes.clone(),
            (new, gone) => {
                let mut all = parse_attributes(&self.attributes);
                for key in gone.into_iter().flatten() {
                    all.remove(key);
                }
                for (key, value) in new.into_iter().flatten() {
                    all.insert(key.clone(), value);
                }
                within_limit(all)
            }
        };
        let value = additions
            .and_then(|additions| additions.state.as_deref())
            .map(truncated);
        let changed_at = match (
            additions.and_then(|additions| additions.last_changed),
            &value,
        ) {
            (Some(at), _) => timestamp(at),
            (None, Some(value)) if *value != self.value => now,
            (None, _) => self.changed_at,
        };
        Self {
            value: value.unwrap_or_else(|| self.value.clone()),
            attributes,
            changed_at,
        }
    }

    /// Whether value and attributes are the same.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.value == other.value && self.attributes.get() == other.attributes.get()
    }

    pub(super) fn device_class(&self) -> Option<String> {
        let all = parse_attributes(&self.attributes);
        let class = all.get("device_class")?;
        serde_json::from_str(class.get()).ok()
    }
}

fn truncated(value: &str) -> Box<str> {
    value
        .chars()
        .take(MAX_STATE_CHARS)
        .collect::<String>()
        .into()
}

/// Converts Unix seconds with a fraction.
fn timestamp(seconds: f64) -> Timestamp {
    // A cast from a float saturates; NaN becomes 0.
    #[allow(clippy::cast_possible_truncation, reason = "it saturates")]
    let ms = (seconds * 1000.0).round() as i64;
    Timestamp::from_unix_ms(ms)
}

/// The attributes by name, their values not parsed. Empty if the JSON is no object.
fn parse_attributes(attributes: &RawValue) -> BTreeMap<String, &RawValue> {
    serde_json::from_str(attributes.get()).unwrap_or_default()
}

fn normalized(attributes: &RawValue) -> Box<RawValue> {
    // The same form as after a diff, so that an equal full state compares equal.
    within_limit(parse_attributes(attributes))
}

fn within_limit(mut all: BTreeMap<String, &RawValue>) -> Box<RawValue> {
    let size = |all: &BTreeMap<String, &RawValue>| -> usize {
        all.iter()
            .map(|(key, value)| key.len() + value.get().len())
            .sum()
    };
    while size(&all) > MAX_ATTRIBUTES_BYTES {
        let largest = all.iter().max_by_key(|(_, value)| value.get().len());
        let Some(key) = largest.map(|(key, _)| key.clone()) else {
            break;
        };
        all.remove(&key);
    }
    serde_json::value::to_raw_value(&all).unwrap_or_else(|_| empty_object())
}

fn empty_object() -> Box<RawValue> {
    serde_json::value::to_raw_value(&BTreeMap::<String, u8>::new())
        .unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn raw(value: &Value) -> Box<RawValue> {
        serde_json::value::to_raw_value(value).unwrap()
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    /// The state of one entity after a sequence of events.
    fn state_after(events: &[Value]) -> Option<EntityState> {
        let mut state: Option<EntityState> = None;
        for event in events {
            let event = raw(event);
            for (_, update) in parse_event(&event).unwrap() {
                state = EntityState::apply(state.as_ref(), &update, at(9_000));
            }
        }
        state
    }

    fn summary(state: &EntityState) -> Value {
        let attributes: Value = serde_json::from_str(state.attributes.get()).unwrap();
        json!([&*state.value, attributes, state.changed_at.unix_ms()])
    }

    #[test]
    fn diffs_apply_to_full_state() {
        let full = json!({ "a": { "light.a": {
            "s": "off", "a": { "friendly_name": "Lämp", "n": null, "deep": { "x": [1, "}"] } },
            "c": "01CTX", "lc": 1.5 } } });
        let state = state_after(std::slice::from_ref(&full)).unwrap();
        let attributes = json!({ "friendly_name": "Lämp", "n": null, "deep": { "x": [1, "}"] } });
        assert_eq!(summary(&state), json!(["off", attributes, 1500]));
        assert_eq!(state.device_class(), None);

        let context = json!({ "id": "01CTX", "parent_id": null, "user_id": "u" });
        let on = json!({ "c": { "light.a": {
            "+": { "s": "on", "lc": 2.0, "c": context, "a": { "brightness": 7, "n": "é" } },
            "-": { "a": ["deep", "never_there"] } } } });
        let state = state_after(&[full.clone(), on.clone()]).unwrap();
        let attributes = json!({ "friendly_name": "Lämp", "n": "é", "brightness": 7 });
        assert_eq!(summary(&state), json!(["on", attributes, 2000]));
        let again = state_after(&[full.clone(), on.clone(), on]).unwrap();
        assert!(
            again.is_same_as(&state),
            "applying a diff twice changes nothing more"
        );

        let updated = json!({ "c": { "light.a": { "+": { "lu": 3.0, "c": "01" } } } });
        let before = state_after(std::slice::from_ref(&full)).unwrap();
        let after = state_after(&[full.clone(), updated]).unwrap();
        assert!(after.is_same_as(&before) && after.changed_at == before.changed_at);
        let dateless = json!({ "c": { "light.a": { "+": { "s": "on" } } } });
        assert_eq!(
            state_after(&[full.clone(), dateless]).unwrap().changed_at,
            at(9_000)
        );
        assert!(state_after(&[full, json!({ "r": ["light.a"] })]).is_none());
    }

    #[test]
    fn diff_without_full_state_is_ignored() {
        assert!(state_after(&[json!({ "c": { "light.a": { "+": { "s": "on" } } } })]).is_none());
    }

    #[test]
    fn malformed_entity_does_not_affect_others() {
        let event = raw(&json!({
            "a": { "light.a": { "s": 7 }, "light.b": { "s": "on" }, "no id": { "s": "on" },
                   "light.c": "on", "light.d": { "s": "on", "a": [1] } },
            "c": { "light.e": { "+": { "a": 7 } }, "light.f": {} },
            "r": ["light.g", "?"], "later": 1 }));
        let updates = parse_event(&event).unwrap();
        let ids: Vec<_> = updates.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["light.b", "light.d", "light.f", "light.g"]);
        let broken = EntityState::apply(None, &updates[1].1, at(1)).unwrap();
        assert_eq!(broken.attributes.get(), "{}");
        for wrong in [
            json!(7),
            json!("a"),
            json!({ "a": [] }),
            json!({ "r": "x" }),
        ] {
            assert!(parse_event(&raw(&wrong)).is_err(), "{wrong}");
        }
        assert!(parse_event(&raw(&json!({}))).unwrap().is_empty());
    }

    #[test]
    fn state_and_attributes_are_truncated() {
        let big = "x".repeat(MAX_ATTRIBUTES_BYTES);
        let full = json!({ "a": { "cover.a": { "s": "y".repeat(5000),
            "a": { "big": big, "device_class": "garage" } } } });
        let state = state_after(&[full]).unwrap();
        assert_eq!(state.value.len(), MAX_STATE_CHARS);
        assert_eq!(state.device_class().as_deref(), Some("garage"));
        assert!(state.attributes.get().len() < 100);
    }

    fn attributes() -> impl Strategy<Value = BTreeMap<String, Value>> {
        let value = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            "\\PC{0,6}".prop_map(Value::from),
            prop::collection::vec(any::<u8>(), 0..3).prop_map(|list| json!({ "in": list })),
        ];
        prop::collection::btree_map("[a-e\"é]", value, 0..5)
    }

    proptest! {
        /// Applying the diff that Core makes from two states to the first gives the second.
        #[test]
        fn diff_of_two_states_gives_the_second(
            states in prop::collection::vec(("[a-c]{0,2}", attributes()), 1..6),
        ) {
            let (value, first) = &states[0];
            let mut events = vec![json!({ "a": { "x.y": { "s": value, "a": first, "lc": 0.0 } } })];
            for pair in states.windows(2) {
                let ((old, before), (new, after)) = (&pair[0], &pair[1]);
                let mut change = json!({ "+": { "lc": 1.0 } });
                if new != old {
                    change["+"]["s"] = json!(new);
                }
                let plus: BTreeMap<_, _> =
                    after.iter().filter(|(key, value)| before.get(*key) != Some(value)).collect();
                if !plus.is_empty() {
                    change["+"]["a"] = json!(plus);
                }
                let minus: BTreeSet<_> =
                    before.keys().filter(|key| !after.contains_key(*key)).collect();
                if !minus.is_empty() {
                    change["-"] = json!({ "a": minus });
                }
                events.push(json!({ "c": { "x.y": change } }));
            }
            let last = states.last().unwrap();
            let state = state_after(&events).unwrap();
            let attributes: BTreeMap<String, Value> =
                serde_json::from_str(state.attributes.get()).unwrap();
            prop_assert_eq!((&*state.value, &attributes), (last.0.as_str(), &last.1));
            let full = json!({ "a": { "x.y": { "s": last.0, "a": last.1, "lc": 0.0 } } });
            prop_assert!(state_after(&[full]).unwrap().is_same_as(&state));
        }

        #[test]
        fn parse_event_survives_garbage(text in "[\\[\\]{}\":,acrs+\\-l0-9. ]{0,60}") {
            if let Ok(event) = serde_json::from_str::<Box<RawValue>>(&text)
                && let Ok(updates) = parse_event(&event)
            {
                for (_, update) in updates {
                    EntityState::apply(None, &update, at(1));
                }
            }
        }
    }
}
