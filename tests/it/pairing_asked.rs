//! The tablet asks, an admin decides (contract 6.2).

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Api, Daemon, Socket, keys};

/// A tablet that has asked, and what it was answered.
pub struct Asked {
    pub api: Api,
    pub id: String,
    pub code: String,
    pub token: String,
}

pub async fn ask(daemon: &Daemon, body: Value) -> Asked {
    let answer = daemon
        .unauthenticated()
        .post("/api/pairing/requests", body)
        .await
        .expect(201)
        .json;
    let text = |key: &str| answer[key].as_str().expect(key).to_owned();
    Asked {
        api: daemon.api_of(&json!({ "token": text("pairingToken") })),
        id: text("pairingId"),
        code: text("code"),
        token: text("pairingToken"),
    }
}

impl Asked {
    pub fn path(&self) -> String {
        format!("/api/pairing/requests/{}", self.id)
    }

    /// The same tablet after the daemon came back elsewhere.
    fn moved(self, daemon: &Daemon) -> Self {
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

pub async fn house(options: &[(&str, &str)]) -> (Daemon, Api, Socket) {
    let daemon = Daemon::with(options).await;
    let (admin, office) = office(&daemon).await;
    (daemon, admin, office)
}

/// An admin over HTTP and on a socket that has heard its first words.
pub async fn office(daemon: &Daemon) -> (Api, Socket) {
    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let office = daemon.listen(token["token"].as_str().unwrap()).await;
    (daemon.api_of(&token), office)
}

#[tokio::test]
async fn what_the_tablet_is_answered_and_admins_are_told_has_the_contracts_shape() {
    let (daemon, admin, mut office) = house(&[]).await;
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
    let plain = |c: char| c.is_ascii_digit() || c.is_ascii_uppercase();
    assert!(
        code.replace('-', "")
            .chars()
            .all(|c| plain(c) && !"01OIL".contains(c)),
        "{code}"
    );
    let url = answer["verificationUrl"].as_str().unwrap();
    assert!(
        url.starts_with(&format!("https://localhost:{}/", daemon.https.port())),
        "{url}"
    );
    assert!(answer["interval"].as_u64().unwrap() > 0);

    let event = office.next().await;
    assert_eq!(event["type"], "pairing_requested");
    let told = json!({ "pairingId": answer["pairingId"], "code": code, "name": "Hall",
        "platform": "iPad", "expiresAt": answer["expiresAt"] });
    assert_eq!(event["data"], told);
    let list = admin.get("/api/pairing/requests").await.expect(200);
    assert_eq!(list.json["requests"][0]["pairingId"], answer["pairingId"]);
    assert!(!list.text.contains(answer["pairingToken"].as_str().unwrap()));
}

#[tokio::test]
async fn every_poll_and_socket_gets_the_same_token_until_its_first_use() {
    let (daemon, admin, mut office) = house(&[]).await;
    let kitchen = admin.create_area("Kitchen").await;
    let asked = ask(&daemon, json!({ "name": "Own name", "platform": "iPad" })).await;
    let pending = asked.api.get(&asked.path()).await.expect(200).json;
    assert_eq!(
        (&pending["pairingId"], &pending["status"]),
        (&json!(asked.id), &json!("pending"))
    );
    assert!(pending.get("token").is_none());
    let mut waiting = daemon.listen(&asked.token).await;
    office.next_of("pairing_requested").await;

    let terms = json!({ "area_ids": [kitchen], "organizationId": "o1", "tenantId": "t1",
        "kiosk_id": "k1" });
    let client = asked.approve(&admin, terms).await;
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

    let done = waiting.next().await;
    assert_eq!(done["type"], "pairing_completed");
    assert!(done.get("id").is_none(), "it is never stored: {done}");
    let done = done["data"].clone();

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
    assert_eq!(keys(&done), expected);
    assert_eq!(
        (&done["clientId"], &done["pairingId"]),
        (&client["id"], &json!(asked.id))
    );
    let told = office.next_of("pairing_completed").await;
    assert!(
        told["data"].get("token").is_none(),
        "admins never get the token"
    );
    assert_eq!(told["data"]["clientId"], client["id"]);

    for _ in 0..2 {
        let poll = asked.api.get(&asked.path()).await.expect(200).json;
        assert_eq!(poll["status"], "approved");
        for key in [
            "token",
            "clientId",
            "clientName",
            "assignedAreas",
            "expiresAt",
        ] {
            assert_eq!(poll[key], done[key], "{key}");
        }
        let mut late = daemon.listen(&asked.token).await;
        let event = late.next().await;
        assert_eq!(event["type"], "pairing_completed");
        assert_eq!(event["data"]["token"], done["token"]);
    }
    let seen = admin.get(&asked.path()).await.expect(200).json;
    assert_eq!(
        (&seen["status"], seen.get("token")),
        (&json!("approved"), None)
    );

    daemon.api_of(&done).get("/api/me").await.expect(200);
    assert_eq!(
        asked.api.get(&asked.path()).await.refused(401),
        "token_expired"
    );
    assert_eq!(
        Socket::open(&daemon, "/ws", Some(&asked.token)).await.err(),
        Some(401)
    );
    assert_eq!(waiting.closed().await, (4401, "unauthenticated".to_owned()));
    assert_eq!(admin.get(&asked.path()).await.refused(404), "not_found");
}

#[tokio::test]
async fn a_socket_is_a_first_use_too() {
    let (daemon, admin, _) = house(&[]).await;
    let asked = ask(&daemon, json!({})).await;
    asked.approve(&admin, json!({})).await;
    let token = asked.api.get(&asked.path()).await.expect(200).json["token"].take();
    daemon.listen(token.as_str().unwrap()).await;
    asked.api.get(&asked.path()).await.refused(401);
}

#[tokio::test]
async fn a_lost_answer_is_given_again_after_a_crash_and_an_undecided_request_is_not() {
    let (daemon, admin, _) = house(&[]).await;
    let asked = ask(&daemon, json!({ "name": "Hall" })).await;
    let undecided = ask(&daemon, json!({})).await;
    let client = asked.approve(&admin, json!({})).await;
    let before = asked.api.get(&asked.path()).await.expect(200).json;
    let daemon = daemon.kill_and_restart().await;
    let (asked, undecided) = (asked.moved(&daemon), undecided.moved(&daemon));
    assert_eq!(asked.api.get(&asked.path()).await.expect(200).json, before);
    let mut socket = daemon.listen(&asked.token).await;
    assert_eq!(socket.next().await["data"]["token"], before["token"]);
    let me = daemon.api_of(&before).get("/api/me").await.expect(200).json;
    assert_eq!(me["clientId"], client["id"]);
    asked.api.get(&asked.path()).await.refused(401);
    undecided.api.get(&undecided.path()).await.refused(401);
}

#[tokio::test]
async fn no_poll_fails_while_an_admin_decides() {
    let (daemon, admin, _) = house(&[]).await;
    for verb in ["approve", "deny", "approve", "deny"] {
        let asked = ask(&daemon, json!({})).await;
        let path = format!("{}/{verb}", asked.path());
        let polls = join_all((0..24).map(async |_| asked.api.get(&asked.path()).await.status));
        let (decided, polls) = tokio::join!(admin.post(&path, json!({})), polls);
        decided.expect(200);
        assert!(
            polls.iter().all(|status| *status == 200),
            "{verb}: {polls:?}"
        );
    }
}

#[tokio::test]
async fn a_code_may_be_typed_as_people_do_and_one_admin_alone_decides() {
    let (daemon, admin, _) = house(&[]).await;
    let asked = ask(&daemon, json!({})).await;
    let typed = asked.code.to_lowercase().replace('-', "%20");
    let path = format!("/api/pairing/requests/{typed}/approve");
    let both = tokio::join!(admin.post(&path, json!({})), admin.post(&path, json!({})));
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404]);
    let clients = admin.get("/api/clients").await.expect(200).json;
    assert_eq!(clients["clients"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_wrong_approval_leaves_the_request_open() {
    let (daemon, admin, mut office) = house(&[]).await;
    let asked = ask(&daemon, json!({})).await;
    office.next_of("pairing_requested").await;
    let path = format!("{}/approve", asked.path());
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
    office.assert_nothing_received().await;
    assert_eq!(
        asked.api.get(&asked.path()).await.expect(200).json["status"],
        "pending"
    );
    asked.approve(&admin, json!({ "name": "Named" })).await;
    let unknown = admin
        .post("/api/pairing/requests/none/approve", json!({}))
        .await;
    assert_eq!(unknown.refused(404), "not_found");
}
