//! Home Assistant's own backups copy the data folder file by file. A daemon that starts in a restored copy
//! has all its data, whether it ran during the backup or not (docs/protocol.md#backup-and-restore).

use std::{fs, os::unix::fs::FileTypeExt as _, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use crate::{program::run_result, support::Daemon};

/// A daemon with one area.
async fn daemon_with_area() -> Daemon {
    let daemon = Daemon::start().await;
    daemon.admin().await.create_area("Kitchen").await;
    daemon
}

/// Runs the command of `backup_pre` in config.yaml.
async fn run_backup_pre(daemon: &Daemon) {
    let copy = daemon.folder().join("home-assistant.backup");
    let words = ["backup", "--force", copy.to_str().unwrap()];
    run_result(daemon.cli(&words).await).stdout();
}

/// A copy of the folder without the files in `backup_exclude` of config.yaml, as after a restore.
fn restored_copy(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let is_socket = entry.file_type().unwrap().is_socket();
        if !is_socket && entry.file_name() != "wallcast.lock" {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    copy
}

async fn start_in(folder: TempDir) -> Daemon {
    Daemon::start_in(folder, Vec::new()).await
}

async fn areas(daemon: &Daemon) -> Vec<String> {
    let list = daemon.local().get("/api/areas").await.expect(200).json;
    let areas = list["areas"].as_array().unwrap().iter();
    let names = areas.map(|area| area["name"].as_str().unwrap().to_owned());
    names.collect()
}

/// The epoch of the event history.
async fn epoch(daemon: &Daemon) -> Value {
    let admin = daemon.token(serde_json::json!({ "role": "admin", "name": "e" }));
    let admin = admin.await;
    let words = daemon.welcome(admin["token"].as_str().unwrap()).await;
    words["epoch"].clone()
}

#[tokio::test]
async fn start_in_inconsistent_copy_restores_the_backup_file() {
    let daemon = daemon_with_area().await;
    let old = epoch(&daemon).await;
    run_backup_pre(&daemon).await;
    daemon.admin().await.create_area("Later").await;
    let copy = restored_copy(daemon.folder());
    // Destroy half of the database, as if it was copied during a write.
    let database = copy.path().join("wallcast.db");
    let mut bytes = fs::read(&database).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0xa5);
    fs::write(&database, &bytes).unwrap();

    let restored = start_in(copy).await;
    assert_eq!(areas(&restored).await, ["Kitchen"]);
    let new = epoch(&restored).await;
    assert_ne!(new, old, "clients must not confuse old and new event ids");
    let exists = |name: &str| restored.folder().join(name).exists();
    assert!(
        !exists("home-assistant.backup"),
        "an old backup file would be stale"
    );
    let kept = fs::read_dir(restored.folder()).unwrap().any(|entry| {
        let name = entry.unwrap().file_name();
        name.to_str().unwrap().contains(".before-restore-")
    });
    assert!(kept, "the damaged database is kept");
    assert!(
        restored
            .log()
            .contains("database restored from a Home Assistant backup")
    );

    let restored = restored.restart().await;
    assert_eq!(epoch(&restored).await, new, "a restart keeps the epoch");
    assert_eq!(areas(&restored).await, ["Kitchen"]);
}

#[tokio::test]
async fn start_in_copy_of_stopped_daemon_uses_its_database() {
    let mut daemon = daemon_with_area().await;
    let old = epoch(&daemon).await;
    run_backup_pre(&daemon).await;
    daemon.admin().await.create_area("Later").await;
    assert!(daemon.stop().await.success());
    let copy = restored_copy(daemon.folder());
    assert!(
        !copy.path().join("home-assistant.backup").exists(),
        "a clean stop removes the backup file"
    );
    let restored = start_in(copy).await;
    assert_eq!(areas(&restored).await, ["Kitchen", "Later"]);
    assert_ne!(epoch(&restored).await, old);
    assert!(restored.log().contains("instance restored"));
}

#[tokio::test]
async fn start_with_damaged_backup_file_fails_and_creates_nothing() {
    let daemon = daemon_with_area().await;
    run_backup_pre(&daemon).await;
    let copy = restored_copy(daemon.folder());
    fs::write(copy.path().join("home-assistant.backup"), [b'x'; 9000]).unwrap();
    fs::remove_file(copy.path().join("wallcast.db")).unwrap();
    let mut program = crate::program::program();
    program.env("WALLCAST_DATA_DIR", copy.path());
    program.env("WALLCAST_LISTEN", "127.0.0.1:0");
    let result = run_result(program.output().unwrap());
    assert_eq!(result.code, Some(1), "{result:?}");
    assert!(result.stderr.contains("home-assistant.backup is damaged"));
    assert!(!copy.path().join("wallcast.db").exists());
}
