//! The command `restore`: what it restores, what it keeps, and its error messages.

use std::{collections::BTreeMap, fs, os::unix::fs::FileTypeExt as _, path::Path};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    program::{RunResult, run_result, wallcast_in},
    support::{Daemon, Tablet, cli_on, is_private, until},
};

/// A daemon that was backed up with one area and one tablet, and changed since.
struct ChangedDaemon {
    daemon: Daemon,
    backups: TempDir,
    tablet: Tablet,
    epoch: String,
    last_event: i64,
}

impl ChangedDaemon {
    async fn new() -> Self {
        let daemon = Daemon::start().await;
        let admin = daemon.admin().await;
        let area = admin.create_area("Kitchen").await;
        let tablet = daemon.pair("Kitchen wall", &[&area]).await;
        let (epoch, last_event) = position(&daemon, &tablet).await;
        let backups = tempfile::tempdir().unwrap();
        let file = backups.path().join("wallcast.backup");
        run_result(daemon.cli(&["backup", file.to_str().unwrap()]).await).stdout();

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
        let file = self.backups.path().join("wallcast.backup");
        file.to_str().unwrap().to_owned()
    }
}

/// The epoch and the newest event id in a tablet's welcome.
async fn position(daemon: &Daemon, tablet: &Tablet) -> (String, i64) {
    let mut socket = daemon.connect(&tablet.token).await;
    let first = socket.next_of("connection").await;
    let epoch = first["data"]["epoch"].as_str().unwrap().to_owned();
    (epoch, first["data"]["lastEventId"].as_i64().unwrap())
}

/// The names of all areas.
async fn areas(daemon: &Daemon) -> Vec<String> {
    let list = daemon.local().get("/api/areas").await.expect(200).json;
    let areas = list["areas"].as_array().unwrap().iter();
    areas
        .map(|area| area["name"].as_str().unwrap().to_owned())
        .collect()
}

async fn restore(folder: &Path, file: &str) -> RunResult {
    run_result(cli_on(folder, &["restore", file]).await)
}

/// The files of a folder with their content, without sockets and the lock file.
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
async fn restore_brings_back_data_and_tokens_in_a_new_epoch() {
    let mut changed = ChangedDaemon::new().await;
    let ca = changed.daemon.local().get("/ca.crt").await.text;
    assert!(changed.daemon.stop().await.success());
    let file = changed.file();
    let ChangedDaemon {
        daemon,
        backups,
        tablet,
        epoch,
        last_event,
    } = changed;
    let folder = daemon.kill().await;
    let result = restore(folder.path(), &file).await;
    let lines: Vec<&str> = result.stdout().lines().collect();
    let database = folder.path().join("wallcast.db");
    let restored = format!("restored {} from {file} (", database.display());
    assert!(lines[0].starts_with(&restored), "{result:?}");
    assert!(
        lines[0].contains(", 1 client), made 20") && lines[0].ends_with('Z'),
        "{result:?}"
    );
    let kept = lines[1]
        .strip_prefix("the previous database is kept in ")
        .unwrap();
    assert!(
        lines[2].contains("`wallcast token revoke JTI`"),
        "{result:?}"
    );
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        words(lines[3]),
        ["JTI", "ROLE", "SUBJECT", "NAME", "EXPIRES"]
    );
    assert_eq!(
        lines.len(),
        6,
        "an admin's and a tablet's token: {result:?}"
    );
    let row = lines.iter().find(|line| line.contains("Kitchen wall"));
    let row = words(row.unwrap());
    assert_eq!([&row[1], &row[2]], ["client", &tablet.id]);
    assert!(!result.stdout.contains("eyJ"), "no token is shown");

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
    let (new_epoch, newest) = position(&daemon, &tablet).await;
    assert_ne!(new_epoch, epoch);
    assert_eq!(
        newest, last_event,
        "new ids continue after the restored ones"
    );
    let entry = audit(&daemon).await;
    let detail = entry["detail"].as_str().unwrap();
    for part in [
        &epoch,
        &new_epoch,
        &row[0],
        "Kitchen wall",
        &format!("client:{}", tablet.id),
        "tokens valid again: 2;",
    ] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    let log = until("the log", async || {
        Some(daemon.log()).filter(|log| log.contains(" started"))
    })
    .await;
    let warned = log.lines().filter(|line| line.contains("WARN"));
    let warned: Vec<&str> = warned
        .filter(|line| line.contains("token valid again"))
        .collect();
    assert_eq!(warned.len(), 2, "{log}");
    assert!(warned.iter().any(|line| line.contains(&row[0])), "{log}");
    assert!(!log.contains("eyJ"), "{log}");

    // The second start keeps the epoch and logs no warnings.
    let daemon = daemon.restart().await;
    assert_eq!(position(&daemon, &tablet).await.0, new_epoch);
    audit(&daemon).await;
    assert!(!daemon.log().contains("token valid again"));

    // The data from before the restore can be restored in the same way.
    let kept = kept.to_owned();
    let folder = daemon.kill().await;
    restore(folder.path(), &kept).await.stdout();
    let daemon = Daemon::start_in(folder, Vec::new()).await;
    assert_eq!(areas(&daemon).await, ["Bathroom", "Hall"]);
    let third = position(&daemon, &tablet).await.0;
    assert!(third != epoch && third != new_epoch);
    drop(backups);
}

/// The only audit entry of a restore.
async fn audit(daemon: &Daemon) -> Value {
    let audit = daemon.local().get("/api/audit").await.expect(200).json;
    let entries = audit["entries"].as_array().unwrap().iter();
    let restores: Vec<&Value> = entries
        .filter(|entry| entry["action"] == "house_restored")
        .collect();
    assert_eq!(restores.len(), 1, "{audit}");
    assert_eq!(restores[0]["actor"], "system:restore");
    restores[0].clone()
}

#[tokio::test]
async fn resume_position_from_before_restore_is_not_recovered() {
    let changed = ChangedDaemon::new().await;
    let (file, ChangedDaemon { daemon, tablet, .. }) = (changed.file(), &changed);
    let (epoch, last) = position(daemon, tablet).await;
    let ChangedDaemon {
        daemon,
        tablet,
        backups,
        ..
    } = changed;
    let folder = daemon.kill().await;
    restore(folder.path(), &file).await.stdout();
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
async fn backup_copied_by_hand_gets_a_new_epoch_once() {
    let changed = ChangedDaemon::new().await;
    let file = changed.file();
    let ChangedDaemon {
        daemon,
        backups,
        tablet,
        epoch,
        ..
    } = changed;
    // A killed daemon leaves a write-ahead log that does not belong to the backup.
    let folder = daemon.kill().await;
    assert!(folder.path().join("wallcast.db-wal").exists());
    fs::copy(&file, folder.path().join("wallcast.db")).unwrap();
    let check = cli_on(folder.path(), &["check"]).await;
    assert!(check.status.success(), "{check:?}");
    // A command before the first start must not use up the new epoch.
    run_result(cli_on(folder.path(), &["token", "list"]).await).stdout();
    let daemon = Daemon::start_in(folder, Vec::new()).await;
    assert_eq!(areas(&daemon).await, ["Kitchen"]);
    let (new_epoch, _) = position(&daemon, &tablet).await;
    assert_ne!(new_epoch, epoch);
    let detail = audit(&daemon).await["detail"].to_string();
    assert!(
        detail.contains(&epoch) && detail.contains(&new_epoch),
        "{detail}"
    );
    let daemon = daemon.kill_and_restart().await;
    assert_eq!(position(&daemon, &tablet).await.0, new_epoch);
    audit(&daemon).await;
    drop(backups);
}

#[tokio::test]
async fn restore_creates_missing_data_folder() {
    let changed = ChangedDaemon::new().await;
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("new/data");
    let result = restore(&folder, &changed.file()).await;
    assert!(!result.stdout().contains("is kept in"), "{result:?}");
    let list = run_result(cli_on(&folder, &["token", "list"]).await);
    assert!(list.stdout().contains("Kitchen wall"), "{list:?}");
}

#[tokio::test]
async fn restore_with_running_daemon_is_refused() {
    let changed = ChangedDaemon::new().await;
    let folder = changed.daemon.folder();
    let result = restore(folder, &changed.file()).await;
    let line = result.error_line(1);
    assert!(
        line.contains(&folder.display().to_string()) && line.contains("stop that one first"),
        "{line}"
    );
    assert_eq!(areas(&changed.daemon).await, ["Bathroom", "Hall"]);
    let kept = contents(folder).into_keys();
    assert_eq!(kept.filter(|name| name.contains("restor")).count(), 0);
}

#[tokio::test]
async fn restore_of_invalid_backup_is_refused_without_changes() {
    let changed = ChangedDaemon::new().await;
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
        let result = wallcast_in(folder.path(), &["restore", path.to_str().unwrap()]);
        let line = result.error_line(1);
        assert!(line.contains(part), "{name}: {line}");
        assert!(line.contains(path.to_str().unwrap()), "{name}: {line}");
        assert!(
            contents(folder.path()) == before,
            "{name} changed something"
        );
    }
}
