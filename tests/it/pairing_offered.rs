//! An admin offers a code, the tablet brings it (contract 6.2).

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::pairing_asked::{house, office};
use crate::support::{Answer, Api, Daemon, keys};

const CLAIM: &str = "fQ2kz0p7T1mXv9aLr4bYdw";

async fn offer(admin: &Api, body: Value) -> Value {
    admin
        .post("/api/pairing/codes", body)
        .await
        .expect(201)
        .json
}

async fn bring(tablet: &Api, body: Value) -> Answer {
    tablet.post("/api/pairing/complete", body).await
}

/// A code of six digits that is not this one.
fn wrong(code: &Value) -> Value {
    let number: u32 = code.as_str().unwrap().parse().unwrap();
    json!(format!("{:06}", (number + 1) % 1_000_000))
}

#[tokio::test]
async fn a_code_and_its_answer_have_the_contracts_shape() {
    let (daemon, admin, mut office) = house(&[]).await;
    let kitchen = admin.create_area("Kitchen").await;
    let offered = offer(&admin, json!({ "name": "Hall", "areaIds": [kitchen] })).await;
    assert_eq!(
        keys(&offered),
        ["code", "expiresAt", "pairingId", "qrSvg", "url"]
    );
    let code = offered["code"].as_str().unwrap();
    assert!(
        code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()),
        "{code}"
    );
    let url = offered["url"].as_str().unwrap();
    assert!(
        url.starts_with(&format!("https://localhost:{}/", daemon.https.port())),
        "{url}"
    );
    assert!(
        url.ends_with(&format!("#{code}")),
        "the code stays in the browser: {url}"
    );
    assert!(offered["qrSvg"].as_str().unwrap().contains("<svg"));

    let body = json!({ "code": code, "name": "Own name", "platform": "iPad" });
    let answer = bring(&daemon.unauthenticated(), body)
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
    assert_eq!(answer["clientName"], "Hall", "the admin's name counts more");
    assert_eq!(answer["assignedAreas"][0]["id"], kitchen);
    let me = daemon.api_of(&answer).get("/api/me").await.expect(200).json;
    assert_eq!(me["client"]["platform"], "iPad");
    assert_eq!(me["expiresAt"], answer["expiresAt"]);
    let event = office.next_of("pairing_completed").await;
    assert_eq!(event["data"]["pairingId"], offered["pairingId"]);
    assert!(
        event["data"].get("token").is_none(),
        "admins never get the token"
    );

    let offered = offer(&admin, json!({})).await;
    let body = json!({ "code": offered["code"], "name": "Own name" });
    let answer = bring(&daemon.unauthenticated(), body)
        .await
        .expect(200)
        .json;
    assert_eq!(answer["clientName"], "Own name");
}

#[tokio::test]
async fn unknown_used_and_expired_codes_look_alike() {
    let (daemon, admin, mut office) = house(&[]).await;
    let used = offer(&admin, json!({})).await["code"].take();
    bring(&daemon.unauthenticated(), json!({ "code": used }))
        .await
        .expect(200);
    let brief = offer(&admin, json!({ "ttlSeconds": 1 })).await;
    let event = office.next_of("pairing_expired").await;
    assert_eq!(
        event["data"],
        json!({ "pairingId": brief["pairingId"], "reason": "expired" })
    );
    let expired = brief["code"].clone();
    let unknown = (0..)
        .map(|n| json!(format!("{n:06}")))
        .find(|c| *c != used && *c != expired);
    let mut answers = Vec::new();
    for code in [unknown.unwrap(), used, expired, json!("never a code")] {
        let answer = bring(&daemon.unauthenticated(), json!({ "code": code })).await;
        answers.push(answer.json["error"].clone());
        assert_eq!(answer.refused(401), "invalid_code", "{code}");
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
}

#[tokio::test]
async fn a_code_lives_as_long_as_the_option_says_and_no_longer_than_its_bounds() {
    let (daemon, admin, mut office) = house(&[("PAIRING_TTL_SECONDS", "1")]).await;
    let brief = offer(&admin, json!({})).await;
    let event = office.next_of("pairing_expired").await;
    assert_eq!(event["data"]["pairingId"], brief["pairingId"]);
    let answer = bring(&daemon.unauthenticated(), json!({ "code": brief["code"] })).await;
    assert_eq!(answer.refused(401), "invalid_code");
    for ttl in [json!(0), json!(-1), json!(86_401), json!("300")] {
        let answer = admin
            .post("/api/pairing/codes", json!({ "ttlSeconds": ttl }))
            .await;
        assert_eq!(answer.json["field"], "ttlSeconds");
        answer.refused(422);
    }
    let long = offer(&admin, json!({ "ttl_seconds": 3600 })).await;
    bring(&daemon.unauthenticated(), json!({ "code": long["code"] }))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_code_works_once_however_many_bring_it_at_once() {
    let (daemon, admin, _) = house(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let code = offer(&admin, json!({})).await["code"].take();
    let brought = join_all((1..9).map(async |n| {
        let tablet = daemon
            .unauthenticated()
            .with_header("x-forwarded-for", &format!("192.0.2.{n}"));
        bring(&tablet, json!({ "code": code })).await.status
    }));
    let mut statuses = brought.await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401, 401, 401, 401, 401, 401, 401]);
    let clients = admin.get("/api/clients").await.expect(200).json;
    assert_eq!(clients["clients"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_same_claim_gets_the_same_answer_until_the_tokens_first_use_also_after_a_crash() {
    let (daemon, admin, _) = house(&[]).await;
    let code = offer(&admin, json!({ "name": "Hall" })).await["code"].take();
    let body = json!({ "code": code, "claim": CLAIM });
    let first = bring(&daemon.unauthenticated(), body.clone())
        .await
        .expect(200)
        .json;
    let again = bring(&daemon.unauthenticated(), body.clone())
        .await
        .expect(200)
        .json;
    assert_eq!(first, again);
    let daemon = daemon.kill_and_restart().await;
    // Typed with a gap it is the same code.
    let (left, right) = code.as_str().unwrap().split_at(3);
    let typed = json!({ "code": format!("{left} {right}"), "claim": CLAIM });
    for body in [&body, &typed] {
        let again = bring(&daemon.unauthenticated(), body.clone())
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
            bring(&daemon.unauthenticated(), other).await.refused(401),
            "invalid_code"
        );
    }
    daemon.api_of(&first).get("/api/me").await.expect(200);
    assert_eq!(
        bring(&daemon.unauthenticated(), body).await.refused(401),
        "invalid_code"
    );
    let clients = daemon.local().get("/api/clients").await.expect(200).json;
    assert_eq!(clients["clients"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn fields_out_of_bounds_are_named_and_use_nothing_up() {
    let (daemon, admin, _) = house(&[]).await;
    let code = offer(&admin, json!({})).await["code"].take();
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
        let answer = bring(&daemon.unauthenticated(), body.clone()).await;
        assert_eq!(answer.json["field"], field, "{body}");
        answer.refused(422);
    }
    bring(&daemon.unauthenticated(), json!({ "code": code }))
        .await
        .expect(200);
}

#[tokio::test]
async fn after_five_wrong_codes_an_address_must_wait_and_others_need_not() {
    let (daemon, admin, _) = house(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let code = offer(&admin, json!({})).await["code"].take();
    let guesser = daemon
        .unauthenticated()
        .with_header("x-forwarded-for", "192.0.2.1");
    for _ in 0..5 {
        let answer = bring(&guesser, json!({ "code": wrong(&code) })).await;
        assert_eq!(answer.refused(401), "invalid_code");
    }
    for guess in [wrong(&code), code.clone()] {
        let answer = bring(&guesser, json!({ "code": guess })).await;
        let wait = answer.retry_after();
        assert!((1..=300).contains(&wait), "{wait}");
        assert_eq!(answer.refused(429), "rate_limited");
    }
    let other = daemon
        .unauthenticated()
        .with_header("x-forwarded-for", "192.0.2.2");
    bring(&other, json!({ "code": code })).await.expect(200);
}

#[tokio::test]
async fn twenty_wrong_codes_kill_every_open_one_and_admins_are_told() {
    let (daemon, admin, mut office) = house(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let first = offer(&admin, json!({})).await;
    let second = offer(&admin, json!({})).await;
    let mut guesses = (0..).map(|n| json!(format!("{n:06}")));
    let guess = guesses
        .find(|c| *c != first["code"] && *c != second["code"])
        .unwrap();
    let from = |n: u32| {
        let address = format!("192.0.2.{n}");
        daemon
            .unauthenticated()
            .with_header("x-forwarded-for", &address)
    };
    for n in 0..19 {
        let answer = bring(&from(n / 4), json!({ "code": guess })).await;
        assert_eq!(answer.refused(401), "invalid_code");
    }
    office.assert_nothing_received().await;
    bring(&from(50), json!({ "code": guess }))
        .await
        .refused(401);
    let mut dead = Vec::new();
    for _ in 0..2 {
        let event = office.next().await;
        assert_eq!(event["type"], "pairing_expired");
        assert_eq!(event["data"]["reason"], "too_many_attempts");
        dead.push(event["data"]["pairingId"].to_string());
    }
    dead.sort_unstable();
    let mut open = [
        first["pairingId"].to_string(),
        second["pairingId"].to_string(),
    ];
    open.sort_unstable();
    assert_eq!(dead, open);
    for offered in [&first, &second] {
        let answer = bring(&from(60), json!({ "code": offered["code"] })).await;
        assert_eq!(answer.refused(401), "invalid_code");
    }
    // A new one starts anew.
    let third = offer(&admin, json!({})).await;
    bring(&from(61), json!({ "code": wrong(&third["code"]) }))
        .await
        .refused(401);
    bring(&from(62), json!({ "code": third["code"] }))
        .await
        .expect(200);
}

#[tokio::test]
async fn admins_are_told_of_dead_codes_later_if_the_store_could_not_write() {
    let daemon = Daemon::ignoring_sigxfsz(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let (admin, mut office) = office(&daemon).await;
    let offered = offer(&admin, json!({})).await;
    let guess = json!({ "code": wrong(&offered["code"]) });
    let from = |n: u32| {
        let address = format!("192.0.2.{n}");
        daemon
            .unauthenticated()
            .with_header("x-forwarded-for", &address)
    };
    for n in 0..19 {
        let answer = bring(&from(n / 4), guess.clone()).await;
        assert_eq!(answer.refused(401), "invalid_code");
    }
    daemon.limit_file_size("0").await;
    bring(&from(50), guess).await.refused(503);
    daemon.limit_file_size("unlimited").await;
    let event = office.next_of("pairing_expired").await;
    assert_eq!(event["data"]["reason"], "too_many_attempts");
    assert_eq!(event["data"]["pairingId"], offered["pairingId"]);
}

#[tokio::test]
async fn with_client_id_the_code_brings_the_client_back() {
    let (daemon, admin, _) = house(&[]).await;
    let kitchen = admin.create_area("Kitchen").await;
    let old = daemon.pair("Hall", &[&kitchen]).await;
    let offered = offer(&admin, json!({ "clientId": old.id })).await;
    daemon.api(&old.token).get("/api/me").await.expect(200);
    let body = json!({ "code": offered["code"], "name": "Fresh" });
    let answer = bring(&daemon.unauthenticated(), body)
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
async fn of_an_inactive_client_the_admins_last_word_counts() {
    let (daemon, admin, _) = house(&[]).await;
    let old = daemon.pair("Hall", &[]).await;
    let path = format!("/api/clients/{}", old.id);
    let deactivate = async || {
        let patch = json!({ "isActive": false });
        admin.patch(&path, patch).await.expect(200);
    };
    let before = offer(&admin, json!({ "clientId": old.id })).await["code"].take();
    deactivate().await;
    let answer = bring(&daemon.unauthenticated(), json!({ "code": before })).await;
    assert_eq!(answer.refused(401), "invalid_code");
    assert_eq!(admin.get(&path).await.expect(200).json["isActive"], false);

    let after = offer(&admin, json!({ "clientId": old.id })).await["code"].take();
    assert_eq!(admin.get(&path).await.expect(200).json["isActive"], false);
    let answer = bring(&daemon.unauthenticated(), json!({ "code": after })).await;
    let answer = answer.expect(200).json;
    daemon.api_of(&answer).get("/api/me").await.expect(200);
}

#[tokio::test]
async fn what_was_deleted_since_the_offer_is_skipped_if_an_area_and_ends_it_if_the_client() {
    let (daemon, admin, _) = house(&[]).await;
    let kitchen = admin.create_area("Kitchen").await;
    let bath = admin.create_area("Bath").await;
    let code = offer(&admin, json!({ "areaIds": [kitchen, bath] })).await["code"].take();
    let deleted = admin.delete(&format!("/api/areas/{kitchen}")).await;
    assert!((200..300).contains(&deleted.status), "{}", deleted.text);
    let answer = bring(&daemon.unauthenticated(), json!({ "code": code })).await;
    let areas = answer.expect(200).json["assignedAreas"].take();
    let ids: Vec<_> = areas.as_array().unwrap().iter().map(|a| &a["id"]).collect();
    assert_eq!(ids, [&json!(bath)]);

    let old = daemon.pair("Hall", &[]).await;
    let code = offer(&admin, json!({ "clientId": old.id })).await["code"].take();
    let deleted = admin.delete(&format!("/api/clients/{}", old.id)).await;
    assert!((200..300).contains(&deleted.status), "{}", deleted.text);
    let answer = bring(&daemon.unauthenticated(), json!({ "code": code })).await;
    assert_eq!(answer.refused(401), "invalid_code");
}
