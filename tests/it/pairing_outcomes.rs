//! How pairing requests end: denied, expired, refused for a limit, or approved for an existing
//! client. See docs/protocol.md#pairing.

use serde_json::json;

use crate::pairing_requests::{request_pairing, start_with_admin};
use crate::support::until;

#[tokio::test]
async fn denial_sends_reason_and_closes_socket() {
    let (daemon, admin, mut admin_socket) = start_with_admin(&[]).await;
    let request = request_pairing(&daemon, json!({})).await;
    admin_socket.next_of("pairing_requested").await;
    let mut tablet_socket = daemon.listen(&request.token).await;
    let path = format!("{}/deny", request.path());
    admin
        .post(&path, json!({ "reason": "not ours" }))
        .await
        .expect(200);
    let data = json!({ "pairingId": request.id, "reason": "not ours" });
    for socket in [&mut tablet_socket, &mut admin_socket] {
        let event = socket.next().await;
        assert_eq!(
            (&event["type"], &event["data"]),
            (&json!("pairing_denied"), &data)
        );
    }
    assert_eq!(
        tablet_socket.closed().await,
        (4401, "unauthenticated".to_owned())
    );
    let poll = request.api.get(&request.path()).await.expect(200).json;
    assert_eq!(
        (&poll["status"], &poll["reason"]),
        (&json!("denied"), &json!("not ours"))
    );
    assert_eq!(admin.post(&path, json!({})).await.refused(404), "not_found");
    let approve = format!("{}/approve", request.path());
    assert_eq!(
        admin.post(&approve, json!({})).await.refused(404),
        "not_found"
    );
    let list = admin.get("/api/pairing/requests").await.expect(200).json;
    assert_eq!(list["requests"], json!([]));
}

#[tokio::test]
async fn pending_request_expires_with_event_to_both_sides() {
    let (daemon, admin, mut admin_socket) = start_with_admin(&[("PAIRING_TTL_SECONDS", "4")]).await;
    let request = request_pairing(&daemon, json!({})).await;
    let mut tablet_socket = daemon.connect(&request.token).await;
    let event = tablet_socket.next_of("pairing_expired").await;
    assert_eq!(
        event["data"],
        json!({ "pairingId": request.id, "reason": "expired" })
    );
    assert_eq!(
        tablet_socket.closed().await,
        (4401, "unauthenticated".to_owned())
    );
    assert_eq!(
        admin_socket.next_of("pairing_expired").await["data"],
        event["data"]
    );
    assert_eq!(
        request.api.get(&request.path()).await.refused(401),
        "token_expired"
    );
    let approve = format!("{}/approve", request.path());
    assert_eq!(
        admin.post(&approve, json!({})).await.refused(404),
        "not_found"
    );

    // An approval that the tablet has not fetched expires with its request.
    let request = request_pairing(&daemon, json!({})).await;
    request.approve(&admin, json!({})).await;
    until("the approval to expire", async || {
        let answer = request.api.get(&request.path()).await;
        (answer.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn open_requests_are_limited_per_address_and_in_total() {
    let (daemon, admin, _) = start_with_admin(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let request_from = async |address: &str| {
        let tablet = daemon
            .unauthenticated()
            .with_header("x-forwarded-for", address);
        tablet.post("/api/pairing/requests", json!({})).await
    };
    // An IPv6 /64 counts as one address.
    for address in ["2001:db8::1", "2001:db8::2", "2001:db8::3"] {
        request_from(address).await.expect(201);
    }
    let refused = request_from("2001:db8::4").await;
    let wait = refused.retry_after();
    assert!((1..=300).contains(&wait), "{wait}");
    assert_eq!(refused.refused(429), "rate_limited");
    for n in 0..17 {
        request_from(&format!("192.0.2.{}", n / 3))
            .await
            .expect(201);
    }
    let refused = request_from("198.51.100.1").await;
    assert!(refused.header("retry-after").is_some());
    refused.refused(429);
    // A decided request no longer counts.
    let list = admin.get("/api/pairing/requests").await.expect(200).json;
    assert_eq!(list["requests"].as_array().unwrap().len(), 20);
    let code = list["requests"][0]["code"].as_str().unwrap();
    let deny = format!("/api/pairing/requests/{code}/deny");
    admin.post(&deny, json!({})).await.expect(200);
    request_from("198.51.100.1").await.expect(201);
}

#[tokio::test]
async fn approval_with_client_id_restores_existing_client() {
    let (daemon, admin, mut admin_socket) = start_with_admin(&[]).await;
    let kitchen = admin.create_area("Kitchen").await;
    let old = daemon.pair("Hall", &[&kitchen]).await;
    let mut old_socket = daemon.listen(&old.token).await;
    let request = request_pairing(&daemon, json!({ "name": "Fresh", "platform": "iPad" })).await;
    let client = request
        .approve(&admin, json!({ "client_id": old.id }))
        .await;
    assert_eq!(
        (&client["id"], &client["name"]),
        (&json!(old.id), &json!("Hall"))
    );
    assert_eq!(client["assignedAreas"][0]["id"], kitchen);
    assert_eq!(client["platform"], "iPad");
    // Its earlier tokens are revoked at once.
    assert_eq!(old_socket.next().await["type"], "token_revoked");
    assert_eq!(old_socket.closed().await, (4403, "revoked".to_owned()));
    assert_eq!(
        daemon.api(&old.token).get("/api/me").await.refused(401),
        "revoked"
    );
    assert_eq!(
        admin_socket.next_of("client_revoked").await["data"]["clientId"],
        old.id
    );
    let approved = request.api.get(&request.path()).await.expect(200).json;
    let me = daemon
        .api_of(&approved)
        .get("/api/me")
        .await
        .expect(200)
        .json;
    assert_eq!(me["clientId"], old.id);
    let clients = admin.get("/api/clients").await.expect(200).json;
    assert_eq!(clients["clients"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn approval_with_client_id_reactivates_inactive_client() {
    let (daemon, admin, _) = start_with_admin(&[]).await;
    let old = daemon.pair("Hall", &[]).await;
    let path = format!("/api/clients/{}", old.id);
    admin
        .patch(&path, json!({ "isActive": false }))
        .await
        .expect(200);
    let request = request_pairing(&daemon, json!({})).await;
    let client = request.approve(&admin, json!({ "clientId": old.id })).await;
    assert_eq!(client["isActive"], true);
    let approved = request.api.get(&request.path()).await.expect(200).json;
    daemon.api_of(&approved).get("/api/me").await.expect(200);
    assert_eq!(
        daemon.api(&old.token).get("/api/me").await.refused(401),
        "revoked"
    );
}
