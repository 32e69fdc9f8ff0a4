//! Background jobs that use several parts of the server. Each has a `run` that returns at shutdown.

pub(crate) mod expiry;
pub(crate) mod ingress_check;
pub(crate) mod stdin;
pub(crate) mod system_status;
