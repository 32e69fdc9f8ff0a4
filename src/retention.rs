//! Lets go of what is old, a few rows at a time. Knows how long things are kept; which rows they
//! are is known to the slice that keeps them. Writes nothing while nothing is old.

use std::time::Duration;

use crate::config::Config;
use crate::{board, commands, help, messages, tokens};
use wallcast_core::clock::Timestamp;
use wallcast_core::shutdown::Shutdown;
use wallcast_core::store::{Store, StoreError, WriteTx};
use wallcast_core::{audit, history, idempotency};

/// How often it is looked for what is old.
const EVERY: Duration = Duration::from_secs(5);
/// How long a store that cannot write is left alone.
const AFTER_FAILURE: Duration = Duration::from_secs(60);
/// Rows of each kind that go with one write, so that no other write waits long.
const AT_MOST: usize = 500;
/// Between two such writes: room for the others, and still some 10,000 events a second.
const BREATH: Duration = Duration::from_millis(25);
/// Moments are cut to this, so that a quiet house writes once an hour for what has grown old and
/// not once for each row.
const GRAIN_MS: i64 = 60 * 60 * 1000;

/// How long things are kept (contract section 8).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    history: Duration,
    events: u32,
    archive: Duration,
}

impl Keep {
    /// As the options say.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            history: config.history_life,
            events: config.history_events,
            archive: config.archive_life,
        }
    }
}

/// Serves until the daemon stops.
pub(crate) async fn run(store: Store, keep: Keep, shutdown: Shutdown) {
    let mut wait = Duration::ZERO;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shutdown.begun() => return,
        }
        wait = match store
            .write(move |tx| Ok::<_, StoreError>(step(tx, keep)?))
            .await
        {
            Ok(Left::Some) => BREATH,
            Ok(Left::Nothing) => EVERY,
            Err(StoreError::Stopped) => return,
            Err(error) => {
                tracing::warn!(%error, "what is old could not be deleted");
                AFTER_FAILURE
            }
        };
    }
}

/// Whether there is more to delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Some,
    Nothing,
}

fn step(tx: &mut WriteTx<'_>, keep: Keep) -> rusqlite::Result<Left> {
    let now = tx.now();
    let archive = before(now, keep.archive);
    let gone = [
        history::trim(
            tx.connection(),
            before(now, keep.history),
            keep.events,
            AT_MOST,
        )?,
        history::forget_rooms(tx.connection(), before(now, keep.history), AT_MOST)?,
        tokens::forget_ended(tx, archive, AT_MOST)?,
        audit::forget(tx, archive, AT_MOST)?,
        board::incidents::forget(tx, archive, AT_MOST)?,
        help::forget_resolved(tx, archive, AT_MOST)?,
        commands::forget_finished(tx, archive, AT_MOST)?,
        messages::forget(tx, archive, AT_MOST)?,
        idempotency::forget(tx, before(now, idempotency::LIFE), AT_MOST)?,
    ];
    Ok(if gone.iter().any(|gone| *gone >= AT_MOST) {
        Left::Some
    } else {
        Left::Nothing
    })
}

/// The moment a life ago, cut to the hour.
fn before(now: Timestamp, life: Duration) -> Timestamp {
    let life = i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
    let moment = now.unix_ms().saturating_sub(life);
    Timestamp::from_unix_ms(moment - moment.rem_euclid(GRAIN_MS))
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

    struct House {
        folder: tempfile::TempDir,
        store: Store,
        _held: DataFolder,
    }

    impl House {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let held = DataFolder::claim(folder.path()).unwrap();
            let store = Store::open(&held, Arc::new(Hub::new())).unwrap();
            Self {
                folder,
                store,
                _held: held,
            }
        }

        async fn publish(&self, events: usize) {
            let told = self.store.write(move |tx| {
                for _ in 0..events {
                    let topics = vec![Topic::All, Topic::Admins];
                    tx.publish(NewEvent::new(EventType::AREA_UPDATED, &"x", topics))?;
                }
                Ok::<_, StoreError>(())
            });
            told.await.unwrap();
        }

        async fn run(&self, sql: &'static str) {
            let done = self
                .store
                .write(move |tx| Ok::<_, StoreError>(tx.connection().execute_batch(sql)?));
            done.await.unwrap();
        }

        async fn step(&self, keep: Keep) -> Left {
            let step = self
                .store
                .write(move |tx| Ok::<_, StoreError>(step(tx, keep)?));
            step.await.unwrap()
        }

        async fn texts(&self, sql: &'static str) -> String {
            let read = self.store.read(move |db| {
                let text: Option<String> = db.query_row(sql, [], |row| row.get(0))?;
                Ok::<_, StoreError>(text.unwrap_or_default())
            });
            read.await.unwrap()
        }

        /// What of the database is on the disk.
        fn bytes(&self) -> Vec<Vec<u8>> {
            let read = |name: &str| std::fs::read(Path::join(self.folder.path(), name)).unwrap();
            vec![read("wallcast.db"), read("wallcast.db-wal")]
        }
    }

    fn keep(events: u32) -> Keep {
        Keep {
            history: 7 * DAY,
            events,
            archive: 90 * DAY,
        }
    }

    #[tokio::test]
    async fn nothing_is_written_while_nothing_is_old() {
        let house = House::new();
        house.publish(5).await;
        let before = house.bytes();
        assert_eq!(house.step(keep(5)).await, Left::Nothing);
        assert!(house.bytes() == before, "a step wrote to the disk");
        assert_eq!(house.step(keep(4)).await, Left::Nothing);
        assert!(house.bytes() != before);
    }

    #[tokio::test]
    async fn much_is_taken_in_small_steps() {
        let house = House::new();
        house.publish(2 * AT_MOST + 10).await;
        let mut steps = Vec::new();
        for _ in 0..3 {
            let left = house.step(keep(10)).await;
            let oldest = house
                .store
                .read(|db| Ok::<_, StoreError>(history::oldest_id(db)?));
            steps.push((oldest.await.unwrap().get(), left));
        }
        assert_eq!(
            steps,
            [(501, Left::Some), (1001, Left::Some), (1001, Left::Nothing)]
        );
    }

    #[tokio::test]
    async fn ended_tokens_and_old_acts_go_after_their_archive() {
        let house = House::new();
        house
            .run(
                "CREATE TEMP TABLE days (name TEXT, stands INTEGER, revoked INTEGER);
                 INSERT INTO days VALUES
                   ('stands', 10, NULL), ('expired', -91, NULL), ('expired lately', -89, NULL),
                   ('revoked', 10, -91), ('revoked lately', 10, -89), ('refreshed', -91, -2);
                 INSERT INTO tokens (jti, role, subject, name, issued_at, expires_at, stands_until,
                                     revoked_at, created_by)
                 SELECT name, 'user', 'u', name, 0, at + 365 * 86400000, at + stands * 86400000,
                        at + revoked * 86400000, 'test'
                 FROM days, (SELECT unixepoch() * 1000 AS at);
                 INSERT INTO auth_sessions SELECT CAST(jti AS BLOB), jti, 0 FROM tokens;
                 INSERT INTO audit (at, actor, action, address, detail)
                 SELECT at + stands * 86400000, '', name, '', ''
                 FROM days, (SELECT unixepoch() * 1000 AS at);",
            )
            .await;
        assert_eq!(house.step(keep(10)).await, Left::Nothing);
        let tokens = "SELECT group_concat(jti ORDER BY jti) FROM tokens";
        let kept = "expired lately,revoked lately,stands";
        assert_eq!(house.texts(tokens).await, kept);
        let sessions = "SELECT group_concat(jti ORDER BY jti) FROM auth_sessions";
        assert_eq!(house.texts(sessions).await, kept);
        let acts = "SELECT group_concat(action ORDER BY action) FROM audit";
        assert_eq!(
            house.texts(acts).await,
            "expired lately,revoked,revoked lately,stands"
        );
    }

    #[tokio::test]
    async fn incidents_go_with_their_updates_after_their_archive_once_they_are_over() {
        let house = House::new();
        house
            .run(
                "INSERT INTO incidents (id, title, description, status, severity, service_ids,
                                        created_at, updated_at, resolved_at)
                 SELECT column1, '', '', 'resolved', '', '[]', 0, 0,
                        unixepoch() * 1000 - column2 * 86400000
                 FROM (VALUES ('open', NULL), ('old', 91), ('late', 89));
                 INSERT INTO incident_updates SELECT id, 0, 'resolved', 'x', 0 FROM incidents;",
            )
            .await;
        assert_eq!(house.step(keep(10)).await, Left::Nothing);
        for sql in [
            "SELECT group_concat(id ORDER BY id) FROM incidents",
            "SELECT group_concat(incident_id ORDER BY incident_id) FROM incident_updates",
        ] {
            assert_eq!(house.texts(sql).await, "late,open");
        }
    }

    #[tokio::test]
    async fn old_messages_go_and_so_do_conversations_without_any() {
        let house = House::new();
        house
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
        assert_eq!(house.step(keep(10)).await, Left::Nothing);
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
            assert_eq!(house.texts(kept).await, expected, "{kept}");
        }
    }

    #[tokio::test]
    async fn finished_commands_and_resolved_requests_go_after_their_archive() {
        let house = House::new();
        house
            .run(
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
        assert_eq!(house.step(keep(10)).await, Left::Nothing);
        let requests = "SELECT group_concat(category ORDER BY category) FROM help_requests";
        assert_eq!(house.texts(requests).await, "late,open");
        let commands = "SELECT group_concat(id ORDER BY id) FROM commands";
        assert_eq!(house.texts(commands).await, "late,open");
    }

    #[tokio::test]
    async fn what_is_old_is_found_by_an_index() {
        let house = House::new();
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
            let plan = house.store.read(move |db| {
                let sql = format!("EXPLAIN QUERY PLAN SELECT 1 FROM {table} WHERE {condition}");
                let plan: String = db.query_row(&sql, [], |row| row.get(3))?;
                Ok::<_, StoreError>(plan)
            });
            let plan = plan.await.unwrap();
            assert!(plan.starts_with("SEARCH"), "{plan}");
        }
    }

    #[test]
    fn moments_are_cut_to_the_hour_and_never_before_time_began() {
        let hour = |hour: i64| Timestamp::from_unix_ms(hour * GRAIN_MS);
        let now = Timestamp::from_unix_ms(50 * GRAIN_MS + 12_345);
        assert_eq!(before(now, DAY), hour(26));
        assert_eq!(before(hour(50), DAY), hour(26));
        assert_eq!(before(hour(1), DAY), hour(0));
    }
}
