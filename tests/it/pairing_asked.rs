//! The tablet asks, an admin decides (contract 6.2).

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Api, Daemon, Socket, until};

/// A tablet that has asked, and what it was answered.
struct Asked {
    api: Api,
    id: String,
    code: String,
    token: String,
}

async fn ask(daemon: &Daemon, body: Value) -> Asked {
    let answer = daemon
        .stranger()
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
    fn path(&self) -> String {
        format!("/api/pairing/requests/{}", self.id)
    }

    /// The same tablet after the daemon came back elsewhere.
    fn moved(self, daemon: &Daemon) -> Self {
        Self {
            api: daemon.api(&self.token),
            ..self
        }
    }

    async fn approve(&self, admin: &Api, body: Value) -> Value {
        let path = format!("{}/approve", self.path());
        admin.post(&path, body).await.expect(200).json["client"].take()
    }
}

async fn house(options: &[(&str, &str)]) -> (Daemon, Api, Socket) {
    let daemon = Daemon::with(options).await;
    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let mut office = daemon.connect(token["token"].as_str().unwrap()).await;
    office.next_of("connection").await;
    let admin = daemon.api_of(&token);
    (daemon, admin, office)
}

#[tokio::test]
async fn what_the_tablet_is_answered_and_admins_are_told_has_the_contracts_shape() {
    let (daemon, admin, mut office) = house(&[]).await;
    let body = json!({ "name": "Hall", "platform": "iPad" });
    let answer = daemon
        .stranger()
        .post("/api/pairing/requests", body)
        .await
        .expect(201)
        .json;
    let mut keys: Vec<_> = answer
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    let expected = [
        "code",
        "expiresAt",
        "interval",
        "pairingId",
        "pairingToken",
        "verificationUrl",
    ];
    assert_eq!(keys, expected);
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
    let mut waiting = daemon.connect(&asked.token).await;
    waiting.next_of("connection").await;
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
    let mut keys: Vec<_> = done
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
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
    assert_eq!(keys, expected);
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
        let mut late = daemon.connect(&asked.token).await;
        late.next_of("connection").await;
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
    daemon
        .connect(token.as_str().unwrap())
        .await
        .next_of("connection")
        .await;
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
    let mut socket = daemon.connect(&asked.token).await;
    socket.next_of("connection").await;
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
    office.heard_nothing().await;
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

#[tokio::test]
async fn a_denied_tablet_is_told_why_and_closed() {
    let (daemon, admin, mut office) = house(&[]).await;
    let asked = ask(&daemon, json!({})).await;
    office.next_of("pairing_requested").await;
    let mut waiting = daemon.connect(&asked.token).await;
    waiting.next_of("connection").await;
    let path = format!("{}/deny", asked.path());
    admin
        .post(&path, json!({ "reason": "not ours" }))
        .await
        .expect(200);
    let data = json!({ "pairingId": asked.id, "reason": "not ours" });
    for socket in [&mut waiting, &mut office] {
        let event = socket.next().await;
        assert_eq!(
            (&event["type"], &event["data"]),
            (&json!("pairing_denied"), &data)
        );
    }
    assert_eq!(waiting.closed().await, (4401, "unauthenticated".to_owned()));
    let poll = asked.api.get(&asked.path()).await.expect(200).json;
    assert_eq!(
        (&poll["status"], &poll["reason"]),
        (&json!("denied"), &json!("not ours"))
    );
    assert_eq!(admin.post(&path, json!({})).await.refused(404), "not_found");
    let approve = format!("{}/approve", asked.path());
    assert_eq!(
        admin.post(&approve, json!({})).await.refused(404),
        "not_found"
    );
    let list = admin.get("/api/pairing/requests").await.expect(200).json;
    assert_eq!(list["requests"], json!([]));
}

#[tokio::test]
async fn an_undecided_request_expires_and_both_sides_are_told() {
    let (daemon, admin, mut office) = house(&[("PAIRING_TTL_SECONDS", "2")]).await;
    let asked = ask(&daemon, json!({})).await;
    let mut waiting = daemon.connect(&asked.token).await;
    let event = waiting.next_of("pairing_expired").await;
    assert_eq!(
        event["data"],
        json!({ "pairingId": asked.id, "reason": "expired" })
    );
    assert_eq!(waiting.closed().await, (4401, "unauthenticated".to_owned()));
    assert_eq!(
        office.next_of("pairing_expired").await["data"],
        event["data"]
    );
    assert_eq!(
        asked.api.get(&asked.path()).await.refused(401),
        "token_expired"
    );
    let approve = format!("{}/approve", asked.path());
    assert_eq!(
        admin.post(&approve, json!({})).await.refused(404),
        "not_found"
    );

    // A grant that nobody fetched ends with the request's time as well.
    let asked = ask(&daemon, json!({})).await;
    asked.approve(&admin, json!({})).await;
    until("the end of the grant", async || {
        let answer = asked.api.get(&asked.path()).await;
        (answer.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn three_requests_are_open_from_one_address_and_twenty_in_all() {
    let (daemon, admin, _) = house(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let from = async |address: &str| {
        let tablet = daemon.stranger().with_header("x-forwarded-for", address);
        tablet.post("/api/pairing/requests", json!({})).await
    };
    // An IPv6 /64 is one address.
    for address in ["2001:db8::1", "2001:db8::2", "2001:db8::3"] {
        from(address).await.expect(201);
    }
    let refused = from("2001:db8::4").await;
    let wait: u64 = refused
        .header("retry-after")
        .expect("Retry-After")
        .parse()
        .unwrap();
    assert!((1..=300).contains(&wait), "{wait}");
    assert_eq!(refused.refused(429), "rate_limited");
    for n in 0..17 {
        from(&format!("192.0.2.{}", n / 3)).await.expect(201);
    }
    let refused = from("198.51.100.1").await;
    assert!(refused.header("retry-after").is_some());
    refused.refused(429);
    // One that was decided makes room.
    let list = admin.get("/api/pairing/requests").await.expect(200).json;
    assert_eq!(list["requests"].as_array().unwrap().len(), 20);
    let code = list["requests"][0]["code"].as_str().unwrap();
    let deny = format!("/api/pairing/requests/{code}/deny");
    admin.post(&deny, json!({})).await.expect(200);
    from("198.51.100.1").await.expect(201);
}

#[tokio::test]
async fn with_client_id_a_tablet_becomes_the_client_that_it_was() {
    let (daemon, admin, mut office) = house(&[]).await;
    let kitchen = admin.create_area("Kitchen").await;
    let old = daemon.pair("Hall", &[&kitchen]).await;
    let mut wall = daemon.connect(&old.token).await;
    wall.next_of("connection").await;
    let asked = ask(&daemon, json!({ "name": "Fresh", "platform": "iPad" })).await;
    let client = asked.approve(&admin, json!({ "client_id": old.id })).await;
    assert_eq!(
        (&client["id"], &client["name"]),
        (&json!(old.id), &json!("Hall"))
    );
    assert_eq!(client["assignedAreas"][0]["id"], kitchen);
    assert_eq!(client["platform"], "iPad");
    // Its earlier tokens end at once.
    assert_eq!(wall.next().await["type"], "token_revoked");
    assert_eq!(wall.closed().await, (4403, "revoked".to_owned()));
    assert_eq!(
        daemon.api(&old.token).get("/api/me").await.refused(401),
        "revoked"
    );
    assert_eq!(
        office.next_of("client_revoked").await["data"]["clientId"],
        old.id
    );
    let granted = asked.api.get(&asked.path()).await.expect(200).json;
    let me = daemon
        .api_of(&granted)
        .get("/api/me")
        .await
        .expect(200)
        .json;
    assert_eq!(me["clientId"], old.id);
    let clients = admin.get("/api/clients").await.expect(200).json;
    assert_eq!(clients["clients"].as_array().unwrap().len(), 1);
}
