//! A help request and the types of its fields.

use std::fmt;
use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use serde::{Serialize, Serializer};
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::{ClientId, KioskId};

use crate::http::text_fields;
use crate::text::{MultiLine, SingleLine};

const MAX_URL_BYTES: usize = 2048;

/// For example `access_issue`.
pub(super) type Category = SingleLine<64>;
pub(super) type Note = MultiLine<1, 1000>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelpRequest {
    /// 1 or more.
    pub id: i64,
    /// `None` if an admin created the request for a kiosk.
    pub client_id: Option<ClientId>,
    pub fields: HelpFields,
    pub kiosk_id: KioskId,
    pub status: HelpStatus,
    pub created_at: Timestamp,
    /// When the status last changed.
    pub updated_at: Timestamp,
}

/// The fields that the person at the tablet fills in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelpFields {
    pub category: Category,
    pub note: Option<Note>,
    /// The number on the locker.
    pub locker_no: Option<i64>,
    pub photo_url: Option<PhotoUrl>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelpStatus {
    Open,
    /// Somebody takes care of it.
    Acknowledged,
    Resolved,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a status is open, acknowledged or resolved")]
pub struct InvalidHelpStatus;

impl HelpStatus {
    /// The word in JSON and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }
}

impl FromStr for HelpStatus {
    type Err = InvalidHelpStatus;

    fn from_str(text: &str) -> Result<Self, InvalidHelpStatus> {
        [Self::Open, Self::Acknowledged, Self::Resolved]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or(InvalidHelpStatus)
    }
}

impl rusqlite::ToSql for HelpStatus {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for HelpStatus {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value
            .as_str()?
            .parse()
            .map_err(|_| FromSqlError::InvalidType)
    }
}

/// An `http` or `https` URL of at most 2048 bytes. Other schemes, such as `javascript:`, could run code in a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhotoUrl(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a photo is an http or https URL of at most 2048 bytes")]
pub struct InvalidUrl;

impl PhotoUrl {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A URL that was checked before it was stored.
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

text_fields!(PhotoUrl, HelpStatus);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photo_url_accepts_only_http_and_https() {
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
