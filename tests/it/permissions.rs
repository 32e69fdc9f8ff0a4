//! What each role may receive, join and publish, for every kind of topic. Live delivery, replay and the event
//! list must agree (docs/protocol.md#roles). `auth::entitlement` has the same table in its unit tests.

use serde_json::{Value, json};

use crate::support::{Api, Daemon, Socket};

const BROADCAST: &str = "/api/websocket/broadcast";

/// A principal with a session on `/ws`, and the rooms that it may join.
struct Subscriber {
    name: &'static str,
    token: String,
    socket: Socket,
    welcome: Value,
    rooms: Vec<&'static str>,
}

/// `wall` has the kitchen and the kiosk `lobby`; `wall` and `ann` have organization `o` and tenant `t`. `hall`
/// and `bob` have none of these.
async fn subscribers(daemon: &Daemon, kitchen: &str) -> Vec<Subscriber> {
    let admin = daemon.local();
    let wall = daemon.pair("Wall", &[kitchen]).await;
    let body = json!({ "kioskId": "lobby", "organizationId": "o", "tenantId": "t" });
    let path = format!("/api/clients/{}", wall.id);
    admin.patch(&path, body).await.expect(200);
    let hall = daemon.pair("Hall", &[]).await;
    let unauthenticated = daemon.unauthenticated();
    let pairing = unauthenticated
        .post("/api/pairing/requests", json!({}))
        .await;
    let pairing = pairing.expect(201).json;
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
    table.push(("pairing", text(&pairing["pairingToken"]), vec![]));
    let mut subscribers = Vec::new();
    for (name, token, rooms) in table {
        let mut socket = daemon.connect(&token).await;
        let welcome = socket.next_of("connection").await["data"].clone();
        subscribers.push(Subscriber {
            name,
            token,
            socket,
            welcome,
            rooms,
        });
    }
    subscribers
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The numbers of the alarms up to the marker event. Skips presence events.
async fn alarms(socket: &mut Socket) -> Vec<usize> {
    let mut alarms = Vec::new();
    loop {
        let event = socket.next().await;
        match event["type"].as_str().unwrap() {
            "mark" => return alarms,
            "alarm" => alarms.push(number(&event)),
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
    let mut subscribers = subscribers(&daemon, &kitchen).await;
    let wall = subscribers[0].welcome["clientId"].clone();

    for subscriber in &mut subscribers {
        for room in ["kitchen", "lobby", "bath", "nowhere"] {
            let name = match room {
                "kitchen" => &kitchen,
                "bath" => &bath,
                other => other,
            };
            let join = json!({ "type": "join_room", "room": name, "requestId": room });
            subscriber.socket.send(join).await;
            let result = subscriber.socket.next_of("result").await;
            let is_allowed = subscriber.rooms.contains(&room);
            assert_eq!(
                result["data"]["success"], is_allowed,
                "{} joins {room}",
                subscriber.name
            );
            if !is_allowed {
                assert_eq!(
                    result["data"]["code"], "forbidden",
                    "{} {room}",
                    subscriber.name
                );
            }
        }
    }

    let everyone = ["wall", "hall", "ann", "bob", "admin"];
    // Rooms belong to a session: their events are in its replay, but not in the event list.
    let (topics, rooms) = (12, 4);
    let table: [(Value, &[&str]); 16] = [
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
    assert_eq!(topics + rooms, table.len());
    for (n, (audience, names)) in table.iter().enumerate() {
        let mut body = json!({ "type": "alarm", "data": { "n": n } });
        for (key, value) in audience.as_object().unwrap() {
            body[key] = value.clone();
        }
        for subscriber in &subscribers {
            if subscriber.name != "admin" {
                let refused = daemon
                    .api(&subscriber.token)
                    .post(BROADCAST, body.clone())
                    .await;
                assert_eq!(
                    refused.refused(403),
                    "forbidden",
                    "{} publishes",
                    subscriber.name
                );
            }
        }
        let response = admin.post(BROADCAST, body).await.expect(200).json;
        let count = &response["data"]["clients_count"];
        assert_eq!(*count, names.len(), "{audience}");
    }
    let marker = json!({ "type": "mark", "data": {} });
    admin.post(BROADCAST, marker).await.expect(200);

    for mut subscriber in subscribers {
        let is_receiver = |n: &usize| table[*n].1.contains(&subscriber.name);
        let expected: Vec<usize> = (0..table.len()).filter(is_receiver).collect();
        let api = daemon.api(&subscriber.token);
        if subscriber.name == "pairing" {
            subscriber.socket.assert_nothing_received().await;
            let resume = resume(&subscriber.welcome, "r");
            assert_eq!(subscriber.socket.ask(resume).await["data"]["success"], true);
            subscriber.socket.assert_nothing_received().await;
            assert_eq!(api.get("/api/events").await.refused(403), "forbidden");
            continue;
        }
        assert_eq!(
            alarms(&mut subscriber.socket).await,
            expected,
            "{} live",
            subscriber.name
        );
        subscriber.socket.close().await;

        let mut again = daemon.listen(&subscriber.token).await;
        again.send(resume(&subscriber.welcome, "r")).await;
        assert_eq!(again.next_of("result").await["data"]["recovered"], true);
        assert_eq!(
            alarms(&mut again).await,
            expected,
            "{} replayed",
            subscriber.name
        );

        let listed: Vec<usize> = expected.iter().copied().filter(|n| *n < topics).collect();
        assert_eq!(
            list(&api, &subscriber.welcome).await,
            listed,
            "{} listed",
            subscriber.name
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
