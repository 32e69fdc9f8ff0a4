//! A tablet that speaks Socket.IO as the unchanged official client does (contract 4.1): it keeps
//! `pid` and the last offset, and brings both in CONNECT's auth.

use std::convert::Infallible;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::ears::Ears;
use crate::json::parsed;
use crate::way::{Lost, Socket, Way};

/// What such a tablet keeps between two connections.
pub struct SocketIo {
    token: String,
    pid: Option<String>,
    offset: Option<String>,
    /// Whether the present connection began with a `pid`.
    comes_back: bool,
}

impl SocketIo {
    pub fn new(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            pid: None,
            offset: None,
            comes_back: false,
        }
    }

    /// One connection over WebSocket alone, until it is lost.
    pub async fn live(&mut self, way: &Way, ears: &Ears) -> Result<Infallible, Lost> {
        let path = "/socket.io/?EIO=4&transport=websocket";
        let mut socket = way.websocket(path, None).await?;
        let opened = socket.text().await?;
        if !opened.starts_with('0') {
            return Err(Lost::Final(format!("no handshake: {opened}")));
        }
        socket.send(self.connect()).await?;
        self.listen(socket, ears).await
    }

    /// Reads packets of Engine.IO from a WebSocket, until it is lost.
    pub async fn listen(&mut self, mut socket: Socket, ears: &Ears) -> Result<Infallible, Lost> {
        loop {
            ears.awake().await;
            let packet = socket.text().await?;
            if let Some(answer) = self.packet(&packet, ears)? {
                socket.send(answer).await?;
            }
        }
    }

    /// CONNECT, as a packet of Engine.IO.
    pub fn connect(&mut self) -> String {
        let mut auth = Map::new();
        if let Some(pid) = &self.pid {
            auth.insert("pid".to_owned(), pid.as_str().into());
            if let Some(offset) = &self.offset {
                auth.insert("offset".to_owned(), offset.as_str().into());
            }
        }
        auth.insert("token".to_owned(), self.token.as_str().into());
        self.comes_back = self.pid.is_some();
        format!("40{}", Value::Object(auth))
    }

    /// A packet of Engine.IO, and what is to be answered.
    pub fn packet(&mut self, packet: &str, ears: &Ears) -> Result<Option<String>, Lost> {
        match packet.split_at_checked(1) {
            Some(("1", _)) => return Err(Lost::broken("the engine was closed")),
            Some(("2", data)) => return Ok(Some(format!("3{data}"))),
            Some(("4", message)) => self.message(message, ears)?,
            _ => {}
        }
        Ok(None)
    }

    fn message(&mut self, message: &str, ears: &Ears) -> Result<(), Lost> {
        let (kind, body) = message.split_at(1);
        match kind {
            "0" => {
                let body: Value = serde_json::from_str(body).map_err(Lost::broken)?;
                let pid = body["pid"].as_str().map(str::to_owned);
                if self.comes_back && self.pid != pid {
                    ears.complain("another pid: the client is not `recovered`".to_owned());
                }
                self.pid = pid;
                Ok(())
            }
            "2" => self.event(body, ears),
            _ => Err(Lost::Final(format!("told {message}"))),
        }
    }

    fn event(&mut self, body: &str, ears: &Ears) -> Result<(), Lost> {
        let nonsense = || Lost::Final(format!("no event: {body}"));
        let arguments: Vec<&RawValue> = serde_json::from_str(body).map_err(|_| nonsense())?;
        let [kind, data, rest @ ..] = arguments.as_slice() else {
            return Err(nonsense());
        };
        let kind: &str = serde_json::from_str(kind.get()).map_err(|_| nonsense())?;
        if kind == "connected" {
            ears.words(&parsed(data)?, self.comes_back);
            return Ok(());
        }
        let offset = rest.last();
        let offset = offset.and_then(|offset| serde_json::from_str::<String>(offset.get()).ok());
        let id = match &offset {
            Some(offset) => Some(id_of(offset).ok_or_else(nonsense)?),
            None => None,
        };
        ears.event(kind, id, data.get());
        if let (Some(offset), Some(_)) = (offset, &self.pid) {
            self.offset = Some(offset);
        }
        Ok(())
    }
}

/// The id of a position, `EPOCH:ID`.
pub fn id_of(position: &str) -> Option<i64> {
    let (_, id) = position.split_once(':')?;
    id.parse().ok()
}
