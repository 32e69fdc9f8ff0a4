//! What a principal may receive and see. Live delivery, snapshots, replay and `GET /api/events` all use
//! [`entitlement`], so they cannot disagree.

mod audience;
pub mod entitlement;

pub use audience::{Audience, AudiencePatch, BoardView};
