//! `GET /health`, and the API while the disk is full or the data folder is missing (docs/protocol.md#health).

use serde_json::json;

use crate::pairing_requests::request_pairing;
use crate::support::{Daemon, until};

#[tokio::test]
async fn health_has_the_documented_fields_and_needs_no_token() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let mut sockets = [
        daemon.connect(&tablet.token).await,
        daemon.connect(&tablet.token).await,
    ];
    for socket in &mut sockets {
        socket.next_of("connection").await;
    }
    // A tablet whose pairing is pending counts as a connection, not as a user.
    let pairing = request_pairing(&daemon, json!({})).await;
    let mut pairing_socket = daemon.connect(&pairing.token).await;
    pairing_socket.next_of("connection").await;
    let health = daemon
        .unauthenticated()
        .get("/health")
        .await
        .expect(200)
        .json;
    let expected = json!({
        "status": "ok",
        "timestamp": health["timestamp"],
        "version": env!("CARGO_PKG_VERSION"),
        "services": {
            "database": "connected",
            "redis": "disabled",
            "homeassistant": "disabled",
            "websocket": { "status": "active", "connections": 3, "authenticatedUsers": 1 },
        },
    });
    assert_eq!(health, expected);
    assert!(health["timestamp"].is_string());
}

#[tokio::test]
async fn full_disk_returns_503_and_leaves_nothing_half_done() {
    let daemon = Daemon::ignoring_sigxfsz(&[]).await;
    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let admin = daemon.api_of(&token);
    let kitchen = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&kitchen]).await;
    let mut tablet_socket = daemon.listen(&tablet.token).await;
    let code = admin
        .post("/api/pairing/codes", json!({}))
        .await
        .expect(201)
        .json["code"]
        .take();
    let pairing = request_pairing(&daemon, json!({})).await;
    let before = admin.get("/api/areas").await.expect(200).json;

    daemon.limit_file_size("0").await;
    let area = format!("/api/areas/{kitchen}");
    let approve = format!("{}/approve", pairing.path());
    let complete = json!({ "code": code, "name": "Hall" });
    for answer in [
        admin.put(&area, json!({ "name": "Never" })).await,
        admin.post("/api/areas", json!({ "name": "Never" })).await,
        admin.delete(&area).await,
        admin.post(&approve, json!({})).await,
        daemon
            .unauthenticated()
            .post("/api/pairing/complete", complete.clone())
            .await,
        daemon
            .unauthenticated()
            .post("/api/pairing/requests", json!({}))
            .await,
    ] {
        assert!(answer.retry_after() >= 1);
        assert_eq!(answer.refused(503), "unavailable");
    }
    let unhealthy = daemon.unauthenticated().get("/health").await.expect(503);
    assert!(unhealthy.header("retry-after").is_some());
    assert_ne!(unhealthy.json["status"], "ok");
    assert_ne!(unhealthy.json["services"]["database"], "connected");
    assert!(!daemon.cli(&["health"]).await.status.success());
    // Reads keep working, and the failed requests emit no events: only those of the outage arrive.
    assert_eq!(admin.get("/api/areas").await.expect(200).json, before);
    let mut event_types = Vec::new();
    for _ in 0..3 {
        let event = tablet_socket.next().await;
        event_types.push(event["type"].as_str().unwrap().to_owned());
    }
    event_types.sort();
    assert_eq!(
        event_types,
        ["service-update", "status-update", "system_status"]
    );
    tablet_socket.assert_nothing_received().await;

    daemon.limit_file_size("unlimited").await;
    let healthy = until("status 200", async || {
        let answer = daemon.unauthenticated().get("/health").await;
        (answer.status == 200).then_some(answer.json)
    });
    assert_eq!(healthy.await["services"]["database"], "connected");
    assert!(daemon.cli(&["health"]).await.status.success());
    admin.put(&area, json!({ "name": "Now" })).await.expect(200);
    let event = tablet_socket.next_of("area_updated").await;
    assert_eq!(event["data"]["name"], "Now");
    // The failed requests used up neither the pairing request nor the code.
    admin.post(&approve, json!({})).await.expect(200);
    daemon
        .unauthenticated()
        .post("/api/pairing/complete", complete)
        .await
        .expect(200);
    // The failed pairing request does not count against the limit of open requests.
    for _ in 0..3 {
        daemon
            .unauthenticated()
            .post("/api/pairing/requests", json!({}))
            .await
            .expect(201);
    }
}

#[tokio::test]
async fn full_disk_is_detected_without_requests() {
    let daemon = Daemon::ignoring_sigxfsz(&[]).await;
    daemon.unauthenticated().get("/health").await.expect(200);
    daemon.limit_file_size("0").await;
    until("status 503", async || {
        (daemon.unauthenticated().get("/health").await.status == 503).then_some(())
    })
    .await;
    daemon.limit_file_size("unlimited").await;
    until("status 200", async || {
        (daemon.unauthenticated().get("/health").await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn missing_data_folder_returns_503_until_it_is_back() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = format!("/api/areas/{}", admin.create_area("Kitchen").await);
    let folder = daemon.folder().to_owned();
    let away = folder.with_extension("away");
    std::fs::rename(&folder, &away).unwrap();
    let refused = async || {
        let answer = admin.put(&area, json!({ "name": "Never" })).await;
        assert_eq!(answer.refused(503), "unavailable");
        let unhealthy = daemon
            .unauthenticated()
            .get("/health")
            .await
            .expect(503)
            .json;
        assert_eq!(unhealthy["services"]["database"], "not writable");
    };
    refused().await;
    // Another folder under the same name does not count as the data folder.
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("wallcast.db"), "").unwrap();
    refused().await;
    assert_eq!(
        admin.get(&area).await.expect(200).json["name"],
        "Kitchen",
        "reads keep working"
    );

    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::rename(&away, &folder).unwrap();
    daemon.unauthenticated().get("/health").await.expect(200);
    admin.put(&area, json!({ "name": "Now" })).await.expect(200);
    let daemon = daemon.kill_and_restart().await;
    let areas = daemon.local().get("/api/areas").await.expect(200).json;
    assert_eq!(areas["areas"][0]["name"], "Now");
}

#[tokio::test]
async fn missing_data_folder_is_detected_without_requests() {
    let daemon = Daemon::start().await;
    let away = daemon.folder().with_extension("away");
    std::fs::rename(daemon.folder(), &away).unwrap();
    until("status 503", async || {
        (daemon.unauthenticated().get("/health").await.status == 503).then_some(())
    })
    .await;
    std::fs::rename(&away, daemon.folder()).unwrap();
    daemon.unauthenticated().get("/health").await.expect(200);
}
