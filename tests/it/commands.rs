//! Commands to tablets: `/api/commands`, and the messages `command`, `command_result` and `command_applied`
//! (docs/protocol.md#commands).

use serde_json::{Value, json};

use crate::kiosks::at_kiosk;
use crate::support::{Api, Daemon, EventStream, Socket, Tablet, assert_timestamp, keys, until};

/// A daemon, its API as an admin, and a tablet at `kiosk-1`.
async fn start() -> (Daemon, Api, Tablet) {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let tablet = at_kiosk(&daemon, "Wall", "kiosk-1").await;
    (daemon, admin, tablet)
}

async fn create(admin: &Api, body: Value) -> Value {
    admin.post("/api/commands", body).await.expect(201).json
}

fn open_command(tablet: &Tablet) -> Value {
    json!({ "type": "open", "clientId": tablet.id })
}

async fn status(api: &Api, command: &Value) -> String {
    let path = format!("/api/commands/{}", command["id"].as_str().unwrap());
    let command = api.get(&path).await.expect(200).json;
    command["status"].as_str().unwrap().to_owned()
}

async fn until_status(api: &Api, command: &Value, wanted: &str) {
    until(wanted, async || {
        (status(api, command).await == wanted).then_some(())
    })
    .await;
}

fn result(command: &Value, success: bool) -> Value {
    let data = json!({ "commandId": command["id"], "success": success });
    json!({ "type": "command_result", "data": data, "requestId": 1 })
}

/// An admin's socket on `/ws/events`, with its welcome consumed.
async fn admin_socket(daemon: &Daemon) -> Socket {
    let token = daemon.token(json!({ "role": "admin", "name": "o" })).await;
    let token = token["token"].as_str();
    let mut socket = Socket::open(daemon, "/ws/events", token)
        .await
        .ok()
        .unwrap();
    socket.next_of("connection").await;
    socket
}

#[tokio::test]
async fn command_goes_from_pending_to_delivered_to_applied() {
    let (daemon, admin, tablet) = start().await;
    let mut admin_socket = admin_socket(&daemon).await;
    let mut tablet_socket = daemon.listen(&tablet.token).await;
    let body = json!({
        "type": "open", "clientId": tablet.id, "lockerId": "locker-123",
        "parameters": { "force": true }, "ttlSeconds": 60,
    });
    let command = create(&admin, body).await;
    let fields = [
        "clientId",
        "createdAt",
        "eventId",
        "expiresAt",
        "id",
        "kioskId",
        "lockerId",
        "parameters",
        "result",
        "status",
        "type",
    ];
    assert_eq!(keys(&command), fields);
    assert!(command["id"].as_str().unwrap().starts_with("command_"));
    assert_eq!(
        (&command["clientId"], &command["kioskId"]),
        (&json!(tablet.id), &json!("kiosk-1"))
    );
    let event = tablet_socket.next().await;
    assert_eq!(
        (&event["type"], &event["id"]),
        (&json!("command"), &command["eventId"])
    );
    let expected = json!({
        "commandId": command["id"], "type": "open", "parameters": { "force": true },
        "lockerId": "locker-123", "kioskId": "kiosk-1", "expiresAt": command["expiresAt"],
    });
    assert_eq!(event["data"], expected);
    assert_timestamp(&event["data"]["expiresAt"]);
    // Sending a command does not make it delivered; only an ack does.
    tablet_socket.assert_nothing_received().await;
    assert_eq!(status(&admin, &command).await, "pending");

    let before = json!({ "type": "ack", "data": { "id": event["id"].as_i64().unwrap() - 1 } });
    tablet_socket.send(before).await;
    tablet_socket.assert_nothing_received().await;
    assert_eq!(status(&admin, &command).await, "pending");
    tablet_socket
        .send(json!({ "type": "ack", "data": { "id": event["id"] } }))
        .await;
    tablet_socket.assert_nothing_received().await;
    assert_eq!(status(&admin, &command).await, "delivered");

    let data = json!({ "commandId": command["id"], "success": true, "message": "Door is open" });
    let report = json!({ "type": "command_result", "data": data, "requestId": 9 });
    let answer = tablet_socket.ask(report).await;
    assert_eq!(
        (&answer["type"], &answer["requestId"]),
        (&json!("result"), &json!(9))
    );
    assert_eq!(
        (&answer["data"]["success"], &answer["data"]["status"]),
        (&json!(true), &json!("applied"))
    );
    assert_eq!(answer["data"]["id"], command["id"]);

    let event = admin_socket.next().await;
    assert_eq!(event["type"], "command_applied");
    assert!(event["id"].is_i64(), "not durable: {event}");
    let mut data = event["data"].clone();
    for pointer in ["/timestamp", "/result/timestamp"] {
        assert_timestamp(&data.pointer_mut(pointer).unwrap().take());
    }
    let expected = json!({
        "command": {
            "type": "open", "lockerId": "locker-123", "kioskId": "kiosk-1",
            "parameters": { "force": true },
        },
        "result": { "success": true, "message": "Door is open", "timestamp": null },
        "timestamp": null,
    });
    assert_eq!(data, expected);
    let path = format!("/api/commands/{}", command["id"].as_str().unwrap());
    let ended = admin.get(&path).await.expect(200).json;
    assert_eq!(
        (&ended["status"], &ended["result"]),
        (&json!("applied"), &event["data"]["result"])
    );
    let audit = admin.get("/api/audit?limit=1").await.expect(200).json;
    assert_eq!(audit["entries"][0]["target"], command["id"], "{audit}");
}

#[tokio::test]
async fn repeated_result_is_idempotent_and_a_changed_one_is_refused() {
    let (daemon, admin, tablet) = start().await;
    let mut admin_socket = admin_socket(&daemon).await;
    let command = create(&admin, open_command(&tablet)).await;
    let mut tablet_socket = daemon.listen(&tablet.token).await;
    tablet_socket.next_of("command").await;
    let data = json!({ "commandId": command["id"], "success": false, "error": "jammed" });
    let failed = json!({ "type": "command_result", "data": data, "requestId": 1 });
    for _ in 0..2 {
        let answer = tablet_socket.ask(failed.clone()).await;
        assert_eq!(
            (&answer["data"]["success"], &answer["data"]["status"]),
            (&json!(true), &json!("failed"))
        );
    }
    let refused = tablet_socket.ask(result(&command, true)).await;
    assert_eq!(
        (&refused["data"]["success"], &refused["data"]["code"]),
        (&json!(false), &json!("already_ended"))
    );
    let applied = admin_socket.next().await["data"].clone();
    assert_eq!(keys(&applied["command"]), ["kioskId", "type"]);
    assert_eq!(
        (&applied["result"]["success"], &applied["result"]["error"]),
        (&json!(false), &json!("jammed"))
    );
    admin_socket.assert_nothing_received().await;
    assert_eq!(status(&admin, &command).await, "failed");
}

#[tokio::test]
async fn command_is_visible_only_to_its_tablet_and_admins() {
    let (daemon, admin, tablet) = start().await;
    let second = at_kiosk(&daemon, "Twin", "kiosk-1").await;
    let mut other = daemon.listen(&second.token).await;
    let user = daemon.token(json!({ "role": "user", "name": "u" })).await;
    let mut user_socket = daemon.listen(user["token"].as_str().unwrap()).await;
    let command = create(&admin, open_command(&tablet)).await;
    let none = json!({ "id": "command_none" });
    for socket in [&mut other, &mut user_socket] {
        for command in [&command, &none] {
            let answer = socket.ask(result(command, true)).await;
            assert_eq!(
                (&answer["type"], &answer["data"]["code"]),
                (&json!("result"), &json!("forbidden"))
            );
        }
    }
    let path = format!("/api/commands/{}", command["id"].as_str().unwrap());
    let (tablet_api, foreign) = (daemon.api(&tablet.token), daemon.api(&second.token));
    tablet_api.get(&path).await.expect(200);
    for path in [path.as_str(), "/api/commands/none"] {
        assert_eq!(foreign.get(path).await.refused(403), "forbidden");
    }
    assert_eq!(
        admin.get("/api/commands/none").await.refused(404),
        "not_found"
    );
    assert_eq!(
        tablet_api
            .post("/api/commands", open_command(&tablet))
            .await
            .refused(403),
        "forbidden"
    );
    let user = daemon.api_of(&user);
    for path in [path.as_str(), "/api/commands"] {
        assert_eq!(user.get(path).await.refused(403), "forbidden");
    }
    create(&admin, open_command(&second)).await;
    let count = async |api: &Api| {
        let list = api.get("/api/commands").await.expect(200).json;
        list["commands"].as_array().unwrap().len()
    };
    assert_eq!(
        (
            count(&tablet_api).await,
            count(&foreign).await,
            count(&admin).await
        ),
        (1, 1, 2)
    );
    let page = admin.get("/api/commands?limit=1").await.expect(200).json;
    assert_eq!(
        page["commands"][0]["clientId"], second.id,
        "the newest comes first"
    );
    let cursor = page["nextCursor"].as_str().unwrap();
    let page = admin
        .get(&format!("/api/commands?limit=1&cursor={cursor}"))
        .await;
    assert_eq!(page.expect(200).json["commands"][0]["id"], command["id"]);
}

#[tokio::test]
async fn command_to_a_kiosk_creates_one_per_tablet() {
    let (daemon, admin, one) = start().await;
    let two = at_kiosk(&daemon, "Two", "kiosk-1").await;
    let far = at_kiosk(&daemon, "Far", "kiosk-2").await;
    let mut sockets = Vec::new();
    for tablet in [&one, &two] {
        sockets.push((daemon.listen(&tablet.token).await, &tablet.id));
    }
    let mut elsewhere = daemon.listen(&far.token).await;
    let body = json!({ "type": "open", "kioskId": "kiosk-1" });
    let created = create(&admin, body).await;
    let commands = created["commands"].as_array().unwrap();
    assert_eq!(commands.len(), 2);
    assert_eq!(created["id"], commands[0]["id"]);
    for (socket, id) in &mut sockets {
        let event = socket.next().await;
        let own = commands.iter().find(|command| command["clientId"] == **id);
        assert_eq!(event["data"]["commandId"], own.unwrap()["id"]);
        socket.assert_nothing_received().await;
    }
    elsewhere.assert_nothing_received().await;
    // Each command has its own outcome.
    let (socket, id) = &mut sockets[1];
    let own = commands
        .iter()
        .find(|command| command["clientId"] == **id)
        .unwrap();
    socket.ask(result(own, true)).await;
    for command in commands {
        let expected = if command["id"] == own["id"] {
            "applied"
        } else {
            "pending"
        };
        assert_eq!(status(&admin, command).await, expected);
    }
    // A tablet without a kiosk id is its own kiosk.
    let alone = daemon.pair("Alone", &[]).await;
    let created = create(&admin, json!({ "type": "open", "kiosk_id": alone.id })).await;
    assert_eq!(
        (&created["clientId"], &created["kioskId"]),
        (&json!(alone.id), &json!(alone.id))
    );
    let nowhere = json!({ "type": "open", "kioskId": "kiosk-9" });
    let refused = admin.post("/api/commands", nowhere).await;
    assert_eq!(refused.json["field"], "kioskId");
    refused.refused(422);
}

#[tokio::test]
async fn tablet_without_position_receives_pending_commands_only() {
    let (daemon, admin, tablet) = start().await;
    let first = create(&admin, open_command(&tablet)).await;
    let second = create(&admin, open_command(&tablet)).await;
    let done = create(&admin, open_command(&tablet)).await;
    for path in ["/ws", "/ws/events"] {
        let opened = Socket::open(&daemon, path, Some(&tablet.token)).await;
        let mut socket = opened.unwrap();
        let welcome = socket.next().await;
        assert_eq!(
            (&welcome["type"], &welcome["data"]["recovered"]),
            (&json!("connection"), &json!(false))
        );
        for command in [&first, &second, &done] {
            let event = socket.next().await;
            assert_eq!(
                (&event["type"], &event["id"]),
                (&json!("command"), &command["eventId"])
            );
            assert_eq!(event["data"]["commandId"], command["id"]);
        }
        if path == "/ws" {
            // A replay in the same session does not send them again.
            let resume = json!({ "lastEventId": 0, "epoch": welcome["data"]["epoch"] });
            let resume = json!({ "type": "resume", "data": resume, "requestId": 1 });
            assert_eq!(socket.ask(resume).await["data"]["recovered"], true);
        }
        let next = create(&admin, open_command(&tablet)).await;
        assert_eq!(socket.next().await["data"]["commandId"], next["id"]);
        assert_eq!(
            socket.ask(result(&next, true)).await["data"]["success"],
            true
        );
    }
    for path in ["/ws/lockers", "/ws/help"] {
        let opened = Socket::open(&daemon, path, Some(&tablet.token)).await;
        let mut socket = opened.unwrap();
        socket.next_of("connection").await;
        socket.assert_nothing_received().await;
    }
    // Completed and acknowledged commands are no longer pending.
    let mut socket = daemon.listen(&tablet.token).await;
    for _ in 0..3 {
        socket.next_of("command").await;
    }
    socket
        .send(json!({ "type": "ack", "data": { "id": first["eventId"] } }))
        .await;
    assert_eq!(
        socket.ask(result(&done, true)).await["data"]["success"],
        true
    );
    let mut again = daemon.listen(&tablet.token).await;
    assert_eq!(again.next().await["data"]["commandId"], second["id"]);
    again.assert_nothing_received().await;
    let mut stream = EventStream::open(&daemon, &tablet.token).await;
    let welcome = stream.next().await;
    let event = stream.next().await;
    let position = format!(
        "{}:{}",
        welcome.data["epoch"].as_str().unwrap(),
        welcome.data["lastEventId"]
    );
    assert_eq!(
        (event.event_type.as_str(), &event.data["commandId"]),
        ("command", &second["id"])
    );
    // The event's SSE id is the welcome's position, not the older one of the command, and the welcome has no
    // id: a stream lost in between reconnects without a position and receives the command again.
    assert_eq!((welcome.id, event.id), (None, Some(position)));
}

#[tokio::test]
async fn pending_command_survives_a_kill_of_the_daemon() {
    let (daemon, admin, tablet) = start().await;
    let mut socket = daemon.connect(&tablet.token).await;
    let welcome = socket.next().await["data"].clone();
    socket.close().await;
    let command = create(&admin, open_command(&tablet)).await;
    let daemon = daemon.kill_and_restart().await;
    let path = format!(
        "/ws?since={}&epoch={}",
        welcome["lastEventId"],
        welcome["epoch"].as_str().unwrap()
    );
    let opened = Socket::open(&daemon, &path, Some(&tablet.token)).await;
    let mut recovered = opened.unwrap();
    let mut fresh = daemon.connect(&tablet.token).await;
    for (socket, is_recovered) in [(&mut recovered, true), (&mut fresh, false)] {
        assert_eq!(socket.next().await["data"]["recovered"], is_recovered);
        assert_eq!(socket.next().await["data"]["commandId"], command["id"]);
        socket.assert_nothing_received().await;
    }
}

#[tokio::test]
async fn expired_command_is_published_to_admins_and_not_replayed() {
    let (daemon, admin, tablet) = start().await;
    let mut admin_socket = admin_socket(&daemon).await;
    let mut socket = daemon.connect(&tablet.token).await;
    let welcome = socket.next().await["data"].clone();
    socket.close().await;
    let body = json!({ "type": "open", "clientId": tablet.id, "ttlSeconds": 1 });
    let command = create(&admin, body).await;
    let lasting = create(&admin, open_command(&tablet)).await;
    until_status(&admin, &command, "expired").await;
    let event = admin_socket.next().await;
    assert_eq!(event["type"], "command_applied");
    let outcome = &event["data"]["result"];
    assert_eq!(
        (&outcome["success"], &outcome["error"]),
        (&json!(false), &json!("expired"))
    );
    admin_socket.assert_nothing_received().await;

    let path = format!(
        "/ws?since={}&epoch={}",
        welcome["lastEventId"],
        welcome["epoch"].as_str().unwrap()
    );
    for path in [path.as_str(), "/ws"] {
        let opened = Socket::open(&daemon, path, Some(&tablet.token)).await;
        let mut socket = opened.unwrap();
        socket.next_of("connection").await;
        assert_eq!(socket.next().await["data"]["commandId"], lasting["id"]);
        socket.assert_nothing_received().await;
    }
    let api = daemon.api(&tablet.token);
    let history = api.get("/api/events?type=command").await.expect(200).json;
    assert_eq!(history["events"].as_array().unwrap().len(), 1, "{history}");
    assert_eq!(history["events"][0]["data"]["commandId"], lasting["id"]);
}

#[tokio::test]
async fn command_expired_during_downtime_is_published_at_start() {
    let (daemon, admin, tablet) = start().await;
    let body = json!({ "type": "open", "clientId": tablet.id, "ttlSeconds": 1 });
    let command = create(&admin, body).await;
    let daemon = daemon.kill_and_restart().await;
    let admin = daemon.local();
    until_status(&admin, &command, "expired").await;
    until("command_applied in the history", async || {
        let path = "/api/events?type=command_applied";
        let history = admin.get(path).await.expect(200).json;
        (history["events"][0]["data"]["result"]["error"] == "expired").then_some(())
    })
    .await;
}

#[tokio::test]
async fn result_after_expiry_still_applies_the_command() {
    let (daemon, admin, tablet) = start().await;
    let mut admin_socket = admin_socket(&daemon).await;
    let mut tablet_socket = daemon.listen(&tablet.token).await;
    let body = json!({ "type": "open", "clientId": tablet.id, "ttlSeconds": 1 });
    let command = create(&admin, body).await;
    tablet_socket.next_of("command").await;
    assert_eq!(
        admin_socket.next_of("command_applied").await["data"]["result"]["error"],
        "expired"
    );
    let answer = tablet_socket.ask(result(&command, true)).await;
    assert_eq!(answer["data"]["status"], "applied");
    assert_eq!(admin_socket.next().await["data"]["result"]["success"], true);
    assert_eq!(status(&admin, &command).await, "applied");
}

#[tokio::test]
async fn invalid_command_is_refused_and_reaches_nobody() {
    let (daemon, admin, tablet) = start().await;
    let mut tablet_socket = daemon.listen(&tablet.token).await;
    let big = json!("x".repeat(5000));
    for (field, change) in [
        ("type", json!({ "type": null })),
        ("type", json!({ "type": "x".repeat(65) })),
        ("clientId", json!({ "clientId": null })),
        ("clientId", json!({ "kioskId": "kiosk-1" })),
        ("clientId", json!({ "clientId": "client_none" })),
        ("lockerId", json!({ "lockerId": "a b" })),
        ("parameters", json!({ "parameters": big })),
        ("ttlSeconds", json!({ "ttlSeconds": 0 })),
        ("ttlSeconds", json!({ "ttlSeconds": 7 * 86_400 + 1 })),
        ("ttlSeconds", json!({ "ttlSeconds": "5" })),
    ] {
        let mut body = open_command(&tablet);
        for (key, value) in change.as_object().unwrap() {
            body[key] = value.clone();
        }
        let answer = admin.post("/api/commands", body.clone()).await;
        assert_eq!(answer.json["field"], field, "{body}");
        assert_eq!(answer.refused(422), "invalid_field");
    }
    tablet_socket.assert_nothing_received().await;
    for _ in 0..50 {
        create(&admin, open_command(&tablet)).await;
    }
    let refused = admin.post("/api/commands", open_command(&tablet)).await;
    assert_eq!(refused.refused(409), "too_many_open");
    // A command to a kiosk reaches all its tablets or none.
    let free = at_kiosk(&daemon, "Free", "kiosk-1").await;
    let body = json!({ "type": "open", "kioskId": "kiosk-1" });
    let refused = admin.post("/api/commands", body).await;
    assert_eq!(refused.refused(409), "too_many_open");
    let own = daemon.api(&free.token).get("/api/commands").await;
    assert_eq!(own.expect(200).json["commands"], json!([]));
}

#[tokio::test]
async fn sse_tablet_acknowledges_and_reports_over_http() {
    let (daemon, admin, tablet) = start().await;
    let mut stream = EventStream::open(&daemon, &tablet.token).await;
    let welcome = stream.next().await.data;
    let api = daemon.api(&tablet.token);
    let send = async |mut message: Value| {
        message["connectionId"] = welcome["connectionId"].clone();
        api.post("/api/send", message).await
    };
    let command = create(&admin, open_command(&tablet)).await;
    let event = stream.next().await;
    assert_eq!(event.data["commandId"], command["id"]);
    let ack = json!({ "type": "ack", "data": { "id": event.number() } });
    send(ack).await.expect(200);
    assert_eq!(status(&admin, &command).await, "delivered");
    let answer = send(result(&command, true)).await.expect(200).json;
    assert_eq!(answer["status"], "applied");
    let other = send(result(&command, false)).await;
    assert_eq!(other.refused(409), "already_ended");
    let none = send(result(&json!({ "id": "command_none" }), true)).await;
    assert_eq!(none.refused(403), "forbidden");
    let help = json!({ "type": "help_request", "data": { "category": "access_issue" } });
    let help = send(help).await.expect(200).json;
    assert_eq!(help["kiosk_id"], "kiosk-1");
}
