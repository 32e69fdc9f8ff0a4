//! Publishes numbered events through the server's own API.

use serde_json::{Value, json};

use crate::http::Http;
use crate::subject::Server;
use crate::{Outcome, clock};

/// Pads an event's data to 200 bytes.
const PADDING: usize = 145;

/// How it publishes.
enum Way {
    /// An event of a type of our own, to everyone.
    Broadcast,
    /// A change of an area, which is told to the tablets that have it.
    Rename { path: String },
}

/// Publishes to one server over one connection.
pub struct Publisher<'a> {
    server: &'a Server,
    http: Http,
    way: Way,
    number: u64,
}

impl<'a> Publisher<'a> {
    /// One that broadcasts.
    pub async fn broadcasting(server: &'a Server) -> Outcome<Self> {
        Self::open(server, Way::Broadcast).await
    }

    /// One that renames an area of Wallcast's.
    pub async fn renaming(server: &'a Server, area: &str) -> Outcome<Self> {
        let path = format!("/api/areas/{area}");
        Self::open(server, Way::Rename { path }).await
    }

    async fn open(server: &'a Server, way: Way) -> Outcome<Self> {
        Ok(Self {
            server,
            http: Http::open(server.address, server.admin_token.as_deref()).await?,
            way,
            number: 0,
        })
    }

    /// Publishes one event and waits for the answer.
    pub async fn publish(&mut self) -> Outcome<Value> {
        self.number += 1;
        let (number, sent) = (self.number, clock::nanos());
        match &self.way {
            Way::Broadcast => {
                let padding = "x".repeat(PADDING);
                let data = json!({ "number": number, "sent": sent, "padding": padding });
                let (path, body) = self.server.publication(&data);
                self.http.post(path, &body).await
            }
            Way::Rename { path } => {
                let name = format!("number:{number} sent:{sent}.");
                self.http.put(path, &json!({ "name": name })).await
            }
        }
    }
}
