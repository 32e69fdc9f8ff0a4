//! A scripted Home Assistant Core on a loopback port: it speaks the WebSocket API, behind Supervisor's
//! proxy path and on its own, and does on demand what a real one will not.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::http;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use super::until;

/// What opens it; nobody may ever read it in a log or a file.
pub const TOKEN: &str = "token-of-the-scripted-core-e5f0a1";

/// How it takes a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// As a Core that runs.
    #[default]
    Well,
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
pub enum Answer {
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

/// What is in the house, and how it behaves. Registries as Core lists them.
#[derive(Default)]
pub struct House {
    pub areas: Vec<Value>,
    pub devices: Vec<Value>,
    /// In the shape of `config/entity_registry/list`.
    pub entities: Vec<Value>,
    pub users: Vec<Value>,
    /// Entity id to `{"s":…,"a":{…}}`, as `subscribe_entities` has it.
    pub states: BTreeMap<String, Value>,
    /// What `get_config` says; `RUNNING` if empty.
    pub state: String,
    pub mood: Mood,
    pub answers: HashMap<String, Answer>,
    /// Every command that came in, with its id, of all connections.
    pub heard: Vec<Value>,
    /// Connections that were authenticated since the start.
    pub connections: usize,
    lines: Vec<Line>,
}

struct Line {
    outgoing: mpsc::UnboundedSender<Message>,
    /// Subscriptions by id.
    subscriptions: BTreeMap<u64, Value>,
    number: usize,
}

/// A scripted Core; it ends when dropped.
pub struct Core {
    address: SocketAddr,
    house: Arc<Mutex<House>>,
    serving: Option<JoinHandle<()>>,
    cut: watch::Sender<usize>,
}

impl Core {
    /// An empty house.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A house that is furnished first.
    pub async fn with(furnish: impl FnOnce(&mut House)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut house = House::default();
        furnish(&mut house);
        let mut core = Self {
            address: listener.local_addr().expect("an address"),
            house: Arc::new(Mutex::new(house)),
            serving: None,
            cut: watch::Sender::new(0),
        };
        core.serve(listener);
        core
    }

    /// What makes a daemon ask it as the add-on does, by Supervisor's proxy.
    pub fn as_addon(&self) -> Vec<(String, String)> {
        let url = format!("http://{}", self.address);
        [
            ("SUPERVISOR_TOKEN", TOKEN),
            ("SUPERVISOR_URL", &url),
            ("INGRESS_LISTEN", "127.0.0.1:0"),
            ("INGRESS_FROM", "127.0.0.1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// What makes a daemon ask it directly.
    pub fn direct(&self) -> Vec<(String, String)> {
        let url = format!("http://{}", self.address);
        [("HA_URL", url.as_str()), ("HA_TOKEN", TOKEN)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }

    /// The house, to look at or to change.
    pub fn house(&self) -> MutexGuard<'_, House> {
        self.house.lock().unwrap()
    }

    /// Cuts every connection.
    pub fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Goes away as a killed process does: connections are refused.
    pub async fn kill(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
        self.cut();
    }

    /// Comes back at the same address.
    pub async fn revive(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("its port");
        self.serve(listener);
    }

    /// Fires an event of the bus to whoever subscribed it.
    pub fn fire(&self, kind: &str, data: Value) {
        let house = self.house();
        for line in &house.lines {
            let mut events = Vec::new();
            for (id, command) in &line.subscriptions {
                let is_wanted = command["type"] == "subscribe_events"
                    && (command["event_type"].is_null() || command["event_type"] == kind);
                if is_wanted {
                    let event = json!({ "event_type": kind, "data": data, "origin": "LOCAL" });
                    events.push(json!({ "id": id, "type": "event", "event": event }));
                }
            }
            line.send(events);
        }
    }

    /// Changes an entity's state and tells whoever subscribed it.
    pub fn set_state(&self, entity: &str, state: &str, attributes: Value) {
        self.set_states([(entity.to_owned(), state.to_owned(), attributes)]);
    }

    /// The same for many, in one frame a connection.
    pub fn set_states(&self, states: impl IntoIterator<Item = (String, String, Value)>) {
        let mut house = self.house();
        let mut changes = Vec::new();
        for (entity, state, attributes) in states {
            let value =
                json!({ "s": state, "a": attributes, "c": "context", "lc": 1_700_000_000.5 });
            let is_new = house.states.insert(entity.clone(), value.clone()).is_none();
            changes.push((entity, value, is_new));
        }
        for line in &house.lines {
            let mut events = Vec::new();
            for (id, command) in &line.subscriptions {
                for (entity, value, is_new) in &changes {
                    if !hears(command, entity) {
                        continue;
                    }
                    let event = match is_new {
                        true => json!({ "a": { entity: value } }),
                        false => json!({ "c": { entity: { "+": value } } }),
                    };
                    events.push(json!({ "id": id, "type": "event", "event": event }));
                }
            }
            line.send(events);
        }
    }

    /// Removes an entity's state and tells whoever subscribed it.
    pub fn remove_state(&self, entity: &str) {
        let mut house = self.house();
        house.states.remove(entity);
        for line in &house.lines {
            let wanted = line.subscriptions.iter().filter(|(_, c)| hears(c, entity));
            let event = |(id, _)| json!({ "id": id, "type": "event", "event": { "r": [entity] } });
            line.send(wanted.map(event).collect());
        }
    }

    /// Commands of this type that came in so far.
    pub fn heard(&self, kind: &str) -> Vec<Value> {
        let house = self.house();
        let heard = house.heard.iter();
        heard.filter(|c| c["type"] == kind).cloned().collect()
    }

    /// Waits until so many commands of this type came in.
    pub async fn until_heard(&self, kind: &str, at_least: usize) -> Vec<Value> {
        until(kind, async || {
            Some(self.heard(kind)).filter(|heard| heard.len() >= at_least)
        })
        .await
    }

    /// Events of this type that were fired on its bus by others.
    pub fn fired(&self, kind: &str) -> Vec<Value> {
        let fired = self.heard("fire_event").into_iter();
        fired
            .filter(|command| command["event_type"] == kind)
            .map(|command| command["event_data"].clone())
            .collect()
    }

    fn serve(&mut self, listener: TcpListener) {
        let (house, cut) = (self.house.clone(), self.cut.clone());
        self.serving = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (house, mut cut) = (house.clone(), cut.subscribe());
                tokio::spawn(async move {
                    tokio::select! {
                        () = talk(stream, house) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        }));
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
        self.cut();
    }
}

impl Line {
    /// One frame, an array if there is more than one message: as with `coalesce_messages`.
    fn send(&self, mut messages: Vec<Value>) {
        let frame = match messages.len() {
            0 => return,
            1 => messages.remove(0),
            _ => Value::Array(messages),
        };
        let _ = self.outgoing.send(Message::text(frame.to_string()));
    }
}

fn hears(command: &Value, entity: &str) -> bool {
    let ids = command["entity_ids"].as_array();
    command["type"] == "subscribe_entities"
        && ids.is_none_or(|ids| ids.iter().any(|id| id == entity))
}

#[expect(clippy::result_large_err, reason = "the library's own signature")]
async fn talk(stream: TcpStream, house: Arc<Mutex<House>>) {
    let mood = house.lock().unwrap().mood;
    if mood == Mood::ClosesAtOnce {
        return;
    }
    let check = |request: &Request, response: Response| {
        let known = ["/core/websocket", "/api/websocket"].contains(&request.uri().path());
        let status = match (known, mood) {
            (false, _) => 404,
            (true, Mood::BadGateway) => 502,
            _ => return Ok(response),
        };
        let refusal = http::Response::builder().status(status).body(None);
        Err(refusal.expect("a response"))
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, check).await else {
        return;
    };
    let say = |value: Value| Message::text(value.to_string());
    let hello = say(json!({ "type": "auth_required", "ha_version": "2026.11.1" }));
    if socket.send(hello).await.is_err() {
        return;
    }
    let Some(Ok(Message::Text(text))) = socket.next().await else {
        return;
    };
    let auth: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(auth["type"], "auth");
    if auth["access_token"] != TOKEN || mood == Mood::RefusesToken {
        let _ = socket
            .send(say(
                json!({ "type": "auth_invalid", "message": "Invalid access" }),
            ))
            .await;
        return;
    }
    let welcome = say(json!({ "type": "auth_ok", "ha_version": "2026.11.1" }));
    if socket.send(welcome).await.is_err() || mood == Mood::ClosesAfterAuth {
        return;
    }
    let (mut sink, mut stream) = socket.split();
    let (outgoing, mut queue) = mpsc::unbounded_channel();
    let number = {
        let mut house = house.lock().unwrap();
        house.connections += 1;
        let number = house.connections;
        house.lines.push(Line {
            outgoing: outgoing.clone(),
            subscriptions: BTreeMap::new(),
            number,
        });
        number
    };
    let _gone = Gone(house.clone(), number);
    let read = async {
        let mut last = 0;
        while let Some(Ok(message)) = stream.next().await {
            let Message::Text(text) = message else {
                continue;
            };
            let command: Value = serde_json::from_str(&text).expect("JSON");
            let id = command["id"].as_u64().expect("an id");
            assert!(id > last, "ids only grow");
            last = id;
            let answers = {
                let mut house = house.lock().unwrap();
                house.heard.push(command.clone());
                house.answer(number, &command)
            };
            let Some(answers) = answers else { return };
            for answer in answers {
                let _ = outgoing.send(Message::text(answer));
            }
        }
    };
    let write = async {
        while let Some(message) = queue.recv().await {
            if sink.send(message).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = write => {}
    }
}

/// Forgets a connection when it ends.
struct Gone(Arc<Mutex<House>>, usize);

impl Drop for Gone {
    fn drop(&mut self) {
        let mut house = self.0.lock().unwrap();
        house.lines.retain(|line| line.number != self.1);
    }
}

impl House {
    /// The frames that answer a command; none to close.
    fn answer(&mut self, line: usize, command: &Value) -> Option<Vec<String>> {
        let kind = command["type"].as_str().expect("a type").to_owned();
        let id = &command["id"];
        let result = |result: Value| {
            json!({ "id": id, "type": "result", "success": true, "result": result }).to_string()
        };
        let error = |code: &str, message: &str| {
            let error = json!({ "code": code, "message": message });
            json!({ "id": id, "type": "result", "success": false, "error": error }).to_string()
        };
        let answer = match self.answers.get(&kind) {
            Some(Answer::Silence) => return Some(Vec::new()),
            Some(Answer::Close) => return None,
            Some(Answer::Result(value)) => result(value.clone()),
            Some(Answer::Error(code, message)) => error(code, message),
            Some(Answer::Frame(text)) => text.replace("ID", &id.to_string()),
            None => match kind.as_str() {
                "supported_features" => result(Value::Null),
                "ping" => json!({ "id": id, "type": "pong" }).to_string(),
                "get_config" => {
                    let state = match self.state.as_str() {
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
    pub fn area(&mut self, id: &str, name: &str) {
        self.areas.push(json!({
            "area_id": id, "name": name, "floor_id": null, "icon": null, "picture": null,
            "aliases": [], "labels": [], "created_at": 1_700_000_000.5, "modified_at": 0.0,
        }));
    }

    /// Furnishes a device in an area, or below a parent.
    pub fn device(&mut self, id: &str, area: Option<&str>, parent: Option<&str>) {
        let mut device = json!({ "id": id, "area_id": area });
        match parent {
            // A child device has fewer keys (Core 2026.9).
            Some(parent) => device["parent_device_id"] = parent.into(),
            None => device["connections"] = json!([["mac", id]]),
        }
        self.devices.push(device);
    }

    /// Furnishes an entity with its own area, or none, and a device, or none.
    pub fn entity(&mut self, id: &str, area: Option<&str>, device: Option<&str>) {
        self.entities.push(json!({
            "entity_id": id, "id": format!("registry-{id}"), "unique_id": id, "platform": "demo",
            "area_id": area, "device_id": device, "name": null, "original_name": id,
            "hidden_by": null, "disabled_by": null, "entity_category": null, "labels": [],
        }));
    }

    /// Furnishes a user of these groups.
    pub fn user(&mut self, id: &str, is_owner: bool, is_active: bool, groups: &[&str]) {
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
