//! `/api/help` (contract 6.5): help requests over HTTP.

use std::sync::Arc;

use hyper::StatusCode;

use crate::app::App;
use crate::help::{HelpError, HelpFields, HelpJson, HelpRequest};
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

/// `GET /api/help`, newest first: all for an admin, its own for a client.
pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let limit = request.limit()?;
    let before: Option<i64> = page::cursor(&request)?;
    let client = request.principal()?.client_id().cloned();
    let found = app
        .store
        .read(move |db| {
            Ok::<_, ApiError>(crate::help::page(db, client.as_ref(), before, limit + 1)?)
        })
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

/// `GET /api/help/{id}`: a client gets 403 for any that is not its own.
pub(super) async fn get(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let principal = request.principal()?.clone();
    let id = help_id(&request);
    let help = app
        .store
        .read(move |db| {
            let found = id.map(|id| crate::help::find(db, id)).transpose()?;
            Ok::<_, ApiError>(crate::help::shown_to(&principal, found.flatten())?)
        })
        .await?;
    Ok(Reply::ok(&HelpJson::from(help)))
}

/// `POST /api/help` `{category, note?, locker_no?, photo_url?}`; an admin also names the `kioskId`.
pub(super) async fn create(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let (principal, actor) = (request.principal()?.clone(), request.actor()?);
    let mut body = request.fields()?;
    let kiosk = body.optional("kioskId")?;
    let asked = HelpFields::from_fields(&mut body)?;
    request
        .write(&app.store, move |tx| {
            let help = crate::help::request(tx, asked, kiosk, &principal, &actor)?;
            Ok::<_, ApiError>(Reply::created(&HelpJson::from(help)))
        })
        .await
}

/// `PATCH /api/help/{id}` `{status}`: a client its own.
pub(super) async fn change(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let (principal, actor) = (request.principal()?.clone(), request.actor()?);
    let id = help_id(&request);
    let status = request.fields()?.optional("status")?;
    request
        .write(&app.store, move |tx| {
            let help = crate::help::set_status(tx, id, status, &principal, &actor)?;
            Ok::<_, ApiError>(Reply::ok(&HelpJson::from(help)))
        })
        .await
}

fn help_id(request: &Request) -> Option<i64> {
    request.parameter("id").parse().ok()
}
