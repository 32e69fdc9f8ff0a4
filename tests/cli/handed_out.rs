//! Home Assistant's own backups: what it copies of the data folder, file by file, is a whole house
//! again, whether the app ran meanwhile or not.

use std::{fs, os::unix::fs::FileTypeExt as _, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use crate::{program::ended, support::Daemon};

/// A daemon with one area.
async fn house() -> Daemon {
    let daemon = Daemon::start().await;
    daemon.admin().await.create_area("Kitchen").await;
    daemon
}

/// What `backup_pre` of config.yaml does.
async fn hand_out(daemon: &Daemon) {
    let copy = daemon.folder().join("home-assistant.backup");
    let words = ["backup", "--force", copy.to_str().unwrap()];
    ended(daemon.cli(&words).await).said();
}

/// A copy of the folder without what `backup_exclude` of config.yaml names, as a restore lays it down.
fn tar(folder: &Path) -> TempDir {
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

async fn started(folder: TempDir) -> Daemon {
    Daemon::start_in(folder, Vec::new()).await
}

async fn areas(daemon: &Daemon) -> Vec<String> {
    let list = daemon.local().get("/api/areas").await.expect(200).json;
    let areas = list["areas"].as_array().unwrap().iter();
    let names = areas.map(|area| area["name"].as_str().unwrap().to_owned());
    names.collect()
}

/// What names the house's history.
async fn epoch(daemon: &Daemon) -> Value {
    let admin = daemon.token(serde_json::json!({ "role": "admin", "name": "e" }));
    let admin = admin.await;
    let words = daemon.welcome(admin["token"].as_str().unwrap()).await;
    words["epoch"].clone()
}

#[tokio::test]
async fn a_house_that_was_copied_while_it_was_written_comes_back_from_the_copy_handed_out() {
    let daemon = house().await;
    let old = epoch(&daemon).await;
    hand_out(&daemon).await;
    daemon.admin().await.create_area("Later").await;
    let copy = tar(daemon.folder());
    // Half of the file is of one moment, half of another.
    let database = copy.path().join("wallcast.db");
    let mut bytes = fs::read(&database).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0xa5);
    fs::write(&database, &bytes).unwrap();

    let again = started(copy).await;
    assert_eq!(areas(&again).await, ["Kitchen"]);
    let new = epoch(&again).await;
    assert_ne!(new, old, "old event ids must not be taken for new ones");
    let there = |name: &str| again.folder().join(name).exists();
    assert!(!there("home-assistant.backup"), "it would soon be old");
    let kept = fs::read_dir(again.folder()).unwrap().any(|entry| {
        let name = entry.unwrap().file_name();
        name.to_str().unwrap().contains(".before-restore-")
    });
    assert!(kept, "what lay beside it is kept");
    assert!(again.log().contains("the house was put back"));

    let again = again.restart().await;
    assert_eq!(epoch(&again).await, new, "a restart is no restore");
    assert_eq!(areas(&again).await, ["Kitchen"]);
}

#[tokio::test]
async fn a_house_that_was_backed_up_at_rest_comes_back_as_it_lay() {
    let mut daemon = house().await;
    let old = epoch(&daemon).await;
    hand_out(&daemon).await;
    daemon.admin().await.create_area("Later").await;
    assert!(daemon.stop().await.success());
    let copy = tar(daemon.folder());
    assert!(
        !copy.path().join("home-assistant.backup").exists(),
        "a house at rest is its own copy"
    );
    let again = started(copy).await;
    assert_eq!(areas(&again).await, ["Kitchen", "Later"]);
    assert_ne!(epoch(&again).await, old);
    assert!(again.log().contains("the house was restored"));
}

#[tokio::test]
async fn a_copy_that_is_damaged_ends_the_start_and_nothing_is_begun_anew() {
    let daemon = house().await;
    hand_out(&daemon).await;
    let copy = tar(daemon.folder());
    fs::write(copy.path().join("home-assistant.backup"), [b'x'; 9000]).unwrap();
    fs::remove_file(copy.path().join("wallcast.db")).unwrap();
    let mut program = crate::program::program();
    program.env("WALLCAST_DATA_DIR", copy.path());
    program.env("WALLCAST_LISTEN", "127.0.0.1:0");
    let refused = ended(program.output().unwrap());
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("home-assistant.backup is damaged"));
    assert!(!copy.path().join("wallcast.db").exists());
}
