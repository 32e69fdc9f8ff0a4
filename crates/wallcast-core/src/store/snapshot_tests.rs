//! Backup and restore on the files themselves: the mark, the moments between two steps, and journals
//! of other databases.

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

/// A folder for backups, and a house that holds notes.
struct Place {
    root: TempDir,
}

impl Place {
    /// With one note, `old`.
    fn new() -> Self {
        let place = Self {
            root: tempfile::tempdir().unwrap(),
        };
        drop(DataFolder::claim(&place.data()).unwrap());
        place.write("old");
        place
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    fn database(&self) -> PathBuf {
        self.data().join("wallcast.db")
    }

    fn file(&self) -> PathBuf {
        self.root.path().join("house.backup")
    }

    /// Opens the house as a start does.
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

    /// Leaves database and journal as a kill does, with this note in the journal alone.
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
fn the_mark_is_in_the_copy_alone() {
    let place = Place::new();
    place.back_up();
    assert!(has_mark(&place.file()) && !has_mark(&place.database()));
    assert_eq!(journal::mode(&place.file()).unwrap(), journal::Mode::Plain);
    assert_eq!(mode(&place.file()), 0o600);
    let beside = fs::read_dir(place.root.path()).unwrap().count();
    assert_eq!(beside, 2, "the data folder and the backup");
}

#[test]
fn the_first_start_draws_an_epoch_and_the_second_keeps_it() {
    let place = Place::new();
    let old = place.epoch();
    place.back_up();
    place.restore();
    let connection = place.start();
    let restored = snapshot_mark::restore_notice(&connection).unwrap().unwrap();
    assert_eq!(snapshot_mark::made_at(&connection).unwrap(), None);
    drop(connection);
    assert_eq!(restored.old_epoch, old);
    assert_ne!(restored.new_epoch, old);
    assert_eq!(place.epoch(), restored.new_epoch);
    assert_eq!(
        snapshot_mark::restore_notice(&place.start()).unwrap(),
        Some(restored),
        "it stays until the admin was told"
    );
    snapshot_mark::clear_restore_notice(&place.start()).unwrap();
    assert_eq!(snapshot_mark::restore_notice(&place.start()).unwrap(), None);
}

#[test]
fn mark_and_epoch_change_together_or_not_at_all() {
    let place = Place::new();
    let old = place.epoch();
    place.back_up();
    place.restore();
    let mut connection = schema::open(&place.database()).unwrap();
    connection
        .execute_batch(
            "CREATE TEMP TRIGGER fails BEFORE DELETE ON house BEGIN SELECT RAISE(FAIL, 'cut'); END",
        )
        .unwrap();
    snapshot_mark::start_new_epoch(&mut connection).unwrap_err();
    drop(connection);
    let connection = schema::open(&place.database()).unwrap();
    assert_eq!(schema::epoch(&connection).unwrap().as_str(), old);
    assert!(snapshot_mark::made_at(&connection).unwrap().is_some());
    drop(connection);
    assert_ne!(place.epoch(), old);
}

#[test]
fn a_snapshot_of_a_snapshot_keeps_the_time_of_the_first() {
    let place = Place::new();
    let made_at = place.back_up().made_at;
    assert_eq!(place.restore().summary.made_at, made_at);
    assert_eq!(place.back_up().made_at, made_at, "before its first start");
    place.start();
    assert_ne!(place.back_up().made_at, made_at);
}

#[test]
fn a_plain_copy_of_a_house_is_marked_as_well() {
    let place = Place::new();
    let old = place.epoch();
    fs::copy(place.database(), place.file()).unwrap();
    place.write("new");
    place.restore();
    assert_eq!(place.note(), "old");
    assert_ne!(place.epoch(), old);
    assert!(
        !journal::beside(&place.file(), "-wal").exists(),
        "nothing is made beside the copy"
    );
}

#[test]
fn a_copy_with_its_journal_is_restored_with_what_the_journal_holds() {
    let place = Place::new();
    place.write_and_kill("in the journal");
    fs::copy(place.database(), place.file()).unwrap();
    let journal = journal::beside(&place.database(), "-wal");
    fs::copy(journal, journal::beside(&place.file(), "-wal")).unwrap();
    place.write("new");
    place.restore();
    assert_eq!(place.note(), "in the journal");
}

#[test]
fn the_old_house_is_kept_as_one_file() {
    let place = Place::new();
    place.back_up();
    place.write_and_kill("new");
    let kept = place.restore().kept.unwrap();
    let name = kept.file_name().unwrap().to_str().unwrap();
    assert_eq!(place.names(), ["wallcast.db", name, "wallcast.lock"]);
    assert_eq!((mode(&kept), mode(&place.database())), (0o600, 0o600));
    assert_eq!(note(&schema::open_immutable(&kept).unwrap()), "new");
    assert_eq!(place.note(), "old");
    // And back again.
    let source = restore::open(&kept).unwrap();
    source.restore_into(&place.data(), &silent()).unwrap();
    assert_eq!(place.note(), "new");
}

#[test]
fn a_damaged_house_is_kept_byte_for_byte() {
    let place = Place::new();
    place.back_up();
    place.write_and_kill("new");
    let mut bytes = fs::read(place.database()).unwrap();
    bytes[..100].fill(0);
    fs::write(place.database(), &bytes).unwrap();
    let journal = fs::read(journal::beside(&place.database(), "-wal")).unwrap();
    let kept = place.restore().kept.unwrap();
    assert_eq!(fs::read(&kept).unwrap(), bytes);
    assert_eq!(fs::read(journal::beside(&kept, "-wal")).unwrap(), journal);
    assert_eq!(place.note(), "old");
}

#[test]
fn a_restore_that_was_killed_leaves_the_old_house_or_the_new_one() {
    // Before the new house has the name: an unfinished copy, and a second name for the old one.
    let place = Place::new();
    place.back_up();
    place.write_and_kill("new");
    let restoring = place.data().join("wallcast.db.restoring");
    fs::write(&restoring, "half").unwrap();
    let second = place.data().join("wallcast.db.before-restore-x");
    fs::hard_link(place.database(), &second).unwrap();
    assert_eq!(place.note(), "new");
    place.restore();
    assert!(!restoring.exists());
    assert_eq!(place.note(), "old");

    // After it: the old house's journal still lies there.
    place.back_up();
    place.write_and_kill("newer");
    fs::copy(place.file(), place.database()).unwrap();
    inspect(&place.data()).unwrap();
    assert_eq!(place.note(), "old");
}

#[test]
fn a_snapshot_copied_over_a_killed_house_is_not_mixed_with_its_journal() {
    let place = Place::new();
    let old = place.epoch();
    place.back_up();
    place.write_and_kill("lost");
    fs::copy(place.file(), place.database()).unwrap();
    let again = back_up(&place.data(), &place.file(), Existing::Replace, &silent());
    again.unwrap();
    assert_eq!(note(&schema::open_immutable(&place.file()).unwrap()), "old");
    assert_eq!(place.note(), "old");
    assert_ne!(place.epoch(), old);
    let stale = |name: &String| name.starts_with("wallcast.db-wal.stale-");
    assert!(place.names().iter().any(stale), "{:?}", place.names());
}

#[test]
fn what_is_not_a_sound_house_of_ours_is_refused() {
    let place = Place::new();
    place.back_up();
    let good = fs::read(place.file()).unwrap();
    let before = place.names();
    let refused = |bytes: &[u8]| {
        fs::write(place.file(), bytes).unwrap();
        restore::open(&place.file()).unwrap_err()
    };
    assert!(matches!(refused(b""), RestoreError::Foreign(_)));
    let garbage = refused(&[b'x'; 9000]);
    assert!(matches!(garbage, RestoreError::Damaged { .. }), "{garbage}");
    let cut = refused(&good[..good.len() / 2]);
    assert!(matches!(cut, RestoreError::Damaged { .. }), "{cut}");
    let mut torn = good.clone();
    torn[8192..12288].fill(0xa5);
    let torn = refused(&torn);
    assert!(matches!(torn, RestoreError::Damaged { .. }), "{torn}");
    fs::write(place.file(), &good).unwrap();
    let newer = Connection::open(place.file()).unwrap();
    newer.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(newer);
    let newer = restore::open(&place.file()).unwrap_err();
    assert!(matches!(newer, RestoreError::Newer { found: 99, .. }));
    fs::remove_file(place.file()).unwrap();
    let other = Connection::open(place.file()).unwrap();
    other.execute_batch("CREATE TABLE other (x)").unwrap();
    drop(other);
    let other = restore::open(&place.file()).unwrap_err();
    assert!(matches!(other, RestoreError::Foreign(_)), "{other}");
    fs::remove_file(place.file()).unwrap();
    let missing = restore::open(&place.file()).unwrap_err();
    assert!(matches!(missing, RestoreError::Missing(_)));
    let folder = restore::open(&place.data()).unwrap_err();
    assert!(matches!(folder, RestoreError::Foreign(_)));
    assert_eq!(place.names(), before);
    assert_eq!(place.note(), "old");
}

#[test]
fn a_backup_never_takes_a_name_of_the_house() {
    let place = Place::new();
    for name in [
        "wallcast.db",
        "wallcast.db-wal",
        "wallcast.db-shm",
        "wallcast.lock",
    ] {
        let file = place.data().join("../data").join(name);
        let refused = back_up(&place.data(), &file, Existing::Replace, &silent());
        assert!(matches!(refused, Err(BackupError::Reserved(_))), "{name}");
    }
    let inside = place.data().join("house.backup");
    back_up(&place.data(), &inside, Existing::Keep, &silent()).unwrap();
    assert_eq!(place.note(), "old");
}

#[test]
fn paths_of_any_bytes_work() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = Place::new();
    let odd = std::ffi::OsStr::from_bytes(b"file:%41?#\xff 'x'");
    let odd = place.root.path().join(odd);
    back_up(&place.data(), &odd, Existing::Keep, &silent()).unwrap();
    place.write("new");
    let source = restore::open(&odd).unwrap();
    source.restore_into(&place.data(), &silent()).unwrap();
    assert_eq!(place.note(), "old");
    let plain_copy = place.root.path().join("a%20?b");
    fs::copy(place.database(), &plain_copy).unwrap();
    restore::open(&plain_copy).unwrap();
}
