//! Help requests of kiosks: a person asks at a tablet, admins acknowledge and resolve
//! (`docs/protocol.md#help-requests`).
//!
//! A client sees and changes only its own requests. Each may have 50 open at a time; of more than 1000 the oldest
//! resolved ones are deleted.

mod events;
mod help_request;
mod rows;
mod wire;

use wallcast_core::audit::{self, Actor};
use wallcast_core::auth::{Principal, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::KioskId;
use wallcast_core::store::{StoreError, WriteTx};

use crate::clients::{self, ClientError};

pub use help_request::{HelpFields, HelpRequest, HelpStatus};
pub use rows::{find, page};
pub use wire::HelpJson;

/// The most unresolved requests of one client.
pub const MAX_OPEN: usize = 50;
/// The most requests that are kept of one client.
const MAX_KEPT: usize = 1000;

#[derive(Debug, thiserror::Error)]
pub enum HelpError {
    /// The caller may not do this, or the request does not exist. The error does not say which, so that clients cannot
    /// probe for requests of others.
    #[error("You are not allowed to do this")]
    Forbidden,
    /// Only admins get this error; clients get `Forbidden`.
    #[error("There is no such help request")]
    Unknown,
    /// An admin did not name the kiosk.
    #[error("`kioskId` is required for admins")]
    NoKiosk,
    /// [`MAX_OPEN`] requests of the client are not resolved.
    #[error("50 help requests of this tablet are open already; resolve one first")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for HelpError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<ClientError> for HelpError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Store(error) => Self::Store(error),
            ClientError::UnknownClient | ClientError::UnknownArea(_) => Self::Forbidden,
        }
    }
}

/// Creates a help request and publishes it to admins, the kiosk and Home Assistant. A client asks for its own kiosk; an
/// admin must name one.
///
/// # Errors
/// [`HelpError::Forbidden`] for another kiosk and for other principals, [`HelpError::NoKiosk`], [`HelpError::TooMany`].
pub fn request(
    tx: &mut WriteTx<'_>,
    fields: HelpFields,
    kiosk: Option<KioskId>,
    principal: &Principal,
    actor: &Actor,
) -> Result<HelpRequest, HelpError> {
    let db = tx.connection();
    let (client_id, name, kiosk_id) = match &principal.subject {
        Subject::Client(id) => {
            let client = clients::expect(db, id)?;
            let own = client.kiosk();
            if kiosk.is_some_and(|named| named != own) {
                return Err(HelpError::Forbidden);
            }
            if rows::count_open(db, id, MAX_OPEN)? >= MAX_OPEN {
                return Err(HelpError::TooMany);
            }
            (Some(id.clone()), Some(client.name), own)
        }
        Subject::Admin(_) => (None, None, kiosk.ok_or(HelpError::NoKiosk)?),
        Subject::User(_) | Subject::Pairing(_) => return Err(HelpError::Forbidden),
    };
    let mut help = HelpRequest {
        id: 0,
        client_id,
        fields,
        kiosk_id,
        status: HelpStatus::Open,
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    help.id = rows::insert(db, &help)?;
    match &help.client_id {
        Some(client) => rows::delete_beyond(db, client, MAX_KEPT)?,
        None => audit::record(
            tx,
            actor,
            "help.create",
            Some(&help.id.to_string()),
            help.kiosk_id.as_str(),
        )?,
    }
    tx.publish(events::requested(&help, tx.now()))?;
    tx.announce(events::announcement(&help, name.as_ref(), tx.now()));
    Ok(help)
}

/// Sets the status of a request and publishes a change of it. Without `status`, or with the status that the request
/// has, nothing is published. A client may change its own requests.
///
/// # Errors
/// As [`shown_to`]. An `id` of `None` counts as a request that does not exist.
pub fn set_status(
    tx: &mut WriteTx<'_>,
    id: Option<i64>,
    status: Option<HelpStatus>,
    principal: &Principal,
    actor: &Actor,
) -> Result<HelpRequest, HelpError> {
    let found = id.map(|id| rows::find(tx.connection(), id)).transpose()?;
    let mut help = shown_to(principal, found.flatten())?;
    if principal.is_admin() {
        let detail = status.unwrap_or(help.status).as_str();
        audit::record(tx, actor, "help.change", Some(&help.id.to_string()), detail)?;
    }
    if let Some(status) = status.filter(|status| *status != help.status) {
        help.status = status;
        help.updated_at = tx.now();
        rows::set_status(tx.connection(), &help)?;
        tx.publish(events::status_updated(&help, tx.now()))?;
    }
    Ok(help)
}

/// Returns the request if the caller may see it: an admin any, a client its own.
///
/// # Errors
/// [`HelpError::Unknown`] to an admin, [`HelpError::Forbidden`] to others.
pub fn shown_to(
    principal: &Principal,
    found: Option<HelpRequest>,
) -> Result<HelpRequest, HelpError> {
    if principal.is_admin() {
        return found.ok_or(HelpError::Unknown);
    }
    let own = principal.client_id();
    found
        .filter(|help| own.is_some() && help.client_id.as_ref() == own)
        .ok_or(HelpError::Forbidden)
}

/// Deletes at most `at_most` requests that were resolved before `before`. Returns how many.
pub fn delete_resolved(
    tx: &mut WriteTx<'_>,
    before: Timestamp,
    at_most: usize,
) -> rusqlite::Result<usize> {
    rows::delete_resolved(tx.connection(), before, at_most)
}
