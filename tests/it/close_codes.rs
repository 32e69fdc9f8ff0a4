//! How Wallcast closes a WebSocket: final event, close code and reason (docs/protocol.md#close-codes).

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Daemon, Socket, assert_timestamp, keys, soon};

#[track_caller]
fn assert_close(close: (u16, String), code: u16, reason: &str) {
    assert_eq!(close, (code, reason.to_owned()));
}

#[tokio::test]
async fn expired_token_closes_with_4401() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let short = json!({ "role": "client", "name": "short", "subject": tablet.id, "ttlSeconds": 4 });
    let short = daemon.token(short).await;
    let mut lasting = daemon.listen(&tablet.token).await;
    let mut socket = daemon.listen(short["token"].as_str().unwrap()).await;
    assert_close(socket.closed().await, 4401, "unauthenticated");
    lasting.assert_nothing_received().await;
}

#[tokio::test]
async fn revoked_client_gets_the_reason_and_4403_on_every_path() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let mut sockets = Vec::new();
    for path in ["/", "/ws", "/ws/lockers", "/ws/help", "/ws/events"] {
        let socket = Socket::open(&daemon, path, Some(&tablet.token)).await;
        let mut socket = socket.expect("the socket opens");
        socket.next_of("connection").await;
        sockets.push(socket);
    }
    let path = format!("/api/clients/{}/revoke", tablet.id);
    admin
        .post(&path, json!({ "reason": "stolen" }))
        .await
        .expect(200);
    for socket in &mut sockets {
        let final_event = socket.next().await;
        assert_eq!(final_event["type"], "token_revoked");
        assert_eq!(final_event.get("id"), None, "not durable");
        let data = &final_event["data"];
        assert_eq!(keys(data), ["clientId", "message", "reason", "timestamp"]);
        assert_eq!(data["clientId"], tablet.id);
        assert_eq!(data["reason"], "stolen");
        assert!(data["message"].is_string());
        assert_timestamp(&data["timestamp"]);
        assert_close(socket.closed().await, 4403, "revoked");
    }
    assert!(matches!(
        Socket::open(&daemon, "/ws", Some(&tablet.token)).await,
        Err(401)
    ));
}

#[tokio::test]
async fn deleted_client_is_closed_like_a_revoked_one() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let mut socket = daemon.listen(&tablet.token).await;
    let path = format!("/api/clients/{}", tablet.id);
    daemon.local().delete(&path).await.expect(204);
    assert_eq!(socket.next().await["type"], "token_revoked");
    assert_close(socket.closed().await, 4403, "revoked");
}

#[tokio::test]
async fn revoked_token_closes_only_its_own_sockets() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let second = json!({ "role": "client", "name": "second", "subject": tablet.id });
    let second = daemon.token(second).await;
    let mut first = daemon.listen(&tablet.token).await;
    let mut socket = daemon.listen(second["token"].as_str().unwrap()).await;
    let path = format!("/api/tokens/{}", second["jti"].as_str().unwrap());
    daemon.local().delete(&path).await.expect(204);
    assert_eq!(socket.next().await["type"], "token_revoked");
    assert_close(socket.closed().await, 4403, "revoked");
    first.assert_nothing_received().await;
}

#[tokio::test]
async fn revoked_admin_or_user_token_closes_with_4403() {
    let daemon = Daemon::start().await;
    for role in ["admin", "user"] {
        let token = daemon.token(json!({ "role": role, "name": "x" })).await;
        let mut socket = daemon.listen(token["token"].as_str().unwrap()).await;
        let path = format!("/api/tokens/{}", token["jti"].as_str().unwrap());
        daemon.local().delete(&path).await.expect(204);
        assert_close(socket.closed().await, 4403, "revoked");
    }
}

#[tokio::test]
async fn unauthenticated_socket_times_out_with_4408() {
    let daemon = Daemon::with(&[("AUTH_TIMEOUT_SECONDS", "1")]).await;
    let mut silent = daemon.connect_unauthenticated().await;
    let mut talking = daemon.connect_unauthenticated().await;
    talking.send(json!({ "type": "ping" })).await;
    assert_close(silent.closed().await, 4408, "auth_timeout");
    assert_close(talking.closed().await, 4408, "auth_timeout");
}

#[tokio::test]
async fn namespace_changes_do_not_extend_the_authentication_timeout() {
    let daemon = Daemon::with(&[("AUTH_TIMEOUT_SECONDS", "1")]).await;
    let path = "/socket.io/?EIO=4&transport=websocket";
    let mut socket = Socket::open(&daemon, path, None).await.unwrap();
    let code = loop {
        socket.send_raw(Message::text("41")).await;
        socket.send_raw(Message::text("40")).await;
        match socket.packet().await {
            Ok(_) => {}
            Err(code) => break code,
        }
    };
    assert_eq!(code, 4408);
}

#[tokio::test]
async fn session_over_the_client_limit_closes_oldest_with_4409() {
    let daemon = Daemon::with(&[("MAX_SESSIONS_PER_CLIENT", "2")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    let other = daemon.pair("Other", &[]).await;
    let mut bystander = daemon.listen(&other.token).await;
    let mut oldest = daemon.listen(&tablet.token).await;
    let mut second = daemon.listen(&tablet.token).await;
    let mut third = daemon.listen(&tablet.token).await;
    assert_close(oldest.closed().await, 4409, "superseded");
    let mut fourth = daemon.listen(&tablet.token).await;
    assert_close(second.closed().await, 4409, "superseded");
    for socket in [&mut third, &mut fourth, &mut bystander] {
        socket.assert_nothing_received().await;
    }
}

#[tokio::test]
async fn deactivated_client_is_closed_with_4410_and_refused() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let path = format!("/api/clients/{}", tablet.id);
    let mut socket = daemon.listen(&tablet.token).await;
    admin
        .patch(&path, json!({ "isActive": false }))
        .await
        .expect(200);
    assert_close(socket.closed().await, 4410, "inactive");

    assert!(matches!(
        Socket::open(&daemon, "/ws", Some(&tablet.token)).await,
        Err(401)
    ));
    let mut socket = daemon.connect_unauthenticated().await;
    socket.authenticate(&tablet.token).await;
    assert_eq!(socket.next().await["type"], "auth_error");
    assert_close(socket.closed().await, 4410, "inactive");

    admin
        .patch(&path, json!({ "isActive": true }))
        .await
        .expect(200);
    daemon
        .listen(&tablet.token)
        .await
        .assert_nothing_received()
        .await;
}

#[tokio::test]
async fn admin_disconnect_closes_sessions_with_4000() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let other = daemon.pair("Other", &[]).await;
    let mut bystander = daemon.listen(&other.token).await;
    let mut sockets = [
        daemon.listen(&tablet.token).await,
        daemon.listen(&tablet.token).await,
    ];
    let path = format!("/api/clients/{}/disconnect", tablet.id);
    admin.post(&path, json!({})).await.expect(200);
    for socket in &mut sockets {
        assert_close(socket.closed().await, 4000, "try_again");
    }
    bystander.assert_nothing_received().await;
    daemon
        .listen(&tablet.token)
        .await
        .assert_nothing_received()
        .await;
}

#[tokio::test]
async fn shutdown_sends_reconnect_delay_and_closes_with_1001() {
    let mut daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let help = Socket::open(&daemon, "/ws/help", Some(&tablet.token)).await;
    let mut sockets = [
        daemon.listen(&tablet.token).await,
        daemon
            .connect(daemon.pair("Other", &[]).await.token.as_str())
            .await,
        help.expect("the socket opens"),
    ];
    for socket in sockets.iter_mut().skip(1) {
        socket.next_of("connection").await;
    }
    let receive = async {
        for socket in &mut sockets {
            let event = socket.next_of("server_shutdown").await;
            assert_eq!(keys(&event["data"]), ["reconnectAfterMs"]);
            assert!(event["data"]["reconnectAfterMs"].as_u64().is_some());
            assert_close(socket.closed().await, 1001, "server_shutdown");
        }
    };
    let (status, ()) = tokio::join!(daemon.stop(), receive);
    assert!(status.success());
}

#[tokio::test]
async fn events_committed_before_shutdown_are_delivered_first() {
    let mut daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let mut socket = daemon
        .listen(&daemon.pair("Wall", &[&area]).await.token)
        .await;
    let path = format!("/api/areas/{area}");
    for n in 0..20 {
        let name = json!({ "name": format!("Kitchen {n}") });
        admin.put(&path, name).await.expect(200);
    }
    let (status, (events, code)) = soon("the daemon to stop", async {
        tokio::join!(daemon.stop(), socket.rest())
    })
    .await;
    assert!(status.success());
    assert_eq!(code, Some(1001));
    let names: Vec<_> = events.iter().map(|event| &event["data"]["name"]).collect();
    let expected: Vec<Value> = (0..20).map(|n| format!("Kitchen {n}").into()).collect();
    assert_eq!(names[..20], expected.iter().collect::<Vec<_>>());
    assert_eq!(events.last().unwrap()["type"], "server_shutdown");
    assert_eq!(events.len(), 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn flooding_peer_is_still_closed_in_time() {
    let mut daemon = Daemon::with(&[("AUTH_TIMEOUT_SECONDS", "1")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    let (_, code) = daemon
        .connect_unauthenticated()
        .await
        .flood(json!([]))
        .await;
    assert_eq!(code, Some(4408));

    let short = json!({ "role": "client", "name": "short", "subject": tablet.id, "ttlSeconds": 4 });
    let short = daemon.token(short).await;
    let socket = daemon.listen(short["token"].as_str().unwrap()).await;
    let (_, code) = socket.flood(json!({ "type": "ping" })).await;
    assert_eq!(code, Some(4401));

    let socket = daemon.listen(&tablet.token).await;
    let flood = socket.flood(json!({ "type": "ping" }));
    let (status, (last, code)) = tokio::join!(daemon.stop(), flood);
    assert!(status.success());
    assert_eq!(last["type"], "server_shutdown");
    assert_eq!(code, Some(1001));
}
