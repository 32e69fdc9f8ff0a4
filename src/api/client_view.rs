//! `GET /api/clients/{id}/view`: what a tablet could see and do, found by asking with its own rights.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rusqlite::Connection;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::clients::{ClientJson, client_id};
use super::lockers::LockerJson;
use crate::access::entitlement;
use crate::app::App;
use crate::areas::AreaJson;
use crate::clients::{Client, with_areas};
use crate::http::{ApiError, Reply, Request};
use crate::lockers;
use crate::service_calls::permitted_services;
use crate::tokens;
use wallcast_core::auth::{Principal, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::Namespace;
use wallcast_core::history;
use wallcast_core::ids::UserId;

/// Lockers that are shown at most; a kiosk has fewer.
const MAX_LOCKERS: usize = 1000;

/// Everything that a tablet would get if it asked now.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    client: ClientJson,
    /// It is active and a token of it stands.
    may_connect: bool,
    has_token: bool,
    assigned_areas: Vec<AreaJson>,
    /// The topics that it hears.
    topics: Vec<String>,
    /// The rooms that it may enter.
    rooms: Vec<String>,
    /// As its `GET /api/entities` would answer.
    states: Vec<Box<RawValue>>,
    /// What it may do with each entity that it sees: the services that `call_service` takes from it.
    may_call: BTreeMap<String, Vec<&'static str>>,
    lockers: Vec<LockerJson>,
    /// As its `GET /api/status` would answer.
    board: Value,
    timestamp: Timestamp,
}

/// What the store knows of it.
struct Found {
    client: crate::clients::ClientWithAreas,
    has_token: bool,
    topics: Vec<String>,
    lockers: Vec<LockerJson>,
}

/// `GET /api/clients/{id}/view`
pub(super) async fn get(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let id = client_id(&request)?;
    let (principal, found) = app
        .store
        .read(move |db| {
            let client = crate::clients::expect(db, &id)?;
            let principal = principal(&client);
            let found = look(db, &principal, client)?;
            Ok::<_, ApiError>((principal, found))
        })
        .await?;
    let board = super::board::shown(&app, entitlement::board(&principal)).await?;
    let areas = &found.client.areas;
    let enabled = areas.iter().filter(|area| area.is_enabled);
    let entities = enabled.clone().flat_map(|area| &area.entity_ids);
    let may_call = entities.map(|id| (id.to_string(), permitted_services(&app, id)));
    let enabled: BTreeSet<_> = enabled.map(|area| area.id.clone()).collect();
    let mut rooms: Vec<String> = areas.iter().map(|area| area.id.to_string()).collect();
    rooms.push(found.client.client.kiosk().to_string());
    Ok(Reply::ok(&View {
        may_connect: found.client.client.is_active && found.has_token,
        has_token: found.has_token,
        assigned_areas: areas.iter().cloned().map(AreaJson::for_client).collect(),
        topics: found.topics,
        rooms,
        states: app.entities.states_in(&enabled),
        may_call: may_call.collect(),
        lockers: found.lockers,
        board,
        client: ClientJson::new(found.client, &app),
        timestamp: Timestamp::now(),
    }))
}

/// The tablet as it would stand behind a request of its own.
pub(super) fn principal(client: &Client) -> Principal {
    Principal {
        subject: Subject::Client(client.id.clone()),
        organization_id: client.organization_id.clone(),
        tenant_id: client.tenant_id.clone(),
        ..Principal::local_admin(UserId::random())
    }
}

fn look(db: &Connection, principal: &Principal, client: Client) -> Result<Found, ApiError> {
    let last = history::last_id(db)?;
    let spans = entitlement::spans_in(db, principal, Namespace::Main, last)?;
    let open = spans.iter().filter(|span| span.until.is_none());
    let of = lockers::LockerViewer {
        client: client.id.clone(),
        kiosk: client.kiosk(),
    };
    let lockers = lockers::page(db, Some(&of), None, MAX_LOCKERS)?;
    Ok(Found {
        topics: open.map(|span| span.topic.to_string()).collect(),
        has_token: tokens::has_active(db, &principal.subject, Timestamp::now())?,
        lockers: lockers.into_iter().map(LockerJson::from).collect(),
        client: with_areas(db, client)?,
    })
}
