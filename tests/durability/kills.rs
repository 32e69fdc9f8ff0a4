//! The daemon is killed again and again under load (SIGKILL: nothing is said, nothing is flushed).

use std::time::Duration;

use crate::house::{House, Size};

const KILLS: usize = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_twice_or_out_of_order_however_often_the_daemon_is_killed() {
    let mut house = House::open(Size::default()).await;
    let mut before = vec![0; house.tablets.len()];
    for _ in 0..KILLS {
        // Some kills fall into the tablets' coming back from the one before.
        match house.chance.below(4) {
            0 => {}
            1 => house.orders.more(1).await,
            _ => {
                house.all_back(&before).await;
                let changes = house.chance.below(400);
                house.orders.more(changes).await;
            }
        }
        // At once when a change was answered, at once when somebody was told, or at a moment that
        // nothing marks: whatever comes before its commit is then found out.
        match house.chance.below(3) {
            0 => {}
            1 => house.told().await,
            _ => {
                let moment = house.chance.below(30_000) as u64;
                tokio::time::sleep(Duration::from_micros(moment)).await;
            }
        }
        before = house.connections();
        house.kill().await;
    }
    house.all_back(&before).await;
    house.orders.more(100).await;
    let verdict = house.reconcile().await;
    assert_eq!(verdict.kills, KILLS);
    verdict.nothing_lost();
}
