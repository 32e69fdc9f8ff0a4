//! Statistics of sessions and messages: the endpoints of the rooms, board and kiosk systems, and
//! `/metrics`. See docs/protocol.md#statistics.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Api, Daemon, Socket, assert_timestamp, keys, until};

const STATS: &str = "/api/v1/websocket/stats";
const INFO: &str = "/api/websocket/info";
const STATUS: &str = "/api/websocket/status";

async fn open(daemon: &Daemon, path: &str, token: &str) -> Socket {
    let mut socket = Socket::open(daemon, path, Some(token)).await.unwrap();
    assert_eq!(socket.next().await["type"], "connection");
    socket
}

async fn issue_user_token(daemon: &Daemon, name: &str, organization: &str, tenant: &str) -> String {
    let body = json!({ "role": "user", "name": name, "subject": name,
        "organizationId": organization, "tenantId": tenant });
    let token = daemon.token(body).await;
    token["token"].as_str().unwrap().to_owned()
}

async fn stats(admin: &Api) -> Value {
    admin.get(STATS).await.expect(200).json["data"].take()
}

#[tokio::test]
async fn rooms_stats_count_sessions_and_messages() {
    let daemon = Daemon::with(&[("HEARTBEAT_SECONDS", "3600")]).await;
    let admin = daemon.local();
    let answer = admin.get(STATS).await.expect(200).json;
    assert_eq!(keys(&answer), ["data", "success", "timestamp"]);
    assert_eq!(answer["success"], true);
    assert_timestamp(&answer["timestamp"]);
    assert_timestamp(&answer["data"]["last_activity"]);
    let expected = json!({ "connected_clients": 0, "total_connections": 0, "messages_sent": 0,
        "messages_received": 0, "last_activity": answer["data"]["last_activity"] });
    assert_eq!(answer["data"], expected);

    let tablet = daemon.pair("Wall", &[]).await;
    daemon.listen(&tablet.token).await.close().await;
    let mut first = daemon.listen(&tablet.token).await;
    let mut second = open(&daemon, "/ws/help", &tablet.token).await;
    first.send(json!({ "type": "ping" })).await;
    assert_eq!(first.next().await["type"], "pong");
    let before = stats(&admin).await;
    assert_eq!(before["connected_clients"], 2);
    assert_eq!(before["total_connections"], 3);
    assert_eq!(before["messages_received"], 1);
    assert_eq!(
        before["messages_sent"],
        3 + 1,
        "three welcomes and the pong"
    );

    let body = json!({ "type": "alarm", "data": {} });
    admin
        .post("/api/v1/websocket/broadcast", body)
        .await
        .expect(200);
    for socket in [&mut first, &mut second] {
        assert_eq!(socket.next().await["type"], "alarm");
    }
    // A message of unknown type counts as received, and its `error` counts as sent.
    second.send(json!({ "type": "nonsense" })).await;
    assert_eq!(second.next().await["type"], "error");
    let after = stats(&admin).await;
    assert_eq!(after["messages_sent"], 4 + 2 + 1);
    assert_eq!(after["messages_received"], 2);
    assert!(after["last_activity"].as_str() >= before["last_activity"].as_str());
}

#[tokio::test]
async fn info_lists_sessions_and_filters_by_organization() {
    let daemon = Daemon::with(&[("HEARTBEAT_SECONDS", "3600")]).await;
    let admin = daemon.local();
    let tablet = daemon.pair("Wall", &[]).await;
    let ann = issue_user_token(&daemon, "ann", "o1", "t1").await;
    let bob = issue_user_token(&daemon, "bob", "o2", "t1").await;
    let mut tablet_socket = daemon.listen(&tablet.token).await;
    assert_eq!(
        tablet_socket.ask(json!({ "type": "ping" })).await["type"],
        "pong"
    );
    let _ann = [
        daemon.listen(&ann).await,
        open(&daemon, "/ws/help", &ann).await,
    ];
    let _bob = daemon.listen(&bob).await;

    let answer = admin.get(INFO).await.expect(200).json;
    assert_eq!(keys(&answer), ["data", "success", "timestamp"]);
    assert_eq!(answer["success"], true);
    assert_timestamp(&answer["timestamp"]);
    let data = &answer["data"];
    assert_eq!(data["totalConnections"], 4);
    assert_eq!(data["organizationConnections"], 0);
    assert_eq!(data["tenantConnections"], 0);
    assert_eq!(data["averageConnectionsPerUser"], 1.33);
    let clients = data["clients"].as_array().unwrap();
    assert_eq!(clients.len(), 4);
    let first = &clients[0];
    let expected = json!({
        "connectionId": first["connectionId"], "clientId": tablet.id, "userId": tablet.id,
        "role": "client", "dialect": "websocket", "namespace": "/", "organizationId": null,
        "tenantId": null, "address": "127.0.0.1", "connectedAt": first["connectedAt"],
        "lastSeenAt": first["lastSeenAt"], "messagesSent": 2, "messagesReceived": 1,
    });
    assert_eq!(*first, expected);
    assert_timestamp(&first["connectedAt"]);
    assert_timestamp(&first["lastSeenAt"]);
    let help = &clients[2];
    assert_eq!(
        help["clientId"], help["connectionId"],
        "a user's clientId is its connection id"
    );
    let expected = ["ann", "user", "/ws/help", "o1", "t1"];
    let fields = ["userId", "role", "namespace", "organizationId", "tenantId"];
    assert_eq!(fields.map(|key| help[key].as_str().unwrap()), expected);

    let table = [
        ("organizationId=o1", 2, 0, vec!["ann", "ann"]),
        ("tenantId=t1", 0, 3, vec!["ann", "ann", "bob"]),
        ("organizationId=o2&tenantId=t1", 1, 3, vec!["bob"]),
        ("organizationId=o1&tenantId=t2", 2, 0, vec![]),
        ("organizationId=none&tenantId=", 0, 0, vec![]),
    ];
    for (query, organization, tenant, users) in table {
        let data = admin.get(&format!("{INFO}?{query}")).await.expect(200).json["data"].take();
        assert_eq!(data["totalConnections"], 4, "{query}");
        assert_eq!(data["organizationConnections"], organization, "{query}");
        assert_eq!(data["tenantConnections"], tenant, "{query}");
        let clients = data["clients"].as_array().unwrap();
        let found: Vec<_> = clients
            .iter()
            .map(|client| client["userId"].as_str().unwrap())
            .collect();
        assert_eq!(found, users, "{query}");
    }

    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("{INFO}?limit=3&cursor={cursor}");
        let mut data = admin.get(&path).await.expect(200).json["data"].take();
        pages.append(data["clients"].as_array_mut().unwrap());
        match data["nextCursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    // A pong between the two reads moves `lastSeenAt`.
    let without_activity = |clients: &[Value]| {
        let mut clients = clients.to_vec();
        for client in &mut clients {
            assert_timestamp(&client["lastSeenAt"]);
            client["lastSeenAt"].take();
        }
        clients
    };
    assert_eq!(
        without_activity(&pages),
        without_activity(clients),
        "the pages join to the whole list"
    );
    for (query, field) in [
        ("organizationId=a%20b", "organizationId"),
        ("limit=0", "limit"),
        ("cursor=x", "cursor"),
    ] {
        let refused = admin.get(&format!("{INFO}?{query}")).await;
        assert_eq!(refused.json["field"], field);
        assert_eq!(refused.refused(422), "invalid_field");
    }
}

#[tokio::test]
async fn kiosk_status_reports_namespaces_and_latencies() {
    let daemon = Daemon::with(&[("HEARTBEAT_SECONDS", "3600")]).await;
    let admin = daemon.local();
    let tablet = daemon.pair("Wall", &[]).await;
    let empty = admin.get(STATUS).await.expect(200).json;
    assert_eq!(empty["latency_metrics"]["median"], 0.0);
    let mut main = daemon.listen(&tablet.token).await;
    let _others = [
        open(&daemon, "/ws/lockers", &tablet.token).await,
        open(&daemon, "/ws/lockers", &tablet.token).await,
        open(&daemon, "/ws/events", &tablet.token).await,
    ];
    let body = json!({ "type": "alarm", "data": {} });
    admin
        .post("/api/websocket/broadcast", body)
        .await
        .expect(200);
    assert_eq!(main.next().await["type"], "alarm");
    // The delivery is counted after its bytes have been handed to the kernel.
    let status = until("the delivery to be counted", async || {
        let status = admin.get(STATUS).await.expect(200).json;
        (status["latency_metrics"]["median"] != 0.0).then_some(status)
    })
    .await;
    let latency = &status["latency_metrics"];
    let expected = json!({
        "status": "active",
        "namespaces": { "/ws/lockers": 2, "/ws/help": 0, "/ws/events": 1 },
        "total_connections": 4,
        "latency_metrics": { "median": latency["median"], "p95": latency["p95"],
            "p99": latency["p99"], "connection_count": 4 },
        "timestamp": status["timestamp"],
    });
    assert_eq!(status, expected);
    assert_timestamp(&status["timestamp"]);
    let ms = |key: &str| latency[key].as_f64().unwrap();
    assert!(ms("median") > 0.0 && ms("median") <= ms("p95") && ms("p95") <= ms("p99"));
}

#[tokio::test]
async fn metrics_match_stats() {
    let daemon = Daemon::with(&[("HEARTBEAT_SECONDS", "3600")]).await;
    let admin = daemon.local();
    let tablet = daemon.pair("Wall", &[]).await;
    let mut socket = open(&daemon, "/ws/help", &tablet.token).await;
    assert_eq!(socket.ask(json!({ "type": "ping" })).await["type"], "pong");
    let answer = admin.get("/metrics").await.expect(200);
    let content_type = answer.header("content-type");
    assert_eq!(
        content_type,
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let samples: BTreeMap<_, f64> = answer
        .text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').expect("a sample"))
        .map(|(name, value)| (name, value.parse().expect("a number")))
        .collect();
    let last = admin.get("/api/events?limit=1").await.expect(200).json["lastEventId"].as_f64();
    for (name, value) in [
        ("wallcast_sessions{namespace=\"/ws/help\"}", 1.0),
        ("wallcast_sessions{namespace=\"/\"}", 0.0),
        ("wallcast_sessions_opened_total", 1.0),
        ("wallcast_sockets", 1.0),
        ("wallcast_principals", 1.0),
        ("wallcast_messages_sent_total", 2.0),
        ("wallcast_messages_received_total", 1.0),
        ("wallcast_store_writable", 1.0),
        ("wallcast_last_event_id", last.unwrap()),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name} in {}", answer.text);
    }
    assert!(samples["process_resident_memory_bytes"] > 1e6);
}

#[tokio::test]
async fn statistics_are_readable_by_admins_only() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let user = issue_user_token(&daemon, "ann", "o1", "t1").await;
    for path in [STATS, INFO, STATUS, "/metrics"] {
        daemon.admin().await.get(path).await.expect(200);
        for token in [&tablet.token, &user] {
            assert_eq!(daemon.api(token).get(path).await.refused(403), "forbidden");
        }
        daemon.unauthenticated().get(path).await.refused(401);
    }
}

#[tokio::test]
async fn info_shows_current_organization_and_tenant_of_client() {
    let daemon = Daemon::with(&[("HEARTBEAT_SECONDS", "3600")]).await;
    let admin = daemon.local();
    let tablet = daemon.pair("Wall", &[]).await;
    let _tablet_socket = daemon.listen(&tablet.token).await;
    let path = format!("/api/clients/{}", tablet.id);
    for (organization, tenant) in [(json!("o1"), json!("t1")), (json!("o2"), json!(null))] {
        let body = json!({ "organizationId": organization, "tenantId": tenant });
        admin.patch(&path, body).await.expect(200);
        let query = organization.as_str().unwrap();
        let info = admin.get(&format!("{INFO}?organizationId={query}")).await;
        let client = info.expect(200).json["data"]["clients"][0].take();
        assert_eq!(
            (&client["organizationId"], &client["tenantId"]),
            (&organization, &tenant)
        );
    }
}

#[tokio::test]
async fn pong_updates_last_seen_time() {
    let daemon = Daemon::with(&[("HEARTBEAT_SECONDS", "3600")]).await;
    let admin = daemon.local();
    let tablet = daemon.pair("Wall", &[]).await;
    let mut socket = daemon.listen(&tablet.token).await;
    let mut socketio = Socket::open(&daemon, "/socket.io/?EIO=4&transport=websocket", None)
        .await
        .unwrap();
    let auth = json!({ "token": tablet.token });
    socketio.send_raw(Message::text(format!("40{auth}"))).await;
    let last_seen = async || {
        let info = admin.get(INFO).await.expect(200).json;
        let clients = info["data"]["clients"].as_array().unwrap().clone();
        let seen: Vec<_> = clients
            .iter()
            .map(|client| {
                (
                    client["lastSeenAt"].clone(),
                    client["messagesReceived"].clone(),
                )
            })
            .collect();
        seen
    };
    let before = until("both sessions", async || {
        let seen = last_seen().await;
        (seen.len() == 2).then_some(seen)
    })
    .await;
    until("the pongs to be counted", async || {
        socket.send_raw(Message::Pong(Default::default())).await;
        socketio.send_raw(Message::text("3")).await;
        let now = last_seen().await;
        let is_later = |(old, new): (&(Value, Value), &(Value, Value))| {
            assert_eq!(old.1, new.1, "a pong is not counted as a message");
            old.0.as_str() < new.0.as_str()
        };
        before.iter().zip(&now).all(is_later).then_some(())
    })
    .await;
}

#[tokio::test]
async fn pairing_sessions_do_not_count_as_users_in_average() {
    let daemon = Daemon::with(&[("HEARTBEAT_SECONDS", "3600")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    let _tablet_socket = daemon.listen(&tablet.token).await;
    let request = crate::pairing_requests::request_pairing(&daemon, json!({})).await;
    let _pairing_socket = daemon.listen(&request.token).await;
    let info = daemon.local().get(INFO).await.expect(200).json;
    assert_eq!(info["data"]["totalConnections"], 2);
    assert_eq!(info["data"]["averageConnectionsPerUser"], 1.0);
}
