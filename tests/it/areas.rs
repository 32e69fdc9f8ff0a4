//! Areas over HTTP, and which sessions receive the events of their changes (docs/protocol.md#areas).

use serde_json::{Value, json};

use crate::support::{Api, Daemon, Socket};

/// A daemon with one area and a tablet assigned to it. The welcomes of both sockets are consumed.
struct TestServer {
    daemon: Daemon,
    admin: Api,
    kitchen: String,
    tablet_socket: Socket,
    admin_socket: Socket,
}

impl TestServer {
    async fn new() -> Self {
        let daemon = Daemon::start().await;
        let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
        let admin = daemon.api_of(&token);
        let kitchen = admin.create_area("Kitchen").await;
        let tablet = daemon.pair("Wall", &[&kitchen]).await;
        let mut admin_socket = daemon.connect(token["token"].as_str().unwrap()).await;
        admin_socket.next_of("connection").await;
        let mut tablet_socket = daemon.connect(&tablet.token).await;
        tablet_socket.next_of("connection").await;
        admin_socket.next_of("client_online").await;
        Self {
            daemon,
            admin,
            kitchen,
            tablet_socket,
            admin_socket,
        }
    }

    fn path(&self) -> String {
        format!("/api/areas/{}", self.kitchen)
    }

    /// Asserts that both sockets receive the same events, of these types and no others. Returns them.
    async fn expect_events(&mut self, event_types: &[&str]) -> Vec<Value> {
        let mut events = Vec::new();
        for event_type in event_types {
            let event = self.tablet_socket.next().await;
            assert_eq!(event["type"], *event_type);
            assert_eq!(event, self.admin_socket.next().await);
            events.push(event);
        }
        self.assert_nothing_received().await;
        events
    }

    async fn assert_nothing_received(&mut self) {
        self.tablet_socket.assert_nothing_received().await;
        self.admin_socket.assert_nothing_received().await;
    }
}

#[tokio::test]
async fn paired_tablet_receives_events_of_its_areas_only() {
    let mut server = TestServer::new().await;
    let bath = server.admin.create_area("Bath").await;
    assert_eq!(server.admin_socket.next().await["type"], "room_updated");
    let path = format!("/api/areas/{bath}");
    server
        .admin
        .put(&path, json!({ "name": "Bathroom" }))
        .await
        .expect(200);
    assert_eq!(server.admin_socket.next().await["data"]["areaId"], bath);
    server
        .admin
        .patch(&format!("{path}/toggle"), json!({}))
        .await
        .expect(200);
    assert_eq!(server.admin_socket.next().await["type"], "area_disabled");
    server.admin.delete(&path).await.expect(204);
    assert_eq!(server.admin_socket.next().await["type"], "area_removed");
    assert_eq!(server.admin_socket.next().await["type"], "room_updated");
    server
        .admin
        .put(&server.path(), json!({ "name": "Kitchen 2" }))
        .await
        .expect(200);
    let event = server.expect_events(&["area_updated"]).await.remove(0);
    assert_eq!(event["data"]["areaId"], server.kitchen);
    assert_eq!(event["data"]["name"], "Kitchen 2");
}

#[tokio::test]
async fn created_area_has_the_documented_fields_and_defaults() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let created = admin
        .post("/api/areas", json!({ "name": "  Küche " }))
        .await
        .expect(201);
    let content_type = created.header("content-type");
    assert_eq!(content_type, Some("application/json; charset=utf-8"));
    let area = created.json;
    assert!(area["id"].as_str().unwrap().starts_with("area_"));
    assert!(area["roomId"].is_i64());
    let expected = json!({
        "id": area["id"], "roomId": area["roomId"], "name": "Küche", "entityIds": [],
        "isEnabled": true, "source": "local", "clientIds": [],
        "createdAt": area["createdAt"], "updatedAt": area["createdAt"],
    });
    assert_eq!(area, expected);
    let read = admin
        .get(&format!("/api/areas/{}", area["id"].as_str().unwrap()))
        .await;
    assert_eq!(read.expect(200).json, area);

    let body = json!({ "name": "Bath", "isEnabled": false,
        "entityIds": ["light.b", "light.a", "light.b"] });
    let bath = admin.post("/api/areas", body).await.expect(201).json;
    assert_eq!(bath["entityIds"], json!(["light.b", "light.a"]));
    assert_eq!(bath["isEnabled"], false);
    assert_ne!(bath["roomId"], area["roomId"]);
}

#[tokio::test]
async fn invalid_area_field_returns_422_and_changes_nothing() {
    let mut server = TestServer::new().await;
    let before = server.admin.get(&server.path()).await.expect(200).json;
    let too_many: Vec<_> = (0..501).map(|n| format!("light.l{n}")).collect();
    let table = [
        ("name", json!("")),
        ("name", json!("   ")),
        ("name", json!("x".repeat(101))),
        ("name", json!("a\nb")),
        ("name", json!("a\u{7f}b")),
        ("name", json!(7)),
        ("entityIds", json!(too_many)),
        ("entityIds", json!(["light"])),
        ("entityIds", json!(["light."])),
        ("entityIds", json!([".kitchen"])),
        ("entityIds", json!(["light.a.b"])),
        ("entityIds", json!(["Light.Kitchen"])),
        ("entityIds", json!([7])),
        ("entityIds", json!("light.kitchen")),
        ("isEnabled", json!("yes")),
        ("isEnabled", json!(1)),
    ];
    for (field, value) in table {
        // The other fields are valid: they must not be stored either.
        let mut body = json!({ "name": "Good", "entityIds": ["light.good"], "isEnabled": false });
        body[field] = value;
        for answer in [
            server.admin.post("/api/areas", body.clone()).await,
            server.admin.put(&server.path(), body.clone()).await,
            server.admin.patch(&server.path(), body.clone()).await,
        ] {
            assert_eq!(answer.json["field"], field, "{body}");
            assert_eq!(answer.refused(422), "invalid_field");
        }
    }
    let answer = server
        .admin
        .post("/api/areas", json!({ "isEnabled": true }))
        .await;
    assert_eq!(answer.json["field"], "name");
    answer.refused(422);
    let toggle = format!("{}/toggle", server.path());
    server
        .admin
        .patch(&toggle, json!({ "isEnabled": "on" }))
        .await
        .refused(422);
    let areas = server.admin.get("/api/areas").await.expect(200).json;
    assert_eq!(areas["areas"], json!([before]));
    server.assert_nothing_received().await;
}

#[tokio::test]
async fn area_fields_at_their_limits_are_accepted() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let most: Vec<_> = (0..500).map(|n| format!("light.l{n}")).collect();
    let name = "ü".repeat(100);
    let body = json!({ "name": format!(" {name} "), "entityIds": most });
    let area = admin.post("/api/areas", body).await.expect(201).json;
    assert_eq!(
        (&area["name"], &area["entityIds"]),
        (&json!(name), &json!(most))
    );
}

#[tokio::test]
async fn put_and_patch_keep_omitted_fields_and_accept_snake_case() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let body = json!({ "name": "A", "entity_ids": ["light.a"], "is_enabled": false });
    let area = admin.post("/api/areas", body).await.expect(201).json;
    let path = format!("/api/areas/{}", area["id"].as_str().unwrap());
    assert_eq!(
        (&area["entityIds"], &area["isEnabled"]),
        (&json!(["light.a"]), &json!(false))
    );
    type Steps = [(Value, (&'static str, &'static str, bool)); 5];
    let steps: Steps = [
        (json!({ "name": "B" }), ("B", "light.a", false)),
        (json!({ "is_enabled": true }), ("B", "light.a", true)),
        (json!({ "entity_ids": ["light.b"] }), ("B", "light.b", true)),
        (
            json!({ "isEnabled": false, "what": "else" }),
            ("B", "light.b", false),
        ),
        (json!({}), ("B", "light.b", false)),
    ];
    for (body, (name, entity, enabled)) in steps {
        for area in [
            admin.put(&path, body.clone()).await.expect(200).json,
            admin.patch(&path, body.clone()).await.expect(200).json,
            admin.get(&path).await.expect(200).json,
        ] {
            assert_eq!(area["name"], name, "{body}");
            assert_eq!(area["entityIds"], json!([entity]), "{body}");
            assert_eq!(area["isEnabled"], enabled, "{body}");
        }
    }
}

#[tokio::test]
async fn unchanged_area_emits_no_event() {
    let mut server = TestServer::new().await;
    let before = server.admin.get(&server.path()).await.expect(200).json;
    let same = json!({ "name": " Kitchen ", "entityIds": [], "isEnabled": true });
    for answer in [
        server.admin.put(&server.path(), same.clone()).await,
        server.admin.patch(&server.path(), json!({})).await,
        server
            .admin
            .patch(
                &format!("{}/toggle", server.path()),
                json!({ "isEnabled": true }),
            )
            .await,
    ] {
        assert_eq!(answer.expect(200).json, before);
    }
    server.assert_nothing_received().await;
}

#[tokio::test]
async fn name_and_toggle_change_emits_updated_then_toggle_event() {
    let mut server = TestServer::new().await;
    for (name, enabled, switched) in [
        ("Cold kitchen", false, "area_disabled"),
        ("Warm kitchen", true, "area_enabled"),
    ] {
        let body = json!({ "name": name, "isEnabled": enabled, "entityIds": ["light.k"] });
        let area = server
            .admin
            .patch(&server.path(), body)
            .await
            .expect(200)
            .json;
        let events = server.expect_events(&["area_updated", switched]).await;
        let ids: Vec<_> = events
            .iter()
            .map(|event| event["id"].as_i64().unwrap())
            .collect();
        assert_eq!(ids[1], ids[0] + 1, "consecutive in the history");
        for event in events {
            let data = &event["data"];
            assert!(data["message"].is_string());
            let expected = json!({
                "areaId": server.kitchen, "name": name, "entityIds": ["light.k"],
                "isEnabled": enabled, "message": data["message"], "timestamp": area["updatedAt"],
            });
            assert_eq!(*data, expected);
        }
    }
}

#[tokio::test]
async fn toggle_without_body_flips_and_with_body_sets() {
    let mut server = TestServer::new().await;
    let toggle = format!("{}/toggle", server.path());
    let flip = server
        .admin
        .send_text("PATCH", &toggle, &[], "")
        .await
        .expect(200);
    assert_eq!(flip.json["isEnabled"], false);
    server.expect_events(&["area_disabled"]).await;
    for (body, event) in [
        (json!({}), "area_enabled"),
        (json!({ "isEnabled": false }), "area_disabled"),
        (json!({ "is_enabled": true }), "area_enabled"),
    ] {
        server.admin.patch(&toggle, body).await.expect(200);
        server.expect_events(&[event]).await;
    }
    // A disabled area stays visible to its tablet.
    server
        .admin
        .patch(&toggle, json!({ "isEnabled": false }))
        .await
        .expect(200);
    let me = server
        .daemon
        .local()
        .get("/api/clients")
        .await
        .expect(200)
        .json;
    assert_eq!(me["clients"][0]["assignedAreas"][0]["isEnabled"], false);
}

#[tokio::test]
async fn deleted_area_notifies_its_tablets_with_the_reason() {
    let mut server = TestServer::new().await;
    let deleted = server.admin.delete(&server.path()).await.expect(204);
    assert_eq!(
        (deleted.text.as_str(), deleted.header("content-type")),
        ("", None)
    );
    let event = server
        .expect_events(&["area_removed", "room_updated"])
        .await
        .remove(0);
    assert_eq!(event["data"]["reason"], "deleted");
    assert_eq!(event["data"]["areaId"], server.kitchen);
    for answer in [
        server.admin.get(&server.path()).await,
        server
            .admin
            .put(&server.path(), json!({ "name": "B" }))
            .await,
        server
            .admin
            .patch(&format!("{}/toggle", server.path()), json!({}))
            .await,
        server.admin.delete(&server.path()).await,
    ] {
        assert_eq!(answer.refused(404), "not_found");
    }
    server.assert_nothing_received().await;
    let next = server.admin.create_area("Kitchen").await;
    assert_ne!(next, server.kitchen);
}

#[tokio::test]
async fn client_reads_own_areas_without_client_ids() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let (own, other) = (
        admin.create_area("Own").await,
        admin.create_area("Other").await,
    );
    let tablet = daemon.pair("Wall", &[&own]).await;
    let api = daemon.api(&tablet.token);
    let areas = api.get("/api/areas").await.expect(200).json;
    assert_eq!(areas["areas"].as_array().unwrap().len(), 1);
    assert_eq!(areas["areas"][0]["id"], own);
    let area = api.get(&format!("/api/areas/{own}")).await.expect(200).json;
    assert_eq!(area, areas["areas"][0]);
    assert!(area.get("clientIds").is_none(), "{area}");
    let seen = admin
        .get(&format!("/api/areas/{own}"))
        .await
        .expect(200)
        .json;
    assert_eq!(seen["clientIds"], json!([tablet.id]));
    // A foreign area and an unknown one get the same response.
    let refused = api.get(&format!("/api/areas/{other}")).await;
    let unknown = api.get("/api/areas/area_none").await;
    assert_eq!(refused.json["error"], unknown.json["error"]);
    assert_eq!(
        (refused.refused(403), unknown.refused(403)),
        ("forbidden".into(), "forbidden".into())
    );
}
