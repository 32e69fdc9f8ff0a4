//! How events reach sockets: all of them, in order, to every session; none after a revoke; and a
//! slow one delays nobody (contract 4.4, 4.6, section 5 and 6.2).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::{Api, Daemon, Socket, Tablet, soon};

/// Changes of a wide area, about 60 KB each, that are more than the kernel keeps for a socket.
const MANY: usize = 110;

/// Makes an area of so many entities that each of its events has about 120 bytes for every one.
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

fn ids(events: &[Value]) -> Vec<i64> {
    let events = events
        .iter()
        .filter(|event| event["type"] == "area_updated");
    events.map(|event| event["id"].as_i64().unwrap()).collect()
}

#[track_caller]
fn assert_rising(ids: &[i64]) {
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
}

#[tokio::test]
async fn every_session_of_a_client_gets_each_event_and_an_old_ones_end_takes_none_away() {
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
    soon("the old session's end", async {
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
async fn events_of_many_writers_come_in_the_order_of_their_ids_and_all_of_them() {
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
    let watcher = daemon.token(json!({ "role": "admin", "name": "w" })).await;
    let mut watcher = daemon.listen(watcher["token"].as_str().unwrap()).await;
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
    let mut told = Vec::new();
    for _ in 0..WRITERS * CHANGES {
        let event = socket.next_of("area_updated").await;
        assert_eq!(watcher.next_of("area_updated").await, event);
        told.push(event);
    }
    for writer in writers {
        writer.await.expect("the writer finishes");
    }
    let ids = ids(&told);
    assert_rising(&ids);
    let range = ids.last().unwrap() - ids[0];
    assert_eq!(range as usize + 1, ids.len(), "ids without holes");
    socket.assert_nothing_received().await;
}

/// Four writers that change an area until they are told to stop.
fn flood(admin: &Api, area: &str) -> impl AsyncFnOnce() {
    let goes_on = Arc::new(AtomicBool::new(true));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (admin, area, goes_on) = (admin.clone(), area.to_owned(), goes_on.clone());
            tokio::spawn(async move {
                let mut n = writer;
                while goes_on.load(Ordering::Relaxed) {
                    rename(&admin, &area, n).await;
                    n += 4;
                }
            })
        })
        .collect();
    async move || {
        goes_on.store(false, Ordering::Relaxed);
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
async fn a_tablet_under_a_flood_hears_nothing_after_its_revoke_but_token_revoked() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let mut socket = daemon.listen(&tablet.token).await;
    let watcher = daemon.token(json!({ "role": "admin", "name": "w" })).await;
    let mut watcher = daemon.listen(watcher["token"].as_str().unwrap()).await;
    let stop = flood(&admin, &area);
    for _ in 0..10 {
        socket.next_of("area_updated").await;
    }
    revoke(&admin, &tablet).await;
    // The flood goes on after the answer.
    let revoked = watcher.next_of("client_revoked").await["id"].as_i64();
    for _ in 0..10 {
        watcher.next_of("area_updated").await;
    }
    stop().await;

    let (told, code) = socket.rest().await;
    assert_eq!(code, Some(4403));
    let (last, before) = told.split_last().expect("it was told at least that");
    assert_eq!(last["type"], "token_revoked");
    let ids = ids(before);
    assert_eq!(ids.len(), before.len(), "{before:?}");
    assert_rising(&ids);
    assert!(ids.iter().all(|id| Some(*id) < revoked));
}

#[tokio::test]
async fn what_waited_for_a_tablet_that_does_not_read_is_dropped_by_its_revoke() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = create_wide_area(&admin, 200).await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let mut stuck = Socket::open_with_small_buffer(&daemon, &tablet.token).await;
    for n in 0..MANY {
        rename(&admin, &area, n).await;
    }
    revoke(&admin, &tablet).await;
    rename(&admin, &area, MANY).await;
    // A frame was stuck half-way: only the connection's end keeps back the rest of it, and of those
    // that were queued behind it.
    let (told, code) = stuck.rest().await;
    assert_eq!(code, None);
    let ids = ids(&told);
    assert_eq!(ids.len(), told.len() - 1, "all but the first words");
    assert_rising(&ids);
    assert!(!ids.is_empty() && ids.len() < MANY, "{} came", ids.len());
}

#[tokio::test]
async fn a_socket_that_never_reads_delays_nobody_else() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = create_wide_area(&admin, 200).await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let other = daemon.pair("Other", &[&area]).await;
    let _stuck = [
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
async fn a_tablet_that_was_slow_gets_everything_once_and_in_order() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = create_wide_area(&admin, 500).await;
    let tablet = daemon.pair("Wall", &[&area]).await;
    let mut slow = Socket::open_with_small_buffer(&daemon, &tablet.token).await;
    let mut told = Vec::new();
    for n in 0..MANY {
        rename(&admin, &area, n).await;
        // However long all of this takes, it is slow and not stuck.
        if n % 10 == 9 {
            told.push(slow.next_of("area_updated").await);
        }
    }
    while told.len() < MANY {
        told.push(slow.next_of("area_updated").await);
    }
    for (n, event) in told.iter().enumerate() {
        assert_eq!(event["data"]["name"], format!("Hall {n}"));
    }
    assert_rising(&ids(&told));
    rename(&admin, &area, MANY).await;
    assert_eq!(
        slow.next().await["data"]["name"],
        format!("Hall {MANY}"),
        "live again"
    );
    slow.assert_nothing_received().await;
}
