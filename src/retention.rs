//! Deletes old rows, a few at a time. Knows how long each kind of data is kept; the modules that
//! own the tables delete the rows. Writes nothing if nothing is old.

use std::time::Duration;

use wallcast_core::clock::Timestamp;
use wallcast_core::shutdown::Shutdown;
use wallcast_core::store::{Store, StoreError, WriteTx};
use wallcast_core::{audit, history, idempotency};

use crate::config::Config;
use crate::{board, commands, help, messages, tokens};

/// Interval between two checks for old rows.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Delay after the store refused a write.
const AFTER_FAILURE: Duration = Duration::from_secs(60);
/// Rows deleted per table and transaction, so that other writes do not wait long.
const BATCH_ROWS: usize = 500;
/// Pause between two transactions while more rows are old: leaves time for other writes, and still
/// deletes about 10,000 events per second.
const BATCH_PAUSE: Duration = Duration::from_millis(25);
/// Cut-off times are rounded down to this, so that an idle server writes at most once per hour and
/// not once per row.
const CUTOFF_GRANULARITY_MS: i64 = 60 * 60 * 1000;

/// How long data is kept (`docs/protocol.md#options`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetentionLimits {
    history: Duration,
    events: u32,
    archive: Duration,
}

impl RetentionLimits {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            history: config.history_life,
            events: config.history_events,
            archive: config.archive_life,
        }
    }
}

/// Runs until the daemon stops.
pub(crate) async fn run(store: Store, limits: RetentionLimits, shutdown: Shutdown) {
    let mut wait = Duration::ZERO;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shutdown.begun() => return,
        }
        wait = match store
            .write(move |tx| Ok::<_, StoreError>(delete_batch(tx, limits)?))
            .await
        {
            Ok(BatchOutcome::MoreToDelete) => BATCH_PAUSE,
            Ok(BatchOutcome::Done) => CHECK_INTERVAL,
            Err(StoreError::Stopped) => return,
            Err(error) => {
                tracing::warn!(%error, "old rows not deleted");
                AFTER_FAILURE
            }
        };
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BatchOutcome {
    MoreToDelete,
    Done,
}

fn delete_batch(tx: &mut WriteTx<'_>, limits: RetentionLimits) -> rusqlite::Result<BatchOutcome> {
    let now = tx.now();
    let archive = cutoff(now, limits.archive);
    let deleted = [
        history::trim(
            tx.connection(),
            cutoff(now, limits.history),
            limits.events,
            BATCH_ROWS,
        )?,
        history::delete_old_rooms(tx.connection(), cutoff(now, limits.history), BATCH_ROWS)?,
        tokens::delete_ended(tx, archive, BATCH_ROWS)?,
        audit::delete_before(tx, archive, BATCH_ROWS)?,
        board::incidents::delete_resolved(tx, archive, BATCH_ROWS)?,
        help::delete_resolved(tx, archive, BATCH_ROWS)?,
        commands::delete_finished(tx, archive, BATCH_ROWS)?,
        messages::delete_old(tx, archive, BATCH_ROWS)?,
        idempotency::delete_before(tx, cutoff(now, idempotency::LIFE), BATCH_ROWS)?,
    ];
    Ok(if deleted.iter().any(|rows| *rows >= BATCH_ROWS) {
        BatchOutcome::MoreToDelete
    } else {
        BatchOutcome::Done
    })
}

/// `now` minus `life`, rounded down to the hour.
fn cutoff(now: Timestamp, life: Duration) -> Timestamp {
    let life = i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
    let cutoff = now.unix_ms().saturating_sub(life);
    Timestamp::from_unix_ms(cutoff - cutoff.rem_euclid(CUTOFF_GRANULARITY_MS))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use wallcast_core::event::{EventType, NewEvent, Topic};
    use wallcast_core::hub::Hub;
    use wallcast_core::store::DataFolder;

    const DAY: Duration = Duration::from_secs(86_400);

    struct TestStore {
        folder: tempfile::TempDir,
        store: Store,
        _folder_lock: DataFolder,
    }

    impl TestStore {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let folder_lock = DataFolder::claim(folder.path()).unwrap();
            let store = Store::open(&folder_lock, Arc::new(Hub::new())).unwrap();
            Self {
                folder,
                store,
                _folder_lock: folder_lock,
            }
        }

        async fn publish(&self, events: usize) {
            let published = self.store.write(move |tx| {
                for _ in 0..events {
                    let topics = vec![Topic::All, Topic::Admins];
                    tx.publish(NewEvent::new(EventType::AREA_UPDATED, &"x", topics))?;
                }
                Ok::<_, StoreError>(())
            });
            published.await.unwrap();
        }

        async fn run(&self, sql: &'static str) {
            let done = self
                .store
                .write(move |tx| Ok::<_, StoreError>(tx.connection().execute_batch(sql)?));
            done.await.unwrap();
        }

        async fn delete_batch(&self, limits: RetentionLimits) -> BatchOutcome {
            let batch = self
                .store
                .write(move |tx| Ok::<_, StoreError>(delete_batch(tx, limits)?));
            batch.await.unwrap()
        }

        async fn texts(&self, sql: &'static str) -> String {
            let read = self.store.read(move |db| {
                let text: Option<String> = db.query_row(sql, [], |row| row.get(0))?;
                Ok::<_, StoreError>(text.unwrap_or_default())
            });
            read.await.unwrap()
        }

        /// The database files' content.
        fn bytes(&self) -> Vec<Vec<u8>> {
            let read = |name: &str| std::fs::read(Path::join(self.folder.path(), name)).unwrap();
            vec![read("wallcast.db"), read("wallcast.db-wal")]
        }
    }

    fn limits(events: u32) -> RetentionLimits {
        RetentionLimits {
            history: 7 * DAY,
            events,
            archive: 90 * DAY,
        }
    }

    #[tokio::test]
    async fn batch_without_old_rows_writes_nothing() {
        let test = TestStore::new();
        test.publish(5).await;
        let before = test.bytes();
        assert_eq!(test.delete_batch(limits(5)).await, BatchOutcome::Done);
        assert!(test.bytes() == before, "the batch wrote to the disk");
        assert_eq!(test.delete_batch(limits(4)).await, BatchOutcome::Done);
        assert!(test.bytes() != before);
    }

    #[tokio::test]
    async fn many_old_events_are_deleted_in_batches() {
        let test = TestStore::new();
        test.publish(2 * BATCH_ROWS + 10).await;
        let mut steps = Vec::new();
        for _ in 0..3 {
            let outcome = test.delete_batch(limits(10)).await;
            let oldest = test
                .store
                .read(|db| Ok::<_, StoreError>(history::oldest_id(db)?));
            steps.push((oldest.await.unwrap().get(), outcome));
        }
        assert_eq!(
            steps,
            [
                (501, BatchOutcome::MoreToDelete),
                (1001, BatchOutcome::MoreToDelete),
                (1001, BatchOutcome::Done)
            ]
        );
    }

    #[tokio::test]
    async fn ended_tokens_and_old_audit_entries_are_deleted() {
        let test = TestStore::new();
        test.run(
            "CREATE TEMP TABLE days (name TEXT, expires INTEGER, revoked INTEGER);
                 INSERT INTO days VALUES
                   ('valid', 10, NULL), ('expired', -91, NULL), ('expired lately', -89, NULL),
                   ('revoked', 10, -91), ('revoked lately', 10, -89), ('refreshed', -91, -2);
                 INSERT INTO tokens (jti, role, subject, name, issued_at, expires_at, stands_until,
                                     revoked_at, created_by)
                 SELECT name, 'user', 'u', name, 0, at + 365 * 86400000, at + expires * 86400000,
                        at + revoked * 86400000, 'test'
                 FROM days, (SELECT unixepoch() * 1000 AS at);
                 INSERT INTO auth_sessions SELECT CAST(jti AS BLOB), jti, 0 FROM tokens;
                 INSERT INTO audit (at, actor, action, address, detail)
                 SELECT at + expires * 86400000, '', name, '', ''
                 FROM days, (SELECT unixepoch() * 1000 AS at);",
        )
        .await;
        assert_eq!(test.delete_batch(limits(10)).await, BatchOutcome::Done);
        let tokens = "SELECT group_concat(jti ORDER BY jti) FROM tokens";
        let kept = "expired lately,revoked lately,valid";
        assert_eq!(test.texts(tokens).await, kept);
        let sessions = "SELECT group_concat(jti ORDER BY jti) FROM auth_sessions";
        assert_eq!(test.texts(sessions).await, kept);
        let actions = "SELECT group_concat(action ORDER BY action) FROM audit";
        assert_eq!(
            test.texts(actions).await,
            "expired lately,revoked,revoked lately,valid"
        );
    }

    #[tokio::test]
    async fn old_resolved_incidents_are_deleted_with_updates() {
        let test = TestStore::new();
        test.run(
            "INSERT INTO incidents (id, title, description, status, severity, service_ids,
                                        created_at, updated_at, resolved_at)
                 SELECT column1, '', '', 'resolved', '', '[]', 0, 0,
                        unixepoch() * 1000 - column2 * 86400000
                 FROM (VALUES ('open', NULL), ('old', 91), ('late', 89));
                 INSERT INTO incident_updates SELECT id, 0, 'resolved', 'x', 0 FROM incidents;",
        )
        .await;
        assert_eq!(test.delete_batch(limits(10)).await, BatchOutcome::Done);
        for sql in [
            "SELECT group_concat(id ORDER BY id) FROM incidents",
            "SELECT group_concat(incident_id ORDER BY incident_id) FROM incident_updates",
        ] {
            assert_eq!(test.texts(sql).await, "late,open");
        }
    }

    #[tokio::test]
    async fn old_messages_and_empty_conversations_are_deleted() {
        let test = TestStore::new();
        test
            .run(
                "CREATE TEMP TABLE days (name TEXT, day INTEGER);
                 INSERT INTO days VALUES ('old', -91), ('new', -89);
                 INSERT INTO conversations (seq, id, one, other, platform, messages, updated_at)
                 VALUES (1, 'over', 'admin', 'user:a', 'wallcast', 1, unixepoch() * 1000 - 91 * 86400000),
                        (2, 'lasts', 'admin', 'user:b', 'wallcast', 2, unixepoch() * 1000);
                 INSERT INTO conversation_sides SELECT seq, other, updated_at FROM conversations;
                 INSERT INTO messages (id, conversation, sender, recipient, body, level, status, created_at)
                 SELECT name || c.seq, c.seq, 'admin', c.other, '', '', 0, unixepoch() * 1000 + day * 86400000
                 FROM days, conversations c WHERE c.seq = 2 OR day < -90;
                 INSERT INTO receipts SELECT seq, 'user:c', 1 FROM messages;
                 INSERT INTO people SELECT name, unixepoch() * 1000 + day * 86400000 FROM days;",
            )
            .await;
        assert_eq!(test.delete_batch(limits(10)).await, BatchOutcome::Done);
        for (kept, expected) in [
            ("SELECT group_concat(id) FROM messages", "new2"),
            (
                "SELECT group_concat(id || messages) FROM conversations",
                "lasts1",
            ),
            (
                "SELECT group_concat(party) FROM conversation_sides",
                "user:b",
            ),
            ("SELECT CAST(count(*) AS TEXT) FROM receipts", "1"),
            ("SELECT group_concat(user_id) FROM people", "new"),
        ] {
            assert_eq!(test.texts(kept).await, expected, "{kept}");
        }
    }

    #[tokio::test]
    async fn old_commands_and_help_requests_are_deleted() {
        let test = TestStore::new();
        test.run(
            "CREATE TEMP TABLE days (name TEXT, ended INTEGER);
                 INSERT INTO days VALUES ('old', -91), ('late', -89), ('open', NULL);
                 INSERT INTO help_requests (kiosk_id, category, status, created_at, updated_at)
                 SELECT 'k', name, iif(ended IS NULL, 'open', 'resolved'), 0,
                        coalesce(at + ended * 86400000, 0)
                 FROM days, (SELECT unixepoch() * 1000 AS at);
                 INSERT INTO commands (id, client_id, kiosk_id, type, event_id, created_at,
                                       expires_at, outcome, finished_at)
                 SELECT name, 'c', 'k', 'open', 1, 0, 0, iif(ended IS NULL, NULL, 'applied'),
                        at + ended * 86400000
                 FROM days, (SELECT unixepoch() * 1000 AS at);",
        )
        .await;
        assert_eq!(test.delete_batch(limits(10)).await, BatchOutcome::Done);
        let requests = "SELECT group_concat(category ORDER BY category) FROM help_requests";
        assert_eq!(test.texts(requests).await, "late,open");
        let commands = "SELECT group_concat(id ORDER BY id) FROM commands";
        assert_eq!(test.texts(commands).await, "late,open");
    }

    #[tokio::test]
    async fn old_rows_are_found_by_an_index() {
        let test = TestStore::new();
        for (table, condition) in [
            ("memberships", "until_event < 5"),
            ("session_rooms", "until_event < 5"),
            ("session_rooms", "ended_at < 5"),
            (
                "tokens",
                "min(stands_until, coalesce(revoked_at, stands_until)) < 5",
            ),
            ("audit", "at < 5"),
            ("answers", "created_at < 5"),
            ("incidents", "resolved_at < 5"),
            ("help_requests", "status = 'resolved' AND updated_at < 5"),
            ("commands", "finished_at < 5"),
            ("messages", "created_at < 5"),
            ("conversations", "updated_at < 5 AND messages = 0"),
            ("people", "last_seen_at < 5"),
        ] {
            let plan = test.store.read(move |db| {
                let sql = format!("EXPLAIN QUERY PLAN SELECT 1 FROM {table} WHERE {condition}");
                let plan: String = db.query_row(&sql, [], |row| row.get(3))?;
                Ok::<_, StoreError>(plan)
            });
            let plan = plan.await.unwrap();
            assert!(plan.starts_with("SEARCH"), "{plan}");
        }
    }

    #[test]
    fn cutoff_is_rounded_to_the_hour_and_not_negative() {
        let hour = |hour: i64| Timestamp::from_unix_ms(hour * CUTOFF_GRANULARITY_MS);
        let now = Timestamp::from_unix_ms(50 * CUTOFF_GRANULARITY_MS + 12_345);
        assert_eq!(cutoff(now, DAY), hour(26));
        assert_eq!(cutoff(hour(50), DAY), hour(26));
        assert_eq!(cutoff(hour(1), DAY), hour(0));
    }
}
