//! Connections are cut, and stay away while events are told; others are left half-open, and their
//! tablets come back while the daemon still holds the old one.

use crate::house::{House, Size};
use crate::support::{PATIENCE, until};

const DROPS: usize = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_twice_or_out_of_order_however_often_connections_fail() {
    let mut house = House::open(Size {
        has_proxies: true,
        ..Size::default()
    })
    .await;
    for _ in 0..DROPS {
        let tablets = house.some_tablets();
        let others = house.some_tablets();
        house.cut(&tablets);
        // A drop lasts until so many events were published meanwhile.
        let changes = 1 + house.chance.below(150);
        house.orders.more(changes).await;
        house.leave_half_open(&others);
        house.mend(&tablets);
        if house.chance.one_in(2) {
            let changes = 1 + house.chance.below(50);
            house.orders.more(changes).await;
        }
    }
    house.reconcile().await.nothing_lost();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tablet_takes_the_place_of_its_half_open_twin_at_once() {
    let mut house = House::open(Size {
        writers: 0,
        has_proxies: true,
        ..Size::default()
    })
    .await;
    let all: Vec<_> = (0..house.tablets.len()).collect();
    for round in 0..4 {
        house.leave_half_open(&all);
        let told = house.milestone(&format!("half-open {round}")).await;
        for tablet in &house.tablets {
            // Between two polls a polling session goes on by another connection, and has no twin.
            assert!(tablet.ears.reaches(told, PATIENCE).await, "it came back");
            // By itself the daemon gives a silent peer up after 45 seconds and more.
            until("the end of the twin", async || {
                (house.sessions(tablet).await == 1).then_some(())
            })
            .await;
        }
        house.mark(&format!("alone {round}")).await;
    }
    house.reconcile().await.nothing_lost();
}
