//! Tokens over HTTP: issuing, listing and refreshing them, and `GET /api/me`.
//! See docs/protocol.md#token-management.

use serde_json::{Value, json};

use crate::pairing_requests::request_pairing;
use crate::support::{Api, Daemon, assert_timestamp};

#[tokio::test]
async fn token_is_shown_only_in_creation_response() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let body = json!({ "role": "user", "subject": "ann", "name": "Ann's phone", "ttl_seconds": 60,
        "email": "ann@example.org", "organization_id": "o1", "tenantId": "t1" });
    let created = admin.post("/api/tokens", body).await.expect(201).json;
    let token = created["token"].as_str().expect("the token").to_owned();
    let list = admin.get("/api/tokens").await.expect(200);
    assert!(!list.text.contains(&token));
    let tokens = list.json["tokens"].as_array().unwrap();
    let listed = tokens
        .iter()
        .find(|token| token["jti"] == created["jti"])
        .expect("the token in the list");
    for (key, value) in [
        ("role", "user"),
        ("subject", "ann"),
        ("name", "Ann's phone"),
        ("email", "ann@example.org"),
        ("organizationId", "o1"),
        ("tenantId", "t1"),
    ] {
        assert_eq!(
            (&listed[key], &created[key]),
            (&json!(value), &json!(value)),
            "{key}"
        );
    }
    assert!(listed.get("token").is_none());
    assert_eq!(listed["revokedAt"], Value::Null);
}

#[tokio::test]
async fn first_use_is_listed_at_once_and_survives_restart() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let created = daemon.token(json!({ "role": "user", "name": "x" })).await;
    let first_used_at = async |api: &Api| {
        let list = api.get("/api/tokens").await.expect(200).json;
        let tokens = list["tokens"].as_array().unwrap().iter();
        let mut own = tokens.filter(|token| token["jti"] == created["jti"]);
        own.next().unwrap()["firstUsedAt"].clone()
    };
    assert_eq!(first_used_at(&admin).await, Value::Null);
    daemon.listen(created["token"].as_str().unwrap()).await;
    let first = first_used_at(&admin).await;
    assert_timestamp(&first);
    daemon.listen(created["token"].as_str().unwrap()).await;

    let daemon = daemon.restart().await;
    assert_eq!(first_used_at(&daemon.local()).await, first);
}

#[tokio::test]
async fn invalid_token_fields_are_named() {
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
async fn client_token_reuses_subject_or_creates_client() {
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
    let second = json!({ "role": "client", "name": "Hall again", "subject": id });
    let second = daemon.token(second).await;
    for token in [&new, &second] {
        let me = daemon.api_of(token).get("/api/me").await.expect(200).json;
        assert_eq!(me["clientId"], id);
    }
}

#[tokio::test]
async fn me_describes_the_caller() {
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

    let request = request_pairing(&daemon, json!({})).await;
    let pairing = request.api;
    let me = pairing.get("/api/me").await.expect(200).json;
    assert_eq!(
        (&me["role"], &me["username"]),
        (&json!("pairing"), &json!(request.id))
    );
    assert_eq!(
        daemon.unauthenticated().get("/api/me").await.refused(401),
        "unauthenticated"
    );
}

#[tokio::test]
async fn refresh_issues_token_and_expires_old_one_in_a_minute() {
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
    // The old token now expires in a minute instead of a year, and `/api/me` shows that.
    let old = api.get("/api/me").await.expect(200).json;
    assert_eq!(old["jti"], before["jti"]);
    let day = |time: &Value| time.as_str().unwrap()[..10].to_owned();
    assert!(day(&old["expiresAt"]) < day(&before["expiresAt"]));
    let parse = |time: &Value| {
        let format = &time::format_description::well_known::Rfc3339;
        time::OffsetDateTime::parse(time.as_str().unwrap(), format).unwrap()
    };
    let list = daemon.local().get("/api/tokens").await.expect(200).json;
    let listed = list["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .find(|t| t["jti"] == fresh["jti"]);
    let overlap =
        parse(&old["expiresAt"]) - parse(&listed.expect("the token in the list")["createdAt"]);
    // The times in the list are whole seconds.
    assert!((60..=61).contains(&overlap.whole_seconds()), "{overlap}");
}

#[tokio::test]
async fn repeated_refresh_returns_same_token() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let api = daemon.api(&tablet.token);
    let first = api.post("/api/tokens/refresh", json!({})).await.expect(200);
    let again = api.post("/api/tokens/refresh", json!({})).await.expect(200);
    assert_eq!(first.json["token"], again.json["token"]);
    assert_eq!(first.json["jti"], again.json["jti"]);
    let with_new_token = daemon.api_of(&first.json);
    let next = with_new_token.post("/api/tokens/refresh", json!({})).await;
    assert_ne!(next.expect(200).json["jti"], first.json["jti"]);
}

#[tokio::test]
async fn refresh_is_allowed_for_clients_only() {
    let daemon = Daemon::start().await;
    let user = daemon.token(json!({ "role": "user", "name": "Ann" })).await;
    let request = request_pairing(&daemon, json!({})).await;
    let pairing = request.api;
    for api in [
        daemon.admin().await,
        daemon.api_of(&user),
        pairing,
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
