//! Lockers: `/api/lockers` and the event `locker_state_changed` (docs/protocol.md#lockers).

use serde_json::{Value, json};

use crate::kiosks::at_kiosk;
use crate::support::{Api, Daemon, Socket, assert_timestamp, keys};

async fn create(admin: &Api, id: &str, kiosk: &str) -> Value {
    let body = json!({ "id": id, "kioskId": kiosk, "state": "closed" });
    admin.post("/api/lockers", body).await.expect(201).json
}

#[tokio::test]
async fn locker_is_created_changed_and_deleted() {
    let daemon = Daemon::start().await;
    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let admin = daemon.api_of(&token);
    let mut admin_socket = daemon.listen(token["token"].as_str().unwrap()).await;
    let created = create(&admin, "locker-123", "kiosk-1").await;
    let fields = ["createdAt", "id", "kioskId", "state", "updatedAt"];
    assert_eq!(keys(&created), fields);
    assert_eq!(
        (&created["id"], &created["kioskId"], &created["state"]),
        (&json!("locker-123"), &json!("kiosk-1"), &json!("closed"))
    );
    let path = "/api/lockers/locker-123";
    assert_eq!(admin.get(path).await.expect(200).json, created);
    let snake = json!({ "kiosk_id": "kiosk-2", "state": "open" });
    let own = admin.post("/api/lockers", snake).await.expect(201).json;
    assert!(own["id"].as_str().unwrap().starts_with("locker_"));
    // Creating a locker emits no event.
    admin_socket.assert_nothing_received().await;

    let open = json!({ "state": "open" });
    let changed = admin.patch(path, open.clone()).await.expect(200).json;
    assert_eq!(
        (&changed["state"], &changed["kioskId"]),
        (&json!("open"), &json!("kiosk-1"))
    );
    let event = admin_socket.next().await;
    assert_eq!(event["type"], "locker_state_changed");
    let data = &event["data"];
    let fields = ["kioskId", "lockerId", "newState", "oldState", "timestamp"];
    assert_eq!(keys(data), fields);
    assert_eq!(
        (&data["lockerId"], &data["oldState"], &data["newState"]),
        (&json!("locker-123"), &json!("closed"), &json!("open"))
    );
    assert_eq!(data["kioskId"], "kiosk-1");
    assert_timestamp(&data["timestamp"]);
    assert!(event["id"].is_i64(), "not durable: {event}");

    // Only a change of the state emits an event.
    assert_eq!(admin.patch(path, open).await.expect(200).json, changed);
    let moved = json!({ "kioskId": "kiosk-2" });
    let moved = admin.patch(path, moved).await.expect(200).json;
    assert_eq!(
        (&moved["kioskId"], &moved["state"]),
        (&json!("kiosk-2"), &json!("open"))
    );
    assert_eq!(admin.delete(path).await.expect(204).text, "");
    admin_socket.assert_nothing_received().await;
    assert_eq!(admin.get(path).await.refused(404), "not_found");
    for answer in [
        admin.patch(path, json!({ "state": "x" })).await,
        admin.delete(path).await,
    ] {
        assert_eq!(answer.refused(404), "not_found");
    }
    let audit = admin.get("/api/audit").await.expect(200).json;
    let entries: Vec<_> = audit["entries"].as_array().unwrap().iter().collect();
    for action in ["locker.create", "locker.change", "locker.delete"] {
        assert!(
            entries.iter().any(|entry| entry["action"] == action),
            "{action}"
        );
    }
}

#[tokio::test]
async fn invalid_locker_is_refused() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    create(&admin, "taken", "kiosk-1").await;
    let body = json!({ "id": "taken", "kioskId": "k", "state": "open" });
    let taken = admin.post("/api/lockers", body).await;
    assert_eq!(taken.refused(409), "already_exists");
    for (body, field) in [
        (json!({ "state": "open" }), "kioskId"),
        (json!({ "kioskId": "k" }), "state"),
        (json!({ "kioskId": "k k", "state": "open" }), "kioskId"),
        (json!({ "kioskId": "k", "state": "" }), "state"),
        (json!({ "kioskId": "k", "state": "x".repeat(65) }), "state"),
        (json!({ "kioskId": "k", "state": 1 }), "state"),
        (json!({ "id": "", "kioskId": "k", "state": "open" }), "id"),
    ] {
        let answer = admin.post("/api/lockers", body.clone()).await;
        assert_eq!(answer.json["field"], field, "{body}");
        assert_eq!(answer.refused(422), "invalid_field");
    }
    let all = admin.get("/api/lockers").await.expect(200).json;
    assert_eq!(all["lockers"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn tablet_reads_lockers_of_its_kiosk_and_changes_none() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    for (id, kiosk) in [("a", "kiosk-1"), ("b", "kiosk-2"), ("c", "kiosk-1")] {
        create(&admin, id, kiosk).await;
    }
    let tablet = at_kiosk(&daemon, "Wall", "kiosk-1").await;
    let alone = daemon.pair("Alone", &[]).await;
    create(&admin, "d", &alone.id).await;
    let ids = async |api: &Api, query: &str| {
        let list = api.get(&format!("/api/lockers{query}")).await.expect(200);
        let lockers = list.json["lockers"].as_array().unwrap().clone();
        let ids = lockers.iter().map(|locker| locker["id"].clone());
        let next = list.json["nextCursor"].as_str().map(str::to_owned);
        (ids.collect::<Vec<_>>(), next)
    };
    let tablet_api = daemon.api(&tablet.token);
    assert_eq!(ids(&tablet_api, "").await.0, ["a", "c"]);
    // A tablet without a kiosk id is its own kiosk.
    assert_eq!(ids(&daemon.api(&alone.token), "").await.0, ["d"]);
    assert_eq!(ids(&admin, "").await.0, ["a", "b", "c", "d"]);
    let (first, next) = ids(&tablet_api, "?limit=1").await;
    let (second, end) = ids(&tablet_api, &format!("?limit=1&cursor={}", next.unwrap())).await;
    assert_eq!(
        (first, second, end),
        (vec!["a".into()], vec!["c".into()], None)
    );

    tablet_api.get("/api/lockers/a").await.expect(200);
    for path in ["/api/lockers/b", "/api/lockers/none"] {
        assert_eq!(tablet_api.get(path).await.refused(403), "forbidden");
    }
    let open = json!({ "state": "open" });
    assert_eq!(
        tablet_api.patch("/api/lockers/a", open).await.refused(403),
        "forbidden"
    );
    assert_eq!(
        tablet_api.delete("/api/lockers/a").await.refused(403),
        "forbidden"
    );
    let body = json!({ "kioskId": "kiosk-1", "state": "open" });
    assert_eq!(
        tablet_api.post("/api/lockers", body).await.refused(403),
        "forbidden"
    );
    let user = daemon.token(json!({ "role": "user", "name": "u" })).await;
    let user = daemon.api_of(&user);
    for path in ["/api/lockers", "/api/lockers/a"] {
        assert_eq!(user.get(path).await.refused(403), "forbidden");
    }
}

#[tokio::test]
async fn left_room_receives_no_more_events() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    create(&admin, "a", "kiosk-1").await;
    let tablet = at_kiosk(&daemon, "Wall", "kiosk-1").await;
    let opened = Socket::open(&daemon, "/ws/lockers", Some(&tablet.token)).await;
    let mut socket = opened.unwrap();
    socket.next_of("connection").await;
    // `room` at the top level of the message is accepted, as in `data`.
    let join = json!({ "type": "join_room", "room": "kiosk-1" });
    assert_eq!(socket.ask(join).await["data"]["room"], "kiosk-1");
    let body = json!({ "state": "open" });
    admin.patch("/api/lockers/a", body).await.expect(200);
    assert_eq!(socket.next().await["data"]["newState"], "open");
    let leave = json!({ "type": "leave_room", "room": "kiosk-1" });
    assert_eq!(socket.ask(leave).await["type"], "room_left");
    let body = json!({ "state": "closed" });
    admin.patch("/api/lockers/a", body).await.expect(200);
    socket.assert_nothing_received().await;
}
