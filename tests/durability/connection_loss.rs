//! Connections are cut and stay away while events are published. Others are left half-open, and their
//! tablets reconnect while the daemon still keeps the old connection.

use crate::load_test::{LoadConfig, LoadTest};
use crate::support::{PATIENCE, until};

const DROPS: usize = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_connection_loss_loses_and_reorders_no_event() {
    let mut test = LoadTest::start(LoadConfig {
        has_proxies: true,
        ..LoadConfig::default()
    })
    .await;
    for _ in 0..DROPS {
        let tablets = test.random_tablets();
        let others = test.random_tablets();
        test.cut(&tablets);
        // The tablets stay away until this many changes were made.
        let changes = 1 + test.random.below(150);
        test.writes.wait_for(changes).await;
        test.leave_half_open(&others);
        test.restore(&tablets);
        if test.random.one_in(2) {
            let changes = 1 + test.random.below(50);
            test.writes.wait_for(changes).await;
        }
    }
    test.finish().await.assert_nothing_lost();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconnect_replaces_half_open_session_at_once() {
    let mut test = LoadTest::start(LoadConfig {
        writers: 0,
        has_proxies: true,
        ..LoadConfig::default()
    })
    .await;
    let all: Vec<_> = (0..test.tablets.len()).collect();
    for round in 0..4 {
        test.leave_half_open(&all);
        let event = test.publish_marker(&format!("half-open {round}")).await;
        for tablet in &test.tablets {
            // A polling session continues on another connection between two polls, without a duplicate session.
            assert!(
                tablet.receiver.wait_for_event(event, PATIENCE).await,
                "it reconnected"
            );
            // Without the takeover, the daemon would close a silent connection after 45 seconds or later.
            until("the end of the half-open session", async || {
                (test.sessions(tablet).await == 1).then_some(())
            })
            .await;
        }
        test.rename_marker(&format!("one session {round}")).await;
    }
    test.finish().await.assert_nothing_lost();
}
