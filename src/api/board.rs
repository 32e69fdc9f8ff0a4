//! `GET /api/status` (contract 6.5): a whole board and its overall status.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::access::entitlement;
use crate::app::App;
use crate::board::incidents::{self, IncidentJson};
use crate::board::services::{self, ServiceJson};
use crate::board::{Audience, BoardError, View, board_status, built_in};
use crate::http::{ApiError, Reply, Request};
use wallcast_core::auth::Principal;
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::InvalidId;

/// A thing of the board, if `view` shows it. Whoever does not see everything gets 403 also for what is
/// not there.
///
/// # Errors
/// 403, or `unknown` for whoever may know.
pub(super) fn revealed<T>(
    view: &View,
    found: Option<T>,
    audience: impl FnOnce(&T) -> &Audience,
    unknown: BoardError,
) -> Result<T, ApiError> {
    match (found, view) {
        (Some(thing), view) if view.shows(audience(&thing)) => Ok(thing),
        (None, View::Everything) => Err(unknown.into()),
        _ => Err(ApiError::forbidden()),
    }
}

/// Every service and every open incident of a board, and its worst service. An admin names the
/// board, or none for whatever there is; anyone else gets its own, and may name no other.
pub(super) async fn status(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let view = view(request.principal()?, named(&request)?)?;
    Ok(Reply::ok(&shown(&app, view).await?))
}

/// A whole board as `GET /api/status` answers it.
///
/// # Errors
/// 503 when the store cannot be read.
pub(super) async fn shown(app: &App, view: View) -> Result<Value, ApiError> {
    let outage = built_in::store_outage(&app.store).await;
    let board = app.store.read(move |db| {
        let worst = match &view {
            View::Everything => board_status::of_all_services(db)?,
            View::Board(board) => board_status::of_board(db, board)?,
        };
        let services = services::page(db, &view, 0, services::MAX_SERVICES)?;
        let services: Vec<_> = services
            .into_iter()
            .map(|service| ServiceJson::from(built_in::with_outage(service, outage)))
            .collect();
        let incidents: Vec<_> = incidents::open(db, &view)?
            .into_iter()
            .map(IncidentJson::from)
            .collect();
        let board = match view {
            View::Everything => Audience::default(),
            View::Board(board) => board,
        };
        Ok::<_, ApiError>(json!({
            "status": built_in::status_with_outage(worst, outage),
            "organizationId": board.organization_id,
            "tenantId": board.tenant_id,
            "services": services,
            "incidents": incidents,
            "timestamp": Timestamp::now(),
        }))
    });
    board.await
}

fn named(request: &Request) -> Result<Audience, ApiError> {
    let text = |key| request.query(key).filter(|text| !text.is_empty());
    let wrong = |key: &'static str| {
        move |error: InvalidId| ApiError::field(key, format!("{key} is not right: {error}"))
    };
    let organization = text("organizationId").map(|id| id.parse());
    let tenant = text("tenantId").map(|id| id.parse());
    Ok(Audience {
        organization_id: organization.transpose().map_err(wrong("organizationId"))?,
        tenant_id: tenant.transpose().map_err(wrong("tenantId"))?,
    })
}

fn view(principal: &Principal, named: Audience) -> Result<View, ApiError> {
    match entitlement::board(principal) {
        View::Everything if named == Audience::default() => Ok(View::Everything),
        View::Everything => Ok(View::Board(named)),
        View::Board(own) if named.includes(&own) => Ok(View::Board(own)),
        View::Board(_) => Err(ApiError::forbidden()),
    }
}
