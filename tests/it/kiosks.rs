//! Seed 3's namespaces: who is told what in which, in both dialects (contract section 5).

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

/// A session of a namespace in one of the dialects.
struct Ear {
    who: String,
    dialect: Dialect,
    namespace: &'static str,
    socket: Socket,
}

impl Ear {
    async fn open(
        daemon: &Daemon,
        who: &str,
        dialect: Dialect,
        namespace: &'static str,
        token: &str,
    ) -> Self {
        let (path, bearer) = match dialect {
            Dialect::Json => (namespace, Some(token)),
            Dialect::SocketIo => ("/socket.io/?EIO=4&transport=websocket", None),
        };
        let socket = Socket::open(daemon, path, bearer).await.ok().unwrap();
        let who = format!("{who} on {namespace} by {dialect:?}");
        let mut ear = Self {
            who,
            dialect,
            namespace,
            socket,
        };
        if dialect == Dialect::SocketIo {
            assert!(ear.socket.packet().await.unwrap().starts_with('0'));
            let auth = json!({ "token": token });
            ear.packet(&format!("40{}{auth}", ear.prefix())).await;
            let connected = ear.socket.packet().await.unwrap();
            let expected = format!("40{}", ear.prefix());
            assert!(connected.starts_with(&expected), "{connected}");
        }
        let (words, _) = ear.next().await;
        assert!(["connection", "connected"].contains(&words.as_str()));
        ear
    }

    fn prefix(&self) -> String {
        match self.namespace {
            "/" => String::new(),
            path => format!("{path},"),
        }
    }

    async fn packet(&mut self, text: &str) {
        self.socket.send_raw(Message::text(text.to_owned())).await;
    }

    async fn say(&mut self, kind: &str, data: Value) {
        match self.dialect {
            Dialect::Json => {
                let message = json!({ "type": kind, "data": data });
                self.socket.send(message).await;
            }
            Dialect::SocketIo => {
                let message = json!([kind, data]);
                self.packet(&format!("42{}{message}", self.prefix())).await;
            }
        }
    }

    async fn next(&mut self) -> (String, Value) {
        match self.dialect {
            Dialect::Json => {
                let mut message = self.socket.next().await;
                let kind = message["type"].as_str().unwrap().to_owned();
                (kind, message["data"].take())
            }
            Dialect::SocketIo => {
                let packet = self.socket.packet().await.unwrap();
                let expected = format!("42{}", self.prefix());
                let text = packet.strip_prefix(&expected).expect("an event");
                let mut event: Value = serde_json::from_str(text).unwrap();
                let kind = event[0].as_str().unwrap().to_owned();
                (kind, event[1].take())
            }
        }
    }

    async fn join(&mut self, room: &str) {
        self.say("join_room", json!({ "room": room })).await;
        let joined = ("room_joined".to_owned(), json!({ "room": room }));
        assert_eq!(self.next().await, joined, "{}", self.who);
    }

    /// What it was told until now, but for who comes and goes.
    async fn heard(&mut self) -> Vec<String> {
        self.say("ping", json!({})).await;
        let mut heard = Vec::new();
        loop {
            let (kind, _) = self.next().await;
            match kind.as_str() {
                "pong" => return heard,
                "client_online" | "client_offline" | "presence" => {}
                _ => heard.push(kind),
            }
        }
    }
}

/// Who listens, with which token, in which room, and what it is told in each namespace.
type Listener<'a> = (&'a str, &'a str, Option<&'a str>, [Vec<&'a str>; 4]);

/// A tablet that stands at a kiosk.
pub async fn at_kiosk(daemon: &Daemon, name: &str, kiosk: &str) -> Tablet {
    let tablet = daemon.pair(name, &[]).await;
    let path = format!("/api/clients/{}", tablet.id);
    let body = json!({ "kioskId": kiosk });
    daemon.local().patch(&path, body).await.expect(200);
    tablet
}

/// Does everything of which seed 3 tells at kiosk-1, and answers what happened in order.
async fn everything(daemon: &Daemon, tablet: &Tablet) {
    let (admin, wall) = (daemon.local(), daemon.api(&tablet.token));
    let open = json!({ "state": "open" });
    admin.patch("/api/lockers/locker-1", open).await.expect(200);
    let asked = json!({ "category": "access_issue" });
    let help = wall.post("/api/help", asked).await.expect(201).json;
    let path = format!("/api/help/{}", help["id"]);
    let status = json!({ "status": "acknowledged" });
    admin.patch(&path, status).await.expect(200);
    let order = json!({ "type": "open", "clientId": tablet.id });
    let command = admin.post("/api/commands", order).await.expect(201).json;
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
    let twin = at_kiosk(&daemon, "Twin", "kiosk-1").await;
    let far = at_kiosk(&daemon, "Far", "kiosk-2").await;

    let [locker, asked, status] = [
        "locker_state_changed",
        "help_requested",
        "help_status_updated",
    ];
    let (command, applied) = ("command", "command_applied");
    let table: [Listener<'_>; 6] = [
        (
            "admin",
            admin.unwrap(),
            None,
            [
                vec![locker, asked, status, applied],
                vec![locker],
                vec![asked, status],
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
                vec![asked, status],
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
            &twin.token,
            Some("kiosk-1"),
            [vec![], vec![locker], vec![asked, status], vec![applied]],
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
    let mut ears = Vec::new();
    for (who, token, room, told) in &table {
        for (namespace, told) in NAMESPACES.into_iter().zip(told) {
            for dialect in DIALECTS {
                let mut ear = Ear::open(&daemon, who, dialect, namespace, token).await;
                if let Some(room) = room {
                    ear.join(room).await;
                }
                ears.push((ear, told));
            }
        }
    }
    everything(&daemon, &near).await;
    for (ear, told) in &mut ears {
        assert_eq!(ear.heard().await, **told, "{}", ear.who);
    }
}

#[tokio::test]
async fn tablet_cannot_join_the_room_of_another_kiosk() {
    let daemon = Daemon::start().await;
    let tablet = at_kiosk(&daemon, "Wall", "kiosk-1").await;
    for namespace in NAMESPACES {
        for dialect in DIALECTS {
            let mut ear = Ear::open(&daemon, "tablet", dialect, namespace, &tablet.token).await;
            for room in ["kiosk-2", &tablet.id] {
                ear.say("join_room", json!({ "room": room })).await;
                let (kind, data) = ear.next().await;
                assert_eq!(
                    (kind.as_str(), &data["code"]),
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
    let mut ear = Ear::open(&daemon, "tablet", Dialect::Json, path, &tablet.token).await;
    ear.join("kiosk-1").await;
    let change = async |state: &str| {
        admin
            .patch("/api/lockers/l", json!({ "state": state }))
            .await
    };
    change("open").await.expect(200);
    assert_eq!(ear.heard().await, ["locker_state_changed"]);
    let moved = json!({ "kioskId": "kiosk-2" });
    let client = format!("/api/clients/{}", tablet.id);
    admin.patch(&client, moved).await.expect(200);
    change("closed").await.expect(200);
    assert!(ear.heard().await.is_empty());
}
