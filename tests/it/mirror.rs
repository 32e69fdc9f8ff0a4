//! Areas mirrored from Home Assistant's registries: what a sync stores and publishes, and that
//! faulty or partial answers change nothing. See docs/protocol.md#home-assistant.

use serde_json::{Value, json};

use super::support::{Api, Core, CoreData, CoreReply, Daemon, Socket, until};

fn add_kitchen_and_hall(data: &mut CoreData) {
    data.add_area("kitchen", "Kitchen");
    data.add_area("hall", "Hall");
    data.add_device("stove", Some("kitchen"), None);
    data.add_entity("light.kitchen", Some("kitchen"), None);
    data.add_entity("sensor.stove", None, Some("stove"));
    data.add_entity("light.hall", Some("hall"), None);
}

async fn areas(api: &Api) -> Vec<Value> {
    let areas = api.get("/api/areas?limit=1000").await.expect(200).json;
    areas["areas"].as_array().expect("a list").clone()
}

async fn until_areas(api: &Api, count: usize) -> Vec<Value> {
    until("the areas", async || {
        Some(areas(api).await).filter(|areas| areas.len() == count)
    })
    .await
}

async fn events(api: &Api, event_type: &str) -> Vec<Value> {
    let path = format!("/api/events?limit=1000&type={event_type}");
    let events = api.get(&path).await.expect(200).json;
    events["events"].as_array().expect("a list").clone()
}

/// Adds an area to Home Assistant and waits until it is mirrored. By then the daemon has processed
/// everything that Home Assistant sent before.
async fn until_mirrored(core: &Core, api: &Api, mark: &str) {
    core.data().add_area(mark, mark);
    core.fire(
        "area_registry_updated",
        json!({ "action": "create", "area_id": mark }),
    );
    until("the marker area", async || {
        areas(api)
            .await
            .iter()
            .any(|area| area["id"] == mark)
            .then_some(())
    })
    .await;
}

/// Reads the area events that were published before this call.
async fn drain_area_events(socket: &mut Socket) -> Vec<Value> {
    socket.send(json!({ "type": "ping" })).await;
    let mut area_events = Vec::new();
    loop {
        let event = socket.next().await;
        let event_type = event["type"].as_str().expect("a type");
        if event_type == "pong" {
            return area_events;
        }
        if event_type.starts_with("area_") {
            area_events.push(event);
        }
    }
}

/// Sets these fields of the registry entry whose `key` is `id`.
fn update_entry(registry: &mut [Value], key: &str, id: &str, fields: Value) {
    let index = CoreData::find(registry, key, id);
    for (key, value) in fields.as_object().expect("an object") {
        registry[index][key] = value.clone();
    }
}

#[tokio::test]
async fn mirrored_areas_have_home_assistant_ids_and_entities() {
    let core = Core::with(|data| {
        add_kitchen_and_hall(data);
        // Core 2026.9 has child devices. Disabled, hidden and unassigned entities are not mirrored.
        data.add_device("burner", None, Some("stove"));
        data.add_entity("sensor.burner", None, Some("burner"));
        data.add_entity("light.moved", Some("hall"), Some("stove"));
        data.add_entity("light.off", Some("hall"), None);
        data.add_entity("light.hidden", Some("hall"), None);
        data.add_entity("light.nowhere", None, None);
        update_entry(
            &mut data.entities,
            "entity_id",
            "light.off",
            json!({ "disabled_by": "user" }),
        );
        update_entry(
            &mut data.entities,
            "entity_id",
            "light.hidden",
            json!({ "hidden_by": "user" }),
        );
    })
    .await;
    for options in [core.as_addon(), core.direct()] {
        let daemon = Daemon::with_core(options, &[]).await;
        let admin = daemon.admin().await;
        let areas = until_areas(&admin, 2).await;
        let area = |id: &str| {
            areas
                .iter()
                .find(|area| area["id"] == id)
                .expect("the area")
                .clone()
        };
        let kitchen = area("kitchen");
        assert_eq!(kitchen["name"], "Kitchen");
        assert_eq!(kitchen["source"], "homeassistant");
        assert_eq!(kitchen["isEnabled"], true);
        assert!(kitchen["roomId"].is_i64());
        assert_eq!(
            kitchen["entityIds"],
            json!(["light.kitchen", "sensor.burner", "sensor.stove"])
        );
        assert_eq!(
            area("hall")["entityIds"],
            json!(["light.hall", "light.moved"])
        );
    }
}

#[tokio::test]
async fn core_without_display_list_is_read_by_full_entity_list() {
    let core = Core::with(|data| {
        add_kitchen_and_hall(data);
        data.add_entity("light.off", Some("hall"), None);
        update_entry(
            &mut data.entities,
            "entity_id",
            "light.off",
            json!({ "disabled_by": "user" }),
        );
        let unknown = CoreReply::Error("unknown_command", "Unknown command.");
        for command in [
            "config/entity_registry/list_for_display",
            "supported_features",
            "get_config",
        ] {
            data.replies.insert(command.to_owned(), unknown.clone());
        }
    })
    .await;
    let daemon = Daemon::with_core(core.direct(), &[]).await;
    let areas = until_areas(&daemon.admin().await, 2).await;
    assert_eq!(areas[1]["entityIds"], json!(["light.hall"]));
}

#[tokio::test]
async fn registry_change_reaches_clients_assigned_to_the_area() {
    let core = Core::with(add_kitchen_and_hall).await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    let admin = daemon.admin().await;
    until_areas(&admin, 2).await;
    let cook = daemon.pair("cook", &["kitchen"]).await;
    let guest = daemon.pair("guest", &["hall"]).await;
    let mut cook = daemon.listen(&cook.token).await;
    let mut guest = daemon.listen(&guest.token).await;

    update_entry(
        &mut core.data().areas,
        "area_id",
        "kitchen",
        json!({ "name": "Galley" }),
    );
    core.fire(
        "area_registry_updated",
        json!({ "action": "update", "area_id": "kitchen" }),
    );
    let data = cook.next_of("area_updated").await["data"].clone();
    assert_eq!(
        (&data["areaId"], &data["name"]),
        (&json!("kitchen"), &json!("Galley"))
    );

    // The device moves with its entity, so both areas change.
    update_entry(
        &mut core.data().devices,
        "id",
        "stove",
        json!({ "area_id": "hall" }),
    );
    core.fire(
        "device_registry_updated",
        json!({ "action": "update", "device_id": "stove" }),
    );
    let data = cook.next_of("area_updated").await["data"].clone();
    assert_eq!(data["entityIds"], json!(["light.kitchen"]));
    let data = guest.next_of("area_updated").await["data"].clone();
    assert_eq!(data["entityIds"], json!(["light.hall", "sensor.stove"]));

    let renamed = json!({ "entity_id": "light.ceiling" });
    update_entry(
        &mut core.data().entities,
        "entity_id",
        "light.kitchen",
        renamed,
    );
    core.fire(
        "entity_registry_updated",
        json!({
            "action": "update", "entity_id": "light.ceiling", "old_entity_id": "light.kitchen",
        }),
    );
    let data = cook.next_of("area_updated").await["data"].clone();
    assert_eq!(data["entityIds"], json!(["light.ceiling"]));

    core.data().areas.remove(0);
    core.fire(
        "area_registry_updated",
        json!({ "action": "remove", "area_id": "kitchen" }),
    );
    let data = cook.next_of("area_removed").await["data"].clone();
    assert_eq!(
        (&data["areaId"], &data["reason"]),
        (&json!("kitchen"), &json!("deleted"))
    );
    assert_eq!(drain_area_events(&mut guest).await, Vec::<Value>::new());
}

#[tokio::test]
async fn reconnect_publishes_only_areas_that_changed_meanwhile() {
    let mut core = Core::with(add_kitchen_and_hall).await;
    core.data().add_area("cellar", "Cellar");
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    let admin = daemon.admin().await;
    until_areas(&admin, 3).await;
    let tablet = daemon.pair("tablet", &["kitchen", "hall", "cellar"]).await;
    let mut socket = daemon.listen(&tablet.token).await;

    core.kill().await;
    daemon.until_home_is("disconnected").await;
    // The API works while Home Assistant is unreachable.
    admin
        .patch("/api/areas/hall/toggle", json!({ "isEnabled": false }))
        .await
        .expect(200);
    socket.next_of("area_disabled").await;
    {
        let mut data = core.data();
        update_entry(
            &mut data.areas,
            "area_id",
            "kitchen",
            json!({ "name": "Galley" }),
        );
        let cellar = CoreData::find(&mut data.areas, "area_id", "cellar");
        data.areas.remove(cellar);
        data.areas.reverse();
        data.entities.reverse();
    }
    core.restart().await;
    until_mirrored(&core, &admin, "mark").await;
    let mut changes = drain_area_events(&mut socket).await;
    changes.sort_by_key(|event| event["type"].to_string());
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert_eq!(changes[0]["type"], "area_removed");
    assert_eq!(changes[0]["data"]["areaId"], "cellar");
    assert_eq!(changes[1]["type"], "area_updated");
    assert_eq!(changes[1]["data"]["name"], "Galley");
    let hall = admin.get("/api/areas/hall").await.expect(200).json;
    assert_eq!(hall["isEnabled"], false);
    assert_eq!(hall["clientIds"], json!([tablet.id]));
}

#[tokio::test]
async fn area_enabled_flag_and_assignments_survive_crash() {
    let core = Core::with(add_kitchen_and_hall).await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    let admin = daemon.admin().await;
    let before = until_areas(&admin, 2).await;
    let tablet = daemon.pair("tablet", &["hall"]).await;
    let toggle = "/api/areas/hall/toggle";
    admin.patch(toggle, json!({})).await.expect(200);
    let daemon = daemon.kill_and_restart().await;
    let admin = daemon.admin().await;
    until_mirrored(&core, &admin, "mark").await;
    let hall = admin.get("/api/areas/hall").await.expect(200).json;
    assert_eq!(hall["isEnabled"], false);
    assert_eq!(hall["clientIds"], json!([tablet.id]));
    assert_eq!(hall["roomId"], before[1]["roomId"]);
    assert!(events(&admin, "area_updated").await.is_empty());
}

#[tokio::test]
async fn mirrored_area_refuses_renaming_and_deletion() {
    let core = Core::with(add_kitchen_and_hall).await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    let admin = daemon.admin().await;
    until_areas(&admin, 2).await;
    let hall = "/api/areas/hall";
    for change in [
        json!({ "name": "Mine" }),
        json!({ "entityIds": ["light.mine"] }),
    ] {
        assert_eq!(admin.patch(hall, change).await.refused(409), "mirrored");
    }
    assert_eq!(admin.delete(hall).await.refused(409), "mirrored");
    // Fields that repeat the mirrored value are accepted.
    let same = json!({ "name": "Hall", "entityIds": ["light.hall"], "isEnabled": false });
    let area = admin.put(hall, same).await.expect(200).json;
    assert_eq!(
        (&area["name"], &area["isEnabled"]),
        (&json!("Hall"), &json!(false))
    );
}

#[tokio::test]
async fn unreadable_registry_answers_remove_no_areas() {
    let core = Core::with(add_kitchen_and_hall).await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    let admin = daemon.admin().await;
    until_areas(&admin, 2).await;
    let list = "config/area_registry/list";
    for (index, answer) in [
        CoreReply::Result(json!([{ "name": "without an id" }])),
        CoreReply::Result(json!({})),
        CoreReply::Result(Value::Null),
        CoreReply::Error("unknown_error", "Registries are not loaded"),
        CoreReply::Frame("{\"id\":ID,\"type\":\"result\",".to_owned()),
        CoreReply::Close,
    ]
    .into_iter()
    .enumerate()
    {
        let requests = core.received(list).len();
        core.data().replies.insert(list.to_owned(), answer);
        core.fire("area_registry_updated", json!({ "action": "update" }));
        core.until_received(list, requests + 1).await;
        core.data().replies.clear();
        until_mirrored(&core, &admin, &format!("mark_{index}")).await;
    }
    assert!(events(&admin, "area_removed").await.is_empty());
}

#[tokio::test]
async fn registries_are_not_read_until_core_is_running() {
    let core = Core::with(|data| data.core_state = "STARTING".to_owned()).await;
    let daemon = Daemon::with_core(core.direct(), &[]).await;
    let admin = daemon.admin().await;
    core.until_received("get_config", 1).await;
    assert!(core.received("config/area_registry/list").is_empty());
    add_kitchen_and_hall(&mut core.data());
    core.data().core_state = "RUNNING".to_owned();
    until_areas(&admin, 2).await;
}

#[tokio::test]
async fn empty_registry_is_read_again_before_areas_are_removed() {
    let mut core = Core::with(add_kitchen_and_hall).await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    let admin = daemon.admin().await;
    until_areas(&admin, 2).await;
    let list = "config/entity_registry/list_for_display";
    // After a restart, Core may answer with an empty registry until it has loaded it.
    core.kill().await;
    let entities = std::mem::take(&mut core.data().entities);
    let requests = core.received(list).len();
    core.restart().await;
    core.until_received(list, requests + 2).await;
    core.data().entities = entities;
    until_mirrored(&core, &admin, "mark").await;
    assert!(events(&admin, "area_updated").await.is_empty());
    // This time the areas are really gone, without a `remove` event for each.
    core.data().areas.clear();
    core.fire("area_registry_updated", json!({ "action": "update" }));
    until_areas(&admin, 0).await;
    assert_eq!(events(&admin, "area_removed").await.len(), 3);
}

#[tokio::test]
async fn lock_of_mirrored_area_is_a_mirrored_locker() {
    let core = Core::with(|data| {
        add_kitchen_and_hall(data);
        data.add_entity("lock.front_door", Some("hall"), None);
    })
    .await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    let admin = daemon.admin().await;
    until_areas(&admin, 2).await;
    let locker = "/api/lockers/lock.front_door";
    let shown = admin.get(locker).await.expect(200).json;
    assert_eq!(shown["kioskId"], "hall");
    assert_eq!(
        admin
            .patch(locker, json!({ "state": "x" }))
            .await
            .refused(409),
        "mirrored"
    );
    assert_eq!(admin.delete(locker).await.refused(409), "mirrored");
    let moved = json!({ "area_id": "kitchen" });
    update_entry(
        &mut core.data().entities,
        "entity_id",
        "lock.front_door",
        moved,
    );
    core.fire("entity_registry_updated", json!({ "action": "update" }));
    until("the locker to move", async || {
        let locker = admin.get(locker).await.expect(200).json;
        (locker["kioskId"] == "kitchen").then_some(())
    })
    .await;
    core.data().entities.pop();
    core.fire("entity_registry_updated", json!({ "action": "remove" }));
    until("the locker to be removed", async || {
        (admin.get(locker).await.status == 404).then_some(())
    })
    .await;
    assert!(events(&admin, "locker_state_changed").await.is_empty());
}

#[tokio::test]
async fn local_area_wins_id_conflict_and_bad_names_are_cleaned() {
    let daemon = Daemon::start().await;
    let local = daemon.local().create_area("Mine").await;
    let core = Core::with(|data| {
        data.add_area(&local, "Theirs");
        data.add_area("odd", &format!(" \u{7}{} ", "x".repeat(200)));
    })
    .await;
    let daemon = daemon.restart_with_core(core.as_addon()).await;
    let admin = daemon.admin().await;
    let areas = until_areas(&admin, 2).await;
    assert_eq!(
        (&areas[0]["name"], &areas[0]["source"]),
        (&json!("Mine"), &json!("local"))
    );
    assert_eq!(areas[1]["name"], "x".repeat(99));
}

#[tokio::test]
async fn mirrored_areas_stay_deletable_without_home_assistant() {
    let core = Core::with(add_kitchen_and_hall).await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    until_areas(&daemon.admin().await, 2).await;
    let daemon = daemon.restart_with_core(Vec::new()).await;
    let admin = daemon.admin().await;
    assert_eq!(areas(&admin).await.len(), 2);
    admin.delete("/api/areas/hall").await.expect(204);
    assert_eq!(areas(&admin).await.len(), 1);
}

/// 200 areas with 10,000 entities. Each entity gets its area from its device, one in five from a
/// child device as in Core 2026.9.
fn fill_large_home(data: &mut CoreData) {
    for area in 0..200 {
        data.add_area(&format!("area_no_{area}"), &format!("Area {area}"));
        for device in 0..10 {
            let id = format!("{area:016x}{device:016x}");
            data.add_device(&id, Some(&format!("area_no_{area}")), None);
            let child = format!("child{id}");
            data.add_device(&child, None, Some(&id));
            for entity in 0..5 {
                let name = format!("sensor.area_{area}_device_{device}_measurement_{entity}");
                let owner = if entity == 0 { &child } else { &id };
                data.add_entity(&name, None, Some(owner));
            }
        }
    }
}

/// Peak resident memory in kB, without pages mapped from files: the binary of a test build is many
/// times larger than that of a release build.
fn peak_memory_kb(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let field = |key: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    field("VmHWM:") - field("RssFile:")
}

#[tokio::test]
async fn large_registry_is_mirrored_within_memory_limit_as_diffs() {
    let mut core = Core::with(fill_large_home).await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    let admin = daemon.admin().await;
    let areas = until_areas(&admin, 200).await;
    let entity_counts = areas
        .iter()
        .map(|area| area["entityIds"].as_array().unwrap().len());
    assert_eq!(entity_counts.sum::<usize>(), 10_000);
    let tablet = daemon.pair("tablet", &["area_no_7"]).await;
    let mut socket = daemon.listen(&tablet.token).await;
    let before = admin.get("/api/events?limit=1").await.expect(200).json["lastEventId"].clone();
    for round in 0..3 {
        core.kill().await;
        daemon.until_home_is("disconnected").await;
        core.data().areas[7]["name"] = json!(format!("Seven {round}"));
        core.restart().await;
        let data = socket.next_of("area_updated").await["data"].clone();
        assert_eq!(data["name"], format!("Seven {round}"));
        assert_eq!(data["entityIds"].as_array().unwrap().len(), 50);
    }
    let path = format!("/api/events?limit=1000&type=area_updated&after={before}");
    let events = admin.get(&path).await.expect(200).json;
    assert_eq!(events["events"].as_array().unwrap().len(), 3);
    let peak = peak_memory_kb(&daemon);
    // The limit is 40 MB, of which the pages of a release build's binary take less than 12 MB.
    assert!(peak < 28 * 1024, "{peak} kB");
}

#[tokio::test]
async fn ten_megabyte_registry_answer_is_read() {
    let core = Core::with(|data| {
        fill_large_home(data);
        for entity in &mut data.entities {
            entity["name"] = json!("x".repeat(1000));
        }
    })
    .await;
    let daemon = Daemon::with_core(core.direct(), &[]).await;
    let admin = daemon.admin().await;
    until("all entities", async || {
        let areas = areas(&admin).await;
        let entity_counts = areas
            .iter()
            .map(|area| area["entityIds"].as_array().unwrap().len());
        (entity_counts.sum::<usize>() == 10_000).then_some(())
    })
    .await;
}

#[tokio::test]
async fn burst_of_registry_events_causes_at_most_three_reads() {
    let core = Core::with(add_kitchen_and_hall).await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    let admin = daemon.admin().await;
    until_areas(&admin, 2).await;
    let list = "config/device_registry/list";
    let before = core.received(list).len();
    let updated = json!({ "action": "update", "device_id": "stove" });
    core.fire_all("device_registry_updated", vec![updated; 3000]);
    until_mirrored(&core, &admin, "mark").await;
    let reads = core.received(list).len() - before;
    assert!((1..=3).contains(&reads), "{reads} reads");
    // Unchanged registries are not read again.
    assert_eq!(
        core.received("config/entity_registry/list_for_display")
            .len(),
        1
    );
}

#[tokio::test]
async fn unanswered_registry_request_is_repeated() {
    let core = Core::with(|data| {
        add_kitchen_and_hall(data);
        let list = "config/device_registry/list".to_owned();
        data.replies.insert(list, CoreReply::Silence);
    })
    .await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    core.until_received("config/device_registry/list", 1).await;
    core.data().replies.clear();
    let second_request = async {
        while core.received("config/device_registry/list").len() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let second_request = tokio::time::timeout(std::time::Duration::from_secs(40), second_request);
    second_request.await.expect("a second request");
    until_areas(&daemon.admin().await, 2).await;
    assert_eq!(
        core.data().authenticated_connections,
        1,
        "the connection stays open"
    );
}

#[tokio::test]
async fn core_restart_during_sync_mirrors_no_partial_state() {
    let mut core = Core::with(fill_large_home).await;
    let list = "config/entity_registry/list_for_display";
    core.data()
        .replies
        .insert(list.to_owned(), CoreReply::Close);
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    let admin = daemon.admin().await;
    core.until_received(list, 1).await;
    assert!(areas(&admin).await.is_empty());
    core.kill().await;
    core.data().replies.clear();
    core.restart().await;
    until_areas(&admin, 200).await;
    assert!(events(&admin, "area_removed").await.is_empty());
}

#[tokio::test]
async fn area_with_5000_entities_is_complete_in_list_and_event() {
    let core = Core::with(|data| {
        data.add_area("all", "All");
        for entity in 0..5_000 {
            data.add_entity(
                &format!("sensor.a_rather_long_name_{entity}"),
                Some("all"),
                None,
            );
        }
    })
    .await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    let admin = daemon.admin().await;
    let areas = until_areas(&admin, 1).await;
    assert_eq!(areas[0]["entityIds"].as_array().unwrap().len(), 5_000);
    let tablet = daemon.pair("tablet", &["all"]).await;
    let mut socket = daemon.listen(&tablet.token).await;
    core.data().areas[0]["name"] = json!("Everything");
    core.fire(
        "area_registry_updated",
        json!({ "action": "update", "area_id": "all" }),
    );
    let data = socket.next_of("area_updated").await["data"].clone();
    assert_eq!(data["entityIds"].as_array().unwrap().len(), 5_000);
}
