//! Publishes numbered events through the server's own API.

use serde_json::json;

use crate::core::Core;
use crate::http::Http;
use crate::subject::Server;
use crate::{Outcome, clock};

/// Pads an event's data to 200 bytes.
const PADDING: usize = 145;

/// How it publishes.
enum Way<'a> {
    /// An event of a type of our own, to everyone, or to an organisation.
    Broadcast { organization: Option<&'a str> },
    /// A change of an area, which is told to the tablets that have it.
    Rename { path: String },
    /// A state of Home Assistant's, which nobody keeps.
    State { core: &'a Core, entity: &'a str },
}

/// Publishes to one server over one connection.
pub struct Publisher<'a> {
    server: &'a Server,
    http: Http,
    way: Way<'a>,
    number: usize,
}

impl<'a> Publisher<'a> {
    /// One that broadcasts.
    pub async fn broadcasting(server: &'a Server) -> Outcome<Self> {
        Self::open(server, Way::Broadcast { organization: None }).await
    }

    /// One that broadcasts to an organisation of Wallcast's.
    pub async fn broadcasting_to(server: &'a Server, organization: &'a str) -> Outcome<Self> {
        let organization = Some(organization);
        Self::open(server, Way::Broadcast { organization }).await
    }

    /// One that renames an area of Wallcast's.
    pub async fn renaming(server: &'a Server, area: &str) -> Outcome<Self> {
        let path = format!("/api/areas/{area}");
        Self::open(server, Way::Rename { path }).await
    }

    /// One by which Home Assistant tells Wallcast states of an entity.
    pub async fn telling(server: &'a Server, core: &'a Core, entity: &'a str) -> Outcome<Self> {
        core.until_subscribed(entity).await?;
        Self::open(server, Way::State { core, entity }).await
    }

    async fn open(server: &'a Server, way: Way<'a>) -> Outcome<Self> {
        Ok(Self {
            server,
            http: Http::open(server.address, server.admin_token.as_deref()).await?,
            way,
            number: 0,
        })
    }

    /// Publishes one event and waits for the answer, where there is one.
    pub async fn publish(&mut self) -> Outcome<()> {
        self.number += 1;
        let (number, sent) = (self.number, clock::nanos());
        match &self.way {
            Way::Broadcast { organization } => {
                let padding = "x".repeat(PADDING);
                let data = json!({ "number": number, "sent": sent, "padding": padding });
                let (path, mut body) = self.server.publication(&data);
                if let Some(organization) = organization {
                    body["organizationId"] = json!(organization);
                }
                self.http.post(path, &body).await?;
            }
            Way::Rename { path } => {
                let name = format!("number:{number} sent:{sent}.");
                self.http.put(path, &json!({ "name": name })).await?;
            }
            Way::State { core, entity } => core.tell(entity, &number.to_string(), number),
        }
        Ok(())
    }
}
