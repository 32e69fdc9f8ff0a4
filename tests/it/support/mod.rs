//! A daemon of one's own, and clients that speak to it as a stranger would.

mod api;
mod daemon;
mod socket;

pub use api::{Answer, Api, exchange, tls_stream};
pub use daemon::{Daemon, Tablet, cli_on, client_config, command, is_private, roots_of};
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

/// Asks again until the answer is as wanted.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    soon(what, async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}
