//! Publishes numbered events through the server's own API.

use serde_json::json;

use crate::http::Http;
use crate::subject::Server;
use crate::{Outcome, clock};

/// Pads an event's data to 200 bytes.
const PADDING: usize = 145;

/// Publishes to one server over one connection.
pub struct Publisher<'a> {
    server: &'a Server,
    http: Http,
    number: u64,
}

impl<'a> Publisher<'a> {
    pub async fn open(server: &'a Server) -> Outcome<Self> {
        Ok(Self {
            server,
            http: Http::open(server.address, server.admin_token.as_deref()).await?,
            number: 0,
        })
    }

    /// Publishes one event and waits for the answer.
    pub async fn publish(&mut self) -> Outcome<()> {
        self.number += 1;
        let data = json!({
            "number": self.number,
            "sent": clock::nanos(),
            "padding": "x".repeat(PADDING),
        });
        let (path, body) = self.server.publication(&data);
        self.http.post(path, &body).await?;
        Ok(())
    }
}
