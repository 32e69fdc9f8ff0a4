//! Pairing events on sockets: what the requesting tablet receives, and what admins receive.
//! See docs/protocol.md#pairing.

use serde_json::{Value, json};

use crate::support::{Api, Daemon, Socket, assert_timestamp, keys};

/// A daemon with an admin's socket and two tablets, each with an open pairing request and a socket.
struct PairingFixture {
    daemon: Daemon,
    admin: Api,
    /// The response to the tablet's pairing request.
    request: Value,
    admin_socket: Socket,
    tablet: Socket,
    other_tablet: Socket,
}

impl PairingFixture {
    async fn with(options: &[(&str, &str)]) -> Self {
        let daemon = Daemon::with(options).await;
        let admin = daemon.admin().await;
        let token = daemon.token(json!({ "role": "admin", "name": "w" })).await;
        let mut admin_socket = daemon.listen(token["token"].as_str().unwrap()).await;
        let mut tablets = Vec::new();
        for name in ["Other", "Hall"] {
            let body = json!({ "name": name, "platform": "iPad" });
            let request = daemon
                .unauthenticated()
                .post("/api/pairing/requests", body)
                .await;
            let request = request.expect(201).json;
            let socket = daemon
                .listen(request["pairingToken"].as_str().unwrap())
                .await;
            tablets.push((request, socket, admin_socket.next().await));
        }
        let (request, tablet, requested) = tablets.pop().unwrap();
        let (_, other_tablet, _) = tablets.pop().unwrap();

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
            assert_eq!(data[key], request[key]);
        }
        Self {
            daemon,
            admin,
            request,
            admin_socket,
            tablet,
            other_tablet,
        }
    }

    fn pairing_id(&self) -> &str {
        self.request["pairingId"].as_str().unwrap()
    }

    fn pairing_token(&self) -> &str {
        self.request["pairingToken"].as_str().unwrap()
    }

    async fn decide(&self, decision: &str, body: Value) {
        let path = format!("/api/pairing/requests/{}/{decision}", self.pairing_id());
        self.admin.post(&path, body).await.expect(200);
    }

    /// Asserts that the tablet receives this final event and that its socket is then closed.
    async fn assert_pairing_failed(&mut self, event_type: &str, reason: &str) {
        let event = self.tablet.next().await;
        assert_eq!(event["type"], event_type);
        assert_eq!(
            event.get("id"),
            None,
            "the event to the tablet is never stored"
        );
        let expected = json!({ "pairingId": self.pairing_id(), "reason": reason });
        assert_eq!(event["data"], expected);
        assert_eq!(self.tablet.closed().await.0, 4401);
    }
}

#[tokio::test]
async fn approval_sends_token_to_tablet_but_not_to_admins() {
    let mut fixture = PairingFixture::with(&[]).await;
    let area = fixture.admin.create_area("Kitchen").await;
    let approval = json!({ "name": "Wall", "areaIds": [area] });
    fixture.decide("approve", approval).await;

    let event = fixture.tablet.next().await;
    assert_eq!(event["type"], "pairing_completed");
    assert_eq!(event.get("id"), None, "a token is never stored");
    let data = &event["data"];
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
    assert_eq!(data["pairingId"], fixture.pairing_id());
    assert_eq!(data["clientName"], "Wall");
    assert_eq!(data["assignedAreas"][0]["id"], area);
    assert_timestamp(&data["timestamp"]);

    assert_eq!(fixture.admin_socket.next().await["type"], "room_updated");
    assert_eq!(fixture.admin_socket.next().await["type"], "area_added");
    let at_admin = fixture.admin_socket.next().await;
    assert_eq!(at_admin["type"], "pairing_completed");
    assert!(at_admin["id"].as_i64().is_some());
    expected.pop();
    assert_eq!(keys(&at_admin["data"]), expected);
    for key in expected {
        assert_eq!(at_admin["data"][key], data[key], "{key}");
    }
    fixture.admin_socket.assert_nothing_received().await;
    fixture.other_tablet.assert_nothing_received().await;

    let mut socket = fixture
        .daemon
        .connect(data["token"].as_str().unwrap())
        .await;
    let welcome = socket.next().await;
    assert_eq!(welcome["data"]["clientId"], data["clientId"]);
    assert_eq!(welcome["data"]["assignedAreas"], data["assignedAreas"]);
    assert_eq!(
        fixture.tablet.closed().await.0,
        4401,
        "the first use of the new token closes it"
    );
}

#[tokio::test]
async fn socket_opened_after_approval_receives_same_token() {
    let mut fixture = PairingFixture::with(&[]).await;
    fixture.decide("approve", json!({})).await;
    let token = fixture.tablet.next().await["data"]["token"].clone();
    for _ in 0..2 {
        let mut socket = fixture.daemon.listen(fixture.pairing_token()).await;
        let event = socket.next().await;
        assert_eq!(event["type"], "pairing_completed");
        assert_eq!(event["data"]["token"], token);
    }
    fixture.daemon.listen(token.as_str().unwrap()).await;
    assert!(
        matches!(
            Socket::open(&fixture.daemon, "/ws", Some(fixture.pairing_token())).await,
            Err(401)
        ),
        "the first use of the new token ends the pairing token"
    );
}

#[tokio::test]
async fn pairing_welcome_names_only_its_own_request() {
    let fixture = PairingFixture::with(&[]).await;
    let mut socket = fixture.daemon.connect(fixture.pairing_token()).await;
    let welcome = socket.next().await;
    assert_eq!(welcome["data"]["role"], "pairing");
    assert_eq!(welcome["data"]["userId"], fixture.pairing_id());
    assert_eq!(welcome["data"]["assignedAreas"], json!([]));
}

#[tokio::test]
async fn denial_reason_reaches_tablet_and_admins() {
    let mut fixture = PairingFixture::with(&[]).await;
    fixture
        .decide("deny", json!({ "reason": "not mine" }))
        .await;
    fixture
        .assert_pairing_failed("pairing_denied", "not mine")
        .await;
    let at_admin = fixture.admin_socket.next().await;
    assert_eq!(at_admin["type"], "pairing_denied");
    assert!(at_admin["id"].as_i64().is_some());
    let expected = json!({ "pairingId": fixture.pairing_id(), "reason": "not mine" });
    assert_eq!(at_admin["data"], expected);
    fixture.other_tablet.assert_nothing_received().await;
}

#[tokio::test]
async fn expiry_reaches_tablet_and_admins_and_ends_token() {
    let mut fixture = PairingFixture::with(&[("PAIRING_TTL_SECONDS", "4")]).await;
    fixture
        .assert_pairing_failed("pairing_expired", "expired")
        .await;
    let at_admin = loop {
        let at_admin = fixture.admin_socket.next_of("pairing_expired").await;
        if at_admin["data"]["pairingId"] == fixture.pairing_id() {
            break at_admin;
        }
    };
    assert!(at_admin["id"].as_i64().is_some());
    assert_eq!(keys(&at_admin["data"]), ["pairingId", "reason"]);
    assert!(matches!(
        Socket::open(&fixture.daemon, "/ws", Some(fixture.pairing_token())).await,
        Err(401)
    ));
}

#[tokio::test]
async fn completed_code_is_published_to_admins_without_token() {
    let mut fixture = PairingFixture::with(&[]).await;
    let tablet = fixture.daemon.pair("Wall", &[]).await;
    let at_admin = fixture.admin_socket.next().await;
    assert_eq!(at_admin["type"], "pairing_completed");
    assert_eq!(at_admin["data"]["clientId"], tablet.id);
    assert!(!at_admin.to_string().contains(&tablet.token));
    fixture.tablet.assert_nothing_received().await;
    fixture.other_tablet.assert_nothing_received().await;
}

#[tokio::test]
async fn repeated_pairing_revokes_earlier_tokens_first() {
    let mut fixture = PairingFixture::with(&[]).await;
    let earlier = fixture.daemon.pair("Wall", &[]).await;
    assert_eq!(
        fixture.admin_socket.next().await["type"],
        "pairing_completed"
    );
    let mut old_socket = fixture.daemon.listen(&earlier.token).await;
    assert_eq!(fixture.admin_socket.next().await["type"], "client_online");
    fixture
        .decide("approve", json!({ "clientId": earlier.id }))
        .await;

    assert_eq!(old_socket.next().await["type"], "token_revoked");
    assert_eq!(old_socket.closed().await.0, 4403);
    let event = fixture.tablet.next().await;
    assert_eq!(event["data"]["clientId"], earlier.id);
    assert_ne!(event["data"]["token"], earlier.token);
    assert_eq!(fixture.admin_socket.next().await["type"], "client_revoked");
    assert_eq!(
        fixture.admin_socket.next_of("pairing_completed").await["data"]["clientId"],
        earlier.id
    );
}
