//! The JSON of a help request, the same in events, responses and lists.

use serde::Serialize;
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::KioskId;

use super::help_request::{Category, HelpFields, HelpRequest, Note, PhotoUrl};
use crate::http::{ApiError, Fields};

const MAX_LOCKER_NO: i64 = 1_000_000_000;

/// Fields without a value are left out.
#[derive(Serialize)]
pub struct HelpJson {
    id: i64,
    kiosk_id: KioskId,
    #[serde(skip_serializing_if = "Option::is_none")]
    locker_no: Option<i64>,
    category: Category,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<Note>,
    #[serde(skip_serializing_if = "Option::is_none")]
    photo_url: Option<PhotoUrl>,
    status: &'static str,
    created_at: Timestamp,
}

impl From<HelpRequest> for HelpJson {
    fn from(help: HelpRequest) -> Self {
        Self {
            id: help.id,
            kiosk_id: help.kiosk_id,
            locker_no: help.fields.locker_no,
            category: help.fields.category,
            note: help.fields.note,
            photo_url: help.fields.photo_url,
            status: help.status.as_str(),
            created_at: help.created_at,
        }
    }
}

impl HelpFields {
    /// Parses `{category, note?, locker_no?, photo_url?}` of a body or message.
    ///
    /// # Errors
    /// 422 with the name of the invalid field.
    pub fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let locker_no: Option<i64> = fields.optional("lockerNo")?;
        if locker_no.is_some_and(|number| !(0..=MAX_LOCKER_NO).contains(&number)) {
            let message = format!("`lockerNo` must be 0 to {MAX_LOCKER_NO}");
            return Err(ApiError::field("lockerNo", message));
        }
        Ok(Self {
            category: fields.required("category")?,
            note: fields.optional("note")?,
            locker_no,
            photo_url: fields.optional("photoUrl")?,
        })
    }
}
