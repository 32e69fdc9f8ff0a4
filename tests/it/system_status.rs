//! `system_status`: every session receives it as soon as the health of the daemon changes.
//! See docs/protocol.md#event-types.

use serde_json::json;

use crate::support::{Daemon, Socket, keys};

/// Parses a whole number in front of this unit.
#[track_caller]
fn number(text: &str, unit: &str) -> u64 {
    let number = text.strip_suffix(unit).expect("the unit");
    number.parse().expect("a whole number")
}

#[tokio::test]
async fn store_write_failure_and_recovery_publish_system_status() {
    let daemon = Daemon::ignoring_sigxfsz(&[]).await;
    let admin = daemon.admin().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let user = daemon.token(json!({ "role": "user", "name": "x" })).await;
    let user = user["token"].as_str().unwrap();
    let mut sockets = vec![
        daemon.listen(&tablet.token).await,
        daemon.listen(user).await,
    ];
    for path in ["/ws/lockers", "/ws/help", "/ws/events"] {
        let mut socket = Socket::open(&daemon, path, Some(user)).await.unwrap();
        assert_eq!(socket.next().await["type"], "connection");
        sockets.push(socket);
    }
    let path = "/api/pairing/requests";
    let request = daemon.unauthenticated().post(path, json!({})).await;
    let request = request.expect(201).json;
    let mut pairing_socket = daemon
        .listen(request["pairingToken"].as_str().unwrap())
        .await;

    daemon.limit_file_size("0").await;
    let refused = admin.post("/api/areas", json!({ "name": "Never" })).await;
    assert_eq!(refused.refused(503), "unavailable");
    for socket in &mut sockets {
        let event = socket.next_of("system_status").await;
        assert_eq!(
            keys(&event),
            ["data", "timestamp", "type"],
            "the event is ephemeral"
        );
        assert_eq!(keys(&event["data"]), ["details", "status"]);
        assert_eq!(event["data"]["status"], "unhealthy");
        assert_eq!(event["data"]["details"]["database"], "not writable");
    }
    daemon.limit_file_size("unlimited").await;
    for socket in &mut sockets {
        let event = socket.next_of("system_status").await;
        let details = &event["data"]["details"];
        assert_eq!(event["data"]["status"], "healthy");
        assert_eq!(details["database"], "connected");
        let uptime = details["uptime"].as_str().unwrap();
        let (hours, minutes) = uptime.split_once(' ').unwrap();
        assert_eq!(number(hours, "h"), 0);
        assert!(number(minutes, "m") < 60);
        let percent = number(details["memory_usage"].as_str().unwrap(), "%");
        let bytes = details["memory_bytes"].as_u64().unwrap();
        let limit = details["memory_limit_bytes"].as_u64().unwrap();
        assert!(bytes > 1 << 20 && bytes < limit, "{details}");
        assert_eq!(percent, (bytes * 100).div_ceil(limit));
        assert_eq!(details["clients"], 6);
    }
    pairing_socket.assert_nothing_received().await;
}
