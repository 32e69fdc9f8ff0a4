//! What waited for a session and was told with its first words is told again to whoever lost its
//! connection amid them, and to nobody else (contract 4.1 and 4.4).

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::messages::send;
use crate::support::{Api, Daemon, EventStream, Socket, Tablet};

/// A tablet for which two commands and a message wait.
async fn house() -> (Daemon, Api, Tablet) {
    let daemon = Daemon::with(&[("HEARTBEAT_SECONDS", "3600")]).await;
    let admin = daemon.local();
    let tablet = daemon.pair("Wall", &[]).await;
    for kind in ["open", "close"] {
        let order = json!({ "type": kind, "clientId": tablet.id });
        admin.post("/api/commands", order).await.expect(201);
    }
    let message = json!({ "to": { "clientId": tablet.id }, "body": "Dinner!" });
    send(&admin, message).await.expect(201);
    (daemon, admin, tablet)
}

/// A Socket.IO session by its packets; gives its `pid` and whether it says that it recovered.
async fn enter(daemon: &Daemon, auth: Value) -> (Socket, Value, bool) {
    let path = "/socket.io/?EIO=4&transport=websocket";
    let mut socket = Socket::open(daemon, path, None).await.unwrap();
    assert!(socket.packet().await.unwrap().starts_with('0'));
    let connect = Message::text(format!("40{auth}"));
    socket.send_raw(connect).await;
    let packet = socket.packet().await.unwrap();
    let connected: Value = serde_json::from_str(packet.strip_prefix("40").unwrap()).unwrap();
    let words = event(&mut socket).await;
    assert_eq!(words[0], "connected");
    let recovered = words[1]["recovered"].as_bool().unwrap();
    (socket, connected["pid"].clone(), recovered)
}

async fn event(socket: &mut Socket) -> Value {
    let packet = socket.packet().await.unwrap();
    serde_json::from_str(packet.strip_prefix("42").expect("an event")).unwrap()
}

/// Every event until now, and the offset of the last one.
async fn heard(socket: &mut Socket) -> (Vec<String>, Value) {
    let ping = Message::text(r#"42["ping",{}]"#);
    socket.send_raw(ping).await;
    let (mut heard, mut offset) = (Vec::new(), Value::Null);
    loop {
        let told = event(socket).await;
        if told[0] == "pong" {
            return (heard, offset);
        }
        let what = match told[0].as_str().unwrap() {
            "command" => told[1]["type"].as_str().unwrap(),
            other => other,
        };
        heard.push(what.to_owned());
        offset = told[2].clone();
    }
}

const ALL: [&str; 3] = ["open", "close", "new_message"];

#[tokio::test]
async fn a_session_that_died_amid_its_first_words_is_told_them_again_when_it_recovers() {
    let (daemon, admin, tablet) = house().await;
    let (mut socket, pid, recovered) = enter(&daemon, json!({ "token": tablet.token })).await;
    assert!(!recovered);
    // It dies after the first of three.
    let first = event(&mut socket).await;
    assert_eq!(first[1]["type"], "open");
    drop(socket);
    let later = json!({ "type": "later", "clientId": tablet.id });
    admin.post("/api/commands", later).await.expect(201);
    // By a stock client, which brings the offset it heard, and by one that heard nothing.
    let mut offset = Value::Null;
    for before in [first[2].clone(), Value::Null] {
        let auth = json!({ "token": tablet.token, "pid": pid, "offset": before });
        let (mut socket, same, recovered) = enter(&daemon, auth).await;
        assert!(recovered);
        assert_eq!(same, pid);
        let (told, last) = heard(&mut socket).await;
        assert_eq!(told, [&ALL[..], &["later"]].concat());
        offset = last;
    }
    // Whoever heard the last one heard them all.
    let auth = json!({ "token": tablet.token, "pid": pid, "offset": offset });
    let (mut socket, _, recovered) = enter(&daemon, auth).await;
    assert!(recovered);
    assert!(heard(&mut socket).await.0.is_empty());
}

#[tokio::test]
async fn a_session_that_heard_its_first_words_does_not_hear_them_again() {
    let (daemon, admin, tablet) = house().await;
    let (mut socket, pid, _) = enter(&daemon, json!({ "token": tablet.token })).await;
    let (told, offset) = heard(&mut socket).await;
    assert_eq!(told, ALL);
    let stats = admin.get("/api/v1/websocket/stats").await.expect(200).json;
    assert_eq!(
        stats["data"]["messages_sent"], 5,
        "the first words, what waited and the pong"
    );
    drop(socket);
    let auth = json!({ "token": tablet.token, "pid": pid, "offset": offset });
    let (mut socket, _, recovered) = enter(&daemon, auth).await;
    assert!(recovered);
    assert!(heard(&mut socket).await.0.is_empty());
}

#[tokio::test]
async fn what_is_done_meanwhile_is_not_told_again() {
    let (daemon, admin, tablet) = house().await;
    let (_dies, pid, _) = enter(&daemon, json!({ "token": tablet.token })).await;
    let list = admin.get("/api/commands").await.expect(200).json;
    let (mut other, _, _) = enter(&daemon, json!({ "token": tablet.token })).await;
    let done =
        json!(["command_result", { "commandId": list["commands"][1]["id"], "success": true }]);
    other.send_raw(Message::text(format!("42{done}"))).await;
    heard(&mut other).await;
    let auth = json!({ "token": tablet.token, "pid": pid });
    let (mut socket, _, _) = enter(&daemon, auth).await;
    assert_eq!(heard(&mut socket).await.0, ["close", "new_message"]);
}

#[tokio::test]
async fn a_stream_stands_where_it_began_only_with_the_last_of_its_first_words() {
    let (daemon, _, tablet) = house().await;
    let mut stream = EventStream::open(&daemon, &tablet.token).await;
    let words = stream.next().await;
    let base = format!(
        "{}:{}",
        words.data["epoch"].as_str().unwrap(),
        words.data["lastEventId"]
    );
    assert_eq!(words.id, None);
    for (kind, id) in [
        ("command", None),
        ("command", None),
        ("new_message", Some(base)),
    ] {
        let told = stream.next().await;
        assert_eq!((told.event_type.as_str(), told.id), (kind, id));
    }
}

#[tokio::test]
async fn an_ack_where_no_commands_are_heard_delivers_none() {
    let (daemon, admin, tablet) = house().await;
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
