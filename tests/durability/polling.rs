//! Socket.IO by HTTP long-polling, as browsers do it: polls on one connection, pushes on another,
//! and for some a change to WebSocket on the way.

use std::convert::Infallible;

use hyper::Method;
use serde_json::Value;

use crate::ears::Ears;
use crate::socketio::SocketIo;
use crate::way::{Line, Lost, Socket, Way};

/// What becomes of a polling session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Upgrades {
    Never,
    /// Once it is connected, as stock clients do by default.
    Soon,
}

/// An Engine.IO session by polling.
struct Engine {
    polls: Line,
    pushes: Line,
    sid: String,
}

/// One session, until it is lost.
pub async fn live(
    client: &mut SocketIo,
    upgrades: Upgrades,
    way: &Way,
    ears: &Ears,
) -> Result<Infallible, Lost> {
    let mut engine = Engine::open(way).await?;
    engine.push(client.connect()).await?;
    let connections = ears.connections();
    while upgrades == Upgrades::Never || ears.connections() == connections {
        ears.awake().await;
        let payload = engine.poll().await?;
        engine.hear(client, &payload, ears).await?;
    }
    let mut socket = engine.change_over(client, way, ears).await?;
    socket.send("5".to_owned()).await?;
    client.listen(socket, ears).await
}

async fn probe(way: &Way, path: &str) -> Result<Socket, Lost> {
    let mut socket = way.websocket(path, None).await?;
    socket.send("2probe".to_owned()).await?;
    match socket.text().await? {
        answer if answer == "3probe" => Ok(socket),
        other => Err(Lost::Final(format!("told {other} for a probe"))),
    }
}

impl Engine {
    async fn open(way: &Way) -> Result<Self, Lost> {
        let mut polls = way.line(None);
        let path = "/socket.io/?EIO=4&transport=polling";
        let (status, text) = polls.ask(Method::GET, path, None).await?;
        if status != 200 {
            return Err(Lost::refused(status));
        }
        let opened: Option<Value> = text
            .strip_prefix('0')
            .and_then(|text| serde_json::from_str(text).ok());
        match opened.as_ref().and_then(|words| words["sid"].as_str()) {
            Some(sid) => Ok(Self {
                polls,
                pushes: way.line(None),
                sid: sid.to_owned(),
            }),
            None => Err(Lost::Final(format!("no handshake: {text}"))),
        }
    }

    fn path(&self, transport: &str) -> String {
        format!("/socket.io/?EIO=4&transport={transport}&sid={}", self.sid)
    }

    async fn poll(&mut self) -> Result<String, Lost> {
        let path = self.path("polling");
        match self.polls.ask(Method::GET, &path, None).await? {
            (200, text) => Ok(text),
            (status, _) => Err(Lost::refused(status)),
        }
    }

    /// Goes on polling until the WebSocket has answered the probe, and for the one poll that is
    /// under way then: the server releases it.
    async fn change_over(
        &mut self,
        client: &mut SocketIo,
        way: &Way,
        ears: &Ears,
    ) -> Result<Socket, Lost> {
        let path = self.path("websocket");
        let mut probing = Box::pin(probe(way, &path));
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
            self.hear(client, &payload, ears).await?;
        }
        probed.ok_or_else(|| Lost::broken("not probed"))
    }

    async fn push(&mut self, packet: String) -> Result<(), Lost> {
        let body = ("text/plain;charset=UTF-8", packet);
        let path = self.path("polling");
        match self.pushes.ask(Method::POST, &path, Some(body)).await? {
            (200, _) => Ok(()),
            (status, _) => Err(Lost::refused(status)),
        }
    }

    async fn hear(
        &mut self,
        client: &mut SocketIo,
        payload: &str,
        ears: &Ears,
    ) -> Result<(), Lost> {
        for packet in payload.split('\u{1e}') {
            if let Some(answer) = client.packet(packet, ears)? {
                self.push(answer).await?;
            }
        }
        Ok(())
    }
}
