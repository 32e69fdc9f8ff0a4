//! The engine of Wallcast: events, their history, the store that commits them and the hub that delivers them.
//!
//! It knows no feature (areas, messages, …), no HTTP and no wire protocol. Modules import downwards only, in the order
//! below; a test of the workspace checks that.

pub mod audit;
pub mod auth;
pub mod clock;
pub mod disconnect;
pub mod entity_id;
pub mod event;
pub mod history;
pub mod hub;
pub mod idempotency;
pub mod ids;
pub mod limits;
pub mod random;
pub mod shutdown;
pub mod store;
