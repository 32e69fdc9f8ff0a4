//! What sockets are told of pairing: admins, and the tablet that waits (contract section 5 and 6.2).

use serde_json::{Value, json};

use crate::support::{Api, Daemon, Socket, assert_timestamp, keys};

/// A house with an admin's socket, a tablet that waits on one, and another that waits too.
struct Desk {
    daemon: Daemon,
    admin: Api,
    /// What the tablet was answered.
    asked: Value,
    admins: Socket,
    tablet: Socket,
    other: Socket,
}

impl Desk {
    async fn with(options: &[(&str, &str)]) -> Self {
        let daemon = Daemon::with(options).await;
        let admin = daemon.admin().await;
        let watcher = daemon.token(json!({ "role": "admin", "name": "w" })).await;
        let mut admins = daemon.listen(watcher["token"].as_str().unwrap()).await;
        let mut waiting = Vec::new();
        for name in ["Other", "Hall"] {
            let body = json!({ "name": name, "platform": "iPad" });
            let asked = daemon
                .unauthenticated()
                .post("/api/pairing/requests", body)
                .await;
            let asked = asked.expect(201).json;
            let socket = daemon.listen(asked["pairingToken"].as_str().unwrap()).await;
            waiting.push((asked, socket, admins.next().await));
        }
        let (asked, tablet, requested) = waiting.pop().unwrap();
        let (_, other, _) = waiting.pop().unwrap();

        assert_eq!(requested["type"], "pairing_requested");
        assert!(requested["id"].as_i64().is_some());
        let data = &requested["data"];
        assert_eq!(
            keys(data),
            ["code", "expiresAt", "name", "pairingId", "platform"]
        );
        assert_eq!(data["name"], "Hall");
        assert_eq!(data["platform"], "iPad");
        for key in ["pairingId", "code", "expiresAt"] {
            assert_eq!(data[key], asked[key]);
        }
        Self {
            daemon,
            admin,
            asked,
            admins,
            tablet,
            other,
        }
    }

    fn id(&self) -> &str {
        self.asked["pairingId"].as_str().unwrap()
    }

    fn token(&self) -> &str {
        self.asked["pairingToken"].as_str().unwrap()
    }

    async fn decide(&self, how: &str, body: Value) {
        let path = format!("/api/pairing/requests/{}/{how}", self.id());
        self.admin.post(&path, body).await.expect(200);
    }

    /// Asserts the end of a pairing that came to nothing, for the tablet and for admins.
    async fn ended(&mut self, kind: &str, reason: &str) {
        let told = self.tablet.next().await;
        assert_eq!(told["type"], kind);
        assert_eq!(told.get("id"), None, "the tablet's own is never stored");
        let expected = json!({ "pairingId": self.id(), "reason": reason });
        assert_eq!(told["data"], expected);
        assert_eq!(self.tablet.closed().await.0, 4401);
    }
}

#[tokio::test]
async fn an_approved_tablet_gets_its_token_and_admins_never_see_it() {
    let mut desk = Desk::with(&[]).await;
    let area = desk.admin.create_area("Kitchen").await;
    let terms = json!({ "name": "Wall", "areaIds": [area] });
    desk.decide("approve", terms).await;

    let told = desk.tablet.next().await;
    assert_eq!(told["type"], "pairing_completed");
    assert_eq!(told.get("id"), None, "a token is never stored");
    let data = &told["data"];
    let mut expected = vec![
        "assignedAreas",
        "clientId",
        "clientName",
        "expiresAt",
        "message",
        "pairingId",
        "timestamp",
        "token",
    ];
    assert_eq!(keys(data), expected);
    assert_eq!(data["pairingId"], desk.id());
    assert_eq!(data["clientName"], "Wall");
    assert_eq!(data["assignedAreas"][0]["id"], area);
    assert_timestamp(&data["timestamp"]);

    assert_eq!(desk.admins.next().await["type"], "room_updated");
    assert_eq!(desk.admins.next().await["type"], "area_added");
    let shown = desk.admins.next().await;
    assert_eq!(shown["type"], "pairing_completed");
    assert!(shown["id"].as_i64().is_some());
    expected.pop();
    assert_eq!(keys(&shown["data"]), expected);
    for key in expected {
        assert_eq!(shown["data"][key], data[key], "{key}");
    }
    desk.admins.assert_nothing_received().await;
    desk.other.assert_nothing_received().await;

    let words = desk.daemon.connect(data["token"].as_str().unwrap()).await;
    let words = { words }.next().await;
    assert_eq!(words["data"]["clientId"], data["clientId"]);
    assert_eq!(words["data"]["assignedAreas"], data["assignedAreas"]);
    assert_eq!(desk.tablet.closed().await.0, 4401, "its first use ends it");
}

#[tokio::test]
async fn a_socket_that_opens_after_the_approval_is_told_the_same_token() {
    let mut desk = Desk::with(&[]).await;
    desk.decide("approve", json!({})).await;
    let token = desk.tablet.next().await["data"]["token"].clone();
    for _ in 0..2 {
        let mut again = desk.daemon.listen(desk.token()).await;
        let told = again.next().await;
        assert_eq!(told["type"], "pairing_completed");
        assert_eq!(told["data"]["token"], token);
    }
    desk.daemon.listen(token.as_str().unwrap()).await;
    assert!(
        matches!(
            Socket::open(&desk.daemon, "/ws", Some(desk.token())).await,
            Err(401)
        ),
        "its first use ends the pairing token"
    );
}

#[tokio::test]
async fn a_waiting_tablet_knows_nothing_but_its_own_request() {
    let desk = Desk::with(&[]).await;
    let words = desk.daemon.connect(desk.token()).await;
    let words = { words }.next().await;
    assert_eq!(words["data"]["role"], "pairing");
    assert_eq!(words["data"]["userId"], desk.id());
    assert_eq!(words["data"]["assignedAreas"], json!([]));
}

#[tokio::test]
async fn a_denied_tablet_and_admins_are_told_why() {
    let mut desk = Desk::with(&[]).await;
    desk.decide("deny", json!({ "reason": "not mine" })).await;
    desk.ended("pairing_denied", "not mine").await;
    let shown = desk.admins.next().await;
    assert_eq!(shown["type"], "pairing_denied");
    assert!(shown["id"].as_i64().is_some());
    let expected = json!({ "pairingId": desk.id(), "reason": "not mine" });
    assert_eq!(shown["data"], expected);
    desk.other.assert_nothing_received().await;
}

#[tokio::test]
async fn a_tablet_that_waited_too_long_and_admins_are_told_that_it_has_expired() {
    let mut desk = Desk::with(&[("PAIRING_TTL_SECONDS", "4")]).await;
    desk.ended("pairing_expired", "expired").await;
    let shown = loop {
        let shown = desk.admins.next_of("pairing_expired").await;
        if shown["data"]["pairingId"] == desk.id() {
            break shown;
        }
    };
    assert!(shown["id"].as_i64().is_some());
    assert_eq!(keys(&shown["data"]), ["pairingId", "reason"]);
    assert!(matches!(
        Socket::open(&desk.daemon, "/ws", Some(desk.token())).await,
        Err(401)
    ));
}

#[tokio::test]
async fn a_code_that_a_tablet_brings_is_told_to_admins_without_the_token() {
    let mut desk = Desk::with(&[]).await;
    let tablet = desk.daemon.pair("Wall", &[]).await;
    let shown = desk.admins.next().await;
    assert_eq!(shown["type"], "pairing_completed");
    assert_eq!(shown["data"]["clientId"], tablet.id);
    assert!(!shown.to_string().contains(&tablet.token));
    desk.tablet.assert_nothing_received().await;
    desk.other.assert_nothing_received().await;
}

#[tokio::test]
async fn a_client_that_pairs_again_is_revoked_first() {
    let mut desk = Desk::with(&[]).await;
    let before = desk.daemon.pair("Wall", &[]).await;
    assert_eq!(desk.admins.next().await["type"], "pairing_completed");
    let mut old = desk.daemon.listen(&before.token).await;
    assert_eq!(desk.admins.next().await["type"], "client_online");
    desk.decide("approve", json!({ "clientId": before.id }))
        .await;

    assert_eq!(old.next().await["type"], "token_revoked");
    assert_eq!(old.closed().await.0, 4403);
    let told = desk.tablet.next().await;
    assert_eq!(told["data"]["clientId"], before.id);
    assert_ne!(told["data"]["token"], before.token);
    assert_eq!(desk.admins.next().await["type"], "client_revoked");
    assert_eq!(
        desk.admins.next_of("pairing_completed").await["data"]["clientId"],
        before.id
    );
}
