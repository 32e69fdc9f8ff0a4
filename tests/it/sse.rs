//! Server-sent events (contract 4.3): how a stream is opened, what it tells, and how it ends.

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

/// Asserts that the stream ends in order after exactly this `error`, and before it these events.
async fn assert_end(events: &mut EventStream, before: &[&str], code: &str) {
    let (told, in_order) = events.rest().await;
    assert!(in_order, "{told:?}");
    let kinds: Vec<_> = told.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(kinds, [before, &["error"]].concat());
    let error = &told.last().unwrap().data;
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
async fn the_first_words_are_those_of_a_json_websocket() {
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

    let words = events.next().await;
    assert_eq!(words.event_type, "connection");
    let position = format!(
        "{}:{}",
        words.data["epoch"].as_str().unwrap(),
        words.number()
    );
    assert_eq!(words.id, Some(position));
    assert_eq!(words.data["lastEventId"], words.number());
    assert_eq!(keys(&words.data), WELCOME_KEYS);
    assert_eq!(words.data["clientId"], tablet.id);
    assert_eq!(words.data["assignedAreas"][0]["id"], area);
    assert_timestamp(&words.data["timestamp"]);
}

#[tokio::test]
async fn a_durable_event_has_its_position_as_id_and_its_data_as_on_a_websocket() {
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
        let (told, same) = (events.next().await, socket.next().await);
        assert_eq!(told.event_type, same["type"]);
        assert_eq!(told.data, same["data"]);
        let position = format!("{}:{}", epoch.as_str().unwrap(), same["id"]);
        assert_eq!(told.id, Some(position));
    }
}

#[tokio::test]
async fn a_stream_goes_on_from_the_last_id_that_it_was_told() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let bearer = format!("Bearer {}", tablet.token);
    let after = async |daemon: &Daemon, id: &str| {
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
    let mut events = after(&daemon, &id).await;
    let words = events.next().await;
    assert_eq!(
        (words.id, &words.data["recovered"]),
        (Some(id), &json!(true))
    );
    let told = events.next().await;
    assert_eq!(
        (told.event_type.as_str(), &told.data["name"]),
        ("area_updated", &json!("A"))
    );

    let bare = told.number().to_string();
    let mut events = after(&daemon, &bare).await;
    assert_eq!(events.next().await.data["recovered"], true);
    assert_eq!(events.next().await.data["name"], "B");

    let mut events = after(&daemon, "another:1").await;
    assert_eq!(events.next().await.data["recovered"], false);
    assert_eq!(events.next().await.event_type, "resync_required");
}

#[tokio::test]
async fn a_heartbeat_moves_the_position_too() {
    let daemon = Daemon::with(&[("HEARTBEAT_SECONDS", "1")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    let mut events = EventStream::listen(&daemon, &tablet.token).await;
    let beat = events.next_of("heartbeat").await;
    assert_eq!(beat.data["lastEventId"], beat.number());
}

#[tokio::test]
async fn without_a_good_token_there_is_no_stream_but_401() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let accept = ("accept", "text/event-stream");
    let ask = |api: Api| async move { api.send_text("GET", "/api/events", &[accept], "").await };
    assert_eq!(
        ask(daemon.unauthenticated()).await.refused(401),
        "unauthenticated"
    );
    let forged = daemon.api(&format!("{}x", tablet.token));
    assert_eq!(ask(forged).await.refused(401), "invalid_token");
    let in_url = format!("/api/events?token={}", tablet.token);
    assert!(matches!(
        EventStream::open_with(&daemon, &in_url, &[]).await,
        Err(401)
    ));
    revoke(&daemon.admin().await, &tablet).await;
    assert_eq!(ask(daemon.api(&tablet.token)).await.refused(401), "revoked");
}

#[tokio::test]
async fn a_session_id_opens_a_stream_by_cookie_bearer_and_query_and_a_cookie_from_own_pages_alone()
{
    let mut daemon = Daemon::with(&[("CORS_ORIGINS", "https://panel.example")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    let api = daemon.api(&tablet.token);
    let session = api.post("/api/auth/session", json!({})).await.expect(200);
    let id = session.json["sessionId"].as_str().unwrap().to_owned();
    let (cookie, bearer) = (format!("sessionId={id}"), format!("Bearer {id}"));
    let query = format!("/api/events?sessionId={id}");
    let ways: [(&str, &[(&str, &str)]); 4] = [
        ("/api/events", &[("cookie", &cookie)]),
        ("/api/events", &[("authorization", &bearer)]),
        (&query, &[]),
        (
            "/api/events",
            &[("cookie", &cookie), ("origin", "https://panel.example")],
        ),
    ];
    for (path, headers) in ways {
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
    assert!(!daemon.log().contains(&id), "never logged");
}

#[tokio::test]
async fn a_waiting_tablet_may_wait_on_a_stream() {
    let daemon = Daemon::start().await;
    let asked = daemon
        .unauthenticated()
        .post("/api/pairing/requests", json!({}))
        .await
        .expect(201)
        .json;
    let token = asked["pairingToken"].as_str().unwrap();
    let mut events = EventStream::listen(&daemon, token).await;
    let path = format!(
        "/api/pairing/requests/{}/approve",
        asked["pairingId"].as_str().unwrap()
    );
    daemon.local().post(&path, json!({})).await.expect(200);
    let told = events.next_of("pairing_completed").await;
    EventStream::listen(&daemon, told.data["token"].as_str().unwrap()).await;
}

#[tokio::test]
async fn the_command_lines_socket_and_ingress_have_streams_as_well() {
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
async fn head_opens_nothing_and_other_types_are_no_stream() {
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
async fn a_stream_is_a_session_with_presence_that_ends_with_its_connection() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let path = format!("/api/clients/{}", tablet.id);
    let online = async || daemon.local().get(&path).await.json["isOnline"].clone();
    let events = EventStream::listen(&daemon, &tablet.token).await;
    assert_eq!(online().await, true);
    drop(events);
    until("the session's end", async || {
        (online().await == false).then_some(())
    })
    .await;
}

#[tokio::test]
async fn streams_count_as_sockets_do() {
    let daemon = Daemon::with(&[("MAX_CONNECTIONS", "2"), ("CONNECTIONS_PER_MINUTE", "1")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    let bearer = format!("Bearer {}", tablet.token);
    let headers = [("authorization", bearer.as_str())];
    let first = EventStream::listen(&daemon, &tablet.token).await;
    let _second = daemon.listen(&tablet.token).await;
    let refused = EventStream::open_with(&daemon, "/api/events", &headers).await;
    assert_eq!(refused.err(), Some(503));
    drop(first);
    let _third = until("a place", async || {
        EventStream::open_with(&daemon, "/api/events", &headers)
            .await
            .ok()
    })
    .await;
    let stranger = async || {
        EventStream::open_with(&daemon, "/api/events", &[])
            .await
            .err()
    };
    assert_ne!(stranger().await, Some(429));
    assert_eq!(stranger().await, Some(429), "one a minute without a token");
}

#[tokio::test]
async fn a_revoked_client_hears_why_and_then_the_end() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let mut events = EventStream::listen(&daemon, &tablet.token).await;
    revoke(&daemon.admin().await, &tablet).await;
    assert_end(&mut events, &["token_revoked"], "revoked").await;
    assert_eq!(events.retry, None);
}

#[tokio::test]
async fn every_other_end_says_its_word() {
    let daemon = Daemon::with(&[("MAX_SESSIONS_PER_CLIENT", "1")]).await;
    let admin = daemon.admin().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let path = format!("/api/clients/{}", tablet.id);
    let mut oldest = EventStream::listen(&daemon, &tablet.token).await;
    let mut events = EventStream::listen(&daemon, &tablet.token).await;
    assert_end(&mut oldest, &[], "superseded").await;
    assert!(oldest.retry.is_some_and(|ms| ms >= 60_000), "held off");

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
async fn a_daemon_that_stops_tells_what_waits_when_to_come_back_and_ends_the_stream() {
    let mut daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let mut events = EventStream::listen(&daemon, &tablet.token).await;
    for n in 0..5 {
        rename(&admin, &area, &format!("Kitchen {n}")).await;
    }
    let end = async {
        let (told, in_order) = events.rest().await;
        assert!(in_order, "{told:?}");
        told
    };
    let (status, told) = soon("the stop", async { tokio::join!(daemon.stop(), end) }).await;
    assert!(status.success());
    let kinds: Vec<_> = told.iter().map(|event| event.event_type.as_str()).collect();
    let expected = [vec!["area_updated"; 5], vec!["server_shutdown", "error"]].concat();
    assert_eq!(kinds, expected);
    assert_eq!(told[6].data["code"], "server_shutdown");
    let after = told[5].data["reconnectAfterMs"].as_u64();
    assert!(after.is_some() && events.retry == after);
}

/// Makes an area whose every event is about 60 KB.
async fn create_wide_area(admin: &Api, entities: usize) -> String {
    let entities: Vec<_> = (0..entities).map(|n| format!("light.{n:0>110}")).collect();
    let body = json!({ "name": "Hall", "entityIds": entities });
    let area = admin.post("/api/areas", body).await.expect(201).json;
    area["id"].as_str().unwrap().to_owned()
}

/// Changes that are more than the kernel keeps for a connection.
const MANY: usize = 110;

#[tokio::test]
async fn what_waited_for_a_stream_that_is_not_read_is_dropped_by_its_revoke() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = create_wide_area(&admin, 200).await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let mut stuck = EventStream::open_with_small_buffer(&daemon, &tablet.token).await;
    for n in 0..MANY {
        rename(&admin, &area, &format!("Hall {n}")).await;
    }
    revoke(&admin, &tablet).await;
    rename(&admin, &area, "Hall again").await;
    // An event was stuck half-way: only the connection's end keeps back the rest of it, and of those
    // that were queued behind it.
    let (told, in_order) = stuck.rest().await;
    assert!(!in_order, "it was cut");
    let ids: Vec<_> = told[1..].iter().map(|event| event.number()).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    assert!(!ids.is_empty() && ids.len() < MANY, "{} came", ids.len());
}

#[tokio::test]
async fn a_stream_under_a_flood_hears_nothing_after_its_revoke_but_token_revoked() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let watcher = daemon.token(json!({ "role": "admin", "name": "w" })).await;
    let mut watcher = EventStream::listen(&daemon, watcher["token"].as_str().unwrap()).await;
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
    let revoked = watcher.next_of("client_revoked").await.number();
    for writer in writers {
        writer.await.unwrap();
    }
    let (told, in_order) = events.rest().await;
    assert!(in_order);
    let [before @ .., words, error] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!(words.event_type, "token_revoked");
    assert_eq!(error.data["code"], "revoked");
    assert!(
        before
            .iter()
            .all(|event| event.event_type == "area_updated")
    );
    assert!(before.iter().all(|event| event.number() < revoked));
}

#[tokio::test]
async fn a_stream_that_was_slow_gets_everything_once_and_in_order() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = create_wide_area(&admin, 500).await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let mut slow = EventStream::open_with_small_buffer(&daemon, &tablet.token).await;
    let mut told = Vec::new();
    for n in 0..MANY {
        rename(&admin, &area, &format!("Hall {n}")).await;
        // However long all of this takes, it is slow and not stuck.
        if n % 10 == 9 {
            told.push(slow.next_of("area_updated").await);
        }
    }
    while told.len() < MANY {
        told.push(slow.next_of("area_updated").await);
    }
    let mut last = 0;
    for (n, told) in told.iter().enumerate() {
        assert_eq!(told.data["name"], format!("Hall {n}"));
        assert!(told.number() > last);
        last = told.number();
    }
    rename(&admin, &area, "Hall again").await;
    let told = slow.next().await;
    assert_eq!(told.data["name"], "Hall again", "live again");
}

#[tokio::test]
async fn a_stream_that_takes_nothing_for_ten_seconds_is_closed_and_delays_nobody() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = create_wide_area(&admin, 500).await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let other = daemon.pair("Other", &[&area]).await;
    let _stuck = EventStream::open_with_small_buffer(&daemon, &tablet.token).await;
    let mut events = EventStream::listen(&daemon, &other.token).await;
    for n in 0..MANY {
        rename(&admin, &area, &format!("Hall {n}")).await;
        let told = events.next().await;
        assert_eq!(told.data["name"], format!("Hall {n}"));
    }
    let path = format!("/api/clients/{}", tablet.id);
    until("the stalled stream's end", async || {
        let client = admin.get(&path).await.expect(200).json;
        (client["sessions"] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn earlier_answers_on_the_connection_come_whole_before_the_stream() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let mut stream = crate::support::tls_stream(daemon.https, daemon.tls.clone()).await;
    let head = |path: &str, version: &str| {
        format!(
            "GET {path} HTTP/{version}\r\nHost: localhost\r\nAccept: text/event-stream\r\n\
             Authorization: Bearer {}\r\n\r\n",
            tablet.token
        )
    };
    let pipelined = head("/api/me", "1.1").repeat(3) + &head("/api/events", "1.1");
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

    // HTTP/1.0, as some proxies speak, knows no chunks: the bytes are the events.
    let mut stream = crate::support::tls_stream(daemon.https, daemon.tls.clone()).await;
    let ask = head("/api/events", "1.0");
    stream.write_all(ask.as_bytes()).await.unwrap();
    revoke(
        &daemon.admin().await,
        &Tablet {
            id: tablet.id.clone(),
            token: tablet.token.clone(),
        },
    )
    .await;
    let mut text = String::new();
    soon("the end", stream.read_to_string(&mut text))
        .await
        .unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    assert!(body.is_empty() || body.starts_with("id: "), "{body}");
}
