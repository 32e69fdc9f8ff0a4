//! The writer by itself: savepoints, group commit, and the order of commit, hub and answer.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::auth::Subject;
use crate::event::{Event, EventType, NewEvent, Topic};
use crate::history;
use crate::store::{CommitListener, Effects};

/// A store of its own, and what its listener was told.
struct House {
    folder: TempDir,
    store: Store,
    told: Arc<Told>,
}

/// Keeps the ids that were told, and how many rows another reader could see at that moment.
#[derive(Default)]
struct Told {
    ids: Mutex<Vec<i64>>,
    seen: Mutex<Vec<i64>>,
    outside: Mutex<Option<Connection>>,
}

impl Told {
    fn ids(&self) -> Vec<i64> {
        self.ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl CommitListener for Told {
    fn committed(&self, effects: Effects) {
        let ids = effects.events.iter().filter_map(Event::id);
        self.ids.lock().unwrap().extend(ids.map(EventId::get));
        if let Some(outside) = &*self.outside.lock().unwrap() {
            self.seen.lock().unwrap().push(rows(outside));
        }
    }
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let told = Arc::new(Told::default());
        let data = DataFolder::claim(folder.path()).unwrap();
        let store = Store::open(&data, told.clone()).unwrap();
        *told.outside.lock().unwrap() = Some(outside(&folder));
        Self {
            folder,
            store,
            told,
        }
    }

    /// Keeps the writer busy until the returned sender is used or dropped: what is written
    /// meanwhile shares one batch.
    async fn hold(&self) -> Sender<()> {
        let (release, released) = mpsc::channel();
        let (begin, begun) = tokio::sync::oneshot::channel();
        let store = self.store.clone();
        tokio::spawn(async move {
            let held = store.read_at_commit(move |_, _| {
                begin.send(()).unwrap();
                // A dropped sender releases as well.
                let _ = released.recv();
                Ok::<_, StoreError>(())
            });
            held.await.unwrap();
        });
        begun.await.unwrap();
        release
    }

    fn memberships(&self) -> Vec<(i64, Option<i64>)> {
        let db = outside(&self.folder);
        let mut query = db
            .prepare("SELECT from_event, until_event FROM memberships ORDER BY from_event")
            .unwrap();
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().map(Result::unwrap).collect()
    }
}

/// A connection of somebody else, who sees what is committed.
fn outside(folder: &TempDir) -> Connection {
    schema::open_read_only(&folder.path().join("wallcast.db")).unwrap()
}

fn rows(db: &Connection) -> i64 {
    db.query_row("SELECT count(*) FROM events", [], |row| row.get(0))
        .unwrap()
}

fn publish(tx: &mut WriteTx<'_>) -> Result<i64, StoreError> {
    let event = NewEvent::new(EventType::AREA_UPDATED, &json!({}), vec![Topic::All]);
    Ok(tx.publish(event)?.get())
}

/// Why a change of these tests fails.
#[derive(Debug)]
enum Refused {
    ByItself,
    ByStore(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::ByStore(error)
    }
}

fn refuse(tx: &mut WriteTx<'_>) -> Result<i64, Refused> {
    publish(tx)?;
    Err(Refused::ByItself)
}

fn panic(tx: &mut WriteTx<'_>) -> Result<i64, Refused> {
    publish(tx)?;
    panic!("as it must in this test")
}

fn break_sql(tx: &mut WriteTx<'_>) -> Result<i64, Refused> {
    publish(tx)?;
    let broken = tx
        .connection()
        .execute("INSERT INTO nowhere VALUES (1)", []);
    Err(Refused::ByStore(broken.unwrap_err().into()))
}

#[tokio::test]
async fn a_failing_or_panicking_change_rolls_back_alone_and_leaves_no_hole() {
    let house = House::new();
    let release = house.hold().await;
    let store = &house.store;
    let good = || store.write(|tx| Ok::<_, Refused>(publish(tx)?));
    let batch = async {
        tokio::join!(
            good(),
            store.write(refuse),
            good(),
            store.write(panic),
            store.write(break_sql),
            good(),
        )
    };
    tokio::pin!(batch);
    assert!(batch.as_mut().now_or_never().is_none(), "all are queued");
    drop(release);
    let (first, refused, second, panicked, broken, third) = batch.await;
    let kept = [first, second, third].map(Result::unwrap);
    assert_eq!(kept, [1, 2, 3], "ids without holes");
    assert!(matches!(refused, Err(Refused::ByItself)));
    assert!(matches!(
        panicked,
        Err(Refused::ByStore(StoreError::Panicked))
    ));
    assert!(matches!(
        broken,
        Err(Refused::ByStore(StoreError::Failed(_)))
    ));
    assert_eq!(house.told.ids(), [1, 2, 3], "nobody hears of the others");
    assert_eq!(rows(&outside(&house.folder)), 3);
    assert_eq!(good().await.unwrap(), 4);
    assert!(store.is_writable());
}

fn fill_the_disk(tx: &mut WriteTx<'_>) -> Result<i64, StoreError> {
    let much = json!({ "much": "x".repeat(200_000) });
    let event = NewEvent::new(EventType::AREA_UPDATED, &much, vec![Topic::All]);
    Ok(tx.publish(event)?.get())
}

#[tokio::test]
async fn once_sqlite_ended_the_transaction_by_itself_nothing_more_of_the_batch_is_kept_or_told() {
    let house = House::new();
    let store = &house.store;
    let small_disk = store.write(|tx| {
        let ask = |pragma: &str| tx.connection().query_row(pragma, [], |row| row.get(0));
        let pages: i64 = ask("PRAGMA page_count")?;
        let most: i64 = ask(&format!("PRAGMA max_page_count = {}", pages + 16))?;
        assert_eq!(most, pages + 16);
        publish(tx)
    });
    assert_eq!(small_disk.await.unwrap(), 1);
    let release = house.hold().await;
    let batch = async {
        tokio::join!(
            store.write(publish),
            store.write(fill_the_disk),
            store.write(publish),
        )
    };
    tokio::pin!(batch);
    assert!(batch.as_mut().now_or_never().is_none(), "all are queued");
    drop(release);
    let (before, filling, after) = batch.await;
    for refused in [before, filling, after] {
        let unavailable = matches!(refused, Err(StoreError::Unavailable(_)));
        assert!(unavailable, "{refused:?}");
    }
    assert!(!store.is_writable());
    assert_eq!(rows(&outside(&house.folder)), 1);
    assert_eq!(house.told.ids(), [1]);
    assert_eq!(store.write(publish).await.unwrap(), 2, "no hole");
    assert_eq!(rows(&outside(&house.folder)), 2);
    assert_eq!(house.told.ids(), [1, 2]);
    assert!(store.is_writable());
}

#[tokio::test]
async fn a_panic_ends_nothing_but_its_own_change_also_between_commits_and_in_reads() {
    let house = House::new();
    let store = &house.store;
    let look = store.read_at_commit(|_, _| -> Result<(), StoreError> { panic!("in a look") });
    assert!(matches!(look.await, Err(StoreError::Stopped)));
    let read = store.read(|_| -> Result<(), StoreError> { panic!("in a query") });
    assert!(matches!(read.await, Err(StoreError::Stopped)));
    assert_eq!(store.write(publish).await.unwrap(), 1);
    let seen = store.read(|db| Ok::<_, StoreError>(rows(db))).await;
    assert_eq!(seen.unwrap(), 1);
}

#[tokio::test]
async fn nobody_is_answered_before_the_commit_that_holds_its_change() {
    let house = House::new();
    let release = house.hold().await;
    let (second_runs, is_running) = mpsc::channel();
    let (go_on, may_go_on): (_, Receiver<()>) = mpsc::channel();
    let mut first = Box::pin(house.store.write(publish));
    let mut second = Box::pin(house.store.write(move |tx| {
        second_runs.send(()).unwrap();
        may_go_on.recv().unwrap();
        publish(tx)
    }));
    assert!(first.as_mut().now_or_never().is_none());
    assert!(second.as_mut().now_or_never().is_none());
    drop(release);
    is_running.recv().unwrap();
    // The first change has run; its batch is not committed.
    assert!(first.as_mut().now_or_never().is_none());
    assert_eq!(rows(&outside(&house.folder)), 0);
    assert!(house.told.ids().is_empty());
    go_on.send(()).unwrap();
    assert_eq!(first.await.unwrap(), 1);
    assert_eq!(rows(&outside(&house.folder)), 2);
    assert_eq!(house.told.ids(), [1, 2], "the hub heard before the answer");
    assert_eq!(second.await.unwrap(), 2);
}

#[tokio::test]
async fn the_hub_hears_after_the_commit_in_its_order_and_before_the_answer() {
    let house = House::new();
    let writes = (0..200).map(|_| async {
        let id = house.store.write(publish).await.unwrap();
        assert!(house.told.ids().contains(&id), "told before it is answered");
    });
    join_all(writes).await;
    assert_eq!(house.told.ids(), (1..=200).collect::<Vec<_>>());
    let seen = house.told.seen.lock().unwrap();
    let behind = seen.iter().zip(1..).find(|(rows, told)| *rows < told);
    assert_eq!(behind, None, "what is told is committed");
}

#[tokio::test]
async fn a_change_that_tells_nothing_is_not_told() {
    let house = House::new();
    let nothing = house.store.write(|_| Ok::<_, StoreError>(()));
    nothing.await.unwrap();
    assert!(house.told.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn many_writers_share_few_commits() {
    let house = House::new();
    let release = house.hold().await;
    let path = house.folder.path().join("wallcast.db");
    let writes = (0..300).map(|_| {
        let path = path.clone();
        // What is committed when a change runs tells the batches apart.
        house.store.write(move |tx| {
            publish(tx)?;
            Ok::<_, StoreError>(rows(&schema::open_read_only(&path).unwrap()))
        })
    });
    // Tokio would let the others have a turn before all 300 are queued.
    let all = tokio::task::unconstrained(join_all(writes));
    tokio::pin!(all);
    assert!(all.as_mut().now_or_never().is_none(), "all are queued");
    drop(release);
    let mut committed: Vec<i64> = all.await.into_iter().map(Result::unwrap).collect();
    committed.sort_unstable();
    committed.dedup();
    assert_eq!(committed, [0, 256], "two commits for 300 changes");
}

#[tokio::test]
async fn between_two_commits_the_store_and_the_hub_are_of_one_moment() {
    let house = House::new();
    let look = || {
        let told = house.told.clone();
        move |db: &Connection, last: EventId| {
            let told = told.ids();
            let newest = told.last().copied().unwrap_or(0);
            Ok::<_, StoreError>((last.get(), newest, rows(db), history::last_id(db)?.get()))
        }
    };
    let looks = (0..100).map(|n| {
        let (store, look) = (house.store.clone(), look());
        async move {
            match n % 2 {
                0 => store.read_at_commit(look).await,
                _ => store.try_read_inline(look).await,
            }
        }
    });
    let writes = (0..100).map(|n| {
        house.store.write(move |tx| match n % 3 {
            0 => refuse(tx),
            _ => Ok(publish(tx)?),
        })
    });
    let (looked, wrote) = tokio::join!(join_all(looks), join_all(writes));
    for look in looked {
        let (last, told, rows, newest) = look.unwrap();
        assert_eq!([last; 3], [told, rows, newest]);
    }
    let kept = wrote.iter().filter(|written| written.is_ok()).count();
    assert_eq!(house.told.ids().len(), kept);
}

#[tokio::test]
async fn a_glance_waits_for_whoever_writes_and_for_nobody_else() {
    let house = House::new();
    let try_read_inline = || {
        let try_read_inline = |_: &Connection, last: EventId| Ok::<_, StoreError>(last.get());
        house.store.try_read_inline(try_read_inline)
    };
    assert_eq!(house.store.write(publish).await.unwrap(), 1);
    // The writing thread may be about to let go still.
    let seen = loop {
        match try_read_inline().now_or_never() {
            Some(seen) => break seen,
            None => std::thread::yield_now(),
        }
    };
    assert_eq!(seen.unwrap(), 1);

    let release = house.hold().await;
    let mut write = Box::pin(house.store.write(publish));
    assert!(write.as_mut().now_or_never().is_none());
    let mut waiting = Box::pin(try_read_inline());
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(release);
    assert_eq!(write.await.unwrap(), 2);
    assert_eq!(
        waiting.await.unwrap(),
        2,
        "as every look, after what was asked before"
    );

    let panics = house
        .store
        .try_read_inline(|_, _| -> Result<(), StoreError> { panic!("in a try_read_inline") });
    assert!(matches!(panics.await, Err(StoreError::Stopped)));
    assert_eq!(
        house.store.write(publish).await.unwrap(),
        3,
        "nothing is left open"
    );
}

#[tokio::test]
async fn a_read_sees_every_change_that_was_answered() {
    let house = House::new();
    for n in 1..=20 {
        assert_eq!(house.store.write(publish).await.unwrap(), n);
        let seen = house.store.read(|db| Ok::<_, StoreError>(rows(db)));
        assert_eq!(seen.await.unwrap(), n);
    }
}

#[tokio::test]
async fn ids_go_on_after_the_store_was_closed_and_opened_again() {
    let House {
        folder,
        store,
        told,
    } = House::new();
    store.write(publish).await.unwrap();
    let epoch = store.epoch().clone();
    *told.outside.lock().unwrap() = None;
    store.close().await;
    let data = DataFolder::claim(folder.path()).unwrap();
    let store = Store::open(&data, told.clone()).unwrap();
    assert_eq!(store.write(publish).await.unwrap(), 2);
    assert_eq!(*store.epoch(), epoch);
}

#[tokio::test]
async fn memberships_hold_a_changes_own_events_at_both_ends() {
    let house = House::new();
    let tablet = || Subject::Client("tablet".parse().unwrap());
    let kitchen = || Topic::Area("kitchen".parse().unwrap());
    let write = |joins: bool, leaves: bool, events: usize| {
        house.store.write(move |tx| {
            for _ in 0..events {
                publish(tx)?;
            }
            if joins {
                tx.join(tablet(), kitchen());
            }
            if leaves {
                tx.leave(tablet(), kitchen());
            }
            Ok::<_, StoreError>(())
        })
    };
    write(false, false, 3).await.unwrap();
    write(true, false, 2).await.unwrap();
    assert_eq!(house.memberships(), [(4, None)], "from its own first event");
    write(false, false, 1).await.unwrap();
    write(false, true, 1).await.unwrap();
    assert_eq!(house.memberships(), [(4, Some(7))], "to its own last one");

    // Both in one change, then both without an event between.
    write(true, true, 1).await.unwrap();
    assert_eq!(house.memberships(), [(4, Some(7)), (8, Some(8))]);
    write(true, false, 0).await.unwrap();
    write(false, true, 0).await.unwrap();
    let empty = (9, Some(8));
    assert_eq!(house.memberships(), [(4, Some(7)), (8, Some(8)), empty]);
    write(true, false, 0).await.unwrap();
    assert_eq!(house.memberships()[2], (9, None));
}

#[tokio::test]
async fn a_change_that_fails_opens_no_membership() {
    let house = House::new();
    let failed = house.store.write(|tx| {
        tx.join(
            Subject::Client("tablet".parse().unwrap()),
            Topic::Area("kitchen".parse().unwrap()),
        );
        refuse(tx)
    });
    assert!(failed.await.is_err());
    assert!(house.memberships().is_empty());
}
