//! Delivery of events to WebSockets: complete, in order, to every session, and none after a revoke. A slow
//! client delays nobody else (docs/protocol.md#back-pressure).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::{Api, Daemon, Socket, Tablet, soon};

/// Number of changes to a wide area whose events, up to 60 kB each, exceed the kernel's socket buffers.
const MANY: usize = 110;

/// Creates an area with this many entities. Each of its events has about 120 bytes per entity.
async fn create_wide_area(admin: &Api, entities: usize) -> String {
    let entities: Vec<_> = (0..entities).map(|n| format!("light.{n:0>110}")).collect();
    let body = json!({ "name": "Hall", "entityIds": entities });
    let area = admin.post("/api/areas", body).await.expect(201).json;
    area["id"].as_str().unwrap().to_owned()
}

async fn rename(admin: &Api, area: &str, n: usize) {
    let body = json!({ "name": format!("Hall {n}") });
    let path = format!("/api/areas/{area}");
    admin.put(&path, body).await.expect(200);
}

/// The ids of the `area_updated` events.
fn ids(events: &[Value]) -> Vec<i64> {
    let events = events
        .iter()
        .filter(|event| event["type"] == "area_updated");
    events.map(|event| event["id"].as_i64().unwrap()).collect()
}

#[track_caller]
fn assert_increasing(ids: &[i64]) {
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
}

#[tokio::test]
async fn each_session_of_a_client_receives_every_event() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let old = daemon.listen(&tablet.token).await;
    let mut sockets = [
        daemon.listen(&tablet.token).await,
        daemon.listen(&tablet.token).await,
    ];
    let path = format!("/api/clients/{}", tablet.id);
    assert_eq!(admin.get(&path).await.expect(200).json["sessions"], 3);

    old.close().await;
    soon("the old session to end", async {
        while admin.get(&path).await.expect(200).json["sessions"] != 2 {}
    })
    .await;
    rename(&admin, &area, 1).await;
    let [first, second] = &mut sockets;
    let event = first.next().await;
    assert_eq!(event["data"]["name"], "Hall 1");
    assert_eq!(second.next().await, event, "the same, id included");
}

#[tokio::test]
async fn events_of_concurrent_writers_arrive_complete_and_in_order() {
    const WRITERS: usize = 8;
    const CHANGES: usize = 12;
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let mut areas = Vec::new();
    for _ in 0..WRITERS {
        areas.push(admin.create_area("Kitchen").await);
    }
    let all: Vec<_> = areas.iter().map(String::as_str).collect();
    let tablet = daemon.pair("Wall", &all).await;
    let mut socket = daemon.listen(&tablet.token).await;
    let token = daemon.token(json!({ "role": "admin", "name": "w" })).await;
    let mut admin_socket = daemon.listen(token["token"].as_str().unwrap()).await;
    let writers: Vec<_> = areas
        .into_iter()
        .map(|area| {
            let admin = admin.clone();
            tokio::spawn(async move {
                for n in 0..CHANGES {
                    rename(&admin, &area, n).await;
                }
            })
        })
        .collect();
    let mut events = Vec::new();
    for _ in 0..WRITERS * CHANGES {
        let event = socket.next_of("area_updated").await;
        assert_eq!(admin_socket.next_of("area_updated").await, event);
        events.push(event);
    }
    for writer in writers {
        writer.await.expect("the writer finishes");
    }
    let ids = ids(&events);
    assert_increasing(&ids);
    let range = ids.last().unwrap() - ids[0];
    assert_eq!(range as usize + 1, ids.len(), "ids without holes");
    socket.assert_nothing_received().await;
}

/// Starts four writers that change an area. Await the returned function to stop them.
fn start_writers(admin: &Api, area: &str) -> impl AsyncFnOnce() {
    let running = Arc::new(AtomicBool::new(true));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (admin, area, running) = (admin.clone(), area.to_owned(), running.clone());
            tokio::spawn(async move {
                let mut n = writer;
                while running.load(Ordering::Relaxed) {
                    rename(&admin, &area, n).await;
                    n += 4;
                }
            })
        })
        .collect();
    async move || {
        running.store(false, Ordering::Relaxed);
        for writer in writers {
            writer.await.expect("the writer finishes");
        }
    }
}

async fn revoke(admin: &Api, tablet: &Tablet) {
    let path = format!("/api/clients/{}/revoke", tablet.id);
    admin.post(&path, json!({})).await.expect(200);
}

#[tokio::test]
async fn revoked_tablet_under_load_receives_only_token_revoked() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let mut socket = daemon.listen(&tablet.token).await;
    let token = daemon.token(json!({ "role": "admin", "name": "w" })).await;
    let mut admin_socket = daemon.listen(token["token"].as_str().unwrap()).await;
    let stop = start_writers(&admin, &area);
    for _ in 0..10 {
        socket.next_of("area_updated").await;
    }
    revoke(&admin, &tablet).await;
    // The writers continue after the response to the revoke.
    let revoked = admin_socket.next_of("client_revoked").await["id"].as_i64();
    for _ in 0..10 {
        admin_socket.next_of("area_updated").await;
    }
    stop().await;

    let (events, code) = socket.rest().await;
    assert_eq!(code, Some(4403));
    let (last, before) = events.split_last().expect("a final event");
    assert_eq!(last["type"], "token_revoked");
    let ids = ids(before);
    assert_eq!(ids.len(), before.len(), "{before:?}");
    assert_increasing(&ids);
    assert!(ids.iter().all(|id| Some(*id) < revoked));
}

#[tokio::test]
async fn revoke_discards_events_queued_for_a_stalled_tablet() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = create_wide_area(&admin, 200).await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let mut stalled = Socket::open_with_small_buffer(&daemon, &tablet.token).await;
    for n in 0..MANY {
        rename(&admin, &area, n).await;
    }
    revoke(&admin, &tablet).await;
    rename(&admin, &area, MANY).await;
    // A partly written frame cannot be taken back, so the connection ends without a close frame. The queued
    // events behind it must not arrive.
    let (events, code) = stalled.rest().await;
    assert_eq!(code, None);
    let ids = ids(&events);
    assert_eq!(ids.len(), events.len() - 1, "all but the welcome");
    assert_increasing(&ids);
    assert!(
        !ids.is_empty() && ids.len() < MANY,
        "{} received",
        ids.len()
    );
}

#[tokio::test]
async fn stalled_socket_does_not_delay_others() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = create_wide_area(&admin, 200).await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let other = daemon.pair("Other", &[&area]).await;
    let _stalled = [
        Socket::open_with_small_buffer(&daemon, &tablet.token).await,
        Socket::open_with_small_buffer(&daemon, &other.token).await,
    ];
    let mut sockets = [
        daemon.listen(&tablet.token).await,
        daemon.listen(&other.token).await,
    ];
    for n in 0..300 {
        rename(&admin, &area, n).await;
        for socket in &mut sockets {
            assert_eq!(socket.next().await["data"]["name"], format!("Hall {n}"));
        }
    }
}

#[tokio::test]
async fn slow_tablet_receives_every_event_once_in_order() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = create_wide_area(&admin, 500).await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let mut slow = Socket::open_with_small_buffer(&daemon, &tablet.token).await;
    let mut events = Vec::new();
    for n in 0..MANY {
        rename(&admin, &area, n).await;
        // Reading now and then keeps the client slow rather than stalled.
        if n % 10 == 9 {
            events.push(slow.next_of("area_updated").await);
        }
    }
    while events.len() < MANY {
        events.push(slow.next_of("area_updated").await);
    }
    for (n, event) in events.iter().enumerate() {
        assert_eq!(event["data"]["name"], format!("Hall {n}"));
    }
    assert_increasing(&ids(&events));
    rename(&admin, &area, MANY).await;
    assert_eq!(
        slow.next().await["data"]["name"],
        format!("Hall {MANY}"),
        "live again"
    );
    slow.assert_nothing_received().await;
}
