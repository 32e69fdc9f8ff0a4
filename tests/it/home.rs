//! The connection to Home Assistant: how it is made, lost and made again.

use super::support::{Core, CoreAnswer, Daemon, HOME_TOKEN, Mood, until};

async fn until_health(daemon: &Daemon, word: &str) {
    let stranger = daemon.stranger();
    until(word, async || {
        let health = stranger.get("/health").await.expect(200).json;
        (health["services"]["homeassistant"] == word).then_some(())
    })
    .await;
}

#[tokio::test]
async fn is_disabled_where_none_is_configured() {
    let daemon = Daemon::start().await;
    until_health(&daemon, "disabled").await;
}

#[tokio::test]
async fn connects_by_supervisors_proxy_and_directly() {
    let core = Core::start().await;
    for options in [core.as_addon(), core.direct()] {
        let daemon = Daemon::beside(options, &[]).await;
        until_health(&daemon, "connected").await;
    }
}

#[tokio::test]
async fn comes_back_whatever_the_reason() {
    let mut core = Core::start().await;
    let daemon = Daemon::beside(core.as_addon(), &[]).await;
    until_health(&daemon, "connected").await;
    for mood in [Mood::BadGateway, Mood::ClosesAtOnce, Mood::ClosesAfterAuth] {
        core.house().mood = mood;
        core.cut();
        until_health(&daemon, "disconnected").await;
        core.house().mood = Mood::Well;
        until_health(&daemon, "connected").await;
    }
    core.kill().await;
    until_health(&daemon, "disconnected").await;
    core.revive().await;
    until_health(&daemon, "connected").await;
}
