//! The daemon is killed repeatedly under load. SIGKILL leaves it no time to close connections or flush.

use std::time::Duration;

use crate::load_test::{LoadConfig, LoadTest};

const KILLS: usize = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_kills_lose_and_reorder_no_event() {
    let mut test = LoadTest::start(LoadConfig::default()).await;
    let mut before = vec![0; test.tablets.len()];
    for _ in 0..KILLS {
        // Some kills happen while the tablets reconnect after the kill before.
        match test.random.below(4) {
            0 => {}
            1 => test.writes.wait_for(1).await,
            _ => {
                test.wait_for_reconnects(&before).await;
                let changes = test.random.below(400);
                test.writes.wait_for(changes).await;
            }
        }
        // Kill right after a response, right after an event was received, or at a random moment. An event
        // or response that is sent before its commit shows up as a fault then.
        match test.random.below(3) {
            0 => {}
            1 => test.wait_for_next_event().await,
            _ => {
                let micros = test.random.below(30_000) as u64;
                tokio::time::sleep(Duration::from_micros(micros)).await;
            }
        }
        before = test.connections();
        test.kill().await;
    }
    test.wait_for_reconnects(&before).await;
    test.writes.wait_for(100).await;
    let report = test.finish().await;
    assert_eq!(report.kills, KILLS);
    report.assert_nothing_lost();
}
