//! The status board over HTTP, and its three events (seed 2; contract 5 and 6.5).

use serde_json::{Value, json};

use crate::support::{Api, Daemon, Socket, assert_timestamp, keys, until};

/// A daemon, an admin, and the admin's socket past its first words.
async fn house() -> (Daemon, Api, Socket) {
    let daemon = Daemon::start().await;
    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let office = daemon.listen(token["token"].as_str().unwrap()).await;
    let admin = daemon.api_of(&token);
    (daemon, admin, office)
}

async fn make(admin: &Api, path: &str, body: Value) -> Value {
    admin.post(path, body).await.expect(201).json
}

fn at(path: &str, thing: &Value) -> String {
    format!("{path}/{}", thing["id"].as_str().unwrap())
}

/// The next event but `system_status`, which must have this type, this inner type and seed 2's shape.
async fn told(socket: &mut Socket, kind: &str, change: &str) -> Value {
    let mut event = socket.next().await;
    while event["type"] == "system_status" {
        event = socket.next().await;
    }
    assert_eq!(event["type"], kind, "{event}");
    assert_eq!(keys(&event["data"]), ["data", "timestamp", "type"]);
    assert_eq!(event["data"]["type"], change);
    assert_timestamp(&event["data"]["timestamp"]);
    event["data"]["data"].clone()
}

#[tokio::test]
async fn a_service_has_the_shape_of_the_contract_and_its_defaults() {
    let (_daemon, admin, mut office) = house().await;
    let made = make(&admin, "/api/services", json!({ "name": "  Search " })).await;
    assert!(made["id"].as_str().unwrap().starts_with("service_"));
    let expected = json!({
        "id": made["id"], "name": "Search", "description": "", "status": "operational",
        "organizationId": null, "tenantId": null,
        "createdAt": made["createdAt"], "updatedAt": made["createdAt"],
    });
    assert_eq!(made, expected);
    assert_timestamp(&made["createdAt"]);
    assert_eq!(told(&mut office, "service-update", "created").await, made);
    let path = at("/api/services", &made);
    assert_eq!(admin.get(&path).await.expect(200).json, made);
    office.assert_nothing_received().await;

    // Seed 2's own calls, both spellings of a key.
    let body = json!({
        "name": "Test Service", "description": "Test", "organization_id": "org-456",
        "tenantId": "t", "status": "maintenance",
    });
    let made = make(&admin, "/api/services", body).await;
    assert_eq!(made["organizationId"], "org-456");
    assert_eq!(made["status"], "maintenance");
    told(&mut office, "service-update", "created").await;
    told(&mut office, "status-update", "updated").await;
    let path = at("/api/services", &made);
    let changed = admin.put(&path, json!({ "status": "degraded" })).await;
    let changed = changed.expect(200).json;
    let mut expected = made.clone();
    expected["status"] = "degraded".into();
    expected["updatedAt"] = changed["updatedAt"].clone();
    assert_eq!(changed, expected, "what the body leaves out stays");
    let event = told(&mut office, "service-update", "updated").await;
    assert_eq!(event, changed);
    told(&mut office, "status-update", "updated").await;

    // Null clears, and a change that changes nothing tells nothing.
    let cleared = json!({ "tenantId": null, "description": null, "name": null });
    let cleared = admin.patch(&path, cleared).await.expect(200).json;
    assert_eq!(cleared["tenantId"], Value::Null);
    assert_eq!(cleared["description"], "");
    assert_eq!(cleared["name"], "Test Service");
    // Wider than before: nobody who saw it sees it no more.
    assert_eq!(
        told(&mut office, "service-update", "updated").await,
        cleared
    );
    let event = told(&mut office, "status-update", "updated").await;
    assert_eq!(
        (&event["tenantId"], &event["status"]),
        (&Value::Null, &json!("degraded"))
    );
    let same = json!({ "status": "degraded" });
    assert_eq!(admin.patch(&path, same).await.expect(200).json, cleared);
    office.assert_nothing_received().await;

    admin.delete(&path).await.expect(204);
    assert_eq!(
        told(&mut office, "service-update", "deleted").await,
        cleared
    );
    told(&mut office, "status-update", "updated").await;
    assert_eq!(admin.get(&path).await.refused(404), "not_found");
    for (method, body) in [("PUT", "{}"), ("PATCH", "{}"), ("DELETE", "")] {
        let headers = [("content-type", "application/json")];
        let answer = admin.send_text(method, &path, &headers, body).await;
        assert_eq!(answer.refused(404), "not_found", "{method}");
    }
    office.assert_nothing_received().await;

    let audit = admin.get("/api/audit?limit=100").await.expect(200).json;
    let actions: Vec<_> = audit["entries"].as_array().unwrap().iter().collect();
    for action in ["service.create", "service.change", "service.delete"] {
        let entry = actions.iter().find(|entry| entry["action"] == action);
        assert!(entry.unwrap()["target"].is_string(), "{action}");
    }
}

#[tokio::test]
async fn status_update_tells_when_the_worst_service_of_a_board_changes_and_only_then() {
    let (_daemon, admin, mut office) = house().await;
    let a = make(&admin, "/api/services", json!({ "name": "A" })).await;
    let b = make(&admin, "/api/services", json!({ "name": "B" })).await;
    for _ in 0..2 {
        told(&mut office, "service-update", "created").await;
    }
    let (a, b) = (at("/api/services", &a), at("/api/services", &b));
    let overall = async || {
        let status = admin.get("/api/status").await.expect(200).json;
        status["status"].as_str().unwrap().to_owned()
    };
    // From the best to the worst, whichever service it is.
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
        told(&mut office, "service-update", "updated").await;
        if let Some(worst) = worst {
            let event = told(&mut office, "status-update", "updated").await;
            let expected = json!({
                "organizationId": null, "tenantId": null,
                "status": worst, "previousStatus": before,
            });
            assert_eq!(event, expected);
            before = worst;
        }
        assert_eq!(overall().await, before);
        office.assert_nothing_received().await;
    }
}

#[tokio::test]
async fn a_service_for_all_changes_the_boards_below_it_unless_they_are_worse_already() {
    let (_daemon, admin, mut office) = house().await;
    for (organization, tenant, status) in [
        (json!("o"), Value::Null, "operational"),
        (json!("o"), json!("t"), "partial_outage"),
        (json!("p"), Value::Null, "degraded"),
    ] {
        let body = json!({
            "name": "S", "organizationId": organization, "tenantId": tenant, "status": status,
        });
        make(&admin, "/api/services", body).await;
    }
    let all = make(&admin, "/api/services", json!({ "name": "All" })).await;
    let path = at("/api/services", &all);
    let since = admin.get("/api/events").await.json["lastEventId"].clone();
    admin
        .patch(&path, json!({ "status": "degraded" }))
        .await
        .expect(200);
    let heard = admin.get(&format!("/api/events?after={since}")).await.json;
    let boards: Vec<_> = heard["events"].as_array().unwrap()[1..]
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
        office.next_of("status-update").await["data"]["data"]["organizationId"],
        "o"
    );
}

#[tokio::test]
async fn an_incident_has_the_shape_of_the_contract_and_tells_how_it_goes() {
    let (_daemon, admin, mut office) = house().await;
    let service = make(&admin, "/api/services", json!({ "name": "Search" })).await;
    office.next_of("service-update").await;
    let made = make(&admin, "/api/incidents", json!({ "title": "Slow" })).await;
    assert!(made["id"].as_str().unwrap().starts_with("incident_"));
    let expected = json!({
        "id": made["id"], "title": "Slow", "description": "", "status": "investigating",
        "severity": "minor", "serviceIds": [], "organizationId": null, "tenantId": null,
        "updates": [], "createdAt": made["createdAt"], "updatedAt": made["createdAt"],
    });
    assert_eq!(made, expected);
    assert_eq!(told(&mut office, "incident-update", "created").await, made);

    let path = at("/api/incidents", &made);
    let id = &service["id"];
    let body = json!({ "severity": "critical", "service_ids": [id, id, "database"] });
    let changed = admin.put(&path, body).await.expect(200).json;
    assert_eq!(changed["serviceIds"], json!([id, "database"]));
    assert_eq!(
        (&changed["title"], &changed["severity"]),
        (&made["title"], &json!("critical"))
    );
    assert_eq!(
        told(&mut office, "incident-update", "updated").await,
        changed
    );
    assert_eq!(
        admin.patch(&path, json!({})).await.expect(200).json,
        changed
    );
    office.assert_nothing_received().await;

    let updates = format!("{path}/updates");
    let said = json!({ "message": "Found it", "status": "identified" });
    let said = make(&admin, &updates, said).await;
    assert_eq!(said["status"], "identified");
    let update = &said["updates"][0];
    assert_eq!(keys(update), ["createdAt", "message", "status"]);
    assert_eq!(update["message"], "Found it");
    assert_eq!(told(&mut office, "incident-update", "updated").await, said);
    let said = make(&admin, &updates, json!({ "message": "Still at it" })).await;
    assert_eq!(said["updates"][1]["status"], "identified");
    assert_eq!(said["status"], "identified");
    office.next_of("incident-update").await;

    // Open ones are on the board; what is resolved is in the list alone.
    let board = async || admin.get("/api/status").await.expect(200).json["incidents"].clone();
    assert_eq!(board().await, json!([said]));
    let over = json!({ "message": "Done", "status": "resolved" });
    let over = make(&admin, &updates, over).await;
    assert_eq!(told(&mut office, "incident-update", "updated").await, over);
    assert_eq!(board().await, json!([]));
    let list = admin.get("/api/incidents").await.expect(200).json;
    assert_eq!(list, json!({ "incidents": [over], "nextCursor": null }));
    let open = json!({ "status": "monitoring" });
    let open = admin.patch(&path, open).await.expect(200).json;
    office.next_of("incident-update").await;
    assert_eq!(board().await, json!([open]));

    // A service that is gone stays named, and nothing new can name it.
    admin
        .delete(&at("/api/services", &service))
        .await
        .expect(204);
    office.next_of("service-update").await;
    let kept = admin.patch(&path, json!({ "description": "a\nb" })).await;
    assert_eq!(kept.expect(200).json["serviceIds"], json!([id, "database"]));
    office.next_of("incident-update").await;
    let other = json!({ "title": "Other", "serviceIds": [id] });
    let refused = admin.post("/api/incidents", other).await;
    assert_eq!(refused.json["field"], "serviceIds");
    refused.refused(422);

    admin.delete(&path).await.expect(204);
    let gone = told(&mut office, "incident-update", "deleted").await;
    assert_eq!(gone["id"], made["id"]);
    for (method, path) in [("GET", &path), ("PATCH", &path), ("POST", &updates)] {
        let headers = [("content-type", "application/json")];
        let body = json!({ "message": "x" }).to_string();
        let answer = admin.send_text(method, path, &headers, &body).await;
        assert_eq!(answer.refused(404), "not_found", "{method}");
    }
    office.assert_nothing_received().await;
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_field_and_tells_nobody() {
    let (_daemon, admin, mut office) = house().await;
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
    office.assert_nothing_received().await;
    let made = make(&admin, "/api/incidents", json!({ "title": "a" })).await;
    office.next_of("incident-update").await;
    let updates = format!("{}/updates", at("/api/incidents", &made));
    for body in [
        json!({}),
        json!({ "message": "" }),
        json!({ "message": &long[..1001] }),
    ] {
        let refused = admin.post(&updates, body).await;
        assert_eq!(refused.json["field"], "message");
        refused.refused(422);
    }
    office.assert_nothing_received().await;
}

#[tokio::test]
async fn an_incident_names_only_services_that_those_for_whom_it_is_see() {
    let (_daemon, admin, mut office) = house().await;
    let service = async |organization: Value| {
        let body = json!({ "name": "S", "organizationId": organization });
        make(&admin, "/api/services", body).await["id"].clone()
    };
    let (all, own, other) = (
        service(Value::Null).await,
        service(json!("o")).await,
        service(json!("p")).await,
    );
    let body = |ids: Value, organization: Value| json!({ "title": "I", "serviceIds": ids, "organizationId": organization });
    let made = make(
        &admin,
        "/api/incidents",
        body(json!([all, own]), json!("o")),
    )
    .await;
    let path = at("/api/incidents", &made);
    for _ in 0..4 {
        office.next().await;
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
    assert_eq!(admin.get(&path).await.expect(200).json, made);
    office.assert_nothing_received().await;
}

#[tokio::test]
async fn services_incidents_and_updates_are_bounded() {
    let daemon = Daemon::start().await;
    let admin = daemon.local();
    let made = make(&admin, "/api/incidents", json!({ "title": "0" })).await;
    let path = at("/api/incidents", &made);
    let updates = format!("{path}/updates");
    for n in 0..100 {
        make(&admin, &updates, json!({ "message": n.to_string() })).await;
    }
    let full = admin.post(&updates, json!({ "message": "x" })).await;
    assert_eq!(full.refused(409), "too_many");
    // Each event holds all of them: of long ones there may be fewer.
    let long = make(&admin, "/api/incidents", json!({ "title": "1" })).await;
    let said = format!("{}/updates", at("/api/incidents", &long));
    let most = json!({ "message": "😀".repeat(1000) });
    for _ in 0..32 {
        make(&admin, &said, most.clone()).await;
    }
    assert_eq!(admin.post(&said, most).await.refused(409), "too_many");
    make(&admin, &said, json!({ "message": "short" })).await;
    for n in 2..100 {
        make(&admin, "/api/incidents", json!({ "title": n.to_string() })).await;
    }
    let full = admin.post("/api/incidents", json!({ "title": "x" })).await;
    assert_eq!(full.refused(409), "too_many");
    // One that is over makes room, but may not come back once it is taken.
    let over = json!({ "title": "over", "status": "resolved" });
    let over = make(&admin, "/api/incidents", over).await;
    let reopened = admin
        .patch(
            &at("/api/incidents", &over),
            json!({ "status": "identified" }),
        )
        .await;
    assert_eq!(reopened.refused(409), "too_many");
    let resolved = json!({ "status": "resolved" });
    admin.patch(&path, resolved).await.expect(200);
    make(&admin, "/api/incidents", json!({ "title": "x" })).await;

    for n in 1..500 {
        make(&admin, "/api/services", json!({ "name": n.to_string() })).await;
    }
    let full = admin.post("/api/services", json!({ "name": "x" })).await;
    assert_eq!(full.refused(409), "too_many");
    let board = admin.get("/api/status").await.expect(200).json;
    assert_eq!(board["services"].as_array().unwrap().len(), 500);
}

#[tokio::test]
async fn lists_come_in_pages_of_what_the_caller_sees() {
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
            make(&admin, path, body).await;
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
            let things = page[plural].as_array().unwrap();
            assert!(things.len() <= 2);
            let own = things.iter().filter(|thing| thing["id"] != "database");
            names.extend(own.map(|thing| thing[name].as_str().unwrap().to_owned()));
            match page["nextCursor"].as_str() {
                Some(cursor) => path = format!("/api/{plural}?limit=2&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(names, expected);
        let all = admin.get(&format!("/api/{plural}")).await.expect(200).json;
        let all = all[plural].as_array().unwrap().iter();
        assert_eq!(all.filter(|thing| thing["id"] != "database").count(), 9);
    }
}

#[tokio::test]
async fn what_wallcast_keeps_itself_is_on_every_board_and_no_request_changes_it() {
    let (daemon, admin, mut office) = house().await;
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
    office.assert_nothing_received().await;
}

#[tokio::test]
async fn a_disk_that_takes_no_writes_is_an_outage_of_the_database_that_everyone_hears_of() {
    let daemon = Daemon::ignoring_sigxfsz(&[]).await;
    let admin = daemon.admin().await;
    let body = json!({ "name": "S", "organizationId": "o", "status": "degraded" });
    make(&admin, "/api/services", body).await;
    let user = json!({ "role": "user", "name": "u", "organizationId": "o" });
    let user = daemon.token(user).await;
    let token = user["token"].as_str().unwrap();
    let mut person = daemon.listen(token).await;
    let words = daemon.welcome(token).await;
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
    let down = told(&mut person, "service-update", "updated").await;
    assert_eq!(
        (&down["id"], &down["status"]),
        (&json!("database"), &json!("major_outage"))
    );
    for (board, before) in [(Value::Null, "operational"), (json!("o"), "degraded")] {
        let event = told(&mut person, "status-update", "updated").await;
        let expected = json!({
            "organizationId": board, "tenantId": null,
            "status": "major_outage", "previousStatus": before,
        });
        assert_eq!(event, expected);
    }
    person.close().await;

    daemon.limit_file_size("unlimited").await;
    until("the database", async || {
        (database().await.1 == "operational").then_some(())
    })
    .await;
    // Its end is stored: whoever went away meanwhile hears of it.
    let (since, epoch) = (&words["lastEventId"], words["epoch"].as_str().unwrap());
    let path = format!("/ws?since={since}&epoch={epoch}");
    let mut person = Socket::open(&daemon, &path, Some(token)).await.unwrap();
    person.next_of("connection").await;
    let up = told(&mut person, "service-update", "updated").await;
    assert_eq!(
        (&up["id"], &up["status"]),
        (&json!("database"), &json!("operational"))
    );
    for (board, after) in [(Value::Null, "operational"), (json!("o"), "degraded")] {
        let event = told(&mut person, "status-update", "updated").await;
        assert_eq!(event["organizationId"], board);
        assert_eq!(
            (&event["previousStatus"], &event["status"]),
            (&json!("major_outage"), &json!(after))
        );
    }
    person.assert_nothing_received().await;
}
