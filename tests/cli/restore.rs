//! `restore`: what comes back, what is kept, and every way to be refused.

use std::{collections::BTreeMap, fs, os::unix::fs::FileTypeExt as _, path::Path};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    program::{Ended, ended, wallcast_in},
    support::{Daemon, Tablet, cli_on, is_private, until},
};

/// A daemon whose house was backed up with one area and one tablet, and changed since.
struct Changed {
    daemon: Daemon,
    backups: TempDir,
    tablet: Tablet,
    epoch: String,
    last_event: i64,
}

impl Changed {
    async fn new() -> Self {
        let daemon = Daemon::start().await;
        let admin = daemon.admin().await;
        let area = admin.create_area("Kitchen").await;
        let tablet = daemon.pair("Kitchen wall", &[&area]).await;
        let (epoch, last_event) = place(&daemon, &tablet).await;
        let backups = tempfile::tempdir().unwrap();
        let file = backups.path().join("house.backup");
        ended(daemon.cli(&["backup", file.to_str().unwrap()]).await).said();

        let path = format!("/api/areas/{area}");
        let body = json!({ "name": "Bathroom" });
        admin.put(&path, body).await.expect(200);
        admin.create_area("Hall").await;
        daemon.pair("Late wall", &[]).await;
        Self {
            daemon,
            backups,
            tablet,
            epoch,
            last_event,
        }
    }

    fn file(&self) -> String {
        let file = self.backups.path().join("house.backup");
        file.to_str().unwrap().to_owned()
    }
}

/// The epoch and the newest event that a tablet's first words name.
async fn place(daemon: &Daemon, tablet: &Tablet) -> (String, i64) {
    let mut socket = daemon.connect(&tablet.token).await;
    let first = socket.next_of("connection").await;
    let epoch = first["data"]["epoch"].as_str().unwrap().to_owned();
    (epoch, first["data"]["lastEventId"].as_i64().unwrap())
}

/// Names of areas.
async fn areas(daemon: &Daemon) -> Vec<String> {
    let list = daemon.local().get("/api/areas").await.expect(200).json;
    let areas = list["areas"].as_array().unwrap().iter();
    areas
        .map(|area| area["name"].as_str().unwrap().to_owned())
        .collect()
}

async fn restore(folder: &Path, file: &str) -> Ended {
    ended(cli_on(folder, &["restore", file]).await)
}

/// Each file of a folder with its bytes, but for sockets and the lock.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| !entry.file_type().unwrap().is_socket())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .filter(|(name, _)| name != "wallcast.lock")
        .collect()
}

#[tokio::test]
async fn the_old_house_comes_back_in_another_epoch_and_its_tokens_with_it() {
    let mut changed = Changed::new().await;
    let ca = changed.daemon.local().get("/ca.crt").await.text;
    assert!(changed.daemon.stop().await.success());
    let file = changed.file();
    let Changed {
        daemon,
        backups,
        tablet,
        epoch,
        last_event,
    } = changed;
    let folder = daemon.kill().await;
    let said = restore(folder.path(), &file).await;
    let lines: Vec<&str> = said.said().lines().collect();
    let database = folder.path().join("wallcast.db");
    let restored = format!("restored {} from {file} (", database.display());
    assert!(lines[0].starts_with(&restored), "{said:?}");
    assert!(
        lines[0].contains(", 1 client), made 20") && lines[0].ends_with('Z'),
        "{said:?}"
    );
    let kept = lines[1].strip_prefix("the old house is kept in ").unwrap();
    assert!(lines[2].contains("`wallcast token revoke JTI`"), "{said:?}");
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        words(lines[3]),
        ["JTI", "ROLE", "SUBJECT", "NAME", "EXPIRES"]
    );
    assert_eq!(lines.len(), 6, "an admin's and a tablet's: {said:?}");
    let row = lines.iter().find(|line| line.contains("Kitchen wall"));
    let row = words(row.unwrap());
    assert_eq!([&row[1], &row[2]], ["client", &tablet.id]);
    assert!(!said.stdout.contains("eyJ"), "no token is shown");

    let name = Path::new(kept).file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("wallcast.db.before-restore-20"), "{name}");
    let names: Vec<String> = contents(folder.path()).into_keys().collect();
    assert_eq!(names, ["wallcast.db", name]);
    assert!(is_private(&database) && is_private(Path::new(kept)));

    let daemon = Daemon::start_in(folder, Vec::new()).await;
    assert_eq!(areas(&daemon).await, ["Kitchen"]);
    assert_eq!(daemon.local().get("/ca.crt").await.text, ca);
    let me = daemon.api(&tablet.token).get("/api/me").await;
    assert_eq!(me.expect(200).json["role"], "client");
    let (new_epoch, newest) = place(&daemon, &tablet).await;
    assert_ne!(new_epoch, epoch);
    assert_eq!(newest, last_event, "ids go on from the restored ones");
    let entry = audit(&daemon).await;
    let detail = entry["detail"].as_str().unwrap();
    for part in [
        &epoch,
        &new_epoch,
        &row[0],
        "Kitchen wall",
        &format!("client:{}", tablet.id),
        "tokens that stand again: 2;",
    ] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    let log = until("the log", async || {
        Some(daemon.log()).filter(|log| log.contains(" started"))
    })
    .await;
    let warned = log.lines().filter(|line| line.contains("WARN"));
    let warned: Vec<&str> = warned
        .filter(|line| line.contains("stands again"))
        .collect();
    assert_eq!(warned.len(), 2, "{log}");
    assert!(warned.iter().any(|line| line.contains(&row[0])), "{log}");
    assert!(!log.contains("eyJ"), "{log}");

    // The second start keeps the epoch and tells nobody again.
    let daemon = daemon.restart().await;
    assert_eq!(place(&daemon, &tablet).await.0, new_epoch);
    audit(&daemon).await;
    assert!(!daemon.log().contains("stands again"));

    // The old house comes back the same way.
    let kept = kept.to_owned();
    let folder = daemon.kill().await;
    restore(folder.path(), &kept).await.said();
    let daemon = Daemon::start_in(folder, Vec::new()).await;
    assert_eq!(areas(&daemon).await, ["Bathroom", "Hall"]);
    let third = place(&daemon, &tablet).await.0;
    assert!(third != epoch && third != new_epoch);
    drop(backups);
}

/// The one entry of the audit that tells of a restore.
async fn audit(daemon: &Daemon) -> Value {
    let audit = daemon.local().get("/api/audit").await.expect(200).json;
    let entries = audit["entries"].as_array().unwrap().iter();
    let told: Vec<&Value> = entries
        .filter(|entry| entry["action"] == "house_restored")
        .collect();
    assert_eq!(told.len(), 1, "{audit}");
    assert_eq!(told[0]["actor"], "system:restore");
    told[0].clone()
}

#[tokio::test]
async fn a_position_of_the_lost_present_is_not_one_of_the_restored_past() {
    let changed = Changed::new().await;
    let (file, Changed { daemon, tablet, .. }) = (changed.file(), &changed);
    let (epoch, last) = place(daemon, tablet).await;
    let Changed {
        daemon,
        tablet,
        backups,
        ..
    } = changed;
    let folder = daemon.kill().await;
    restore(folder.path(), &file).await.said();
    let daemon = Daemon::start_in(folder, Vec::new()).await;
    let path = format!("/ws?since={last}&epoch={epoch}");
    let mut socket = crate::support::Socket::open(&daemon, &path, Some(&tablet.token))
        .await
        .unwrap();
    let first = socket.next_of("connection").await;
    assert_ne!(first["data"]["epoch"], json!(epoch));
    assert_eq!(first["data"]["recovered"], json!(false));
    drop(backups);
}

#[tokio::test]
async fn a_backup_copied_in_by_hand_draws_another_epoch_once() {
    let changed = Changed::new().await;
    let file = changed.file();
    let Changed {
        daemon,
        backups,
        tablet,
        epoch,
        ..
    } = changed;
    // A killed daemon leaves a journal, which is not the backup's.
    let folder = daemon.kill().await;
    assert!(folder.path().join("wallcast.db-wal").exists());
    fs::copy(&file, folder.path().join("wallcast.db")).unwrap();
    let check = cli_on(folder.path(), &["check"]).await;
    assert!(check.status.success(), "{check:?}");
    // A command line before the first start takes none of it away.
    ended(cli_on(folder.path(), &["token", "list"]).await).said();
    let daemon = Daemon::start_in(folder, Vec::new()).await;
    assert_eq!(areas(&daemon).await, ["Kitchen"]);
    let (drawn, _) = place(&daemon, &tablet).await;
    assert_ne!(drawn, epoch);
    let detail = audit(&daemon).await["detail"].to_string();
    assert!(
        detail.contains(&epoch) && detail.contains(&drawn),
        "{detail}"
    );
    let daemon = daemon.kill_and_restart().await;
    assert_eq!(place(&daemon, &tablet).await.0, drawn);
    audit(&daemon).await;
    drop(backups);
}

#[tokio::test]
async fn a_house_can_be_restored_where_there_was_none() {
    let changed = Changed::new().await;
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("new/house");
    let said = restore(&folder, &changed.file()).await;
    assert!(!said.said().contains("is kept in"), "{said:?}");
    let list = ended(cli_on(&folder, &["token", "list"]).await);
    assert!(list.said().contains("Kitchen wall"), "{list:?}");
}

#[tokio::test]
async fn a_running_daemon_must_be_stopped_first() {
    let changed = Changed::new().await;
    let folder = changed.daemon.folder();
    let refused = restore(folder, &changed.file()).await;
    let line = refused.refused(1);
    assert!(
        line.contains(&folder.display().to_string()) && line.contains("stop that one first"),
        "{line}"
    );
    assert_eq!(areas(&changed.daemon).await, ["Bathroom", "Hall"]);
    let kept = contents(folder).into_keys();
    assert_eq!(kept.filter(|name| name.contains("restor")).count(), 0);
}

#[tokio::test]
async fn what_is_no_sound_backup_is_refused_and_nothing_changes() {
    let changed = Changed::new().await;
    let good = fs::read(changed.file()).unwrap();
    let folder = changed.daemon.kill().await;
    let files = changed.backups.path();
    let foreign = files.join("foreign");
    let other = rusqlite::Connection::open(&foreign).unwrap();
    other.execute_batch("CREATE TABLE other (x)").unwrap();
    drop(other);
    let newer = files.join("newer");
    fs::write(&newer, &good).unwrap();
    let other = rusqlite::Connection::open(&newer).unwrap();
    other.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(other);
    fs::write(files.join("garbage"), [b'x'; 9000]).unwrap();
    fs::write(files.join("cut"), &good[..good.len() - 4096]).unwrap();
    fs::write(files.join("empty"), "").unwrap();
    let before = contents(folder.path());
    for (name, part) in [
        ("missing", "there is no file"),
        ("foreign", "is not a backup of Wallcast"),
        ("empty", "is not a backup of Wallcast"),
        (".", "is not a backup of Wallcast"),
        ("newer", "newer than this program's"),
        ("garbage", "is damaged"),
        ("cut", "is damaged"),
    ] {
        let path = files.join(name);
        let refused = wallcast_in(folder.path(), &["restore", path.to_str().unwrap()]);
        let line = refused.refused(1);
        assert!(line.contains(part), "{name}: {line}");
        assert!(line.contains(path.to_str().unwrap()), "{name}: {line}");
        assert!(
            contents(folder.path()) == before,
            "{name} changed something"
        );
    }
}
