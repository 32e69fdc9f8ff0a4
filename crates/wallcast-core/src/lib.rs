//! The engine of Wallcast: events, their history, the store that commits them and the hub that delivers them.
//!
//! It knows no feature (areas, messages, …), no HTTP and no WebSocket. Modules import downwards only, in the order that
//! ARCHITECTURE.md lists; `tests/architecture` checks that.

pub mod address_limit;
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
pub mod random;
pub mod shutdown;
pub mod store;
