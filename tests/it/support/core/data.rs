//! The scripted Core's registries and states, and how it replies to commands about them.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

/// How the scripted Core treats new connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AcceptMode {
    /// Accepts connections and authenticates them, as a running Core does.
    #[default]
    Normal,
    /// Answers 502, as Supervisor does while Core is not running.
    BadGateway,
    /// Accepts the TCP connection and closes it.
    ClosesAtOnce,
    /// Authenticates the client and closes, as Supervisor's proxy does while Core is unreachable.
    ClosesAfterAuth,
    /// Refuses every token.
    RefusesToken,
}

/// Overrides the reply to commands of one type.
#[derive(Clone, Debug)]
pub enum Reply {
    /// No reply.
    Silence,
    /// A successful result with this value.
    Result(Value),
    /// An error result with this code and message.
    Error(&'static str, &'static str),
    /// This frame, which need not be JSON. `ID` in it is replaced by the command's id.
    Frame(String),
    /// Closes the connection.
    Close,
}

/// The scripted Core's registries (in Core's own format), states and behaviour.
#[derive(Default)]
pub struct CoreData {
    pub areas: Vec<Value>,
    pub devices: Vec<Value>,
    /// In the format of `config/entity_registry/list`.
    pub entities: Vec<Value>,
    pub users: Vec<Value>,
    /// Entity id to `{"s":…,"a":{…}}`, the format of `subscribe_entities`.
    pub states: BTreeMap<String, Value>,
    /// The `state` that `get_config` returns; `RUNNING` if empty.
    pub core_state: String,
    pub accept_mode: AcceptMode,
    pub replies: HashMap<String, Reply>,
    /// Every command received, with its id, of all connections.
    pub received: Vec<Value>,
    /// Number of connections authenticated since the start.
    pub authenticated_connections: usize,
    pub(super) connections: Vec<Connection>,
}

pub(super) struct Connection {
    pub(super) outgoing: mpsc::UnboundedSender<Message>,
    /// Subscribe commands by their id.
    pub(super) subscriptions: BTreeMap<u64, Value>,
    pub(super) number: usize,
}

impl Connection {
    /// Sends the messages in one frame, as an array if there are several (`coalesce_messages`).
    pub(super) fn send(&self, mut messages: Vec<Value>) {
        let frame = match messages.len() {
            0 => return,
            1 => messages.remove(0),
            _ => Value::Array(messages),
        };
        let _ = self.outgoing.send(Message::text(frame.to_string()));
    }
}

/// Whether this subscribe command covers the entity.
pub(super) fn is_subscribed(command: &Value, entity: &str) -> bool {
    let ids = command["entity_ids"].as_array();
    command["type"] == "subscribe_entities"
        && ids.is_none_or(|ids| ids.iter().any(|id| id == entity))
}

impl CoreData {
    /// The frames that reply to a command; `None` to close the connection.
    pub(super) fn reply_to(&mut self, connection: usize, command: &Value) -> Option<Vec<String>> {
        let command_type = command["type"].as_str().expect("a type").to_owned();
        let id = &command["id"];
        let result = |result: Value| {
            json!({ "id": id, "type": "result", "success": true, "result": result }).to_string()
        };
        let error = |code: &str, message: &str| {
            let error = json!({ "code": code, "message": message });
            json!({ "id": id, "type": "result", "success": false, "error": error }).to_string()
        };
        let reply = match self.replies.get(&command_type) {
            Some(Reply::Silence) => return Some(Vec::new()),
            Some(Reply::Close) => return None,
            Some(Reply::Result(value)) => result(value.clone()),
            Some(Reply::Error(code, message)) => error(code, message),
            Some(Reply::Frame(text)) => text.replace("ID", &id.to_string()),
            None => match command_type.as_str() {
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
                    let connection = self.connection(connection)?;
                    match connection.subscriptions.remove(&subscription) {
                        Some(_) => result(Value::Null),
                        None => error("not_found", "Subscription not found."),
                    }
                }
                "subscribe_events" => {
                    let id = id.as_u64()?;
                    self.connection(connection)?
                        .subscriptions
                        .insert(id, command.clone());
                    result(Value::Null)
                }
                "subscribe_entities" => {
                    let number = id.as_u64()?;
                    let states = self
                        .states
                        .iter()
                        .filter(|(id, _)| is_subscribed(command, id));
                    let snapshot: serde_json::Map<_, _> = states
                        .map(|(id, state)| (id.clone(), state.clone()))
                        .collect();
                    let event = json!({ "id": id, "type": "event", "event": { "a": snapshot } });
                    self.connection(connection)?
                        .subscriptions
                        .insert(number, command.clone());
                    return Some(vec![result(Value::Null), event.to_string()]);
                }
                _ => error("unknown_command", "Unknown command."),
            },
        };
        Some(vec![reply])
    }

    fn connection(&mut self, number: usize) -> Option<&mut Connection> {
        self.connections
            .iter_mut()
            .find(|connection| connection.number == number)
    }

    /// The format of `list_for_display`: enabled entities only, without keys that have no value.
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

    /// Adds an area to the registry.
    pub fn add_area(&mut self, id: &str, name: &str) {
        self.areas.push(json!({
            "area_id": id, "name": name, "floor_id": null, "icon": null, "picture": null,
            "aliases": [], "labels": [], "created_at": 1_700_000_000.5, "modified_at": 0.0,
        }));
    }

    /// Adds a device in an area, or below a parent device.
    pub fn add_device(&mut self, id: &str, area: Option<&str>, parent: Option<&str>) {
        let mut device = json!({ "id": id, "area_id": area });
        match parent {
            // A child device has fewer keys (Core 2026.9).
            Some(parent) => device["parent_device_id"] = parent.into(),
            None => device["connections"] = json!([["mac", id]]),
        }
        self.devices.push(device);
    }

    /// Adds an entity with an area of its own, a device, both or neither.
    pub fn add_entity(&mut self, id: &str, area: Option<&str>, device: Option<&str>) {
        self.entities.push(json!({
            "entity_id": id, "id": format!("registry-{id}"), "unique_id": id, "platform": "demo",
            "area_id": area, "device_id": device, "name": null, "original_name": id,
            "hidden_by": null, "disabled_by": null, "entity_category": null, "labels": [],
        }));
    }

    /// Adds a user who is a member of these groups.
    pub fn add_user(&mut self, id: &str, is_owner: bool, is_active: bool, groups: &[&str]) {
        self.users.push(json!({
            "id": id, "username": id, "name": id, "is_owner": is_owner, "is_active": is_active,
            "local_only": false, "system_generated": false, "group_ids": groups, "credentials": [],
        }));
    }

    /// The index of the entry whose `key` is `id`. Panics if there is none.
    pub fn find(registry: &mut [Value], key: &str, id: &str) -> usize {
        let index = registry.iter().position(|entry| entry[key] == id);
        index.expect("it is in the registry")
    }
}
