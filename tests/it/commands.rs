//! Commands with a proven outcome: `/api/commands`, `command`, `command_result` and
//! `command_applied` (contract 6.5, 4.4, 4.5 and section 5, seed 3).

use serde_json::{Value, json};

use crate::kiosks::at_kiosk;
use crate::support::{Api, Daemon, EventStream, Socket, Tablet, assert_timestamp, keys, until};

async fn house() -> (Daemon, Api, Tablet) {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let tablet = at_kiosk(&daemon, "Wall", "kiosk-1").await;
    (daemon, admin, tablet)
}

async fn give(admin: &Api, body: Value) -> Value {
    admin.post("/api/commands", body).await.expect(201).json
}

fn to(tablet: &Tablet) -> Value {
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

/// An admin's socket on `/ws/events`.
async fn office(daemon: &Daemon) -> Socket {
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
async fn a_command_is_pending_then_delivered_by_an_ack_then_applied_by_its_result() {
    let (daemon, admin, tablet) = house().await;
    let mut office = office(&daemon).await;
    let mut wall = daemon.listen(&tablet.token).await;
    let order = json!({
        "type": "open", "clientId": tablet.id, "lockerId": "locker-123",
        "parameters": { "force": true }, "ttlSeconds": 60,
    });
    let command = give(&admin, order).await;
    let shape = [
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
    assert_eq!(keys(&command), shape);
    assert!(command["id"].as_str().unwrap().starts_with("command_"));
    assert_eq!(
        (&command["clientId"], &command["kioskId"]),
        (&json!(tablet.id), &json!("kiosk-1"))
    );
    let told = wall.next().await;
    assert_eq!(
        (&told["type"], &told["id"]),
        (&json!("command"), &command["eventId"])
    );
    let expected = json!({
        "commandId": command["id"], "type": "open", "parameters": { "force": true },
        "lockerId": "locker-123", "kioskId": "kiosk-1", "expiresAt": command["expiresAt"],
    });
    assert_eq!(told["data"], expected);
    assert_timestamp(&told["data"]["expiresAt"]);
    // Bytes on their way prove nothing.
    wall.assert_nothing_received().await;
    assert_eq!(status(&admin, &command).await, "pending");

    let before = json!({ "type": "ack", "data": { "id": told["id"].as_i64().unwrap() - 1 } });
    wall.send(before).await;
    wall.assert_nothing_received().await;
    assert_eq!(status(&admin, &command).await, "pending");
    wall.send(json!({ "type": "ack", "data": { "id": told["id"] } }))
        .await;
    wall.assert_nothing_received().await;
    assert_eq!(status(&admin, &command).await, "delivered");

    let data = json!({ "commandId": command["id"], "success": true, "message": "Door is open" });
    let report = json!({ "type": "command_result", "data": data, "requestId": 9 });
    let answer = wall.ask(report).await;
    assert_eq!(
        (&answer["type"], &answer["requestId"]),
        (&json!("result"), &json!(9))
    );
    assert_eq!(
        (&answer["data"]["success"], &answer["data"]["status"]),
        (&json!(true), &json!("applied"))
    );
    assert_eq!(answer["data"]["id"], command["id"]);

    let told = office.next().await;
    assert_eq!(told["type"], "command_applied");
    assert!(told["id"].is_i64(), "it is durable: {told}");
    let mut data = told["data"].clone();
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
        (&json!("applied"), &told["data"]["result"])
    );
    let audit = admin.get("/api/audit?limit=1").await.expect(200).json;
    assert_eq!(audit["entries"][0]["target"], command["id"], "{audit}");
}

#[tokio::test]
async fn a_result_said_again_tells_nothing_and_another_one_is_refused() {
    let (daemon, admin, tablet) = house().await;
    let mut office = office(&daemon).await;
    let command = give(&admin, to(&tablet)).await;
    let mut wall = daemon.listen(&tablet.token).await;
    wall.next_of("command").await;
    let data = json!({ "commandId": command["id"], "success": false, "error": "jammed" });
    let failed = json!({ "type": "command_result", "data": data, "requestId": 1 });
    for _ in 0..2 {
        let answer = wall.ask(failed.clone()).await;
        assert_eq!(
            (&answer["data"]["success"], &answer["data"]["status"]),
            (&json!(true), &json!("failed"))
        );
    }
    let refused = wall.ask(result(&command, true)).await;
    assert_eq!(
        (&refused["data"]["success"], &refused["data"]["code"]),
        (&json!(false), &json!("already_ended"))
    );
    let told = office.next().await["data"].clone();
    assert_eq!(keys(&told["command"]), ["kioskId", "type"]);
    assert_eq!(
        (&told["result"]["success"], &told["result"]["error"]),
        (&json!(false), &json!("jammed"))
    );
    office.assert_nothing_received().await;
    assert_eq!(status(&admin, &command).await, "failed");
}

#[tokio::test]
async fn only_the_tablet_it_is_for_hears_sees_and_ends_a_command() {
    let (daemon, admin, tablet) = house().await;
    let twin = at_kiosk(&daemon, "Twin", "kiosk-1").await;
    let mut other = daemon.listen(&twin.token).await;
    let user = daemon.token(json!({ "role": "user", "name": "u" })).await;
    let mut person = daemon.listen(user["token"].as_str().unwrap()).await;
    let command = give(&admin, to(&tablet)).await;
    let none = json!({ "id": "command_none" });
    for socket in [&mut other, &mut person] {
        for command in [&command, &none] {
            let answer = socket.ask(result(command, true)).await;
            assert_eq!(
                (&answer["type"], &answer["data"]["code"]),
                (&json!("result"), &json!("forbidden"))
            );
        }
    }
    let path = format!("/api/commands/{}", command["id"].as_str().unwrap());
    let (wall, foreign) = (daemon.api(&tablet.token), daemon.api(&twin.token));
    wall.get(&path).await.expect(200);
    for path in [path.as_str(), "/api/commands/none"] {
        assert_eq!(foreign.get(path).await.refused(403), "forbidden");
    }
    assert_eq!(
        admin.get("/api/commands/none").await.refused(404),
        "not_found"
    );
    assert_eq!(
        wall.post("/api/commands", to(&tablet)).await.refused(403),
        "forbidden"
    );
    let user = daemon.api_of(&user);
    for path in [path.as_str(), "/api/commands"] {
        assert_eq!(user.get(path).await.refused(403), "forbidden");
    }
    give(&admin, to(&twin)).await;
    let count = async |api: &Api| {
        let list = api.get("/api/commands").await.expect(200).json;
        list["commands"].as_array().unwrap().len()
    };
    assert_eq!(
        (
            count(&wall).await,
            count(&foreign).await,
            count(&admin).await
        ),
        (1, 1, 2)
    );
    let page = admin.get("/api/commands?limit=1").await.expect(200).json;
    assert_eq!(
        page["commands"][0]["clientId"], twin.id,
        "the newest comes first"
    );
    let cursor = page["nextCursor"].as_str().unwrap();
    let page = admin
        .get(&format!("/api/commands?limit=1&cursor={cursor}"))
        .await;
    assert_eq!(page.expect(200).json["commands"][0]["id"], command["id"]);
}

#[tokio::test]
async fn a_command_to_a_kiosk_is_one_for_each_of_its_tablets() {
    let (daemon, admin, one) = house().await;
    let two = at_kiosk(&daemon, "Two", "kiosk-1").await;
    let far = at_kiosk(&daemon, "Far", "kiosk-2").await;
    let mut sockets = Vec::new();
    for tablet in [&one, &two] {
        sockets.push((daemon.listen(&tablet.token).await, &tablet.id));
    }
    let mut elsewhere = daemon.listen(&far.token).await;
    let order = json!({ "type": "open", "kioskId": "kiosk-1" });
    let given = give(&admin, order).await;
    let commands = given["commands"].as_array().unwrap();
    assert_eq!(commands.len(), 2);
    assert_eq!(given["id"], commands[0]["id"]);
    for (socket, id) in &mut sockets {
        let told = socket.next().await;
        let own = commands.iter().find(|command| command["clientId"] == **id);
        assert_eq!(told["data"]["commandId"], own.unwrap()["id"]);
        socket.assert_nothing_received().await;
    }
    elsewhere.assert_nothing_received().await;
    // Each has an outcome of its own.
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
    // A tablet without a kiosk is one by itself.
    let alone = daemon.pair("Alone", &[]).await;
    let given = give(&admin, json!({ "type": "open", "kiosk_id": alone.id })).await;
    assert_eq!(
        (&given["clientId"], &given["kioskId"]),
        (&json!(alone.id), &json!(alone.id))
    );
    let nowhere = json!({ "type": "open", "kioskId": "kiosk-9" });
    let refused = admin.post("/api/commands", nowhere).await;
    assert_eq!(refused.json["field"], "kioskId");
    refused.refused(422);
}

#[tokio::test]
async fn a_tablet_without_a_position_gets_what_is_pending_and_nothing_else() {
    let (daemon, admin, tablet) = house().await;
    let first = give(&admin, to(&tablet)).await;
    let second = give(&admin, to(&tablet)).await;
    let done = give(&admin, to(&tablet)).await;
    for path in ["/ws", "/ws/events"] {
        let opened = Socket::open(&daemon, path, Some(&tablet.token)).await;
        let mut socket = opened.unwrap();
        let words = socket.next().await;
        assert_eq!(
            (&words["type"], &words["data"]["recovered"]),
            (&json!("connection"), &json!(false))
        );
        for command in [&first, &second, &done] {
            let told = socket.next().await;
            assert_eq!(
                (&told["type"], &told["id"]),
                (&json!("command"), &command["eventId"])
            );
            assert_eq!(told["data"]["commandId"], command["id"]);
        }
        if path == "/ws" {
            // A replay does not tell them again in the same session.
            let resume = json!({ "lastEventId": 0, "epoch": words["data"]["epoch"] });
            let resume = json!({ "type": "resume", "data": resume, "requestId": 1 });
            assert_eq!(socket.ask(resume).await["data"]["recovered"], true);
        }
        let next = give(&admin, to(&tablet)).await;
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
    // What is done or acknowledged is not pending.
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
    let words = stream.next().await;
    let told = stream.next().await;
    let position = format!(
        "{}:{}",
        words.data["epoch"].as_str().unwrap(),
        words.data["lastEventId"]
    );
    assert_eq!(
        (told.event_type.as_str(), &told.data["commandId"]),
        ("command", &second["id"])
    );
    // It does not take the stream's position back. A stream that is lost before it comes back as one
    // without a position, and is told again.
    assert_eq!((words.id, told.id), (None, Some(position)));
}

#[tokio::test]
async fn a_command_waits_for_a_tablet_that_is_away_over_a_kill() {
    let (daemon, admin, tablet) = house().await;
    let mut socket = daemon.connect(&tablet.token).await;
    let words = socket.next().await["data"].clone();
    socket.close().await;
    let command = give(&admin, to(&tablet)).await;
    let daemon = daemon.kill_and_restart().await;
    let path = format!(
        "/ws?since={}&epoch={}",
        words["lastEventId"],
        words["epoch"].as_str().unwrap()
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
async fn a_command_past_its_expiry_is_told_to_admins_and_to_no_tablet_any_more() {
    let (daemon, admin, tablet) = house().await;
    let mut office = office(&daemon).await;
    let mut socket = daemon.connect(&tablet.token).await;
    let words = socket.next().await["data"].clone();
    socket.close().await;
    let order = json!({ "type": "open", "clientId": tablet.id, "ttlSeconds": 1 });
    let command = give(&admin, order).await;
    let lasting = give(&admin, to(&tablet)).await;
    until_status(&admin, &command, "expired").await;
    let told = office.next().await;
    assert_eq!(told["type"], "command_applied");
    let outcome = &told["data"]["result"];
    assert_eq!(
        (&outcome["success"], &outcome["error"]),
        (&json!(false), &json!("expired"))
    );
    office.assert_nothing_received().await;

    let path = format!(
        "/ws?since={}&epoch={}",
        words["lastEventId"],
        words["epoch"].as_str().unwrap()
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
async fn an_expiry_while_the_daemon_was_down_is_told_when_it_is_up() {
    let (daemon, admin, tablet) = house().await;
    let order = json!({ "type": "open", "clientId": tablet.id, "ttlSeconds": 1 });
    let command = give(&admin, order).await;
    let daemon = daemon.kill_and_restart().await;
    let admin = daemon.local();
    until_status(&admin, &command, "expired").await;
    until("its end in the history", async || {
        let path = "/api/events?type=command_applied";
        let history = admin.get(path).await.expect(200).json;
        (history["events"][0]["data"]["result"]["error"] == "expired").then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_was_done_was_done_although_its_result_comes_late() {
    let (daemon, admin, tablet) = house().await;
    let mut office = office(&daemon).await;
    let mut wall = daemon.listen(&tablet.token).await;
    let order = json!({ "type": "open", "clientId": tablet.id, "ttlSeconds": 1 });
    let command = give(&admin, order).await;
    wall.next_of("command").await;
    assert_eq!(
        office.next_of("command_applied").await["data"]["result"]["error"],
        "expired"
    );
    let answer = wall.ask(result(&command, true)).await;
    assert_eq!(answer["data"]["status"], "applied");
    assert_eq!(office.next().await["data"]["result"]["success"], true);
    assert_eq!(status(&admin, &command).await, "applied");
}

#[tokio::test]
async fn what_is_no_command_is_refused_and_told_to_nobody() {
    let (daemon, admin, tablet) = house().await;
    let mut wall = daemon.listen(&tablet.token).await;
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
        let mut body = to(&tablet);
        for (key, value) in change.as_object().unwrap() {
            body[key] = value.clone();
        }
        let answer = admin.post("/api/commands", body.clone()).await;
        assert_eq!(answer.json["field"], field, "{body}");
        assert_eq!(answer.refused(422), "invalid_field");
    }
    wall.assert_nothing_received().await;
    for _ in 0..50 {
        give(&admin, to(&tablet)).await;
    }
    let refused = admin.post("/api/commands", to(&tablet)).await;
    assert_eq!(refused.refused(409), "too_many_open");
    // To a kiosk it goes to all or to none.
    let free = at_kiosk(&daemon, "Free", "kiosk-1").await;
    let order = json!({ "type": "open", "kioskId": "kiosk-1" });
    let refused = admin.post("/api/commands", order).await;
    assert_eq!(refused.refused(409), "too_many_open");
    let own = daemon.api(&free.token).get("/api/commands").await;
    assert_eq!(own.expect(200).json["commands"], json!([]));
}

#[tokio::test]
async fn a_tablet_with_a_stream_alone_does_all_the_same() {
    let (daemon, admin, tablet) = house().await;
    let mut stream = EventStream::open(&daemon, &tablet.token).await;
    let words = stream.next().await.data;
    let api = daemon.api(&tablet.token);
    let send = async |mut message: Value| {
        message["connectionId"] = words["connectionId"].clone();
        api.post("/api/send", message).await
    };
    let command = give(&admin, to(&tablet)).await;
    let told = stream.next().await;
    assert_eq!(told.data["commandId"], command["id"]);
    let ack = json!({ "type": "ack", "data": { "id": told.number() } });
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
