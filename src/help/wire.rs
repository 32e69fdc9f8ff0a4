//! A help request as JSON, as seed 3 has it: in events, answers and lists alike.

use serde::Serialize;

use super::{Asked, Category, HelpRequest, Note, PhotoUrl};
use crate::http::{ApiError, Fields};
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::KioskId;

/// The number on a locker at most.
const MAX_LOCKER_NO: i64 = 1_000_000_000;

/// A help request on the wire. What is not known is left out.
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
            locker_no: help.asked.locker_no,
            category: help.asked.category,
            note: help.asked.note,
            photo_url: help.asked.photo_url,
            status: help.status.as_str(),
            created_at: help.created_at,
        }
    }
}

impl Asked {
    /// What a body or message asks for: `{category, note?, locker_no?, photo_url?}`.
    ///
    /// # Errors
    /// 422 that names the field.
    pub fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let locker_no: Option<i64> = fields.optional("lockerNo")?;
        if locker_no.is_some_and(|number| !(0..=MAX_LOCKER_NO).contains(&number)) {
            let message = format!("lockerNo must be 0 to {MAX_LOCKER_NO}");
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
