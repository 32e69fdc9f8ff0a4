//! Areas as Home Assistant has them (contract section 7): what is told of them, and what is not.

use serde_json::{Value, json};

use super::support::{Api, Core, CoreData, CoreReply, Daemon, Socket, until};

fn kitchen_and_hall(data: &mut CoreData) {
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

async fn events(api: &Api, kind: &str) -> Vec<Value> {
    let path = format!("/api/events?limit=1000&type={kind}");
    let events = api.get(&path).await.expect(200).json;
    events["events"].as_array().expect("a list").clone()
}

/// Waits until whatever Home Assistant told before this was acted upon: an area more is there.
async fn until_mirrored(core: &Core, api: &Api, mark: &str) {
    core.data().add_area(mark, mark);
    core.fire(
        "area_registry_updated",
        json!({ "action": "create", "area_id": mark }),
    );
    until("the mark", async || {
        areas(api)
            .await
            .iter()
            .any(|area| area["id"] == mark)
            .then_some(())
    })
    .await;
}

/// What a session was told of areas until now.
async fn areas_told(socket: &mut Socket) -> Vec<Value> {
    socket.send(json!({ "type": "ping" })).await;
    let mut told = Vec::new();
    loop {
        let event = socket.next().await;
        let kind = event["type"].as_str().expect("a type");
        if kind == "pong" {
            return told;
        }
        if kind.starts_with("area_") {
            told.push(event);
        }
    }
}

fn change(registry: &mut [Value], key: &str, id: &str, change: Value) {
    let place = CoreData::find(registry, key, id);
    for (key, value) in change.as_object().expect("an object") {
        registry[place][key] = value.clone();
    }
}

#[tokio::test]
async fn areas_and_their_entities_are_there_with_home_assistants_ids() {
    let core = Core::with(|data| {
        kitchen_and_hall(data);
        // A child device of Core 2026.9, and what tablets do not get.
        data.add_device("burner", None, Some("stove"));
        data.add_entity("sensor.burner", None, Some("burner"));
        data.add_entity("light.moved", Some("hall"), Some("stove"));
        data.add_entity("light.off", Some("hall"), None);
        data.add_entity("light.hidden", Some("hall"), None);
        data.add_entity("light.nowhere", None, None);
        change(
            &mut data.entities,
            "entity_id",
            "light.off",
            json!({ "disabled_by": "user" }),
        );
        change(
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
        let of = |id: &str| {
            areas
                .iter()
                .find(|area| area["id"] == id)
                .expect("it")
                .clone()
        };
        let kitchen = of("kitchen");
        assert_eq!(kitchen["name"], "Kitchen");
        assert_eq!(kitchen["source"], "homeassistant");
        assert_eq!(kitchen["isEnabled"], true);
        assert!(kitchen["roomId"].is_i64());
        assert_eq!(
            kitchen["entityIds"],
            json!(["light.kitchen", "sensor.burner", "sensor.stove"])
        );
        assert_eq!(
            of("hall")["entityIds"],
            json!(["light.hall", "light.moved"])
        );
    }
}

#[tokio::test]
async fn a_core_without_the_short_list_is_read_by_the_long_one() {
    let core = Core::with(|data| {
        kitchen_and_hall(data);
        data.add_entity("light.off", Some("hall"), None);
        change(
            &mut data.entities,
            "entity_id",
            "light.off",
            json!({ "disabled_by": "user" }),
        );
        let unknown = CoreReply::Error("unknown_command", "Unknown command.");
        for kind in [
            "config/entity_registry/list_for_display",
            "supported_features",
            "get_config",
        ] {
            data.replies.insert(kind.to_owned(), unknown.clone());
        }
    })
    .await;
    let daemon = Daemon::with_core(core.direct(), &[]).await;
    let areas = until_areas(&daemon.admin().await, 2).await;
    assert_eq!(areas[1]["entityIds"], json!(["light.hall"]));
}

#[tokio::test]
async fn a_change_in_home_assistant_is_told_to_who_has_the_area() {
    let core = Core::with(kitchen_and_hall).await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    let admin = daemon.admin().await;
    until_areas(&admin, 2).await;
    let cook = daemon.pair("cook", &["kitchen"]).await;
    let guest = daemon.pair("guest", &["hall"]).await;
    let mut cook = daemon.listen(&cook.token).await;
    let mut guest = daemon.listen(&guest.token).await;

    change(
        &mut core.data().areas,
        "area_id",
        "kitchen",
        json!({ "name": "Galley" }),
    );
    core.fire(
        "area_registry_updated",
        json!({ "action": "update", "area_id": "kitchen" }),
    );
    let told = cook.next_of("area_updated").await["data"].clone();
    assert_eq!(
        (&told["areaId"], &told["name"]),
        (&json!("kitchen"), &json!("Galley"))
    );

    // The device moves, and its entity with it: both areas are others now.
    change(
        &mut core.data().devices,
        "id",
        "stove",
        json!({ "area_id": "hall" }),
    );
    core.fire(
        "device_registry_updated",
        json!({ "action": "update", "device_id": "stove" }),
    );
    let told = cook.next_of("area_updated").await["data"].clone();
    assert_eq!(told["entityIds"], json!(["light.kitchen"]));
    let told = guest.next_of("area_updated").await["data"].clone();
    assert_eq!(told["entityIds"], json!(["light.hall", "sensor.stove"]));

    let renamed = json!({ "entity_id": "light.ceiling" });
    change(
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
    let told = cook.next_of("area_updated").await["data"].clone();
    assert_eq!(told["entityIds"], json!(["light.ceiling"]));

    core.data().areas.remove(0);
    core.fire(
        "area_registry_updated",
        json!({ "action": "remove", "area_id": "kitchen" }),
    );
    let told = cook.next_of("area_removed").await["data"].clone();
    assert_eq!(
        (&told["areaId"], &told["reason"]),
        (&json!("kitchen"), &json!("deleted"))
    );
    assert_eq!(areas_told(&mut guest).await, Vec::<Value>::new());
}

#[tokio::test]
async fn what_happened_while_we_were_away_is_told_and_nothing_else() {
    let mut core = Core::with(kitchen_and_hall).await;
    core.data().add_area("cellar", "Cellar");
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    let admin = daemon.admin().await;
    until_areas(&admin, 3).await;
    let tablet = daemon.pair("tablet", &["kitchen", "hall", "cellar"]).await;
    let mut socket = daemon.listen(&tablet.token).await;

    core.kill().await;
    daemon.until_home_is("disconnected").await;
    // Everything works on.
    admin
        .patch("/api/areas/hall/toggle", json!({ "isEnabled": false }))
        .await
        .expect(200);
    socket.next_of("area_disabled").await;
    {
        let mut data = core.data();
        change(
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
    let mut told = areas_told(&mut socket).await;
    told.sort_by_key(|event| event["type"].to_string());
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0]["type"], "area_removed");
    assert_eq!(told[0]["data"]["areaId"], "cellar");
    assert_eq!(told[1]["type"], "area_updated");
    assert_eq!(told[1]["data"]["name"], "Galley");
    let hall = admin.get("/api/areas/hall").await.expect(200).json;
    assert_eq!(hall["isEnabled"], false);
    assert_eq!(hall["clientIds"], json!([tablet.id]));
}

#[tokio::test]
async fn enabled_and_assigned_outlive_a_restart_of_either_side() {
    let core = Core::with(kitchen_and_hall).await;
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
async fn a_mirrored_area_is_changed_in_home_assistant_alone() {
    let core = Core::with(kitchen_and_hall).await;
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
    // What is not changed may be said.
    let same = json!({ "name": "Hall", "entityIds": ["light.hall"], "isEnabled": false });
    let area = admin.put(hall, same).await.expect(200).json;
    assert_eq!(
        (&area["name"], &area["isEnabled"]),
        (&json!("Hall"), &json!(false))
    );
}

#[tokio::test]
async fn nothing_goes_because_of_an_answer_that_cannot_be_read() {
    let core = Core::with(kitchen_and_hall).await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    let admin = daemon.admin().await;
    until_areas(&admin, 2).await;
    let list = "config/area_registry/list";
    for (asked, answer) in [
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
        let heard = core.received(list).len();
        core.data().replies.insert(list.to_owned(), answer);
        core.fire("area_registry_updated", json!({ "action": "update" }));
        core.until_received(list, heard + 1).await;
        core.data().replies.clear();
        until_mirrored(&core, &admin, &format!("mark_{asked}")).await;
    }
    assert!(events(&admin, "area_removed").await.is_empty());
}

#[tokio::test]
async fn a_core_that_starts_is_waited_for() {
    let core = Core::with(|data| data.core_state = "STARTING".to_owned()).await;
    let daemon = Daemon::with_core(core.direct(), &[]).await;
    let admin = daemon.admin().await;
    core.until_received("get_config", 1).await;
    assert!(core.received("config/area_registry/list").is_empty());
    kitchen_and_hall(&mut core.data());
    core.data().core_state = "RUNNING".to_owned();
    until_areas(&admin, 2).await;
}

#[tokio::test]
async fn an_empty_house_is_doubted_and_in_the_end_believed() {
    let mut core = Core::with(kitchen_and_hall).await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    let admin = daemon.admin().await;
    until_areas(&admin, 2).await;
    let list = "config/entity_registry/list_for_display";
    // Its registries come late after a restart.
    core.kill().await;
    let entities = std::mem::take(&mut core.data().entities);
    let heard = core.received(list).len();
    core.restart().await;
    core.until_received(list, heard + 2).await;
    core.data().entities = entities;
    until_mirrored(&core, &admin, "mark").await;
    assert!(events(&admin, "area_updated").await.is_empty());
    // This time it is the truth, and nobody told of it.
    core.data().areas.clear();
    core.fire("area_registry_updated", json!({ "action": "update" }));
    until_areas(&admin, 0).await;
    assert_eq!(events(&admin, "area_removed").await.len(), 3);
}

#[tokio::test]
async fn a_lock_of_a_mirrored_area_is_a_locker_there() {
    let core = Core::with(|data| {
        kitchen_and_hall(data);
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
    change(
        &mut core.data().entities,
        "entity_id",
        "lock.front_door",
        moved,
    );
    core.fire("entity_registry_updated", json!({ "action": "update" }));
    until("the move", async || {
        let locker = admin.get(locker).await.expect(200).json;
        (locker["kioskId"] == "kitchen").then_some(())
    })
    .await;
    core.data().entities.pop();
    core.fire("entity_registry_updated", json!({ "action": "remove" }));
    until("its end", async || {
        (admin.get(locker).await.status == 404).then_some(())
    })
    .await;
    assert!(events(&admin, "locker_state_changed").await.is_empty());
}

#[tokio::test]
async fn a_local_area_keeps_its_id_and_an_odd_name_is_fitted() {
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
async fn what_was_mirrored_stays_without_home_assistant_and_may_go() {
    let core = Core::with(kitchen_and_hall).await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    until_areas(&daemon.admin().await, 2).await;
    let daemon = daemon.restart_with_core(Vec::new()).await;
    let admin = daemon.admin().await;
    assert_eq!(areas(&admin).await.len(), 2);
    admin.delete("/api/areas/hall").await.expect(204);
    assert_eq!(areas(&admin).await.len(), 1);
}

/// 200 areas with 10,000 entities, most of them by their devices as in newer Cores.
fn large(data: &mut CoreData) {
    for area in 0..200 {
        data.add_area(&format!("area_no_{area}"), &format!("Area {area}"));
        for device in 0..10 {
            let id = format!("{area:016x}{device:016x}");
            data.add_device(&id, Some(&format!("area_no_{area}")), None);
            let child = format!("child{id}");
            data.add_device(&child, None, Some(&id));
            for entity in 0..5 {
                let name = format!("sensor.area_{area}_device_{device}_measurement_{entity}");
                let of = if entity == 0 { &child } else { &id };
                data.add_entity(&name, None, Some(of));
            }
        }
    }
}

/// Memory in kB that it had at most, without the pages of its program: those of this build are many
/// times the ones that are shipped.
fn memory(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let of = |key: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    of("VmHWM:") - of("RssFile:")
}

#[tokio::test]
async fn a_large_house_is_mirrored_within_its_memory_and_told_as_a_diff() {
    let mut core = Core::with(large).await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    let admin = daemon.admin().await;
    let areas = until_areas(&admin, 200).await;
    let of_all = areas
        .iter()
        .map(|area| area["entityIds"].as_array().unwrap().len());
    assert_eq!(of_all.sum::<usize>(), 10_000);
    let tablet = daemon.pair("tablet", &["area_no_7"]).await;
    let mut socket = daemon.listen(&tablet.token).await;
    let before = admin.get("/api/events?limit=1").await.expect(200).json["lastEventId"].clone();
    for round in 0..3 {
        core.kill().await;
        daemon.until_home_is("disconnected").await;
        core.data().areas[7]["name"] = json!(format!("Seven {round}"));
        core.restart().await;
        let told = socket.next_of("area_updated").await["data"].clone();
        assert_eq!(told["name"], format!("Seven {round}"));
        assert_eq!(told["entityIds"].as_array().unwrap().len(), 50);
    }
    let path = format!("/api/events?limit=1000&type=area_updated&after={before}");
    let events = admin.get(&path).await.expect(200).json;
    assert_eq!(events["events"].as_array().unwrap().len(), 3);
    let most = memory(&daemon);
    // The shipped program's own pages take less than 12 MB of the 40.
    assert!(most < 28 * 1024, "{most} kB");
}

#[tokio::test]
async fn an_answer_of_ten_megabytes_is_read() {
    let core = Core::with(|data| {
        large(data);
        for entity in &mut data.entities {
            entity["name"] = json!("x".repeat(1000));
        }
    })
    .await;
    let daemon = Daemon::with_core(core.direct(), &[]).await;
    let admin = daemon.admin().await;
    until("all entities", async || {
        let areas = areas(&admin).await;
        let of_all = areas
            .iter()
            .map(|area| area["entityIds"].as_array().unwrap().len());
        (of_all.sum::<usize>() == 10_000).then_some(())
    })
    .await;
}

#[tokio::test]
async fn many_events_of_a_registry_have_it_read_a_few_times() {
    let core = Core::with(kitchen_and_hall).await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    let admin = daemon.admin().await;
    until_areas(&admin, 2).await;
    let list = "config/device_registry/list";
    let before = core.received(list).len();
    let updated = json!({ "action": "update", "device_id": "stove" });
    core.fire_all("device_registry_updated", vec![updated; 3000]);
    until_mirrored(&core, &admin, "mark").await;
    let read = core.received(list).len() - before;
    assert!((1..=3).contains(&read), "{read} times");
    // The registries that did not change were not read again.
    assert_eq!(
        core.received("config/entity_registry/list_for_display")
            .len(),
        1
    );
}

#[tokio::test]
async fn a_list_that_never_comes_is_asked_for_again() {
    let core = Core::with(|data| {
        kitchen_and_hall(data);
        let list = "config/device_registry/list".to_owned();
        data.replies.insert(list, CoreReply::Silence);
    })
    .await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    core.until_received("config/device_registry/list", 1).await;
    core.data().replies.clear();
    let asked_again = async {
        while core.received("config/device_registry/list").len() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let asked_again = tokio::time::timeout(std::time::Duration::from_secs(40), asked_again);
    asked_again.await.expect("it is asked again");
    until_areas(&daemon.admin().await, 2).await;
    assert_eq!(
        core.data().authenticated_connections,
        1,
        "the connection is as good as before"
    );
}

#[tokio::test]
async fn a_core_that_restarts_in_mid_sync_leaves_nothing_half_done() {
    let mut core = Core::with(large).await;
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
async fn an_area_of_thousands_of_entities_is_whole() {
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
    let told = socket.next_of("area_updated").await["data"].clone();
    assert_eq!(told["entityIds"].as_array().unwrap().len(), 5_000);
}
