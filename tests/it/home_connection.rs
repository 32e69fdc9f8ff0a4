//! The connection to Home Assistant: connecting, losing it and reconnecting (docs/protocol.md#home-assistant).

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{AcceptMode, Api, CORE_TOKEN, Core, CoreReply, Daemon, command, until};

#[tokio::test]
async fn status_without_configuration_is_disabled() {
    let daemon = Daemon::start().await;
    daemon.until_home_is("disabled").await;
}

#[tokio::test]
async fn daemon_connects_through_supervisor_and_directly() {
    let core = Core::start().await;
    for options in [core.as_addon(), core.direct()] {
        let daemon = Daemon::with_core(options, &[]).await;
        daemon.until_home_is("connected").await;
    }
}

#[tokio::test]
async fn untrusted_core_certificate_is_refused() {
    let core = Core::with_tls(|_| {}).await;
    let daemon = Daemon::with_core(core.direct_tls(true), &[]).await;
    daemon.until_home_is("connected").await;
    let daemon = Daemon::with_core(core.direct_tls(false), &[]).await;
    daemon.until_home_is("disconnected").await;
    assert_eq!(core.data().authenticated_connections, 1);
}

#[tokio::test]
async fn connection_is_restored_after_every_kind_of_failure() {
    let mut core = Core::start().await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    daemon.until_home_is("connected").await;
    for failure in [
        AcceptMode::BadGateway,
        AcceptMode::ClosesAtOnce,
        AcceptMode::ClosesAfterAuth,
    ] {
        core.data().accept_mode = failure;
        core.disconnect_all();
        daemon.until_home_is("disconnected").await;
        core.data().accept_mode = AcceptMode::Normal;
        daemon.until_home_is("connected").await;
    }
    core.kill().await;
    daemon.until_home_is("disconnected").await;
    core.restart().await;
    daemon.until_home_is("connected").await;
}

/// The board's `homeassistant` service; null if the board has none.
async fn board_service(api: &Api) -> Value {
    let board = api.get("/api/services").await.expect(200).json;
    let services = board["services"].as_array().expect("a list").iter();
    let mut found = services.filter(|service| service["id"] == "homeassistant");
    found.next().cloned().unwrap_or_default()
}

#[tokio::test]
async fn board_shows_the_outage_and_the_api_keeps_working() {
    let mut core = Core::start().await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    daemon.until_home_is("connected").await;
    let admin = daemon.admin().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let mut socket = daemon.listen(&tablet.token).await;
    until("the service", async || {
        (board_service(&admin).await["status"] == "operational").then_some(())
    })
    .await;

    core.kill().await;
    let update = socket.next_of("service-update").await["data"].clone();
    assert_eq!(update["type"], "updated");
    assert_eq!(update["data"]["id"], "homeassistant");
    assert_eq!(update["data"]["status"], "major_outage");
    let overall = socket.next_of("status-update").await["data"].clone();
    assert!(overall.to_string().contains("major_outage"), "{overall}");
    let health = daemon
        .unauthenticated()
        .get("/health")
        .await
        .expect(200)
        .json;
    assert_eq!(health["status"], "ok");
    assert_eq!(health["services"]["homeassistant"], "disconnected");
    // A restart during the outage keeps the status and publishes no second event.
    let daemon = daemon.restart().await;
    daemon.until_home_is("disconnected").await;
    let admin = daemon.admin().await;
    assert_eq!(board_service(&admin).await["status"], "major_outage");
    let area = admin.create_area("Kitchen").await;
    let put = json!({ "areaIds": [area] });
    let path = format!("/api/clients/{}/areas", tablet.id);
    admin.put(&path, put).await.expect(200);
    let mut socket = daemon.listen(&tablet.token).await;

    core.restart().await;
    let update = socket.next_of("service-update").await["data"].clone();
    assert_eq!(update["data"]["status"], "operational");
    let path = "/api/events?limit=1000&type=service-update";
    let events = admin.get(path).await.expect(200).json;
    let statuses: Vec<_> = events["events"].as_array().unwrap().iter().collect();
    let statuses: Vec<_> = statuses
        .iter()
        .map(|e| &e["data"]["data"]["status"])
        .collect();
    assert_eq!(statuses, ["operational", "major_outage", "operational"]);

    // The service is read-only.
    let refused = admin
        .patch(
            "/api/services/homeassistant",
            json!({ "status": "degraded" }),
        )
        .await;
    assert!((400..500).contains(&refused.status), "{}", refused.text);
    let daemon = daemon.restart_with_core(Vec::new()).await;
    let admin = daemon.admin().await;
    until("the service to be removed", async || {
        board_service(&admin).await.is_null().then_some(())
    })
    .await;
}

#[tokio::test]
async fn refused_core_token_is_retried() {
    let core = Core::with(|data| data.accept_mode = AcceptMode::RefusesToken).await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    daemon.until_home_is("disconnected").await;
    assert!(
        daemon.log().contains("refuses the token"),
        "{}",
        daemon.log()
    );
    core.data().accept_mode = AcceptMode::Normal;
    // After a refused token the daemon waits up to half a minute before it reconnects.
    let connected = async {
        while core.data().authenticated_connections == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let reconnected = tokio::time::timeout(Duration::from_secs(45), connected).await;
    reconnected.expect("the daemon reconnects");
    daemon.until_home_is("connected").await;
}

#[tokio::test]
async fn unresponsive_core_counts_as_disconnected() {
    let core = Core::with(|data| {
        data.replies.insert("ping".to_owned(), CoreReply::Silence);
    })
    .await;
    let daemon = Daemon::with_core(core.direct(), &[]).await;
    daemon.until_home_is("disconnected").await;
    core.data().replies.clear();
    daemon.until_home_is("connected").await;
}

#[tokio::test]
async fn core_token_is_in_no_log_and_no_file() {
    for is_addon in [true, false] {
        let mut core = Core::with(|data| data.add_area("kitchen", "Kitchen")).await;
        let options = match is_addon {
            true => core.as_addon(),
            false => core.direct(),
        };
        let debug = [("LOG_LEVEL", "trace"), ("LOG_FORMAT", "json")];
        let mut daemon = Daemon::with_core(options, &debug).await;
        daemon.until_home_is("connected").await;
        core.until_received("config/area_registry/list", 1).await;
        core.data().accept_mode = AcceptMode::RefusesToken;
        core.disconnect_all();
        daemon.until_home_is("disconnected").await;
        core.kill().await;
        let backup = daemon.folder().join("backup");
        let output = daemon.cli(&["backup", backup.to_str().unwrap()]).await;
        assert!(output.status.success());
        assert!(daemon.stop().await.success());
        assert!(!daemon.log().contains(CORE_TOKEN));
        let mut files = 0;
        for entry in std::fs::read_dir(daemon.folder()).unwrap() {
            let path = entry.unwrap().path();
            let Ok(bytes) = std::fs::read(&path) else {
                continue;
            };
            files += 1;
            let found = bytes
                .windows(CORE_TOKEN.len())
                .any(|w| w == CORE_TOKEN.as_bytes());
            assert!(!found, "{}", path.display());
        }
        assert!(files >= 2, "the database and its backup");
    }
}

#[tokio::test]
async fn invalid_token_option_is_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let options = [("HA_TOKEN".to_owned(), "a secret with blanks".to_owned())];
    let output = command(folder.path(), &options).output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("ha_token") && !stderr.contains("blanks"),
        "{stderr}"
    );
    // `check` shows the options and their sources, but not the value of this one.
    let options = [("HA_TOKEN".to_owned(), CORE_TOKEN.to_owned())];
    let mut check = command(folder.path(), &options);
    let output = check.arg("check").output().await.unwrap();
    assert!(output.status.success());
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("ha_token"), "{text}");
    assert!(!text.contains(CORE_TOKEN), "{text}");
}
