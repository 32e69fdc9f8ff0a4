//! A Socket.IO client over HTTP long-polling, as in browsers: polls on one connection and posts on another,
//! with an optional upgrade to WebSocket.

use std::convert::Infallible;

use hyper::Method;
use serde_json::Value;

use crate::connector::{ConnectionError, Connector, HttpClient, Socket};
use crate::receiver::Receiver;
use crate::socketio::SocketIo;

/// Whether a polling session upgrades to WebSocket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Upgrades {
    Never,
    /// As soon as it is connected, which is the default of the official client.
    Soon,
}

/// An Engine.IO session over polling.
struct Engine {
    polls: HttpClient,
    posts: HttpClient,
    sid: String,
}

/// Runs one session until it ends.
pub async fn run(
    client: &mut SocketIo,
    upgrades: Upgrades,
    connector: &Connector,
    receiver: &Receiver,
) -> Result<Infallible, ConnectionError> {
    let mut engine = Engine::open(connector).await?;
    engine.post(client.connect()).await?;
    let connections = receiver.connections();
    while upgrades == Upgrades::Never || receiver.connections() == connections {
        receiver.before_read().await;
        let payload = engine.poll().await?;
        engine.handle(client, &payload, receiver).await?;
    }
    let mut socket = engine.upgrade(client, connector, receiver).await?;
    socket.send("5".to_owned()).await?;
    client.listen(socket, receiver).await
}

async fn probe(connector: &Connector, path: &str) -> Result<Socket, ConnectionError> {
    let mut socket = connector.websocket(path, None).await?;
    socket.send("2probe".to_owned()).await?;
    match socket.text().await? {
        answer if answer == "3probe" => Ok(socket),
        other => Err(ConnectionError::Fatal(format!(
            "received {other} instead of 3probe"
        ))),
    }
}

impl Engine {
    async fn open(connector: &Connector) -> Result<Self, ConnectionError> {
        let mut polls = connector.http_client(None);
        let path = "/socket.io/?EIO=4&transport=polling";
        let (status, text) = polls.request(Method::GET, path, None).await?;
        if status != 200 {
            return Err(ConnectionError::from_status(status));
        }
        let opened: Option<Value> = text
            .strip_prefix('0')
            .and_then(|text| serde_json::from_str(text).ok());
        match opened
            .as_ref()
            .and_then(|handshake| handshake["sid"].as_str())
        {
            Some(sid) => Ok(Self {
                polls,
                posts: connector.http_client(None),
                sid: sid.to_owned(),
            }),
            None => Err(ConnectionError::Fatal(format!("invalid handshake: {text}"))),
        }
    }

    fn path(&self, transport: &str) -> String {
        format!("/socket.io/?EIO=4&transport={transport}&sid={}", self.sid)
    }

    async fn poll(&mut self) -> Result<String, ConnectionError> {
        let path = self.path("polling");
        match self.polls.request(Method::GET, &path, None).await? {
            (200, text) => Ok(text),
            (status, _) => Err(ConnectionError::from_status(status)),
        }
    }

    /// Keeps polling until the WebSocket has answered the probe and the poll that is in flight at that moment
    /// has returned. The server completes that poll with a noop.
    async fn upgrade(
        &mut self,
        client: &mut SocketIo,
        connector: &Connector,
        receiver: &Receiver,
    ) -> Result<Socket, ConnectionError> {
        let path = self.path("websocket");
        let mut probing = Box::pin(probe(connector, &path));
        let mut probed = None;
        while probed.is_none() {
            let payload = {
                let mut polling = std::pin::pin!(self.poll());
                tokio::select! {
                    payload = &mut polling => payload?,
                    socket = &mut probing => {
                        probed = Some(socket?);
                        polling.await?
                    }
                }
            };
            self.handle(client, &payload, receiver).await?;
        }
        probed.ok_or_else(|| ConnectionError::retryable("not probed"))
    }

    async fn post(&mut self, packet: String) -> Result<(), ConnectionError> {
        let body = ("text/plain;charset=UTF-8", packet);
        let path = self.path("polling");
        match self.posts.request(Method::POST, &path, Some(body)).await? {
            (200, _) => Ok(()),
            (status, _) => Err(ConnectionError::from_status(status)),
        }
    }

    async fn handle(
        &mut self,
        client: &mut SocketIo,
        payload: &str,
        receiver: &Receiver,
    ) -> Result<(), ConnectionError> {
        for packet in payload.split('\u{1e}') {
            if let Some(answer) = client.packet(packet, receiver)? {
                self.post(answer).await?;
            }
        }
        Ok(())
    }
}
