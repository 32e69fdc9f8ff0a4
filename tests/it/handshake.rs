//! Authentication during the WebSocket handshake, and the welcome
//! (docs/protocol.md#socket-authentication, docs/protocol.md#welcome).

use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::support::{Daemon, Socket, assert_timestamp, keys, soon, tls_stream};

/// The keys of the welcome's data.
pub const WELCOME_KEYS: [&str; 12] = [
    "assignedAreas",
    "clientId",
    "client_id",
    "connectionId",
    "epoch",
    "lastEventId",
    "message",
    "recovered",
    "role",
    "status",
    "timestamp",
    "userId",
];

#[tokio::test]
async fn welcome_has_everything_a_tablet_needs_to_render() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = json!({ "name": "Kitchen", "entityIds": ["light.a", "switch.b"] });
    let area = admin.post("/api/areas", area).await.expect(201).json;
    admin.create_area("Bath").await;
    let tablet = daemon.pair("Wall", &[area["id"].as_str().unwrap()]).await;
    let own = daemon
        .api(&tablet.token)
        .get("/api/areas")
        .await
        .expect(200);

    let welcome = daemon.connect(&tablet.token).await.next().await;
    assert_eq!(welcome["type"], "connection");
    let data = &welcome["data"];
    assert_eq!(keys(data), WELCOME_KEYS);
    assert_eq!(data["status"], "connected");
    assert_eq!(data["clientId"], tablet.id);
    assert_eq!(data["client_id"], tablet.id);
    assert_eq!(data["userId"], tablet.id);
    assert_eq!(data["role"], "client");
    assert_eq!(data["recovered"], false);
    assert_eq!(data["assignedAreas"], own.json["areas"], "complete areas");
    assert_eq!(data["assignedAreas"][0]["entityIds"], area["entityIds"]);
    assert!(data["message"].is_string() && data["epoch"].is_string());
    assert!(data["lastEventId"].as_i64().is_some());
    assert_timestamp(&data["timestamp"]);

    let again = daemon.connect(&tablet.token).await.next().await;
    assert_ne!(again["data"]["connectionId"], data["connectionId"]);
    assert_eq!(again["data"]["epoch"], data["epoch"]);
}

#[tokio::test]
async fn last_event_id_of_welcome_precedes_the_next_event() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let mut socket = daemon.connect(&tablet.token).await;
    let last = socket.next().await["data"]["lastEventId"].as_i64().unwrap();
    let path = format!("/api/areas/{area}/toggle");
    admin.patch(&path, json!({})).await.expect(200);
    assert_eq!(socket.next().await["id"], last + 1);
}

#[tokio::test]
async fn admin_and_user_get_the_session_id_as_client_id() {
    let daemon = Daemon::start().await;
    for role in ["admin", "user"] {
        let token = daemon.token(json!({ "role": role, "name": "x" })).await;
        let mut socket = daemon.connect(token["token"].as_str().unwrap()).await;
        let data = &socket.next().await["data"];
        assert_eq!(keys(data), WELCOME_KEYS);
        assert_eq!(data["clientId"], data["connectionId"]);
        assert_eq!(data["client_id"], data["connectionId"]);
        assert_eq!(data["userId"], token["subject"]);
        assert_eq!(data["role"], role);
        assert_eq!(data["assignedAreas"], json!([]));
    }
}

#[tokio::test]
async fn invalid_token_in_the_handshake_returns_401() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let forged = format!("{}x", tablet.token);
    for bearer in [&forged, "no token at all", ""] {
        let bearer = format!("Bearer {bearer}");
        let answer = daemon
            .unauthenticated()
            .with_header("authorization", &bearer)
            .request_upgrade("/ws")
            .await;
        assert_eq!(answer.refused(401), "invalid_token", "{bearer}");
    }
    let basic = daemon
        .unauthenticated()
        .with_header("authorization", "Basic eDp5");
    basic.request_upgrade("/ws").await.refused(401);
}

#[tokio::test]
async fn valid_token_in_the_url_is_refused() {
    let mut daemon = Daemon::with(&[("LOG_LEVEL", "trace")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    let path = format!("/ws?token={}", tablet.token);
    daemon
        .unauthenticated()
        .request_upgrade(&path)
        .await
        .refused(401);
    daemon
        .api(&tablet.token)
        .request_upgrade(&path)
        .await
        .refused(401);
    daemon.stop().await;
    assert!(!daemon.log().contains(&tablet.token), "never logged");
}

#[tokio::test]
async fn session_id_is_accepted_from_query_header_cookie_and_message() {
    let mut daemon = Daemon::with(&[("LOG_LEVEL", "trace")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    let id = daemon.api(&tablet.token).open_session().await;
    let (cookie, query) = (format!("sessionId={id}"), format!("/ws?sessionId={id}"));

    let opened = [
        Socket::open(&daemon, &query, None).await,
        Socket::open(&daemon, "/ws", Some(&id)).await,
        Socket::open_with(&daemon, "/ws", &[("cookie", &cookie)]).await,
    ];
    for socket in opened {
        let welcome = socket.expect("the socket opens").next().await;
        assert_eq!(welcome["data"]["clientId"], tablet.id);
    }
    let mut socket = daemon.connect_unauthenticated().await;
    socket.authenticate(&id).await;
    assert_eq!(socket.next().await["data"]["userId"], tablet.id);

    assert!(matches!(
        Socket::open(&daemon, "/ws?sessionId=nonsense", None).await,
        Err(401)
    ));
    daemon.stop().await;
    assert!(!daemon.log().contains(&id), "never logged");
}

#[tokio::test]
async fn cookie_is_accepted_only_from_allowed_origins() {
    let daemon = Daemon::with(&[("CORS_ORIGINS", "https://panel.example")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    let id = daemon.api(&tablet.token).open_session().await;
    let cookie = format!("sessionId={id}");
    let own = format!("https://localhost:{}", daemon.https.port());
    let table = [
        (None, 101),
        (Some(("origin", own.as_str())), 101),
        (Some(("origin", "https://panel.example")), 101),
        (Some(("origin", "https://evil.example")), 403),
        (Some(("origin", "http://panel.example")), 403),
        (Some(("origin", "null")), 403),
        (Some(("sec-fetch-site", "same-origin")), 101),
        (Some(("sec-fetch-site", "cross-site")), 403),
        (Some(("sec-fetch-site", "same-site")), 403),
        (Some(("sec-fetch-site", "none")), 403),
    ];
    for (header, status) in table {
        let mut api = daemon.unauthenticated().with_header("cookie", &cookie);
        if let Some((name, value)) = header {
            api = api.with_header(name, value);
        }
        let answer = api.request_upgrade("/ws").await;
        assert_eq!(answer.status, status, "{header:?}: {}", answer.text);
        if status == 403 {
            answer.refused(403);
        }
    }
    let foreign = daemon
        .api(&tablet.token)
        .with_header("origin", "https://evil.example");
    assert_eq!(
        foreign.request_upgrade("/ws").await.status,
        101,
        "the origin is checked for cookies only"
    );
}

#[tokio::test]
async fn sockets_aborted_during_the_handshake_leave_no_session() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let handshake = format!(
        "GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         authorization: Bearer {}\r\n\r\n",
        tablet.token
    );
    for _ in 0..20 {
        let mut stream = tls_stream(daemon.https, daemon.tls.clone()).await;
        stream.write_all(handshake.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    }
    let listening = daemon.listen(&tablet.token).await;
    let path = format!("/api/clients/{}", tablet.id);
    soon("the aborted sockets to be gone", async {
        while admin.get(&path).await.expect(200).json["sessions"] != 1 {}
    })
    .await;
    drop(listening);
}
