//! Tokens over HTTP: making, listing, refreshing; and `GET /api/me` (contract 6.2).

use serde_json::{Value, json};

use crate::pairing_asked::ask;
use crate::support::{Daemon, assert_timestamp};

#[tokio::test]
async fn a_token_is_shown_once_and_the_list_knows_it_without() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let body = json!({ "role": "user", "subject": "ann", "name": "Ann's phone", "ttl_seconds": 60,
        "email": "ann@example.org", "organization_id": "o1", "tenantId": "t1" });
    let made = admin.post("/api/tokens", body).await.expect(201).json;
    let token = made["token"].as_str().expect("the token").to_owned();
    let list = admin.get("/api/tokens").await.expect(200);
    assert!(!list.text.contains(&token));
    let tokens = list.json["tokens"].as_array().unwrap();
    let kept = tokens
        .iter()
        .find(|kept| kept["jti"] == made["jti"])
        .expect("it is listed");
    for (key, value) in [
        ("role", "user"),
        ("subject", "ann"),
        ("name", "Ann's phone"),
        ("email", "ann@example.org"),
        ("organizationId", "o1"),
        ("tenantId", "t1"),
    ] {
        assert_eq!(
            (&kept[key], &made[key]),
            (&json!(value), &json!(value)),
            "{key}"
        );
    }
    assert!(kept.get("token").is_none());
    assert_eq!(kept["revokedAt"], Value::Null);
}

#[tokio::test]
async fn a_first_use_is_shown_at_once_and_outlives_a_stop() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let made = daemon.token(json!({ "role": "user", "name": "x" })).await;
    let used = async |api: &crate::support::Api| {
        let list = api.get("/api/tokens").await.expect(200).json;
        let tokens = list["tokens"].as_array().unwrap().iter();
        let mut own = tokens.filter(|token| token["jti"] == made["jti"]);
        own.next().unwrap()["firstUsedAt"].clone()
    };
    assert_eq!(used(&admin).await, Value::Null);
    daemon.listen(made["token"].as_str().unwrap()).await;
    let first = used(&admin).await;
    assert_timestamp(&first);
    daemon.listen(made["token"].as_str().unwrap()).await;

    let daemon = daemon.restart().await;
    assert_eq!(used(&daemon.local()).await, first);
}

#[tokio::test]
async fn fields_out_of_bounds_are_named() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let good = json!({ "role": "user", "name": "x" });
    for (field, value) in [
        ("role", json!("pairing")),
        ("role", json!("root")),
        ("role", Value::Null),
        ("name", Value::Null),
        ("name", json!("")),
        ("subject", json!("a b")),
        ("subject", json!("x".repeat(129))),
        ("ttlSeconds", json!(0)),
        ("ttlSeconds", json!(-1)),
        ("ttlSeconds", json!(1.5)),
        ("ttlSeconds", json!(i64::MAX)),
        ("email", json!("x".repeat(255))),
        ("email", json!("a\nb")),
        ("organizationId", json!("")),
        ("tenantId", json!(7)),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let answer = admin.post("/api/tokens", body.clone()).await;
        assert_eq!(answer.json["field"], field, "{body}");
        answer.refused(422);
    }
    let body = json!({ "role": "client", "name": "x", "subject": "client_none" });
    let answer = admin.post("/api/tokens", body).await;
    assert_eq!(answer.json["field"], "subject");
    answer.refused(422);
}

#[tokio::test]
async fn a_client_token_is_for_an_old_client_or_makes_a_new_one() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let new = daemon
        .token(json!({ "role": "client", "name": "Hall" }))
        .await;
    let id = new["subject"].as_str().unwrap();
    let client = admin
        .get(&format!("/api/clients/{id}"))
        .await
        .expect(200)
        .json;
    assert_eq!(client["name"], "Hall");
    let again = json!({ "role": "client", "name": "Hall again", "subject": id });
    let again = daemon.token(again).await;
    for token in [&new, &again] {
        let me = daemon.api_of(token).get("/api/me").await.expect(200).json;
        assert_eq!(me["clientId"], id);
    }
}

#[tokio::test]
async fn me_says_who_the_caller_is() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let kitchen = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&kitchen]).await;
    let me = daemon
        .api(&tablet.token)
        .get("/api/me")
        .await
        .expect(200)
        .json;
    assert_eq!(
        (&me["role"], &me["clientId"]),
        (&json!("client"), &json!(tablet.id))
    );
    assert_eq!(me["assignedAreas"][0]["id"], kitchen);
    assert_eq!(me["client"]["name"], "Wall");

    let user = json!({ "role": "user", "subject": "ann", "name": "Ann",
        "email": "ann@example.org", "organizationId": "o1", "tenantId": "t1" });
    let user = daemon.token(user).await;
    let me = daemon.api_of(&user).get("/api/me").await.expect(200).json;
    for key in [
        "role",
        "jti",
        "email",
        "organizationId",
        "tenantId",
        "expiresAt",
    ] {
        assert_eq!(me[key], user[key], "{key}");
    }
    assert_eq!(
        (&me["username"], &me["clientId"]),
        (&json!("ann"), &Value::Null)
    );
    assert_eq!(admin.get("/api/me").await.expect(200).json["role"], "admin");

    let asked = ask(&daemon, json!({})).await;
    let waiting = asked.api;
    let me = waiting.get("/api/me").await.expect(200).json;
    assert_eq!(
        (&me["role"], &me["username"]),
        (&json!("pairing"), &json!(asked.id))
    );
    assert_eq!(
        daemon.unauthenticated().get("/api/me").await.refused(401),
        "unauthenticated"
    );
}

#[tokio::test]
async fn refresh_gives_a_client_a_new_token_and_the_old_one_a_minute() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let api = daemon.api(&tablet.token);
    let before = api.get("/api/me").await.expect(200).json;
    let fresh = api.post("/api/tokens/refresh", json!({})).await.expect(200);
    assert_eq!(fresh.header("set-cookie"), None);
    let fresh = fresh.json;
    assert_ne!(fresh["token"], json!(tablet.token));
    let me = daemon.api_of(&fresh).get("/api/me").await.expect(200).json;
    assert_eq!(
        (&me["clientId"], &me["jti"]),
        (&json!(tablet.id), &fresh["jti"])
    );
    // The old one stands, and says itself for how long: not for the year that it had.
    let old = api.get("/api/me").await.expect(200).json;
    assert_eq!(old["jti"], before["jti"]);
    let day = |text: &Value| text.as_str().unwrap()[..10].to_owned();
    assert!(day(&old["expiresAt"]) < day(&before["expiresAt"]));
    let seconds = |text: &Value| {
        let format = &time::format_description::well_known::Rfc3339;
        time::OffsetDateTime::parse(text.as_str().unwrap(), format).unwrap()
    };
    let list = daemon.local().get("/api/tokens").await.expect(200).json;
    let made = list["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .find(|t| t["jti"] == fresh["jti"]);
    let overlap = seconds(&old["expiresAt"]) - seconds(&made.expect("it is listed")["createdAt"]);
    // The list counts in whole seconds.
    assert!((60..=61).contains(&overlap.whole_seconds()), "{overlap}");
}

#[tokio::test]
async fn a_refresh_asked_again_gives_the_same_token() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let api = daemon.api(&tablet.token);
    let first = api.post("/api/tokens/refresh", json!({})).await.expect(200);
    let again = api.post("/api/tokens/refresh", json!({})).await.expect(200);
    assert_eq!(first.json["token"], again.json["token"]);
    assert_eq!(first.json["jti"], again.json["jti"]);
    let further = daemon.api_of(&first.json);
    let further = further.post("/api/tokens/refresh", json!({})).await;
    assert_ne!(further.expect(200).json["jti"], first.json["jti"]);
}

#[tokio::test]
async fn refresh_is_a_clients_own() {
    let daemon = Daemon::start().await;
    let user = daemon.token(json!({ "role": "user", "name": "Ann" })).await;
    let asked = ask(&daemon, json!({})).await;
    let waiting = asked.api;
    for api in [
        daemon.admin().await,
        daemon.api_of(&user),
        waiting,
        daemon.local(),
    ] {
        let answer = api.post("/api/tokens/refresh", json!({})).await;
        assert_eq!(answer.refused(403), "forbidden");
    }
    daemon
        .unauthenticated()
        .post("/api/tokens/refresh", json!({}))
        .await
        .refused(401);
}
