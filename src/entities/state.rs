//! The state of one entity, and how Home Assistant tells it in few bytes: the events of
//! `subscribe_entities` (`homeassistant.components.websocket_api`, compressed states). Pure; what
//! is malformed of one entity costs no other its state.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use wallcast_core::clock::Timestamp;
use wallcast_core::entity_id::EntityId;

/// A state is at most 255 characters at Home Assistant.
const MAX_STATE: usize = 1024;
/// Attributes of one entity that are kept, in bytes; above it the largest are let go.
const MAX_ATTRIBUTES: usize = 32 * 1024;

/// The newest state of an entity.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// Such as `on`, or `unavailable`.
    pub(super) value: Box<str>,
    /// A JSON object as Home Assistant wrote it.
    pub(super) attributes: Box<RawValue>,
    /// Since when it has this value.
    pub(super) changed_at: Timestamp,
}

/// What an event says of one entity.
#[derive(Debug)]
pub(super) enum Told<'a> {
    /// All of its state.
    Whole(Whole<'a>),
    /// What changed of it.
    Changed(Changed<'a>),
    /// That it is gone.
    Gone,
}

/// A whole state: `s`, `a`, `lc`.
#[derive(Debug, Deserialize)]
pub(super) struct Whole<'a> {
    s: String,
    #[serde(borrow, default)]
    a: Option<&'a RawValue>,
    #[serde(default)]
    lc: Option<f64>,
}

/// A change: what is new or another, and what is no more.
#[derive(Debug, Deserialize)]
pub(super) struct Changed<'a> {
    #[serde(rename = "+", borrow, default)]
    plus: Option<Plus<'a>>,
    #[serde(rename = "-", default)]
    minus: Option<Minus>,
}

#[derive(Debug, Default, Deserialize)]
struct Plus<'a> {
    #[serde(default)]
    s: Option<String>,
    #[serde(borrow, default)]
    a: Option<BTreeMap<String, &'a RawValue>>,
    #[serde(default)]
    lc: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
struct Minus {
    #[serde(default)]
    a: Option<Vec<String>>,
}

/// An event: states that are new, changes, and what is gone.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    a: Option<BTreeMap<String, &'a RawValue>>,
    #[serde(borrow, default)]
    c: Option<BTreeMap<String, &'a RawValue>>,
    #[serde(default)]
    r: Option<Vec<String>>,
}

/// What an event says of each entity, those left out of which nothing can be read.
///
/// # Errors
/// When the event itself is none.
pub(super) fn read(event: &RawValue) -> Result<Vec<(EntityId, Told<'_>)>, serde_json::Error> {
    let event: Event<'_> = serde_json::from_str(event.get())?;
    let mut told = Vec::new();
    for (id, state) in event.a.unwrap_or_default() {
        let state = serde_json::from_str(state.get()).ok().map(Told::Whole);
        told.extend(id.parse().ok().zip(state));
    }
    for (id, change) in event.c.unwrap_or_default() {
        let change = serde_json::from_str(change.get()).ok().map(Told::Changed);
        told.extend(id.parse().ok().zip(change));
    }
    for id in event.r.unwrap_or_default() {
        told.extend(id.parse().ok().map(|id| (id, Told::Gone)));
    }
    Ok(told)
}

impl State {
    /// What is known after this was told; none when the entity is gone, or was never told whole.
    pub(super) fn after(before: Option<&Self>, told: &Told<'_>, now: Timestamp) -> Option<Self> {
        match (told, before) {
            (Told::Whole(whole), _) => Some(Self {
                value: bounded(&whole.s),
                attributes: whole.a.map_or_else(none, whole_attributes),
                changed_at: whole.lc.map_or(now, moment),
            }),
            (Told::Changed(changed), Some(before)) => Some(before.changed(changed, now)),
            (Told::Changed(_), None) | (Told::Gone, _) => None,
        }
    }

    fn changed(&self, changed: &Changed<'_>, now: Timestamp) -> Self {
        let plus = changed.plus.as_ref();
        let gone = changed.minus.as_ref().and_then(|minus| minus.a.as_ref());
        let new = plus.and_then(|plus| plus.a.as_ref());
        let attributes = match (new, gone) {
            (None, None) => self.attributes.clone(),
            (new, gone) => {
                let mut all = shallow(&self.attributes);
                for key in gone.into_iter().flatten() {
                    all.remove(key);
                }
                for (key, value) in new.into_iter().flatten() {
                    all.insert(key.clone(), value);
                }
                kept(all)
            }
        };
        let value = plus.and_then(|plus| plus.s.as_deref()).map(bounded);
        let changed_at = match (plus.and_then(|plus| plus.lc), &value) {
            (Some(at), _) => moment(at),
            (None, Some(value)) if *value != self.value => now,
            (None, _) => self.changed_at,
        };
        Self {
            value: value.unwrap_or_else(|| self.value.clone()),
            attributes,
            changed_at,
        }
    }

    /// Whether both tell the same.
    pub(super) fn tells_as(&self, other: &Self) -> bool {
        self.value == other.value && self.attributes.get() == other.attributes.get()
    }

    /// The attribute that says what kind of thing it is; none where there is none.
    pub(super) fn device_class(&self) -> Option<String> {
        let all = shallow(&self.attributes);
        let class = all.get("device_class")?;
        serde_json::from_str(class.get()).ok()
    }
}

fn bounded(value: &str) -> Box<str> {
    value.chars().take(MAX_STATE).collect::<String>().into()
}

/// Seconds since 1970, with fractions.
fn moment(seconds: f64) -> Timestamp {
    // A cast from a float saturates, and is 0 for what is no number.
    #[allow(clippy::cast_possible_truncation, reason = "it saturates")]
    let ms = (seconds * 1000.0).round() as i64;
    Timestamp::from_unix_ms(ms)
}

/// The attributes by name, their values unread. None of what is no object.
fn shallow(attributes: &RawValue) -> BTreeMap<String, &RawValue> {
    serde_json::from_str(attributes.get()).unwrap_or_default()
}

fn whole_attributes(attributes: &RawValue) -> Box<RawValue> {
    // In the same form as after a change, so that telling it again is no change.
    kept(shallow(attributes))
}

fn kept(mut all: BTreeMap<String, &RawValue>) -> Box<RawValue> {
    let size = |all: &BTreeMap<String, &RawValue>| -> usize {
        all.iter()
            .map(|(key, value)| key.len() + value.get().len())
            .sum()
    };
    while size(&all) > MAX_ATTRIBUTES {
        let largest = all.iter().max_by_key(|(_, value)| value.get().len());
        let Some(key) = largest.map(|(key, _)| key.clone()) else {
            break;
        };
        all.remove(&key);
    }
    serde_json::value::to_raw_value(&all).unwrap_or_else(|_| none())
}

fn none() -> Box<RawValue> {
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

    /// What is known of one entity after these events, one after the other.
    fn known(events: &[Value]) -> Option<State> {
        let mut state: Option<State> = None;
        for event in events {
            let event = raw(event);
            for (_, told) in read(&event).unwrap() {
                state = State::after(state.as_ref(), &told, at(9_000));
            }
        }
        state
    }

    fn shown(state: &State) -> Value {
        let attributes: Value = serde_json::from_str(state.attributes.get()).unwrap();
        json!([&*state.value, attributes, state.changed_at.unix_ms()])
    }

    #[test]
    fn a_state_is_told_whole_and_then_by_what_changes() {
        let whole = json!({ "a": { "light.a": {
            "s": "off", "a": { "friendly_name": "Lämp", "n": null, "deep": { "x": [1, "}"] } },
            "c": "01CTX", "lc": 1.5 } } });
        let state = known(std::slice::from_ref(&whole)).unwrap();
        let attributes = json!({ "friendly_name": "Lämp", "n": null, "deep": { "x": [1, "}"] } });
        assert_eq!(shown(&state), json!(["off", attributes, 1500]));
        assert_eq!(state.device_class(), None);

        let context = json!({ "id": "01CTX", "parent_id": null, "user_id": "u" });
        let on = json!({ "c": { "light.a": {
            "+": { "s": "on", "lc": 2.0, "c": context, "a": { "brightness": 7, "n": "é" } },
            "-": { "a": ["deep", "never_there"] } } } });
        let state = known(&[whole.clone(), on.clone()]).unwrap();
        let attributes = json!({ "friendly_name": "Lämp", "n": "é", "brightness": 7 });
        assert_eq!(shown(&state), json!(["on", attributes, 2000]));
        let again = known(&[whole.clone(), on.clone(), on]).unwrap();
        assert!(again.tells_as(&state), "twice is once");

        let updated = json!({ "c": { "light.a": { "+": { "lu": 3.0, "c": "01" } } } });
        let before = known(std::slice::from_ref(&whole)).unwrap();
        let after = known(&[whole.clone(), updated]).unwrap();
        assert!(after.tells_as(&before) && after.changed_at == before.changed_at);
        let dateless = json!({ "c": { "light.a": { "+": { "s": "on" } } } });
        assert_eq!(
            known(&[whole.clone(), dateless]).unwrap().changed_at,
            at(9_000)
        );
        assert!(known(&[whole, json!({ "r": ["light.a"] })]).is_none());
    }

    #[test]
    fn a_change_of_what_was_never_told_whole_tells_nothing() {
        assert!(known(&[json!({ "c": { "light.a": { "+": { "s": "on" } } } })]).is_none());
    }

    #[test]
    fn what_is_malformed_of_one_entity_costs_no_other_its_state() {
        let event = raw(&json!({
            "a": { "light.a": { "s": 7 }, "light.b": { "s": "on" }, "no id": { "s": "on" },
                   "light.c": "on", "light.d": { "s": "on", "a": [1] } },
            "c": { "light.e": { "+": { "a": 7 } }, "light.f": {} },
            "r": ["light.g", "?"], "later": 1 }));
        let told = read(&event).unwrap();
        let ids: Vec<_> = told.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["light.b", "light.d", "light.f", "light.g"]);
        let broken = State::after(None, &told[1].1, at(1)).unwrap();
        assert_eq!(broken.attributes.get(), "{}");
        for wrong in [
            json!(7),
            json!("a"),
            json!({ "a": [] }),
            json!({ "r": "x" }),
        ] {
            assert!(read(&raw(&wrong)).is_err(), "{wrong}");
        }
        assert!(read(&raw(&json!({}))).unwrap().is_empty());
    }

    #[test]
    fn what_is_kept_of_one_entity_is_bounded() {
        let big = "x".repeat(MAX_ATTRIBUTES);
        let whole = json!({ "a": { "cover.a": { "s": "y".repeat(5000),
            "a": { "big": big, "device_class": "garage" } } } });
        let state = known(&[whole]).unwrap();
        assert_eq!(state.value.len(), MAX_STATE);
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
        /// As Core makes a change from two states, we make the second from the first.
        #[test]
        fn a_change_makes_the_newer_state_of_the_older(
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
            let state = known(&events).unwrap();
            let told: BTreeMap<String, Value> =
                serde_json::from_str(state.attributes.get()).unwrap();
            prop_assert_eq!((&*state.value, &told), (last.0.as_str(), &last.1));
            let whole = json!({ "a": { "x.y": { "s": last.0, "a": last.1, "lc": 0.0 } } });
            prop_assert!(known(&[whole]).unwrap().tells_as(&state));
        }

        #[test]
        fn garbage_is_an_error_or_nothing_and_no_panic(text in "[\\[\\]{}\":,acrs+\\-l0-9. ]{0,60}") {
            if let Ok(event) = serde_json::from_str::<Box<RawValue>>(&text)
                && let Ok(told) = read(&event)
            {
                for (_, told) in told {
                    State::after(None, &told, at(1));
                }
            }
        }
    }
}
