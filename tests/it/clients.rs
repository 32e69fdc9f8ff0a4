//! Clients (paired tablets) over HTTP: reading, changing, assigning areas, revoking and deleting them
//! (docs/protocol.md#clients).

use serde_json::{Value, json};

use crate::support::{Api, Daemon, Socket, Tablet, until};

/// A daemon, its API as an admin, and the admin's socket with its welcome consumed.
async fn start() -> (Daemon, Api, Socket) {
    let daemon = Daemon::start().await;
    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let admin_socket = daemon.listen(token["token"].as_str().unwrap()).await;
    let admin = daemon.api_of(&token);
    (daemon, admin, admin_socket)
}

fn path(tablet: &Tablet) -> String {
    format!("/api/clients/{}", tablet.id)
}

#[tokio::test]
async fn client_has_the_documented_fields() {
    let (daemon, admin, _) = start().await;
    let kitchen = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&kitchen]).await;
    let client = admin.get(&path(&tablet)).await.expect(200).json;
    let area = daemon
        .api(&tablet.token)
        .get("/api/areas")
        .await
        .expect(200)
        .json;
    let expected = json!({
        "id": tablet.id, "name": "Wall", "isActive": true, "isOnline": false, "sessions": 0,
        "assignedAreas": area["areas"], "organizationId": null, "tenantId": null,
        "kioskId": null, "platform": null, "createdAt": client["createdAt"],
        "lastSeenAt": null, "lastAckedEventId": null,
    });
    assert_eq!(client, expected);
    let list = admin.get("/api/clients").await.expect(200).json;
    assert_eq!(list, json!({ "clients": [client], "nextCursor": null }));
    assert_eq!(
        admin.get("/api/clients/none").await.refused(404),
        "not_found"
    );
}

#[tokio::test]
async fn client_token_reads_only_its_own_client() {
    let (daemon, admin, _) = start().await;
    let (own, other) = (
        daemon.pair("Own", &[]).await,
        daemon.pair("Other", &[]).await,
    );
    let api = daemon.api(&own.token);
    let client = api.get(&path(&own)).await.expect(200).json;
    assert_eq!(client, admin.get(&path(&own)).await.expect(200).json);
    assert_eq!(api.get(&path(&other)).await.refused(403), "forbidden");
    assert_eq!(api.get("/api/clients/none").await.refused(403), "forbidden");
    let rename = api.patch(&path(&own), json!({ "name": "Mine" })).await;
    assert_eq!(rename.refused(403), "forbidden");
}

#[tokio::test]
async fn presence_counts_sessions_and_keeps_last_seen() {
    let (daemon, admin, mut admin_socket) = start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let first = daemon.listen(&tablet.token).await;
    let second = daemon.listen(&tablet.token).await;
    assert_eq!(
        admin_socket.next_of("client_online").await["data"]["clientId"],
        tablet.id
    );
    let client = admin.get(&path(&tablet)).await.expect(200).json;
    assert_eq!(
        (&client["isOnline"], &client["sessions"]),
        (&json!(true), &json!(2))
    );
    drop(first);
    drop(second);
    let event = admin_socket.next_of("client_offline").await;
    let client = until("lastSeenAt to be stored", async || {
        let client = admin.get(&path(&tablet)).await.expect(200).json;
        client["lastSeenAt"].is_string().then_some(client)
    })
    .await;
    assert_eq!(
        (&client["isOnline"], &client["sessions"]),
        (&json!(false), &json!(0))
    );
    assert_eq!(event["data"]["sessions"], 0);
}

#[tokio::test]
async fn patch_and_put_keep_omitted_fields_and_null_clears() {
    let (daemon, admin, _) = start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let keys = ["name", "organizationId", "tenantId", "kioskId"];
    let steps: [(Value, [Value; 4]); 5] = [
        (
            json!({ "name": " Hall " }),
            [json!("Hall"), Value::Null, Value::Null, Value::Null],
        ),
        (
            json!({ "organization_id": "o1", "tenant_id": "t1", "kiosk_id": "k1" }),
            [json!("Hall"), json!("o1"), json!("t1"), json!("k1")],
        ),
        (
            json!({ "tenantId": null }),
            [json!("Hall"), json!("o1"), Value::Null, json!("k1")],
        ),
        (
            json!({ "kioskId": "k2" }),
            [json!("Hall"), json!("o1"), Value::Null, json!("k2")],
        ),
        (
            json!({}),
            [json!("Hall"), json!("o1"), Value::Null, json!("k2")],
        ),
    ];
    for (body, values) in steps {
        for client in [
            admin
                .patch(&path(&tablet), body.clone())
                .await
                .expect(200)
                .json,
            admin
                .put(&path(&tablet), body.clone())
                .await
                .expect(200)
                .json,
            admin.get(&path(&tablet)).await.expect(200).json,
        ] {
            assert_eq!(keys.map(|key| client[key].clone()), values, "{body}");
        }
    }
    for (field, value) in [
        ("name", json!("")),
        ("name", json!("x".repeat(101))),
        ("isActive", json!("no")),
        ("organizationId", json!("a b")),
        ("tenantId", json!(7)),
        ("kioskId", json!("x".repeat(129))),
    ] {
        let answer = admin.patch(&path(&tablet), json!({ field: value })).await;
        assert_eq!(answer.json["field"], field);
        answer.refused(422);
    }
}

#[tokio::test]
async fn area_assignments_are_published_once_to_client_and_admins() {
    let (daemon, admin, mut admin_socket) = start().await;
    let mut areas = Vec::new();
    for name in ["A", "B", "C"] {
        areas.push(admin.create_area(name).await);
    }
    let tablet = daemon.pair("Wall", &[]).await;
    let mut tablet_socket = daemon.listen(&tablet.token).await;
    admin_socket.next_of("client_online").await;
    let base = path(&tablet);
    let one = |index: usize| format!("{base}/areas/{}", areas[index]);
    let mut expect_events = async |expected: &[(&str, usize)]| {
        for (event_type, index) in expected {
            let event = tablet_socket.next().await;
            assert_eq!(
                (event["type"].as_str(), event["data"]["areaId"].as_str()),
                (Some(*event_type), Some(areas[*index].as_str()))
            );
            let reason = (*event_type == "area_removed").then_some("unassigned");
            assert_eq!(event["data"]["reason"].as_str(), reason);
            assert_eq!(admin_socket.next().await, event);
        }
        tablet_socket.assert_nothing_received().await;
        admin_socket.assert_nothing_received().await;
    };
    let (added, removed) = ("area_added", "area_removed");
    let client = admin.post(&one(0), json!({})).await.expect(200).json;
    assert_eq!(client["assignedAreas"][0]["id"], areas[0]);
    expect_events(&[(added, 0)]).await;
    admin.post(&one(0), json!({})).await.expect(200);
    expect_events(&[]).await;
    let all = format!("{base}/areas");
    let body = json!({ "area_ids": [areas[1], areas[2], areas[1]] });
    let client = admin.put(&all, body).await.expect(200).json;
    assert_eq!(client["assignedAreas"].as_array().unwrap().len(), 2);
    expect_events(&[(removed, 0), (added, 1), (added, 2)]).await;
    admin
        .put(&all, json!({ "areaIds": [areas[2], areas[1]] }))
        .await
        .expect(200);
    expect_events(&[]).await;
    admin.delete(&one(1)).await.expect(204);
    expect_events(&[(removed, 1)]).await;
    assert_eq!(admin.delete(&one(1)).await.refused(404), "not_found");
    admin.put(&all, json!({ "areaIds": [] })).await.expect(200);
    expect_events(&[(removed, 2)]).await;
    let answer = admin.put(&all, json!({})).await;
    assert_eq!(answer.json["field"], "areaIds");
    answer.refused(422);
    // Events of an unassigned area no longer reach the tablet.
    admin
        .patch(&format!("/api/areas/{}", areas[0]), json!({ "name": "Z" }))
        .await
        .expect(200);
    assert_eq!(admin_socket.next().await["type"], "area_updated");
    tablet_socket.assert_nothing_received().await;
}

#[tokio::test]
async fn inactive_client_is_refused_until_reactivated() {
    let (daemon, admin, _) = start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let api = daemon.api(&tablet.token);
    let by_session = daemon.api(&api.open_session().await);
    let mut tablet_socket = daemon.listen(&tablet.token).await;
    let off = json!({ "isActive": false });
    let client = admin.patch(&path(&tablet), off).await.expect(200).json;
    assert_eq!(client["isActive"], false);
    assert_eq!(tablet_socket.closed().await, (4410, "inactive".to_owned()));
    for refused in [&api, &by_session] {
        assert_eq!(refused.get("/api/me").await.refused(401), "inactive");
    }
    let refused = api.post("/api/tokens/refresh", json!({})).await;
    assert_eq!(refused.refused(401), "inactive");
    let socket = Socket::open(&daemon, "/ws", Some(&tablet.token)).await;
    assert_eq!(socket.err(), Some(401));
    let on = json!({ "is_active": true });
    admin.patch(&path(&tablet), on).await.expect(200);
    api.get("/api/me").await.expect(200);
    by_session.get("/api/me").await.expect(200);
    daemon.listen(&tablet.token).await;
}

#[tokio::test]
async fn revoke_ends_every_token_and_notifies_client_and_admins() {
    let (daemon, admin, mut admin_socket) = start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let second = json!({ "role": "client", "subject": tablet.id, "name": "second" });
    let second = daemon.token(second).await;
    let mut sockets = [
        daemon.connect(&tablet.token).await,
        daemon.connect(second["token"].as_str().unwrap()).await,
    ];
    for socket in &mut sockets {
        socket.next_of("connection").await;
    }
    let revoke = format!("{}/revoke", path(&tablet));
    let answer = admin.post(&revoke, json!({ "reason": "lost" })).await;
    assert_eq!(answer.expect(200).json["id"], tablet.id);
    for socket in &mut sockets {
        let event = socket.next().await;
        assert_eq!(event["type"], "token_revoked");
        let data = &event["data"];
        assert_eq!(
            (&data["clientId"], &data["reason"]),
            (&json!(tablet.id), &json!("lost"))
        );
        assert!(data["message"].is_string() && data["timestamp"].is_string());
        assert_eq!(socket.closed().await, (4403, "revoked".to_owned()));
    }
    let event = admin_socket.next_of("client_revoked").await;
    let timestamp = &event["data"]["timestamp"];
    let expected =
        json!({ "clientId": tablet.id, "name": "Wall", "reason": "lost", "timestamp": timestamp });
    assert_eq!(event["data"], expected);
    for api in [daemon.api(&tablet.token), daemon.api_of(&second)] {
        assert_eq!(api.get("/api/me").await.refused(401), "revoked");
    }
    admin.get(&path(&tablet)).await.expect(200);
}

#[tokio::test]
async fn disconnect_closes_sessions_and_allows_reconnecting() {
    let (daemon, admin, _) = start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let mut tablet_socket = daemon.listen(&tablet.token).await;
    let body = json!({ "reason": "new firmware" });
    admin
        .post(&format!("{}/disconnect", path(&tablet)), body)
        .await
        .expect(200);
    assert_eq!(tablet_socket.closed().await, (4000, "try_again".to_owned()));
    daemon.listen(&tablet.token).await;
}

#[tokio::test]
async fn deleted_client_loses_its_tokens_and_assignments() {
    let (daemon, admin, mut admin_socket) = start().await;
    let kitchen = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&kitchen]).await;
    let mut tablet_socket = daemon.listen(&tablet.token).await;
    admin.delete(&path(&tablet)).await.expect(204);
    assert_eq!(tablet_socket.closed().await, (4403, "revoked".to_owned()));
    assert_eq!(
        admin_socket.next_of("client_revoked").await["data"]["clientId"],
        tablet.id
    );
    assert_eq!(
        daemon.api(&tablet.token).get("/api/me").await.refused(401),
        "revoked"
    );
    assert_eq!(admin.get(&path(&tablet)).await.refused(404), "not_found");
    assert_eq!(admin.delete(&path(&tablet)).await.refused(404), "not_found");
    let area = admin
        .get(&format!("/api/areas/{kitchen}"))
        .await
        .expect(200)
        .json;
    assert_eq!(area["clientIds"], json!([]));
}

#[tokio::test]
async fn response_to_a_change_that_ends_sessions_counts_none() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let client = format!("/api/clients/{}", tablet.id);
    let online = |answer: &Value| (answer["isOnline"].clone(), answer["sessions"].clone());
    let mut socket = daemon.listen(&tablet.token).await;
    let named = admin.patch(&client, json!({ "name": "Hall" })).await;
    assert_eq!(online(&named.expect(200).json), (json!(true), json!(1)));
    let refused = admin.patch(&client, json!({ "isActive": false })).await;
    assert_eq!(online(&refused.expect(200).json), (json!(false), json!(0)));
    assert_eq!(socket.closed().await.0, 4410);
}
