//! The services that Wallcast knows, by domain, and the data that each takes: a table. What is not
//! in it is never sent, so that no other target can be smuggled in. After Home Assistant's own
//! `services.yaml` and schemas of each domain.

use serde_json::{Map, Value};

/// A service of a domain.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: &'static str,
    keys: &'static [Key],
    /// `domain.*` is not enough.
    pub(super) must_be_named: bool,
}

/// A key of a service's data, and what it may hold.
type Key = (&'static str, Kind);

/// What a value may be.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Switch,
    /// A whole number within these bounds.
    Whole(i64, i64),
    /// A number within these bounds.
    Number(f64, f64),
    /// A list of whole numbers, each within 0 to 255.
    Bytes(usize),
    /// Two numbers, each from 0 to its bound.
    Pair(f64, f64),
    /// A text of 1 to so many characters, none of them a control character.
    Text(usize),
    /// One of these words.
    Word(&'static [&'static str]),
}

use Kind::{Bytes, Number, Pair, Switch, Text, Whole, Word};

const fn of(name: &'static str, keys: &'static [Key]) -> Service {
    Service {
        name,
        keys,
        must_be_named: false,
    }
}

const fn named(name: &'static str, keys: &'static [Key]) -> Service {
    Service {
        must_be_named: true,
        ..of(name, keys)
    }
}

/// The longest transition that Home Assistant takes, in seconds.
const TRANSITION: Key = ("transition", Number(0.0, 6553.0));
const FLASH: Key = ("flash", Word(&["short", "long"]));
const LIGHT: &[Key] = &[
    TRANSITION,
    FLASH,
    ("brightness", Whole(0, 255)),
    ("brightness_pct", Number(0.0, 100.0)),
    ("brightness_step", Whole(-255, 255)),
    ("brightness_step_pct", Number(-100.0, 100.0)),
    ("color_temp_kelvin", Whole(1, 100_000)),
    ("rgb_color", Bytes(3)),
    ("rgbw_color", Bytes(4)),
    ("rgbww_color", Bytes(5)),
    ("hs_color", Pair(360.0, 100.0)),
    ("xy_color", Pair(1.0, 1.0)),
    ("color_name", Text(64)),
    ("white", Whole(0, 255)),
    ("profile", Text(255)),
    ("effect", Text(255)),
];
const POSITION: Kind = Number(0.0, 100.0);
const DEGREES: Kind = Number(-1000.0, 1000.0);
const VALUE: &[Key] = &[("value", Number(-1e12, 1e12))];
const CODE: &[Key] = &[("code", Text(64))];
const NAME: Kind = Text(255);
const CYCLE: &[Key] = &[("cycle", Switch)];
const ON_OFF: &[Service] = &[of("turn_on", &[]), of("turn_off", &[]), of("toggle", &[])];
const SELECT: &[Service] = &[
    of("select_option", &[("option", NAME)]),
    of("select_next", CYCLE),
    of("select_previous", CYCLE),
    of("select_first", &[]),
    of("select_last", &[]),
];
const FAN_ON: &[Key] = &[("percentage", POSITION), ("preset_mode", NAME)];
const FAN_STEP: &[Key] = &[("percentage_step", POSITION)];

const DOMAINS: &[(&str, &[Service])] = &[
    (
        "light",
        &[
            of("turn_on", LIGHT),
            of("turn_off", &[TRANSITION, FLASH]),
            of("toggle", LIGHT),
        ],
    ),
    ("switch", ON_OFF),
    ("input_boolean", ON_OFF),
    (
        "cover",
        &[
            of("open_cover", &[]),
            of("close_cover", &[]),
            of("stop_cover", &[]),
            of("toggle", &[]),
            of("set_cover_position", &[("position", POSITION)]),
            of("open_cover_tilt", &[]),
            of("close_cover_tilt", &[]),
            of("stop_cover_tilt", &[]),
            of("toggle_cover_tilt", &[]),
            of("set_cover_tilt_position", &[("tilt_position", POSITION)]),
        ],
    ),
    ("scene", &[of("turn_on", &[TRANSITION])]),
    (
        "media_player",
        &[
            of("turn_on", &[]),
            of("turn_off", &[]),
            of("toggle", &[]),
            of("volume_up", &[]),
            of("volume_down", &[]),
            of("volume_set", &[("volume_level", Number(0.0, 1.0))]),
            of("volume_mute", &[("is_volume_muted", Switch)]),
            of("media_play", &[]),
            of("media_pause", &[]),
            of("media_play_pause", &[]),
            of("media_stop", &[]),
            of("media_next_track", &[]),
            of("media_previous_track", &[]),
            of("media_seek", &[("seek_position", Number(0.0, 1e9))]),
            of("select_source", &[("source", NAME)]),
            of("select_sound_mode", &[("sound_mode", NAME)]),
            of("shuffle_set", &[("shuffle", Switch)]),
            of("repeat_set", &[("repeat", Word(&["off", "all", "one"]))]),
            of("clear_playlist", &[]),
            // A content id may be any URL, which Home Assistant or the player then fetches.
            named(
                "play_media",
                &[
                    ("media_content_id", Text(2048)),
                    ("media_content_type", Text(64)),
                    ("enqueue", Word(&["add", "next", "play", "replace"])),
                    ("announce", Switch),
                ],
            ),
        ],
    ),
    (
        "climate",
        &[
            of("turn_on", &[]),
            of("turn_off", &[]),
            of("toggle", &[]),
            of(
                "set_temperature",
                &[
                    ("temperature", DEGREES),
                    ("target_temp_high", DEGREES),
                    ("target_temp_low", DEGREES),
                    ("hvac_mode", NAME),
                ],
            ),
            of("set_hvac_mode", &[("hvac_mode", NAME)]),
            of("set_preset_mode", &[("preset_mode", NAME)]),
            of("set_fan_mode", &[("fan_mode", NAME)]),
            of("set_swing_mode", &[("swing_mode", NAME)]),
            of(
                "set_swing_horizontal_mode",
                &[("swing_horizontal_mode", NAME)],
            ),
            of("set_humidity", &[("humidity", POSITION)]),
        ],
    ),
    (
        "fan",
        &[
            of("turn_on", FAN_ON),
            of("turn_off", &[]),
            of("toggle", &[]),
            of("set_percentage", &[("percentage", POSITION)]),
            of("increase_speed", FAN_STEP),
            of("decrease_speed", FAN_STEP),
            of("set_preset_mode", &[("preset_mode", NAME)]),
            of("oscillate", &[("oscillating", Switch)]),
            of(
                "set_direction",
                &[("direction", Word(&["forward", "reverse"]))],
            ),
        ],
    ),
    ("input_select", SELECT),
    ("select", SELECT),
    (
        "lock",
        &[of("lock", CODE), of("unlock", CODE), of("open", CODE)],
    ),
    ("button", &[of("press", &[])]),
    ("input_button", &[of("press", &[])]),
    ("number", &[of("set_value", VALUE)]),
    (
        "input_number",
        &[
            of("set_value", VALUE),
            of("increment", &[]),
            of("decrement", &[]),
        ],
    ),
    (
        "humidifier",
        &[
            of("turn_on", &[]),
            of("turn_off", &[]),
            of("toggle", &[]),
            of("set_humidity", &[("humidity", POSITION)]),
            of("set_mode", &[("mode", NAME)]),
        ],
    ),
    (
        "vacuum",
        &[
            of("start", &[]),
            of("pause", &[]),
            of("stop", &[]),
            of("return_to_base", &[]),
            of("locate", &[]),
        ],
    ),
    ("script", ON_OFF),
    ("siren", ON_OFF),
    (
        "alarm_control_panel",
        &[
            of("alarm_arm_away", CODE),
            of("alarm_arm_home", CODE),
            of("alarm_arm_night", CODE),
            of("alarm_arm_vacation", CODE),
            of("alarm_disarm", CODE),
        ],
    ),
    (
        "valve",
        &[
            of("open_valve", &[]),
            of("close_valve", &[]),
            of("stop_valve", &[]),
            of("toggle", &[]),
            of("set_valve_position", &[("position", POSITION)]),
        ],
    ),
];

/// The domain of that name, if it is known.
pub(super) fn domain(name: &str) -> Option<&'static str> {
    let found = DOMAINS.iter().find(|(domain, _)| *domain == name);
    found.map(|(domain, _)| *domain)
}

/// Every service that is known of a domain.
pub(super) fn of_domain(name: &str) -> &'static [Service] {
    let found = DOMAINS.iter().find(|(domain, _)| *domain == name);
    found.map_or(&[], |(_, services)| services)
}

/// A service of a domain, if both are known.
pub(super) fn find(domain: &str, name: &str) -> Option<&'static Service> {
    let (_, services) = DOMAINS.iter().find(|(of, _)| *of == domain)?;
    services.iter().find(|service| service.name == name)
}

impl Service {
    /// Refuses data that the service does not take.
    ///
    /// # Errors
    /// Which key is wrong and how, in a sentence.
    pub(super) fn check(&self, data: &Map<String, Value>) -> Result<(), String> {
        for (key, value) in data {
            let Some((_, kind)) = self.keys.iter().find(|(known, _)| known == key) else {
                let known: Vec<_> = self.keys.iter().map(|(key, _)| *key).collect();
                let takes = match known.is_empty() {
                    true => "no data".to_owned(),
                    false => known.join(", "),
                };
                let key: String = key.chars().take(64).collect();
                return Err(format!(
                    "data.{key} is not taken; {} takes {takes}",
                    self.name
                ));
            };
            if !kind.takes(value) {
                return Err(format!("data.{key} must be {}", kind.words()));
            }
        }
        Ok(())
    }
}

impl Kind {
    fn takes(self, value: &Value) -> bool {
        let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
        match self {
            Switch => value.is_boolean(),
            Whole(least, most) => value.as_i64().is_some_and(|n| (least..=most).contains(&n)),
            Number(least, most) => value.as_f64().is_some_and(|n| (least..=most).contains(&n)),
            Bytes(count) => {
                list.len() == count && list.iter().all(|value| Whole(0, 255).takes(value))
            }
            Pair(first, second) => match list {
                [a, b] => Number(0.0, first).takes(a) && Number(0.0, second).takes(b),
                _ => false,
            },
            Text(most) => value.as_str().is_some_and(|text| {
                (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control)
            }),
            Word(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        }
    }

    fn words(self) -> String {
        match self {
            Switch => "true or false".to_owned(),
            Whole(least, most) => format!("a whole number from {least} to {most}"),
            Number(least, most) => format!("a number from {least} to {most}"),
            Bytes(count) => format!("a list of {count} whole numbers from 0 to 255"),
            Pair(first, second) => {
                format!("two numbers, from 0 to {first} and from 0 to {second}")
            }
            Text(most) => format!("a text of 1 to {most} characters in one line"),
            Word(words) => format!("one of {}", words.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// No service may take one of these, whatever its domain.
    const TARGETS: &[&str] = &[
        "entity_id",
        "entity_ids",
        "area_id",
        "device_id",
        "floor_id",
        "label_id",
        "group_members",
        "target",
    ];

    fn check(service: &str, data: Value) -> Result<(), String> {
        let (domain, name) = service.split_once('.').unwrap();
        let data = data.as_object().unwrap();
        find(domain, name).unwrap().check(data)
    }

    #[test]
    fn the_usual_is_taken() {
        for (service, data) in [
            ("light.turn_on", json!({})),
            (
                "light.turn_on",
                json!({ "brightness": 255, "transition": 0.5, "effect": "Regenbögen" }),
            ),
            (
                "light.turn_on",
                json!({ "rgb_color": [255, 0, 7], "brightness_pct": 33.3 }),
            ),
            (
                "light.turn_on",
                json!({ "hs_color": [360, 99.5], "flash": "short" }),
            ),
            (
                "light.turn_on",
                json!({ "xy_color": [0.3, 1], "color_temp_kelvin": 2700 }),
            ),
            ("light.toggle", json!({ "brightness_step_pct": -10 })),
            ("cover.set_cover_position", json!({ "position": 40 })),
            (
                "cover.set_cover_tilt_position",
                json!({ "tilt_position": 0 }),
            ),
            ("scene.turn_on", json!({ "transition": 2 })),
            ("media_player.volume_set", json!({ "volume_level": 0.25 })),
            ("media_player.media_seek", json!({ "seek_position": 12.5 })),
            ("media_player.shuffle_set", json!({ "shuffle": true })),
            (
                "climate.set_temperature",
                json!({ "temperature": 21.5, "hvac_mode": "heat" }),
            ),
            ("fan.set_percentage", json!({ "percentage": 66 })),
            ("input_select.select_option", json!({ "option": "Away" })),
            ("lock.lock", json!({ "code": "1234" })),
        ] {
            assert_eq!(check(service, data), Ok(()), "{service}");
        }
    }

    #[test]
    fn what_is_of_another_kind_or_out_of_bounds_is_named() {
        for (service, data, key) in [
            ("light.turn_on", json!({ "brightness": 256 }), "brightness"),
            ("light.turn_on", json!({ "brightness": "7" }), "brightness"),
            ("light.turn_on", json!({ "brightness": 7.5 }), "brightness"),
            ("light.turn_on", json!({ "brightness": null }), "brightness"),
            ("light.turn_on", json!({ "rgb_color": [1, 2] }), "rgb_color"),
            (
                "light.turn_on",
                json!({ "rgb_color": [1, 2, 256] }),
                "rgb_color",
            ),
            (
                "light.turn_on",
                json!({ "rgb_color": { "0": 1 } }),
                "rgb_color",
            ),
            ("light.turn_on", json!({ "hs_color": [361, 1] }), "hs_color"),
            ("light.turn_on", json!({ "flash": "forever" }), "flash"),
            ("light.turn_on", json!({ "effect": "" }), "effect"),
            ("light.turn_on", json!({ "effect": "a\nb" }), "effect"),
            ("light.turn_on", json!({ "effect": ["a"] }), "effect"),
            (
                "light.turn_on",
                json!({ "effect": "x".repeat(256) }),
                "effect",
            ),
            ("light.turn_off", json!({ "brightness": 1 }), "brightness"),
            (
                "cover.set_cover_position",
                json!({ "position": -1 }),
                "position",
            ),
            (
                "media_player.volume_set",
                json!({ "volume_level": 1.01 }),
                "volume_level",
            ),
            ("switch.turn_on", json!({ "x": {} }), "x"),
        ] {
            let error = check(service, data).unwrap_err();
            assert!(
                error.starts_with(&format!("data.{key} ")),
                "{service}: {error}"
            );
        }
    }

    #[test]
    fn no_service_takes_another_target_and_none_joins_players() {
        for (domain, services) in DOMAINS {
            for service in *services {
                for target in TARGETS {
                    assert!(service.keys.iter().all(|(key, _)| key != target));
                    for value in [json!("all"), json!(["light.a"]), json!(null)] {
                        let data = json!({ *target: value });
                        let error = check(&format!("{domain}.{}", service.name), data);
                        assert!(error.unwrap_err().starts_with(&format!("data.{target} ")));
                    }
                }
            }
        }
        for never in ["join", "unjoin", "reload", "set_options", "apply", "create"] {
            assert!(
                DOMAINS
                    .iter()
                    .all(|(domain, _)| find(domain, never).is_none())
            );
        }
    }

    proptest! {
        /// Whatever the data: what is taken holds known keys alone, none of them nested deeper than
        /// a short list.
        #[test]
        fn what_is_taken_is_small_and_flat(
            keys in prop::collection::vec("[a-z_]{1,20}", 0..3),
            number in any::<f64>(),
        ) {
            for (_, services) in DOMAINS {
                for service in *services {
                    let known = service.keys.iter().map(|(key, _)| (*key).to_owned());
                    for key in keys.iter().cloned().chain(known) {
                        for value in [json!(number), json!([[number]]), json!({ "entity_id": "x" })] {
                            let data = json!({ &key: value });
                            if service.check(data.as_object().unwrap()).is_ok() {
                                prop_assert!(service.keys.iter().any(|(known, _)| *known == key));
                                prop_assert!(data[&key].is_number());
                            }
                        }
                    }
                }
            }
        }
    }
}
