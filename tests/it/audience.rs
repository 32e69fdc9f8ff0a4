//! Organizations and tenants: which parts of the status board a principal receives, reads and may join
//! (docs/protocol.md#status-board, docs/protocol.md#roles).

use serde_json::{Value, json};

use crate::support::{Api, Daemon, Socket, assert_timestamp, keys};

/// Organization and tenant; an empty string means null.
const AUDIENCES: [(&str, &str); 6] = [
    ("", ""),
    ("o", ""),
    ("o", "t"),
    ("o", "u"),
    ("p", "t"),
    ("", "t"),
];

fn id(text: &str) -> Value {
    match text {
        "" => Value::Null,
        text => text.into(),
    }
}

/// Creates a service and an incident for each audience, named after it.
async fn fill(admin: &Api) {
    for (organization, tenant) in AUDIENCES {
        for (path, key) in [("/api/services", "name"), ("/api/incidents", "title")] {
            let body = json!({
                key: format!("<{organization} {tenant}>"), "status": null,
                "organizationId": id(organization), "tenantId": id(tenant),
            });
            admin.post(path, body).await.expect(201);
        }
    }
}

/// `TYPE NAME` of each event of a service or an incident, in order.
fn names(events: &[Value]) -> Vec<String> {
    let named = |event: &Value| {
        let data = &event["data"]["data"];
        let name = data["name"].as_str().or(data["title"].as_str());
        format!("{} {}", event["type"].as_str().unwrap(), name.unwrap())
    };
    events.iter().map(named).collect()
}

/// Every event up to now, without presence events. A marker incident shows where "now" is, because the
/// reply to a ping may overtake queued events.
async fn received(daemon: &Daemon, socket: &mut Socket) -> Vec<Value> {
    let marker = json!({ "title": "mark", "status": "resolved" });
    let marker = daemon.local().post("/api/incidents", marker).await;
    let marker = marker.expect(201).json["id"].clone();
    let mut events = Vec::new();
    loop {
        let event = socket.next().await;
        if event["data"]["data"]["id"] == marker {
            return events;
        }
        let is_marker = event["data"]["data"]["title"] == "mark";
        let event_type = event["type"].as_str().unwrap();
        if !is_marker && !matches!(event_type, "client_online" | "client_offline") {
            events.push(event);
        }
    }
}

async fn replayed(daemon: &Daemon, token: &str, welcome: &Value) -> Vec<Value> {
    let (since, epoch) = (&welcome["lastEventId"], welcome["epoch"].as_str().unwrap());
    let path = format!("/ws?since={since}&epoch={epoch}");
    let mut socket = Socket::open(daemon, &path, Some(token)).await.unwrap();
    let resumed = socket.next().await;
    assert_eq!(resumed["data"]["recovered"], true);
    received(daemon, &mut socket).await
}

async fn listed(api: &Api, welcome: &Value) -> Vec<Value> {
    let path = format!("/api/events?after={}", welcome["lastEventId"]);
    let page = api.get(&path).await.expect(200).json;
    let events = page["events"].as_array().unwrap().iter();
    let events = events.filter(|event| event["data"]["data"]["title"] != "mark");
    events.cloned().collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Tokens of a user and of a client in this organization and tenant.
async fn people(daemon: &Daemon, organization: &str, tenant: &str) -> [String; 2] {
    let user = json!({
        "role": "user", "name": "u",
        "organizationId": id(organization), "tenantId": id(tenant),
    });
    let user = daemon.token(user).await;
    let client = daemon.pair("Wall", &[]).await;
    let body = json!({ "organizationId": id(organization), "tenantId": id(tenant) });
    let path = format!("/api/clients/{}", client.id);
    daemon.local().patch(&path, body).await.expect(200);
    [text(&user["token"]), client.token]
}

#[tokio::test]
async fn live_replay_and_list_agree_for_each_organization() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let table: [(&str, &str, &[usize]); 6] = [
        ("", "", &[0]),
        ("o", "", &[0, 1]),
        ("o", "t", &[0, 1, 2, 5]),
        ("p", "t", &[0, 4, 5]),
        ("", "t", &[0, 5]),
        ("q", "v", &[0]),
    ];
    let mut everyone = Vec::new();
    for (organization, tenant, sees) in table {
        for token in people(&daemon, organization, tenant).await {
            everyone.push((token, sees.to_vec(), (organization, tenant)));
        }
    }
    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    everyone.push((text(&token["token"]), (0..6).collect(), ("", "")));
    let mut sockets = Vec::new();
    for (token, _, _) in &everyone {
        let mut socket = daemon.connect(token).await;
        let welcome = socket.next_of("connection").await["data"].clone();
        sockets.push((socket, welcome));
    }
    fill(&admin).await;
    for ((token, sees, scope), (socket, welcome)) in everyone.iter().zip(&mut sockets) {
        let audiences = sees.iter().map(|n| AUDIENCES[*n]);
        let items: Vec<_> = audiences.map(|(o, t)| format!("<{o} {t}>")).collect();
        let expected: Vec<_> = items
            .iter()
            .flat_map(|name| {
                ["service-update", "incident-update"]
                    .map(|event_type| format!("{event_type} {name}"))
            })
            .collect();
        let live = received(&daemon, socket).await;
        assert_eq!(names(&live), expected, "{scope:?}");
        let again = replayed(&daemon, token, welcome).await;
        assert_eq!(again, live, "{scope:?}");
        let api = daemon.api(token);
        assert_eq!(names(&listed(&api, welcome).await), expected, "{scope:?}");

        for (path, plural, key) in [
            ("services", "services", "name"),
            ("incidents", "incidents", "title"),
            ("status", "services", "name"),
            ("status", "incidents", "title"),
        ] {
            let answer = api.get(&format!("/api/{path}")).await.expect(200).json;
            let all = answer[plural].as_array().unwrap().iter();
            let all = all.filter(|item| item["id"] != "database" && item["title"] != "mark");
            let read: Vec<_> = all.map(|item| text(&item[key])).collect();
            assert_eq!(read, items, "{scope:?} {path}");
        }
    }
}

#[tokio::test]
async fn foreign_or_unknown_board_item_returns_403() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    fill(&admin).await;
    let ids = async |plural: &str| {
        let all = admin.get(&format!("/api/{plural}")).await.expect(200).json;
        all[plural].as_array().unwrap().clone()
    };
    let (services, incidents) = (ids("services").await, ids("incidents").await);
    for token in people(&daemon, "o", "u").await {
        let api = daemon.api(&token);
        for (plural, items) in [("services", &services), ("incidents", &incidents)] {
            for item in items {
                let path = format!("/api/{plural}/{}", item["id"].as_str().unwrap());
                let organization = &item["organizationId"];
                let tenant = &item["tenantId"];
                let is_shown = (organization.is_null() || organization == "o")
                    && (tenant.is_null() || tenant == "u");
                let answer = api.get(&path).await;
                match is_shown {
                    true => assert_eq!(answer.expect(200).json, *item),
                    false => assert_eq!(answer.refused(403), "forbidden"),
                }
                for method in ["PUT", "PATCH", "DELETE"] {
                    let headers = [("content-type", "application/json")];
                    let answer = api.send_text(method, &path, &headers, "{}").await;
                    assert_eq!(answer.refused(403), "forbidden", "{method}");
                }
            }
            for path in [
                format!("/api/{plural}/none"),
                format!("/api/{plural}/a%20b"),
            ] {
                assert_eq!(api.get(&path).await.refused(403), "forbidden");
                assert_eq!(admin.get(&path).await.refused(404), "not_found");
            }
            let answer = api.post(&format!("/api/{plural}"), json!({})).await;
            assert_eq!(answer.refused(403), "forbidden");
        }
        let path = format!(
            "/api/incidents/{}/updates",
            incidents[0]["id"].as_str().unwrap()
        );
        let answer = api.post(&path, json!({ "message": "x" })).await;
        assert_eq!(answer.refused(403), "forbidden");

        // It reads its own board, however the query names it, and no other.
        let own = api.get("/api/status").await.expect(200).json;
        assert_eq!(
            (&own["organizationId"], &own["tenantId"]),
            (&json!("o"), &json!("u"))
        );
        for query in [
            "organizationId=o",
            "tenantId=u",
            "organizationId=o&tenantId=u",
        ] {
            let board = api.get(&format!("/api/status?{query}")).await.expect(200);
            assert_eq!(board.json["services"], own["services"], "{query}");
        }
        for query in [
            "organizationId=p",
            "tenantId=t",
            "organizationId=o&tenantId=t",
        ] {
            let board = api.get(&format!("/api/status?{query}")).await;
            assert_eq!(board.refused(403), "forbidden", "{query}");
        }
    }
    for path in ["/api/services", "/api/incidents", "/api/status"] {
        daemon.unauthenticated().get(path).await.refused(401);
    }
}

#[tokio::test]
async fn moved_tablet_receives_old_board_before_and_new_board_after() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let mut socket = daemon.connect(&tablet.token).await;
    let welcome = socket.next_of("connection").await["data"].clone();
    let path = format!("/api/clients/{}", tablet.id);
    let mut expected = Vec::new();
    for (organization, tenant, sees) in [
        ("o", "", vec![0, 1]),
        ("o", "t", vec![0, 1, 2, 5]),
        ("o", "u", vec![0, 1, 3]),
        ("p", "t", vec![0, 4, 5]),
        ("", "t", vec![0, 5]),
        ("", "", vec![0]),
    ] {
        let body = json!({ "organizationId": id(organization), "tenantId": id(tenant) });
        admin.patch(&path, body).await.expect(200);
        fill(&admin).await;
        for n in sees {
            let (o, t) = AUDIENCES[n];
            expected.push(format!("service-update <{o} {t}>"));
            expected.push(format!("incident-update <{o} {t}>"));
        }
    }
    let live = received(&daemon, &mut socket).await;
    assert_eq!(names(&live), expected);
    assert_eq!(replayed(&daemon, &tablet.token, &welcome).await, live);
    let api = daemon.api(&tablet.token);
    assert_eq!(names(&listed(&api, &welcome).await), expected);

    let daemon = daemon.kill_and_restart().await;
    assert_eq!(replayed(&daemon, &tablet.token, &welcome).await, live);
}

#[tokio::test]
async fn approved_tablet_receives_board_and_tenant_events() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let pairing = daemon
        .unauthenticated()
        .post("/api/pairing/requests", json!({}))
        .await;
    let pairing = pairing.expect(201).json;
    let path = format!("/api/pairing/requests/{}", text(&pairing["pairingId"]));
    let approval = json!({ "organizationId": "o", "tenantId": "t" });
    admin
        .post(&format!("{path}/approve"), approval)
        .await
        .expect(200);
    let poll = daemon.api(&text(&pairing["pairingToken"])).get(&path).await;
    let mut tablet_socket = daemon.listen(&text(&poll.expect(200).json["token"])).await;
    fill(&admin).await;
    assert_eq!(received(&daemon, &mut tablet_socket).await.len(), 8);
}

#[tokio::test]
async fn item_moved_to_another_tenant_is_deleted_for_the_old_one() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let [old, _] = people(&daemon, "o", "t").await;
    let [new, _] = people(&daemon, "p", "").await;
    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let mut sockets = [
        daemon.listen(&old).await,
        daemon.listen(&new).await,
        daemon.listen(&text(&token["token"])).await,
    ];
    let received_changes = async |sockets: &mut [Socket; 3]| {
        let mut all = Vec::new();
        for socket in sockets {
            let events = received(&daemon, socket).await;
            // The admin may also receive presence events, which have no change type.
            let change = |event: &Value| {
                let data = &event["data"]["data"];
                let change = event["data"]["type"].as_str()?;
                Some(format!("{change} {}", data["organizationId"]))
            };
            all.push(
                events
                    .iter()
                    .filter_map(change)
                    .collect::<Vec<_>>()
                    .join(","),
            );
        }
        all
    };
    for (path, key) in [("/api/services", "name"), ("/api/incidents", "title")] {
        let body = json!({ key: "S", "organizationId": "o" });
        let created = admin.post(path, body).await.expect(201).json;
        let path = format!("{path}/{}", text(&created["id"]));
        assert_eq!(
            received_changes(&mut sockets).await,
            ["created \"o\"", "", "created \"o\""]
        );
        let narrower = json!({ "tenantId": "u" });
        admin.patch(&path, narrower).await.expect(200);
        assert_eq!(
            received_changes(&mut sockets).await,
            ["deleted \"o\"", "", "updated \"o\""]
        );
        let other = json!({ "organizationId": "p", "tenantId": null });
        admin.patch(&path, other).await.expect(200);
        assert_eq!(
            received_changes(&mut sockets).await,
            ["", "updated \"p\"", "updated \"p\""]
        );
        let wider = json!({ "organizationId": null });
        admin.patch(&path, wider).await.expect(200);
        let all = "updated null";
        assert_eq!(received_changes(&mut sockets).await, [all, all, all]);
    }
}

#[tokio::test]
async fn join_organization_is_allowed_to_members_and_changes_nothing() {
    let daemon = Daemon::start().await;
    let [user, client] = people(&daemon, "o", "t").await;
    let [other_user, other_client] = people(&daemon, "", "").await;
    let admin = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let admin = text(&admin["token"]);
    let table = [
        (&user, "o", true),
        (&user, "p", false),
        (&user, "t", false),
        (&client, "o", true),
        (&client, "p", false),
        (&other_user, "o", false),
        (&other_client, "o", false),
        (&admin, "o", true),
        (&admin, "nobody", true),
    ];
    // Kept open, because admins receive an event for each session that ends.
    let mut open = Vec::new();
    for (token, organization, is_allowed) in table {
        let mut socket = daemon.listen(token).await;
        for (request_type, response_type) in [
            ("join-organization", "joined-organization"),
            ("leave-organization", "left-organization"),
        ] {
            let message =
                json!({ "type": request_type, "data": { "organizationId": organization } });
            let answer = socket.ask(message.clone()).await;
            let mut with_request_id = message.clone();
            with_request_id["requestId"] = 7.into();
            let mut result = socket.ask(with_request_id).await;
            if is_allowed {
                assert_eq!(answer["type"], response_type);
                assert_eq!(keys(&answer["data"]), ["organizationId", "timestamp"]);
                assert_eq!(answer["data"]["organizationId"], organization);
                assert_timestamp(&answer["data"]["timestamp"]);
                assert_eq!(result["type"], response_type);
                result = socket.next().await;
            } else {
                assert_eq!(answer["type"], "error");
                assert_eq!(answer["data"]["code"], "forbidden");
                assert_eq!(result["data"]["code"], "forbidden");
            }
            assert_eq!(result["type"], "result");
            assert_eq!(result["data"]["success"], is_allowed);
        }
        // Joining and leaving do not change which events it receives.
        fill(&daemon.local()).await;
        let count = match organization {
            _ if *token == admin => 12,
            _ if *token == user || *token == client => 8,
            _ => 2,
        };
        assert_eq!(received(&daemon, &mut socket).await.len(), count);
        open.push(socket);
    }
    let mut socket = daemon.listen(&user).await;
    for data in [
        json!({}),
        json!({ "organizationId": 7 }),
        json!({ "organizationId": "" }),
    ] {
        let message = json!({ "type": "join-organization", "data": data });
        let refused = socket.ask(message).await;
        assert_eq!(refused["data"]["code"], "invalid_field", "{data}");
    }
}

#[tokio::test]
async fn tablet_joins_only_its_current_organization() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let path = format!("/api/clients/{}", tablet.id);
    let mut socket = daemon.listen(&tablet.token).await;
    let join = json!({ "type": "join-organization", "organization_id": "o" });
    assert_eq!(socket.ask(join.clone()).await["data"]["code"], "forbidden");
    let body = json!({ "organizationId": "o" });
    admin.patch(&path, body).await.expect(200);
    assert_eq!(
        socket.ask(join.clone()).await["type"],
        "joined-organization"
    );
    let body = json!({ "organizationId": null });
    admin.patch(&path, body).await.expect(200);
    assert_eq!(socket.ask(join).await["data"]["code"], "forbidden");
}

#[tokio::test]
async fn reauthentication_in_another_organization_is_refused() {
    let daemon = Daemon::start().await;
    let token = async |organization: &str| {
        let body = json!({
            "role": "user", "name": "u", "subject": "ann", "organizationId": organization,
        });
        text(&daemon.token(body).await["token"])
    };
    let mut socket = daemon.listen(&token("o").await).await;
    socket.authenticate(&token("o").await).await;
    assert_eq!(socket.next().await["type"], "authenticated");
    socket.authenticate(&token("p").await).await;
    assert_eq!(socket.next().await["data"]["code"], "already_authenticated");
    fill(&daemon.local()).await;
    assert_eq!(received(&daemon, &mut socket).await.len(), 4);
}
