//! Tablets that read nothing while a great many large events are told (contract 4.6).

use std::time::Duration;

use crate::house::{House, Size};
use crate::support::until;
use crate::tablet::{Dialect, Tablet};

/// Changes of areas, about 8 KB each, that are more than the kernel keeps for a socket, and many
/// times what an outbox does.
const MANY: usize = 500;
const BURSTS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(30);

async fn wide_house() -> House {
    // One of each dialect to be stuck, and one that is quick.
    let tablets = [&Dialect::ALL[..], &[Dialect::Json]].concat();
    House::open(Size {
        tablets,
        areas: 1,
        entities: 65,
        share: 1,
        gives: false,
        is_narrow: true,
        ..Size::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_tablet_gets_everything_in_order_and_delays_nobody() {
    let house = wide_house().await;
    let (stuck, quick) = house.tablets.split_at(Dialect::ALL.len());
    for burst in 0..BURSTS {
        for tablet in stuck {
            tablet.ears.sleep();
        }
        house.orders.more(MANY).await;
        let last = house.milestone(&format!("burst {burst}")).await;
        for tablet in quick {
            assert!(tablet.ears.reaches(last, PATIENCE).await, "it was delayed");
        }
        for tablet in stuck {
            assert!(tablet.ears.last() < last, "it reads nothing");
            tablet.ears.wake();
        }
        for tablet in stuck {
            assert!(tablet.ears.reaches(last, PATIENCE).await, "it caught up");
        }
    }
    for tablet in &house.tablets {
        assert_eq!(tablet.ears.connections(), 1, "none was cut off");
    }
    house.reconcile().await.nothing_lost();
}

/// This one takes the ten seconds that it is about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tablet_that_takes_nothing_for_ten_seconds_is_closed_and_comes_back() {
    let house = wide_house().await;
    // Polling has no connection that could stall.
    let can_stall = |tablet: &&Tablet| tablet.dialect != Dialect::Polling;
    let (stuck, _) = house.tablets.split_at(Dialect::ALL.len());
    let stuck: Vec<_> = stuck.iter().filter(can_stall).collect();
    for tablet in &stuck {
        tablet.ears.sleep();
    }
    house.orders.more(MANY).await;
    house.orders.end();
    for tablet in &stuck {
        until("the end of a stalled session", async || {
            (house.sessions(tablet).await == 0).then_some(())
        })
        .await;
        tablet.ears.wake();
    }
    for tablet in &stuck {
        tablet.ears.connected(2).await;
    }
    house.reconcile().await.nothing_lost();
}

/// This one takes longer than the ten seconds after which it might be thought to take nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tablet_that_takes_little_is_late_and_never_cut_off() {
    let house = wide_house().await;
    let (slow, _) = house.tablets.split_at(Dialect::ALL.len());
    for tablet in slow {
        // About 40 KB in a second. With much less the loopback, whose packets have 64 KB, would
        // itself bring nothing for ten seconds.
        tablet.ears.walk(Duration::from_millis(200));
    }
    house.orders.more(MANY).await;
    house.orders.end();
    tokio::time::sleep(Duration::from_secs(15)).await;
    for tablet in slow {
        tablet.ears.walk(Duration::ZERO);
    }
    let last = house.milestone("slow").await;
    for tablet in slow {
        assert!(tablet.ears.reaches(last, PATIENCE).await, "it caught up");
        assert_eq!(tablet.ears.connections(), 1, "{}", tablet.dialect.name());
    }
    house.reconcile().await.nothing_lost();
}
