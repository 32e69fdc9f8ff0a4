//! Areas over HTTP, and who hears of their changes (contract 6.1 and section 5).

use serde_json::json;

use crate::support::Daemon;

#[tokio::test]
async fn a_paired_tablet_hears_of_its_area_and_of_no_other() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let kitchen = admin.create_area("Kitchen").await;
    let bath = admin.create_area("Bath").await;
    let tablet = daemon.pair("Wall", &[&kitchen]).await;
    let mut socket = daemon.connect(&tablet.token).await;
    assert_eq!(
        socket.next_of("connection").await["data"]["clientId"],
        tablet.id
    );

    admin
        .put(&format!("/api/areas/{bath}"), json!({ "name": "Bathroom" }))
        .await
        .expect(200);
    admin
        .put(
            &format!("/api/areas/{kitchen}"),
            json!({ "name": "Kitchen 2" }),
        )
        .await
        .expect(200);

    let event = socket.next().await;
    assert_eq!(event["type"], "area_updated");
    assert_eq!(event["data"]["areaId"], kitchen);
    assert_eq!(event["data"]["name"], "Kitchen 2");
}
