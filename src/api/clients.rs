//! `/api/clients` (contract 6.2): paired tablets over HTTP.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use crate::app::App;
use crate::areas::AreaJson;
use crate::clients::{ClientError, ClientName, ClientPatch, ClientWithAreas};
use crate::http::{ApiError, Fields, Reply, Request, page};
use wallcast_core::audit;
use wallcast_core::auth::Subject;
use wallcast_core::clock::Timestamp;
use wallcast_core::disconnect::{DisconnectReason, SessionFilter};
use wallcast_core::event::EventId;
use wallcast_core::ids::{AreaId, ClientId, KioskId, OrganizationId, TenantId};
use wallcast_core::store::WriteTx;

/// A client on the wire.
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
    /// A client with its presence and position as they are now.
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

    /// A client as it will be once this change is committed, which may end its sessions.
    pub(super) fn after(tx: &WriteTx<'_>, found: ClientWithAreas, app: &App) -> Self {
        let subject = Subject::Client(found.client.id.clone());
        let now = Self::new(found, app);
        if !tx.ends_sessions_of(&subject) {
            return now;
        }
        Self {
            is_online: false,
            sessions: 0,
            ..now
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

/// The same refusal where the area was named in the body rather than in the path.
pub(super) fn area_in_body(error: ClientError) -> ApiError {
    match error {
        ClientError::UnknownArea(_) => ApiError::field("areaIds", error.to_string()),
        other => other.into(),
    }
}

/// `GET /api/clients`
pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let limit = request.limit()?;
    let after: Option<String> = page::cursor(&request)?;
    let clients = app
        .store
        .read(move |db| {
            crate::clients::page(db, after.as_deref(), limit + 1)?
                .into_iter()
                .map(|client| Ok(crate::clients::with_areas(db, client)?))
                .collect::<Result<Vec<_>, ApiError>>()
        })
        .await?;
    let key = |found: &ClientWithAreas| found.client.id.to_string();
    Ok(page::reply("clients", clients, limit, key, |found| {
        ClientJson::new(found, &app)
    }))
}

/// `GET /api/clients/{id}`: a client gets 403 for any but itself.
pub(super) async fn get(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let id = own_or_any(&request)?;
    let found = app
        .store
        .read(move |db| {
            Ok::<_, ApiError>(crate::clients::with_areas(
                db,
                crate::clients::expect(db, &id)?,
            )?)
        })
        .await?;
    Ok(Reply::ok(&ClientJson::new(found, &app)))
}

/// `PATCH` and `PUT /api/clients/{id}`
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
        let client = crate::clients::change(tx, id, patch, None)?;
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

/// `DELETE /api/clients/{id}`
pub(super) async fn delete(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let id = client_id(&request)?;
    request
        .write(&app.store, move |tx| {
            crate::clients::delete(tx, &id, &actor)?;
            Ok::<_, ApiError>(Reply::no_content())
        })
        .await
}

/// `PUT /api/clients/{id}/areas` `{areaIds}`
pub(super) async fn set_areas(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let area_ids: Vec<AreaId> = request.fields()?.required("areaIds")?;
    let actor = request.actor()?;
    write(&app, &request, move |tx, id| {
        crate::clients::set_areas(tx, id, &area_ids).map_err(area_in_body)?;
        let detail = format!("{} areas", area_ids.len());
        audit::record(tx, &actor, "client.areas", Some(id.as_str()), &detail)?;
        Ok(())
    })
    .await
}

/// `POST /api/clients/{id}/areas/{areaId}`
pub(super) async fn add_area(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let area = area_id(&request)?;
    let actor = request.actor()?;
    write(&app, &request, move |tx, id| {
        crate::clients::add_area(tx, id, &area)?;
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

/// `DELETE /api/clients/{id}/areas/{areaId}`
pub(super) async fn remove_area(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let area = area_id(&request)?;
    let actor = request.actor()?;
    let id = client_id(&request)?;
    request
        .write(&app.store, move |tx| {
            crate::clients::remove_area(tx, &id, &area)?;
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
        crate::clients::revoke(tx, id, &reason, &actor)?;
        Ok(())
    })
    .await
}

/// `POST /api/clients/{id}/disconnect` `{reason?}`: its sessions end and may come back at once.
pub(super) async fn disconnect(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let reason = reason(&mut request.fields()?)?.unwrap_or_default();
    let actor = request.actor()?;
    let id = client_id(&request)?;
    let hub = app.hub.clone();
    request
        .write(&app.store, move |tx| {
            crate::clients::expect(tx.connection(), &id)?;
            audit::record(tx, &actor, "client.disconnect", Some(id.as_str()), &reason)?;
            let subject = Subject::Client(id);
            let sessions = hub.sessions_of(&subject);
            tx.end_sessions(
                SessionFilter::Subject(subject),
                DisconnectReason::TryAgain,
                None,
            );
            let answer = json!({ "success": true, "disconnected": sessions });
            Ok::<_, ApiError>(Reply::ok(&answer))
        })
        .await
}

/// Runs a change of one client and answers the client as it is then.
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
            let client = crate::clients::expect(tx.connection(), &id)?;
            let found = crate::clients::with_areas(tx.connection(), client)?;
            Ok(Reply::ok(&ClientJson::after(tx, found, &app)))
        })
        .await
}

/// The client that the path names: any for admins, for a client itself alone.
///
/// # Errors
/// 403 for another, 404 for what is no id.
pub(super) fn own_or_any(request: &Request) -> Result<ClientId, ApiError> {
    let own = request.principal()?.client_id();
    if own.is_some_and(|own| own.as_str() != request.parameter("id")) {
        return Err(ApiError::forbidden());
    }
    client_id(request)
}

/// The client that the path names.
///
/// # Errors
/// 404 for what is no id.
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

/// An admin's reason: a short text for the tablet and the audit.
pub(super) fn reason(body: &mut Fields) -> Result<Option<String>, ApiError> {
    let reason: Option<String> = body.optional("reason")?;
    match reason {
        Some(text) if text.chars().count() > 200 => Err(ApiError::field(
            "reason",
            "reason has at most 200 characters",
        )),
        other => Ok(other),
    }
}
