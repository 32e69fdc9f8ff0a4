//! Backup and restore: the snapshot mark, a kill between two steps, and the WAL of another database.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;

use super::backup::{BackupError, Existing, back_up};
use super::restore::{self, RestoreError};
use super::snapshot::{Progress, Summary};
use super::*;

/// A folder for backups, and a data folder whose database contains one note.
struct TestFolders {
    root: TempDir,
}

impl TestFolders {
    /// Creates the database with the note `old`.
    fn new() -> Self {
        let folders = Self {
            root: tempfile::tempdir().unwrap(),
        };
        drop(DataFolder::claim(&folders.data()).unwrap());
        folders.write("old");
        folders
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    fn database(&self) -> PathBuf {
        self.data().join("wallcast.db")
    }

    fn file(&self) -> PathBuf {
        self.root.path().join("wallcast.backup")
    }

    /// Opens the database as the daemon's start does.
    fn start(&self) -> Connection {
        let mut connection = schema::open(&self.database()).unwrap();
        snapshot_mark::start_new_epoch(&mut connection).unwrap();
        schema::epoch(&connection).unwrap();
        connection
    }

    fn epoch(&self) -> String {
        schema::epoch(&self.start()).unwrap().as_str().to_owned()
    }

    fn write(&self, note: &str) {
        settings::set(&self.start(), "note", note.as_bytes()).unwrap();
    }

    fn note(&self) -> String {
        note(&self.start())
    }

    fn back_up(&self) -> Summary {
        back_up(&self.data(), &self.file(), Existing::Replace, &silent()).unwrap()
    }

    fn restore(&self) -> restore::RestoreOutcome {
        let source = restore::open(&self.file()).unwrap();
        source.restore_into(&self.data(), &silent()).unwrap()
    }

    /// Leaves database and WAL as a kill does, with this note in the WAL only.
    fn write_and_kill(&self, text: &str) {
        let connection = self.start();
        settings::set(&connection, "note", text.as_bytes()).unwrap();
        let copy = |name: &str| {
            let path = self.data().join(name);
            let bytes = fs::read(&path).unwrap();
            (path, bytes)
        };
        let files = ["wallcast.db", "wallcast.db-wal"].map(copy);
        drop(connection);
        for (path, bytes) in files {
            assert!(!bytes.is_empty());
            fs::write(path, bytes).unwrap();
        }
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.data()).unwrap();
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = entries
            .map(|entry| name(entry).into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn silent() -> Progress {
    Arc::new(|_, _| {})
}

fn note(connection: &Connection) -> String {
    String::from_utf8(settings::get(connection, "note").unwrap().unwrap()).unwrap()
}

fn has_mark(file: &Path) -> bool {
    let connection = schema::open_immutable(file).unwrap();
    snapshot_mark::made_at(&connection).unwrap().is_some()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn backup_marks_only_the_copy() {
    let folders = TestFolders::new();
    folders.back_up();
    assert!(has_mark(&folders.file()) && !has_mark(&folders.database()));
    assert_eq!(
        journal::mode(&folders.file()).unwrap(),
        journal::Mode::Plain
    );
    assert_eq!(mode(&folders.file()), 0o600);
    let beside = fs::read_dir(folders.root.path()).unwrap().count();
    assert_eq!(beside, 2, "the data folder and the backup");
}

#[test]
fn first_start_after_restore_draws_new_epoch() {
    let folders = TestFolders::new();
    let old = folders.epoch();
    folders.back_up();
    folders.restore();
    let connection = folders.start();
    let restored = snapshot_mark::restore_notice(&connection).unwrap().unwrap();
    assert_eq!(snapshot_mark::made_at(&connection).unwrap(), None);
    drop(connection);
    assert_eq!(restored.old_epoch, old);
    assert_ne!(restored.new_epoch, old);
    assert_eq!(folders.epoch(), restored.new_epoch);
    assert_eq!(
        snapshot_mark::restore_notice(&folders.start()).unwrap(),
        Some(restored),
        "the notice stays until the admin has received it"
    );
    snapshot_mark::clear_restore_notice(&folders.start()).unwrap();
    assert_eq!(
        snapshot_mark::restore_notice(&folders.start()).unwrap(),
        None
    );
}

#[test]
fn mark_and_epoch_change_in_one_transaction() {
    let folders = TestFolders::new();
    let old = folders.epoch();
    folders.back_up();
    folders.restore();
    let mut connection = schema::open(&folders.database()).unwrap();
    connection
        .execute_batch(
            "CREATE TEMP TRIGGER fails BEFORE DELETE ON house BEGIN SELECT RAISE(FAIL, 'cut'); END",
        )
        .unwrap();
    snapshot_mark::start_new_epoch(&mut connection).unwrap_err();
    drop(connection);
    let connection = schema::open(&folders.database()).unwrap();
    assert_eq!(schema::epoch(&connection).unwrap().as_str(), old);
    assert!(snapshot_mark::made_at(&connection).unwrap().is_some());
    drop(connection);
    assert_ne!(folders.epoch(), old);
}

#[test]
fn backup_of_restored_snapshot_keeps_its_time_until_start() {
    let folders = TestFolders::new();
    let made_at = folders.back_up().made_at;
    assert_eq!(folders.restore().summary.made_at, made_at);
    assert_eq!(folders.back_up().made_at, made_at, "before its first start");
    folders.start();
    assert_ne!(folders.back_up().made_at, made_at);
}

#[test]
fn restore_of_plain_copy_draws_new_epoch() {
    let folders = TestFolders::new();
    let old = folders.epoch();
    fs::copy(folders.database(), folders.file()).unwrap();
    folders.write("new");
    folders.restore();
    assert_eq!(folders.note(), "old");
    assert_ne!(folders.epoch(), old);
    assert!(
        !journal::beside(&folders.file(), "-wal").exists(),
        "no WAL is created beside the copy"
    );
}

#[test]
fn restore_of_copy_with_wal_includes_the_wal() {
    let folders = TestFolders::new();
    folders.write_and_kill("in the journal");
    fs::copy(folders.database(), folders.file()).unwrap();
    let journal = journal::beside(&folders.database(), "-wal");
    fs::copy(journal, journal::beside(&folders.file(), "-wal")).unwrap();
    folders.write("new");
    folders.restore();
    assert_eq!(folders.note(), "in the journal");
}

#[test]
fn restore_keeps_old_database_as_one_file() {
    let folders = TestFolders::new();
    folders.back_up();
    folders.write_and_kill("new");
    let kept = folders.restore().kept.unwrap();
    let name = kept.file_name().unwrap().to_str().unwrap();
    assert_eq!(folders.names(), ["wallcast.db", name, "wallcast.lock"]);
    assert_eq!((mode(&kept), mode(&folders.database())), (0o600, 0o600));
    assert_eq!(note(&schema::open_immutable(&kept).unwrap()), "new");
    assert_eq!(folders.note(), "old");
    // The kept file can be restored too.
    let source = restore::open(&kept).unwrap();
    source.restore_into(&folders.data(), &silent()).unwrap();
    assert_eq!(folders.note(), "new");
}

#[test]
fn restore_keeps_damaged_database_byte_for_byte() {
    let folders = TestFolders::new();
    folders.back_up();
    folders.write_and_kill("new");
    let mut bytes = fs::read(folders.database()).unwrap();
    bytes[..100].fill(0);
    fs::write(folders.database(), &bytes).unwrap();
    let journal = fs::read(journal::beside(&folders.database(), "-wal")).unwrap();
    let kept = folders.restore().kept.unwrap();
    assert_eq!(fs::read(&kept).unwrap(), bytes);
    assert_eq!(fs::read(journal::beside(&kept, "-wal")).unwrap(), journal);
    assert_eq!(folders.note(), "old");
}

#[test]
fn killed_restore_leaves_old_or_new_database() {
    // Killed before the rename: an incomplete copy, and a second name for the old database.
    let folders = TestFolders::new();
    folders.back_up();
    folders.write_and_kill("new");
    let restoring = folders.data().join("wallcast.db.restoring");
    fs::write(&restoring, "half").unwrap();
    let second = folders.data().join("wallcast.db.before-restore-x");
    fs::hard_link(folders.database(), &second).unwrap();
    assert_eq!(folders.note(), "new");
    folders.restore();
    assert!(!restoring.exists());
    assert_eq!(folders.note(), "old");

    // Killed after the rename: the WAL of the old database is still there.
    folders.back_up();
    folders.write_and_kill("newer");
    fs::copy(folders.file(), folders.database()).unwrap();
    inspect(&folders.data()).unwrap();
    assert_eq!(folders.note(), "old");
}

#[test]
fn snapshot_copied_over_killed_database_ignores_its_wal() {
    let folders = TestFolders::new();
    let old = folders.epoch();
    folders.back_up();
    folders.write_and_kill("lost");
    fs::copy(folders.file(), folders.database()).unwrap();
    let again = back_up(
        &folders.data(),
        &folders.file(),
        Existing::Replace,
        &silent(),
    );
    again.unwrap();
    assert_eq!(
        note(&schema::open_immutable(&folders.file()).unwrap()),
        "old"
    );
    assert_eq!(folders.note(), "old");
    assert_ne!(folders.epoch(), old);
    let stale = |name: &String| name.starts_with("wallcast.db-wal.stale-");
    assert!(folders.names().iter().any(stale), "{:?}", folders.names());
}

#[test]
fn restore_of_damaged_foreign_or_newer_file_fails() {
    let folders = TestFolders::new();
    folders.back_up();
    let good = fs::read(folders.file()).unwrap();
    let before = folders.names();
    let refused = |bytes: &[u8]| {
        fs::write(folders.file(), bytes).unwrap();
        restore::open(&folders.file()).unwrap_err()
    };
    assert!(matches!(refused(b""), RestoreError::Foreign(_)));
    let garbage = refused(&[b'x'; 9000]);
    assert!(matches!(garbage, RestoreError::Damaged { .. }), "{garbage}");
    let cut = refused(&good[..good.len() / 2]);
    assert!(matches!(cut, RestoreError::Damaged { .. }), "{cut}");
    let mut overwritten = good.clone();
    overwritten[8192..12288].fill(0xa5);
    let overwritten = refused(&overwritten);
    assert!(
        matches!(overwritten, RestoreError::Damaged { .. }),
        "{overwritten}"
    );
    fs::write(folders.file(), &good).unwrap();
    let newer = Connection::open(folders.file()).unwrap();
    newer.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(newer);
    let newer = restore::open(&folders.file()).unwrap_err();
    assert!(matches!(newer, RestoreError::Newer { found: 99, .. }));
    fs::remove_file(folders.file()).unwrap();
    let other = Connection::open(folders.file()).unwrap();
    other.execute_batch("CREATE TABLE other (x)").unwrap();
    drop(other);
    let other = restore::open(&folders.file()).unwrap_err();
    assert!(matches!(other, RestoreError::Foreign(_)), "{other}");
    fs::remove_file(folders.file()).unwrap();
    let missing = restore::open(&folders.file()).unwrap_err();
    assert!(matches!(missing, RestoreError::Missing(_)));
    let folder = restore::open(&folders.data()).unwrap_err();
    assert!(matches!(folder, RestoreError::Foreign(_)));
    assert_eq!(folders.names(), before);
    assert_eq!(folders.note(), "old");
}

#[test]
fn backup_under_own_file_name_fails() {
    let folders = TestFolders::new();
    for name in [
        "wallcast.db",
        "wallcast.db-wal",
        "wallcast.db-shm",
        "wallcast.lock",
    ] {
        let file = folders.data().join("../data").join(name);
        let refused = back_up(&folders.data(), &file, Existing::Replace, &silent());
        assert!(matches!(refused, Err(BackupError::Reserved(_))), "{name}");
    }
    let inside = folders.data().join("wallcast.backup");
    back_up(&folders.data(), &inside, Existing::Keep, &silent()).unwrap();
    assert_eq!(folders.note(), "old");
}

#[test]
fn backup_and_restore_accept_any_path_bytes() {
    use std::os::unix::ffi::OsStrExt as _;
    let folders = TestFolders::new();
    let odd = std::ffi::OsStr::from_bytes(b"file:%41?#\xff 'x'");
    let odd = folders.root.path().join(odd);
    back_up(&folders.data(), &odd, Existing::Keep, &silent()).unwrap();
    folders.write("new");
    let source = restore::open(&odd).unwrap();
    source.restore_into(&folders.data(), &silent()).unwrap();
    assert_eq!(folders.note(), "old");
    let plain_copy = folders.root.path().join("a%20?b");
    fs::copy(folders.database(), &plain_copy).unwrap();
    restore::open(&plain_copy).unwrap();
}
