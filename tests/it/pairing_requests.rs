//! Pairing requests: a tablet requests pairing and polls, an admin approves or denies.
//! See docs/protocol.md#pairing.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Api, Daemon, Socket, keys};

/// A tablet whose pairing request is open, with the fields of the response.
pub struct PairingRequest {
    pub api: Api,
    pub id: String,
    pub code: String,
    pub token: String,
}

pub async fn request_pairing(daemon: &Daemon, body: Value) -> PairingRequest {
    let answer = daemon
        .unauthenticated()
        .post("/api/pairing/requests", body)
        .await
        .expect(201)
        .json;
    let text = |key: &str| answer[key].as_str().expect(key).to_owned();
    PairingRequest {
        api: daemon.api_of(&json!({ "token": text("pairingToken") })),
        id: text("pairingId"),
        code: text("code"),
        token: text("pairingToken"),
    }
}

impl PairingRequest {
    pub fn path(&self) -> String {
        format!("/api/pairing/requests/{}", self.id)
    }

    /// The same request against a restarted daemon, which listens on another port.
    fn on_daemon(self, daemon: &Daemon) -> Self {
        Self {
            api: daemon.api(&self.token),
            ..self
        }
    }

    pub async fn approve(&self, admin: &Api, body: Value) -> Value {
        let path = format!("{}/approve", self.path());
        admin.post(&path, body).await.expect(200).json["client"].take()
    }
}

/// Starts a daemon with an admin, see [`connect_admin`].
pub async fn start_with_admin(options: &[(&str, &str)]) -> (Daemon, Api, Socket) {
    let daemon = Daemon::with(options).await;
    let (admin, admin_socket) = connect_admin(&daemon).await;
    (daemon, admin, admin_socket)
}

/// The API as admin, and an admin's open socket whose welcome has been read.
pub async fn connect_admin(daemon: &Daemon) -> (Api, Socket) {
    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let admin_socket = daemon.listen(token["token"].as_str().unwrap()).await;
    (daemon.api_of(&token), admin_socket)
}

#[tokio::test]
async fn pairing_request_response_and_event_have_documented_fields() {
    let (daemon, admin, mut admin_socket) = start_with_admin(&[]).await;
    let body = json!({ "name": "Hall", "platform": "iPad" });
    let answer = daemon
        .unauthenticated()
        .post("/api/pairing/requests", body)
        .await
        .expect(201)
        .json;

    let expected = [
        "code",
        "expiresAt",
        "interval",
        "pairingId",
        "pairingToken",
        "verificationUrl",
    ];
    assert_eq!(keys(&answer), expected);
    let code = answer["code"].as_str().unwrap();
    let (left, right) = code.split_once('-').expect("a dash");
    assert_eq!((left.len(), right.len()), (4, 4));
    let is_upper_alphanumeric = |c: char| c.is_ascii_digit() || c.is_ascii_uppercase();
    assert!(
        code.replace('-', "")
            .chars()
            .all(|c| is_upper_alphanumeric(c) && !"01OIL".contains(c)),
        "{code}"
    );
    let url = answer["verificationUrl"].as_str().unwrap();
    assert!(
        url.starts_with(&format!("https://localhost:{}/", daemon.https.port())),
        "{url}"
    );
    assert!(answer["interval"].as_u64().unwrap() > 0);

    let event = admin_socket.next().await;
    assert_eq!(event["type"], "pairing_requested");
    let expected = json!({ "pairingId": answer["pairingId"], "code": code, "name": "Hall",
        "platform": "iPad", "expiresAt": answer["expiresAt"] });
    assert_eq!(event["data"], expected);
    let list = admin.get("/api/pairing/requests").await.expect(200);
    assert_eq!(list.json["requests"][0]["pairingId"], answer["pairingId"]);
    assert!(!list.text.contains(answer["pairingToken"].as_str().unwrap()));
}

#[tokio::test]
async fn approved_token_is_repeated_until_its_first_use() {
    let (daemon, admin, mut admin_socket) = start_with_admin(&[]).await;
    let kitchen = admin.create_area("Kitchen").await;
    let request = request_pairing(&daemon, json!({ "name": "Own name", "platform": "iPad" })).await;
    let pending = request.api.get(&request.path()).await.expect(200).json;
    assert_eq!(
        (&pending["pairingId"], &pending["status"]),
        (&json!(request.id), &json!("pending"))
    );
    assert!(pending.get("token").is_none());
    let mut tablet_socket = daemon.listen(&request.token).await;
    admin_socket.next_of("pairing_requested").await;

    let approval = json!({ "area_ids": [kitchen], "organizationId": "o1", "tenantId": "t1",
        "kiosk_id": "k1" });
    let client = request.approve(&admin, approval).await;
    for (key, value) in [
        ("name", "Own name"),
        ("platform", "iPad"),
        ("organizationId", "o1"),
        ("tenantId", "t1"),
        ("kioskId", "k1"),
    ] {
        assert_eq!(client[key], value, "{key}");
    }
    assert_eq!(client["assignedAreas"][0]["id"], kitchen);

    let completed = tablet_socket.next().await;
    assert_eq!(completed["type"], "pairing_completed");
    assert!(
        completed.get("id").is_none(),
        "the event with the token is never stored: {completed}"
    );
    let completed = completed["data"].clone();

    let expected = [
        "assignedAreas",
        "clientId",
        "clientName",
        "expiresAt",
        "message",
        "pairingId",
        "timestamp",
        "token",
    ];
    assert_eq!(keys(&completed), expected);
    assert_eq!(
        (&completed["clientId"], &completed["pairingId"]),
        (&client["id"], &json!(request.id))
    );
    let at_admin = admin_socket.next_of("pairing_completed").await;
    assert!(
        at_admin["data"].get("token").is_none(),
        "admins never get the token"
    );
    assert_eq!(at_admin["data"]["clientId"], client["id"]);

    for _ in 0..2 {
        let poll = request.api.get(&request.path()).await.expect(200).json;
        assert_eq!(poll["status"], "approved");
        for key in [
            "token",
            "clientId",
            "clientName",
            "assignedAreas",
            "expiresAt",
            "message",
            "pairingId",
        ] {
            assert_eq!(poll[key], completed[key], "{key}");
        }
        assert!(poll["timestamp"].is_string(), "{poll}");
        let mut socket = daemon.listen(&request.token).await;
        let event = socket.next().await;
        assert_eq!(event["type"], "pairing_completed");
        assert_eq!(event["data"]["token"], completed["token"]);
    }
    let shown = admin.get(&request.path()).await.expect(200).json;
    assert_eq!(
        (&shown["status"], shown.get("token")),
        (&json!("approved"), None)
    );

    daemon.api_of(&completed).get("/api/me").await.expect(200);
    assert_eq!(
        request.api.get(&request.path()).await.refused(401),
        "token_expired"
    );
    assert_eq!(
        Socket::open(&daemon, "/ws", Some(&request.token))
            .await
            .err(),
        Some(401)
    );
    assert_eq!(
        tablet_socket.closed().await,
        (4401, "unauthenticated".to_owned())
    );
    assert_eq!(admin.get(&request.path()).await.refused(404), "not_found");
}

#[tokio::test]
async fn websocket_counts_as_first_use_of_approved_token() {
    let (daemon, admin, _) = start_with_admin(&[]).await;
    let request = request_pairing(&daemon, json!({})).await;
    request.approve(&admin, json!({})).await;
    let token = request.api.get(&request.path()).await.expect(200).json["token"].take();
    daemon.listen(token.as_str().unwrap()).await;
    request.api.get(&request.path()).await.refused(401);
}

#[tokio::test]
async fn approved_request_survives_crash_but_pending_does_not() {
    let (daemon, admin, _) = start_with_admin(&[]).await;
    let request = request_pairing(&daemon, json!({ "name": "Hall" })).await;
    let pending = request_pairing(&daemon, json!({})).await;
    let client = request.approve(&admin, json!({})).await;
    let before = request.api.get(&request.path()).await.expect(200).json;
    let daemon = daemon.kill_and_restart().await;
    let (request, pending) = (request.on_daemon(&daemon), pending.on_daemon(&daemon));
    assert_eq!(
        request.api.get(&request.path()).await.expect(200).json,
        before
    );
    let mut socket = daemon.listen(&request.token).await;
    assert_eq!(socket.next().await["data"]["token"], before["token"]);
    let me = daemon.api_of(&before).get("/api/me").await.expect(200).json;
    assert_eq!(me["clientId"], client["id"]);
    request.api.get(&request.path()).await.refused(401);
    pending.api.get(&pending.path()).await.refused(401);
}

#[tokio::test]
async fn polls_during_decision_all_succeed() {
    let (daemon, admin, _) = start_with_admin(&[]).await;
    for verb in ["approve", "deny", "approve", "deny"] {
        let request = request_pairing(&daemon, json!({})).await;
        let path = format!("{}/{verb}", request.path());
        let polls = join_all((0..24).map(async |_| request.api.get(&request.path()).await.status));
        let (decided, polls) = tokio::join!(admin.post(&path, json!({})), polls);
        decided.expect(200);
        assert!(
            polls.iter().all(|status| *status == 200),
            "{verb}: {polls:?}"
        );
    }
}

#[tokio::test]
async fn code_is_accepted_in_lower_case_and_approved_once() {
    let (daemon, admin, _) = start_with_admin(&[]).await;
    let request = request_pairing(&daemon, json!({})).await;
    let typed = request.code.to_lowercase().replace('-', "%20");
    let path = format!("/api/pairing/requests/{typed}/approve");
    let answers = tokio::join!(admin.post(&path, json!({})), admin.post(&path, json!({})));
    let mut statuses = [answers.0.status, answers.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404]);
    let clients = admin.get("/api/clients").await.expect(200).json;
    assert_eq!(clients["clients"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn invalid_approval_leaves_request_pending() {
    let (daemon, admin, mut admin_socket) = start_with_admin(&[]).await;
    let request = request_pairing(&daemon, json!({})).await;
    admin_socket.next_of("pairing_requested").await;
    let path = format!("{}/approve", request.path());
    for (field, value) in [
        ("areaIds", json!(["area_none"])),
        ("clientId", json!("client_none")),
        ("name", json!("")),
        ("kioskId", json!(7)),
    ] {
        let answer = admin.post(&path, json!({ field: value })).await;
        assert_eq!(answer.json["field"], field);
        answer.refused(422);
    }
    admin_socket.assert_nothing_received().await;
    assert_eq!(
        request.api.get(&request.path()).await.expect(200).json["status"],
        "pending"
    );
    request.approve(&admin, json!({ "name": "Named" })).await;
    let not_found = admin
        .post("/api/pairing/requests/none/approve", json!({}))
        .await;
    assert_eq!(not_found.refused(404), "not_found");
}
