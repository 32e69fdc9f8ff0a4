//! Sockets that open without a token and authenticate with an `authenticate` message
//! (docs/protocol.md#socket-authentication).

use serde_json::{Value, json};

use crate::handshake::WELCOME_KEYS;
use crate::support::{Daemon, assert_timestamp, keys};

#[tokio::test]
async fn message_authentication_gets_authenticated_then_welcome() {
    let daemon = Daemon::start().await;
    let user = json!({ "role": "user", "name": "x", "email": "a@b.example" });
    let user = daemon.token(user).await;
    let mut socket = daemon.connect_unauthenticated().await;
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

    let welcome = socket.next().await;
    assert_eq!(welcome["type"], "connection");
    assert_eq!(keys(&welcome["data"]), WELCOME_KEYS);
    assert_eq!(welcome["data"]["connectionId"], data["clientId"]);
}

#[tokio::test]
async fn unauthenticated_socket_gets_no_events_and_only_errors() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let mut socket = daemon.connect_unauthenticated().await;
    admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[]).await;
    for message_type in ["ping", "subscribe_room", "fly"] {
        let error = socket.ask(json!({ "type": message_type })).await;
        assert_eq!(error["type"], "error", "{message_type}");
        assert_eq!(error["data"]["code"], "unauthenticated", "{message_type}");
    }
    let result = socket
        .ask(json!({ "type": "ping", "requestId": "r" }))
        .await;
    assert_eq!(result["requestId"], "r");
    assert_eq!(result["data"]["code"], "unauthenticated");

    socket.authenticate(&tablet.token).await;
    assert_eq!(socket.next().await["type"], "authenticated");
    assert_eq!(socket.next().await["type"], "connection");
    socket.assert_nothing_received().await;
}

#[tokio::test]
async fn invalid_token_in_message_gets_auth_error_and_close() {
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
        let mut socket = daemon.connect_unauthenticated().await;
        let error = socket
            .ask(json!({ "type": "authenticate", "data": data.clone() }))
            .await;
        assert_eq!(error["type"], "auth_error", "{data}");
        assert!(error["data"]["message"].is_string());
        assert_eq!(socket.closed().await.0, code, "{data}");
    }
}

#[tokio::test]
async fn claims_in_authenticate_must_match_the_token() {
    let daemon = Daemon::with(&[("CONNECTIONS_PER_MINUTE", "100")]).await;
    let user = json!({
        "role": "user", "name": "x", "subject": "user_1",
        "organizationId": "org_1", "tenantId": "tenant_1",
    });
    let token = daemon.token(user).await["token"].clone();
    let matching = json!({
        "userId": "user_1", "organizationId": "org_1", "tenantId": "tenant_1", "userRole": "user",
    });
    let authenticate = async |claims: &Value| {
        let mut socket = daemon.connect_unauthenticated().await;
        let mut message = claims.clone();
        message["type"] = "authenticate".into();
        message["token"] = token.clone();
        (socket.ask(message).await, socket)
    };
    assert_eq!(authenticate(&matching).await.0["type"], "authenticated");
    for key in keys(&matching) {
        let single = json!({ key: matching[key] });
        assert_eq!(
            authenticate(&single).await.0["type"],
            "authenticated",
            "{key}"
        );

        let mut wrong = matching.clone();
        wrong[key] = "another".into();
        let (error, mut socket) = authenticate(&wrong).await;
        assert_eq!(error["type"], "auth_error", "{key}");
        assert_eq!(socket.closed().await.0, 4401, "{key}");
    }
}

#[tokio::test]
async fn second_authenticate_of_same_principal_replaces_the_token() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let short = json!({ "role": "client", "name": "short", "subject": tablet.id });
    let short = daemon.token(short).await;
    let mut socket = daemon.listen(short["token"].as_str().unwrap()).await;
    socket.authenticate(&tablet.token).await;
    assert_eq!(socket.next().await["data"]["userId"], tablet.id);

    // The session now depends on the second token only.
    let path = format!("/api/tokens/{}", short["jti"].as_str().unwrap());
    daemon.local().delete(&path).await.expect(204);
    socket.assert_nothing_received().await;
    let path = format!("/api/clients/{}/revoke", tablet.id);
    daemon.local().post(&path, json!({})).await.expect(200);
    assert_eq!(socket.closed().await.0, 4403);
}

#[tokio::test]
async fn second_authenticate_of_another_principal_is_refused() {
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
    socket.assert_nothing_received().await;
    let path = format!("/api/clients/{}/areas/{area}", tablet.id);
    admin.post(&path, json!({})).await.expect(200);
    assert_eq!(socket.next().await["type"], "area_added");
}

#[tokio::test]
async fn invalid_token_on_authenticated_socket_closes_it() {
    let daemon = Daemon::start().await;
    let mut socket = daemon.listen(&daemon.pair("Wall", &[]).await.token).await;
    socket.authenticate("nonsense").await;
    assert_eq!(socket.next().await["type"], "auth_error");
    assert_eq!(socket.closed().await.0, 4401);
}
