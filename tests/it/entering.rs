//! How a socket proves who it is, and the first words that it is told (contract 3, 4.4 and 4.5).

use serde_json::{Value, json};

use crate::support::{Daemon, Socket, assert_timestamp, keys};

const FIRST_WORDS: [&str; 12] = [
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
async fn the_first_words_say_everything_a_tablet_needs_to_draw() {
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

    let words = daemon.connect(&tablet.token).await.next().await;
    assert_eq!(words["type"], "connection");
    let data = &words["data"];
    assert_eq!(keys(data), FIRST_WORDS);
    assert_eq!(data["status"], "connected");
    assert_eq!(data["clientId"], tablet.id);
    assert_eq!(data["client_id"], tablet.id);
    assert_eq!(data["userId"], tablet.id);
    assert_eq!(data["role"], "client");
    assert_eq!(data["recovered"], false);
    assert_eq!(data["assignedAreas"], own.json["areas"], "whole areas");
    assert_eq!(data["assignedAreas"][0]["entityIds"], area["entityIds"]);
    assert!(data["message"].is_string() && data["epoch"].is_string());
    assert!(data["lastEventId"].as_i64().is_some());
    assert_timestamp(&data["timestamp"]);

    let again = daemon.connect(&tablet.token).await.next().await;
    assert_ne!(again["data"]["connectionId"], data["connectionId"]);
    assert_eq!(again["data"]["epoch"], data["epoch"]);
}

#[tokio::test]
async fn last_event_id_is_where_what_is_told_next_goes_on() {
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
async fn whoever_is_no_client_has_its_session_as_client_id() {
    let daemon = Daemon::start().await;
    for role in ["admin", "user"] {
        let token = daemon.token(json!({ "role": role, "name": "x" })).await;
        let mut socket = daemon.connect(token["token"].as_str().unwrap()).await;
        let data = &socket.next().await["data"];
        assert_eq!(keys(data), FIRST_WORDS);
        assert_eq!(data["clientId"], data["connectionId"]);
        assert_eq!(data["client_id"], data["connectionId"]);
        assert_eq!(data["userId"], token["subject"]);
        assert_eq!(data["role"], role);
        assert_eq!(data["assignedAreas"], json!([]));
    }
}

#[tokio::test]
async fn a_session_that_authenticates_by_message_is_told_so_and_then_the_same_first_words() {
    let daemon = Daemon::start().await;
    let user = json!({ "role": "user", "name": "x", "email": "a@b.example" });
    let user = daemon.token(user).await;
    let mut socket = daemon.knock().await;
    let token = user["token"].as_str().unwrap();
    socket
        .send(json!({ "type": "authenticate", "token": token, "requestId": 1 }))
        .await;
    let authenticated = socket.next().await;
    assert_eq!(authenticated["type"], "authenticated");
    let data = &authenticated["data"];
    assert_eq!(
        keys(data),
        [
            "clientId",
            "email",
            "role",
            "success",
            "timestamp",
            "userId"
        ]
    );
    assert_eq!(data["success"], true);
    assert_eq!(data["userId"], user["subject"]);
    assert_eq!(data["email"], "a@b.example");
    assert_eq!(data["role"], "user");
    assert_timestamp(&data["timestamp"]);

    let result = socket.next().await;
    assert_eq!(result["type"], "result");
    assert_eq!(result["data"]["success"], true);

    let words = socket.next().await;
    assert_eq!(words["type"], "connection");
    assert_eq!(keys(&words["data"]), FIRST_WORDS);
    assert_eq!(words["data"]["connectionId"], data["clientId"]);
}

#[tokio::test]
async fn a_wrong_token_in_the_handshake_fails_it_with_401() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let forged = format!("{}x", tablet.token);
    for bearer in [&forged, "no token at all", ""] {
        let bearer = format!("Bearer {bearer}");
        let answer = daemon
            .stranger()
            .with_header("authorization", &bearer)
            .ask_socket("/ws")
            .await;
        assert_eq!(answer.refused(401), "invalid_token", "{bearer}");
    }
    let basic = daemon.stranger().with_header("authorization", "Basic eDp5");
    basic.ask_socket("/ws").await.refused(401);
}

#[tokio::test]
async fn a_token_in_the_url_is_refused_however_good() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let path = format!("/ws?token={}", tablet.token);
    daemon.stranger().ask_socket(&path).await.refused(401);
    daemon
        .api(&tablet.token)
        .ask_socket(&path)
        .await
        .refused(401);
    assert!(!daemon.log().contains(&tablet.token));
}

#[tokio::test]
async fn a_session_id_opens_a_socket_by_query_header_cookie_and_message() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let session = daemon
        .api(&tablet.token)
        .post("/api/auth/session", json!({}))
        .await;
    let id = session.expect(200).json["sessionId"]
        .as_str()
        .unwrap()
        .to_owned();
    let (cookie, query) = (format!("sessionId={id}"), format!("/ws?sessionId={id}"));

    let opened = [
        Socket::open(&daemon, &query, None).await,
        Socket::open(&daemon, "/ws", Some(&id)).await,
        Socket::open_with(&daemon, "/ws", &[("cookie", &cookie)]).await,
    ];
    for socket in opened {
        let words = socket.expect("the socket opens").next().await;
        assert_eq!(words["data"]["clientId"], tablet.id);
    }
    let mut socket = daemon.knock().await;
    socket.authenticate(&id).await;
    assert_eq!(socket.next().await["data"]["userId"], tablet.id);

    assert!(matches!(
        Socket::open(&daemon, "/ws?sessionId=nonsense", None).await,
        Err(401)
    ));
    assert!(!daemon.log().contains(&id), "never logged");
}

#[tokio::test]
async fn a_cookie_counts_for_our_own_pages_and_for_no_browser() {
    let daemon = Daemon::with(&[("CORS_ORIGINS", "https://panel.example")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    let session = daemon
        .api(&tablet.token)
        .post("/api/auth/session", json!({}))
        .await;
    let id = session.expect(200).json["sessionId"]
        .as_str()
        .unwrap()
        .to_owned();
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
        let mut api = daemon.stranger().with_header("cookie", &cookie);
        if let Some((name, value)) = header {
            api = api.with_header(name, value);
        }
        let answer = api.ask_socket("/ws").await;
        assert_eq!(answer.status, status, "{header:?}: {}", answer.text);
        if status == 403 {
            answer.refused(403);
        }
    }
    let foreign = daemon
        .api(&tablet.token)
        .with_header("origin", "https://evil.example");
    assert_eq!(
        foreign.ask_socket("/ws").await.status,
        101,
        "a token that a page had to know is no cookie"
    );
}

#[tokio::test]
async fn until_it_has_authenticated_a_socket_is_told_nothing_and_may_send_nothing_else() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let mut socket = daemon.knock().await;
    admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[]).await;
    for kind in ["ping", "subscribe_room", "fly"] {
        let error = socket.ask(json!({ "type": kind })).await;
        assert_eq!(error["type"], "error", "{kind}");
        assert_eq!(error["data"]["code"], "unauthenticated", "{kind}");
    }
    let result = socket
        .ask(json!({ "type": "ping", "requestId": "r" }))
        .await;
    assert_eq!(result["requestId"], "r");
    assert_eq!(result["data"]["code"], "unauthenticated");

    socket.authenticate(&tablet.token).await;
    assert_eq!(socket.next().await["type"], "authenticated");
    assert_eq!(socket.next().await["type"], "connection");
    socket.heard_nothing().await;
}

#[tokio::test]
async fn a_wrong_token_by_message_gets_auth_error_and_the_socket_is_closed() {
    let daemon = Daemon::start().await;
    let revoked = daemon.pair("Wall", &[]).await;
    let path = format!("/api/clients/{}/revoke", revoked.id);
    daemon.local().post(&path, json!({})).await.expect(200);
    let table = [
        (json!({ "token": "nonsense" }), 4401),
        (json!({ "token": "" }), 4401),
        (json!({}), 4401),
        (json!({ "token": revoked.token }), 4403),
    ];
    for (data, code) in table {
        let mut socket = daemon.knock().await;
        let error = socket
            .ask(json!({ "type": "authenticate", "data": data.clone() }))
            .await;
        assert_eq!(error["type"], "auth_error", "{data}");
        assert!(error["data"]["message"].is_string());
        assert_eq!(socket.closed().await.0, code, "{data}");
    }
}

#[tokio::test]
async fn what_stands_beside_the_token_must_agree_with_it() {
    let daemon = Daemon::with(&[("CONNECTIONS_PER_MINUTE", "100")]).await;
    let user = json!({
        "role": "user", "name": "x", "subject": "user_1",
        "organizationId": "org_1", "tenantId": "tenant_1",
    });
    let token = daemon.token(user).await["token"].clone();
    let right = json!({
        "userId": "user_1", "organizationId": "org_1", "tenantId": "tenant_1", "userRole": "user",
    });
    let authenticate = async |beside: &Value| {
        let mut socket = daemon.knock().await;
        let mut message = beside.clone();
        message["type"] = "authenticate".into();
        message["token"] = token.clone();
        (socket.ask(message).await, socket)
    };
    assert_eq!(authenticate(&right).await.0["type"], "authenticated");
    for key in keys(&right) {
        let alone = json!({ key: right[key] });
        assert_eq!(
            authenticate(&alone).await.0["type"],
            "authenticated",
            "{key}"
        );

        let mut wrong = right.clone();
        wrong[key] = "another".into();
        let (error, mut socket) = authenticate(&wrong).await;
        assert_eq!(error["type"], "auth_error", "{key}");
        assert_eq!(socket.closed().await.0, 4401, "{key}");
    }
}

#[tokio::test]
async fn a_second_authenticate_of_the_same_principal_goes_on_with_the_new_token() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let short = json!({ "role": "client", "name": "short", "subject": tablet.id });
    let short = daemon.token(short).await;
    let mut socket = daemon.listen(short["token"].as_str().unwrap()).await;
    socket.authenticate(&tablet.token).await;
    assert_eq!(socket.next().await["data"]["userId"], tablet.id);

    // The socket now stands and falls with the second token.
    let path = format!("/api/tokens/{}", short["jti"].as_str().unwrap());
    daemon.local().delete(&path).await.expect(204);
    socket.heard_nothing().await;
    let path = format!("/api/clients/{}/revoke", tablet.id);
    daemon.local().post(&path, json!({})).await.expect(200);
    assert_eq!(socket.closed().await.0, 4403);
}

#[tokio::test]
async fn a_second_authenticate_of_another_principal_changes_nothing() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[]).await;
    let other = daemon.pair("Other", &[&area]).await;
    let mut socket = daemon.listen(&tablet.token).await;
    socket.authenticate(&other.token).await;
    let error = socket.next().await;
    assert_eq!(error["type"], "error");
    assert_eq!(error["data"]["success"], false);

    let path = format!("/api/areas/{area}/toggle");
    admin.patch(&path, json!({})).await.expect(200);
    socket.heard_nothing().await;
    let path = format!("/api/clients/{}/areas/{area}", tablet.id);
    admin.post(&path, json!({})).await.expect(200);
    assert_eq!(socket.next().await["type"], "area_added");
}

#[tokio::test]
async fn a_wrong_token_on_a_proven_socket_closes_it_too() {
    let daemon = Daemon::start().await;
    let mut socket = daemon.listen(&daemon.pair("Wall", &[]).await.token).await;
    socket.authenticate("nonsense").await;
    assert_eq!(socket.next().await["type"], "auth_error");
    assert_eq!(socket.closed().await.0, 4401);
}
