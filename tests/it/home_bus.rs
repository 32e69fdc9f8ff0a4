//! Events that Wallcast fires on Home Assistant's bus, and actions that arrive on its standard input
//! (docs/protocol.md#home-assistant).

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::kiosks::at_kiosk;
use crate::support::{Core, Daemon, assert_timestamp, until};

/// Waits for an event of this type on the bus and returns its data.
async fn fired(core: &Core, event_type: &str) -> Value {
    let fired = until(event_type, async || core.fired(event_type).first().cloned()).await;
    assert_timestamp(&fired["timestamp"]);
    fired
}

#[tokio::test]
async fn tablet_activity_is_fired_on_the_home_assistant_bus() {
    let core = Core::start().await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    daemon.until_home_is("connected").await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let paired = fired(&core, "wallcast_client_paired").await;
    assert_eq!(paired["client_id"], tablet.id.as_str());
    assert_eq!(paired["client_name"], "Wall");
    assert_eq!(paired["area_ids"], json!([area]));
    assert!(!paired.to_string().contains(&tablet.token));

    let mut socket = daemon.listen(&tablet.token).await;
    let online = fired(&core, "wallcast_client_online").await;
    assert_eq!(online["client_id"], tablet.id.as_str());
    assert_eq!(online["client_name"], "Wall");

    let help = json!({ "category": "stuck", "note": "please", "locker_no": 7 });
    let request = daemon.api(&tablet.token).post("/api/help", help).await;
    let request = request.expect(201).json;
    let help = fired(&core, "wallcast_help_requested").await;
    assert_eq!(help["help_id"], request["id"]);
    assert_eq!(help["client_id"], tablet.id.as_str());
    assert_eq!(help["client_name"], "Wall");
    assert_eq!(help["kiosk_id"], tablet.id.as_str());
    assert_eq!(
        (&help["category"], &help["note"]),
        (&json!("stuck"), &json!("please"))
    );

    let order = json!({ "type": "open", "clientId": tablet.id, "lockerId": "l1" });
    admin.post("/api/commands", order).await.expect(201);
    let command = socket.next_of("command").await["data"]["commandId"].clone();
    let result = json!({ "commandId": command, "success": false, "error": "jammed" });
    socket
        .send(json!({ "type": "command_result", "data": result }))
        .await;
    let applied = fired(&core, "wallcast_command_applied").await;
    assert_eq!(applied["command_id"], command);
    assert_eq!(applied["client_name"], "Wall");
    assert_eq!(applied["kiosk_id"], tablet.id.as_str());
    assert_eq!(
        (&applied["type"], &applied["locker_id"]),
        (&json!("open"), &json!("l1"))
    );
    assert_eq!(
        (&applied["success"], &applied["error"]),
        (&json!(false), &json!("jammed"))
    );

    socket.close().await;
    let offline = fired(&core, "wallcast_client_offline").await;
    assert_eq!(offline["client_id"], tablet.id.as_str());
    assert_eq!(core.received("fire_event").len(), 5, "each event once");
}

#[tokio::test]
async fn events_during_an_outage_are_fired_after_reconnect() {
    let mut core = Core::start().await;
    let daemon = Daemon::with_core(core.direct(), &[]).await;
    daemon.until_home_is("connected").await;
    core.kill().await;
    daemon.until_home_is("disconnected").await;
    let first = daemon.pair("First", &[]).await;
    let second = at_kiosk(&daemon, "Second", "kiosk-2").await;
    assert!(core.fired("wallcast_client_paired").is_empty());
    core.restart().await;
    let fired = until("both events", async || {
        Some(core.fired("wallcast_client_paired")).filter(|fired| fired.len() == 2)
    })
    .await;
    assert_eq!(fired[0]["client_id"], first.id.as_str());
    assert_eq!(fired[1]["client_id"], second.id.as_str());
}

#[tokio::test]
async fn stdin_action_has_the_same_effect_as_its_request() {
    let core = Core::start().await;
    let mut daemon = Daemon::with_core(core.as_addon(), &[]).await;
    let admin = daemon.admin().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let mut socket = daemon.listen(&tablet.token).await;
    let mut stdin = daemon.stdin.take().expect("a pipe");
    let long = format!(
        "{{\"action\":\"broadcast\",\"x\":\"{}\"}}",
        "y".repeat(70_000)
    );
    let lines = [
        "not json".to_owned(),
        json!({ "action": "revoke", "clientId": tablet.id }).to_string(),
        json!({ "action": "broadcast", "type": "area_removed", "data": {} }).to_string(),
        json!({ "action": "command", "type": "open", "clientId": "nobody" }).to_string(),
        long,
        String::new(),
        json!({ "action": "broadcast", "type": "doorbell", "data": { "door": 1 } }).to_string(),
        json!({ "action": "message", "to": { "clientId": tablet.id }, "body": "Dinner" })
            .to_string(),
        json!({ "action": "command", "type": "reload", "clientId": tablet.id }).to_string(),
    ];
    let text = lines.join("\n") + "\n";
    stdin
        .write_all(text.as_bytes())
        .await
        .expect("the daemon reads it");
    assert_eq!(socket.next_of("doorbell").await["data"]["door"], 1);
    assert_eq!(
        socket.next_of("new_message").await["data"]["message"]["body"],
        "Dinner"
    );
    assert_eq!(socket.next_of("command").await["data"]["type"], "reload");

    let audit = admin.get("/api/audit?limit=100").await.expect(200).json;
    let entries: Vec<_> = audit["entries"].as_array().unwrap().iter().collect();
    for action in ["event.broadcast", "message.send", "command.give"] {
        let entry = entries.iter().find(|entry| entry["action"] == action);
        let entry = entry.unwrap_or_else(|| panic!("{action} is not audited: {audit}"));
        assert_eq!(entry["actor"], "admin:homeassistant");
        assert_eq!(entry["address"], "local");
    }
    let log = daemon.log();
    for why in ["not understood", "input refused", "too long"] {
        assert!(log.contains(why), "{why}: {log}");
    }
    assert!(!log.contains("yyyy"), "the log quotes an oversized line");
    // Closing standard input stops nothing.
    drop(stdin);
    admin
        .post(
            "/api/websocket/broadcast",
            json!({ "type": "after", "data": {} }),
        )
        .await
        .expect(200);
    socket.next_of("after").await;
}

#[tokio::test]
async fn stdin_outside_the_addon_is_not_read() {
    let mut daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let mut socket = daemon.listen(&tablet.token).await;
    let mut stdin = daemon.stdin.take().expect("a pipe");
    let line = json!({ "action": "broadcast", "type": "doorbell", "data": {} });
    stdin
        .write_all(format!("{line}\n").as_bytes())
        .await
        .expect("a pipe");
    let admin = daemon.admin().await;
    admin
        .post(
            "/api/websocket/broadcast",
            json!({ "type": "mark", "data": {} }),
        )
        .await
        .expect(200);
    assert_eq!(socket.next().await["type"], "mark");
}
