//! A completed pairing and its JSON.

use serde_json::{Map, Value, json};
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::PairingId;

use crate::areas::{Area, AreaJson};
use crate::clients::Client;

#[derive(Clone, Debug)]
pub struct CompletedPairing {
    pub pairing_id: PairingId,
    pub client: Client,
    pub areas: Vec<Area>,
    /// The signed token.
    pub token: String,
    /// When the token was issued.
    pub completed_at: Timestamp,
    /// When the token expires.
    pub expires_at: Timestamp,
}

impl CompletedPairing {
    /// `{clientId, clientName, token, assignedAreas, expiresAt}`: the answer to the tablet, and to nobody else.
    pub fn answer(&self) -> Map<String, Value> {
        let mut answer = self.without_token();
        answer.insert("token".to_owned(), self.token.as_str().into());
        answer
    }

    /// The same for admins, who must not see the token.
    pub(crate) fn without_token(&self) -> Map<String, Value> {
        let areas = self
            .areas
            .iter()
            .cloned()
            .map(AreaJson::for_client)
            .collect::<Vec<_>>();
        let shown = json!({
            "clientId": self.client.id,
            "clientName": self.client.name,
            "assignedAreas": areas,
            "expiresAt": self.expires_at,
        });
        match shown {
            Value::Object(object) => object,
            _ => Map::new(),
        }
    }
}
