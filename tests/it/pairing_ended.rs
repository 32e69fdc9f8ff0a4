//! Requests that come to nothing, and how many may be open (contract 6.2).

use serde_json::json;

use crate::pairing_asked::{ask, house};
use crate::support::until;

#[tokio::test]
async fn a_denied_tablet_is_told_why_and_closed() {
    let (daemon, admin, mut office) = house(&[]).await;
    let asked = ask(&daemon, json!({})).await;
    office.next_of("pairing_requested").await;
    let mut waiting = daemon.listen(&asked.token).await;
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
    let (daemon, admin, mut office) = house(&[("PAIRING_TTL_SECONDS", "4")]).await;
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
        let tablet = daemon
            .unauthenticated()
            .with_header("x-forwarded-for", address);
        tablet.post("/api/pairing/requests", json!({})).await
    };
    // An IPv6 /64 is one address.
    for address in ["2001:db8::1", "2001:db8::2", "2001:db8::3"] {
        from(address).await.expect(201);
    }
    let refused = from("2001:db8::4").await;
    let wait = refused.retry_after();
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
    let mut wall = daemon.listen(&old.token).await;
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

#[tokio::test]
async fn an_inactive_client_that_is_approved_again_is_active_again() {
    let (daemon, admin, _) = house(&[]).await;
    let old = daemon.pair("Hall", &[]).await;
    let path = format!("/api/clients/{}", old.id);
    admin
        .patch(&path, json!({ "isActive": false }))
        .await
        .expect(200);
    let asked = ask(&daemon, json!({})).await;
    let client = asked.approve(&admin, json!({ "clientId": old.id })).await;
    assert_eq!(client["isActive"], true);
    let granted = asked.api.get(&asked.path()).await.expect(200).json;
    daemon.api_of(&granted).get("/api/me").await.expect(200);
    assert_eq!(
        daemon.api(&old.token).get("/api/me").await.refused(401),
        "revoked"
    );
}
