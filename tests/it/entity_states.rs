//! States of Home Assistant's entities: which sessions receive changes and snapshots, and which entities the
//! daemon subscribes to (docs/protocol.md#entities, docs/protocol.md#home-assistant).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::assert_timestamp;
use crate::support::{Api, Core, CoreData, CoreReply, Daemon, EventStream, Socket, keys, until};

fn state(state: &str, name: &str) -> Value {
    json!({ "s": state, "a": { "friendly_name": name }, "c": "context", "lc": 1_700_000_000.5 })
}

/// The initial attributes of an entity of [`kitchen_and_hall`], for changes of its state only.
fn same_attributes(id: &str) -> Value {
    json!({ "friendly_name": id })
}

/// A kitchen with a light and a sensor, and a hall with a light.
fn kitchen_and_hall(data: &mut CoreData) {
    data.add_area("kitchen", "Kitchen");
    data.add_area("hall", "Hall");
    for (id, area) in [
        ("light.kitchen", "kitchen"),
        ("sensor.oven", "kitchen"),
        ("light.hall", "hall"),
    ] {
        data.add_entity(id, Some(area), None);
        data.states.insert(id.to_owned(), state("off", id));
    }
}

/// A scripted Core and a daemon that has mirrored its areas.
struct Home {
    core: Core,
    daemon: Daemon,
    admin: Api,
}

impl Home {
    async fn new() -> Self {
        Self::with(kitchen_and_hall).await
    }

    async fn with(setup: impl FnOnce(&mut CoreData)) -> Self {
        let core = Core::with(setup).await;
        let daemon = Daemon::with_core(core.direct(), &[]).await;
        let admin = daemon.admin().await;
        let home = Self {
            core,
            daemon,
            admin,
        };
        home.until_areas().await;
        home
    }

    /// Waits until every area of the Core is mirrored.
    async fn until_areas(&self) {
        let count = self.core.data().areas.len();
        until("the areas", async || {
            let areas = self
                .admin
                .get("/api/areas?limit=1000")
                .await
                .expect(200)
                .json;
            (areas["areas"].as_array()?.len() == count).then_some(())
        })
        .await;
    }

    /// The entities of the daemon's current subscriptions.
    fn subscribed(&self) -> BTreeSet<String> {
        let ended: Vec<_> = self.core.received("unsubscribe_events");
        let ended: Vec<_> = ended.iter().map(|c| c["subscription"].clone()).collect();
        let commands = self.core.received("subscribe_entities").into_iter();
        commands
            .filter(|command| !ended.contains(&command["id"]))
            .flat_map(|command| command["entity_ids"].as_array().unwrap().clone())
            .map(|id| id.as_str().unwrap().to_owned())
            .collect()
    }

    async fn until_subscribed(&self, ids: &[&str]) {
        let wanted: BTreeSet<_> = ids.iter().map(|id| (*id).to_owned()).collect();
        until("the subscriptions", async || {
            let subscribed = self.subscribed();
            (subscribed == wanted).then_some(subscribed)
        })
        .await;
    }
}

/// The states of an `entity_states` event, as `ID=STATE`.
fn states_of(event: &Value) -> Vec<String> {
    let states = event["data"]["states"].as_array().expect("states").iter();
    let formatted = states.map(|state| {
        format!(
            "{}={}",
            state["entityId"].as_str().unwrap(),
            state["state"].as_str().unwrap()
        )
    });
    formatted.collect()
}

#[tokio::test]
async fn tablet_receives_states_of_its_own_areas_only() {
    let home = Home::new().await;
    let token = home
        .daemon
        .token(json!({ "role": "admin", "name": "a" }))
        .await;
    let kitchen = home.daemon.pair("Kitchen", &["kitchen"]).await;
    let hall = home.daemon.pair("Hall", &["hall"]).await;
    let none = home.daemon.pair("None", &[]).await;
    let user = home
        .daemon
        .token(json!({ "role": "user", "name": "Ann" }))
        .await;
    let mut in_kitchen = home.daemon.listen(&kitchen.token).await;
    let first = in_kitchen.next().await;
    assert_eq!(first["type"], "entity_states");
    assert!(first["id"].is_null(), "ephemeral");
    let lamp = json!({ "entityId": "light.kitchen", "state": "off",
        "attributes": { "friendly_name": "light.kitchen" }, "areaIds": ["kitchen"],
        "lastChanged": "2023-11-14T22:13:20.500Z" });
    assert_eq!(first["data"]["states"][0], lamp);
    assert_eq!(states_of(&first), ["light.kitchen=off", "sensor.oven=off"]);
    let mut in_hall = EventStream::listen(&home.daemon, &hall.token).await;
    let first = in_hall.next().await;
    assert_eq!(first.event_type, "entity_states");
    assert_eq!(first.data["states"][0]["entityId"], "light.hall");
    let mut elsewhere = home.daemon.listen(&none.token).await;
    let mut user_socket = home.daemon.listen(user["token"].as_str().unwrap()).await;
    let mut help_socket = Socket::open(&home.daemon, "/ws/help", Some(&kitchen.token))
        .await
        .unwrap();
    assert_eq!(help_socket.next().await["type"], "connection");
    let mut admin_socket = home.daemon.listen(token["token"].as_str().unwrap()).await;
    let all = admin_socket.next_of("entity_states").await;
    assert_eq!(
        states_of(&all),
        ["light.hall=off", "light.kitchen=off", "sensor.oven=off"]
    );

    home.core
        .set_state("light.kitchen", "on", json!({ "brightness": 7 }));
    let event = in_kitchen.next().await;
    assert_eq!(event["type"], "entity_state_changed");
    assert_eq!(event, admin_socket.next_of("entity_state_changed").await);
    assert_timestamp(&event["data"]["timestamp"]);
    let expected = json!({ "entity_id": "light.kitchen", "old_state": "off", "new_state": "on",
        "attributes": { "brightness": 7, "friendly_name": "light.kitchen" },
        "areaIds": ["kitchen"], "timestamp": event["data"]["timestamp"] });
    assert_eq!(event["data"], expected);
    home.core.set_state("light.hall", "on", json!({}));
    let event = in_hall.next().await;
    assert_eq!(event.data["entity_id"], "light.hall");
    assert_eq!(event.id, None);
    // The same state again emits no event.
    home.core
        .set_state("light.kitchen", "on", json!({ "brightness": 7 }));
    home.core.remove_state("light.kitchen");
    let event = in_kitchen.next().await;
    assert_eq!(
        (&event["data"]["old_state"], &event["data"]["new_state"]),
        (&json!("on"), &Value::Null)
    );
    for socket in [
        &mut in_kitchen,
        &mut elsewhere,
        &mut user_socket,
        &mut help_socket,
    ] {
        socket.assert_nothing_received().await;
    }
    let entities = home
        .daemon
        .api(&kitchen.token)
        .get("/api/entities")
        .await
        .expect(200)
        .json;
    assert_eq!(keys(&entities), ["nextCursor", "states"]);
    assert_eq!(
        entities["states"].as_array().unwrap().len(),
        1,
        "the removed entity is not listed"
    );
    home.daemon
        .api_of(&user)
        .get("/api/entities")
        .await
        .refused(403);
    home.daemon
        .unauthenticated()
        .get("/api/entities")
        .await
        .refused(401);
}

#[tokio::test]
async fn socketio_tablet_receives_the_same_states() {
    let home = Home::new().await;
    let tablet = home.daemon.pair("Wall", &["kitchen"]).await;
    let path = "/socket.io/?EIO=4&transport=websocket";
    let mut socket = Socket::open(&home.daemon, path, None).await.unwrap();
    assert!(socket.packet().await.unwrap().starts_with('0'));
    let auth = json!({ "token": tablet.token });
    socket
        .send_raw(tokio_tungstenite::tungstenite::Message::text(format!(
            "40{auth}"
        )))
        .await;
    let next_of = async |socket: &mut Socket, event_type: &str| loop {
        let packet = socket.packet().await.unwrap();
        if let Some(rest) = packet.strip_prefix("42") {
            let args: Value = serde_json::from_str(rest).unwrap();
            if args[0] == event_type {
                assert_eq!(args.as_array().unwrap().len(), 2, "has an offset");
                return args[1].clone();
            }
        }
    };
    let states = next_of(&mut socket, "entity_states").await;
    assert_eq!(states["states"].as_array().unwrap().len(), 2);
    home.core.set_state("sensor.oven", "21", json!({}));
    let changed = next_of(&mut socket, "entity_state_changed").await;
    assert_eq!(changed["new_state"], "21");
    let get_states = "420[\"get_states\",{}]";
    socket
        .send_raw(tokio_tungstenite::tungstenite::Message::text(get_states))
        .await;
    let states = next_of(&mut socket, "entity_states").await;
    assert_eq!(states["states"][1]["state"], "21");
    let ack = socket.packet().await.unwrap();
    let ack: Value = serde_json::from_str(ack.strip_prefix("430").unwrap()).unwrap();
    assert_eq!(ack[0]["success"], true);
    assert_eq!(ack[0]["states"], states["states"]);
}

#[tokio::test]
async fn entity_in_several_areas_is_sent_once_without_foreign_areas() {
    let home = Home::new().await;
    let body = json!({ "name": "Secret", "entityIds": ["light.kitchen", "light.kitchen", "light.nowhere"] });
    let area = home.admin.post("/api/areas", body).await.expect(201).json;
    let secret = area["id"].as_str().unwrap().to_owned();
    let one = home.daemon.pair("One", &["kitchen"]).await;
    let both = home.daemon.pair("Both", &["kitchen", &secret]).await;
    let mut one = home.daemon.listen(&one.token).await;
    let mut both = home.daemon.listen(&both.token).await;
    let areas = |event: &Value| event["data"]["areaIds"].clone();
    let first = one.next_of("entity_states").await;
    assert_eq!(first["data"]["states"][0]["areaIds"], json!(["kitchen"]));
    let first = both.next_of("entity_states").await;
    let mut all = vec![json!("kitchen"), json!(secret)];
    all.sort_by_key(|id| id.as_str().map(str::to_owned));
    assert_eq!(first["data"]["states"][0]["areaIds"], json!(all));
    assert_eq!(states_of(&first).len(), 2, "light.nowhere has no state");
    home.core
        .set_state("light.kitchen", "on", same_attributes("light.kitchen"));
    assert_eq!(
        areas(&one.next_of("entity_state_changed").await),
        json!(["kitchen"])
    );
    assert_eq!(
        areas(&both.next_of("entity_state_changed").await),
        json!(all)
    );
    both.assert_nothing_received().await;
    // With the kitchen disabled, the event still reaches tablets of the other area, and names only that area.
    home.admin
        .patch("/api/areas/kitchen/toggle", json!({}))
        .await
        .expect(200);
    assert_eq!(both.next().await["type"], "area_disabled");
    home.core
        .set_state("light.kitchen", "off", same_attributes("light.kitchen"));
    assert_eq!(
        areas(&both.next_of("entity_state_changed").await),
        json!([secret])
    );
    assert_eq!(one.next().await["type"], "area_disabled");
    one.assert_nothing_received().await;
    home.core.set_state("light.nowhere", "on", json!({}));
    let new = both.next_of("entity_state_changed").await;
    assert_eq!(new["data"]["old_state"], Value::Null);
}

#[tokio::test]
async fn disabled_area_hides_states_and_enabling_sends_them() {
    let home = Home::new().await;
    let tablet = home.daemon.pair("Wall", &["kitchen", "hall"]).await;
    let mut socket = home.daemon.listen(&tablet.token).await;
    assert_eq!(states_of(&socket.next_of("entity_states").await).len(), 3);
    let toggle = "/api/areas/kitchen/toggle";
    home.admin.patch(toggle, json!({})).await.expect(200);
    assert_eq!(socket.next().await["type"], "area_disabled");
    home.core.set_state("light.kitchen", "on", json!({}));
    home.core
        .set_state("light.hall", "on", same_attributes("light.hall"));
    let event = socket.next().await;
    assert_eq!(
        event["data"]["entity_id"], "light.hall",
        "no event of the disabled kitchen"
    );
    home.until_subscribed(&["light.hall"]).await;
    let api = home.daemon.api(&tablet.token);
    let entities = api.get("/api/entities").await.expect(200).json;
    assert_eq!(entities["states"].as_array().unwrap().len(), 1);
    let entities = home.admin.get("/api/entities").await.expect(200).json;
    assert_eq!(
        entities["states"].as_array().unwrap().len(),
        1,
        "an admin sees no state of a disabled area either"
    );
    home.admin.patch(toggle, json!({})).await.expect(200);
    assert_eq!(socket.next().await["type"], "area_enabled");
    let states = socket.next().await;
    assert_eq!(states["type"], "entity_states");
    assert_eq!(
        states_of(&states),
        ["light.hall=on", "light.kitchen=on", "sensor.oven=off"]
    );
    home.until_subscribed(&["light.hall", "light.kitchen", "sensor.oven"])
        .await;
}

#[tokio::test]
async fn only_entities_visible_to_active_tablets_are_subscribed() {
    let home = Home::new().await;
    home.daemon.until_home_is("connected").await;
    assert!(
        home.core.received("subscribe_entities").is_empty(),
        "subscribed although no socket sees an entity"
    );
    let tablet = home.daemon.pair("Wall", &["kitchen"]).await;
    home.until_subscribed(&["light.kitchen", "sensor.oven"])
        .await;
    let mut socket = home.daemon.listen(&tablet.token).await;
    assert_eq!(states_of(&socket.next_of("entity_states").await).len(), 2);

    let areas = format!("/api/clients/{}/areas", tablet.id);
    home.admin
        .post(&format!("{areas}/hall"), json!({}))
        .await
        .expect(200);
    assert_eq!(socket.next().await["type"], "area_added");
    let states = socket.next().await;
    assert_eq!(
        states_of(&states).len(),
        3,
        "a snapshot that includes the new area: {states}"
    );
    home.until_subscribed(&["light.hall", "light.kitchen", "sensor.oven"])
        .await;
    let grown = home.core.received("subscribe_entities");
    assert_eq!(
        grown.last().unwrap()["entity_ids"],
        json!(["light.hall"]),
        "only the new entities"
    );

    home.admin.delete(&format!("{areas}/kitchen")).await;
    home.until_subscribed(&["light.hall"]).await;
    assert_eq!(socket.next().await["type"], "area_removed");
    home.core.set_state("light.kitchen", "on", json!({}));
    socket.assert_nothing_received().await;

    let client = format!("/api/clients/{}", tablet.id);
    home.admin
        .patch(&client, json!({ "isActive": false }))
        .await
        .expect(200);
    home.until_subscribed(&[]).await;
    home.admin
        .patch(&client, json!({ "isActive": true }))
        .await
        .expect(200);
    home.until_subscribed(&["light.hall"]).await;
    let lamps = json!({ "name": "Lamps", "entityIds": ["light.a", "light.b", "light._odd"] });
    let lamps = home.admin.post("/api/areas", lamps).await.expect(201).json;
    let lamps = lamps["id"].as_str().unwrap();
    home.admin
        .post(&format!("{areas}/{lamps}"), json!({}))
        .await
        .expect(200);
    home.until_subscribed(&["light.hall", "light.a", "light.b"])
        .await;
    home.admin.delete(&client).await.expect(204);
    home.until_subscribed(&[]).await;
    let all = home.core.received("subscribe_entities");
    let ids = all
        .iter()
        .map(|command| command["entity_ids"].as_array().unwrap());
    assert!(
        ids.clone().all(|ids| !ids.is_empty()),
        "an empty list would subscribe to all entities"
    );
}

#[tokio::test]
async fn many_assignment_changes_cause_few_subscriptions() {
    let home = Home::with(|data| {
        for n in 0..60 {
            data.add_area(&format!("a{n}"), &format!("Area {n}"));
            data.add_entity(&format!("light.l{n}"), Some(&format!("a{n}")), None);
        }
    })
    .await;
    let tablet = home.daemon.pair("Wall", &[]).await;
    let all: Vec<_> = (0..60).map(|n| format!("light.l{n}")).collect();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    for n in 0..60 {
        let path = format!("/api/clients/{}/areas/a{n}", tablet.id);
        home.admin.post(&path, json!({})).await.expect(200);
    }
    home.until_subscribed(&all).await;
    let while_adding = home.core.received("subscribe_entities").len();
    let one_area = json!({ "areaIds": ["a0"] });
    home.admin
        .put(&format!("/api/clients/{}/areas", tablet.id), one_area)
        .await
        .expect(200);
    home.until_subscribed(&["light.l0"]).await;
    let started = home.core.received("subscribe_entities").len();
    let ended = home.core.received("unsubscribe_events").len();
    assert!(
        while_adding < 60,
        "{while_adding} subscriptions for 60 changes"
    );
    assert!(started - ended <= 1, "more than one subscription is left");
}

#[tokio::test]
async fn reconnected_home_assistant_sends_snapshots_not_changes() {
    let mut home = Home::new().await;
    let tablet = home.daemon.pair("Wall", &["kitchen"]).await;
    let mut socket = home.daemon.listen(&tablet.token).await;
    socket.next_of("entity_states").await;
    home.core.kill().await;
    home.daemon.until_home_is("disconnected").await;
    // A new session gets the last known states.
    let mut second = home.daemon.listen(&tablet.token).await;
    let last = second.next_of("entity_states").await;
    assert_eq!(states_of(&last), ["light.kitchen=off", "sensor.oven=off"]);
    {
        let mut data = home.core.data();
        data.states
            .insert("light.kitchen".to_owned(), state("on", "Lamp"));
        data.states.remove("sensor.oven");
    }
    home.core.restart().await;
    loop {
        let event = socket.next().await;
        assert_ne!(event["type"], "entity_state_changed", "{event}");
        if event["type"] == "entity_states" && states_of(&event) == ["light.kitchen=on"] {
            break;
        }
    }
    home.core.set_state("light.kitchen", "off", json!({}));
    assert_eq!(
        socket.next_of("entity_state_changed").await["data"]["old_state"],
        "on"
    );
    assert_eq!(
        second.next_of("entity_state_changed").await["data"]["new_state"],
        "off"
    );
}

#[tokio::test]
async fn resumed_tablet_gets_missed_events_then_a_snapshot() {
    let home = Home::new().await;
    let tablet = home.daemon.pair("Wall", &["kitchen"]).await;
    let mut socket = home.daemon.connect(&tablet.token).await;
    let welcome = socket.next().await;
    socket.next_of("entity_states").await;
    socket.close().await;
    for n in 0..5 {
        home.core
            .set_state("light.kitchen", &format!("s{n}"), json!({}));
    }
    let body = json!({ "to": { "clientId": tablet.id }, "body": "While you were away" });
    home.admin.post("/api/messages", body).await.expect(201);
    let (last, epoch) = (
        &welcome["data"]["lastEventId"],
        welcome["data"]["epoch"].as_str().unwrap(),
    );
    let path = format!("/ws?since={last}&epoch={epoch}");
    until("the newest state", async || {
        let states = home.admin.get("/api/entities").await.expect(200).json;
        (states["states"][0]["state"] == "s4").then_some(())
    })
    .await;
    let mut socket = Socket::open(&home.daemon, &path, Some(&tablet.token))
        .await
        .unwrap();
    let welcome = socket.next().await;
    assert_eq!(welcome["data"]["recovered"], true);
    let mut event_types = Vec::new();
    let states = loop {
        let event = socket.next().await;
        event_types.push(event["type"].as_str().unwrap().to_owned());
        if event["type"] == "entity_states" {
            break event;
        }
    };
    assert!(
        event_types.contains(&"new_message".to_owned()),
        "{event_types:?}"
    );
    assert!(
        !event_types.contains(&"entity_state_changed".to_owned()),
        "{event_types:?}"
    );
    assert_eq!(states_of(&states), ["light.kitchen=s4", "sensor.oven=off"]);

    // Without a position: a snapshot, then the undelivered messages.
    let mut fresh = home.daemon.listen(&tablet.token).await;
    assert_eq!(fresh.next().await["type"], "entity_states");
    assert_eq!(fresh.next().await["type"], "new_message");
}

#[tokio::test]
async fn entities_are_listed_in_pages() {
    let home = Home::with(|data| {
        data.add_area("kitchen", "Kitchen");
        for n in 0..25 {
            let id = format!("light.l{n:02}");
            data.add_entity(&id, Some("kitchen"), None);
            data.states.insert(id.clone(), state("on", &id));
        }
    })
    .await;
    let tablet = home.daemon.pair("Wall", &["kitchen"]).await;
    let api = home.daemon.api(&tablet.token);
    until("the states", async || {
        let page = api.get("/api/entities").await.expect(200).json;
        (page["states"].as_array()?.len() == 25).then_some(())
    })
    .await;
    let mut ids = Vec::new();
    let mut path = "/api/entities?limit=10".to_owned();
    let count = loop {
        let page = api.get(&path).await.expect(200).json;
        let states = page["states"].as_array().unwrap();
        ids.extend(
            states
                .iter()
                .map(|state| state["entityId"].as_str().unwrap().to_owned()),
        );
        match page["nextCursor"].as_str() {
            Some(cursor) => path = format!("/api/entities?limit=10&cursor={cursor}"),
            None => break ids.len(),
        }
    };
    assert_eq!(count, 25);
    assert!(ids.is_sorted());
    api.get("/api/entities?limit=0").await.refused(422);
    api.get("/api/entities?cursor=x").await.refused(422);
}

#[tokio::test]
async fn failed_or_unanswered_subscription_blocks_nothing() {
    for reply in [
        CoreReply::Error("unknown_error", "Nope"),
        CoreReply::Frame(r#"{"id":ID,"type":"result","success":true,"result":null}"#.to_owned()),
        CoreReply::Frame(
            r#"[{"id":ID,"type":"result","success":true},{"id":ID,"type":"event","event":7}]"#
                .to_owned(),
        ),
    ] {
        let home = Home::with(|data| {
            kitchen_and_hall(data);
            data.replies
                .insert("subscribe_entities".to_owned(), reply.clone());
        })
        .await;
        let tablet = home.daemon.pair("Wall", &["kitchen"]).await;
        let mut socket = home.daemon.listen(&tablet.token).await;
        assert_eq!(
            states_of(&socket.next_of("entity_states").await),
            Vec::<String>::new()
        );
        socket.assert_nothing_received().await;
    }
}

#[tokio::test]
async fn failed_home_assistant_event_loses_no_other_event() {
    let home = Home::new().await;
    let tablet = home.daemon.pair("Wall", &["kitchen"]).await;
    let mut socket = home.daemon.listen(&tablet.token).await;
    socket.next_of("entity_states").await;
    home.core.fail_subscriptions("subscribe_entities");
    home.core.fail_subscriptions("subscribe_events");
    home.core
        .set_state("light.kitchen", "on", same_attributes("light.kitchen"));
    let event = socket.next_of("entity_state_changed").await;
    assert_eq!(event["data"]["new_state"], "on");
    home.core.data().areas[0]["name"] = "Galley".into();
    home.core.fire(
        "area_registry_updated",
        json!({ "action": "update", "area_id": "kitchen" }),
    );
    let event = socket.next_of("area_updated").await;
    assert_eq!(event["data"]["name"], "Galley");
}

#[tokio::test]
async fn old_subscription_stays_until_its_replacement_is_confirmed() {
    for reply in [
        CoreReply::Error("unknown_error", "Nope"),
        CoreReply::Frame(
            r#"[{"id":ID,"type":"result","success":true},{"id":ID,"type":"event","event":{"a":[]}}]"#
                .to_owned(),
        ),
    ] {
        let home = Home::new().await;
        let tablet = home.daemon.pair("Wall", &["kitchen", "hall"]).await;
        let mut socket = home.daemon.listen(&tablet.token).await;
        assert_eq!(states_of(&socket.next_of("entity_states").await).len(), 3);
        let subscriptions = home.core.received("subscribe_entities").len();
        home.core
            .data()
            .replies
            .insert("subscribe_entities".to_owned(), reply);
        home.admin
            .patch("/api/areas/hall/toggle", json!({}))
            .await
            .expect(200);
        assert_eq!(socket.next().await["type"], "area_disabled");
        home.core.until_received("subscribe_entities", subscriptions + 1).await;
        let mut before = "off";
        for after in ["on", "off", "on"] {
            home.core.set_state("light.hall", after, json!({}));
            home.core
                .set_state("light.kitchen", after, same_attributes("light.kitchen"));
            let event = socket.next_of("entity_state_changed").await;
            assert_eq!(
                (&event["data"]["old_state"], &event["data"]["new_state"]),
                (&json!(before), &json!(after))
            );
            assert_eq!(event["data"]["entity_id"], "light.kitchen");
            before = after;
        }
        assert!(home.core.received("unsubscribe_events").is_empty());
    }
}

#[tokio::test]
async fn burst_to_a_slow_tablet_is_coalesced_to_newest_states() {
    const ENTITIES: usize = 300;
    const ROUNDS: usize = 20;
    let home = Home::with(|data| {
        data.add_area("kitchen", "Kitchen");
        data.add_area("cellar", "Cellar");
        for n in 0..ENTITIES {
            let id = format!("light.l{n:03}");
            data.add_entity(&id, Some("kitchen"), None);
            data.states
                .insert(id.clone(), state("first", &"x".repeat(200)));
        }
        data.add_entity("light.cellar", Some("cellar"), None);
        data.states
            .insert("light.cellar".to_owned(), state("off", "Cellar"));
    })
    .await;
    let slow = home.daemon.pair("Slow", &["kitchen"]).await;
    let other = home.daemon.pair("Other", &["cellar"]).await;
    let mut other = home.daemon.listen(&other.token).await;
    other.next_of("entity_states").await;
    let mut tablet = Socket::open_with_small_buffer(&home.daemon, &slow.token).await;
    assert_eq!(
        states_of(&tablet.next_of("entity_states").await).len(),
        ENTITIES
    );

    let before = resident_memory(&home.daemon);
    for round in 0..ROUNDS {
        let states = (0..ENTITIES).map(|n| {
            let attributes = json!({ "friendly_name": "y".repeat(200), "round": round });
            (
                format!("light.l{n:03}"),
                format!("round {round}"),
                attributes,
            )
        });
        home.core.set_states(states);
    }
    let last = format!("round {}", ROUNDS - 1);
    until("the last round", async || {
        let page = home
            .admin
            .get("/api/entities?limit=1000")
            .await
            .expect(200)
            .json;
        let states = page["states"].as_array()?;
        let is_last =
            |state: &Value| state["state"] == last.as_str() || state["entityId"] == "light.cellar";
        states.iter().all(is_last).then_some(())
    })
    .await;
    let grown = resident_memory(&home.daemon).saturating_sub(before);
    assert!(
        grown < 16 * 1024 * 1024,
        "{grown} bytes for {} changes",
        ENTITIES * ROUNDS
    );
    other.assert_nothing_received().await;

    // Intermediate states may be skipped, but no entity goes back to an older one, and the newest arrives.
    let mut rounds = vec![-1_i64; ENTITIES];
    let mut received = 0;
    let round = |state: &Value| match state.as_str().unwrap() {
        "first" => -1,
        text => text.strip_prefix("round ").unwrap().parse::<i64>().unwrap(),
    };
    let index = |id: &Value| id.as_str().unwrap()[7..].parse::<usize>().unwrap();
    while rounds.iter().any(|round| *round < ROUNDS as i64 - 1) {
        let event = tablet.next().await;
        let updates: Vec<_> = match event["type"].as_str().unwrap() {
            "entity_state_changed" => {
                let data = &event["data"];
                vec![(index(&data["entity_id"]), round(&data["new_state"]))]
            }
            "entity_states" => {
                let states = event["data"]["states"].as_array().unwrap();
                states
                    .iter()
                    .map(|state| (index(&state["entityId"]), round(&state["state"])))
                    .collect()
            }
            _ => continue,
        };
        received += 1;
        for (entity, round) in updates {
            assert!(
                round >= rounds[entity],
                "entity {entity} went back from round {}",
                rounds[entity]
            );
            rounds[entity] = round;
        }
    }
    assert!(
        received < ENTITIES * ROUNDS / 2,
        "{received} events for {} changes",
        ENTITIES * ROUNDS
    );
    tablet.assert_nothing_received().await;
}

/// The daemon's resident memory, in bytes.
fn resident_memory(daemon: &Daemon) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

#[tokio::test]
async fn locks_of_mirrored_areas_are_published_as_lockers() {
    let home = Home::with(|data| {
        data.add_area("hall", "Hall");
        data.add_area("shed", "Shed");
        for (id, area) in [("lock.front", "hall"), ("lock.shed", "shed")] {
            data.add_entity(id, Some(area), None);
            data.states.insert(id.to_owned(), state("locked", id));
        }
    })
    .await;
    let tablet = home.daemon.pair("Wall", &["hall"]).await;
    let kiosk = home.daemon.pair("Kiosk", &[]).await;
    let path = format!("/api/clients/{}", kiosk.id);
    home.admin
        .patch(&path, json!({ "kioskId": "shed" }))
        .await
        .expect(200);
    let lockers = async |api: &Api| {
        let page = api.get("/api/lockers").await.expect(200).json;
        let lockers = page["lockers"].as_array().unwrap().iter();
        let formatted = lockers
            .map(|locker| format!("{} {} {}", locker["id"], locker["kioskId"], locker["state"]));
        formatted.collect::<Vec<_>>().join(", ").replace('"', "")
    };
    until("both states", async || {
        let both = "lock.front hall locked, lock.shed shed locked";
        (lockers(&home.admin).await == both).then_some(())
    })
    .await;
    home.until_subscribed(&["lock.front", "lock.shed"]).await;
    let (wall_api, kiosk_api) = (
        home.daemon.api(&tablet.token),
        home.daemon.api(&kiosk.token),
    );
    assert_eq!(lockers(&wall_api).await, "lock.front hall locked");
    assert_eq!(lockers(&kiosk_api).await, "lock.shed shed locked");
    wall_api.get("/api/lockers/lock.front").await.expect(200);
    wall_api.get("/api/lockers/lock.shed").await.refused(403);

    let mut room = Socket::open(&home.daemon, "/ws/lockers", Some(&kiosk.token))
        .await
        .unwrap();
    room.next_of("connection").await;
    room.send(json!({ "type": "join_room", "room": "shed" }))
        .await;
    room.next_of("room_joined").await;
    home.core.set_state("lock.shed", "unlocked", json!({}));
    let event = room.next_of("locker_state_changed").await;
    let data = &event["data"];
    assert_eq!(
        keys(data),
        ["kioskId", "lockerId", "newState", "oldState", "timestamp"]
    );
    assert_eq!(
        (
            &data["lockerId"],
            &data["oldState"],
            &data["newState"],
            &data["kioskId"]
        ),
        (
            &json!("lock.shed"),
            &json!("locked"),
            &json!("unlocked"),
            &json!("shed")
        )
    );
    home.core.set_state("lock.front", "jammed", json!({}));
    until("the state", async || {
        lockers(&wall_api).await.contains("jammed").then_some(())
    })
    .await;
    room.assert_nothing_received().await;
    home.admin
        .patch("/api/areas/hall/toggle", json!({}))
        .await
        .expect(200);
    assert_eq!(
        lockers(&wall_api).await,
        "",
        "a disabled area has no lockers"
    );
    wall_api.get("/api/lockers/lock.front").await.refused(403);
    for refused in [
        home.admin
            .patch("/api/lockers/lock.shed", json!({ "state": "locked" }))
            .await,
        home.admin.delete("/api/lockers/lock.shed").await,
    ] {
        assert_eq!(refused.refused(409), "mirrored");
    }
}

#[tokio::test]
async fn lock_in_a_disabled_area_is_not_a_locker() {
    let home = Home::with(|data| {
        data.add_area("hall", "Hall");
        data.add_entity("lock.front", Some("hall"), None);
        data.states
            .insert("lock.front".to_owned(), state("locked", "lock.front"));
    })
    .await;
    let body = json!({ "name": "Porch", "entityIds": ["lock.front"] });
    let porch = home.admin.post("/api/areas", body).await.expect(201).json;
    let porch = porch["id"].as_str().unwrap().to_owned();
    let tablet = home.daemon.pair("Wall", &["hall", &porch]).await;
    let mut socket = home.daemon.listen(&tablet.token).await;
    socket.next_of("entity_states").await;
    let locker = async || {
        let locker = home.admin.get("/api/lockers/lock.front").await;
        locker.expect(200).json["state"].clone()
    };
    until("the lock's state", async || {
        (locker().await == "locked").then_some(())
    })
    .await;
    let mut room = Socket::open(&home.daemon, "/ws/lockers", Some(&tablet.token))
        .await
        .unwrap();
    room.next_of("connection").await;
    room.send(json!({ "type": "join_room", "room": "hall" }))
        .await;
    room.next_of("room_joined").await;
    let toggle = "/api/areas/hall/toggle";
    home.admin.patch(toggle, json!({})).await.expect(200);
    for state in ["unlocked", "jammed"] {
        home.core.set_state("lock.front", state, json!({}));
        let event = socket.next_of("entity_state_changed").await;
        assert_eq!(event["data"]["areaIds"], json!([porch]));
    }
    room.assert_nothing_received().await;
    assert_eq!(locker().await, "locked");
    // Enabling the area publishes the change that it hid.
    home.admin.patch(toggle, json!({})).await.expect(200);
    let event = room.next_of("locker_state_changed").await;
    assert_eq!(
        (&event["data"]["oldState"], &event["data"]["newState"]),
        (&json!("locked"), &json!("jammed"))
    );
}

#[tokio::test]
async fn states_of_a_large_home_use_little_memory() {
    const AREAS: usize = 200;
    const ENTITIES_PER_AREA: usize = 50;
    let home = Home::with(|data| {
        for area in 0..AREAS {
            let name = format!("area_{area}");
            data.add_area(&name, &name);
            for n in 0..ENTITIES_PER_AREA {
                let id = format!("sensor.a{area}_n{n}");
                data.add_entity(&id, Some(&name), None);
                let attributes = json!({ "friendly_name": id, "device_class": "temperature",
                    "state_class": "measurement", "unit_of_measurement": "°C" });
                let state = json!({ "s": "21.5", "a": attributes, "c": "context", "lc": 1.0 });
                data.states.insert(id, state);
            }
        }
    })
    .await;
    let areas: Vec<_> = (0..AREAS).map(|n| format!("area_{n}")).collect();
    let areas: Vec<_> = areas.iter().map(String::as_str).collect();
    let before = resident_memory(&home.daemon);
    let mut tablets = Vec::new();
    for own in areas.chunks(AREAS / 4) {
        let tablet = home.daemon.pair("Wall", own).await;
        let mut socket = home.daemon.listen(&tablet.token).await;
        let states = socket.next_of("entity_states").await;
        assert_eq!(states_of(&states).len(), AREAS * ENTITIES_PER_AREA / 4);
        tablets.push(socket);
    }
    let subscriptions = home.core.received("subscribe_entities").len();
    assert!(subscriptions <= 16, "{subscriptions} subscriptions");
    let socket = &mut tablets[0];
    home.core.set_state("sensor.a7_n7", "22", json!({}));
    socket.next_of("entity_state_changed").await;
    let grown = resident_memory(&home.daemon).saturating_sub(before) / 1024 / 1024;
    assert!(
        grown < 16,
        "{grown} MiB for {} states",
        AREAS * ENTITIES_PER_AREA
    );
}
