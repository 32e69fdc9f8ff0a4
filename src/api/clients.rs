//! `/api/clients`: paired tablets over HTTP (`docs/protocol.md#clients`).

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use wallcast_core::audit;
use wallcast_core::auth::Subject;
use wallcast_core::clock::Timestamp;
use wallcast_core::disconnect::{DisconnectReason, SessionFilter};
use wallcast_core::event::EventId;
use wallcast_core::hub::Hub;
use wallcast_core::ids::{AreaId, ClientId, KioskId, OrganizationId, TenantId};
use wallcast_core::store::WriteTx;

use crate::app::App;
use crate::areas::AreaJson;
use crate::clients::{self, ClientError, ClientName, ClientPatch, ClientWithAreas};
use crate::http::{ApiError, Fields, Reply, Request, page};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientJson {
    id: ClientId,
    name: ClientName,
    is_active: bool,
    is_online: bool,
    sessions: usize,
    assigned_areas: Vec<AreaJson>,
    organization_id: Option<OrganizationId>,
    tenant_id: Option<TenantId>,
    kiosk_id: Option<KioskId>,
    platform: Option<String>,
    created_at: Timestamp,
    last_seen_at: Option<Timestamp>,
    last_acked_event_id: Option<EventId>,
}

impl ClientJson {
    /// A client with its current presence and acknowledged position.
    pub(super) fn new(found: ClientWithAreas, app: &App) -> Self {
        let ClientWithAreas { client, areas } = found;
        let sessions = app.hub.sessions_of(&Subject::Client(client.id.clone()));
        let last_seen_at = if sessions > 0 {
            Some(Timestamp::now())
        } else {
            client.last_seen_at
        };
        Self {
            last_acked_event_id: app.acks.newest(&client.id, client.last_acked_event_id),
            is_online: sessions > 0,
            sessions,
            assigned_areas: areas.into_iter().map(AreaJson::for_client).collect(),
            id: client.id,
            name: client.name,
            is_active: client.is_active,
            organization_id: client.organization_id,
            tenant_id: client.tenant_id,
            kiosk_id: client.kiosk_id,
            platform: client.platform,
            created_at: client.created_at,
            last_seen_at,
        }
    }

    /// A client as it will be after the commit of `tx`, which may end its sessions.
    pub(super) fn after(tx: &WriteTx<'_>, found: ClientWithAreas, app: &App) -> Self {
        let subject = Subject::Client(found.client.id.clone());
        let current = Self::new(found, app);
        if !tx.ends_sessions_of(&subject) {
            return current;
        }
        Self {
            is_online: false,
            sessions: 0,
            ..current
        }
    }
}

impl From<ClientError> for ApiError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::UnknownClient => Self::not_found("client"),
            ClientError::UnknownArea(_) => Self::not_found("area"),
            ClientError::Store(error) => error.into(),
        }
    }
}

/// The error of a request whose body names the areas: an unknown area is an invalid field, not a missing resource.
pub(super) fn area_in_body(error: ClientError) -> ApiError {
    match error {
        ClientError::UnknownArea(_) => ApiError::field("areaIds", error.to_string()),
        other => other.into(),
    }
}

pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let limit = request.limit()?;
    let after: Option<String> = page::cursor(&request)?;
    let clients = app
        .store
        .read(move |db| {
            clients::page(db, after.as_deref(), limit + 1)?
                .into_iter()
                .map(|client| Ok(clients::with_areas(db, client)?))
                .collect::<Result<Vec<_>, ApiError>>()
        })
        .await?;
    let key = |found: &ClientWithAreas| found.client.id.to_string();
    Ok(page::reply("clients", clients, limit, key, |found| {
        ClientJson::new(found, &app)
    }))
}

/// `GET /api/clients/{id}`: a client gets 403 for other clients.
pub(super) async fn get(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let id = own_or_any(&request)?;
    let found = app
        .store
        .read(move |db| Ok::<_, ApiError>(clients::with_areas(db, clients::expect(db, &id)?)?))
        .await?;
    Ok(Reply::ok(&ClientJson::new(found, &app)))
}

/// `PUT` and `PATCH /api/clients/{id}`: both keep the fields that the body omits; `null` clears one.
pub(super) async fn change(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let mut body = request.fields()?;
    let patch = ClientPatch {
        name: body.optional("name")?,
        is_active: body.optional("isActive")?,
        organization_id: body.nullable("organizationId")?,
        tenant_id: body.nullable("tenantId")?,
        kiosk_id: body.nullable("kioskId")?,
    };
    let actor = request.actor()?;
    write(&app, &request, move |tx, id| {
        let client = clients::change(tx, id, patch, None)?;
        let active = if client.is_active {
            "active"
        } else {
            "inactive"
        };
        audit::record(tx, &actor, "client.change", Some(id.as_str()), active)?;
        Ok(())
    })
    .await
}

pub(super) async fn delete(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let id = client_id(&request)?;
    request
        .write(&app.store, move |tx| {
            clients::delete(tx, &id, &actor)?;
            Ok::<_, ApiError>(Reply::no_content())
        })
        .await
}

/// `PUT /api/clients/{id}/areas` `{areaIds}`
pub(super) async fn set_areas(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let area_ids: Vec<AreaId> = request.fields()?.required("areaIds")?;
    let actor = request.actor()?;
    write(&app, &request, move |tx, id| {
        clients::set_areas(tx, id, &area_ids).map_err(area_in_body)?;
        let detail = format!("{} areas", area_ids.len());
        audit::record(tx, &actor, "client.areas", Some(id.as_str()), &detail)?;
        Ok(())
    })
    .await
}

pub(super) async fn add_area(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let area = area_id(&request)?;
    let actor = request.actor()?;
    write(&app, &request, move |tx, id| {
        clients::add_area(tx, id, &area)?;
        audit::record(
            tx,
            &actor,
            "client.assign",
            Some(id.as_str()),
            area.as_str(),
        )?;
        Ok(())
    })
    .await
}

pub(super) async fn remove_area(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let area = area_id(&request)?;
    let actor = request.actor()?;
    let id = client_id(&request)?;
    request
        .write(&app.store, move |tx| {
            clients::remove_area(tx, &id, &area)?;
            audit::record(
                tx,
                &actor,
                "client.unassign",
                Some(id.as_str()),
                area.as_str(),
            )?;
            Ok::<_, ApiError>(Reply::no_content())
        })
        .await
}

/// `POST /api/clients/{id}/revoke` `{reason?}`
pub(super) async fn revoke(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let reason = reason(&mut request.fields()?)?.unwrap_or_else(|| "revoked by admin".to_owned());
    let actor = request.actor()?;
    write(&app, &request, move |tx, id| {
        clients::revoke(tx, id, &reason, &actor)?;
        Ok(())
    })
    .await
}

/// `POST /api/clients/{id}/disconnect` `{reason?}`: ends its sessions. Clients may reconnect at once.
pub(super) async fn disconnect(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let reason = reason(&mut request.fields()?)?.unwrap_or_default();
    let actor = request.actor()?;
    let id = client_id(&request)?;
    let hub = app.hub.clone();
    request
        .write(&app.store, move |tx| {
            clients::expect(tx.connection(), &id)?;
            audit::record(tx, &actor, "client.disconnect", Some(id.as_str()), &reason)?;
            Ok::<_, ApiError>(disconnect_sessions(tx, &hub, Subject::Client(id)))
        })
        .await
}

/// Ends all sessions of a client or user, which may come back at once, and replies with how many there were.
pub(super) fn disconnect_sessions(tx: &mut WriteTx<'_>, hub: &Hub, subject: Subject) -> Reply {
    let sessions = hub.sessions_of(&subject);
    tx.end_sessions(
        SessionFilter::Subject(subject),
        DisconnectReason::TryAgain,
        None,
    );
    Reply::ok(&json!({ "success": true, "disconnected": sessions }))
}

/// Changes the client in the path and replies with its new state.
async fn write(
    app: &Arc<App>,
    request: &Request,
    change: impl FnOnce(&mut WriteTx<'_>, &ClientId) -> Result<(), ApiError> + Send + 'static,
) -> Result<Reply, ApiError> {
    let id = client_id(request)?;
    let app = app.clone();
    let store = app.store.clone();
    request
        .write(&store, move |tx| {
            change(tx, &id)?;
            let client = clients::expect(tx.connection(), &id)?;
            let found = clients::with_areas(tx.connection(), client)?;
            Ok(Reply::ok(&ClientJson::after(tx, found, &app)))
        })
        .await
}

/// The client id in the path. A client may only name itself.
///
/// # Errors
/// 403 for another client, 404 for an invalid id.
pub(super) fn own_or_any(request: &Request) -> Result<ClientId, ApiError> {
    let own = request.principal()?.client_id();
    if own.is_some_and(|own| own.as_str() != request.parameter("id")) {
        return Err(ApiError::forbidden());
    }
    client_id(request)
}

/// The client id in the path.
///
/// # Errors
/// 404 for an invalid id.
pub(super) fn client_id(request: &Request) -> Result<ClientId, ApiError> {
    request
        .parameter("id")
        .parse()
        .map_err(|_| ApiError::not_found("client"))
}

fn area_id(request: &Request) -> Result<AreaId, ApiError> {
    request
        .parameter("area_id")
        .parse()
        .map_err(|_| ApiError::not_found("area"))
}

/// The optional `reason` of an admin, sent to the tablet and written to the audit log.
///
/// # Errors
/// 422 if it is not a string of at most 200 characters.
pub(super) fn reason(body: &mut Fields) -> Result<Option<String>, ApiError> {
    let reason: Option<String> = body.optional("reason")?;
    match reason {
        Some(text) if text.chars().count() > 200 => Err(ApiError::field(
            "reason",
            "`reason` must have at most 200 characters",
        )),
        other => Ok(other),
    }
}
