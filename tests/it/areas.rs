//! Areas over HTTP, and who hears of their changes (contract 6.1 and section 5).

use serde_json::{Value, json};

use crate::support::{Api, Daemon, Socket};

/// A daemon with an area that a tablet has, the tablet's socket and an admin's, both past their
/// first words.
struct House {
    daemon: Daemon,
    admin: Api,
    kitchen: String,
    tablet: Socket,
    office: Socket,
}

impl House {
    async fn new() -> Self {
        let daemon = Daemon::start().await;
        let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
        let admin = daemon.api_of(&token);
        let kitchen = admin.create_area("Kitchen").await;
        let wall = daemon.pair("Wall", &[&kitchen]).await;
        let mut office = daemon.connect(token["token"].as_str().unwrap()).await;
        office.next_of("connection").await;
        let mut tablet = daemon.connect(&wall.token).await;
        tablet.next_of("connection").await;
        office.next_of("client_online").await;
        Self {
            daemon,
            admin,
            kitchen,
            tablet,
            office,
        }
    }

    fn path(&self) -> String {
        format!("/api/areas/{}", self.kitchen)
    }

    /// What both hear next, which must be the same, in this order.
    async fn told(&mut self, kinds: &[&str]) -> Vec<Value> {
        let mut events = Vec::new();
        for kind in kinds {
            let event = self.tablet.next().await;
            assert_eq!(event["type"], *kind);
            assert_eq!(event, self.office.next().await);
            events.push(event);
        }
        self.assert_nothing_received().await;
        events
    }

    async fn assert_nothing_received(&mut self) {
        self.tablet.assert_nothing_received().await;
        self.office.assert_nothing_received().await;
    }
}

#[tokio::test]
async fn a_paired_tablet_hears_of_its_area_and_of_no_other() {
    let mut house = House::new().await;
    let bath = house.admin.create_area("Bath").await;
    assert_eq!(house.office.next().await["type"], "room_updated");
    let path = format!("/api/areas/{bath}");
    house
        .admin
        .put(&path, json!({ "name": "Bathroom" }))
        .await
        .expect(200);
    assert_eq!(house.office.next().await["data"]["areaId"], bath);
    house
        .admin
        .patch(&format!("{path}/toggle"), json!({}))
        .await
        .expect(200);
    assert_eq!(house.office.next().await["type"], "area_disabled");
    house.admin.delete(&path).await.expect(204);
    assert_eq!(house.office.next().await["type"], "area_removed");
    assert_eq!(house.office.next().await["type"], "room_updated");
    house
        .admin
        .put(&house.path(), json!({ "name": "Kitchen 2" }))
        .await
        .expect(200);
    let event = house.told(&["area_updated"]).await.remove(0);
    assert_eq!(event["data"]["areaId"], house.kitchen);
    assert_eq!(event["data"]["name"], "Kitchen 2");
}

#[tokio::test]
async fn an_area_has_the_shape_of_the_contract_and_its_defaults() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let made = admin
        .post("/api/areas", json!({ "name": "  Küche " }))
        .await
        .expect(201);
    let kind = made.header("content-type");
    assert_eq!(kind, Some("application/json; charset=utf-8"));
    let area = made.json;
    assert!(area["id"].as_str().unwrap().starts_with("area_"));
    assert!(area["roomId"].is_i64());
    let expected = json!({
        "id": area["id"], "roomId": area["roomId"], "name": "Küche", "entityIds": [],
        "isEnabled": true, "source": "local", "clientIds": [],
        "createdAt": area["createdAt"], "updatedAt": area["createdAt"],
    });
    assert_eq!(area, expected);
    let read = admin
        .get(&format!("/api/areas/{}", area["id"].as_str().unwrap()))
        .await;
    assert_eq!(read.expect(200).json, area);

    let body = json!({ "name": "Bath", "isEnabled": false,
        "entityIds": ["light.b", "light.a", "light.b"] });
    let bath = admin.post("/api/areas", body).await.expect(201).json;
    assert_eq!(bath["entityIds"], json!(["light.b", "light.a"]));
    assert_eq!(bath["isEnabled"], false);
    assert_ne!(bath["roomId"], area["roomId"]);
}

#[tokio::test]
async fn fields_out_of_bounds_are_named_and_change_nothing() {
    let mut house = House::new().await;
    let before = house.admin.get(&house.path()).await.expect(200).json;
    let too_many: Vec<_> = (0..501).map(|n| format!("light.l{n}")).collect();
    let table = [
        ("name", json!("")),
        ("name", json!("   ")),
        ("name", json!("x".repeat(101))),
        ("name", json!("a\nb")),
        ("name", json!("a\u{7f}b")),
        ("name", json!(7)),
        ("entityIds", json!(too_many)),
        ("entityIds", json!(["light"])),
        ("entityIds", json!(["light."])),
        ("entityIds", json!([".kitchen"])),
        ("entityIds", json!(["light.a.b"])),
        ("entityIds", json!(["Light.Kitchen"])),
        ("entityIds", json!([7])),
        ("entityIds", json!("light.kitchen")),
        ("isEnabled", json!("yes")),
        ("isEnabled", json!(1)),
    ];
    for (field, value) in table {
        // One field is right, the other is wrong: neither is kept.
        let mut body = json!({ "name": "Good", "entityIds": ["light.good"], "isEnabled": false });
        body[field] = value;
        for answer in [
            house.admin.post("/api/areas", body.clone()).await,
            house.admin.put(&house.path(), body.clone()).await,
            house.admin.patch(&house.path(), body.clone()).await,
        ] {
            assert_eq!(answer.json["field"], field, "{body}");
            assert_eq!(answer.refused(422), "invalid_field");
        }
    }
    let answer = house
        .admin
        .post("/api/areas", json!({ "isEnabled": true }))
        .await;
    assert_eq!(answer.json["field"], "name");
    answer.refused(422);
    let toggle = format!("{}/toggle", house.path());
    house
        .admin
        .patch(&toggle, json!({ "isEnabled": "on" }))
        .await
        .refused(422);
    let areas = house.admin.get("/api/areas").await.expect(200).json;
    assert_eq!(areas["areas"], json!([before]));
    house.assert_nothing_received().await;
}

#[tokio::test]
async fn the_bounds_themselves_are_taken() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let most: Vec<_> = (0..500).map(|n| format!("light.l{n}")).collect();
    let name = "ü".repeat(100);
    let body = json!({ "name": format!(" {name} "), "entityIds": most });
    let area = admin.post("/api/areas", body).await.expect(201).json;
    assert_eq!(
        (&area["name"], &area["entityIds"]),
        (&json!(name), &json!(most))
    );
}

#[tokio::test]
async fn put_and_patch_keep_what_the_body_leaves_out_and_take_both_spellings() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let body = json!({ "name": "A", "entity_ids": ["light.a"], "is_enabled": false });
    let area = admin.post("/api/areas", body).await.expect(201).json;
    let path = format!("/api/areas/{}", area["id"].as_str().unwrap());
    assert_eq!(
        (&area["entityIds"], &area["isEnabled"]),
        (&json!(["light.a"]), &json!(false))
    );
    type Steps = [(Value, (&'static str, &'static str, bool)); 5];
    let steps: Steps = [
        (json!({ "name": "B" }), ("B", "light.a", false)),
        (json!({ "is_enabled": true }), ("B", "light.a", true)),
        (json!({ "entity_ids": ["light.b"] }), ("B", "light.b", true)),
        (
            json!({ "isEnabled": false, "what": "else" }),
            ("B", "light.b", false),
        ),
        (json!({}), ("B", "light.b", false)),
    ];
    for (body, (name, entity, enabled)) in steps {
        for area in [
            admin.put(&path, body.clone()).await.expect(200).json,
            admin.patch(&path, body.clone()).await.expect(200).json,
            admin.get(&path).await.expect(200).json,
        ] {
            assert_eq!(area["name"], name, "{body}");
            assert_eq!(area["entityIds"], json!([entity]), "{body}");
            assert_eq!(area["isEnabled"], enabled, "{body}");
        }
    }
}

#[tokio::test]
async fn a_change_that_changes_nothing_emits_nothing() {
    let mut house = House::new().await;
    let before = house.admin.get(&house.path()).await.expect(200).json;
    let same = json!({ "name": " Kitchen ", "entityIds": [], "isEnabled": true });
    for answer in [
        house.admin.put(&house.path(), same.clone()).await,
        house.admin.patch(&house.path(), json!({})).await,
        house
            .admin
            .patch(
                &format!("{}/toggle", house.path()),
                json!({ "isEnabled": true }),
            )
            .await,
    ] {
        assert_eq!(answer.expect(200).json, before);
    }
    house.assert_nothing_received().await;
}

#[tokio::test]
async fn name_and_switch_together_emit_updated_then_the_switch() {
    let mut house = House::new().await;
    for (name, enabled, switched) in [
        ("Cold kitchen", false, "area_disabled"),
        ("Warm kitchen", true, "area_enabled"),
    ] {
        let body = json!({ "name": name, "isEnabled": enabled, "entityIds": ["light.k"] });
        let area = house
            .admin
            .patch(&house.path(), body)
            .await
            .expect(200)
            .json;
        let events = house.told(&["area_updated", switched]).await;
        let ids: Vec<_> = events
            .iter()
            .map(|event| event["id"].as_i64().unwrap())
            .collect();
        assert_eq!(ids[1], ids[0] + 1, "they stand side by side in the history");
        for event in events {
            let data = &event["data"];
            assert!(data["message"].is_string());
            let expected = json!({
                "areaId": house.kitchen, "name": name, "entityIds": ["light.k"],
                "isEnabled": enabled, "message": data["message"], "timestamp": area["updatedAt"],
            });
            assert_eq!(*data, expected);
        }
    }
}

#[tokio::test]
async fn toggle_flips_with_an_empty_body_and_sets_with_a_full_one() {
    let mut house = House::new().await;
    let toggle = format!("{}/toggle", house.path());
    let flip = house
        .admin
        .send_text("PATCH", &toggle, &[], "")
        .await
        .expect(200);
    assert_eq!(flip.json["isEnabled"], false);
    house.told(&["area_disabled"]).await;
    for (body, event) in [
        (json!({}), "area_enabled"),
        (json!({ "isEnabled": false }), "area_disabled"),
        (json!({ "is_enabled": true }), "area_enabled"),
    ] {
        house.admin.patch(&toggle, body).await.expect(200);
        house.told(&[event]).await;
    }
    // A disabled area is still the tablet's to see.
    house
        .admin
        .patch(&toggle, json!({ "isEnabled": false }))
        .await
        .expect(200);
    let me = house
        .daemon
        .local()
        .get("/api/clients")
        .await
        .expect(200)
        .json;
    assert_eq!(me["clients"][0]["assignedAreas"][0]["isEnabled"], false);
}

#[tokio::test]
async fn deleting_tells_who_had_it_and_says_why() {
    let mut house = House::new().await;
    let gone = house.admin.delete(&house.path()).await.expect(204);
    assert_eq!(
        (gone.text.as_str(), gone.header("content-type")),
        ("", None)
    );
    let event = house
        .told(&["area_removed", "room_updated"])
        .await
        .remove(0);
    assert_eq!(event["data"]["reason"], "deleted");
    assert_eq!(event["data"]["areaId"], house.kitchen);
    for answer in [
        house.admin.get(&house.path()).await,
        house.admin.put(&house.path(), json!({ "name": "B" })).await,
        house
            .admin
            .patch(&format!("{}/toggle", house.path()), json!({}))
            .await,
        house.admin.delete(&house.path()).await,
    ] {
        assert_eq!(answer.refused(404), "not_found");
    }
    house.assert_nothing_received().await;
    let next = house.admin.create_area("Kitchen").await;
    assert_ne!(next, house.kitchen);
}

#[tokio::test]
async fn a_client_sees_its_own_areas_and_not_who_else_has_them() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let (own, other) = (
        admin.create_area("Own").await,
        admin.create_area("Other").await,
    );
    let tablet = daemon.pair("Wall", &[&own]).await;
    let api = daemon.api(&tablet.token);
    let areas = api.get("/api/areas").await.expect(200).json;
    assert_eq!(areas["areas"].as_array().unwrap().len(), 1);
    assert_eq!(areas["areas"][0]["id"], own);
    let area = api.get(&format!("/api/areas/{own}")).await.expect(200).json;
    assert_eq!(area, areas["areas"][0]);
    assert!(area.get("clientIds").is_none(), "{area}");
    let seen = admin
        .get(&format!("/api/areas/{own}"))
        .await
        .expect(200)
        .json;
    assert_eq!(seen["clientIds"], json!([tablet.id]));
    // What is not its own and what does not exist look alike.
    let refused = api.get(&format!("/api/areas/{other}")).await;
    let unknown = api.get("/api/areas/area_none").await;
    assert_eq!(refused.json["error"], unknown.json["error"]);
    assert_eq!(
        (refused.refused(403), unknown.refused(403)),
        ("forbidden".into(), "forbidden".into())
    );
}
