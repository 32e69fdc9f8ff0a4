//! Everything at once and for long: kills, cuts, half-open connections, naps and slow readers.
//! `make torture` runs it.

use std::time::{Duration, Instant};

use crate::house::{House, Size};
use crate::tablet::Dialect;

/// How long it lasts unless `WALLCAST_TORTURE_SECONDS` says otherwise.
const SECONDS: u64 = 600;
/// How long a tablet whose connection was cut stays away.
const DROP: Duration = Duration::from_secs(2);
/// Longer than that is a peer which takes nothing given up (contract 4.6).
const NAP: usize = 12_000;
const REPORT: Duration = Duration::from_secs(10);
/// Everything that happens in such a run is to be found in its history at the end.
const NOTHING_IS_DROPPED: &[(&str, &str)] =
    &[("HISTORY_EVENTS", "10000000"), ("HISTORY_DAYS", "3650")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs for ten minutes: make torture"]
async fn torture() {
    let length = match std::env::var("WALLCAST_TORTURE_SECONDS") {
        Ok(text) => text.parse().expect("WALLCAST_TORTURE_SECONDS is a number"),
        Err(_) => SECONDS,
    };
    let mut house = House::open(Size {
        tablets: Dialect::ALL.repeat(4),
        writers: 6,
        areas: 4,
        entities: 8,
        pause: 40,
        has_proxies: true,
        is_narrow: true,
        options: NOTHING_IS_DROPPED,
        ..Size::default()
    })
    .await;
    let began = Instant::now();
    let mut reported = began;
    while began.elapsed() < Duration::from_secs(length) {
        torment(&mut house).await;
        let pause = house.chance.below(1000) as u64;
        tokio::time::sleep(Duration::from_millis(pause)).await;
        if reported.elapsed() >= REPORT {
            reported = Instant::now();
            println!(
                "{} of {length} s: {}",
                began.elapsed().as_secs(),
                house.progress()
            );
        }
    }
    house.calm();
    house.reconcile().await.nothing_lost();
}

/// One of the things that happen to a house.
async fn torment(house: &mut House) {
    let tablets = house.some_tablets();
    match house.chance.below(6) {
        0 | 1 => house.kill().await,
        2 => {
            house.cut(&tablets);
            house.mend_after(&tablets, DROP);
        }
        3 => house.leave_half_open(&tablets),
        4 => {
            let length = Duration::from_millis(house.chance.below(NAP) as u64);
            house.nap(&tablets, length);
        }
        _ => {
            // Between no time at all and 20 messages a second.
            let pace = Duration::from_millis(house.chance.below(50) as u64);
            house.walk(&tablets, pace);
        }
    }
}
