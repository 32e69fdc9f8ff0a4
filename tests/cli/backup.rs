//! `backup` beside a real daemon and without one, and every way to be refused.

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
    program::{ended, program, wallcast_in},
    support::{Daemon, command, is_private, soon},
};

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A data folder that a daemon has used and left.
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
async fn beside_a_busy_daemon_each_backup_is_of_one_moment() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let area = format!("/api/areas/{}", admin.create_area("Kitchen").await);
    daemon.pair("Wall", &[]).await;
    admin
        .put(&area, json!({ "name": "Kitchen 0" }))
        .await
        .expect(200);
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    let writing = tokio::spawn(async move {
        let mut changes = 0;
        while !over.load(Ordering::Relaxed) {
            changes += 1;
            let body = json!({ "name": format!("Kitchen {changes}") });
            admin.put(&area, body).await.expect(200);
        }
        changes
    });
    let folder = tempfile::tempdir().unwrap();
    let mut newest = 0;
    for n in 0..5 {
        let file = folder.path().join(format!("house-{n}.backup"));
        let output = daemon.cli(&["backup", file.to_str().unwrap()]).await;
        let said = ended(output);
        let line = said.said();
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
        assert!(events >= newest, "later backups are of later moments");
        newest = events;
        let name = text("SELECT name FROM areas").unwrap();
        let told = text("SELECT data FROM events ORDER BY id DESC LIMIT 1").unwrap();
        assert!(told.contains(&format!("\"{name}\"")), "{name}: {told}");
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(soon("the writer", writing).await.unwrap() > 0);
    let expected: Vec<_> = (0..5).map(|n| format!("house-{n}.backup")).collect();
    assert_eq!(names(folder.path()), expected, "nothing lies beside them");

    // The running house has no mark: started again it keeps its epoch.
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
async fn without_a_daemon_nothing_but_the_lock_is_added_to_the_folder() {
    let house = used_folder().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("house.backup");
    let before = std::fs::read(house.path().join("wallcast.db")).unwrap();
    let said = wallcast_in(house.path(), &["backup", file.to_str().unwrap()]);
    assert!(said.said().contains(", 1 client)"), "{said:?}");
    assert_eq!(names(house.path()), ["wallcast.db", "wallcast.lock"]);
    let after = std::fs::read(house.path().join("wallcast.db")).unwrap();
    assert!(before == after, "the house is only read");
}

#[tokio::test]
async fn a_file_stays_unless_it_is_forced() {
    let house = used_folder().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("house.backup");
    std::fs::write(&file, "mine").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let path = file.to_str().unwrap();
    let refused = wallcast_in(house.path(), &["backup", path]);
    assert_eq!(
        refused.refused(1),
        format!("{path} exists already; name another file, or add --force to replace it")
    );
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    wallcast_in(house.path(), &["backup", "--force", path]).said();
    assert!(is_private(&file));
    assert!(
        std::fs::read(&file)
            .unwrap()
            .starts_with(b"SQLite format 3")
    );
    assert_eq!(names(folder.path()), ["house.backup"]);
}

#[tokio::test]
async fn what_cannot_be_written_is_one_line() {
    let house = used_folder().await;
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("not there");
    let refused = wallcast_in(
        house.path(),
        &["backup", missing.join("house.backup").to_str().unwrap()],
    );
    assert_eq!(
        refused.refused(1),
        format!(
            "the folder {} does not exist; make it first",
            missing.display()
        )
    );
    let refused = wallcast_in(house.path(), &["backup", folder.path().to_str().unwrap()]);
    assert!(refused.refused(1).contains("is no plain file"));
    let link = house.path().join("link");
    std::os::unix::fs::symlink("/dev/null", &link).unwrap();
    let refused = wallcast_in(house.path(), &["backup", "--force", link.to_str().unwrap()]);
    assert!(refused.refused(1).contains("is no plain file"));
    let own = house.path().join("wallcast.db");
    for own in [&own, &house.path().join("wallcast.db.before-restore-1")] {
        let refused = wallcast_in(house.path(), &["backup", "--force", own.to_str().unwrap()]);
        assert!(refused.refused(1).contains("a file of the house itself"));
    }
    let nowhere = folder.path().join("no house");
    let file = folder.path().join("house.backup");
    let refused = wallcast_in(&nowhere, &["backup", file.to_str().unwrap()]);
    assert_eq!(
        refused.refused(1),
        format!(
            "nothing to back up: the data folder {} has no database yet",
            nowhere.display()
        )
    );
    std::fs::write(&own, [b'x'; 9000]).unwrap();
    let refused = wallcast_in(house.path(), &["backup", file.to_str().unwrap()]);
    assert!(refused.refused(1).contains("is damaged"), "{refused:?}");
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_full_disk_leaves_neither_a_backup_nor_its_beginning() {
    let house = used_folder().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("house.backup");
    // No file may grow over 8 blocks, and the program is told so by an error.
    let mut shell = std::process::Command::new("sh");
    shell
        .env_clear()
        .env("WALLCAST_DATA_DIR", house.path())
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" backup \"$1\""])
        .args([program().get_program(), file.as_os_str()])
        .stdin(Stdio::null());
    let refused = ended(shell.output().unwrap());
    let line = refused.refused(1);
    assert!(
        line.starts_with(&format!("cannot write the backup {}: ", file.display())),
        "{line}"
    );
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn the_file_is_private_whatever_the_umask() {
    let house = used_folder().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("house.backup");
    let plain = command(house.path(), &[]);
    let mut shell = std::process::Command::new("sh");
    shell
        .env("WALLCAST_DATA_DIR", house.path())
        .args(["-c", "umask 000; exec \"$0\" backup \"$1\""])
        .args([plain.as_std().get_program(), file.as_os_str()]);
    ended(shell.output().unwrap()).said();
    assert!(is_private(&file));
}
