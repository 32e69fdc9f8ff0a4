//! Comes back to Home Assistant for as long as the daemon runs. Asks it nothing but whether it is there.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::address::Address;
use super::dial::{DialError, dial};
use super::link::Link;
use super::{Home, State};
use crate::pause::Pause;
use wallcast_core::clock::Timestamp;
use wallcast_core::shutdown::Shutdown;

/// A connection that lasted so long was a good one: the next attempt comes at once again.
const GOOD: Duration = Duration::from_secs(30);

/// Serves until the daemon stops.
pub async fn run(home: Home, shutdown: Shutdown) {
    let Some(address) = home.0.address.clone() else {
        return;
    };
    tokio::select! {
        () = follow(&home, &address) => {}
        () = shutdown.begun() => {
            if let Ok(link) = home.link() {
                link.close();
            }
        }
    }
}

async fn follow(home: &Home, address: &Address) {
    let mut pause = Pause::default();
    loop {
        let wait = match connect(home, address, &mut pause).await {
            Failure::Passing(why) => {
                leave(home, &why);
                pause.next()
            }
            // Supervisor may be restarting, and the token may be good again then.
            Failure::Token(why) => {
                leave(home, &why);
                pause.longest()
            }
        };
        tracing::debug!(ms = wait.as_millis(), "asking Home Assistant again later");
        sleep(wait).await;
    }
}

/// Why there is no connection any more.
enum Failure {
    Passing(String),
    Token(String),
}

/// Connects and serves the connection to its end.
async fn connect(home: &Home, address: &Address, pause: &mut Pause) -> Failure {
    let (socket, version) = match dial(address).await {
        Ok(opened) => opened,
        Err(error @ DialError::Refused(_)) => return Failure::Token(error.to_string()),
        Err(error) => return Failure::Passing(error.to_string()),
    };
    let (link, served) = Link::start(socket, version);
    let mut served = Box::pin(served);
    // Supervisor lets us in before it has asked Core, so only Core's own answer counts.
    let proven = async {
        link.tell(json!({ "type": "supported_features", "features": { "coalesce_messages": 1 } }))
            .await?;
        link.prove().await
    };
    let proven = tokio::select! {
        proven = proven => proven,
        ending = &mut served => return Failure::Passing(ending),
    };
    if let Err(error) = proven {
        return Failure::Passing(error.to_string());
    }
    let since = Instant::now();
    tracing::info!(version = link.version(), "Home Assistant is there");
    home.set(State::Connected(link.clone()));
    let ending = served.await;
    if since.elapsed() >= GOOD {
        pause.reset(None);
    }
    Failure::Passing(ending)
}

/// Notes since when it is away; said once, however many attempts fail after that.
fn leave(home: &Home, why: &str) {
    if let State::Away { .. } = home.state() {
        tracing::debug!(why, "Home Assistant is still away");
        return;
    }
    tracing::warn!(why, "Home Assistant is away");
    home.set(State::Away {
        since: Timestamp::now(),
    });
}
