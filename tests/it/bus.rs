//! What Wallcast announces on Home Assistant's bus, and what comes by its standard input (contract
//! section 7).

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::kiosks::at_kiosk;
use crate::support::{Core, Daemon, assert_timestamp, until};

async fn fired(core: &Core, kind: &str) -> Value {
    let fired = until(kind, async || core.fired(kind).first().cloned()).await;
    assert_timestamp(&fired["timestamp"]);
    fired
}

#[tokio::test]
async fn what_tablets_do_is_fired_with_who_and_where() {
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
    let asked = daemon.api(&tablet.token).post("/api/help", help).await;
    let asked = asked.expect(201).json;
    let help = fired(&core, "wallcast_help_requested").await;
    assert_eq!(help["help_id"], asked["id"]);
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
    assert_eq!(core.received("fire_event").len(), 5, "each once");
}

#[tokio::test]
async fn what_happens_while_home_assistant_is_away_is_fired_when_it_is_back() {
    let mut core = Core::start().await;
    let daemon = Daemon::with_core(core.direct(), &[]).await;
    daemon.until_home_is("connected").await;
    core.kill().await;
    daemon.until_home_is("disconnected").await;
    let first = daemon.pair("First", &[]).await;
    let second = at_kiosk(&daemon, "Second", "kiosk-2").await;
    assert!(core.fired("wallcast_client_paired").is_empty());
    core.restart().await;
    let fired = until("both", async || {
        Some(core.fired("wallcast_client_paired")).filter(|fired| fired.len() == 2)
    })
    .await;
    assert_eq!(fired[0]["client_id"], first.id.as_str());
    assert_eq!(fired[1]["client_id"], second.id.as_str());
}

#[tokio::test]
async fn a_line_of_standard_input_is_as_good_as_its_post() {
    let core = Core::start().await;
    let mut daemon = Daemon::with_core(core.as_addon(), &[]).await;
    let admin = daemon.admin().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let mut socket = daemon.listen(&tablet.token).await;
    let mut stdin = daemon.stdin.take().expect("it reads");
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
        .expect("it takes them");
    assert_eq!(socket.next_of("doorbell").await["data"]["door"], 1);
    assert_eq!(
        socket.next_of("new_message").await["data"]["message"]["body"],
        "Dinner"
    );
    assert_eq!(socket.next_of("command").await["data"]["type"], "reload");

    let audit = admin.get("/api/audit?limit=100").await.expect(200).json;
    let acts: Vec<_> = audit["entries"].as_array().unwrap().iter().collect();
    for action in ["event.broadcast", "message.send", "command.give"] {
        let act = acts.iter().find(|act| act["action"] == action);
        let act = act.unwrap_or_else(|| panic!("{action} is audited: {audit}"));
        assert_eq!(act["actor"], "admin:homeassistant");
        assert_eq!(act["address"], "local");
    }
    let log = daemon.log();
    for why in ["not understood", "is refused", "too long"] {
        assert!(log.contains(why), "{why}: {log}");
    }
    assert!(!log.contains("yyyy"), "not at length");
    // The end of the input is the end of nothing.
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
async fn outside_the_add_on_standard_input_is_not_read() {
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
