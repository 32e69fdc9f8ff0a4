//! Pending commands and messages, which a new session receives right after its welcome. A session
//! whose connection breaks before it has received all of them gets them again when it recovers. See
//! docs/protocol.md#welcome and docs/protocol.md#connection-state-recovery.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::messages::post_message;
use crate::support::{Api, Daemon, EventStream, Socket, Tablet};

/// A daemon, an admin and a tablet for which two commands and a message are pending.
async fn start_with_pending_events() -> (Daemon, Api, Tablet) {
    let daemon = Daemon::with(&[("HEARTBEAT_SECONDS", "3600")]).await;
    let admin = daemon.local();
    let tablet = daemon.pair("Wall", &[]).await;
    for command in ["open", "close"] {
        let body = json!({ "type": command, "clientId": tablet.id });
        admin.post("/api/commands", body).await.expect(201);
    }
    let message = json!({ "to": { "clientId": tablet.id }, "body": "Dinner!" });
    post_message(&admin, message).await.expect(201);
    (daemon, admin, tablet)
}

/// Connects a Socket.IO session on `/`. Returns its socket, its `pid` and the `recovered` flag of
/// its welcome.
async fn connect(daemon: &Daemon, auth: Value) -> (Socket, Value, bool) {
    let path = "/socket.io/?EIO=4&transport=websocket";
    let mut socket = Socket::open(daemon, path, None).await.unwrap();
    assert!(socket.packet().await.unwrap().starts_with('0'));
    let packet = Message::text(format!("40{auth}"));
    socket.send_raw(packet).await;
    let packet = socket.packet().await.unwrap();
    let connected: Value = serde_json::from_str(packet.strip_prefix("40").unwrap()).unwrap();
    let welcome = next_event(&mut socket).await;
    assert_eq!(welcome[0], "connected");
    let recovered = welcome[1]["recovered"].as_bool().unwrap();
    (socket, connected["pid"].clone(), recovered)
}

async fn next_event(socket: &mut Socket) -> Value {
    let packet = socket.packet().await.unwrap();
    serde_json::from_str(packet.strip_prefix("42").expect("an event")).unwrap()
}

/// Reads the events that were sent before this call. Returns the type of each (of a command: the
/// type of command) and the offset of the last one.
async fn drain_events(socket: &mut Socket) -> (Vec<String>, Value) {
    let ping = Message::text(r#"42["ping",{}]"#);
    socket.send_raw(ping).await;
    let (mut received, mut offset) = (Vec::new(), Value::Null);
    loop {
        let event = next_event(socket).await;
        if event[0] == "pong" {
            return (received, offset);
        }
        let event_type = match event[0].as_str().unwrap() {
            "command" => event[1]["type"].as_str().unwrap(),
            other => other,
        };
        received.push(event_type.to_owned());
        offset = event[2].clone();
    }
}

const PENDING: [&str; 3] = ["open", "close", "new_message"];

#[tokio::test]
async fn recovery_repeats_pending_events_lost_during_welcome() {
    let (daemon, admin, tablet) = start_with_pending_events().await;
    let (mut socket, pid, recovered) = connect(&daemon, json!({ "token": tablet.token })).await;
    assert!(!recovered);
    // The connection breaks after the first of three pending events.
    let first = next_event(&mut socket).await;
    assert_eq!(first[1]["type"], "open");
    drop(socket);
    let later = json!({ "type": "later", "clientId": tablet.id });
    admin.post("/api/commands", later).await.expect(201);
    // Once like a stock client, with the offset of the last event it received; once without one.
    let mut offset = Value::Null;
    for before in [first[2].clone(), Value::Null] {
        let auth = json!({ "token": tablet.token, "pid": pid, "offset": before });
        let (mut socket, same, recovered) = connect(&daemon, auth).await;
        assert!(recovered);
        assert_eq!(same, pid);
        let (received, last) = drain_events(&mut socket).await;
        assert_eq!(received, [&PENDING[..], &["later"]].concat());
        offset = last;
    }
    // With the offset of the last event, nothing is sent again.
    let auth = json!({ "token": tablet.token, "pid": pid, "offset": offset });
    let (mut socket, _, recovered) = connect(&daemon, auth).await;
    assert!(recovered);
    assert!(drain_events(&mut socket).await.0.is_empty());
}

#[tokio::test]
async fn recovery_skips_pending_events_already_received() {
    let (daemon, admin, tablet) = start_with_pending_events().await;
    let (mut socket, pid, _) = connect(&daemon, json!({ "token": tablet.token })).await;
    let (received, offset) = drain_events(&mut socket).await;
    assert_eq!(received, PENDING);
    let stats = admin.get("/api/v1/websocket/stats").await.expect(200).json;
    assert_eq!(
        stats["data"]["messages_sent"], 5,
        "the welcome, three pending events and the pong"
    );
    drop(socket);
    let auth = json!({ "token": tablet.token, "pid": pid, "offset": offset });
    let (mut socket, _, recovered) = connect(&daemon, auth).await;
    assert!(recovered);
    assert!(drain_events(&mut socket).await.0.is_empty());
}

#[tokio::test]
async fn recovery_omits_commands_completed_meanwhile() {
    let (daemon, admin, tablet) = start_with_pending_events().await;
    let (_broken, pid, _) = connect(&daemon, json!({ "token": tablet.token })).await;
    let list = admin.get("/api/commands").await.expect(200).json;
    let (mut other, _, _) = connect(&daemon, json!({ "token": tablet.token })).await;
    let result =
        json!(["command_result", { "commandId": list["commands"][1]["id"], "success": true }]);
    other.send_raw(Message::text(format!("42{result}"))).await;
    drain_events(&mut other).await;
    let auth = json!({ "token": tablet.token, "pid": pid });
    let (mut socket, _, _) = connect(&daemon, auth).await;
    assert_eq!(drain_events(&mut socket).await.0, ["close", "new_message"]);
}

#[tokio::test]
async fn stream_position_is_set_by_last_pending_event() {
    let (daemon, _, tablet) = start_with_pending_events().await;
    let mut stream = EventStream::open(&daemon, &tablet.token).await;
    let welcome = stream.next().await;
    let position = format!(
        "{}:{}",
        welcome.data["epoch"].as_str().unwrap(),
        welcome.data["lastEventId"]
    );
    assert_eq!(welcome.id, None);
    for (event_type, id) in [
        ("command", None),
        ("command", None),
        ("new_message", Some(position)),
    ] {
        let event = stream.next().await;
        assert_eq!((event.event_type.as_str(), event.id), (event_type, id));
    }
}

#[tokio::test]
async fn ack_in_namespace_without_commands_delivers_none() {
    let (daemon, admin, tablet) = start_with_pending_events().await;
    let mut help = Socket::open(&daemon, "/ws/help", Some(&tablet.token))
        .await
        .unwrap();
    let newest = help.next_of("connection").await["data"]["lastEventId"].clone();
    let ack = json!({ "type": "ack", "data": { "id": newest }, "requestId": 1 });
    assert_eq!(help.ask(ack.clone()).await["data"]["success"], true);
    let statuses = async || {
        let list = admin.get("/api/commands").await.expect(200).json;
        [0, 1].map(|index| list["commands"][index]["status"].clone())
    };
    assert_eq!(statuses().await, ["pending", "pending"]);
    let mut events = Socket::open(&daemon, "/ws/events", Some(&tablet.token))
        .await
        .unwrap();
    for _ in 0..3 {
        events.next().await;
    }
    assert_eq!(events.ask(ack).await["data"]["success"], true);
    assert_eq!(statuses().await, ["delivered", "delivered"]);
}
