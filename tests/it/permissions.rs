//! Who may hear, enter and publish: every role before every kind of topic, live, in a replay and in
//! the list alike (contract sections 3, 4.4, 4.5 and 6.4). `auth::entitlement` has the same table
//! over what it answers.

use serde_json::{Value, json};

use crate::support::{Api, Daemon, Socket};

const BROADCAST: &str = "/api/websocket/broadcast";

/// Somebody with a session on `/ws`, in every room that it may enter.
struct Ear {
    name: &'static str,
    token: String,
    socket: Socket,
    welcome: Value,
    rooms: Vec<&'static str>,
}

/// Kitchen is the wall's area, `lobby` its kiosk, `o` and `t` its organisation and tenant and Ann's.
/// The hall and Bob have nothing of it.
async fn ears(daemon: &Daemon, kitchen: &str) -> Vec<Ear> {
    let admin = daemon.local();
    let wall = daemon.pair("Wall", &[kitchen]).await;
    let body = json!({ "kioskId": "lobby", "organizationId": "o", "tenantId": "t" });
    let path = format!("/api/clients/{}", wall.id);
    admin.patch(&path, body).await.expect(200);
    let hall = daemon.pair("Hall", &[]).await;
    let unauthenticated = daemon.unauthenticated();
    let asked = unauthenticated
        .post("/api/pairing/requests", json!({}))
        .await;
    let asked = asked.expect(201).json;
    let mut table = vec![
        ("wall", wall.token, vec!["kitchen", "lobby"]),
        ("hall", hall.token, vec![]),
    ];
    let people = [
        (
            "ann",
            json!({ "role": "user", "name": "a", "subject": "ann", "organizationId": "o", "tenantId": "t" }),
        ),
        (
            "bob",
            json!({ "role": "user", "name": "b", "subject": "bob", "organizationId": "p" }),
        ),
        ("admin", json!({ "role": "admin", "name": "x" })),
    ];
    for (name, body) in people {
        let rooms = match name {
            "admin" => vec!["kitchen", "lobby", "bath", "nowhere"],
            _ => vec![],
        };
        table.push((name, text(&daemon.token(body).await["token"]), rooms));
    }
    table.push(("waiting", text(&asked["pairingToken"]), vec![]));
    let mut ears = Vec::new();
    for (name, token, rooms) in table {
        let mut socket = daemon.connect(&token).await;
        let welcome = socket.next_of("connection").await["data"].clone();
        ears.push(Ear {
            name,
            token,
            socket,
            welcome,
            rooms,
        });
    }
    ears
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The numbers of the alarms that come until the mark; others' presence is passed over.
async fn alarms(socket: &mut Socket) -> Vec<usize> {
    let mut heard = Vec::new();
    loop {
        let event = socket.next().await;
        match event["type"].as_str().unwrap() {
            "mark" => return heard,
            "alarm" => heard.push(number(&event)),
            _ => {}
        }
    }
}

fn number(event: &Value) -> usize {
    usize::try_from(event["data"]["n"].as_u64().unwrap()).unwrap()
}

#[tokio::test]
async fn each_role_receives_joins_and_publishes_what_it_may() {
    let daemon = Daemon::with(&[("HEARTBEAT_SECONDS", "3600")]).await;
    let admin = daemon.local();
    let kitchen = admin.create_area("Kitchen").await;
    let bath = admin.create_area("Bath").await;
    let mut ears = ears(&daemon, &kitchen).await;
    let wall = ears[0].welcome["clientId"].clone();

    for ear in &mut ears {
        for room in ["kitchen", "lobby", "bath", "nowhere"] {
            let named = match room {
                "kitchen" => &kitchen,
                "bath" => &bath,
                other => other,
            };
            let asked = json!({ "type": "join_room", "room": named, "requestId": room });
            ear.socket.send(asked).await;
            let result = ear.socket.next_of("result").await;
            let may = ear.rooms.contains(&room);
            assert_eq!(result["data"]["success"], may, "{} enters {room}", ear.name);
            if !may {
                assert_eq!(result["data"]["code"], "forbidden", "{} {room}", ear.name);
            }
        }
    }

    let everyone = ["wall", "hall", "ann", "bob", "admin"];
    // Rooms are a session's own, and so they are in its replay, but in nobody's list.
    let (topics, rooms) = (12, 4);
    let hears: [(Value, &[&str]); 16] = [
        (json!({}), &everyone),
        (json!({ "namespace": "/" }), &everyone),
        (json!({ "namespace": "/ws/lockers" }), &[]),
        (json!({ "namespace": "/ws/help" }), &[]),
        (json!({ "namespace": "/ws/events" }), &[]),
        (json!({ "clientId": wall }), &["wall"]),
        (json!({ "userId": "ann" }), &["ann"]),
        (json!({ "organizationId": "o" }), &["wall", "ann"]),
        (json!({ "organizationId": "p" }), &["bob"]),
        (json!({ "tenantId": "t" }), &["wall", "ann"]),
        (
            json!({ "organizationId": "o", "tenantId": "t" }),
            &["wall", "ann"],
        ),
        (json!({ "organizationId": "p", "tenantId": "t" }), &[]),
        (json!({ "room": kitchen }), &["wall", "admin"]),
        (json!({ "room": "lobby" }), &["wall", "admin"]),
        (json!({ "room": "nowhere" }), &["admin"]),
        (json!({ "namespace": "/ws/help", "room": "lobby" }), &[]),
    ];
    assert_eq!(topics + rooms, hears.len());
    for (n, (audience, names)) in hears.iter().enumerate() {
        let mut body = json!({ "type": "alarm", "data": { "n": n } });
        for (key, value) in audience.as_object().unwrap() {
            body[key] = value.clone();
        }
        for ear in &ears {
            if ear.name != "admin" {
                let refused = daemon.api(&ear.token).post(BROADCAST, body.clone()).await;
                assert_eq!(refused.refused(403), "forbidden", "{} publishes", ear.name);
            }
        }
        let told = admin.post(BROADCAST, body).await.expect(200).json;
        let told = &told["data"]["clients_count"];
        assert_eq!(*told, names.len(), "{audience}");
    }
    let mark = json!({ "type": "mark", "data": {} });
    admin.post(BROADCAST, mark).await.expect(200);

    for mut ear in ears {
        let may = |n: &usize| hears[*n].1.contains(&ear.name);
        let expected: Vec<usize> = (0..hears.len()).filter(may).collect();
        let api = daemon.api(&ear.token);
        if ear.name == "waiting" {
            ear.socket.assert_nothing_received().await;
            let resume = resume(&ear.welcome, "r");
            assert_eq!(ear.socket.ask(resume).await["data"]["success"], true);
            ear.socket.assert_nothing_received().await;
            assert_eq!(api.get("/api/events").await.refused(403), "forbidden");
            continue;
        }
        assert_eq!(alarms(&mut ear.socket).await, expected, "{} live", ear.name);
        ear.socket.close().await;

        let mut again = daemon.listen(&ear.token).await;
        again.send(resume(&ear.welcome, "r")).await;
        assert_eq!(again.next_of("result").await["data"]["recovered"], true);
        assert_eq!(alarms(&mut again).await, expected, "{} replayed", ear.name);

        let listed: Vec<usize> = expected.iter().copied().filter(|n| *n < topics).collect();
        assert_eq!(
            list(&api, &ear.welcome).await,
            listed,
            "{} listed",
            ear.name
        );
    }
}

fn resume(welcome: &Value, request: &str) -> Value {
    json!({
        "type": "resume", "requestId": request, "connectionId": welcome["connectionId"],
        "lastEventId": welcome["lastEventId"], "epoch": welcome["epoch"],
    })
}

async fn list(api: &Api, welcome: &Value) -> Vec<usize> {
    let path = format!("/api/events?type=alarm&after={}", welcome["lastEventId"]);
    let page = api.get(&path).await.expect(200).json;
    page["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(number)
        .collect()
}
