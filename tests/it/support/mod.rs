//! A daemon of one's own, and clients that speak to it as a stranger would.

mod api;
mod core;
mod daemon;
mod events;
mod schema;
mod socket;

pub use api::{Answer, Api, exchange, tls_stream};
pub use core::{AcceptMode, CORE_TOKEN, Core, CoreData, Reply as CoreReply};
pub use daemon::{Daemon, Tablet, cli_on, client_config, command, is_private, root_store};
pub use events::{EventStream, SseEvent};
pub use socket::Socket;

use serde_json::Value;
use std::time::Duration;

/// Longer than anything that works can take; tests wait for things, never for time.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for a thing that must come.
pub fn soon<T>(what: &str, thing: impl Future<Output = T>) -> impl Future<Output = T> {
    // On the heap, so that the futures of the tests stay small.
    let thing = Box::pin(thing);
    async move {
        match tokio::time::timeout(PATIENCE, thing).await {
            Ok(thing) => thing,
            Err(_) => panic!("waited in vain for {what}"),
        }
    }
}

/// The keys of an object, sorted.
pub fn keys(object: &Value) -> Vec<&str> {
    let object = object.as_object().expect("an object");
    let mut keys: Vec<_> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// Asserts RFC 3339 in UTC with milliseconds and `Z` (contract section 1).
#[track_caller]
pub fn assert_timestamp(value: &Value) {
    let text = value.as_str().expect("a timestamp is a text");
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{text}");
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
