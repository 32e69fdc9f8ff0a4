//! `GET /api/clients/{id}/view`: what a tablet can see and do, for admins. Computed with the functions that serve the
//! tablet's own requests, so that it cannot differ from them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rusqlite::Connection;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use wallcast_core::auth::{Principal, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::Namespace;
use wallcast_core::history;
use wallcast_core::ids::UserId;

use super::board::board_json;
use super::clients::{ClientJson, client_id};
use super::lockers::LockerJson;
use crate::access::entitlement;
use crate::app::App;
use crate::areas::AreaJson;
use crate::clients::{self, Client, ClientWithAreas, with_areas};
use crate::http::{ApiError, Reply, Request};
use crate::lockers::{self, LockerViewer};
use crate::service_calls::permitted_services;
use crate::tokens;

/// The maximum number of lockers in the reply. A kiosk has fewer.
const MAX_LOCKERS: usize = 1000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClientView {
    client: ClientJson,
    /// Whether the client is active and has a valid token.
    may_connect: bool,
    has_token: bool,
    assigned_areas: Vec<AreaJson>,
    /// The topics that its sessions are subscribed to.
    topics: Vec<String>,
    /// The rooms that it may join.
    rooms: Vec<String>,
    /// As in its `GET /api/entities`.
    states: Vec<Box<RawValue>>,
    /// The services that it may call, by entity.
    may_call: BTreeMap<String, Vec<&'static str>>,
    lockers: Vec<LockerJson>,
    /// As in its `GET /api/status`.
    board: Value,
    timestamp: Timestamp,
}

/// The parts of the view that come from the store.
struct StoredView {
    client: ClientWithAreas,
    has_token: bool,
    topics: Vec<String>,
    lockers: Vec<LockerJson>,
}

pub(super) async fn get(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let id = client_id(&request)?;
    let (principal, stored) = app
        .store
        .read(move |db| {
            let client = clients::expect(db, &id)?;
            let principal = principal(&client);
            let stored = read_view(db, &principal, client)?;
            Ok::<_, ApiError>((principal, stored))
        })
        .await?;
    let board = board_json(&app, entitlement::board(&principal)).await?;
    let areas = &stored.client.areas;
    let enabled = areas.iter().filter(|area| area.is_enabled);
    let entities = enabled.clone().flat_map(|area| &area.entity_ids);
    let may_call = entities.map(|id| (id.to_string(), permitted_services(&app, id)));
    let enabled: BTreeSet<_> = enabled.map(|area| area.id.clone()).collect();
    let mut rooms: Vec<String> = areas.iter().map(|area| area.id.to_string()).collect();
    rooms.push(stored.client.client.kiosk().to_string());
    Ok(Reply::ok(&ClientView {
        may_connect: stored.client.client.is_active && stored.has_token,
        has_token: stored.has_token,
        assigned_areas: areas.iter().cloned().map(AreaJson::for_client).collect(),
        topics: stored.topics,
        rooms,
        states: app.entities.states_in(&enabled),
        may_call: may_call.collect(),
        lockers: stored.lockers,
        board,
        client: ClientJson::new(stored.client, &app),
        timestamp: Timestamp::now(),
    }))
}

/// The principal of a request by this client.
pub(super) fn principal(client: &Client) -> Principal {
    Principal {
        subject: Subject::Client(client.id.clone()),
        organization_id: client.organization_id.clone(),
        tenant_id: client.tenant_id.clone(),
        ..Principal::local_admin(UserId::random())
    }
}

fn read_view(
    db: &Connection,
    principal: &Principal,
    client: Client,
) -> Result<StoredView, ApiError> {
    let last = history::last_id(db)?;
    let spans = entitlement::spans_in(db, principal, Namespace::Main, last)?;
    let open = spans.iter().filter(|span| span.until.is_none());
    let viewer = LockerViewer {
        client: client.id.clone(),
        kiosk: client.kiosk(),
    };
    let lockers = lockers::page(db, Some(&viewer), None, MAX_LOCKERS)?;
    Ok(StoredView {
        topics: open.map(|span| span.topic.to_string()).collect(),
        has_token: tokens::has_active(db, &principal.subject, Timestamp::now())?,
        lockers: lockers.into_iter().map(LockerJson::from).collect(),
        client: with_areas(db, client)?,
    })
}
