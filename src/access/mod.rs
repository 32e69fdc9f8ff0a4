//! What a principal may receive and see. `entitlement` is the one answer: live delivery, snapshots, replay and
//! `GET /api/events` all ask it.

mod audience;
pub mod entitlement;

pub use audience::{Audience, AudiencePatch, View};
