//! The command line beside and without a daemon, and what it does with its files (contract 9).

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

use crate::support::{Daemon, cli_on, command, soon};

const CREATE: &[&str] = &["token", "create", "--role", "admin"];

fn bare_token(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    let token = said.strip_suffix('\n').expect("one line");
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    assert!(
        token.chars().all(plain) && token.split('.').count() == 3,
        "{said}"
    );
    token.to_owned()
}

#[tokio::test]
async fn token_is_created_before_first_start_and_while_running() {
    let folder = tempfile::tempdir().unwrap();
    let early = bare_token(&cli_on(folder.path(), CREATE).await);
    let daemon = Daemon::start_in(folder, Vec::new()).await;
    let beside = bare_token(&daemon.cli(CREATE).await);
    for token in [&early, &beside] {
        let me = daemon.api(token).get("/api/me").await.expect(200).json;
        assert_eq!(me["role"], "admin");
    }
    let listed = daemon.cli(&["token", "list", "--json"]).await;
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["tokens"].as_array().unwrap().len(), 2);
    let me = daemon.api(&early).get("/api/me").await.expect(200).json;
    let jti = me["jti"].as_str().unwrap();
    assert!(daemon.cli(&["token", "revoke", jti]).await.status.success());
    assert_eq!(
        daemon.api(&early).get("/api/me").await.refused(401),
        "revoked"
    );
    let folder = daemon.kill().await;
    let late = bare_token(&cli_on(folder.path(), CREATE).await);
    let daemon = Daemon::start_in(folder, Vec::new()).await;
    daemon.api(&late).get("/api/me").await.expect(200);
    daemon.api(&beside).get("/api/me").await.expect(200);
}

#[tokio::test]
async fn second_daemon_on_the_same_folder_is_refused() {
    let daemon = Daemon::start().await;
    let second = cli_on(daemon.folder(), &[]).await;
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(
        said.contains(&daemon.folder().display().to_string()),
        "{said}"
    );
    assert!(said.contains("in use"), "{said}");
    daemon.local().get("/health").await.expect(200);
}

#[tokio::test]
async fn stdout_is_one_ready_line_and_signals_exit_with_0() {
    for signal in ["-TERM", "-INT"] {
        let folder = tempfile::tempdir().unwrap();
        let mut process = command(folder.path(), &[])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        soon("the ready line", stdout.read_line(&mut line))
            .await
            .unwrap();
        let address = line
            .strip_prefix("ready https=")
            .and_then(|rest| rest.split(' ').next());
        let address: std::net::SocketAddr = address.expect(&line).parse().expect(&line);
        assert_ne!(address.port(), 0);
        assert_eq!(
            line,
            format!("ready https={address} ingress=off plain=off\n")
        );
        tokio::net::TcpStream::connect(address)
            .await
            .expect("it accepts connections");
        let pid = process.id().unwrap().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .await
                .unwrap()
                .success()
        );
        let ended = soon("the end", process.wait()).await.unwrap();
        assert_eq!(ended.code(), Some(0), "{signal}");
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "", "stdout has nothing else");
    }
}

#[tokio::test]
async fn stop_sends_reconnect_delay_and_finishes_requests() {
    let mut daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let mut wall = daemon.connect(&tablet.token).await;
    wall.next_of("connection").await;
    let mut unproven = crate::support::Socket::open(&daemon, "/ws", None)
        .await
        .ok()
        .unwrap();
    let ended = daemon.stop().await;
    assert_eq!(ended.code(), Some(0));
    let event = wall.next_of("server_shutdown").await;
    assert!(
        event["data"]["reconnectAfterMs"].as_u64().is_some(),
        "{event}"
    );
    assert_eq!(wall.closed().await.0, 1001);
    assert_eq!(unproven.closed().await.0, 1001);
}

/// Each file of a folder with its bytes; sockets, which have none, are left out.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    files
        .filter(|path| !std::fs::metadata(path).unwrap().file_type().is_socket())
        .map(|path| (name(&path), std::fs::read(&path).unwrap()))
        .collect()
}

#[tokio::test]
async fn files_are_private_with_any_umask() {
    let mut daemon = Daemon::with_shell_setup("umask 000", &[]).await;
    let admin = daemon.admin().await;
    admin.create_area("Kitchen").await;
    daemon.pair("Wall", &[]).await;
    let check = |folder: &Path, expected: &[&str]| {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{} has {mode:o}", path.display());
            names.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
        for name in expected {
            assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
        }
    };
    check(
        daemon.folder(),
        &["wallcast.db", "wallcast.db-wal", "wallcast.sock"],
    );
    assert!(daemon.stop().await.success());
    check(daemon.folder(), &["wallcast.db"]);
}

/// A folder that a daemon was killed on: a database and a journal that belongs to it.
async fn used_folder() -> TempDir {
    let daemon = Daemon::start().await;
    daemon.admin().await.create_area("Kitchen").await;
    let daemon = daemon.restart().await;
    daemon.admin().await.create_area("Bath").await;
    let folder = daemon.kill().await;
    assert!(
        !std::fs::read(folder.path().join("wallcast.db-wal"))
            .unwrap()
            .is_empty()
    );
    folder
}

/// What a start on the folder says when it must fail.
async fn refused_start(folder: &Path) -> String {
    let output = cli_on(folder, &["--listen", "127.0.0.1:0"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "it was never ready");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(
        said.contains(&folder.join("wallcast.db").display().to_string()),
        "{said}"
    );
    said
}

#[tokio::test]
async fn damaged_database_is_reported_and_left_unchanged() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 3] = [
        ("overwritten", |bytes| bytes[8192..].fill(0xa5)),
        ("no database", |bytes| bytes.fill(b'x')),
        ("its head gone", |bytes| bytes[..100].fill(0)),
    ];
    for (what, damage) in damages {
        let folder = used_folder().await;
        let file = folder.path().join("wallcast.db");
        let mut bytes = std::fs::read(&file).unwrap();
        damage(&mut bytes);
        std::fs::write(&file, &bytes).unwrap();
        let before = contents(folder.path());
        let check = cli_on(folder.path(), &["check"]).await;
        assert_eq!(check.status.code(), Some(1), "{what}");
        let said = String::from_utf8(check.stdout).unwrap();
        let named = said
            .lines()
            .any(|line| line.starts_with("WRONG") && line.contains("wallcast.db"));
        assert!(named, "{what}: {said}");
        for _ in 0..2 {
            let said = refused_start(folder.path()).await;
            assert!(said.contains("damaged"), "{what}: {said}");
        }
        let token = cli_on(folder.path(), CREATE).await;
        assert_eq!(
            (token.status.code(), token.stdout.len()),
            (Some(1), 0),
            "{what}"
        );
        let after = contents(folder.path());
        for name in ["wallcast.db", "wallcast.db-wal"] {
            assert!(
                before[name] == *after.get(name).unwrap_or(&Vec::new()),
                "{what}: {name} changed"
            );
        }
    }
}

#[tokio::test]
async fn newer_database_is_refused_with_one_line() {
    let folder = used_folder().await;
    let database = rusqlite::Connection::open(folder.path().join("wallcast.db")).unwrap();
    database.execute_batch("PRAGMA user_version = 99").unwrap();
    database.close().unwrap();
    let before = contents(folder.path());
    let said = refused_start(folder.path()).await;
    assert!(said.contains("99") && said.contains("newer"), "{said}");
    let check = cli_on(folder.path(), &["check"]).await;
    assert_eq!(check.status.code(), Some(1));
    assert_eq!(
        contents(folder.path())["wallcast.db"],
        before["wallcast.db"]
    );
}

#[tokio::test]
async fn check_of_an_intact_folder_passes_and_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let missing = root.path().join("not there");
    assert!(cli_on(&missing, &["check"]).await.status.success());
    assert!(!missing.exists());

    let folder = used_folder().await;
    let before = contents(folder.path());
    assert!(cli_on(folder.path(), &["check"]).await.status.success());
    let after = contents(folder.path());
    for name in ["wallcast.db", "wallcast.db-wal"] {
        assert!(before[name] == after[name], "{name} changed");
    }
    let daemon = Daemon::start_in(folder, Vec::new()).await;
    let areas = daemon
        .admin()
        .await
        .get("/api/areas")
        .await
        .expect(200)
        .json;
    assert_eq!(areas["areas"].as_array().unwrap().len(), 2);
    // Beside a running daemon it may look as well.
    assert!(daemon.cli(&["check"]).await.status.success());
    let body = json!({ "name": "Hall" });
    daemon.local().post("/api/areas", body).await.expect(201);
}
