//! `/api/help`: help requests over HTTP (`docs/protocol.md#help-requests`).

use std::sync::Arc;

use hyper::StatusCode;

use crate::app::App;
use crate::help::{self, HelpError, HelpFields, HelpJson, HelpRequest};
use crate::http::{ApiError, Reply, Request, page};

impl From<HelpError> for ApiError {
    fn from(error: HelpError) -> Self {
        let message = error.to_string();
        match error {
            HelpError::Forbidden => Self::forbidden(),
            HelpError::Unknown => Self::not_found("help request"),
            HelpError::NoKiosk => Self::field("kioskId", message),
            HelpError::TooMany => Self::new(StatusCode::CONFLICT, "too_many_open", message),
            HelpError::Store(error) => error.into(),
        }
    }
}

/// `GET /api/help`, newest first: all requests for an admin, its own for a client.
pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let limit = request.limit()?;
    let before: Option<i64> = page::cursor(&request)?;
    let client = request.principal()?.client_id().cloned();
    let found = app
        .store
        .read(move |db| Ok::<_, ApiError>(help::page(db, client.as_ref(), before, limit + 1)?))
        .await?;
    let key = |help: &HelpRequest| help.id;
    Ok(page::reply(
        "helpRequests",
        found,
        limit,
        key,
        HelpJson::from,
    ))
}

/// `GET /api/help/{id}`: a client gets 403 for requests of others, whether they exist or not.
pub(super) async fn get(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let principal = request.principal()?.clone();
    let id = help_id(&request);
    let help = app
        .store
        .read(move |db| {
            let found = id.map(|id| help::find(db, id)).transpose()?;
            Ok::<_, ApiError>(help::shown_to(&principal, found.flatten())?)
        })
        .await?;
    Ok(Reply::ok(&HelpJson::from(help)))
}

/// `POST /api/help` `{category, note?, locker_no?, photo_url?, kioskId?}`. An admin must name the `kioskId`.
pub(super) async fn create(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let (principal, actor) = (request.principal()?.clone(), request.actor()?);
    let mut body = request.fields()?;
    let kiosk = body.optional("kioskId")?;
    let fields = HelpFields::from_fields(&mut body)?;
    request
        .write(&app.store, move |tx| {
            let help = help::request(tx, fields, kiosk, &principal, &actor)?;
            Ok::<_, ApiError>(Reply::created(&HelpJson::from(help)))
        })
        .await
}

/// `PATCH /api/help/{id}` `{status}`: a client may only change its own requests.
pub(super) async fn change(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let (principal, actor) = (request.principal()?.clone(), request.actor()?);
    let id = help_id(&request);
    let status = request.fields()?.optional("status")?;
    request
        .write(&app.store, move |tx| {
            let help = help::set_status(tx, id, status, &principal, &actor)?;
            Ok::<_, ApiError>(Reply::ok(&HelpJson::from(help)))
        })
        .await
}

fn help_id(request: &Request) -> Option<i64> {
    request.parameter("id").parse().ok()
}
