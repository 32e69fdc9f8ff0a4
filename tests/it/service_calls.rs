//! Service calls on entities: who may call what, what reaches Home Assistant, and what the caller gets back
//! (docs/protocol.md#calling-services).

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{Answer, Api, Core, CoreData, CoreReply, Daemon, Tablet, until};

fn kitchen_and_hall(data: &mut CoreData) {
    data.add_area("kitchen", "Kitchen");
    data.add_area("hall", "Hall");
    for (id, area, class) in [
        ("light.kitchen", "kitchen", None),
        ("cover.blind", "kitchen", Some("blind")),
        ("cover.plain", "kitchen", None),
        ("cover.garage", "kitchen", Some("garage")),
        ("cover.gate", "kitchen", Some("gate")),
        ("cover.door", "kitchen", Some("door")),
        ("lock.kitchen", "kitchen", None),
        ("media_player.kitchen", "kitchen", None),
        ("alarm_control_panel.kitchen", "kitchen", None),
        ("light.hall", "hall", None),
        ("cover.hall", "hall", Some("blind")),
    ] {
        data.add_entity(id, Some(area), None);
        let attributes = json!({ "device_class": class });
        let attributes = class.map_or(json!({}), |_| attributes);
        let state = json!({ "s": "on", "a": attributes, "c": "c", "lc": 1.0 });
        data.states.insert(id.to_owned(), state);
    }
}

/// A scripted Core, a daemon that has mirrored it, and a tablet assigned to the kitchen.
struct Home {
    core: Core,
    daemon: Daemon,
    admin: Api,
    tablet: Tablet,
}

impl Home {
    async fn new(options: &[(&str, &str)]) -> Self {
        let core = Core::with(kitchen_and_hall).await;
        let daemon = Daemon::with_core(core.direct(), options).await;
        let admin = daemon.admin().await;
        until("the areas", async || {
            let areas = admin.get("/api/areas").await.expect(200).json;
            (areas["areas"].as_array()?.len() == 2).then_some(())
        })
        .await;
        let tablet = daemon.pair("Wall", &["kitchen"]).await;
        let home = Self {
            core,
            daemon,
            admin,
            tablet,
        };
        until("the states", async || {
            let states = home
                .tablet_api()
                .get("/api/entities")
                .await
                .expect(200)
                .json;
            (states["states"].as_array()?.len() == 9).then_some(())
        })
        .await;
        home
    }

    fn tablet_api(&self) -> Api {
        self.daemon.api(&self.tablet.token)
    }

    fn calls(&self) -> Vec<Value> {
        self.core.received("call_service")
    }
}

async fn call(api: &Api, entity: &str, service: &str, data: Value) -> Answer {
    let body = json!({ "service": service, "data": data });
    api.post(&format!("/api/entities/{entity}/call"), body)
        .await
}

#[tokio::test]
async fn tablet_calls_services_on_entities_of_its_areas() {
    let home = Home::new(&[]).await;
    let tablet = home.tablet_api();
    let data = json!({ "brightness": 120, "transition": 1.5 });
    let done = call(&tablet, "light.kitchen", "turn_on", data.clone()).await;
    let expected =
        json!({ "success": true, "entityId": "light.kitchen", "service": "light.turn_on" });
    assert_eq!(done.expect(200).json, expected);
    let calls = home.calls();
    let expected = json!({ "id": calls[0]["id"], "type": "call_service", "domain": "light",
        "service": "turn_on", "service_data": data,
        "target": { "entity_id": ["light.kitchen"] } });
    assert_eq!(calls, [expected]);
    call(&tablet, "light.kitchen", "light.toggle", json!({}))
        .await
        .expect(200);
    let bare = json!({ "service": "lock" });
    tablet
        .post("/api/entities/lock.kitchen/call", bare)
        .await
        .expect(200);
    call(
        &tablet,
        "cover.blind",
        "set_cover_position",
        json!({ "position": 3 }),
    )
    .await
    .expect(200);
    assert_eq!(home.calls().len(), 4);
    let audit = home
        .admin
        .get("/api/audit?limit=100")
        .await
        .expect(200)
        .json;
    let entries = audit["entries"].as_array().unwrap().iter();
    assert_eq!(
        entries
            .filter(|entry| entry["action"] == "entity.call")
            .count(),
        0,
        "calls by tablets are not audited"
    );
}

#[tokio::test]
async fn forbidden_call_is_refused_and_not_forwarded() {
    let home = Home::new(&[]).await;
    let tablet = home.tablet_api();
    let mut refusals = Vec::new();
    for (entity, service) in [
        ("light.hall", "turn_on"),
        ("light.nowhere", "turn_on"),
        ("nonsense", "turn_on"),
        ("light.kitchen", "reload"),
        ("light.kitchen", "lock.unlock"),
        ("light.kitchen", "homeassistant.restart"),
        ("lock.kitchen", "unlock"),
        ("lock.kitchen", "open"),
        ("media_player.kitchen", "join"),
        ("media_player.kitchen", "unjoin"),
        ("media_player.kitchen", "play_media"),
        ("alarm_control_panel.kitchen", "alarm_disarm"),
        ("cover.garage", "open_cover"),
        ("cover.gate", "toggle"),
        ("cover.door", "set_cover_position"),
    ] {
        let refused = call(&tablet, entity, service, json!({})).await;
        assert_eq!(refused.status, 403, "{entity} {service}: {}", refused.text);
        refusals.push(refused.json["code"].clone());
    }
    assert!(refusals.iter().all(|code| code == "forbidden"));
    // A foreign entity and an unknown one get the same response.
    let [foreign, unknown] = [
        call(&tablet, "light.hall", "turn_on", json!({})).await,
        call(&tablet, "light.nowhere", "turn_on", json!({})).await,
    ];
    assert_eq!(foreign.json["error"], unknown.json["error"]);
    for (body, field) in [
        (json!({}), "service"),
        (json!({ "service": 7 }), "service"),
        (json!({ "service": "Turn On" }), "service"),
        (json!({ "service": "light.turn.on" }), "service"),
        (json!({ "service": "switch.turn_on" }), "service"),
        (json!({ "service": "turn_on", "data": 7 }), "data"),
        (
            json!({ "service": "turn_on", "data": { "entity_id": "light.hall" } }),
            "data",
        ),
        (
            json!({ "service": "turn_on", "data": { "area_id": "hall" } }),
            "data",
        ),
        (
            json!({ "service": "turn_on", "data": { "device_id": ["d"] } }),
            "data",
        ),
        (
            json!({ "service": "turn_on", "data": { "floor_id": "f" } }),
            "data",
        ),
        (
            json!({ "service": "turn_on", "data": { "label_id": "l" } }),
            "data",
        ),
        (
            json!({ "service": "turn_on", "data": { "target": {} } }),
            "data",
        ),
        (
            json!({ "service": "turn_on", "data": { "group_members": [] } }),
            "data",
        ),
        (
            json!({ "service": "turn_on", "data": { "brightness": 256 } }),
            "data",
        ),
        (
            json!({ "service": "turn_on", "data": { "brightness": { "entity_id": "x" } } }),
            "data",
        ),
    ] {
        let refused = tablet
            .post("/api/entities/light.kitchen/call", body.clone())
            .await;
        assert_eq!(refused.json["field"], field, "{body}");
        assert_eq!(refused.refused(422), "invalid_field");
    }
    let user = home
        .daemon
        .token(json!({ "role": "user", "name": "Ann" }))
        .await;
    let user = home.daemon.api_of(&user);
    call(&user, "light.kitchen", "turn_on", json!({}))
        .await
        .refused(403);
    let unauthenticated = home.daemon.unauthenticated();
    call(&unauthenticated, "light.kitchen", "turn_on", json!({}))
        .await
        .refused(401);
    home.admin
        .patch("/api/areas/kitchen/toggle", json!({}))
        .await
        .expect(200);
    for api in [&tablet, &home.admin] {
        call(api, "light.kitchen", "turn_on", json!({}))
            .await
            .refused(403);
    }
    assert_eq!(home.calls(), Vec::<Value>::new());
}

#[tokio::test]
async fn covers_of_entrances_must_be_listed_by_entity_id() {
    let options = [("ALLOWED_SERVICES", "cover.*,cover.garage,lock.kitchen")];
    let home = Home::new(&options).await;
    let tablet = home.tablet_api();
    for entity in ["cover.blind", "cover.plain", "cover.garage"] {
        call(&tablet, entity, "open_cover", json!({}))
            .await
            .expect(200);
    }
    call(&tablet, "lock.kitchen", "unlock", json!({}))
        .await
        .expect(200);
    for (entity, service) in [
        ("cover.gate", "open_cover"),
        ("cover.door", "close_cover"),
        ("light.kitchen", "turn_on"),
    ] {
        call(&tablet, entity, service, json!({})).await.refused(403);
    }
    // The device class of an entity that no tablet sees is unknown, so it could be an entrance.
    call(&home.admin, "cover.hall", "open_cover", json!({}))
        .await
        .refused(403);
    assert_eq!(home.calls().len(), 4);
    home.daemon.pair("Hall", &["hall"]).await;
    until("the cover's device class", async || {
        let answer = call(&home.admin, "cover.hall", "open_cover", json!({})).await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn admin_calls_obey_allowed_services_and_are_audited() {
    let home = Home::new(&[]).await;
    // An admin may call an entity of any area, also of one that no tablet has.
    call(&home.admin, "light.hall", "turn_on", json!({}))
        .await
        .expect(200);
    call(
        &home.admin,
        "lock.kitchen",
        "unlock",
        json!({ "code": "open-sesame" }),
    )
    .await
    .refused(403);
    call(
        &home.admin,
        "lock.kitchen",
        "lock",
        json!({ "code": "open-sesame" }),
    )
    .await
    .expect(200);
    call(&home.admin, "light.nowhere", "turn_on", json!({}))
        .await
        .refused(403);
    assert_eq!(home.calls().len(), 2);
    let audit = home.admin.get("/api/audit?limit=100").await.expect(200);
    let entries = audit.json["entries"].as_array().unwrap().iter();
    let calls: Vec<_> = entries
        .filter(|entry| entry["action"] == "entity.call")
        .map(|entry| format!("{} {}", entry["target"], entry["detail"]).replace('"', ""))
        .collect();
    assert_eq!(
        calls,
        ["lock.kitchen lock.lock", "light.hall light.turn_on"]
    );
    assert!(!audit.text.contains("open-sesame") && !home.daemon.log().contains("open-sesame"));
}

#[tokio::test]
async fn home_assistant_errors_are_returned_to_the_caller() {
    let mut home = Home::new(&[]).await;
    let tablet = home.tablet_api();
    let set_reply = |home: &Home, reply: CoreReply| {
        home.core
            .data()
            .replies
            .insert("call_service".to_owned(), reply);
    };
    set_reply(
        &home,
        CoreReply::Error("home_assistant_error", "Lamp is not plugged in"),
    );
    let refused = call(&tablet, "light.kitchen", "turn_on", json!({})).await;
    assert_eq!(refused.json["error"], "Lamp is not plugged in");
    assert_eq!(refused.refused(502), "homeassistant_refused");
    let mut socket = home.daemon.listen(&home.tablet.token).await;
    socket.next_of("entity_states").await;
    let message = json!({ "type": "call_service", "requestId": 1,
        "data": { "entityId": "light.kitchen", "service": "turn_on" } });
    let result = socket.ask(message.clone()).await["data"].take();
    assert_eq!(result["success"], false);
    assert_eq!(result["error"], "Lamp is not plugged in");

    set_reply(&home, CoreReply::Silence);
    let unanswered = call(&tablet, "light.kitchen", "turn_on", json!({})).await;
    assert_eq!(unanswered.refused(504), "homeassistant_timeout");

    home.core.kill().await;
    home.daemon.until_home_is("disconnected").await;
    let away = call(&tablet, "light.kitchen", "turn_on", json!({})).await;
    assert!(away.retry_after() > 0);
    assert_eq!(away.refused(503), "unavailable");
    // Permissions are checked first: a forbidden call gets 403 during the outage, too.
    call(&tablet, "light.hall", "turn_on", json!({}))
        .await
        .refused(403);

    let without_core = Daemon::start().await;
    let admin = without_core.admin().await;
    let body = json!({ "name": "Kitchen", "entityIds": ["light.kitchen"] });
    admin.post("/api/areas", body).await.expect(201);
    call(&admin, "light.kitchen", "turn_on", json!({}))
        .await
        .refused(503);
    let states = admin.get("/api/entities").await.expect(200).json;
    assert_eq!(states, json!({ "states": [], "nextCursor": null }));
}

#[tokio::test]
async fn socket_receives_events_while_a_call_is_pending() {
    let home = Home::new(&[]).await;
    let mut socket = home.daemon.listen(&home.tablet.token).await;
    socket.next_of("entity_states").await;
    let call_message = |id: &str, entity: &str, service: &str| {
        json!({ "type": "call_service", "requestId": id,
            "data": { "entityId": entity, "service": service, "data": {} } })
    };
    let done = socket
        .ask(call_message("a", "light.kitchen", "turn_on"))
        .await;
    assert_eq!(
        (&done["type"], &done["requestId"]),
        (&json!("result"), &json!("a"))
    );
    let expected =
        json!({ "success": true, "entityId": "light.kitchen", "service": "light.turn_on" });
    assert_eq!(done["data"], expected);
    let refused = socket.ask(call_message("b", "light.hall", "turn_on")).await;
    assert_eq!(refused["data"]["code"], "forbidden");
    let refused = socket
        .ask(json!({ "type": "call_service", "entity_id": "light.hall", "service": "turn_on" }))
        .await;
    assert_eq!(refused["type"], "error");
    assert_eq!(refused["data"]["code"], "forbidden");
    let refused = socket
        .ask(json!({ "type": "call_service", "requestId": 1, "data": { "service": "turn_on" } }))
        .await;
    assert_eq!(refused["data"]["code"], "invalid_field");

    let silence = CoreReply::Silence;
    home.core
        .data()
        .replies
        .insert("call_service".to_owned(), silence);
    for n in 0..16 {
        socket
            .send(call_message(&n.to_string(), "light.kitchen", "turn_on"))
            .await;
    }
    home.core.until_received("call_service", 17).await;
    let refused = socket
        .ask(call_message("one more", "light.kitchen", "turn_on"))
        .await;
    assert_eq!(refused["requestId"], "one more");
    assert_eq!(refused["data"]["code"], "rate_limited");
    home.core.set_state("light.kitchen", "off", json!({}));
    assert_eq!(
        socket.next().await["type"],
        "entity_state_changed",
        "events arrive while calls are pending"
    );
    home.core.data().replies.clear();
    let welcome = home.daemon.welcome(&home.tablet.token).await;
    drop(welcome);
    let mut timeouts = 0;
    while timeouts < 16 {
        let result = socket.next_of("result").await;
        assert_eq!(result["data"]["code"], "homeassistant_timeout");
        timeouts += 1;
    }
    // `POST /api/send` carries the same message for clients that cannot send on their connection.
    let body = json!({ "connectionId": connection_id(&mut socket, &home).await,
        "type": "call_service", "data": { "entityId": "light.kitchen", "service": "toggle" } });
    let sent = home
        .tablet_api()
        .post("/api/send", body)
        .await
        .expect(200)
        .json;
    assert!(sent.to_string().contains("light.toggle"), "{sent}");
}

/// The connection id of the tablet's socket, from `GET /api/websocket/info`.
async fn connection_id(_socket: &mut crate::support::Socket, home: &Home) -> Value {
    let info = home.admin.get("/api/websocket/info").await.expect(200).json;
    let clients = info["data"]["clients"].as_array().unwrap();
    let own = clients
        .iter()
        .find(|client| client["clientId"] == home.tablet.id.as_str());
    own.expect("it is connected")["connectionId"].clone()
}

#[tokio::test]
async fn call_with_idempotency_key_is_made_once() {
    let home = Home::new(&[]).await;
    let tablet = Arc::new(home.tablet_api());
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "once"),
    ];
    let path = "/api/entities/light.kitchen/call";
    let body = json!({ "service": "toggle" }).to_string();
    let first = tablet
        .send_text("POST", path, &headers, &body)
        .await
        .expect(200);
    let again = tablet
        .send_text("POST", path, &headers, &body)
        .await
        .expect(200);
    assert_eq!(first.text, again.text);
    assert_eq!(home.calls().len(), 1);
    // A failed call is not stored under its key: the same request may be repeated.
    let other = [headers[0], ("idempotency-key", "other")];
    let error = CoreReply::Error("home_assistant_error", "Not now");
    home.core
        .data()
        .replies
        .insert("call_service".to_owned(), error);
    tablet
        .send_text("POST", path, &other, &body)
        .await
        .refused(502);
    home.core.data().replies.clear();
    tablet
        .send_text("POST", path, &other, &body)
        .await
        .expect(200);
    assert_eq!(home.calls().len(), 3);
    assert!(!home.daemon.log().contains("lock state not saved"));
}

#[tokio::test]
async fn invalid_allowed_services_entry_fails_the_start() {
    for wrong in ["light", "nothing.*", "automation.*", "Light.turn_on"] {
        let folder = tempfile::tempdir().unwrap();
        let options = vec![("ALLOWED_SERVICES".to_owned(), wrong.to_owned())];
        let output = crate::support::command(folder.path(), &options)
            .output()
            .await
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            text.contains(&format!("allowed_services is \"{wrong}\" (")),
            "{text}"
        );
    }
}
