//! Background jobs that need more than one part of the server: each has a `run` that ends with the daemon.

pub(crate) mod expiry;
pub(crate) mod ingress_check;
pub(crate) mod stdin;
pub(crate) mod system_status;
