//! Table of the services that Wallcast may call, by domain, with the data that each accepts. A
//! service or data key that is not listed is never sent, so a caller cannot add a second target.
//! Follows Home Assistant's `services.yaml` and the schemas of each domain.

use serde_json::{Map, Value};

/// A service of a domain.
#[derive(Debug)]
pub(crate) struct CatalogService {
    pub name: &'static str,
    keys: &'static [DataKey],
    /// `domain.*` does not include it: `allowed_services` must contain `domain.service`.
    pub needs_own_entry: bool,
}

/// A data key and the values that it accepts.
type DataKey = (&'static str, ValueType);

#[derive(Clone, Copy, Debug)]
enum ValueType {
    Boolean,
    /// An integer within these inclusive bounds.
    Integer(i64, i64),
    /// A number within these inclusive bounds.
    Number(f64, f64),
    /// A list of exactly this many integers from 0 to 255.
    ByteList(usize),
    /// Two numbers, from 0 to the first bound and from 0 to the second.
    NumberPair(f64, f64),
    /// Text of 1 to this many characters, without control characters.
    Text(usize),
    /// One of these strings.
    Choice(&'static [&'static str]),
}

use ValueType::{Boolean, ByteList, Choice, Integer, Number, NumberPair, Text};

const fn service(name: &'static str, keys: &'static [DataKey]) -> CatalogService {
    CatalogService {
        name,
        keys,
        needs_own_entry: false,
    }
}

const fn with_own_entry(name: &'static str, keys: &'static [DataKey]) -> CatalogService {
    CatalogService {
        needs_own_entry: true,
        ..service(name, keys)
    }
}

/// Home Assistant's limit is 6553 seconds.
const TRANSITION: DataKey = ("transition", Number(0.0, 6553.0));
const FLASH: DataKey = ("flash", Choice(&["short", "long"]));
const LIGHT: &[DataKey] = &[
    TRANSITION,
    FLASH,
    ("brightness", Integer(0, 255)),
    ("brightness_pct", Number(0.0, 100.0)),
    ("brightness_step", Integer(-255, 255)),
    ("brightness_step_pct", Number(-100.0, 100.0)),
    ("color_temp_kelvin", Integer(1, 100_000)),
    ("rgb_color", ByteList(3)),
    ("rgbw_color", ByteList(4)),
    ("rgbww_color", ByteList(5)),
    ("hs_color", NumberPair(360.0, 100.0)),
    ("xy_color", NumberPair(1.0, 1.0)),
    ("color_name", Text(64)),
    ("white", Integer(0, 255)),
    ("profile", Text(255)),
    ("effect", Text(255)),
];
const POSITION: ValueType = Number(0.0, 100.0);
const DEGREES: ValueType = Number(-1000.0, 1000.0);
const VALUE: &[DataKey] = &[("value", Number(-1e12, 1e12))];
const CODE: &[DataKey] = &[("code", Text(64))];
const NAME: ValueType = Text(255);
const CYCLE: &[DataKey] = &[("cycle", Boolean)];
const ON_OFF: &[CatalogService] = &[
    service("turn_on", &[]),
    service("turn_off", &[]),
    service("toggle", &[]),
];
const SELECT: &[CatalogService] = &[
    service("select_option", &[("option", NAME)]),
    service("select_next", CYCLE),
    service("select_previous", CYCLE),
    service("select_first", &[]),
    service("select_last", &[]),
];
const FAN_ON: &[DataKey] = &[("percentage", POSITION), ("preset_mode", NAME)];
const FAN_STEP: &[DataKey] = &[("percentage_step", POSITION)];

const DOMAINS: &[(&str, &[CatalogService])] = &[
    (
        "light",
        &[
            service("turn_on", LIGHT),
            service("turn_off", &[TRANSITION, FLASH]),
            service("toggle", LIGHT),
        ],
    ),
    ("switch", ON_OFF),
    ("input_boolean", ON_OFF),
    (
        "cover",
        &[
            service("open_cover", &[]),
            service("close_cover", &[]),
            service("stop_cover", &[]),
            service("toggle", &[]),
            service("set_cover_position", &[("position", POSITION)]),
            service("open_cover_tilt", &[]),
            service("close_cover_tilt", &[]),
            service("stop_cover_tilt", &[]),
            service("toggle_cover_tilt", &[]),
            service("set_cover_tilt_position", &[("tilt_position", POSITION)]),
        ],
    ),
    ("scene", &[service("turn_on", &[TRANSITION])]),
    (
        "media_player",
        &[
            service("turn_on", &[]),
            service("turn_off", &[]),
            service("toggle", &[]),
            service("volume_up", &[]),
            service("volume_down", &[]),
            service("volume_set", &[("volume_level", Number(0.0, 1.0))]),
            service("volume_mute", &[("is_volume_muted", Boolean)]),
            service("media_play", &[]),
            service("media_pause", &[]),
            service("media_play_pause", &[]),
            service("media_stop", &[]),
            service("media_next_track", &[]),
            service("media_previous_track", &[]),
            service("media_seek", &[("seek_position", Number(0.0, 1e9))]),
            service("select_source", &[("source", NAME)]),
            service("select_sound_mode", &[("sound_mode", NAME)]),
            service("shuffle_set", &[("shuffle", Boolean)]),
            service("repeat_set", &[("repeat", Choice(&["off", "all", "one"]))]),
            service("clear_playlist", &[]),
            // `media_content_id` may be any URL, and Home Assistant or the player fetches it.
            with_own_entry(
                "play_media",
                &[
                    ("media_content_id", Text(2048)),
                    ("media_content_type", Text(64)),
                    ("enqueue", Choice(&["add", "next", "play", "replace"])),
                    ("announce", Boolean),
                ],
            ),
        ],
    ),
    (
        "climate",
        &[
            service("turn_on", &[]),
            service("turn_off", &[]),
            service("toggle", &[]),
            service(
                "set_temperature",
                &[
                    ("temperature", DEGREES),
                    ("target_temp_high", DEGREES),
                    ("target_temp_low", DEGREES),
                    ("hvac_mode", NAME),
                ],
            ),
            service("set_hvac_mode", &[("hvac_mode", NAME)]),
            service("set_preset_mode", &[("preset_mode", NAME)]),
            service("set_fan_mode", &[("fan_mode", NAME)]),
            service("set_swing_mode", &[("swing_mode", NAME)]),
            service(
                "set_swing_horizontal_mode",
                &[("swing_horizontal_mode", NAME)],
            ),
            service("set_humidity", &[("humidity", POSITION)]),
        ],
    ),
    (
        "fan",
        &[
            service("turn_on", FAN_ON),
            service("turn_off", &[]),
            service("toggle", &[]),
            service("set_percentage", &[("percentage", POSITION)]),
            service("increase_speed", FAN_STEP),
            service("decrease_speed", FAN_STEP),
            service("set_preset_mode", &[("preset_mode", NAME)]),
            service("oscillate", &[("oscillating", Boolean)]),
            service(
                "set_direction",
                &[("direction", Choice(&["forward", "reverse"]))],
            ),
        ],
    ),
    ("input_select", SELECT),
    ("select", SELECT),
    (
        "lock",
        &[
            service("lock", CODE),
            service("unlock", CODE),
            service("open", CODE),
        ],
    ),
    ("button", &[service("press", &[])]),
    ("input_button", &[service("press", &[])]),
    ("number", &[service("set_value", VALUE)]),
    (
        "input_number",
        &[
            service("set_value", VALUE),
            service("increment", &[]),
            service("decrement", &[]),
        ],
    ),
    (
        "humidifier",
        &[
            service("turn_on", &[]),
            service("turn_off", &[]),
            service("toggle", &[]),
            service("set_humidity", &[("humidity", POSITION)]),
            service("set_mode", &[("mode", NAME)]),
        ],
    ),
    (
        "vacuum",
        &[
            service("start", &[]),
            service("pause", &[]),
            service("stop", &[]),
            service("return_to_base", &[]),
            service("locate", &[]),
        ],
    ),
    ("script", ON_OFF),
    ("siren", ON_OFF),
    (
        "alarm_control_panel",
        &[
            service("alarm_arm_away", CODE),
            service("alarm_arm_home", CODE),
            service("alarm_arm_night", CODE),
            service("alarm_arm_vacation", CODE),
            service("alarm_disarm", CODE),
        ],
    ),
    (
        "valve",
        &[
            service("open_valve", &[]),
            service("close_valve", &[]),
            service("stop_valve", &[]),
            service("toggle", &[]),
            service("set_valve_position", &[("position", POSITION)]),
        ],
    ),
];

pub(crate) fn domain(name: &str) -> Option<&'static str> {
    let found = DOMAINS.iter().find(|(domain, _)| *domain == name);
    found.map(|(domain, _)| *domain)
}

/// All listed services of a domain; empty if the domain is not listed.
pub(crate) fn in_domain(name: &str) -> &'static [CatalogService] {
    let found = DOMAINS.iter().find(|(domain, _)| *domain == name);
    found.map_or(&[], |(_, services)| services)
}

pub(crate) fn find(domain: &str, name: &str) -> Option<&'static CatalogService> {
    let (_, services) = DOMAINS.iter().find(|(name, _)| *name == domain)?;
    services.iter().find(|service| service.name == name)
}

impl CatalogService {
    /// Checks the data against the accepted keys and values.
    ///
    /// # Errors
    /// A sentence naming the first key that is not accepted, and why.
    pub(crate) fn check(&self, data: &Map<String, Value>) -> Result<(), String> {
        for (key, value) in data {
            let Some((_, value_type)) = self.keys.iter().find(|(known, _)| known == key) else {
                let known: Vec<_> = self.keys.iter().map(|(key, _)| *key).collect();
                let accepted = match known.is_empty() {
                    true => "no data".to_owned(),
                    false => known.join(", "),
                };
                let key: String = key.chars().take(64).collect();
                return Err(format!(
                    "data.{key} is not accepted; {} accepts {accepted}",
                    self.name
                ));
            };
            if !value_type.accepts(value) {
                return Err(format!("data.{key} must be {}", value_type.description()));
            }
        }
        Ok(())
    }
}

impl ValueType {
    fn accepts(self, value: &Value) -> bool {
        let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
        match self {
            Boolean => value.is_boolean(),
            Integer(min, max) => value.as_i64().is_some_and(|n| (min..=max).contains(&n)),
            Number(min, max) => value.as_f64().is_some_and(|n| (min..=max).contains(&n)),
            ByteList(count) => {
                list.len() == count && list.iter().all(|value| Integer(0, 255).accepts(value))
            }
            NumberPair(first, second) => match list {
                [a, b] => Number(0.0, first).accepts(a) && Number(0.0, second).accepts(b),
                _ => false,
            },
            Text(max) => value.as_str().is_some_and(|text| {
                (1..=max).contains(&text.chars().count()) && !text.chars().any(char::is_control)
            }),
            Choice(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        }
    }

    fn description(self) -> String {
        match self {
            Boolean => "true or false".to_owned(),
            Integer(min, max) => format!("a whole number from {min} to {max}"),
            Number(min, max) => format!("a number from {min} to {max}"),
            ByteList(count) => format!("a list of {count} whole numbers from 0 to 255"),
            NumberPair(first, second) => {
                format!("two numbers, from 0 to {first} and from 0 to {second}")
            }
            Text(max) => format!("text of 1 to {max} characters in one line"),
            Choice(words) => format!("one of {}", words.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// No service may accept one of these keys, in any domain.
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
    fn usual_data_is_accepted() {
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
    fn error_names_key_with_wrong_type_or_bounds() {
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
    fn no_service_accepts_a_target_or_joins_players() {
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
        /// Accepted data contains listed keys only, and no nested values.
        #[test]
        fn accepted_data_is_flat(
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
