//! Tablets that read nothing, or slowly, while many large events are published
//! (docs/protocol.md#back-pressure).

use std::time::Duration;

use crate::load_test::{LoadConfig, LoadTest};
use crate::support::until;
use crate::tablet::{Dialect, Tablet};

/// Area changes of about 8 KB each: more than the kernel's socket buffers hold, and many times what an
/// outbox holds.
const BURST_CHANGES: usize = 500;
const BURSTS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(30);

async fn start_with_large_events() -> LoadTest {
    // One tablet of each dialect that will stop reading, and one that keeps reading.
    let tablets = [&Dialect::ALL[..], &[Dialect::Json]].concat();
    LoadTest::start(LoadConfig {
        tablets,
        areas: 1,
        entities: 65,
        share: 1,
        assigns: false,
        is_narrow: true,
        ..LoadConfig::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stuck_tablet_gets_all_events_and_delays_no_other() {
    let test = start_with_large_events().await;
    let (stuck, quick) = test.tablets.split_at(Dialect::ALL.len());
    for burst in 0..BURSTS {
        for tablet in stuck {
            tablet.receiver.pause_reading();
        }
        test.writes.wait_for(BURST_CHANGES).await;
        let last = test.publish_marker(&format!("burst {burst}")).await;
        for tablet in quick {
            assert!(
                tablet.receiver.wait_for_event(last, PATIENCE).await,
                "it was delayed"
            );
        }
        for tablet in stuck {
            assert!(tablet.receiver.last_id() < last, "it does not read");
            tablet.receiver.resume_reading();
        }
        for tablet in stuck {
            assert!(
                tablet.receiver.wait_for_event(last, PATIENCE).await,
                "it caught up"
            );
        }
    }
    for tablet in &test.tablets {
        assert_eq!(tablet.receiver.connections(), 1, "no connection was closed");
    }
    test.finish().await.assert_nothing_lost();
}

/// Takes ten seconds, the write timeout that it tests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_tablet_is_closed_after_ten_seconds_and_resumes() {
    let test = start_with_large_events().await;
    // A polling session has no open connection that could stall.
    let can_stall = |tablet: &&Tablet| tablet.dialect != Dialect::Polling;
    let (stuck, _) = test.tablets.split_at(Dialect::ALL.len());
    let stuck: Vec<_> = stuck.iter().filter(can_stall).collect();
    for tablet in &stuck {
        tablet.receiver.pause_reading();
    }
    test.writes.wait_for(BURST_CHANGES).await;
    test.writes.stop();
    for tablet in &stuck {
        until("the end of a stalled session", async || {
            (test.sessions(tablet).await == 0).then_some(())
        })
        .await;
        tablet.receiver.resume_reading();
    }
    for tablet in &stuck {
        tablet.receiver.wait_for_connections(2).await;
    }
    test.finish().await.assert_nothing_lost();
}

/// Takes 15 seconds: longer than the ten seconds after which a stalled connection is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_tablet_is_late_but_never_disconnected() {
    let test = start_with_large_events().await;
    let (slow, _) = test.tablets.split_at(Dialect::ALL.len());
    for tablet in slow {
        // About 40 KB per second. Much less, and the loopback, whose packets are 64 KB, would
        // transfer nothing for ten seconds.
        tablet.receiver.set_read_delay(Duration::from_millis(200));
    }
    test.writes.wait_for(BURST_CHANGES).await;
    test.writes.stop();
    tokio::time::sleep(Duration::from_secs(15)).await;
    for tablet in slow {
        tablet.receiver.set_read_delay(Duration::ZERO);
    }
    let last = test.publish_marker("slow").await;
    for tablet in slow {
        assert!(
            tablet.receiver.wait_for_event(last, PATIENCE).await,
            "it caught up"
        );
        assert_eq!(
            tablet.receiver.connections(),
            1,
            "{}",
            tablet.dialect.name()
        );
    }
    test.finish().await.assert_nothing_lost();
}
