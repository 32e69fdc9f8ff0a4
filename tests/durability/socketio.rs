//! A Socket.IO client that behaves as the official one: it keeps `pid` and the last offset, and sends both
//! in the auth of CONNECT (docs/protocol.md#connection-state-recovery).

use std::convert::Infallible;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::connector::{ConnectionError, Connector, Socket};
use crate::json::parsed;
use crate::receiver::Receiver;

/// The state that is kept between connections.
pub struct SocketIo {
    token: String,
    pid: Option<String>,
    offset: Option<String>,
    /// Whether the current connection sent a `pid`.
    is_resuming: bool,
}

impl SocketIo {
    pub fn new(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            pid: None,
            offset: None,
            is_resuming: false,
        }
    }

    /// Runs one connection over WebSocket only, until it ends.
    pub async fn run(
        &mut self,
        connector: &Connector,
        receiver: &Receiver,
    ) -> Result<Infallible, ConnectionError> {
        let path = "/socket.io/?EIO=4&transport=websocket";
        let mut socket = connector.websocket(path, None).await?;
        let opened = socket.text().await?;
        if !opened.starts_with('0') {
            return Err(ConnectionError::Fatal(format!(
                "invalid handshake: {opened}"
            )));
        }
        socket.send(self.connect()).await?;
        self.listen(socket, receiver).await
    }

    /// Reads Engine.IO packets from a WebSocket until it ends.
    pub async fn listen(
        &mut self,
        mut socket: Socket,
        receiver: &Receiver,
    ) -> Result<Infallible, ConnectionError> {
        loop {
            receiver.before_read().await;
            let packet = socket.text().await?;
            if let Some(answer) = self.packet(&packet, receiver)? {
                socket.send(answer).await?;
            }
        }
    }

    /// The CONNECT packet, inside an Engine.IO message.
    pub fn connect(&mut self) -> String {
        let mut auth = Map::new();
        if let Some(pid) = &self.pid {
            auth.insert("pid".to_owned(), pid.as_str().into());
            if let Some(offset) = &self.offset {
                auth.insert("offset".to_owned(), offset.as_str().into());
            }
        }
        auth.insert("token".to_owned(), self.token.as_str().into());
        self.is_resuming = self.pid.is_some();
        format!("40{}", Value::Object(auth))
    }

    /// Handles an Engine.IO packet. Returns the packet to answer with, if any.
    pub fn packet(
        &mut self,
        packet: &str,
        receiver: &Receiver,
    ) -> Result<Option<String>, ConnectionError> {
        match packet.split_at_checked(1) {
            Some(("1", _)) => return Err(ConnectionError::retryable("the engine was closed")),
            Some(("2", data)) => return Ok(Some(format!("3{data}"))),
            Some(("4", message)) => self.message(message, receiver)?,
            _ => {}
        }
        Ok(None)
    }

    fn message(&mut self, message: &str, receiver: &Receiver) -> Result<(), ConnectionError> {
        let (packet_type, body) = message.split_at(1);
        match packet_type {
            "0" => {
                let body: Value = serde_json::from_str(body).map_err(ConnectionError::retryable)?;
                let pid = body["pid"].as_str().map(str::to_owned);
                if self.is_resuming && self.pid != pid {
                    receiver
                        .add_violation("the pid changed: the client is not `recovered`".to_owned());
                }
                self.pid = pid;
                Ok(())
            }
            "2" => self.event(body, receiver),
            _ => Err(ConnectionError::Fatal(format!(
                "unexpected packet {message}"
            ))),
        }
    }

    fn event(&mut self, body: &str, receiver: &Receiver) -> Result<(), ConnectionError> {
        let invalid = || ConnectionError::Fatal(format!("invalid event: {body}"));
        let arguments: Vec<&RawValue> = serde_json::from_str(body).map_err(|_| invalid())?;
        let [event_type, data, rest @ ..] = arguments.as_slice() else {
            return Err(invalid());
        };
        let event_type: &str = serde_json::from_str(event_type.get()).map_err(|_| invalid())?;
        if event_type == "connected" {
            receiver.welcome(&parsed(data)?, self.is_resuming);
            return Ok(());
        }
        let offset = rest.last();
        let offset = offset.and_then(|offset| serde_json::from_str::<String>(offset.get()).ok());
        let id = match &offset {
            Some(offset) => Some(id_of(offset).ok_or_else(invalid)?),
            None => None,
        };
        receiver.event(event_type, id, data.get());
        if let (Some(offset), Some(_)) = (offset, &self.pid) {
            self.offset = Some(offset);
        }
        Ok(())
    }
}

/// The event id of a position, `EPOCH:ID`.
pub fn id_of(position: &str) -> Option<i64> {
    let (_, id) = position.split_once(':')?;
    id.parse().ok()
}
