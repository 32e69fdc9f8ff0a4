//! Help requests of kiosks (seed 3): asked for by a tablet, taken care of by admins.

mod events;
mod rows;
mod wire;

use std::fmt;
use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use serde::{Serialize, Serializer};

use crate::clients::{self, ClientError};
use crate::http::text_fields;
use crate::text::{Line, Prose};
use wallcast_core::audit::{self, Actor};
use wallcast_core::auth::{Principal, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::{ClientId, KioskId};
use wallcast_core::store::{StoreError, WriteTx};

pub use rows::{find, page};
pub use wire::HelpJson;

/// Requests of one tablet that may wait to be resolved.
pub const MAX_OPEN: usize = 50;
/// Requests of one tablet that are kept; of more the oldest resolved ones go.
const MAX_KEPT: usize = 1000;
/// Bytes of a photo's URL.
const MAX_URL_BYTES: usize = 2048;

/// What kind of help, such as `access_issue`.
pub type Category = Line<64>;
/// What somebody wrote beside it.
pub type Note = Prose<1000>;

/// A help request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelpRequest {
    /// Its number, 1 or more.
    pub id: i64,
    /// The tablet that asked; none where an admin did on a kiosk's behalf.
    pub client_id: Option<ClientId>,
    /// What was asked.
    pub asked: Asked,
    /// The kiosk that asks.
    pub kiosk_id: KioskId,
    /// How far it is.
    pub status: Status,
    /// When it was asked.
    pub created_at: Timestamp,
    /// When its status last changed.
    pub updated_at: Timestamp,
}

/// What whoever asks for help says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What kind of help.
    pub category: Category,
    /// More about it.
    pub note: Option<Note>,
    /// The number on the locker.
    pub locker_no: Option<i64>,
    /// A picture of it.
    pub photo_url: Option<PhotoUrl>,
}

/// How far a help request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nobody has seen it.
    Open,
    /// Somebody is on it.
    Acknowledged,
    /// It is over.
    Resolved,
}

/// Text that is no status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a status is open, acknowledged or resolved")]
pub struct InvalidStatus;

impl Status {
    /// The word on the wire and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }
}

impl FromStr for Status {
    type Err = InvalidStatus;

    fn from_str(text: &str) -> Result<Self, InvalidStatus> {
        [Self::Open, Self::Acknowledged, Self::Resolved]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or(InvalidStatus)
    }
}

impl rusqlite::ToSql for Status {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for Status {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value
            .as_str()?
            .parse()
            .map_err(|_| FromSqlError::InvalidType)
    }
}

/// An `http` or `https` URL: what a browser may be given to load, and nothing that it would run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhotoUrl(String);

/// Text that is no such URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a photo is an http or https URL of at most 2048 bytes")]
pub struct InvalidUrl;

impl PhotoUrl {
    /// The URL as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn from_stored(text: String) -> Self {
        Self(text)
    }
}

impl FromStr for PhotoUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let url: hyper::Uri = text.parse().map_err(|_| InvalidUrl)?;
        let has_host = url.host().is_some_and(|host| !host.is_empty());
        match url.scheme_str() {
            Some("http" | "https") if has_host && text.len() <= MAX_URL_BYTES => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidUrl),
        }
    }
}

impl fmt::Display for PhotoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for PhotoUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Why a help request was refused.
#[derive(Debug, thiserror::Error)]
pub enum HelpError {
    /// It is not the caller's to ask for, or not there: nothing tells which.
    #[error("You may not do this")]
    Forbidden,
    /// There is no such request.
    #[error("There is no such help request")]
    Unknown,
    /// An admin asked for no kiosk.
    #[error("kioskId is required: an admin asks on a kiosk's behalf")]
    NoKiosk,
    /// [`MAX_OPEN`] wait already.
    #[error("50 help requests of this tablet wait already; resolve one first")]
    TooMany,
    /// The store failed.
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

/// Asks for help at `kiosk`, which for a tablet can only be its own.
///
/// # Errors
/// [`HelpError`].
pub fn request(
    tx: &mut WriteTx<'_>,
    asked: Asked,
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
        asked,
        kiosk_id,
        status: Status::Open,
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    help.id = rows::insert(db, &help)?;
    match &help.client_id {
        Some(client) => rows::forget_beyond(db, client, MAX_KEPT)?,
        None => audit::record(
            tx,
            actor,
            "help.create",
            Some(&help.id.to_string()),
            help.kiosk_id.as_str(),
        )?,
    }
    tx.publish(events::requested(&help, tx.now()))?;
    tx.announce(events::announced(&help, name.as_ref(), tx.now()));
    Ok(help)
}

/// Sets how far a request is and tells of it; one that is as far already tells nothing. A tablet
/// may do so with its own.
///
/// # Errors
/// [`HelpError`].
pub fn set_status(
    tx: &mut WriteTx<'_>,
    id: Option<i64>,
    status: Option<Status>,
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

/// A request as far as the caller may see it: an admin any, a tablet its own.
///
/// # Errors
/// [`HelpError::Forbidden`] or [`HelpError::Unknown`].
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

/// Forgets at most `at_most` requests that were resolved before then, and says how many.
///
/// # Errors
/// SQLite's.
pub fn delete_resolved(
    tx: &mut WriteTx<'_>,
    before: Timestamp,
    at_most: usize,
) -> rusqlite::Result<usize> {
    rows::delete_resolved(tx.connection(), before, at_most)
}

text_fields!(PhotoUrl, Status);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photo_is_something_that_a_browser_loads_and_does_not_run() {
        for good in ["https://nas.local/p/1.jpg?x=1", "http://10.0.0.2:8080/a"] {
            assert_eq!(good.parse::<PhotoUrl>().unwrap().as_str(), good);
        }
        let long = format!("https://a/{}", "x".repeat(MAX_URL_BYTES));
        for bad in [
            "",
            "/photo.jpg",
            "javascript:alert(1)",
            "data:image/png;base64,AA==",
            "ftp://a/b",
            "https://",
            "https://a/b c",
            &long,
        ] {
            assert_eq!(bad.parse::<PhotoUrl>(), Err(InvalidUrl), "{bad}");
        }
    }
}
