//! A tablet on a JSON WebSocket (contract 4.2): comes back with `?since=` and `&epoch=`, and has
//! its old session make room by `resume`.

use std::convert::Infallible;

use serde::Deserialize;
use serde_json::value::RawValue;
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
            let message = Message::read(&text)?;
            self.hear(&mut socket, &message, ears).await?;
        }
    }

    async fn hear(
        &mut self,
        socket: &mut Socket,
        message: &Message<'_>,
        ears: &Ears,
    ) -> Result<(), Lost> {
        match message.kind {
            "connection" => return self.enter(socket, &message.parsed()?, ears).await,
            kind => ears.event(kind, message.id, message.data.get()),
        }
        let moved = match message.kind {
            "heartbeat" => message.parsed()?["lastEventId"].as_i64(),
            _ => message.id,
        };
        if let (Some(id), Some((position, _))) = (moved, &mut self.position) {
            *position = id;
        }
        Ok(())
    }

    /// The first words: a half-open session of before has to make room for this one.
    async fn enter(&mut self, socket: &mut Socket, words: &Value, ears: &Ears) -> Result<(), Lost> {
        ears.words(words, self.position.is_some());
        let text = |key: &str| words[key].as_str().expect("a text").to_owned();
        let old = self.connection.replace(text("connectionId"));
        match (&self.position, old) {
            (Some((id, epoch)), Some(old)) => {
                let data = json!({ "lastEventId": id, "epoch": epoch, "connectionId": old });
                let message = json!({ "type": "resume", "data": data });
                socket.send(message.to_string()).await
            }
            (Some(_), None) => Ok(()),
            (None, _) => {
                let last = words["lastEventId"].as_i64().expect("a position");
                self.position = Some((last, text("epoch")));
                Ok(())
            }
        }
    }
}

/// A message of the daemon.
#[derive(Deserialize)]
pub struct Message<'a> {
    #[serde(rename = "type")]
    pub kind: &'a str,
    pub id: Option<i64>,
    #[serde(borrow)]
    pub data: &'a RawValue,
}

impl<'a> Message<'a> {
    pub fn read(text: &'a str) -> Result<Self, Lost> {
        serde_json::from_str(text).map_err(|error| Lost::Final(format!("{error}: {text}")))
    }

    pub fn parsed(&self) -> Result<Value, Lost> {
        parsed(self.data)
    }
}

pub fn parsed(data: &RawValue) -> Result<Value, Lost> {
    serde_json::from_str(data.get()).map_err(|error| Lost::Final(error.to_string()))
}
