//! Test fixtures: a daemon on a temporary data folder, HTTP, WebSocket and SSE clients, and a scripted Home
//! Assistant Core.

mod api;
mod core;
mod daemon;
mod event_stream;
mod schema;
mod socket;

pub use api::{Answer, Api, exchange, tls_stream};
pub use core::{AcceptMode, CORE_TOKEN, Core, CoreData, Reply as CoreReply};
pub use daemon::{Daemon, Tablet, cli_on, client_config, command, is_private, root_store};
pub use event_stream::{EventStream, SseEvent};
pub use socket::Socket;

use serde_json::Value;
use std::time::Duration;

/// Upper bound of every wait. Tests await a condition; they never sleep for a fixed time.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Awaits a future and panics with `what` after [`PATIENCE`].
pub fn soon<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    // Boxed to keep the futures of the tests small.
    let future = Box::pin(future);
    async move {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(output) => output,
            Err(_) => panic!("timed out waiting for {what}"),
        }
    }
}

/// The keys of a JSON object, sorted.
pub fn keys(object: &Value) -> Vec<&str> {
    let object = object.as_object().expect("an object");
    let mut keys: Vec<_> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// Asserts an RFC 3339 timestamp in UTC with milliseconds and `Z` (docs/protocol.md#terms).
#[track_caller]
pub fn assert_timestamp(value: &Value) {
    let text = value.as_str().expect("a timestamp is a string");
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{text}");
}

/// Polls every 20 ms until `check` returns a value; panics with `what` after [`PATIENCE`].
pub async fn until<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    soon(what, async {
        loop {
            if let Some(value) = check().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}
