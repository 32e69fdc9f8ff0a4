//! Publishes numbered events through the server's API.

use serde_json::json;

use crate::home_assistant::HomeAssistant;
use crate::http::Http;
use crate::subject::Server;
use crate::{Outcome, clock};

/// Pads an event's data to 200 bytes.
const PADDING: usize = 145;

enum Method<'a> {
    /// A broadcast of a custom event type, to all tablets or to those of an organisation.
    Broadcast { organization: Option<&'a str> },
    /// A durable change of an area.
    Rename { path: String },
    /// An ephemeral state from the stand-in for Home Assistant.
    State {
        home_assistant: &'a HomeAssistant,
        entity: &'a str,
    },
}

pub struct Publisher<'a> {
    server: &'a Server,
    http: Http,
    method: Method<'a>,
    number: usize,
}

impl<'a> Publisher<'a> {
    /// Broadcasts to all tablets.
    pub async fn broadcasting(server: &'a Server) -> Outcome<Self> {
        Self::open(server, Method::Broadcast { organization: None }).await
    }

    /// Broadcasts to the tablets of an organisation. Wallcast only.
    pub async fn broadcasting_to(server: &'a Server, organization: &'a str) -> Outcome<Self> {
        let organization = Some(organization);
        Self::open(server, Method::Broadcast { organization }).await
    }

    /// Renames an area. Wallcast only.
    pub async fn renaming(server: &'a Server, area: &str) -> Outcome<Self> {
        let path = format!("/api/areas/{area}");
        Self::open(server, Method::Rename { path }).await
    }

    /// Sends states of an entity from Home Assistant. Wallcast only.
    pub async fn sending_states(
        server: &'a Server,
        home_assistant: &'a HomeAssistant,
        entity: &'a str,
    ) -> Outcome<Self> {
        home_assistant.wait_until_subscribed(entity).await?;
        let method = Method::State {
            home_assistant,
            entity,
        };
        Self::open(server, method).await
    }

    async fn open(server: &'a Server, method: Method<'a>) -> Outcome<Self> {
        Ok(Self {
            server,
            http: Http::open(server.address, server.admin_token.as_deref()).await?,
            method,
            number: 0,
        })
    }

    /// Publishes one event, and waits for the response if there is one.
    pub async fn publish(&mut self) -> Outcome<()> {
        self.number += 1;
        let (number, sent) = (self.number, clock::nanos());
        match &self.method {
            Method::Broadcast { organization } => {
                let padding = "x".repeat(PADDING);
                let data = json!({ "number": number, "sent": sent, "padding": padding });
                let (path, mut body) = self.server.publication(&data);
                if let Some(organization) = organization {
                    body["organizationId"] = json!(organization);
                }
                self.http.post(path, &body).await?;
            }
            Method::Rename { path } => {
                let name = format!("number:{number} sent:{sent}.");
                self.http.put(path, &json!({ "name": name })).await?;
            }
            Method::State {
                home_assistant,
                entity,
            } => home_assistant.send_state(entity, &number.to_string(), number),
        }
        Ok(())
    }
}
