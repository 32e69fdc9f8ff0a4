//! A stand-in for Home Assistant Core. It accepts Wallcast's connection, has empty registries, and sends entity
//! states on request. Wallcast delivers states as ephemeral events.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use crate::{Outcome, clock};

/// Runs until its runtime ends.
pub struct HomeAssistant {
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    subscriptions: Mutex<Vec<Subscription>>,
    /// Notified when a subscription is added.
    changes: watch::Sender<()>,
}

struct Subscription {
    id: u64,
    entities: Vec<String>,
    outgoing: mpsc::UnboundedSender<Message>,
}

impl HomeAssistant {
    pub async fn start() -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let home_assistant = Self {
            address: listener.local_addr()?,
            state: Arc::default(),
        };
        let state = home_assistant.state.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let _ = tcp.set_nodelay(true);
                tokio::spawn(serve(tcp, state.clone()));
            }
        });
        Ok(home_assistant)
    }

    /// The options that connect Wallcast to it.
    pub fn options(&self) -> Vec<(&'static str, String)> {
        vec![
            ("WALLCAST_HA_URL", format!("http://{}", self.address)),
            ("WALLCAST_HA_TOKEN", "bench".to_owned()),
        ]
    }

    /// Waits until Wallcast has subscribed to an entity.
    pub async fn wait_until_subscribed(&self, entity: &str) -> Outcome<()> {
        let mut watch = self.state.changes.subscribe();
        watch.wait_for(|()| self.is_subscribed(entity)).await?;
        Ok(())
    }

    fn is_subscribed(&self, entity: &str) -> bool {
        let subscriptions = self.state.subscriptions();
        subscriptions
            .iter()
            .any(|open| open.entities.iter().any(|known| known == entity))
    }

    /// Sends a state of an entity, with a number and the send time as attributes.
    pub fn send_state(&self, entity: &str, state: &str, number: usize) {
        let attributes = json!({ "number": number, "sent": clock::nanos() });
        let plus = json!({ "s": state, "a": attributes });
        let subscriptions = self.state.subscriptions();
        for subscription in subscriptions.iter() {
            if subscription.entities.iter().any(|known| known == entity) {
                let change = json!({ "c": { entity: { "+": plus } } });
                let event = json!({ "id": subscription.id, "type": "event", "event": change });
                let _ = subscription.outgoing.send(Message::text(event.to_string()));
            }
        }
    }
}

impl State {
    fn subscriptions(&self) -> std::sync::MutexGuard<'_, Vec<Subscription>> {
        self.subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The frames to respond to a command with.
    fn respond(&self, command: &Value, outgoing: &mpsc::UnboundedSender<Message>) -> Vec<Value> {
        let id = &command["id"];
        let result = |result: Value| json!({ "id": id, "type": "result", "success": true, "result": result });
        match command["type"].as_str().unwrap_or_default() {
            "ping" => vec![json!({ "id": id, "type": "pong" })],
            "get_config" => vec![result(
                json!({ "state": "RUNNING", "version": "2026.11.1" }),
            )],
            "config/entity_registry/list_for_display" => {
                vec![result(json!({ "entity_categories": {}, "entities": [] }))]
            }
            command_type if command_type.ends_with("/list") => vec![result(json!([]))],
            "subscribe_entities" => {
                let named = command["entity_ids"].as_array().into_iter().flatten();
                let entities: Vec<_> = named
                    .filter_map(|entity| entity.as_str().map(str::to_owned))
                    .collect();
                let states = entities
                    .iter()
                    .map(|entity| (entity.clone(), json!({ "s": "0", "a": {}, "lc": 0.0 })));
                let first: serde_json::Map<_, _> = states.collect();
                self.subscriptions().push(Subscription {
                    id: id.as_u64().unwrap_or_default(),
                    entities,
                    outgoing: outgoing.clone(),
                });
                self.changes.send_replace(());
                let event = json!({ "id": id, "type": "event", "event": { "a": first } });
                vec![result(Value::Null), event]
            }
            "unsubscribe_events" => {
                let old = command["subscription"].as_u64().unwrap_or_default();
                self.subscriptions().retain(|open| open.id != old);
                vec![result(Value::Null)]
            }
            _ => vec![result(Value::Null)],
        }
    }
}

async fn serve(tcp: TcpStream, state: Arc<State>) -> Outcome<()> {
    let mut socket = accept_async(tcp).await?;
    let version = "2026.11.1";
    let hello = json!({ "type": "auth_required", "ha_version": version });
    socket.send(Message::text(hello.to_string())).await?;
    let _ = socket.next().await.ok_or("no auth")??;
    let welcome = json!({ "type": "auth_ok", "ha_version": version });
    socket.send(Message::text(welcome.to_string())).await?;
    let (outgoing, mut queued) = mpsc::unbounded_channel();
    loop {
        tokio::select! {
            message = socket.next() => {
                let Some(Message::Text(text)) = message.transpose()? else { continue };
                let command: Value = serde_json::from_str(&text)?;
                for frame in state.respond(&command, &outgoing) {
                    socket.send(Message::text(frame.to_string())).await?;
                }
            }
            Some(message) = queued.recv() => socket.send(message).await?,
        }
    }
}
