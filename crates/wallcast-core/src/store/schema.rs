//! Opens the database file: pragmas, schema version, migrations and the integrity check.

use std::fs::OpenOptions;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::{OpenError, StoreError, WriteTx, journal, settings};
use crate::clock::Timestamp;
use crate::event::Epoch;

/// `WCst` in the file's header identifies a Wallcast database.
const APPLICATION_ID: i64 = 0x5743_7374;

/// The migration at index `n` takes the schema from version `n` to `n + 1`.
pub const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_house.sql"),
    include_str!("migrations/0002_history.sql"),
    include_str!("migrations/0003_rooms.sql"),
    include_str!("migrations/0005_board.sql"),
    include_str!("migrations/0006_kiosks.sql"),
    include_str!("migrations/0007_messages.sql"),
    include_str!("migrations/0008_mirror.sql"),
    include_str!("migrations/0010_lapse.sql"),
];

/// Above this size the check at start reads only the header and the schema, so that the start stays fast.
/// `wallcast check` always reads every page.
const FULL_CHECK_BYTES: u64 = 16 * 1024 * 1024;

/// Opens the database for writing. Creates or migrates it if necessary.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    let fail = |error| OpenError::sqlite(path, error);
    journal::set_stale_aside(path).map_err(|source| OpenError::Folder {
        path: path.to_owned(),
        source,
    })?;
    create_private(path)?;
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(fail)?;
    connection
        .busy_timeout(Duration::from_secs(5))
        .map_err(fail)?;
    // If the check fails, closing must not checkpoint the WAL into the file and delete the WAL.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(fail)?;
    check(&connection, path)?;
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
        .map_err(fail)?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA cache_size = -1024;
             PRAGMA temp_store = MEMORY;",
        )
        .map_err(fail)?;
    migrate(&mut connection, path, MIGRATIONS)?;
    keep_statements(&connection).map_err(fail)?;
    // The check has filled the page cache with pages that are not needed.
    connection.release_memory().map_err(fail)?;
    Ok(connection)
}

/// Opens a second connection, which cannot write.
pub(super) fn open_read_only(path: &Path) -> Result<Connection, OpenError> {
    let fail = |error| OpenError::sqlite(path, error);
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(fail)?;
    connection
        .busy_timeout(Duration::from_secs(5))
        .map_err(fail)?;
    connection
        .execute_batch("PRAGMA cache_size = -1024")
        .map_err(fail)?;
    keep_statements(&connection).map_err(fail)?;
    Ok(connection)
}

/// Opens a file as immutable: SQLite ignores a WAL beside it and creates no files.
pub(super) fn open_immutable(path: &Path) -> Result<Connection, OpenError> {
    let name = percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC);
    Connection::open_with_flags(
        format!("file:{name}?immutable=1"),
        OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI,
    )
    .map_err(|error| OpenError::sqlite(path, error))
}

/// Keeps statements prepared. Without QPSG SQLite prepares a statement again when its parameters change, in case table
/// statistics favour another plan. There are no statistics, and preparing costs more than most statements.
fn keep_statements(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Creates the file with mode 0600, because SQLite would create it readable for others. The WAL inherits the mode.
fn create_private(path: &Path) -> Result<(), OpenError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map(|_| ())
        .map_err(|source| OpenError::Folder {
            path: path.to_owned(),
            source,
        })
}

/// Rejects a damaged, foreign or newer file without writing to it.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    recognise(connection, path)?;
    let size = std::fs::metadata(path)
        .map(|file| file.len())
        .unwrap_or_default();
    if size <= FULL_CHECK_BYTES {
        verify(connection, path)?;
    }
    Ok(())
}

/// The schema version; 0 if the database is empty. Rejects a foreign or newer database.
pub(super) fn recognise(connection: &Connection, path: &Path) -> Result<i64, OpenError> {
    let fail = |error| OpenError::sqlite(path, error);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(fail)?;
    if tables == 0 {
        return Ok(0);
    }
    let application: i64 = connection
        .query_row("PRAGMA application_id", [], |row| row.get(0))
        .map_err(fail)?;
    if application != APPLICATION_ID {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    let found = version(connection).map_err(fail)?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    Ok(found)
}

/// Checks every page of an existing database without writing.
pub(super) fn inspect(path: &Path) -> Result<(), OpenError> {
    let connection = if journal::is_stale(path).unwrap_or_default() {
        open_immutable(path)?
    } else {
        open_read_only(path)?
    };
    recognise(&connection, path)?;
    verify(&connection, path)
}

/// Reads every page. The error contains the first fault.
pub(super) fn verify(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let report: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| OpenError::sqlite(path, error))?;
    if report == "ok" {
        Ok(())
    } else {
        let detail = report
            .lines()
            .last()
            .unwrap_or("its integrity check fails")
            .trim()
            .to_owned();
        Err(OpenError::Damaged {
            path: path.to_owned(),
            detail,
        })
    }
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Migrates the schema to the newest version in one transaction. Copies an existing database first.
fn migrate(connection: &mut Connection, path: &Path, steps: &[&str]) -> Result<(), OpenError> {
    let fail = |error| OpenError::sqlite(path, error);
    let found = usize::try_from(version(connection).map_err(fail)?).unwrap_or_default();
    let Some(missing) = steps.get(found..).filter(|missing| !missing.is_empty()) else {
        return Ok(());
    };
    if found > 0 {
        copy_aside(connection, path, found)?;
    }
    let transaction = connection.transaction().map_err(fail)?;
    for step in missing {
        transaction.execute_batch(step).map_err(fail)?;
    }
    transaction
        .execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {};",
            steps.len()
        ))
        .map_err(fail)?;
    transaction.commit().map_err(fail)
}

/// Copies the database, as it was before the migration, to a file beside it with mode 0600.
fn copy_aside(connection: &Connection, path: &Path, version: usize) -> Result<(), OpenError> {
    let aside = path.with_extension(format!("v{version}-{}.db", Timestamp::now().unix_seconds()));
    create_private(&aside)?;
    connection
        .execute("VACUUM INTO ?1", [aside.to_string_lossy()])
        .map_err(|error| OpenError::sqlite(path, error))?;
    tracing::info!(copy = %aside.display(), "copied the database before migrating it");
    Ok(())
}

/// The epoch of the history; drawn and stored at the first call.
pub(super) fn epoch(connection: &Connection) -> rusqlite::Result<Epoch> {
    if let Some(text) =
        settings::get(connection, "epoch")?.and_then(|bytes| String::from_utf8(bytes).ok())
    {
        return Ok(Epoch::from_stored(&text));
    }
    let epoch = Epoch::random();
    settings::set(connection, "epoch", epoch.as_str().as_bytes())?;
    Ok(epoch)
}

/// Writes a value of `bytes` bytes, to find out whether the disk accepts it.
pub(super) fn touch(tx: &mut WriteTx<'_>, bytes: usize) -> Result<(), StoreError> {
    settings::set(tx.connection(), "probe", &vec![0; bytes])?;
    // SQLite would not write a page whose content stays the same.
    let now = tx.now().to_string();
    settings::set(tx.connection(), "probed_at", now.as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wallcast.db");
        (folder, path)
    }

    #[test]
    fn open_new_file_has_mode_0600_and_newest_schema() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_folder, path) = file();
        let connection = open(&path).unwrap();
        assert_eq!(
            version(&connection).unwrap(),
            i64::try_from(MIGRATIONS.len()).unwrap()
        );
        for file in [path.clone(), path.with_extension("db-wal")] {
            let mode = std::fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", file.display());
        }
    }

    #[test]
    fn open_garbage_names_file_and_leaves_it_unchanged() {
        let (_folder, path) = file();
        let garbage = vec![b'x'; 8192];
        std::fs::write(&path, &garbage).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("wallcast.db"));
        assert_eq!(std::fs::read(&path).unwrap(), garbage);
    }

    #[test]
    fn open_with_overwritten_page_reports_damage() {
        use std::io::{Seek as _, Write as _};
        let (_folder, path) = file();
        let connection = open(&path).unwrap();
        connection
            .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
            .unwrap();
        drop(connection);
        let mut database = OpenOptions::new().write(true).open(&path).unwrap();
        database.seek(std::io::SeekFrom::Start(4096 * 3)).unwrap();
        database.write_all(&[0xA5; 4096 * 2]).unwrap();
        drop(database);
        assert!(matches!(
            open(&path).unwrap_err(),
            OpenError::Damaged { .. }
        ));
    }

    #[test]
    fn open_foreign_database_fails() {
        let (_folder, path) = file();
        Connection::open(&path)
            .unwrap()
            .execute_batch("CREATE TABLE other (x)")
            .unwrap();
        assert!(matches!(open(&path).unwrap_err(), OpenError::Foreign(_)));
    }

    #[test]
    fn open_newer_schema_fails() {
        let (_folder, path) = file();
        open(&path)
            .unwrap()
            .execute_batch("PRAGMA user_version = 99")
            .unwrap();
        assert!(matches!(
            open(&path).unwrap_err(),
            OpenError::Newer { found: 99, .. }
        ));
    }

    #[test]
    fn migrate_older_schema_copies_file_first() {
        let (folder, path) = file();
        let mut connection = open(&path).unwrap();
        let before = format!(".v{}-", MIGRATIONS.len());
        let steps = [MIGRATIONS, &["CREATE TABLE extra (x)"]].concat();
        migrate(&mut connection, &path, &steps).unwrap();
        connection.execute_batch("SELECT * FROM extra").unwrap();
        let copies = std::fs::read_dir(folder.path())
            .unwrap()
            .filter(|entry| {
                entry
                    .as_ref()
                    .unwrap()
                    .file_name()
                    .to_string_lossy()
                    .contains(&before)
            })
            .count();
        assert_eq!(copies, 1);
    }

    #[test]
    fn migration_subscribes_tablet_to_its_tenant_in_organisation() {
        let (_folder, path) = file();
        let is_board = |step: &&str| step.contains("CREATE TABLE services");
        let before = MIGRATIONS.iter().position(is_board).unwrap();
        let mut connection = Connection::open(&path).unwrap();
        migrate(&mut connection, &path, &MIGRATIONS[..before]).unwrap();
        connection
            .execute_batch(
                "INSERT INTO clients (id, name, is_active, organization_id, tenant_id, created_at)
                 VALUES ('c1', 'n', 1, 'o', 't', 0), ('c2', 'n', 1, 'o', NULL, 0)",
            )
            .unwrap();
        migrate(&mut connection, &path, MIGRATIONS).unwrap();
        let subject = crate::auth::Subject::Client("c1".parse().unwrap());
        let spans = crate::history::spans_of(&connection, &subject, Default::default()).unwrap();
        let both =
            crate::event::Topic::OrganizationTenant("o".parse().unwrap(), "t".parse().unwrap());
        assert_eq!(spans, [crate::history::Span::always(both)]);
        let count = "SELECT count(*) FROM memberships";
        let count: i64 = connection.query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(count, 1);
    }

    #[test]
    fn epoch_of_reopened_database_is_unchanged() {
        let (_folder, path) = file();
        let first = epoch(&open(&path).unwrap()).unwrap();
        assert_eq!(epoch(&open(&path).unwrap()).unwrap(), first);
    }
}
