//! The connection to Home Assistant: how it is made, lost and made again.

use super::support::{Core, CoreAnswer, Daemon, HOME_TOKEN, Mood};

#[tokio::test]
async fn is_disabled_where_none_is_configured() {
    let daemon = Daemon::start().await;
    daemon.until_home("disabled").await;
}

#[tokio::test]
async fn connects_by_supervisors_proxy_and_directly() {
    let core = Core::start().await;
    for options in [core.as_addon(), core.direct()] {
        let daemon = Daemon::beside(options, &[]).await;
        daemon.until_home("connected").await;
    }
}

#[tokio::test]
async fn comes_back_whatever_the_reason() {
    let mut core = Core::start().await;
    let daemon = Daemon::beside(core.as_addon(), &[]).await;
    daemon.until_home("connected").await;
    for mood in [Mood::BadGateway, Mood::ClosesAtOnce, Mood::ClosesAfterAuth] {
        core.house().mood = mood;
        core.cut();
        daemon.until_home("disconnected").await;
        core.house().mood = Mood::Well;
        daemon.until_home("connected").await;
    }
    core.kill().await;
    daemon.until_home("disconnected").await;
    core.revive().await;
    daemon.until_home("connected").await;
}
