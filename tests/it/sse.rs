//! Server-sent events: opening a stream, its events and positions, limits, and how a stream ends.
//! See docs/protocol.md#server-sent-events.

use serde_json::{Value, json};

use crate::handshake::WELCOME_KEYS;
use crate::support::{Api, Daemon, EventStream, Tablet, assert_timestamp, keys, soon, until};

async fn rename(admin: &Api, area: &str, name: &str) {
    let path = format!("/api/areas/{area}");
    let body = json!({ "name": name });
    admin.put(&path, body).await.expect(200);
}

async fn revoke(admin: &Api, tablet: &Tablet) {
    let path = format!("/api/clients/{}/revoke", tablet.id);
    admin.post(&path, json!({})).await.expect(200);
}

/// Asserts that the stream delivers exactly these events and an `error` with this code, and that
/// its response body then ends properly.
async fn assert_end(events: &mut EventStream, before: &[&str], code: &str) {
    let (rest, ended_cleanly) = events.rest().await;
    assert!(ended_cleanly, "{rest:?}");
    let event_types: Vec<_> = rest.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(event_types, [before, &["error"]].concat());
    let error = &rest.last().unwrap().data;
    assert_eq!(
        keys(error),
        ["code", "error", "message", "success", "timestamp"]
    );
    assert_eq!(
        (&error["code"], &error["success"]),
        (&json!(code), &json!(false))
    );
}

#[tokio::test]
async fn stream_welcome_matches_json_websocket() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let mut events = EventStream::open(&daemon, &tablet.token).await;
    let header = |name: &str| events.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/event-stream");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("x-accel-buffering"), "no");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(header("date").ends_with(" GMT"));

    let welcome = events.next().await;
    assert_eq!(welcome.event_type, "connection");
    let position = format!(
        "{}:{}",
        welcome.data["epoch"].as_str().unwrap(),
        welcome.number()
    );
    assert_eq!(welcome.id, Some(position));
    assert_eq!(welcome.data["lastEventId"], welcome.number());
    assert_eq!(keys(&welcome.data), WELCOME_KEYS);
    assert_eq!(welcome.data["clientId"], tablet.id);
    assert_eq!(welcome.data["assignedAreas"][0]["id"], area);
    assert_timestamp(&welcome.data["timestamp"]);
}

#[tokio::test]
async fn durable_event_carries_position_and_websocket_data() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let mut socket = daemon.listen(&tablet.token).await;
    let mut events = EventStream::open(&daemon, &tablet.token).await;
    let epoch = events.next().await.data["epoch"].clone();
    for name in ["Küche", "Bad\nund WC", "Hall"] {
        let path = format!("/api/areas/{area}");
        admin.put(&path, json!({ "name": name })).await;
    }
    for _ in 0..2 {
        let (event, on_socket) = (events.next().await, socket.next().await);
        assert_eq!(event.event_type, on_socket["type"]);
        assert_eq!(event.data, on_socket["data"]);
        let position = format!("{}:{}", epoch.as_str().unwrap(), on_socket["id"]);
        assert_eq!(event.id, Some(position));
    }
}

#[tokio::test]
async fn last_event_id_resumes_stream() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let bearer = format!("Bearer {}", tablet.token);
    let resume_after = async |daemon: &Daemon, id: &str| {
        let headers = [("authorization", bearer.as_str()), ("last-event-id", id)];
        EventStream::open_with(daemon, "/api/events", &headers)
            .await
            .unwrap()
    };
    let first = EventStream::open(&daemon, &tablet.token).await.next().await;
    let id = first.id.clone().unwrap();
    for name in ["A", "B"] {
        rename(&admin, &area, name).await;
    }
    let daemon = daemon.kill_and_restart().await;
    let mut events = resume_after(&daemon, &id).await;
    let welcome = events.next().await;
    assert_eq!(
        (welcome.id, &welcome.data["recovered"]),
        (Some(id), &json!(true))
    );
    let event = events.next().await;
    assert_eq!(
        (event.event_type.as_str(), &event.data["name"]),
        ("area_updated", &json!("A"))
    );

    let id_without_epoch = event.number().to_string();
    let mut events = resume_after(&daemon, &id_without_epoch).await;
    assert_eq!(events.next().await.data["recovered"], true);
    assert_eq!(events.next().await.data["name"], "B");

    let mut events = resume_after(&daemon, "another:1").await;
    assert_eq!(events.next().await.data["recovered"], false);
    assert_eq!(events.next().await.event_type, "resync_required");
}

#[tokio::test]
async fn heartbeat_advances_position() {
    let daemon = Daemon::with(&[("HEARTBEAT_SECONDS", "1")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    let mut events = EventStream::listen(&daemon, &tablet.token).await;
    let heartbeat = events.next_of("heartbeat").await;
    assert_eq!(heartbeat.data["lastEventId"], heartbeat.number());
}

#[tokio::test]
async fn stream_without_valid_token_gets_401() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let accept = ("accept", "text/event-stream");
    let get_stream =
        |api: Api| async move { api.send_text("GET", "/api/events", &[accept], "").await };
    assert_eq!(
        get_stream(daemon.unauthenticated()).await.refused(401),
        "unauthenticated"
    );
    let forged = daemon.api(&format!("{}x", tablet.token));
    assert_eq!(get_stream(forged).await.refused(401), "invalid_token");
    let in_url = format!("/api/events?token={}", tablet.token);
    assert!(matches!(
        EventStream::open_with(&daemon, &in_url, &[]).await,
        Err(401)
    ));
    revoke(&daemon.admin().await, &tablet).await;
    assert_eq!(
        get_stream(daemon.api(&tablet.token)).await.refused(401),
        "revoked"
    );
}

#[tokio::test]
async fn session_id_opens_stream_in_cookie_bearer_and_query() {
    let mut daemon = Daemon::with(&[("CORS_ORIGINS", "https://panel.example")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    let api = daemon.api(&tablet.token);
    let session = api.post("/api/auth/session", json!({})).await.expect(200);
    let id = session.json["sessionId"].as_str().unwrap().to_owned();
    let (cookie, bearer) = (format!("sessionId={id}"), format!("Bearer {id}"));
    let query = format!("/api/events?sessionId={id}");
    let cases: [(&str, &[(&str, &str)]); 4] = [
        ("/api/events", &[("cookie", &cookie)]),
        ("/api/events", &[("authorization", &bearer)]),
        (&query, &[]),
        (
            "/api/events",
            &[("cookie", &cookie), ("origin", "https://panel.example")],
        ),
    ];
    for (path, headers) in cases {
        let opened = EventStream::open_with(&daemon, path, headers).await;
        let mut events = opened.expect("the stream opens");
        assert_eq!(events.next().await.data["clientId"], tablet.id);
        let allowed = events.headers.get("access-control-allow-origin");
        assert_eq!(allowed.is_some(), headers.len() == 2);
    }
    let foreign = [
        ("cookie", cookie.as_str()),
        ("origin", "https://evil.example"),
    ];
    let refused = EventStream::open_with(&daemon, "/api/events", &foreign).await;
    assert_eq!(refused.err(), Some(403));
    daemon.stop().await;
    assert!(
        !daemon.log().contains(&id),
        "the session id is never logged"
    );
}

#[tokio::test]
async fn pairing_token_opens_stream_for_its_result() {
    let daemon = Daemon::start().await;
    let request = daemon
        .unauthenticated()
        .post("/api/pairing/requests", json!({}))
        .await
        .expect(201)
        .json;
    let token = request["pairingToken"].as_str().unwrap();
    let mut events = EventStream::listen(&daemon, token).await;
    let path = format!(
        "/api/pairing/requests/{}/approve",
        request["pairingId"].as_str().unwrap()
    );
    daemon.local().post(&path, json!({})).await.expect(200);
    let event = events.next_of("pairing_completed").await;
    EventStream::listen(&daemon, event.data["token"].as_str().unwrap()).await;
}

#[tokio::test]
async fn cli_socket_and_ingress_offer_streams() {
    let daemon = Daemon::with(&[
        ("INGRESS_LISTEN", "127.0.0.1:0"),
        ("INGRESS_FROM", "127.0.0.1"),
        ("INGRESS_VERIFY_ADMIN", "false"),
    ])
    .await;
    let accept = [("accept", "text/event-stream")];
    for api in [daemon.local(), Api::plain(daemon.ingress.unwrap())] {
        let answer = api.send_text("HEAD", "/api/events", &accept, "").await;
        let answer = answer.expect(200);
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    }
}

#[tokio::test]
async fn head_or_other_accept_type_opens_no_stream() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let api = daemon.api(&tablet.token);
    let accept = [("accept", "text/html, Text/Event-Stream;q=0.9")];
    let head = api.send_text("HEAD", "/api/events", &accept, "").await;
    let head = head.expect(200);
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    let path = format!("/api/clients/{}", tablet.id);
    let client = daemon.local().get(&path).await.expect(200).json;
    assert_eq!(
        (&client["isOnline"], &client["sessions"]),
        (&json!(false), &json!(0))
    );
    for (method, accept) in [("GET", "*/*"), ("POST", "text/event-stream")] {
        let answer = api
            .send_text(method, "/api/events", &[("accept", accept)], "")
            .await;
        assert_ne!(answer.header("content-type"), Some("text/event-stream"));
    }
}

#[tokio::test]
async fn stream_presence_ends_with_its_connection() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let path = format!("/api/clients/{}", tablet.id);
    let online = async || daemon.local().get(&path).await.json["isOnline"].clone();
    let events = EventStream::listen(&daemon, &tablet.token).await;
    assert_eq!(online().await, true);
    drop(events);
    until("the session to end", async || {
        (online().await == false).then_some(())
    })
    .await;
}

#[tokio::test]
async fn streams_count_toward_socket_limits() {
    let daemon = Daemon::with(&[("MAX_CONNECTIONS", "2"), ("CONNECTIONS_PER_MINUTE", "1")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    let bearer = format!("Bearer {}", tablet.token);
    let headers = [("authorization", bearer.as_str())];
    let first = EventStream::listen(&daemon, &tablet.token).await;
    let _second = daemon.listen(&tablet.token).await;
    let refused = EventStream::open_with(&daemon, "/api/events", &headers).await;
    assert_eq!(refused.err(), Some(503));
    drop(first);
    let _third = until("a free connection slot", async || {
        EventStream::open_with(&daemon, "/api/events", &headers)
            .await
            .ok()
    })
    .await;
    let open_unauthenticated = async || {
        EventStream::open_with(&daemon, "/api/events", &[])
            .await
            .err()
    };
    assert_ne!(open_unauthenticated().await, Some(429));
    assert_eq!(
        open_unauthenticated().await,
        Some(429),
        "one per minute without a token"
    );
}

#[tokio::test]
async fn revocation_sends_token_revoked_then_ends_stream() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let mut events = EventStream::listen(&daemon, &tablet.token).await;
    revoke(&daemon.admin().await, &tablet).await;
    assert_end(&mut events, &["token_revoked"], "revoked").await;
    assert_eq!(events.retry, None);
}

#[tokio::test]
async fn stream_ends_with_error_code_of_its_close_reason() {
    let daemon = Daemon::with(&[("MAX_SESSIONS_PER_CLIENT", "1")]).await;
    let admin = daemon.admin().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let path = format!("/api/clients/{}", tablet.id);
    let mut oldest = EventStream::listen(&daemon, &tablet.token).await;
    let mut events = EventStream::listen(&daemon, &tablet.token).await;
    assert_end(&mut oldest, &[], "superseded").await;
    assert!(
        oldest.retry.is_some_and(|ms| ms >= 60_000),
        "a superseded client must not reconnect at once"
    );

    let disconnect = format!("{path}/disconnect");
    admin.post(&disconnect, json!({})).await.expect(200);
    assert_end(&mut events, &[], "try_again").await;

    let mut events = EventStream::listen(&daemon, &tablet.token).await;
    let body = json!({ "isActive": false });
    admin.patch(&path, body).await.expect(200);
    assert_end(&mut events, &[], "inactive").await;

    let short = json!({ "role": "user", "name": "short", "ttlSeconds": 3 });
    let short = daemon.token(short).await;
    let mut events = EventStream::listen(&daemon, short["token"].as_str().unwrap()).await;
    assert_end(&mut events, &[], "unauthenticated").await;
}

#[tokio::test]
async fn shutdown_flushes_queue_and_sends_reconnect_delay() {
    let mut daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let mut events = EventStream::listen(&daemon, &tablet.token).await;
    for n in 0..5 {
        rename(&admin, &area, &format!("Kitchen {n}")).await;
    }
    let read_rest = async {
        let (rest, ended_cleanly) = events.rest().await;
        assert!(ended_cleanly, "{rest:?}");
        rest
    };
    let (status, rest) = soon("the daemon to stop", async {
        tokio::join!(daemon.stop(), read_rest)
    })
    .await;
    assert!(status.success());
    let event_types: Vec<_> = rest.iter().map(|event| event.event_type.as_str()).collect();
    let expected = [vec!["area_updated"; 5], vec!["server_shutdown", "error"]].concat();
    assert_eq!(event_types, expected);
    assert_eq!(rest[6].data["code"], "server_shutdown");
    let delay = rest[5].data["reconnectAfterMs"].as_u64();
    assert!(delay.is_some() && events.retry == delay);
}

/// Creates an area with this many entities of about 120 bytes each: with 500 of them, an event of
/// the area takes about 60 KB.
async fn create_wide_area(admin: &Api, entities: usize) -> String {
    let entities: Vec<_> = (0..entities).map(|n| format!("light.{n:0>110}")).collect();
    let body = json!({ "name": "Hall", "entityIds": entities });
    let area = admin.post("/api/areas", body).await.expect(201).json;
    area["id"].as_str().unwrap().to_owned()
}

/// More changes of a wide area than the kernel buffers for one connection.
const MANY: usize = 110;

#[tokio::test]
async fn revocation_discards_events_queued_for_unread_stream() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = create_wide_area(&admin, 200).await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let mut unread = EventStream::open_with_small_buffer(&daemon, &tablet.token).await;
    for n in 0..MANY {
        rename(&admin, &area, &format!("Hall {n}")).await;
    }
    revoke(&admin, &tablet).await;
    rename(&admin, &area, "Hall again").await;
    // The revocation came while an event was partly written. The daemon cuts the connection, so
    // neither the rest of that event nor the events queued behind it are sent.
    let (received, ended_cleanly) = unread.rest().await;
    assert!(!ended_cleanly, "the connection is cut");
    let ids: Vec<_> = received[1..].iter().map(|event| event.number()).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    assert!(
        !ids.is_empty() && ids.len() < MANY,
        "{} received",
        ids.len()
    );
}

#[tokio::test]
async fn revocation_under_load_sends_no_later_events() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let admin_token = daemon.token(json!({ "role": "admin", "name": "w" })).await;
    let mut admin_events =
        EventStream::listen(&daemon, admin_token["token"].as_str().unwrap()).await;
    let mut events = EventStream::listen(&daemon, &tablet.token).await;
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (admin, area) = (admin.clone(), area.clone());
            tokio::spawn(async move {
                for n in 0..40 {
                    rename(&admin, &area, &format!("Kitchen {writer} {n}")).await;
                }
            })
        })
        .collect();
    for _ in 0..10 {
        events.next_of("area_updated").await;
    }
    revoke(&admin, &tablet).await;
    let revoked = admin_events.next_of("client_revoked").await.number();
    for writer in writers {
        writer.await.unwrap();
    }
    let (rest, ended_cleanly) = events.rest().await;
    assert!(ended_cleanly);
    let [before @ .., final_event, error] = rest.as_slice() else {
        panic!("{rest:?}")
    };
    assert_eq!(final_event.event_type, "token_revoked");
    assert_eq!(error.data["code"], "revoked");
    assert!(
        before
            .iter()
            .all(|event| event.event_type == "area_updated")
    );
    assert!(before.iter().all(|event| event.number() < revoked));
}

#[tokio::test]
async fn slow_stream_receives_all_events_once_in_order() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = create_wide_area(&admin, 500).await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let mut slow = EventStream::open_with_small_buffer(&daemon, &tablet.token).await;
    let mut received = Vec::new();
    for n in 0..MANY {
        rename(&admin, &area, &format!("Hall {n}")).await;
        // Reading now and then keeps the stream from being closed as stalled.
        if n % 10 == 9 {
            received.push(slow.next_of("area_updated").await);
        }
    }
    while received.len() < MANY {
        received.push(slow.next_of("area_updated").await);
    }
    let mut last = 0;
    for (n, event) in received.iter().enumerate() {
        assert_eq!(event.data["name"], format!("Hall {n}"));
        assert!(event.number() > last);
        last = event.number();
    }
    rename(&admin, &area, "Hall again").await;
    let event = slow.next().await;
    assert_eq!(event.data["name"], "Hall again", "the stream is live again");
}

#[tokio::test]
async fn stalled_stream_is_closed_without_delaying_others() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = create_wide_area(&admin, 500).await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let other = daemon.pair("Other", &[&area]).await;
    let _unread = EventStream::open_with_small_buffer(&daemon, &tablet.token).await;
    let mut events = EventStream::listen(&daemon, &other.token).await;
    for n in 0..MANY {
        rename(&admin, &area, &format!("Hall {n}")).await;
        let event = events.next().await;
        assert_eq!(event.data["name"], format!("Hall {n}"));
    }
    let path = format!("/api/clients/{}", tablet.id);
    until("the stalled stream to be closed", async || {
        let client = admin.get(&path).await.expect(200).json;
        (client["sessions"] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn pipelined_responses_complete_before_stream_starts() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let mut stream = crate::support::tls_stream(daemon.https, daemon.tls.clone()).await;
    let request_head = |path: &str, version: &str| {
        format!(
            "GET {path} HTTP/{version}\r\nHost: localhost\r\nAccept: text/event-stream\r\n\
             Authorization: Bearer {}\r\n\r\n",
            tablet.token
        )
    };
    let pipelined = request_head("/api/me", "1.1").repeat(3) + &request_head("/api/events", "1.1");
    stream.write_all(pipelined.as_bytes()).await.unwrap();
    let mut text = String::new();
    soon("the stream", async {
        while !text.contains("event: connection") {
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).await.unwrap();
            text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
    })
    .await;
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 4);
    assert_eq!(text.matches("\"jti\"").count(), 3);

    // HTTP/1.0, which some proxies speak, has no chunked encoding: the body is the bare events.
    let mut stream = crate::support::tls_stream(daemon.https, daemon.tls.clone()).await;
    let request = request_head("/api/events", "1.0");
    stream.write_all(request.as_bytes()).await.unwrap();
    revoke(
        &daemon.admin().await,
        &Tablet {
            id: tablet.id.clone(),
            token: tablet.token.clone(),
        },
    )
    .await;
    let mut text = String::new();
    soon("the end of the stream", stream.read_to_string(&mut text))
        .await
        .unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    assert!(body.is_empty() || body.starts_with("id: "), "{body}");
}
