//! Ingress admits administrators of Home Assistant only, and disconnects those who no longer are
//! (docs/protocol.md#ingress).

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::{Api, Core, CoreData, CoreReply, Daemon, soon, until};

const USER: &str = "x-remote-user-id";

fn users(data: &mut CoreData) {
    data.add_user("owner", true, true, &[]);
    data.add_user("admin", false, true, &["system-admin"]);
    data.add_user("former", true, false, &["system-admin"]);
    data.add_user("child", false, true, &["system-users"]);
}

async fn start() -> (Core, Daemon) {
    let core = Core::with(users).await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    daemon.until_home_is("connected").await;
    (core, daemon)
}

/// The API through ingress as this Home Assistant user.
fn api_as(daemon: &Daemon, id: &str) -> Api {
    Api::plain(daemon.ingress.expect("an address")).with_header(USER, id)
}

/// Opens a socket through ingress and consumes its welcome.
async fn socket(daemon: &Daemon, id: &str) -> WebSocketStream<TcpStream> {
    let address = daemon.ingress.expect("an address");
    let url = format!("ws://{address}/ws");
    let mut request = url.into_client_request().expect("a URL");
    request
        .headers_mut()
        .insert(USER, id.parse().expect("an id"));
    let tcp = TcpStream::connect(address).await.expect("a connection");
    let (mut socket, _) = client_async(request, tcp).await.expect("it opens");
    soon("the welcome", socket.next()).await;
    socket
}

/// Waits up to `timeout` for the close frame and returns its code.
async fn close_code(mut socket: WebSocketStream<TcpStream>, timeout: Duration) -> u16 {
    let close = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(_)) => {}
                other => panic!("expected a close frame, got {other:?}"),
            }
        }
    };
    tokio::time::timeout(timeout, close)
        .await
        .expect("a close frame")
}

#[tokio::test]
async fn ingress_admits_admins_and_explains_refusal_to_others() {
    let (core, daemon) = start().await;
    for id in ["owner", "admin"] {
        let me = api_as(&daemon, id).get("/api/me").await.expect(200).json;
        assert_eq!(
            (&me["role"], &me["username"]),
            (&json!("admin"), &json!(id))
        );
    }
    for id in ["former", "child", "unknown"] {
        let api = api_as(&daemon, id);
        assert_eq!(api.get("/api/areas").await.refused(403), "not_an_admin");
        assert_eq!(
            api.request_upgrade("/ws").await.refused(403),
            "not_an_admin"
        );
        let page = api.get("/").await.expect(403);
        assert!(page.text.contains("administrators"), "{}", page.text);
    }
    // Two values of the user header are refused: one of them must be forged.
    let forged = api_as(&daemon, "child").with_header("X-Remote-User-ID", "owner");
    assert_eq!(forged.get("/api/areas").await.refused(403), "not_an_admin");
    assert_eq!(
        core.received("config/auth/list").len(),
        1,
        "the user list is read once a minute"
    );
}

#[tokio::test]
async fn last_user_list_is_used_while_home_assistant_is_away() {
    let (mut core, daemon) = start().await;
    api_as(&daemon, "admin").get("/api/me").await.expect(200);
    core.kill().await;
    daemon.until_home_is("disconnected").await;
    api_as(&daemon, "admin").get("/api/me").await.expect(200);
    let child = api_as(&daemon, "child").get("/api/me").await;
    assert_eq!(child.refused(403), "not_an_admin");
}

#[tokio::test]
async fn ingress_without_any_user_list_is_closed() {
    let core = Core::with(users).await;
    for reply in [
        CoreReply::Error("unauthorized", "Unauthorized"),
        CoreReply::Result(json!([{ "name": "without an id" }])),
        CoreReply::Result(json!(null)),
    ] {
        core.data()
            .replies
            .insert("config/auth/list".to_owned(), reply);
        let daemon = Daemon::with_core(core.as_addon(), &[]).await;
        daemon.until_home_is("connected").await;
        let refused = api_as(&daemon, "admin").get("/api/me").await;
        assert!(refused.text.contains("cannot ask"), "{}", refused.text);
        assert_eq!(refused.refused(403), "not_an_admin");
    }
    core.data().replies.clear();
    let mut core = core;
    core.kill().await;
    let daemon = Daemon::with_core(core.as_addon(), &[]).await;
    let refused = api_as(&daemon, "admin").get("/api/me").await;
    assert_eq!(refused.refused(403), "not_an_admin");
}

#[tokio::test]
async fn former_admin_is_disconnected_after_reconnect() {
    let (core, daemon) = start().await;
    let admin = socket(&daemon, "admin").await;
    let mut owner = socket(&daemon, "owner").await;
    core.data().users[1]["group_ids"] = json!(["system-users"]);
    core.disconnect_all();
    assert_eq!(close_code(admin, Duration::from_secs(30)).await, 4403);
    let refused = api_as(&daemon, "admin").get("/api/me").await;
    assert_eq!(refused.refused(403), "not_an_admin");
    // The owner's session stays open and receives events.
    api_as(&daemon, "owner").create_area("Kitchen").await;
    until("room_updated", async || {
        match soon("an event", owner.next()).await {
            Some(Ok(Message::Text(text))) => text.contains("room_updated").then_some(()),
            Some(Ok(Message::Close(_))) | None => panic!("closed"),
            _ => None,
        }
    })
    .await;
}

#[tokio::test]
async fn unreadable_user_list_closes_ingress() {
    let (core, daemon) = start().await;
    let admin = socket(&daemon, "admin").await;
    let without_ids = CoreReply::Result(json!([{ "name": "without an id" }]));
    core.data()
        .replies
        .insert("config/auth/list".to_owned(), without_ids);
    core.disconnect_all();
    assert_eq!(close_code(admin, Duration::from_secs(30)).await, 4000);
    let refused = api_as(&daemon, "admin").get("/api/me").await;
    assert_eq!(refused.refused(403), "not_an_admin");
}

#[tokio::test]
async fn former_admin_is_disconnected_within_a_minute() {
    let (core, daemon) = start().await;
    let admin = socket(&daemon, "admin").await;
    core.data().users.remove(1);
    // The connection to Core stays open, so only the periodic read of the user list notices the change.
    assert_eq!(close_code(admin, Duration::from_secs(90)).await, 4403);
    assert_eq!(core.data().authenticated_connections, 1);
}
