//! What is in the scripted Core's data, and how it answers commands about it.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

/// How it takes a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AcceptMode {
    /// As a Core that runs.
    #[default]
    Normal,
    /// Supervisor's answer while Core is not running.
    BadGateway,
    /// It accepts and closes, without a word.
    ClosesAtOnce,
    /// Supervisor lets us in, and Core is not there behind it.
    ClosesAfterAuth,
    /// It refuses every token.
    RefusesToken,
}

/// How it answers commands of one type, other than it should.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Never.
    Silence,
    /// With this as `result`, as it is.
    Result(Value),
    /// With an error.
    Error(&'static str, &'static str),
    /// With this frame, which need not be JSON. `ID` in it becomes the command's id.
    Frame(String),
    /// By closing the connection.
    Close,
}

/// What is in the data, and how it behaves. Registries as Core lists them.
#[derive(Default)]
pub struct CoreData {
    pub areas: Vec<Value>,
    pub devices: Vec<Value>,
    /// In the shape of `config/entity_registry/list`.
    pub entities: Vec<Value>,
    pub users: Vec<Value>,
    /// Entity id to `{"s":…,"a":{…}}`, as `subscribe_entities` has it.
    pub states: BTreeMap<String, Value>,
    /// What `get_config` says; `RUNNING` if empty.
    pub core_state: String,
    pub accept_mode: AcceptMode,
    pub replies: HashMap<String, Reply>,
    /// Every command that came in, with its id, of all connections.
    pub received: Vec<Value>,
    /// Connections that were authenticated since the start.
    pub authenticated_connections: usize,
    pub(super) lines: Vec<Line>,
}

/// An open connection.
pub(super) struct Line {
    pub(super) outgoing: mpsc::UnboundedSender<Message>,
    /// Subscriptions by id.
    pub(super) subscriptions: BTreeMap<u64, Value>,
    pub(super) number: usize,
}

impl Line {
    /// One frame, an array if there is more than one message: as with `coalesce_messages`.
    pub(super) fn send(&self, mut messages: Vec<Value>) {
        let frame = match messages.len() {
            0 => return,
            1 => messages.remove(0),
            _ => Value::Array(messages),
        };
        let _ = self.outgoing.send(Message::text(frame.to_string()));
    }
}

/// Whether a subscription is to this entity.
pub(super) fn hears(command: &Value, entity: &str) -> bool {
    let ids = command["entity_ids"].as_array();
    command["type"] == "subscribe_entities"
        && ids.is_none_or(|ids| ids.iter().any(|id| id == entity))
}

impl CoreData {
    /// The frames that answer a command; none to close.
    pub(super) fn answer(&mut self, line: usize, command: &Value) -> Option<Vec<String>> {
        let kind = command["type"].as_str().expect("a type").to_owned();
        let id = &command["id"];
        let result = |result: Value| {
            json!({ "id": id, "type": "result", "success": true, "result": result }).to_string()
        };
        let error = |code: &str, message: &str| {
            let error = json!({ "code": code, "message": message });
            json!({ "id": id, "type": "result", "success": false, "error": error }).to_string()
        };
        let answer = match self.replies.get(&kind) {
            Some(Reply::Silence) => return Some(Vec::new()),
            Some(Reply::Close) => return None,
            Some(Reply::Result(value)) => result(value.clone()),
            Some(Reply::Error(code, message)) => error(code, message),
            Some(Reply::Frame(text)) => text.replace("ID", &id.to_string()),
            None => match kind.as_str() {
                "supported_features" => result(Value::Null),
                "ping" => json!({ "id": id, "type": "pong" }).to_string(),
                "get_config" => {
                    let state = match self.core_state.as_str() {
                        "" => "RUNNING",
                        state => state,
                    };
                    result(json!({ "state": state, "version": "2026.11.1" }))
                }
                "config/area_registry/list" => result(self.areas.clone().into()),
                "config/device_registry/list" => result(self.devices.clone().into()),
                "config/entity_registry/list" => result(self.entities.clone().into()),
                "config/entity_registry/list_for_display" => result(self.for_display()),
                "config/auth/list" => result(self.users.clone().into()),
                "fire_event" | "call_service" => result(json!({ "context": { "id": "c" } })),
                "unsubscribe_events" => {
                    let subscription = command["subscription"].as_u64().expect("an id");
                    let line = self.line(line)?;
                    match line.subscriptions.remove(&subscription) {
                        Some(_) => result(Value::Null),
                        None => error("not_found", "Subscription not found."),
                    }
                }
                "subscribe_events" => {
                    let id = id.as_u64()?;
                    self.line(line)?.subscriptions.insert(id, command.clone());
                    result(Value::Null)
                }
                "subscribe_entities" => {
                    let number = id.as_u64()?;
                    let states = self.states.iter().filter(|(id, _)| hears(command, id));
                    let snapshot: serde_json::Map<_, _> = states
                        .map(|(id, state)| (id.clone(), state.clone()))
                        .collect();
                    let event = json!({ "id": id, "type": "event", "event": { "a": snapshot } });
                    self.line(line)?
                        .subscriptions
                        .insert(number, command.clone());
                    return Some(vec![result(Value::Null), event.to_string()]);
                }
                _ => error("unknown_command", "Unknown command."),
            },
        };
        Some(vec![answer])
    }

    fn line(&mut self, number: usize) -> Option<&mut Line> {
        self.lines.iter_mut().find(|line| line.number == number)
    }

    /// The short form: enabled entities alone, keys left out where there is nothing to say.
    fn for_display(&self) -> Value {
        let enabled = self.entities.iter().filter(|e| e["disabled_by"].is_null());
        let short = enabled.map(|entity| {
            let mut short = json!({ "ei": entity["entity_id"], "pl": "demo" });
            for (key, from) in [("ai", "area_id"), ("di", "device_id"), ("en", "name")] {
                if !entity[from].is_null() {
                    short[key] = entity[from].clone();
                }
            }
            if !entity["hidden_by"].is_null() {
                short["hb"] = true.into();
            }
            short
        });
        json!({ "entity_categories": {}, "entities": short.collect::<Vec<_>>() })
    }

    /// Furnishes an area.
    pub fn add_area(&mut self, id: &str, name: &str) {
        self.areas.push(json!({
            "area_id": id, "name": name, "floor_id": null, "icon": null, "picture": null,
            "aliases": [], "labels": [], "created_at": 1_700_000_000.5, "modified_at": 0.0,
        }));
    }

    /// Furnishes a device in an area, or below a parent.
    pub fn add_device(&mut self, id: &str, area: Option<&str>, parent: Option<&str>) {
        let mut device = json!({ "id": id, "area_id": area });
        match parent {
            // A child device has fewer keys (Core 2026.9).
            Some(parent) => device["parent_device_id"] = parent.into(),
            None => device["connections"] = json!([["mac", id]]),
        }
        self.devices.push(device);
    }

    /// Furnishes an entity with its own area, or none, and a device, or none.
    pub fn add_entity(&mut self, id: &str, area: Option<&str>, device: Option<&str>) {
        self.entities.push(json!({
            "entity_id": id, "id": format!("registry-{id}"), "unique_id": id, "platform": "demo",
            "area_id": area, "device_id": device, "name": null, "original_name": id,
            "hidden_by": null, "disabled_by": null, "entity_category": null, "labels": [],
        }));
    }

    /// Furnishes a user of these groups.
    pub fn add_user(&mut self, id: &str, is_owner: bool, is_active: bool, groups: &[&str]) {
        self.users.push(json!({
            "id": id, "username": id, "name": id, "is_owner": is_owner, "is_active": is_active,
            "local_only": false, "system_generated": false, "group_ids": groups, "credentials": [],
        }));
    }

    /// The entry of a registry with this id.
    pub fn find(registry: &mut [Value], key: &str, id: &str) -> usize {
        let place = registry.iter().position(|entry| entry[key] == id);
        place.expect("it is in the registry")
    }
}
