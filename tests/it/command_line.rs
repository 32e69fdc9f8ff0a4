//! The command line with and without a running daemon, and the files of the data folder
//! (docs/protocol.md#command-line, docs/protocol.md#files).

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

/// Asserts that stdout is nothing but one line with a JWT, and returns the JWT.
fn printed_token(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    let token = stdout.strip_suffix('\n').expect("one line");
    let is_token_character = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    assert!(
        token.chars().all(is_token_character) && token.split('.').count() == 3,
        "{stdout}"
    );
    token.to_owned()
}

#[tokio::test]
async fn token_is_created_before_first_start_and_while_running() {
    let folder = tempfile::tempdir().unwrap();
    let before_start = printed_token(&cli_on(folder.path(), CREATE).await);
    let daemon = Daemon::start_in(folder, Vec::new()).await;
    let while_running = printed_token(&daemon.cli(CREATE).await);
    for token in [&before_start, &while_running] {
        let me = daemon.api(token).get("/api/me").await.expect(200).json;
        assert_eq!(me["role"], "admin");
    }
    let listed = daemon.cli(&["token", "list", "--json"]).await;
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["tokens"].as_array().unwrap().len(), 2);
    let me = daemon
        .api(&before_start)
        .get("/api/me")
        .await
        .expect(200)
        .json;
    let jti = me["jti"].as_str().unwrap();
    assert!(daemon.cli(&["token", "revoke", jti]).await.status.success());
    assert_eq!(
        daemon.api(&before_start).get("/api/me").await.refused(401),
        "revoked"
    );
    let folder = daemon.kill().await;
    let after_kill = printed_token(&cli_on(folder.path(), CREATE).await);
    let daemon = Daemon::start_in(folder, Vec::new()).await;
    daemon.api(&after_kill).get("/api/me").await.expect(200);
    daemon.api(&while_running).get("/api/me").await.expect(200);
}

#[tokio::test]
async fn second_daemon_on_the_same_folder_is_refused() {
    let daemon = Daemon::start().await;
    let second = cli_on(daemon.folder(), &[]).await;
    assert_eq!(second.status.code(), Some(1));
    let stderr = String::from_utf8(second.stderr).unwrap();
    assert!(
        stderr.contains(&daemon.folder().display().to_string()),
        "{stderr}"
    );
    assert!(stderr.contains("in use"), "{stderr}");
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
        let status = soon("the daemon to exit", process.wait()).await.unwrap();
        assert_eq!(status.code(), Some(0), "{signal}");
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "", "more than one line on stdout");
    }
}

#[tokio::test]
async fn stop_closes_every_socket_with_1001_and_exits_with_0() {
    let mut daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let mut tablet_socket = daemon.connect(&tablet.token).await;
    tablet_socket.next_of("connection").await;
    let mut unauthenticated = crate::support::Socket::open(&daemon, "/ws", None)
        .await
        .ok()
        .unwrap();
    let status = daemon.stop().await;
    assert_eq!(status.code(), Some(0));
    let event = tablet_socket.next_of("server_shutdown").await;
    assert!(
        event["data"]["reconnectAfterMs"].as_u64().is_some(),
        "{event}"
    );
    assert_eq!(tablet_socket.closed().await.0, 1001);
    assert_eq!(unauthenticated.closed().await.0, 1001);
}

/// The bytes of each file in a folder, without sockets.
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

/// A data folder after a kill: a database, and a write-ahead log that is not empty.
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

/// Asserts that a start on the folder fails with one line that names the database, and returns that line.
async fn refused_start(folder: &Path) -> String {
    let output = cli_on(folder, &["--listen", "127.0.0.1:0"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "printed a ready line");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    assert!(
        stderr.contains(&folder.join("wallcast.db").display().to_string()),
        "{stderr}"
    );
    stderr
}

#[tokio::test]
async fn damaged_database_is_reported_and_left_unchanged() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 3] = [
        ("overwritten", |bytes| bytes[8192..].fill(0xa5)),
        ("not a database", |bytes| bytes.fill(b'x')),
        ("header zeroed", |bytes| bytes[..100].fill(0)),
    ];
    for (case, damage) in damages {
        let folder = used_folder().await;
        let file = folder.path().join("wallcast.db");
        let mut bytes = std::fs::read(&file).unwrap();
        damage(&mut bytes);
        std::fs::write(&file, &bytes).unwrap();
        let before = contents(folder.path());
        let check = cli_on(folder.path(), &["check"]).await;
        assert_eq!(check.status.code(), Some(1), "{case}");
        let stdout = String::from_utf8(check.stdout).unwrap();
        let is_reported = stdout
            .lines()
            .any(|line| line.starts_with("WRONG") && line.contains("wallcast.db"));
        assert!(is_reported, "{case}: {stdout}");
        for _ in 0..2 {
            let stderr = refused_start(folder.path()).await;
            assert!(stderr.contains("damaged"), "{case}: {stderr}");
        }
        let token = cli_on(folder.path(), CREATE).await;
        assert_eq!(
            (token.status.code(), token.stdout.len()),
            (Some(1), 0),
            "{case}"
        );
        let after = contents(folder.path());
        for name in ["wallcast.db", "wallcast.db-wal"] {
            assert!(
                before[name] == *after.get(name).unwrap_or(&Vec::new()),
                "{case}: {name} changed"
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
    let stderr = refused_start(folder.path()).await;
    assert!(
        stderr.contains("99") && stderr.contains("newer"),
        "{stderr}"
    );
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
    // `check` also works while a daemon runs on the folder, and does not disturb it.
    assert!(daemon.cli(&["check"]).await.status.success());
    let body = json!({ "name": "Hall" });
    daemon.local().post("/api/areas", body).await.expect(201);
}
