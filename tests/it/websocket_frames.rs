//! The JSON WebSocket dialect: paths, frames, results, errors, size limits and heartbeats
//! (docs/protocol.md#json-websocket).

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

use crate::support::{Daemon, Socket, assert_timestamp, keys};

const PATHS: [&str; 5] = ["/", "/ws", "/ws/lockers", "/ws/help", "/ws/events"];

#[track_caller]
fn assert_failure(data: &Value, code: &str) {
    assert_eq!(
        keys(data),
        ["code", "error", "message", "success", "timestamp"]
    );
    assert_eq!(data["success"], false);
    assert_eq!(data["code"], code);
    assert!(data["error"].is_string());
    assert_eq!(data["error"], data["message"]);
    assert_timestamp(&data["timestamp"]);
}

#[tokio::test]
async fn every_path_uses_the_same_frames() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    for path in PATHS {
        let mut socket = Socket::open(&daemon, path, Some(&tablet.token))
            .await
            .unwrap_or_else(|status| panic!("{path}: {status}"));
        assert_eq!(socket.next().await["type"], "connection", "{path}");

        let pong = socket.ask(json!({ "type": "ping", "data": {} })).await;
        assert_eq!(keys(&pong), ["data", "timestamp", "type"], "{path}");
        assert_eq!(pong["type"], "pong");
        assert_timestamp(&pong["timestamp"]);
        assert_eq!(keys(&pong["data"]), ["timestamp"]);
        assert_timestamp(&pong["data"]["timestamp"]);
    }
    assert!(
        matches!(
            Socket::open(&daemon, "/ws/rooms", Some(&tablet.token)).await,
            Err(404)
        ),
        "no other path accepts a WebSocket"
    );
}

#[tokio::test]
async fn only_durable_events_have_an_id() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let mut socket = daemon.listen(&tablet.token).await;

    let path = format!("/api/areas/{area}");
    admin
        .put(&path, json!({ "name": "Pantry" }))
        .await
        .expect(200);
    let event = socket.next().await;
    assert_eq!(keys(&event), ["data", "id", "timestamp", "type"]);
    assert!(event["id"].is_i64() && event["data"].is_object());
    assert_timestamp(&event["timestamp"]);
}

#[tokio::test]
async fn permessage_deflate_is_not_negotiated() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let bearer = format!("Bearer {}", tablet.token);
    let headers = [
        ("authorization", bearer.as_str()),
        ("sec-websocket-extensions", "permessage-deflate"),
    ];
    let socket = Socket::open_with(&daemon, "/ws", &headers).await;
    let upgrade_headers = socket.expect("the socket opens").upgrade_headers;
    assert!(!upgrade_headers.contains_key("sec-websocket-extensions"));
}

#[tokio::test]
async fn request_gets_a_result_with_its_request_id() {
    let daemon = Daemon::start().await;
    let mut socket = daemon.listen(&daemon.pair("Wall", &[]).await.token).await;
    for id in [json!("a text"), json!(7), json!(-1.5), json!("")] {
        socket
            .send(json!({ "type": "ping", "requestId": id.clone() }))
            .await;
        let result = socket.next_of("result").await;
        assert_eq!(keys(&result), ["data", "requestId", "timestamp", "type"]);
        assert_eq!(result["requestId"], id);
        assert_eq!(result["data"]["success"], true);
        assert_timestamp(&result["timestamp"]);
    }
}

#[tokio::test]
async fn failed_request_gets_a_result_and_keeps_the_socket() {
    let daemon = Daemon::start().await;
    let mut socket = daemon.listen(&daemon.pair("Wall", &[]).await.token).await;
    let failures = [
        (json!({ "type": "fly", "requestId": 1 }), "unknown_type"),
        (
            json!({ "type": "ping", "requestId": 1, "data": 7 }),
            "invalid_message",
        ),
    ];
    for (message, code) in failures {
        let result = socket.ask(message.clone()).await;
        assert_eq!(result["type"], "result", "{message}");
        assert_eq!(result["requestId"], 1);
        assert_failure(&result["data"], code);
    }
    socket.assert_nothing_received().await;
}

#[tokio::test]
async fn unreadable_message_gets_an_error_and_keeps_the_socket() {
    let daemon = Daemon::with(&[("MESSAGES_PER_SECOND", "1000")]).await;
    let mut socket = daemon.listen(&daemon.pair("Wall", &[]).await.token).await;
    let long_id = "x".repeat(200);
    let unreadable = [
        ("ping".to_owned(), "invalid_message"),
        (String::new(), "invalid_message"),
        ("[]".to_owned(), "invalid_message"),
        ("\"ping\"".to_owned(), "invalid_message"),
        (r#"{"type":"ping"}{}"#.to_owned(), "invalid_message"),
        (r#"{"data":{}}"#.to_owned(), "invalid_message"),
        (r#"{"type":7}"#.to_owned(), "invalid_message"),
        (
            r#"{"type":"ping","data":[1]}"#.to_owned(),
            "invalid_message",
        ),
        (
            r#"{"type":"ping","requestId":{}}"#.to_owned(),
            "invalid_message",
        ),
        (
            format!(r#"{{"type":"ping","requestId":"{long_id}"}}"#),
            "invalid_message",
        ),
        (r#"{"type":"fly"}"#.to_owned(), "unknown_type"),
        (r#"{"type":"connection"}"#.to_owned(), "unknown_type"),
    ];
    for (text, code) in unreadable {
        socket.send_raw(Message::text(text.clone())).await;
        let error = socket.next().await;
        assert_eq!(error["type"], "error", "{text}");
        assert_eq!(keys(&error), ["data", "timestamp", "type"]);
        assert_failure(&error["data"], code);
    }
    socket.assert_nothing_received().await;
}

#[tokio::test]
async fn data_keys_are_accepted_at_top_level_in_both_cases() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let (token, id) = (&tablet.token, &tablet.id);
    let messages = [
        json!({ "type": "authenticate", "data": { "token": token, "userId": id } }),
        json!({ "type": "authenticate", "token": token, "userId": id }),
        json!({ "type": "authenticate", "token": token, "data": { "user_id": id } }),
        json!({ "type": "authenticate", "token": token, "user_id": id, "data": null }),
    ];
    for message in messages {
        let mut socket = daemon.connect_unauthenticated().await;
        let answer = socket.ask(message.clone()).await;
        assert_eq!(answer["type"], "authenticated", "{message}");
    }
    let mut socket = daemon.connect_unauthenticated().await;
    let wrong = json!({ "type": "authenticate", "token": token, "user_id": "another" });
    assert_eq!(socket.ask(wrong).await["type"], "auth_error");
}

#[tokio::test]
async fn invalid_frames_close_with_rfc_6455_codes() {
    let daemon = Daemon::with(&[("MAX_MESSAGE_BYTES", "4096")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    let text = |length: usize| Message::text(" ".repeat(length));
    let invalid_utf8 = || {
        let header = FrameHeader {
            opcode: OpCode::Data(Data::Text),
            mask: Some([1, 2, 3, 4]),
            ..FrameHeader::default()
        };
        Message::Frame(Frame::from_payload(header, vec![b'a', 0xff].into()))
    };
    let table = [
        (Message::binary(vec![1]), 1003, true),
        (Message::binary(vec![1]), 1003, false),
        (invalid_utf8(), 1007, true),
        (invalid_utf8(), 1007, false),
        (text(4097), 1009, true),
        (text(2049), 1009, false),
    ];
    for (frame, code, is_authenticated) in table {
        let mut socket = match is_authenticated {
            true => daemon.listen(&tablet.token).await,
            false => daemon.connect_unauthenticated().await,
        };
        socket.send_raw(frame.clone()).await;
        let (closed, _) = socket.closed().await;
        assert_eq!(closed, code, "authenticated: {is_authenticated}, {frame:?}");
    }
}

#[tokio::test]
async fn message_size_limit_depends_on_authentication() {
    let daemon = Daemon::with(&[("MAX_MESSAGE_BYTES", "4096")]).await;
    let ping = |length: usize| {
        let ping = r#"{"type":"ping"}"#;
        Message::text(format!("{ping}{}", " ".repeat(length - ping.len())))
    };
    let mut socket = daemon.connect_unauthenticated().await;
    socket.send_raw(ping(2048)).await;
    assert_eq!(socket.next().await["data"]["code"], "unauthenticated");

    // The larger limit applies as soon as the session is authenticated, also by message.
    socket
        .authenticate(&daemon.pair("Wall", &[]).await.token)
        .await;
    socket.next_of("connection").await;
    socket.send_raw(ping(4096)).await;
    assert_eq!(socket.next().await["type"], "pong");
}

#[tokio::test]
async fn peer_close_frame_is_echoed() {
    let daemon = Daemon::start().await;
    let mut socket = daemon.listen(&daemon.pair("Wall", &[]).await.token).await;
    socket.send_raw(Message::Close(None)).await;
    socket.closed().await;
}

#[tokio::test]
async fn heartbeat_has_session_count_and_last_event_id() {
    let daemon = Daemon::with(&[("HEARTBEAT_SECONDS", "1")]).await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let mut sockets = Vec::new();
    for path in PATHS {
        let socket = Socket::open(&daemon, path, Some(&tablet.token)).await;
        sockets.push(socket.expect("the socket opens"));
    }
    let unauthenticated = daemon.connect_unauthenticated().await;
    for socket in &mut sockets {
        socket.next_of("connection").await;
    }
    let path = format!("/api/areas/{area}");
    admin
        .put(&path, json!({ "name": "Pantry" }))
        .await
        .expect(200);
    let last = sockets[0].next_of("area_updated").await["id"].clone();

    for socket in &mut sockets {
        let heartbeat = loop {
            // A heartbeat that was queued before the event still has the previous id.
            let heartbeat = socket.next_of("heartbeat").await;
            if heartbeat["data"]["lastEventId"] == last {
                break heartbeat;
            }
        };
        assert_eq!(keys(&heartbeat), ["data", "timestamp", "type"]);
        assert_eq!(
            keys(&heartbeat["data"]),
            ["clients", "lastEventId", "timestamp"]
        );
        assert_eq!(heartbeat["data"]["clients"], PATHS.len());
        assert_timestamp(&heartbeat["data"]["timestamp"]);
    }
    drop(unauthenticated);
}
