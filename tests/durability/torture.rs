//! Random faults for ten minutes: kills, cut and half-open connections, paused and slow readers. Run it
//! with `make torture`.

use std::time::{Duration, Instant};

use crate::load_test::{LoadConfig, LoadTest};
use crate::tablet::Dialect;

/// Length of the run unless `WALLCAST_TORTURE_SECONDS` says otherwise.
const SECONDS: u64 = 600;
/// How long a tablet whose connection was cut cannot reconnect.
const CUT_LENGTH: Duration = Duration::from_secs(2);
/// Milliseconds that a tablet reads nothing, at most. Some pauses exceed the ten seconds after which the
/// daemon closes a stalled connection (docs/protocol.md#back-pressure).
const MAX_PAUSE_MILLIS: usize = 12_000;
const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// Keeps the whole run in the history, which is compared with the received events at the end.
const UNLIMITED_HISTORY: &[(&str, &str)] =
    &[("HISTORY_EVENTS", "10000000"), ("HISTORY_DAYS", "3650")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs for ten minutes: make torture"]
async fn torture() {
    let length = match std::env::var("WALLCAST_TORTURE_SECONDS") {
        Ok(text) => text.parse().expect("WALLCAST_TORTURE_SECONDS is a number"),
        Err(_) => SECONDS,
    };
    let mut test = LoadTest::start(LoadConfig {
        tablets: Dialect::ALL.repeat(4),
        writers: 6,
        areas: 4,
        entities: 8,
        pause: 40,
        has_proxies: true,
        is_narrow: true,
        options: UNLIMITED_HISTORY,
        ..LoadConfig::default()
    })
    .await;
    let began = Instant::now();
    let mut reported = began;
    while began.elapsed() < Duration::from_secs(length) {
        inject_fault(&mut test).await;
        let pause = test.random.below(1000) as u64;
        tokio::time::sleep(Duration::from_millis(pause)).await;
        if reported.elapsed() >= REPORT_INTERVAL {
            reported = Instant::now();
            println!(
                "{} of {length} s: {}",
                began.elapsed().as_secs(),
                test.progress()
            );
        }
    }
    test.stop_faults();
    test.finish().await.assert_nothing_lost();
}

/// Injects one random fault.
async fn inject_fault(test: &mut LoadTest) {
    let tablets = test.random_tablets();
    match test.random.below(6) {
        0 | 1 => test.kill().await,
        2 => {
            test.cut(&tablets);
            test.restore_after(&tablets, CUT_LENGTH);
        }
        3 => test.leave_half_open(&tablets),
        4 => {
            let length = Duration::from_millis(test.random.below(MAX_PAUSE_MILLIS) as u64);
            test.pause_reading_for(&tablets, length);
        }
        _ => {
            // From no delay to 20 messages per second.
            let delay = Duration::from_millis(test.random.below(50) as u64);
            test.set_read_delay(&tablets, delay);
        }
    }
}
