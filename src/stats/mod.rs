//! What the hub counts, for admins: in the words of seeds 1, 2 and 3, and for Prometheus. Reads
//! counters and indexes; changes nothing.

pub(crate) mod metrics;
pub(crate) mod wire;
