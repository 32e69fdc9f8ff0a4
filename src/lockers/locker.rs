//! A locker of a kiosk.

use wallcast_core::clock::Timestamp;
use wallcast_core::ids::{ClientId, KioskId, LockerId};

use crate::text::SingleLine;

/// For example `open` or `closed`.
pub type LockerState = SingleLine<64>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locker {
    pub id: LockerId,
    pub kiosk_id: KioskId,
    pub state: LockerState,
    /// Whether it mirrors a lock of Home Assistant, which then decides its kiosk and state.
    pub is_mirrored: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A client that sees the lockers of its kiosk and the mirrored locks of its enabled areas.
#[derive(Clone, Debug)]
pub struct LockerViewer {
    pub client: ClientId,
    pub kiosk: KioskId,
}
