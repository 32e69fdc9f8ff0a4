//! A JSON WebSocket client: it reconnects with `?since=` and `&epoch=`, and closes its older session with
//! `resume` (docs/protocol.md#json-websocket).

use std::convert::Infallible;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::connector::{ConnectionError, Connector, Socket};
use crate::receiver::Receiver;

/// The state that is kept between connections.
pub struct Json {
    token: String,
    token_placement: TokenPlacement,
    position: Option<(i64, String)>,
    connection: Option<String>,
}

/// Where the client sends its token.
pub enum TokenPlacement {
    /// In the header of the handshake.
    Header,
    /// In an `authenticate` message.
    Message,
}

impl Json {
    pub fn new(token: &str, token_placement: TokenPlacement) -> Self {
        Self {
            token: token.to_owned(),
            token_placement,
            position: None,
            connection: None,
        }
    }

    /// Runs one connection until it ends.
    pub async fn run(
        &mut self,
        connector: &Connector,
        receiver: &Receiver,
    ) -> Result<Infallible, ConnectionError> {
        let path = match &self.position {
            Some((id, epoch)) => format!("/ws?since={id}&epoch={epoch}"),
            None => "/ws".to_owned(),
        };
        let mut socket = match self.token_placement {
            TokenPlacement::Header => connector.websocket(&path, Some(&self.token)).await?,
            TokenPlacement::Message => {
                let mut socket = connector.websocket(&path, None).await?;
                let data = json!({ "token": self.token });
                let message = json!({ "type": "authenticate", "data": data });
                socket.send(message.to_string()).await?;
                socket
            }
        };
        loop {
            receiver.before_read().await;
            let text = socket.text().await?;
            let message = Message::read(&text)?;
            self.handle(&mut socket, &message, receiver).await?;
        }
    }

    async fn handle(
        &mut self,
        socket: &mut Socket,
        message: &Message<'_>,
        receiver: &Receiver,
    ) -> Result<(), ConnectionError> {
        match message.event_type {
            "connection" => {
                return self
                    .handle_welcome(socket, &message.parsed()?, receiver)
                    .await;
            }
            event_type => receiver.event(event_type, message.id, message.data.get()),
        }
        let new_position = match message.event_type {
            "heartbeat" => message.parsed()?["lastEventId"].as_i64(),
            _ => message.id,
        };
        if let (Some(id), Some((position, _))) = (new_position, &mut self.position) {
            *position = id;
        }
        Ok(())
    }

    /// Stores the position of the first welcome. After a reconnect, sends `resume` to close an older half-open
    /// session.
    async fn handle_welcome(
        &mut self,
        socket: &mut Socket,
        welcome: &Value,
        receiver: &Receiver,
    ) -> Result<(), ConnectionError> {
        receiver.welcome(welcome, self.position.is_some());
        let text = |key: &str| welcome[key].as_str().expect("a string").to_owned();
        let old = self.connection.replace(text("connectionId"));
        match (&self.position, old) {
            (Some((id, epoch)), Some(old)) => {
                let data = json!({ "lastEventId": id, "epoch": epoch, "connectionId": old });
                let message = json!({ "type": "resume", "data": data });
                socket.send(message.to_string()).await
            }
            (Some(_), None) => Ok(()),
            (None, _) => {
                let last = welcome["lastEventId"].as_i64().expect("a position");
                self.position = Some((last, text("epoch")));
                Ok(())
            }
        }
    }
}

/// A message from the daemon.
#[derive(Deserialize)]
pub struct Message<'a> {
    #[serde(rename = "type")]
    pub event_type: &'a str,
    pub id: Option<i64>,
    #[serde(borrow)]
    pub data: &'a RawValue,
}

impl<'a> Message<'a> {
    pub fn read(text: &'a str) -> Result<Self, ConnectionError> {
        serde_json::from_str(text)
            .map_err(|error| ConnectionError::Fatal(format!("{error}: {text}")))
    }

    pub fn parsed(&self) -> Result<Value, ConnectionError> {
        parsed(self.data)
    }
}

pub fn parsed(data: &RawValue) -> Result<Value, ConnectionError> {
    serde_json::from_str(data.get()).map_err(|error| ConnectionError::Fatal(error.to_string()))
}
