//! The command `backup`, with and without a running daemon, and its error messages.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::json;

use crate::{
    program::{program, run_result, wallcast_in},
    support::{Daemon, command, is_private, soon},
};

/// The sorted file names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The data folder of a daemon that has stopped, with one client in its database.
async fn used_folder() -> tempfile::TempDir {
    let mut daemon = Daemon::start().await;
    daemon.pair("Wall", &[]).await;
    assert!(daemon.stop().await.success());
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("wallcast.db");
    std::fs::copy(daemon.folder().join("wallcast.db"), copy).unwrap();
    folder
}

#[tokio::test]
async fn backup_during_writes_is_consistent() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = format!("/api/areas/{}", admin.create_area("Kitchen").await);
    daemon.pair("Wall", &[]).await;
    admin
        .put(&area, json!({ "name": "Kitchen 0" }))
        .await
        .expect(200);
    let is_stopped = Arc::new(AtomicBool::new(false));
    let stopped = is_stopped.clone();
    let writing = tokio::spawn(async move {
        let mut changes = 0;
        while !stopped.load(Ordering::Relaxed) {
            changes += 1;
            let body = json!({ "name": format!("Kitchen {changes}") });
            admin.put(&area, body).await.expect(200);
        }
        changes
    });
    let folder = tempfile::tempdir().unwrap();
    let mut newest = 0;
    for n in 0..5 {
        let file = folder.path().join(format!("wallcast-{n}.backup"));
        let output = daemon.cli(&["backup", file.to_str().unwrap()]).await;
        let result = run_result(output);
        let line = result.stdout();
        assert!(
            line.starts_with(&format!("wrote {} (", file.display())),
            "{line}"
        );
        assert!(
            line.contains(" kB, ") && line.contains(", 1 client)"),
            "{line}"
        );
        assert!(
            line.contains("signing key") && line.lines().count() == 1,
            "{line}"
        );
        assert!(is_private(&file));

        let copy = rusqlite::Connection::open(&file).unwrap();
        let text = |query: &str| copy.query_row(query, [], |row| row.get::<_, String>(0));
        assert_eq!(text("PRAGMA integrity_check").unwrap(), "ok");
        assert_eq!(text("PRAGMA journal_mode").unwrap(), "delete");
        let events: i64 = copy
            .query_row("SELECT count(*) FROM events", [], |row| row.get(0))
            .unwrap();
        assert!(line.contains(&format!(" {events} event")), "{line}");
        assert!(
            events >= newest,
            "a later backup has as many events or more"
        );
        newest = events;
        let name = text("SELECT name FROM areas").unwrap();
        let event = text("SELECT data FROM events ORDER BY id DESC LIMIT 1").unwrap();
        assert!(event.contains(&format!("\"{name}\"")), "{name}: {event}");
    }
    is_stopped.store(true, Ordering::Relaxed);
    assert!(soon("the writer", writing).await.unwrap() > 0);
    let expected: Vec<_> = (0..5).map(|n| format!("wallcast-{n}.backup")).collect();
    assert_eq!(names(folder.path()), expected, "no other files remain");

    // A backup leaves no mark in the running daemon's database: a restart keeps the epoch.
    let before = epoch(&daemon).await;
    assert_eq!(epoch(&daemon.restart().await).await, before);
}

async fn epoch(daemon: &Daemon) -> String {
    let token = daemon
        .token(json!({ "role": "user", "subject": "ann", "name": "Ann" }))
        .await;
    let mut socket = daemon.connect(token["token"].as_str().unwrap()).await;
    let first = socket.next_of("connection").await;
    first["data"]["epoch"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn backup_without_daemon_adds_only_the_lock_file() {
    let data = used_folder().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wallcast.backup");
    let before = std::fs::read(data.path().join("wallcast.db")).unwrap();
    let result = wallcast_in(data.path(), &["backup", file.to_str().unwrap()]);
    assert!(result.stdout().contains(", 1 client)"), "{result:?}");
    assert_eq!(names(data.path()), ["wallcast.db", "wallcast.lock"]);
    let after = std::fs::read(data.path().join("wallcast.db")).unwrap();
    assert!(before == after, "the database is only read");
}

#[tokio::test]
async fn backup_replaces_existing_file_only_with_force() {
    let data = used_folder().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wallcast.backup");
    std::fs::write(&file, "mine").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let path = file.to_str().unwrap();
    let result = wallcast_in(data.path(), &["backup", path]);
    assert_eq!(
        result.error_line(1),
        format!("{path} exists already; name another file, or add --force to replace it")
    );
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    wallcast_in(data.path(), &["backup", "--force", path]).stdout();
    assert!(is_private(&file));
    assert!(
        std::fs::read(&file)
            .unwrap()
            .starts_with(b"SQLite format 3")
    );
    assert_eq!(names(folder.path()), ["wallcast.backup"]);
}

#[tokio::test]
async fn backup_failure_is_reported_in_one_line() {
    let data = used_folder().await;
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("not there");
    let result = wallcast_in(
        data.path(),
        &["backup", missing.join("wallcast.backup").to_str().unwrap()],
    );
    assert_eq!(
        result.error_line(1),
        format!(
            "the folder {} does not exist; make it first",
            missing.display()
        )
    );
    let result = wallcast_in(data.path(), &["backup", folder.path().to_str().unwrap()]);
    assert!(result.error_line(1).contains("is not a regular file"));
    let link = data.path().join("link");
    std::os::unix::fs::symlink("/dev/null", &link).unwrap();
    let result = wallcast_in(data.path(), &["backup", "--force", link.to_str().unwrap()]);
    assert!(result.error_line(1).contains("is not a regular file"));
    let own = data.path().join("wallcast.db");
    for own in [&own, &data.path().join("wallcast.db.before-restore-1")] {
        let result = wallcast_in(data.path(), &["backup", "--force", own.to_str().unwrap()]);
        assert!(
            result
                .error_line(1)
                .contains("a name that Wallcast uses itself")
        );
    }
    let nowhere = folder.path().join("no data");
    let file = folder.path().join("wallcast.backup");
    let result = wallcast_in(&nowhere, &["backup", file.to_str().unwrap()]);
    assert_eq!(
        result.error_line(1),
        format!(
            "nothing to back up: the data folder {} has no database yet",
            nowhere.display()
        )
    );
    std::fs::write(&own, [b'x'; 9000]).unwrap();
    let result = wallcast_in(data.path(), &["backup", file.to_str().unwrap()]);
    assert!(result.error_line(1).contains("is damaged"), "{result:?}");
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn backup_on_full_disk_leaves_no_file() {
    let data = used_folder().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wallcast.backup");
    // `ulimit -f` limits files to 8 blocks. With XFSZ ignored, a longer write fails with an error.
    let mut shell = std::process::Command::new("sh");
    shell
        .env_clear()
        .env("WALLCAST_DATA_DIR", data.path())
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" backup \"$1\""])
        .args([program().get_program(), file.as_os_str()])
        .stdin(Stdio::null());
    let result = run_result(shell.output().unwrap());
    let line = result.error_line(1);
    assert!(
        line.starts_with(&format!("cannot write the backup {}: ", file.display())),
        "{line}"
    );
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn backup_file_is_private_with_any_umask() {
    let data = used_folder().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wallcast.backup");
    let plain = command(data.path(), &[]);
    let mut shell = std::process::Command::new("sh");
    shell
        .env("WALLCAST_DATA_DIR", data.path())
        .args(["-c", "umask 000; exec \"$0\" backup \"$1\""])
        .args([plain.as_std().get_program(), file.as_os_str()]);
    run_result(shell.output().unwrap()).stdout();
    assert!(is_private(&file));
}
