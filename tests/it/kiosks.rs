//! Kiosk events (lockers, help requests, commands): which sessions receive them in which namespace, over JSON
//! and over Socket.IO (docs/protocol.md#event-types).

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Daemon, Socket, Tablet};

const NAMESPACES: [&str; 4] = ["/", "/ws/lockers", "/ws/help", "/ws/events"];
const DIALECTS: [Dialect; 2] = [Dialect::Json, Dialect::SocketIo];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Dialect {
    Json,
    SocketIo,
}

/// A session in one namespace and dialect.
struct Subscriber {
    name: String,
    dialect: Dialect,
    namespace: &'static str,
    socket: Socket,
}

impl Subscriber {
    async fn open(
        daemon: &Daemon,
        name: &str,
        dialect: Dialect,
        namespace: &'static str,
        token: &str,
    ) -> Self {
        let (path, bearer) = match dialect {
            Dialect::Json => (namespace, Some(token)),
            Dialect::SocketIo => ("/socket.io/?EIO=4&transport=websocket", None),
        };
        let socket = Socket::open(daemon, path, bearer).await.ok().unwrap();
        let name = format!("{name} on {namespace} over {dialect:?}");
        let mut subscriber = Self {
            name,
            dialect,
            namespace,
            socket,
        };
        if dialect == Dialect::SocketIo {
            assert!(subscriber.socket.packet().await.unwrap().starts_with('0'));
            let auth = json!({ "token": token });
            subscriber
                .send_packet(&format!("40{}{auth}", subscriber.prefix()))
                .await;
            let connected = subscriber.socket.packet().await.unwrap();
            let expected = format!("40{}", subscriber.prefix());
            assert!(connected.starts_with(&expected), "{connected}");
        }
        let (welcome, _) = subscriber.next().await;
        assert!(["connection", "connected"].contains(&welcome.as_str()));
        subscriber
    }

    fn prefix(&self) -> String {
        match self.namespace {
            "/" => String::new(),
            path => format!("{path},"),
        }
    }

    async fn send_packet(&mut self, text: &str) {
        self.socket.send_raw(Message::text(text.to_owned())).await;
    }

    async fn send(&mut self, message_type: &str, data: Value) {
        match self.dialect {
            Dialect::Json => {
                let message = json!({ "type": message_type, "data": data });
                self.socket.send(message).await;
            }
            Dialect::SocketIo => {
                let message = json!([message_type, data]);
                self.send_packet(&format!("42{}{message}", self.prefix()))
                    .await;
            }
        }
    }

    /// The type and data of the next event.
    async fn next(&mut self) -> (String, Value) {
        match self.dialect {
            Dialect::Json => {
                let mut message = self.socket.next().await;
                let event_type = message["type"].as_str().unwrap().to_owned();
                (event_type, message["data"].take())
            }
            Dialect::SocketIo => {
                let packet = self.socket.packet().await.unwrap();
                let expected = format!("42{}", self.prefix());
                let text = packet.strip_prefix(&expected).expect("an event");
                let mut event: Value = serde_json::from_str(text).unwrap();
                let event_type = event[0].as_str().unwrap().to_owned();
                (event_type, event[1].take())
            }
        }
    }

    async fn join(&mut self, room: &str) {
        self.send("join_room", json!({ "room": room })).await;
        let joined = ("room_joined".to_owned(), json!({ "room": room }));
        assert_eq!(self.next().await, joined, "{}", self.name);
    }

    /// The types of all events up to now, without presence events.
    async fn received(&mut self) -> Vec<String> {
        self.send("ping", json!({})).await;
        let mut received = Vec::new();
        loop {
            let (event_type, _) = self.next().await;
            match event_type.as_str() {
                "pong" => return received,
                "client_online" | "client_offline" | "presence" => {}
                _ => received.push(event_type),
            }
        }
    }
}

/// Name, token, room to join, and the event types expected in each namespace.
type Case<'a> = (&'a str, &'a str, Option<&'a str>, [Vec<&'a str>; 4]);

/// Pairs a tablet and sets its kiosk id.
pub async fn at_kiosk(daemon: &Daemon, name: &str, kiosk: &str) -> Tablet {
    let tablet = daemon.pair(name, &[]).await;
    let path = format!("/api/clients/{}", tablet.id);
    let body = json!({ "kioskId": kiosk });
    daemon.local().patch(&path, body).await.expect(200);
    tablet
}

/// Causes one event of each kiosk type at `kiosk-1`.
async fn cause_every_event(daemon: &Daemon, tablet: &Tablet) {
    let (admin, tablet_api) = (daemon.local(), daemon.api(&tablet.token));
    let open = json!({ "state": "open" });
    admin.patch("/api/lockers/locker-1", open).await.expect(200);
    let request = json!({ "category": "access_issue" });
    let help = tablet_api.post("/api/help", request).await.expect(201).json;
    let path = format!("/api/help/{}", help["id"]);
    let status = json!({ "status": "acknowledged" });
    admin.patch(&path, status).await.expect(200);
    let body = json!({ "type": "open", "clientId": tablet.id });
    let command = admin.post("/api/commands", body).await.expect(201).json;
    let mut socket = daemon.listen(&tablet.token).await;
    socket.next_of("command").await;
    let result = json!({ "commandId": command["id"], "success": true });
    let result = json!({ "type": "command_result", "data": result, "requestId": 1 });
    let answer = socket.ask(result).await;
    assert_eq!(answer["data"]["success"], true, "{answer}");
    socket.close().await;
}

#[tokio::test]
async fn namespace_events_reach_admins_and_rooms_in_both_dialects() {
    let daemon = Daemon::with(&[("MAX_SESSIONS_PER_CLIENT", "64")]).await;
    let locker = json!({ "id": "locker-1", "kioskId": "kiosk-1", "state": "closed" });
    daemon
        .local()
        .post("/api/lockers", locker)
        .await
        .expect(201);
    let admin = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let user = daemon.token(json!({ "role": "user", "name": "u" })).await;
    let (admin, user) = (admin["token"].as_str(), user["token"].as_str());
    let near = at_kiosk(&daemon, "Near", "kiosk-1").await;
    let second = at_kiosk(&daemon, "Twin", "kiosk-1").await;
    let far = at_kiosk(&daemon, "Far", "kiosk-2").await;

    let [locker, requested, status] = [
        "locker_state_changed",
        "help_requested",
        "help_status_updated",
    ];
    let (command, applied) = ("command", "command_applied");
    let table: [Case<'_>; 6] = [
        (
            "admin",
            admin.unwrap(),
            None,
            [
                vec![locker, requested, status, applied],
                vec![locker],
                vec![requested, status],
                vec![applied],
            ],
        ),
        (
            "its tablet, in the room",
            &near.token,
            Some("kiosk-1"),
            [
                vec![command],
                vec![locker],
                vec![requested, status],
                vec![command, applied],
            ],
        ),
        (
            "its tablet, in no room",
            &near.token,
            None,
            [vec![command], vec![], vec![], vec![command]],
        ),
        (
            "another tablet of the kiosk",
            &second.token,
            Some("kiosk-1"),
            [vec![], vec![locker], vec![requested, status], vec![applied]],
        ),
        (
            "a tablet elsewhere",
            &far.token,
            Some("kiosk-2"),
            [vec![], vec![], vec![], vec![]],
        ),
        (
            "a user",
            user.unwrap(),
            None,
            [vec![], vec![], vec![], vec![]],
        ),
    ];
    let mut subscribers = Vec::new();
    for (name, token, room, expected) in &table {
        for (namespace, expected) in NAMESPACES.into_iter().zip(expected) {
            for dialect in DIALECTS {
                let mut subscriber =
                    Subscriber::open(&daemon, name, dialect, namespace, token).await;
                if let Some(room) = room {
                    subscriber.join(room).await;
                }
                subscribers.push((subscriber, expected));
            }
        }
    }
    cause_every_event(&daemon, &near).await;
    for (subscriber, expected) in &mut subscribers {
        assert_eq!(
            subscriber.received().await,
            **expected,
            "{}",
            subscriber.name
        );
    }
}

#[tokio::test]
async fn tablet_cannot_join_the_room_of_another_kiosk() {
    let daemon = Daemon::start().await;
    let tablet = at_kiosk(&daemon, "Wall", "kiosk-1").await;
    for namespace in NAMESPACES {
        for dialect in DIALECTS {
            let mut subscriber =
                Subscriber::open(&daemon, "tablet", dialect, namespace, &tablet.token).await;
            for room in ["kiosk-2", &tablet.id] {
                subscriber.send("join_room", json!({ "room": room })).await;
                let (event_type, data) = subscriber.next().await;
                assert_eq!(
                    (event_type.as_str(), &data["code"]),
                    ("error", &json!("forbidden"))
                );
            }
        }
    }
}

#[tokio::test]
async fn kiosk_change_moves_the_tablet_to_the_new_room() {
    let daemon = Daemon::start().await;
    let admin = daemon.local();
    let locker = json!({ "id": "l", "kioskId": "kiosk-1", "state": "closed" });
    admin.post("/api/lockers", locker).await.expect(201);
    let tablet = at_kiosk(&daemon, "Wall", "kiosk-1").await;
    let path = "/ws/lockers";
    let mut subscriber =
        Subscriber::open(&daemon, "tablet", Dialect::Json, path, &tablet.token).await;
    subscriber.join("kiosk-1").await;
    let change = async |state: &str| {
        admin
            .patch("/api/lockers/l", json!({ "state": state }))
            .await
    };
    change("open").await.expect(200);
    assert_eq!(subscriber.received().await, ["locker_state_changed"]);
    let moved = json!({ "kioskId": "kiosk-2" });
    let client = format!("/api/clients/{}", tablet.id);
    admin.patch(&client, moved).await.expect(200);
    change("closed").await.expect(200);
    assert!(subscriber.received().await.is_empty());
}
