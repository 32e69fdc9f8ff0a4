//! `GET /api/status`: the status board with its overall status (`docs/protocol.md#status-board`).

use std::sync::Arc;

use serde_json::{Value, json};
use wallcast_core::auth::Principal;
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::InvalidId;

use crate::access::entitlement;
use crate::app::App;
use crate::board::incidents::{self, IncidentJson};
use crate::board::services::{self, ServiceJson};
use crate::board::{Audience, BoardError, BoardView, board_status, built_in};
use crate::http::{ApiError, Reply, Request};

/// Returns the service or incident that was found, if it is on the caller's board.
///
/// # Errors
/// `not_found` for a caller that sees all boards and 403 for others, so that they cannot find out what exists.
pub(super) fn visible<T>(
    view: &BoardView,
    found: Option<T>,
    audience: impl FnOnce(&T) -> &Audience,
    not_found: BoardError,
) -> Result<T, ApiError> {
    match (found, view) {
        (Some(item), view) if view.shows(audience(&item)) => Ok(item),
        (None, BoardView::Everything) => Err(not_found.into()),
        _ => Err(ApiError::forbidden()),
    }
}

/// `GET /api/status?organizationId=&tenantId=`: all services and open incidents of a board, and the worst status. An
/// admin gets all boards or the one in the query. Others get their own board, and 403 if the query names another.
pub(super) async fn status(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let view = view(request.principal()?, queried_board(&request)?)?;
    Ok(Reply::ok(&board_json(&app, view).await?))
}

/// The body of `GET /api/status`.
///
/// # Errors
/// 503 if the store cannot be read.
pub(super) async fn board_json(app: &App, view: BoardView) -> Result<Value, ApiError> {
    let outage = built_in::store_outage(&app.store).await;
    let board = app.store.read(move |db| {
        let worst = match &view {
            BoardView::Everything => board_status::of_all_services(db)?,
            BoardView::Board(board) => board_status::of_board(db, board)?,
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
            BoardView::Everything => Audience::default(),
            BoardView::Board(board) => board,
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

/// The board in the query. An empty value counts as missing.
fn queried_board(request: &Request) -> Result<Audience, ApiError> {
    let text = |key| request.query(key).filter(|text| !text.is_empty());
    let invalid = |key: &'static str| {
        move |error: InvalidId| ApiError::field(key, format!("`{key}` is invalid: {error}"))
    };
    let organization = text("organizationId").map(|id| id.parse());
    let tenant = text("tenantId").map(|id| id.parse());
    Ok(Audience {
        organization_id: organization
            .transpose()
            .map_err(invalid("organizationId"))?,
        tenant_id: tenant.transpose().map_err(invalid("tenantId"))?,
    })
}

fn view(principal: &Principal, queried: Audience) -> Result<BoardView, ApiError> {
    match entitlement::board(principal) {
        BoardView::Everything if queried == Audience::default() => Ok(BoardView::Everything),
        BoardView::Everything => Ok(BoardView::Board(queried)),
        BoardView::Board(own) if queried.includes(&own) => Ok(BoardView::Board(own)),
        BoardView::Board(_) => Err(ApiError::forbidden()),
    }
}
