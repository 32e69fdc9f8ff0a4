//! A tablet on a JSON WebSocket (contract 4.2): comes back with `?since=` and `&epoch=`, and has
//! its old session make room by `resume`.

use std::convert::Infallible;

use serde_json::{Value, json};

use crate::ears::Ears;
use crate::way::{Lost, Socket, Way};

/// What such a tablet keeps between two connections.
pub struct Json {
    token: String,
    proof: Proof,
    position: Option<(i64, String)>,
    connection: Option<String>,
}

/// When it says who it is.
pub enum Proof {
    /// In the handshake.
    Header,
    /// By message.
    Message,
}

impl Json {
    pub fn new(token: &str, proof: Proof) -> Self {
        Self {
            token: token.to_owned(),
            proof,
            position: None,
            connection: None,
        }
    }

    /// One connection, until it is lost.
    pub async fn live(&mut self, way: &Way, ears: &Ears) -> Result<Infallible, Lost> {
        let path = match &self.position {
            Some((id, epoch)) => format!("/ws?since={id}&epoch={epoch}"),
            None => "/ws".to_owned(),
        };
        let mut socket = match self.proof {
            Proof::Header => way.websocket(&path, Some(&self.token)).await?,
            Proof::Message => {
                let mut socket = way.websocket(&path, None).await?;
                let data = json!({ "token": self.token });
                let message = json!({ "type": "authenticate", "data": data });
                socket.send(message.to_string()).await?;
                socket
            }
        };
        loop {
            ears.awake().await;
            let text = socket.text().await?;
            let message: Value = serde_json::from_str(&text).map_err(|_| Lost::Final(text))?;
            self.hear(&mut socket, &message, ears).await?;
        }
    }

    async fn hear(
        &mut self,
        socket: &mut Socket,
        message: &Value,
        ears: &Ears,
    ) -> Result<(), Lost> {
        let kind = message["type"].as_str().unwrap_or_default();
        let (id, data) = (message["id"].as_i64(), &message["data"]);
        if kind == "connection" {
            ears.words(data, self.position.is_some());
            let text = |key: &str| data[key].as_str().expect("a text").to_owned();
            let old = self.connection.replace(text("connectionId"));
            match (&self.position, old) {
                (Some((id, epoch)), Some(old)) => {
                    let data = json!({ "lastEventId": id, "epoch": epoch, "connectionId": old });
                    let message = json!({ "type": "resume", "data": data });
                    socket.send(message.to_string()).await?;
                }
                (Some(_), None) => {}
                (None, _) => {
                    let last = data["lastEventId"].as_i64().expect("a position");
                    self.position = Some((last, text("epoch")));
                }
            }
            return Ok(());
        }
        ears.event(kind, id, data);
        let moved = match kind {
            "heartbeat" => data["lastEventId"].as_i64(),
            _ => id,
        };
        if let (Some(id), Some((position, _))) = (moved, &mut self.position) {
            *position = id;
        }
        Ok(())
    }
}
