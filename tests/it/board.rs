//! The status board over HTTP, and its events `service-update`, `incident-update` and `status-update`
//! (docs/protocol.md#status-board).

use serde_json::{Value, json};

use crate::support::{Api, Daemon, Socket, assert_timestamp, keys, until};

/// A daemon, its API as an admin, and the admin's socket with its welcome consumed.
async fn start() -> (Daemon, Api, Socket) {
    let daemon = Daemon::start().await;
    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let admin_socket = daemon.listen(token["token"].as_str().unwrap()).await;
    let admin = daemon.api_of(&token);
    (daemon, admin, admin_socket)
}

async fn create(admin: &Api, path: &str, body: Value) -> Value {
    admin.post(path, body).await.expect(201).json
}

fn path_of(path: &str, item: &Value) -> String {
    format!("{path}/{}", item["id"].as_str().unwrap())
}

/// Skips `system_status`, asserts the type and the inner type of the next event, and returns its inner data.
async fn next_change(socket: &mut Socket, event_type: &str, change: &str) -> Value {
    let mut event = socket.next().await;
    while event["type"] == "system_status" {
        event = socket.next().await;
    }
    assert_eq!(event["type"], event_type, "{event}");
    assert_eq!(keys(&event["data"]), ["data", "timestamp", "type"]);
    assert_eq!(event["data"]["type"], change);
    assert_timestamp(&event["data"]["timestamp"]);
    event["data"]["data"].clone()
}

#[tokio::test]
async fn service_lifecycle_emits_events_and_is_audited() {
    let (_daemon, admin, mut admin_socket) = start().await;
    let created = create(&admin, "/api/services", json!({ "name": "  Search " })).await;
    assert!(created["id"].as_str().unwrap().starts_with("service_"));
    let expected = json!({
        "id": created["id"], "name": "Search", "description": "", "status": "operational",
        "organizationId": null, "tenantId": null,
        "createdAt": created["createdAt"], "updatedAt": created["createdAt"],
    });
    assert_eq!(created, expected);
    assert_timestamp(&created["createdAt"]);
    assert_eq!(
        next_change(&mut admin_socket, "service-update", "created").await,
        created
    );
    let path = path_of("/api/services", &created);
    assert_eq!(admin.get(&path).await.expect(200).json, created);
    admin_socket.assert_nothing_received().await;

    // Keys are accepted in snake_case and in camelCase.
    let body = json!({
        "name": "Test Service", "description": "Test", "organization_id": "org-456",
        "tenantId": "t", "status": "maintenance",
    });
    let created = create(&admin, "/api/services", body).await;
    assert_eq!(created["organizationId"], "org-456");
    assert_eq!(created["status"], "maintenance");
    next_change(&mut admin_socket, "service-update", "created").await;
    next_change(&mut admin_socket, "status-update", "updated").await;
    let path = path_of("/api/services", &created);
    let changed = admin.put(&path, json!({ "status": "degraded" })).await;
    let changed = changed.expect(200).json;
    let mut expected = created.clone();
    expected["status"] = "degraded".into();
    expected["updatedAt"] = changed["updatedAt"].clone();
    assert_eq!(changed, expected, "omitted fields keep their values");
    let event = next_change(&mut admin_socket, "service-update", "updated").await;
    assert_eq!(event, changed);
    next_change(&mut admin_socket, "status-update", "updated").await;

    // Null clears an optional field. A request that changes nothing emits no event.
    let cleared = json!({ "tenantId": null, "description": null, "name": null });
    let cleared = admin.patch(&path, cleared).await.expect(200).json;
    assert_eq!(cleared["tenantId"], Value::Null);
    assert_eq!(cleared["description"], "");
    assert_eq!(cleared["name"], "Test Service");
    // The audience grows, so nobody who saw the service gets a `deleted` event.
    assert_eq!(
        next_change(&mut admin_socket, "service-update", "updated").await,
        cleared
    );
    let event = next_change(&mut admin_socket, "status-update", "updated").await;
    assert_eq!(
        (&event["tenantId"], &event["status"]),
        (&Value::Null, &json!("degraded"))
    );
    let same = json!({ "status": "degraded" });
    assert_eq!(admin.patch(&path, same).await.expect(200).json, cleared);
    admin_socket.assert_nothing_received().await;

    admin.delete(&path).await.expect(204);
    assert_eq!(
        next_change(&mut admin_socket, "service-update", "deleted").await,
        cleared
    );
    next_change(&mut admin_socket, "status-update", "updated").await;
    assert_eq!(admin.get(&path).await.refused(404), "not_found");
    for (method, body) in [("PUT", "{}"), ("PATCH", "{}"), ("DELETE", "")] {
        let headers = [("content-type", "application/json")];
        let answer = admin.send_text(method, &path, &headers, body).await;
        assert_eq!(answer.refused(404), "not_found", "{method}");
    }
    admin_socket.assert_nothing_received().await;

    let audit = admin.get("/api/audit?limit=100").await.expect(200).json;
    let actions: Vec<_> = audit["entries"].as_array().unwrap().iter().collect();
    for action in ["service.create", "service.change", "service.delete"] {
        let entry = actions.iter().find(|entry| entry["action"] == action);
        assert!(entry.unwrap()["target"].is_string(), "{action}");
    }
}

#[tokio::test]
async fn status_update_is_sent_only_when_the_worst_status_changes() {
    let (_daemon, admin, mut admin_socket) = start().await;
    let a = create(&admin, "/api/services", json!({ "name": "A" })).await;
    let b = create(&admin, "/api/services", json!({ "name": "B" })).await;
    for _ in 0..2 {
        next_change(&mut admin_socket, "service-update", "created").await;
    }
    let (a, b) = (path_of("/api/services", &a), path_of("/api/services", &b));
    let overall = async || {
        let status = admin.get("/api/status").await.expect(200).json;
        status["status"].as_str().unwrap().to_owned()
    };
    // Service to change, its new status, and the board's new status if that changes.
    let steps = [
        (&a, "maintenance", Some("maintenance")),
        (&b, "degraded", Some("degraded")),
        (&a, "degraded", None),
        (&b, "partial_outage", Some("partial_outage")),
        (&a, "major_outage", Some("major_outage")),
        (&b, "operational", None),
        (&a, "maintenance", Some("maintenance")),
        (&a, "operational", Some("operational")),
    ];
    let mut before = "operational";
    for (path, status, worst) in steps {
        let changed = admin.patch(path, json!({ "status": status })).await;
        assert_eq!(changed.expect(200).json["status"], status);
        next_change(&mut admin_socket, "service-update", "updated").await;
        if let Some(worst) = worst {
            let event = next_change(&mut admin_socket, "status-update", "updated").await;
            let expected = json!({
                "organizationId": null, "tenantId": null,
                "status": worst, "previousStatus": before,
            });
            assert_eq!(event, expected);
            before = worst;
        }
        assert_eq!(overall().await, before);
        admin_socket.assert_nothing_received().await;
    }
}

#[tokio::test]
async fn global_service_change_updates_boards_that_are_not_worse() {
    let (_daemon, admin, mut admin_socket) = start().await;
    for (organization, tenant, status) in [
        (json!("o"), Value::Null, "operational"),
        (json!("o"), json!("t"), "partial_outage"),
        (json!("p"), Value::Null, "degraded"),
    ] {
        let body = json!({
            "name": "S", "organizationId": organization, "tenantId": tenant, "status": status,
        });
        create(&admin, "/api/services", body).await;
    }
    let all = create(&admin, "/api/services", json!({ "name": "All" })).await;
    let path = path_of("/api/services", &all);
    let since = admin.get("/api/events").await.json["lastEventId"].clone();
    admin
        .patch(&path, json!({ "status": "degraded" }))
        .await
        .expect(200);
    let page = admin.get(&format!("/api/events?after={since}")).await.json;
    let boards: Vec<_> = page["events"].as_array().unwrap()[1..]
        .iter()
        .map(|event| {
            assert_eq!(event["type"], "status-update");
            let data = &event["data"]["data"];
            (data["organizationId"].clone(), data["tenantId"].clone())
        })
        .collect();
    assert_eq!(
        boards,
        [(Value::Null, Value::Null), (json!("o"), Value::Null)]
    );
    for (query, worst) in [
        ("", "partial_outage"),
        ("?organizationId=&tenantId=", "partial_outage"),
        ("?organizationId=o", "degraded"),
        ("?organizationId=o&tenantId=t", "partial_outage"),
        ("?organizationId=p", "degraded"),
        ("?organizationId=nobody", "degraded"),
        ("?tenantId=t", "degraded"),
    ] {
        let status = admin.get(&format!("/api/status{query}")).await.expect(200);
        assert_eq!(status.json["status"], worst, "{query}");
    }
    assert_eq!(
        admin_socket.next_of("status-update").await["data"]["data"]["organizationId"],
        "o"
    );
}

#[tokio::test]
async fn incident_lifecycle_emits_events_and_updates_the_board() {
    let (_daemon, admin, mut admin_socket) = start().await;
    let service = create(&admin, "/api/services", json!({ "name": "Search" })).await;
    admin_socket.next_of("service-update").await;
    let created = create(&admin, "/api/incidents", json!({ "title": "Slow" })).await;
    assert!(created["id"].as_str().unwrap().starts_with("incident_"));
    let expected = json!({
        "id": created["id"], "title": "Slow", "description": "", "status": "investigating",
        "severity": "minor", "serviceIds": [], "organizationId": null, "tenantId": null,
        "updates": [], "createdAt": created["createdAt"], "updatedAt": created["createdAt"],
    });
    assert_eq!(created, expected);
    assert_eq!(
        next_change(&mut admin_socket, "incident-update", "created").await,
        created
    );

    let path = path_of("/api/incidents", &created);
    let id = &service["id"];
    let body = json!({ "severity": "critical", "service_ids": [id, id, "database"] });
    let changed = admin.put(&path, body).await.expect(200).json;
    assert_eq!(changed["serviceIds"], json!([id, "database"]));
    assert_eq!(
        (&changed["title"], &changed["severity"]),
        (&created["title"], &json!("critical"))
    );
    assert_eq!(
        next_change(&mut admin_socket, "incident-update", "updated").await,
        changed
    );
    assert_eq!(
        admin.patch(&path, json!({})).await.expect(200).json,
        changed
    );
    admin_socket.assert_nothing_received().await;

    let updates = format!("{path}/updates");
    let incident = json!({ "message": "Found it", "status": "identified" });
    let incident = create(&admin, &updates, incident).await;
    assert_eq!(incident["status"], "identified");
    let update = &incident["updates"][0];
    assert_eq!(keys(update), ["createdAt", "message", "status"]);
    assert_eq!(update["message"], "Found it");
    assert_eq!(
        next_change(&mut admin_socket, "incident-update", "updated").await,
        incident
    );
    let incident = create(&admin, &updates, json!({ "message": "Still at it" })).await;
    assert_eq!(incident["updates"][1]["status"], "identified");
    assert_eq!(incident["status"], "identified");
    admin_socket.next_of("incident-update").await;

    // The board shows open incidents; the list also has resolved ones.
    let board = async || admin.get("/api/status").await.expect(200).json["incidents"].clone();
    assert_eq!(board().await, json!([incident]));
    let resolved = json!({ "message": "Done", "status": "resolved" });
    let resolved = create(&admin, &updates, resolved).await;
    assert_eq!(
        next_change(&mut admin_socket, "incident-update", "updated").await,
        resolved
    );
    assert_eq!(board().await, json!([]));
    let list = admin.get("/api/incidents").await.expect(200).json;
    assert_eq!(list, json!({ "incidents": [resolved], "nextCursor": null }));
    let reopened = json!({ "status": "monitoring" });
    let reopened = admin.patch(&path, reopened).await.expect(200).json;
    admin_socket.next_of("incident-update").await;
    assert_eq!(board().await, json!([reopened]));

    // An incident keeps the id of a deleted service, but new incidents cannot refer to it.
    admin
        .delete(&path_of("/api/services", &service))
        .await
        .expect(204);
    admin_socket.next_of("service-update").await;
    let kept = admin.patch(&path, json!({ "description": "a\nb" })).await;
    assert_eq!(kept.expect(200).json["serviceIds"], json!([id, "database"]));
    admin_socket.next_of("incident-update").await;
    let other = json!({ "title": "Other", "serviceIds": [id] });
    let refused = admin.post("/api/incidents", other).await;
    assert_eq!(refused.json["field"], "serviceIds");
    refused.refused(422);

    admin.delete(&path).await.expect(204);
    let deleted = next_change(&mut admin_socket, "incident-update", "deleted").await;
    assert_eq!(deleted["id"], created["id"]);
    for (method, path) in [("GET", &path), ("PATCH", &path), ("POST", &updates)] {
        let headers = [("content-type", "application/json")];
        let body = json!({ "message": "x" }).to_string();
        let answer = admin.send_text(method, path, &headers, &body).await;
        assert_eq!(answer.refused(404), "not_found", "{method}");
    }
    admin_socket.assert_nothing_received().await;
}

#[tokio::test]
async fn invalid_board_field_returns_422_and_emits_nothing() {
    let (_daemon, admin, mut admin_socket) = start().await;
    let long = "x".repeat(2001);
    for (path, body, field) in [
        ("services", json!({}), "name"),
        ("services", json!({ "name": "" }), "name"),
        ("services", json!({ "name": &long[..101] }), "name"),
        ("services", json!({ "name": "a\nb" }), "name"),
        (
            "services",
            json!({ "name": "a", "description": long }),
            "description",
        ),
        (
            "services",
            json!({ "name": "a", "status": "down" }),
            "status",
        ),
        (
            "services",
            json!({ "name": "a", "status": "resolved" }),
            "status",
        ),
        (
            "services",
            json!({ "name": "a", "organizationId": "a b" }),
            "organizationId",
        ),
        (
            "services",
            json!({ "name": "a", "tenantId": 7 }),
            "tenantId",
        ),
        ("incidents", json!({}), "title"),
        ("incidents", json!({ "title": &long[..201] }), "title"),
        (
            "incidents",
            json!({ "title": "a", "description": long }),
            "description",
        ),
        (
            "incidents",
            json!({ "title": "a", "status": "operational" }),
            "status",
        ),
        (
            "incidents",
            json!({ "title": "a", "severity": "" }),
            "severity",
        ),
        (
            "incidents",
            json!({ "title": "a", "severity": &long[..33] }),
            "severity",
        ),
        (
            "incidents",
            json!({ "title": "a", "serviceIds": ["none"] }),
            "serviceIds",
        ),
        (
            "incidents",
            json!({ "title": "a", "serviceIds": "database" }),
            "serviceIds",
        ),
        (
            "incidents",
            json!({ "title": "a", "serviceIds": (0..101).collect::<Vec<_>>().iter().map(|n| format!("s{n}")).collect::<Vec<_>>() }),
            "serviceIds",
        ),
    ] {
        let refused = admin.post(&format!("/api/{path}"), body.clone()).await;
        assert_eq!(refused.json["field"], field, "{body}");
        assert_eq!(refused.refused(422), "invalid_field", "{body}");
    }
    for query in ["organizationId=a%20b", "tenantId=%00"] {
        let refused = admin.get(&format!("/api/status?{query}")).await;
        assert_eq!(refused.refused(422), "invalid_field", "{query}");
    }
    admin_socket.assert_nothing_received().await;
    let created = create(&admin, "/api/incidents", json!({ "title": "a" })).await;
    admin_socket.next_of("incident-update").await;
    let updates = format!("{}/updates", path_of("/api/incidents", &created));
    for body in [
        json!({}),
        json!({ "message": "" }),
        json!({ "message": &long[..1001] }),
    ] {
        let refused = admin.post(&updates, body).await;
        assert_eq!(refused.json["field"], "message");
        refused.refused(422);
    }
    admin_socket.assert_nothing_received().await;
}

#[tokio::test]
async fn incident_refers_only_to_services_its_audience_can_see() {
    let (_daemon, admin, mut admin_socket) = start().await;
    let service = async |organization: Value| {
        let body = json!({ "name": "S", "organizationId": organization });
        create(&admin, "/api/services", body).await["id"].clone()
    };
    let (all, own, other) = (
        service(Value::Null).await,
        service(json!("o")).await,
        service(json!("p")).await,
    );
    let body = |ids: Value, organization: Value| json!({ "title": "I", "serviceIds": ids, "organizationId": organization });
    let created = create(
        &admin,
        "/api/incidents",
        body(json!([all, own]), json!("o")),
    )
    .await;
    let path = path_of("/api/incidents", &created);
    for _ in 0..4 {
        admin_socket.next().await;
    }
    for refused in [
        admin
            .post("/api/incidents", body(json!([own]), Value::Null))
            .await,
        admin
            .post("/api/incidents", body(json!([other]), json!("o")))
            .await,
        admin.patch(&path, json!({ "organizationId": null })).await,
        admin.patch(&path, json!({ "serviceIds": [other] })).await,
    ] {
        assert_eq!(refused.json["field"], "serviceIds");
        refused.refused(422);
    }
    assert_eq!(admin.get(&path).await.expect(200).json, created);
    admin_socket.assert_nothing_received().await;
}

#[tokio::test]
async fn number_of_services_incidents_and_updates_is_limited() {
    let daemon = Daemon::start().await;
    let admin = daemon.local();
    let created = create(&admin, "/api/incidents", json!({ "title": "0" })).await;
    let path = path_of("/api/incidents", &created);
    let updates = format!("{path}/updates");
    for n in 0..100 {
        create(&admin, &updates, json!({ "message": n.to_string() })).await;
    }
    let full = admin.post(&updates, json!({ "message": "x" })).await;
    assert_eq!(full.refused(409), "too_many");
    // Every event carries all updates of its incident, so their total size is limited too.
    let long = create(&admin, "/api/incidents", json!({ "title": "1" })).await;
    let long_updates = format!("{}/updates", path_of("/api/incidents", &long));
    let longest = json!({ "message": "😀".repeat(1000) });
    for _ in 0..32 {
        create(&admin, &long_updates, longest.clone()).await;
    }
    assert_eq!(
        admin.post(&long_updates, longest).await.refused(409),
        "too_many"
    );
    create(&admin, &long_updates, json!({ "message": "short" })).await;
    for n in 2..100 {
        create(&admin, "/api/incidents", json!({ "title": n.to_string() })).await;
    }
    let full = admin.post("/api/incidents", json!({ "title": "x" })).await;
    assert_eq!(full.refused(409), "too_many");
    // The limit counts open incidents: resolving one makes room, reopening one is refused while it is reached.
    let closed = json!({ "title": "over", "status": "resolved" });
    let closed = create(&admin, "/api/incidents", closed).await;
    let reopened = admin
        .patch(
            &path_of("/api/incidents", &closed),
            json!({ "status": "identified" }),
        )
        .await;
    assert_eq!(reopened.refused(409), "too_many");
    let resolved = json!({ "status": "resolved" });
    admin.patch(&path, resolved).await.expect(200);
    create(&admin, "/api/incidents", json!({ "title": "x" })).await;

    for n in 1..500 {
        create(&admin, "/api/services", json!({ "name": n.to_string() })).await;
    }
    let full = admin.post("/api/services", json!({ "name": "x" })).await;
    assert_eq!(full.refused(409), "too_many");
    let board = admin.get("/api/status").await.expect(200).json;
    assert_eq!(board["services"].as_array().unwrap().len(), 500);
}

#[tokio::test]
async fn board_lists_are_paged_by_what_the_caller_can_see() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let user = json!({ "role": "user", "name": "u", "organizationId": "o", "tenantId": "t" });
    let user = daemon.api_of(&daemon.token(user).await);
    let mut expected = vec![];
    for n in 0..9 {
        let (organization, tenant) = [
            (Value::Null, Value::Null),
            (json!("o"), Value::Null),
            (json!("p"), json!("t")),
            (json!("o"), json!("t")),
        ][n % 4]
            .clone();
        for (path, name) in [("/api/services", "name"), ("/api/incidents", "title")] {
            let body = json!({
                name: n.to_string(), "organizationId": organization, "tenantId": tenant,
            });
            create(&admin, path, body).await;
        }
        if n % 4 != 2 {
            expected.push(n.to_string());
        }
    }
    for (plural, name) in [("services", "name"), ("incidents", "title")] {
        let mut names = Vec::new();
        let mut path = format!("/api/{plural}?limit=2");
        loop {
            let page = user.get(&path).await.expect(200).json;
            let items = page[plural].as_array().unwrap();
            assert!(items.len() <= 2);
            let own = items.iter().filter(|item| item["id"] != "database");
            names.extend(own.map(|item| item[name].as_str().unwrap().to_owned()));
            match page["nextCursor"].as_str() {
                Some(cursor) => path = format!("/api/{plural}?limit=2&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(names, expected);
        let all = admin.get(&format!("/api/{plural}")).await.expect(200).json;
        let all = all[plural].as_array().unwrap().iter();
        assert_eq!(all.filter(|item| item["id"] != "database").count(), 9);
    }
}

#[tokio::test]
async fn system_services_are_on_every_board_and_read_only() {
    let (daemon, admin, mut admin_socket) = start().await;
    let user = daemon.token(json!({ "role": "user", "name": "u" })).await;
    for api in [&admin, &daemon.api_of(&user)] {
        let database = api.get("/api/services/database").await.expect(200).json;
        assert_eq!(database["status"], "operational");
        assert_eq!(database["organizationId"], Value::Null);
        assert_eq!(keys(&database).len(), 8);
        let list = api.get("/api/services").await.expect(200).json;
        assert_eq!(list["services"], json!([database]));
        let board = api.get("/api/status").await.expect(200).json;
        assert_eq!(
            keys(&board),
            [
                "incidents",
                "organizationId",
                "services",
                "status",
                "tenantId",
                "timestamp"
            ]
        );
        assert_eq!(board["services"], json!([database]));
    }
    let path = "/api/services/database";
    for body in [json!({}), json!({ "status": "degraded" })] {
        assert_eq!(
            admin.put(path, body.clone()).await.refused(409),
            "own_service"
        );
        assert_eq!(admin.patch(path, body).await.refused(409), "own_service");
    }
    assert_eq!(admin.delete(path).await.refused(409), "own_service");
    admin_socket.assert_nothing_received().await;
}

#[tokio::test]
async fn failing_disk_is_published_as_a_database_outage() {
    let daemon = Daemon::ignoring_sigxfsz(&[]).await;
    let admin = daemon.admin().await;
    let body = json!({ "name": "S", "organizationId": "o", "status": "degraded" });
    create(&admin, "/api/services", body).await;
    let user = json!({ "role": "user", "name": "u", "organizationId": "o" });
    let user = daemon.token(user).await;
    let token = user["token"].as_str().unwrap();
    let mut user_socket = daemon.listen(token).await;
    let welcome = daemon.welcome(token).await;
    let database = async || {
        let board = daemon.api_of(&user).get("/api/status").await.expect(200);
        let database = &board.json["services"][0];
        assert_eq!(database["id"], "database");
        (board.json["status"].clone(), database["status"].clone())
    };
    assert_eq!(database().await, (json!("degraded"), json!("operational")));

    daemon.limit_file_size("0").await;
    let refused = admin
        .post("/api/services", json!({ "name": "never" }))
        .await;
    refused.refused(503);
    daemon.unauthenticated().get("/health").await.expect(503);
    assert_eq!(
        database().await,
        (json!("major_outage"), json!("major_outage"))
    );
    let down = next_change(&mut user_socket, "service-update", "updated").await;
    assert_eq!(
        (&down["id"], &down["status"]),
        (&json!("database"), &json!("major_outage"))
    );
    for (board, before) in [(Value::Null, "operational"), (json!("o"), "degraded")] {
        let event = next_change(&mut user_socket, "status-update", "updated").await;
        let expected = json!({
            "organizationId": board, "tenantId": null,
            "status": "major_outage", "previousStatus": before,
        });
        assert_eq!(event, expected);
    }
    user_socket.close().await;

    daemon.limit_file_size("unlimited").await;
    until("the database", async || {
        (database().await.1 == "operational").then_some(())
    })
    .await;
    // The recovery events are durable: a session that was closed meanwhile gets them by replay.
    let (since, epoch) = (&welcome["lastEventId"], welcome["epoch"].as_str().unwrap());
    let path = format!("/ws?since={since}&epoch={epoch}");
    let mut user_socket = Socket::open(&daemon, &path, Some(token)).await.unwrap();
    user_socket.next_of("connection").await;
    let up = next_change(&mut user_socket, "service-update", "updated").await;
    assert_eq!(
        (&up["id"], &up["status"]),
        (&json!("database"), &json!("operational"))
    );
    for (board, after) in [(Value::Null, "operational"), (json!("o"), "degraded")] {
        let event = next_change(&mut user_socket, "status-update", "updated").await;
        assert_eq!(event["organizationId"], board);
        assert_eq!(
            (&event["previousStatus"], &event["status"]),
            (&json!("major_outage"), &json!(after))
        );
    }
    user_socket.assert_nothing_received().await;
}
