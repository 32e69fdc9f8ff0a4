//! Home Assistant services that clients may call: which there are, which data each takes, and which of them the option
//! `allowed_services` allows (`docs/protocol.md#calling-services`).

mod allowed;
pub(crate) mod catalog;

pub(crate) use allowed::{AllowedService, allows, names_entity};
