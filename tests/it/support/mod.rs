//! A daemon of one's own, and clients that speak to it as a stranger would.

mod api;
mod daemon;
mod socket;

pub use api::{Answer, Api, tls_stream};
pub use daemon::{Daemon, Tablet, client_config, is_private};
pub use socket::Socket;

use std::time::Duration;

/// Longer than anything that works can take; tests wait for things, never for time.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for a thing that must come.
pub async fn soon<T>(what: &str, thing: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, thing).await {
        Ok(thing) => thing,
        Err(_) => panic!("waited in vain for {what}"),
    }
}
