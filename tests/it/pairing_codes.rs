//! Pairing codes: an admin creates a code, and a tablet completes pairing with it.
//! See docs/protocol.md#pairing.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::pairing_requests::{connect_admin, start_with_admin};
use crate::support::{Answer, Api, Daemon, keys};

const CLAIM: &str = "fQ2kz0p7T1mXv9aLr4bYdw";

async fn create_code(admin: &Api, body: Value) -> Value {
    admin
        .post("/api/pairing/codes", body)
        .await
        .expect(201)
        .json
}

async fn complete(tablet: &Api, body: Value) -> Answer {
    tablet.post("/api/pairing/complete", body).await
}

/// A code of six digits that differs from this one.
fn wrong_code(code: &Value) -> Value {
    let number: u32 = code.as_str().unwrap().parse().unwrap();
    json!(format!("{:06}", (number + 1) % 1_000_000))
}

#[tokio::test]
async fn code_and_completion_have_documented_fields() {
    let (daemon, admin, mut admin_socket) = start_with_admin(&[]).await;
    let kitchen = admin.create_area("Kitchen").await;
    let created = create_code(&admin, json!({ "name": "Hall", "areaIds": [kitchen] })).await;
    assert_eq!(
        keys(&created),
        ["code", "expiresAt", "pairingId", "qrSvg", "url"]
    );
    let code = created["code"].as_str().unwrap();
    assert!(
        code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()),
        "{code}"
    );
    let url = created["url"].as_str().unwrap();
    assert!(
        url.starts_with(&format!("https://localhost:{}/", daemon.https.port())),
        "{url}"
    );
    assert!(
        url.ends_with(&format!("#{code}")),
        "a fragment is never sent to a server: {url}"
    );
    assert!(created["qrSvg"].as_str().unwrap().contains("<svg"));

    let body = json!({ "code": code, "name": "Own name", "platform": "iPad" });
    let answer = complete(&daemon.unauthenticated(), body)
        .await
        .expect(200)
        .json;
    assert_eq!(
        keys(&answer),
        [
            "assignedAreas",
            "clientId",
            "clientName",
            "expiresAt",
            "token"
        ]
    );
    assert_eq!(
        answer["clientName"], "Hall",
        "the admin's name takes precedence"
    );
    assert_eq!(answer["assignedAreas"][0]["id"], kitchen);
    let me = daemon.api_of(&answer).get("/api/me").await.expect(200).json;
    assert_eq!(me["client"]["platform"], "iPad");
    assert_eq!(me["expiresAt"], answer["expiresAt"]);
    let event = admin_socket.next_of("pairing_completed").await;
    assert_eq!(event["data"]["pairingId"], created["pairingId"]);
    assert!(
        event["data"].get("token").is_none(),
        "admins never get the token"
    );

    let created = create_code(&admin, json!({})).await;
    let body = json!({ "code": created["code"], "name": "Own name" });
    let answer = complete(&daemon.unauthenticated(), body)
        .await
        .expect(200)
        .json;
    assert_eq!(answer["clientName"], "Own name");
}

#[tokio::test]
async fn unknown_used_and_expired_codes_get_same_error() {
    let (daemon, admin, mut admin_socket) = start_with_admin(&[]).await;
    let used = create_code(&admin, json!({})).await["code"].take();
    complete(&daemon.unauthenticated(), json!({ "code": used }))
        .await
        .expect(200);
    let short_lived = create_code(&admin, json!({ "ttlSeconds": 1 })).await;
    let event = admin_socket.next_of("pairing_expired").await;
    assert_eq!(
        event["data"],
        json!({ "pairingId": short_lived["pairingId"], "reason": "expired" })
    );
    let expired = short_lived["code"].clone();
    let unknown = (0..)
        .map(|n| json!(format!("{n:06}")))
        .find(|c| *c != used && *c != expired);
    let mut answers = Vec::new();
    for code in [unknown.unwrap(), used, expired, json!("never a code")] {
        let answer = complete(&daemon.unauthenticated(), json!({ "code": code })).await;
        answers.push(answer.json["error"].clone());
        assert_eq!(answer.refused(401), "invalid_code", "{code}");
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
}

#[tokio::test]
async fn code_ttl_defaults_to_option_and_has_bounds() {
    let (daemon, admin, mut admin_socket) = start_with_admin(&[("PAIRING_TTL_SECONDS", "1")]).await;
    let short_lived = create_code(&admin, json!({})).await;
    let event = admin_socket.next_of("pairing_expired").await;
    assert_eq!(event["data"]["pairingId"], short_lived["pairingId"]);
    let answer = complete(
        &daemon.unauthenticated(),
        json!({ "code": short_lived["code"] }),
    )
    .await;
    assert_eq!(answer.refused(401), "invalid_code");
    for ttl in [json!(0), json!(-1), json!(86_401), json!("300")] {
        let answer = admin
            .post("/api/pairing/codes", json!({ "ttlSeconds": ttl }))
            .await;
        assert_eq!(answer.json["field"], "ttlSeconds");
        answer.refused(422);
    }
    let long = create_code(&admin, json!({ "ttl_seconds": 3600 })).await;
    complete(&daemon.unauthenticated(), json!({ "code": long["code"] }))
        .await
        .expect(200);
}

#[tokio::test]
async fn code_used_concurrently_pairs_one_tablet() {
    let (daemon, admin, _) = start_with_admin(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let code = create_code(&admin, json!({})).await["code"].take();
    let completions = join_all((1..9).map(async |n| {
        let tablet = daemon
            .unauthenticated()
            .with_header("x-forwarded-for", &format!("192.0.2.{n}"));
        complete(&tablet, json!({ "code": code })).await.status
    }));
    let mut statuses = completions.await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401, 401, 401, 401, 401, 401, 401]);
    let clients = admin.get("/api/clients").await.expect(200).json;
    assert_eq!(clients["clients"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn same_claim_repeats_response_until_first_token_use() {
    let (daemon, admin, _) = start_with_admin(&[]).await;
    let code = create_code(&admin, json!({ "name": "Hall" })).await["code"].take();
    let body = json!({ "code": code, "claim": CLAIM });
    let first = complete(&daemon.unauthenticated(), body.clone())
        .await
        .expect(200)
        .json;
    let again = complete(&daemon.unauthenticated(), body.clone())
        .await
        .expect(200)
        .json;
    assert_eq!(first, again);
    let daemon = daemon.kill_and_restart().await;
    // A space within the code is ignored.
    let (left, right) = code.as_str().unwrap().split_at(3);
    let typed = json!({ "code": format!("{left} {right}"), "claim": CLAIM });
    for body in [&body, &typed] {
        let again = complete(&daemon.unauthenticated(), body.clone())
            .await
            .expect(200)
            .json;
        assert_eq!(first, again);
    }
    for other in [
        json!({ "code": code, "claim": format!("{CLAIM}x") }),
        json!({ "code": code }),
    ] {
        assert_eq!(
            complete(&daemon.unauthenticated(), other)
                .await
                .refused(401),
            "invalid_code"
        );
    }
    daemon.api_of(&first).get("/api/me").await.expect(200);
    assert_eq!(
        complete(&daemon.unauthenticated(), body).await.refused(401),
        "invalid_code"
    );
    let clients = daemon.local().get("/api/clients").await.expect(200).json;
    assert_eq!(clients["clients"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn invalid_fields_are_named_and_do_not_use_up_the_code() {
    let (daemon, admin, _) = start_with_admin(&[]).await;
    let code = create_code(&admin, json!({})).await["code"].take();
    for (field, value) in [
        ("claim", json!("x".repeat(21))),
        ("claim", json!("x".repeat(257))),
        ("claim", json!(7)),
        ("name", json!("")),
        ("platform", json!("a\nb")),
        ("code", json!(123_456)),
        ("code", Value::Null),
    ] {
        let mut body = json!({ "code": code });
        body[field] = value;
        let answer = complete(&daemon.unauthenticated(), body.clone()).await;
        assert_eq!(answer.json["field"], field, "{body}");
        answer.refused(422);
    }
    complete(&daemon.unauthenticated(), json!({ "code": code }))
        .await
        .expect(200);
}

#[tokio::test]
async fn address_is_limited_after_five_wrong_codes() {
    let (daemon, admin, _) = start_with_admin(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let code = create_code(&admin, json!({})).await["code"].take();
    let guessing = daemon
        .unauthenticated()
        .with_header("x-forwarded-for", "192.0.2.1");
    for _ in 0..5 {
        let answer = complete(&guessing, json!({ "code": wrong_code(&code) })).await;
        assert_eq!(answer.refused(401), "invalid_code");
    }
    for guess in [wrong_code(&code), code.clone()] {
        let answer = complete(&guessing, json!({ "code": guess })).await;
        let wait = answer.retry_after();
        assert!((1..=300).contains(&wait), "{wait}");
        assert_eq!(answer.refused(429), "rate_limited");
    }
    let other = daemon
        .unauthenticated()
        .with_header("x-forwarded-for", "192.0.2.2");
    complete(&other, json!({ "code": code })).await.expect(200);
}

#[tokio::test]
async fn twenty_wrong_codes_expire_all_open_codes() {
    let (daemon, admin, mut admin_socket) =
        start_with_admin(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let first = create_code(&admin, json!({})).await;
    let second = create_code(&admin, json!({})).await;
    let mut guesses = (0..).map(|n| json!(format!("{n:06}")));
    let guess = guesses
        .find(|c| *c != first["code"] && *c != second["code"])
        .unwrap();
    let api_from = |n: u32| {
        let address = format!("192.0.2.{n}");
        daemon
            .unauthenticated()
            .with_header("x-forwarded-for", &address)
    };
    for n in 0..19 {
        let answer = complete(&api_from(n / 4), json!({ "code": guess })).await;
        assert_eq!(answer.refused(401), "invalid_code");
    }
    admin_socket.assert_nothing_received().await;
    complete(&api_from(50), json!({ "code": guess }))
        .await
        .refused(401);
    let mut expired = Vec::new();
    for _ in 0..2 {
        let event = admin_socket.next().await;
        assert_eq!(event["type"], "pairing_expired");
        assert_eq!(event["data"]["reason"], "too_many_attempts");
        expired.push(event["data"]["pairingId"].to_string());
    }
    expired.sort_unstable();
    let mut open = [
        first["pairingId"].to_string(),
        second["pairingId"].to_string(),
    ];
    open.sort_unstable();
    assert_eq!(expired, open);
    for created in [&first, &second] {
        let answer = complete(&api_from(60), json!({ "code": created["code"] })).await;
        assert_eq!(answer.refused(401), "invalid_code");
    }
    // Wrong guesses from before do not count against a new code.
    let third = create_code(&admin, json!({})).await;
    complete(&api_from(61), json!({ "code": wrong_code(&third["code"]) }))
        .await
        .refused(401);
    complete(&api_from(62), json!({ "code": third["code"] }))
        .await
        .expect(200);
}

#[tokio::test]
async fn expiry_events_are_published_once_store_is_writable() {
    let daemon = Daemon::ignoring_sigxfsz(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let (admin, mut admin_socket) = connect_admin(&daemon).await;
    let created = create_code(&admin, json!({})).await;
    let guess = json!({ "code": wrong_code(&created["code"]) });
    let api_from = |n: u32| {
        let address = format!("192.0.2.{n}");
        daemon
            .unauthenticated()
            .with_header("x-forwarded-for", &address)
    };
    for n in 0..19 {
        let answer = complete(&api_from(n / 4), guess.clone()).await;
        assert_eq!(answer.refused(401), "invalid_code");
    }
    daemon.limit_file_size("0").await;
    complete(&api_from(50), guess).await.refused(503);
    daemon.limit_file_size("unlimited").await;
    let event = admin_socket.next_of("pairing_expired").await;
    assert_eq!(event["data"]["reason"], "too_many_attempts");
    assert_eq!(event["data"]["pairingId"], created["pairingId"]);
}

#[tokio::test]
async fn code_with_client_id_restores_existing_client() {
    let (daemon, admin, _) = start_with_admin(&[]).await;
    let kitchen = admin.create_area("Kitchen").await;
    let old = daemon.pair("Hall", &[&kitchen]).await;
    let created = create_code(&admin, json!({ "clientId": old.id })).await;
    daemon.api(&old.token).get("/api/me").await.expect(200);
    let body = json!({ "code": created["code"], "name": "Fresh" });
    let answer = complete(&daemon.unauthenticated(), body)
        .await
        .expect(200)
        .json;
    assert_eq!(
        (&answer["clientId"], &answer["clientName"]),
        (&json!(old.id), &json!("Hall"))
    );
    assert_eq!(answer["assignedAreas"][0]["id"], kitchen);
    assert_eq!(
        daemon.api(&old.token).get("/api/me").await.refused(401),
        "revoked"
    );
    daemon.api_of(&answer).get("/api/me").await.expect(200);
}

#[tokio::test]
async fn deactivation_voids_earlier_codes_but_not_later_ones() {
    let (daemon, admin, _) = start_with_admin(&[]).await;
    let old = daemon.pair("Hall", &[]).await;
    let path = format!("/api/clients/{}", old.id);
    let deactivate = async || {
        let patch = json!({ "isActive": false });
        admin.patch(&path, patch).await.expect(200);
    };
    let before = create_code(&admin, json!({ "clientId": old.id })).await["code"].take();
    deactivate().await;
    let answer = complete(&daemon.unauthenticated(), json!({ "code": before })).await;
    assert_eq!(answer.refused(401), "invalid_code");
    assert_eq!(admin.get(&path).await.expect(200).json["isActive"], false);

    let after = create_code(&admin, json!({ "clientId": old.id })).await["code"].take();
    assert_eq!(admin.get(&path).await.expect(200).json["isActive"], false);
    let answer = complete(&daemon.unauthenticated(), json!({ "code": after })).await;
    let answer = answer.expect(200).json;
    daemon.api_of(&answer).get("/api/me").await.expect(200);
}

#[tokio::test]
async fn deleted_areas_are_skipped_and_deleted_client_voids_code() {
    let (daemon, admin, _) = start_with_admin(&[]).await;
    let kitchen = admin.create_area("Kitchen").await;
    let bath = admin.create_area("Bath").await;
    let code = create_code(&admin, json!({ "areaIds": [kitchen, bath] })).await["code"].take();
    let deleted = admin.delete(&format!("/api/areas/{kitchen}")).await;
    assert!((200..300).contains(&deleted.status), "{}", deleted.text);
    let answer = complete(&daemon.unauthenticated(), json!({ "code": code })).await;
    let areas = answer.expect(200).json["assignedAreas"].take();
    let ids: Vec<_> = areas.as_array().unwrap().iter().map(|a| &a["id"]).collect();
    assert_eq!(ids, [&json!(bath)]);

    let old = daemon.pair("Hall", &[]).await;
    let code = create_code(&admin, json!({ "clientId": old.id })).await["code"].take();
    let deleted = admin.delete(&format!("/api/clients/{}", old.id)).await;
    assert!((200..300).contains(&deleted.status), "{}", deleted.text);
    let answer = complete(&daemon.unauthenticated(), json!({ "code": code })).await;
    assert_eq!(answer.refused(401), "invalid_code");
}
