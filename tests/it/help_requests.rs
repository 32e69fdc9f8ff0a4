//! Help requests: `/api/help`, the message `help_request`, and their events (docs/protocol.md#help-requests).

use serde_json::{Value, json};

use crate::kiosks::at_kiosk;
use crate::support::{Api, Daemon, Socket, Tablet, assert_timestamp, keys};

/// A daemon, its API as an admin, the admin's socket on `/ws/help`, and a tablet at `kiosk-1`.
async fn start() -> (Daemon, Api, Socket, Tablet) {
    let daemon = Daemon::start().await;
    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let opened = Socket::open(&daemon, "/ws/help", token["token"].as_str()).await;
    let mut admin_socket = opened.unwrap();
    admin_socket.next_of("connection").await;
    let admin = daemon.api_of(&token);
    let tablet = at_kiosk(&daemon, "Wall", "kiosk-1").await;
    (daemon, admin, admin_socket, tablet)
}

/// Asserts the event's type and returns its data without the timestamp, which is the help request.
#[track_caller]
fn request_of(event: &Value, event_type: &str) -> Value {
    assert_eq!(event["type"], event_type);
    assert!(event["id"].is_i64(), "not durable: {event}");
    let mut data = event["data"].clone();
    assert_timestamp(&data["timestamp"]);
    data.as_object_mut().unwrap().remove("timestamp");
    data
}

#[tokio::test]
async fn help_request_and_resolution_events_have_all_fields() {
    let (daemon, admin, mut admin_socket, tablet) = start().await;
    let tablet_api = daemon.api(&tablet.token);
    let body = json!({
        "category": "access_issue", "note": "Cannot open\nlocker", "locker_no": 7,
        "photo_url": "https://nas.local/1.jpg",
    });
    let help = tablet_api.post("/api/help", body).await.expect(201).json;
    let fields = [
        "category",
        "created_at",
        "id",
        "kiosk_id",
        "locker_no",
        "note",
        "photo_url",
        "status",
    ];
    assert_eq!(keys(&help), fields);
    assert!(help["id"].is_i64());
    assert_eq!(help["kiosk_id"], "kiosk-1");
    assert_eq!(
        (&help["locker_no"], &help["status"]),
        (&json!(7), &json!("open"))
    );
    assert_timestamp(&help["created_at"]);
    let published = request_of(&admin_socket.next().await, "help_requested");
    assert_eq!(published, help);

    let path = format!("/api/help/{}", help["id"]);
    for status in ["acknowledged", "resolved"] {
        let body = json!({ "status": status });
        let changed = admin.patch(&path, body.clone()).await.expect(200).json;
        assert_eq!(changed["status"], status);
        let published = request_of(&admin_socket.next().await, "help_status_updated");
        assert_eq!(published, changed);
        // The same status again changes nothing and emits nothing.
        assert_eq!(admin.patch(&path, body).await.expect(200).json, changed);
        admin_socket.assert_nothing_received().await;
        assert_eq!(tablet_api.get(&path).await.expect(200).json, changed);
    }
    // camelCase keys are accepted, and fields without a value are left out.
    let body = json!({ "category": "x", "lockerNo": 1, "note": null });
    let minimal = tablet_api.post("/api/help", body).await.expect(201).json;
    let fields = [
        "category",
        "created_at",
        "id",
        "kiosk_id",
        "locker_no",
        "status",
    ];
    assert_eq!(keys(&minimal), fields);
    assert!(minimal["id"].as_i64() > help["id"].as_i64());
}

#[tokio::test]
async fn help_request_by_message_equals_one_by_http() {
    let (daemon, admin, mut admin_socket, tablet) = start().await;
    for path in ["/ws", "/ws/help"] {
        let opened = Socket::open(&daemon, path, Some(&tablet.token)).await;
        let mut socket = opened.unwrap();
        socket.next_of("connection").await;
        let data = json!({ "category": "access_issue", "locker_no": 3 });
        let message = json!({ "type": "help_request", "data": data, "requestId": "r1" });
        let answer = socket.ask(message).await;
        assert_eq!(
            (&answer["type"], &answer["requestId"]),
            (&json!("result"), &json!("r1"))
        );
        let mut result = answer["data"].clone();
        assert_eq!(
            result.as_object_mut().unwrap().remove("success"),
            Some(json!(true))
        );
        let published = request_of(&admin_socket.next().await, "help_requested");
        assert_eq!(published, result);
        let path = format!("/api/help/{}", published["id"]);
        assert_eq!(admin.get(&path).await.expect(200).json, published);

        let wrong = json!({ "type": "help_request", "data": {}, "requestId": 2 });
        let answer = socket.ask(wrong).await;
        assert_eq!(
            (&answer["data"]["success"], &answer["data"]["code"]),
            (&json!(false), &json!("invalid_field"))
        );
        let without_request_id = json!({ "type": "help_request", "category": "beside the type" });
        socket.send(without_request_id).await;
        let published = request_of(&admin_socket.next().await, "help_requested");
        assert_eq!(published["category"], "beside the type");
        socket.assert_nothing_received().await;
        socket.close().await;
    }
    let user = daemon.token(json!({ "role": "user", "name": "u" })).await;
    let mut user = daemon.listen(user["token"].as_str().unwrap()).await;
    let message = json!({ "type": "help_request", "data": { "category": "x" } });
    assert_eq!(user.ask(message).await["data"]["code"], "forbidden");
    admin_socket.assert_nothing_received().await;
}

#[tokio::test]
async fn tablet_sees_only_its_own_help_requests() {
    let (daemon, admin, _, tablet) = start().await;
    let second = at_kiosk(&daemon, "Twin", "kiosk-1").await;
    let (tablet_api, other) = (daemon.api(&tablet.token), daemon.api(&second.token));
    let post = async |api: &Api, body: Value| api.post("/api/help", body).await;
    let own = post(&tablet_api, json!({ "category": "a" }))
        .await
        .expect(201)
        .json;
    let theirs = post(&other, json!({ "category": "b" }))
        .await
        .expect(201)
        .json;
    let ids = async |api: &Api| {
        let list = api.get("/api/help").await.expect(200).json;
        let list = list["helpRequests"].as_array().unwrap().clone();
        list.iter()
            .map(|help| help["id"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&tablet_api).await, [own["id"].clone()]);
    assert_eq!(ids(&admin).await, [theirs["id"].clone(), own["id"].clone()]);
    let page = admin.get("/api/help?limit=1").await.expect(200).json;
    let cursor = page["nextCursor"].as_str().unwrap();
    let page = admin
        .get(&format!("/api/help?limit=1&cursor={cursor}"))
        .await;
    assert_eq!(page.expect(200).json["helpRequests"][0], own);

    let resolved = json!({ "status": "resolved" });
    let path = format!("/api/help/{}", own["id"]);
    tablet_api.patch(&path, resolved.clone()).await.expect(200);
    for id in [theirs["id"].to_string(), "999".into(), "none".into()] {
        let path = format!("/api/help/{id}");
        assert_eq!(tablet_api.get(&path).await.refused(403), "forbidden");
        let answer = tablet_api.patch(&path, resolved.clone()).await;
        assert_eq!(answer.refused(403), "forbidden");
    }
    for id in ["999", "none"] {
        let path = format!("/api/help/{id}");
        assert_eq!(admin.get(&path).await.refused(404), "not_found");
    }
    let elsewhere = json!({ "category": "a", "kioskId": "kiosk-2" });
    assert_eq!(
        post(&tablet_api, elsewhere.clone()).await.refused(403),
        "forbidden"
    );
    // An admin must name the kiosk.
    let created = post(&admin, elsewhere).await.expect(201).json;
    assert_eq!(created["kiosk_id"], "kiosk-2");
    let without_kiosk = post(&admin, json!({ "category": "a" })).await;
    assert_eq!(without_kiosk.json["field"], "kioskId");
    without_kiosk.refused(422);
    let user = daemon.token(json!({ "role": "user", "name": "u" })).await;
    let user = daemon.api_of(&user);
    assert_eq!(user.get("/api/help").await.refused(403), "forbidden");
    assert_eq!(
        post(&user, json!({ "category": "a" })).await.refused(403),
        "forbidden"
    );
    assert_eq!(user.get(&path).await.refused(403), "forbidden");
    let audit = admin.get("/api/audit").await.expect(200).json;
    let entries = audit["entries"].as_array().unwrap();
    let is_help = |entry: &Value| entry["action"].as_str().unwrap().starts_with("help.");
    assert_eq!(
        entries.iter().filter(|entry| is_help(entry)).count(),
        1,
        "{audit}"
    );
}

#[tokio::test]
async fn invalid_help_request_is_refused_and_reaches_nobody() {
    let (daemon, admin, mut admin_socket, tablet) = start().await;
    let tablet_api = daemon.api(&tablet.token);
    for (body, field) in [
        (json!({}), "category"),
        (json!({ "category": "" }), "category"),
        (json!({ "category": "x".repeat(65) }), "category"),
        (json!({ "category": "a", "note": "x".repeat(1001) }), "note"),
        (json!({ "category": "a", "locker_no": "7" }), "lockerNo"),
        (json!({ "category": "a", "locker_no": -1 }), "lockerNo"),
        (
            json!({ "category": "a", "photo_url": "javascript:alert(1)" }),
            "photoUrl",
        ),
    ] {
        let answer = tablet_api.post("/api/help", body.clone()).await;
        assert_eq!(answer.json["field"], field, "{body}");
        assert_eq!(answer.refused(422), "invalid_field");
    }
    let help = json!({ "category": "a" });
    let help = tablet_api.post("/api/help", help).await.expect(201).json;
    admin_socket.next_of("help_requested").await;
    let path = format!("/api/help/{}", help["id"]);
    let answer = admin.patch(&path, json!({ "status": "done" })).await;
    assert_eq!(answer.json["field"], "status");
    answer.refused(422);
    assert_eq!(admin.get(&path).await.json, help);
    admin_socket.assert_nothing_received().await;
}

#[tokio::test]
async fn tablet_may_have_fifty_open_help_requests() {
    let (daemon, admin, _, tablet) = start().await;
    let tablet_api = daemon.api(&tablet.token);
    let mut first = Value::Null;
    for n in 0..50 {
        let body = json!({ "category": n.to_string() });
        let help = tablet_api.post("/api/help", body).await.expect(201).json;
        if n == 0 {
            first = help["id"].clone();
        }
    }
    let more = json!({ "category": "more" });
    let refused = tablet_api.post("/api/help", more.clone()).await;
    assert_eq!(refused.refused(409), "too_many_open");
    let path = format!("/api/help/{first}");
    let resolved = json!({ "status": "resolved" });
    admin.patch(&path, resolved).await.expect(200);
    tablet_api.post("/api/help", more).await.expect(201);
}
