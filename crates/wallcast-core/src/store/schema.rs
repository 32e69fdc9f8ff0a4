//! Opening the database file: pragmas, the version of its schema, migrations, first checks.

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

/// "WCst": says in the file's header whose database it is.
const APPLICATION_ID: i64 = 0x5743_7374;

/// Each step takes the schema from its index to the next version.
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

/// Above this size the first check reads only the header and the tables' heads, so that a start
/// stays quick; `wallcast check` reads everything.
const FULL_CHECK_BYTES: u64 = 16 * 1024 * 1024;

/// Opens the database for writing, making or migrating it as needed.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    let fail = |error| OpenError::sqlite(path, error);
    journal::set_stale_aside(path).map_err(|source| OpenError::Folder {
        path: path.to_owned(),
        source,
    })?;
    make_private(path)?;
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(fail)?;
    connection
        .busy_timeout(Duration::from_secs(5))
        .map_err(fail)?;
    // Closing would write the journal into a file that is refused, and delete it.
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
    // The check has filled the cache with pages that nobody asked for.
    connection.release_memory().map_err(fail)?;
    Ok(connection)
}

/// Opens a second connection that cannot write.
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

/// Opens a file as one that nothing can change, without looking at what lies beside it.
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

/// Statements are prepared once. By itself SQLite prepares one again for other parameters, in case
/// its statistics favour another plan; there are none, and it would cost more than the statement.
fn keep_statements(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Creates the file with mode 0600 before SQLite would make it readable; the journal inherits it.
fn make_private(path: &Path) -> Result<(), OpenError> {
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

/// Refuses what is damaged, foreign or newer, without writing a byte.
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

/// The version of the schema, 0 while there is none; refuses what is foreign or newer.
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

/// Checks a database that is there, page by page, without writing.
pub(super) fn inspect(path: &Path) -> Result<(), OpenError> {
    let connection = if journal::is_stale(path).unwrap_or_default() {
        open_immutable(path)?
    } else {
        open_read_only(path)?
    };
    recognise(&connection, path)?;
    verify(&connection, path)
}

/// Reads every page and names the first fault.
pub(super) fn verify(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let said: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| OpenError::sqlite(path, error))?;
    if said == "ok" {
        Ok(())
    } else {
        let detail = said
            .lines()
            .last()
            .unwrap_or("it fails its check")
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

/// Takes the schema to the newest version in one transaction; an older file is copied aside first.
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

/// Keeps the database as it was before a migration, beside it, with mode 0600.
fn copy_aside(connection: &Connection, path: &Path, version: usize) -> Result<(), OpenError> {
    let aside = path.with_extension(format!("v{version}-{}.db", Timestamp::now().unix_seconds()));
    make_private(&aside)?;
    connection
        .execute("VACUUM INTO ?1", [aside.to_string_lossy()])
        .map_err(|error| OpenError::sqlite(path, error))?;
    tracing::info!(copy = %aside.display(), "copied the older database aside before migrating it");
    Ok(())
}

/// The epoch of this house, drawn at the first start.
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

/// A write of this size, to see whether the disk takes one.
pub(super) fn touch(tx: &mut WriteTx<'_>, bytes: usize) -> Result<(), StoreError> {
    settings::set(tx.connection(), "probe", &vec![0; bytes])?;
    // The same bytes again would be no change, and no change is not written.
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
    fn a_new_file_is_private_and_has_the_newest_schema() {
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
    fn garbage_is_named_and_left_alone() {
        let (_folder, path) = file();
        let garbage = vec![b'x'; 8192];
        std::fs::write(&path, &garbage).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("wallcast.db"));
        assert_eq!(std::fs::read(&path).unwrap(), garbage);
    }

    #[test]
    fn a_page_overwritten_in_the_middle_is_found() {
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
    fn another_programs_database_is_refused() {
        let (_folder, path) = file();
        Connection::open(&path)
            .unwrap()
            .execute_batch("CREATE TABLE other (x)")
            .unwrap();
        assert!(matches!(open(&path).unwrap_err(), OpenError::Foreign(_)));
    }

    #[test]
    fn a_newer_schema_is_refused() {
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
    fn an_older_schema_is_copied_aside_and_migrated() {
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
    fn a_tablet_of_an_older_house_listens_on_its_organisation_and_tenant_together() {
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
    fn the_epoch_stays() {
        let (_folder, path) = file();
        let first = epoch(&open(&path).unwrap()).unwrap();
        assert_eq!(epoch(&open(&path).unwrap()).unwrap(), first);
    }
}
