//! The writer: savepoints, batches, and the order of commit, listener and result.

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

/// A store in a temporary folder, and what its listener received.
struct TestStore {
    folder: TempDir,
    store: Store,
    received: Arc<Received>,
}

/// Records the event ids of each commit, and how many events another connection could read at that moment.
#[derive(Default)]
struct Received {
    ids: Mutex<Vec<i64>>,
    seen: Mutex<Vec<i64>>,
    outside: Mutex<Option<Connection>>,
}

impl Received {
    fn ids(&self) -> Vec<i64> {
        self.ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl CommitListener for Received {
    fn committed(&self, effects: Effects) {
        let ids = effects.events.iter().filter_map(Event::id);
        self.ids.lock().unwrap().extend(ids.map(EventId::get));
        if let Some(outside) = &*self.outside.lock().unwrap() {
            self.seen.lock().unwrap().push(rows(outside));
        }
    }
}

impl TestStore {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let received = Arc::new(Received::default());
        let data = DataFolder::claim(folder.path()).unwrap();
        let store = Store::open(&data, received.clone()).unwrap();
        *received.outside.lock().unwrap() = Some(outside(&folder));
        Self {
            folder,
            store,
            received,
        }
    }

    /// Blocks the writer until the returned sender is used or dropped. Writes that are queued meanwhile share one
    /// batch.
    async fn hold(&self) -> Sender<()> {
        let (release, released) = mpsc::channel();
        let (begin, begun) = tokio::sync::oneshot::channel();
        let store = self.store.clone();
        tokio::spawn(async move {
            let held = store.read_at_commit(move |_, _| {
                begin.send(()).unwrap();
                // An error means that the sender was dropped.
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

/// Another connection, which sees committed rows only.
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

/// Why a change in these tests fails.
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
    panic!("expected by the test")
}

fn break_sql(tx: &mut WriteTx<'_>) -> Result<i64, Refused> {
    publish(tx)?;
    let broken = tx
        .connection()
        .execute("INSERT INTO nowhere VALUES (1)", []);
    Err(Refused::ByStore(broken.unwrap_err().into()))
}

#[tokio::test]
async fn failing_change_in_batch_rolls_back_alone() {
    let test = TestStore::new();
    let release = test.hold().await;
    let store = &test.store;
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
    assert_eq!(kept, [1, 2, 3], "ids without gaps");
    assert!(matches!(refused, Err(Refused::ByItself)));
    assert!(matches!(
        panicked,
        Err(Refused::ByStore(StoreError::Panicked))
    ));
    assert!(matches!(
        broken,
        Err(Refused::ByStore(StoreError::Failed(_)))
    ));
    assert_eq!(
        test.received.ids(),
        [1, 2, 3],
        "the listener gets no other events"
    );
    assert_eq!(rows(&outside(&test.folder)), 3);
    assert_eq!(good().await.unwrap(), 4);
    assert!(store.is_writable());
}

fn fill_the_disk(tx: &mut WriteTx<'_>) -> Result<i64, StoreError> {
    let much = json!({ "much": "x".repeat(200_000) });
    let event = NewEvent::new(EventType::AREA_UPDATED, &much, vec![Topic::All]);
    Ok(tx.publish(event)?.get())
}

#[tokio::test]
async fn full_disk_fails_whole_batch_without_effects() {
    let test = TestStore::new();
    let store = &test.store;
    let limit_pages = store.write(|tx| {
        let query = |pragma: &str| tx.connection().query_row(pragma, [], |row| row.get(0));
        let pages: i64 = query("PRAGMA page_count")?;
        let most: i64 = query(&format!("PRAGMA max_page_count = {}", pages + 16))?;
        assert_eq!(most, pages + 16);
        publish(tx)
    });
    assert_eq!(limit_pages.await.unwrap(), 1);
    let release = test.hold().await;
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
    assert_eq!(rows(&outside(&test.folder)), 1);
    assert_eq!(test.received.ids(), [1]);
    assert_eq!(store.write(publish).await.unwrap(), 2, "no gap");
    assert_eq!(rows(&outside(&test.folder)), 2);
    assert_eq!(test.received.ids(), [1, 2]);
    assert!(store.is_writable());
}

#[tokio::test]
async fn panicking_read_stops_neither_thread() {
    let test = TestStore::new();
    let store = &test.store;
    let read = store.read_at_commit(|_, _| -> Result<(), StoreError> { panic!("in a read") });
    assert!(matches!(read.await, Err(StoreError::Stopped)));
    let read = store.read(|_| -> Result<(), StoreError> { panic!("in a query") });
    assert!(matches!(read.await, Err(StoreError::Stopped)));
    assert_eq!(store.write(publish).await.unwrap(), 1);
    let seen = store.read(|db| Ok::<_, StoreError>(rows(db))).await;
    assert_eq!(seen.unwrap(), 1);
}

#[tokio::test]
async fn write_returns_after_commit_of_its_batch() {
    let test = TestStore::new();
    let release = test.hold().await;
    let (second_runs, is_running) = mpsc::channel();
    let (go_on, may_go_on): (_, Receiver<()>) = mpsc::channel();
    let mut first = Box::pin(test.store.write(publish));
    let mut second = Box::pin(test.store.write(move |tx| {
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
    assert_eq!(rows(&outside(&test.folder)), 0);
    assert!(test.received.ids().is_empty());
    go_on.send(()).unwrap();
    assert_eq!(first.await.unwrap(), 1);
    assert_eq!(rows(&outside(&test.folder)), 2);
    assert_eq!(
        test.received.ids(),
        [1, 2],
        "the listener is called before the result"
    );
    assert_eq!(second.await.unwrap(), 2);
}

#[tokio::test]
async fn listener_is_called_in_commit_order_before_result() {
    let test = TestStore::new();
    let writes = (0..200).map(|_| async {
        let id = test.store.write(publish).await.unwrap();
        assert!(
            test.received.ids().contains(&id),
            "the listener is called before the result"
        );
    });
    join_all(writes).await;
    assert_eq!(test.received.ids(), (1..=200).collect::<Vec<_>>());
    let seen = test.received.seen.lock().unwrap();
    let behind = seen
        .iter()
        .zip(1..)
        .find(|(rows, received)| *rows < received);
    assert_eq!(
        behind, None,
        "events are committed before the listener gets them"
    );
}

#[tokio::test]
async fn change_without_effects_does_not_call_listener() {
    let test = TestStore::new();
    let nothing = test.store.write(|_| Ok::<_, StoreError>(()));
    nothing.await.unwrap();
    assert!(test.received.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn many_writers_share_few_commits() {
    let test = TestStore::new();
    let release = test.hold().await;
    let path = test.folder.path().join("wallcast.db");
    let writes = (0..300).map(|_| {
        let path = path.clone();
        // The number of committed rows that a change sees identifies its batch.
        test.store.write(move |tx| {
            publish(tx)?;
            Ok::<_, StoreError>(rows(&schema::open_read_only(&path).unwrap()))
        })
    });
    // Without this, tokio's cooperative budget would yield before all 300 are queued.
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
async fn read_at_commit_agrees_with_listener() {
    let test = TestStore::new();
    let read = || {
        let received = test.received.clone();
        move |db: &Connection, last: EventId| {
            let received = received.ids();
            let newest = received.last().copied().unwrap_or(0);
            Ok::<_, StoreError>((last.get(), newest, rows(db), history::last_id(db)?.get()))
        }
    };
    let reads = (0..100).map(|n| {
        let (store, read) = (test.store.clone(), read());
        async move {
            match n % 2 {
                0 => store.read_at_commit(read).await,
                _ => store.try_read_inline(read).await,
            }
        }
    });
    let writes = (0..100).map(|n| {
        test.store.write(move |tx| match n % 3 {
            0 => refuse(tx),
            _ => Ok(publish(tx)?),
        })
    });
    let (read_results, wrote) = tokio::join!(join_all(reads), join_all(writes));
    for read in read_results {
        let (last, received, rows, newest) = read.unwrap();
        assert_eq!([last; 3], [received, rows, newest]);
    }
    let kept = wrote.iter().filter(|written| written.is_ok()).count();
    assert_eq!(test.received.ids().len(), kept);
}

#[tokio::test]
async fn inline_read_waits_only_for_queued_writes() {
    let test = TestStore::new();
    let read_last = || {
        let read = |_: &Connection, last: EventId| Ok::<_, StoreError>(last.get());
        test.store.try_read_inline(read)
    };
    assert_eq!(test.store.write(publish).await.unwrap(), 1);
    // The writer thread may not have released the lock yet.
    let seen = loop {
        match read_last().now_or_never() {
            Some(seen) => break seen,
            None => std::thread::yield_now(),
        }
    };
    assert_eq!(seen.unwrap(), 1);

    let release = test.hold().await;
    let mut write = Box::pin(test.store.write(publish));
    assert!(write.as_mut().now_or_never().is_none());
    let mut waiting = Box::pin(read_last());
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(release);
    assert_eq!(write.await.unwrap(), 2);
    assert_eq!(
        waiting.await.unwrap(),
        2,
        "after the write that was queued before"
    );

    let panics = test
        .store
        .try_read_inline(|_, _| -> Result<(), StoreError> { panic!("in an inline read") });
    assert!(matches!(panics.await, Err(StoreError::Stopped)));
    assert_eq!(
        test.store.write(publish).await.unwrap(),
        3,
        "no transaction is left open"
    );
}

#[tokio::test]
async fn read_sees_every_returned_write() {
    let test = TestStore::new();
    for n in 1..=20 {
        assert_eq!(test.store.write(publish).await.unwrap(), n);
        let seen = test.store.read(|db| Ok::<_, StoreError>(rows(db)));
        assert_eq!(seen.await.unwrap(), n);
    }
}

#[tokio::test]
async fn reopened_store_continues_ids_and_epoch() {
    let TestStore {
        folder,
        store,
        received,
    } = TestStore::new();
    store.write(publish).await.unwrap();
    let epoch = store.epoch().clone();
    *received.outside.lock().unwrap() = None;
    store.close().await;
    let data = DataFolder::claim(folder.path()).unwrap();
    let store = Store::open(&data, received.clone()).unwrap();
    assert_eq!(store.write(publish).await.unwrap(), 2);
    assert_eq!(*store.epoch(), epoch);
}

#[tokio::test]
async fn membership_includes_events_of_both_its_changes() {
    let test = TestStore::new();
    let tablet = || Subject::Client("tablet".parse().unwrap());
    let kitchen = || Topic::Area("kitchen".parse().unwrap());
    let write = |joins: bool, leaves: bool, events: usize| {
        test.store.write(move |tx| {
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
    assert_eq!(
        test.memberships(),
        [(4, None)],
        "from the first event of its change"
    );
    write(false, false, 1).await.unwrap();
    write(false, true, 1).await.unwrap();
    assert_eq!(
        test.memberships(),
        [(4, Some(7))],
        "to the last event of its change"
    );

    // Join and leave in one change, then in two changes without an event.
    write(true, true, 1).await.unwrap();
    assert_eq!(test.memberships(), [(4, Some(7)), (8, Some(8))]);
    write(true, false, 0).await.unwrap();
    write(false, true, 0).await.unwrap();
    let empty = (9, Some(8));
    assert_eq!(test.memberships(), [(4, Some(7)), (8, Some(8)), empty]);
    write(true, false, 0).await.unwrap();
    assert_eq!(test.memberships()[2], (9, None));
}

#[tokio::test]
async fn failed_change_opens_no_membership() {
    let test = TestStore::new();
    let failed = test.store.write(|tx| {
        tx.join(
            Subject::Client("tablet".parse().unwrap()),
            Topic::Area("kitchen".parse().unwrap()),
        );
        refuse(tx)
    });
    assert!(failed.await.is_err());
    assert!(test.memberships().is_empty());
}
