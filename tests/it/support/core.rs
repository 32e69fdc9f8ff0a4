//! A scripted Home Assistant Core on a loopback port. It serves the WebSocket API on Core's own path and on
//! that of Supervisor's proxy, and can misbehave on demand.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::http;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

mod data;

use super::until;
pub use data::{AcceptMode, CoreData, Reply};
use data::{Connection, is_subscribed};

/// The only access token that it accepts. Must never appear in a log or a file.
pub const CORE_TOKEN: &str = "token-of-the-scripted-core-e5f0a1";

/// A running scripted Core. Stops when dropped.
pub struct Core {
    address: SocketAddr,
    /// TLS configuration, and the folder with its certificate.
    tls: Option<(Arc<ServerConfig>, tempfile::TempDir)>,
    data: Arc<Mutex<CoreData>>,
    serving: Option<JoinHandle<()>>,
    cut: watch::Sender<usize>,
}

impl Core {
    /// Starts with empty registries.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// Starts with data that `setup` fills in.
    pub async fn with(setup: impl FnOnce(&mut CoreData)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut data = CoreData::default();
        setup(&mut data);
        let mut core = Self {
            address: listener.local_addr().expect("an address"),
            tls: None,
            data: Arc::new(Mutex::new(data)),
            serving: None,
            cut: watch::Sender::new(0),
        };
        core.serve(listener);
        core
    }

    /// Like [`Core::with`], but serves TLS with a self-signed certificate for `localhost`.
    pub async fn with_tls(setup: impl FnOnce(&mut CoreData)) -> Self {
        let mut core = Self::with(setup).await;
        core.kill().await;
        let own =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("core.pem"), own.cert.pem())
            .expect("the certificate is written");
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .expect("a certificate");
        core.tls = Some((Arc::new(config), folder));
        core.restart().await;
        core
    }

    /// Options for a daemon that connects directly over TLS and trusts this certificate, or no certificate.
    pub fn direct_tls(&self, is_trusted: bool) -> Vec<(String, String)> {
        let (_, folder) = self.tls.as_ref().expect("it serves TLS");
        let roots = match is_trusted {
            true => folder.path().join("core.pem"),
            false => folder.path().join("none.pem"),
        };
        let url = format!("https://localhost:{}", self.address.port());
        let roots = roots.to_str().expect("a path");
        [
            ("HA_URL", url.as_str()),
            ("HA_TOKEN", CORE_TOKEN),
            ("SSL_CERT_FILE", roots),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// Options for a daemon that runs as an add-on and connects through Supervisor's proxy.
    pub fn as_addon(&self) -> Vec<(String, String)> {
        let url = format!("http://{}", self.address);
        [
            ("SUPERVISOR_TOKEN", CORE_TOKEN),
            ("SUPERVISOR_URL", &url),
            ("INGRESS_LISTEN", "127.0.0.1:0"),
            ("INGRESS_FROM", "127.0.0.1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// Options for a daemon that connects directly.
    pub fn direct(&self) -> Vec<(String, String)> {
        let url = format!("http://{}", self.address);
        [("HA_URL", url.as_str()), ("HA_TOKEN", CORE_TOKEN)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }

    /// Locks the data, for reading or changing it.
    pub fn data(&self) -> MutexGuard<'_, CoreData> {
        self.data.lock().unwrap()
    }

    /// Drops every connection without a close frame.
    pub fn disconnect_all(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Stops as a killed process does: drops every connection and refuses new ones.
    pub async fn kill(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
        self.disconnect_all();
    }

    /// Listens again on the same address.
    pub async fn restart(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("its port");
        self.serve(listener);
    }

    /// Sends an event of the bus to every connection that subscribed to its type.
    pub fn fire(&self, event_type: &str, data: Value) {
        self.fire_all(event_type, vec![data]);
    }

    /// Like [`Core::fire`] for many events, in one frame per connection.
    pub fn fire_all(&self, event_type: &str, all: Vec<Value>) {
        let data = self.data();
        for connection in &data.connections {
            let mut events = Vec::new();
            for (id, command) in &connection.subscriptions {
                let is_wanted = command["type"] == "subscribe_events"
                    && (command["event_type"].is_null() || command["event_type"] == event_type);
                for data in all.iter().filter(|_| is_wanted) {
                    let event =
                        json!({ "event_type": event_type, "data": data, "origin": "LOCAL" });
                    events.push(json!({ "id": id, "type": "event", "event": event }));
                }
            }
            connection.send(events);
        }
    }

    /// Changes an entity's state and sends the change to every connection that subscribed to the entity.
    pub fn set_state(&self, entity: &str, state: &str, attributes: Value) {
        self.set_states([(entity.to_owned(), state.to_owned(), attributes)]);
    }

    /// Like [`Core::set_state`] for many entities, in one frame per connection.
    pub fn set_states(&self, states: impl IntoIterator<Item = (String, String, Value)>) {
        let mut data = self.data();
        let mut changes = Vec::new();
        for (entity, state, attributes) in states {
            let value =
                json!({ "s": state, "a": attributes, "c": "context", "lc": 1_700_000_000.5 });
            let is_new = data.states.insert(entity.clone(), value.clone()).is_none();
            changes.push((entity, value, is_new));
        }
        for connection in &data.connections {
            let mut events = Vec::new();
            for (id, command) in &connection.subscriptions {
                for (entity, value, is_new) in &changes {
                    if !is_subscribed(command, entity) {
                        continue;
                    }
                    let event = match is_new {
                        true => json!({ "a": { entity: value } }),
                        false => json!({ "c": { entity: { "+": value } } }),
                    };
                    events.push(json!({ "id": id, "type": "event", "event": event }));
                }
            }
            connection.send(events);
        }
    }

    /// Sends an error result to each subscription of this type, as Core does when it cannot serialize an event.
    pub fn fail_subscriptions(&self, command_type: &str) {
        let error = json!({ "code": "unknown_error", "message": "Invalid JSON in response" });
        for connection in &self.data().connections {
            let of_type = connection
                .subscriptions
                .iter()
                .filter(|(_, c)| c["type"] == command_type);
            let failed =
                |(id, _)| json!({ "id": id, "type": "result", "success": false, "error": error });
            connection.send(of_type.map(failed).collect());
        }
    }

    /// Removes an entity's state and notifies every connection that subscribed to the entity.
    pub fn remove_state(&self, entity: &str) {
        let mut data = self.data();
        data.states.remove(entity);
        for connection in &data.connections {
            let wanted = connection
                .subscriptions
                .iter()
                .filter(|(_, c)| is_subscribed(c, entity));
            let event = |(id, _)| json!({ "id": id, "type": "event", "event": { "r": [entity] } });
            connection.send(wanted.map(event).collect());
        }
    }

    /// Commands of this type received so far.
    pub fn received(&self, command_type: &str) -> Vec<Value> {
        let data = self.data();
        let received = data.received.iter();
        received
            .filter(|c| c["type"] == command_type)
            .cloned()
            .collect()
    }

    /// Waits for `at_least` commands of this type.
    pub async fn until_received(&self, command_type: &str, at_least: usize) -> Vec<Value> {
        until(command_type, async || {
            Some(self.received(command_type)).filter(|received| received.len() >= at_least)
        })
        .await
    }

    /// The data of each event of this type that clients fired with `fire_event`.
    pub fn fired(&self, event_type: &str) -> Vec<Value> {
        let fired = self.received("fire_event").into_iter();
        fired
            .filter(|command| command["event_type"] == event_type)
            .map(|command| command["event_data"].clone())
            .collect()
    }

    fn serve(&mut self, listener: TcpListener) {
        let (data, cut) = (self.data.clone(), self.cut.clone());
        let tls = self
            .tls
            .as_ref()
            .map(|(config, _)| TlsAcceptor::from(config.clone()));
        self.serving = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (data, mut cut) = (data.clone(), cut.subscribe());
                let tls = tls.clone();
                tokio::spawn(async move {
                    let connection = async {
                        match tls {
                            None => Box::pin(serve_connection(stream, data)).await,
                            Some(tls) => {
                                if let Ok(stream) = tls.accept(stream).await {
                                    Box::pin(serve_connection(stream, data)).await;
                                }
                            }
                        }
                    };
                    tokio::select! {
                        () = connection => {}
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
        self.disconnect_all();
    }
}

#[expect(clippy::result_large_err, reason = "the library's own signature")]
async fn serve_connection(stream: impl AsyncRead + AsyncWrite + Unpin, data: Arc<Mutex<CoreData>>) {
    let accept_mode = data.lock().unwrap().accept_mode;
    if accept_mode == AcceptMode::ClosesAtOnce {
        return;
    }
    let check = |request: &Request, response: Response| {
        let is_known = ["/core/websocket", "/api/websocket"].contains(&request.uri().path());
        let status = match (is_known, accept_mode) {
            (false, _) => 404,
            (true, AcceptMode::BadGateway) => 502,
            _ => return Ok(response),
        };
        let refusal = http::Response::builder().status(status).body(None);
        Err(refusal.expect("a response"))
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, check).await else {
        return;
    };
    let json_text = |value: Value| Message::text(value.to_string());
    let auth_required = json_text(json!({ "type": "auth_required", "ha_version": "2026.11.1" }));
    if socket.send(auth_required).await.is_err() {
        return;
    }
    let Some(Ok(Message::Text(text))) = socket.next().await else {
        return;
    };
    let auth: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(auth["type"], "auth");
    if auth["access_token"] != CORE_TOKEN || accept_mode == AcceptMode::RefusesToken {
        let _ = socket
            .send(json_text(
                json!({ "type": "auth_invalid", "message": "Invalid access" }),
            ))
            .await;
        return;
    }
    let auth_ok = json_text(json!({ "type": "auth_ok", "ha_version": "2026.11.1" }));
    if socket.send(auth_ok).await.is_err() || accept_mode == AcceptMode::ClosesAfterAuth {
        return;
    }
    let (mut sink, mut stream) = socket.split();
    let (outgoing, mut queue) = mpsc::unbounded_channel();
    let number = {
        let mut data = data.lock().unwrap();
        data.authenticated_connections += 1;
        let number = data.authenticated_connections;
        data.connections.push(Connection {
            outgoing: outgoing.clone(),
            subscriptions: BTreeMap::new(),
            number,
        });
        number
    };
    let _remove = RemoveOnDrop(data.clone(), number);
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
            let replies = {
                let mut data = data.lock().unwrap();
                data.received.push(command.clone());
                data.reply_to(number, &command)
            };
            let Some(replies) = replies else { return };
            for reply in replies {
                let _ = outgoing.send(Message::text(reply));
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

/// Removes a connection from the data when its task ends.
struct RemoveOnDrop(Arc<Mutex<CoreData>>, usize);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        let mut data = self.0.lock().unwrap();
        data.connections
            .retain(|connection| connection.number != self.1);
    }
}
