//! `token` and `health` beside a daemon, and without one.

use std::os::unix::net::UnixListener;

use serde_json::{Value, json};

use crate::{
    daemon::Daemon,
    program::{ended, program, wallcast_in},
};

#[test]
fn create_prints_the_bare_token_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let created = r#"{"token":"eyJ.a.b","jti":"tok_1","role":"admin"}"#;
    let daemon = Daemon::start(
        folder.path(),
        &[("201 Created", created), ("201 Created", created)],
    );
    let token = wallcast_in(folder.path(), &["token", "create", "--role", "admin"]);
    assert_eq!(token.said(), "eyJ.a.b\n");
    let all = [
        "token",
        "create",
        "--role=user",
        "--subject=ann",
        "--name=Ann",
        "--ttl-days=2",
        "--email=ann@example.org",
        "--organization-id=o1",
        "--tenant-id=t1",
    ];
    assert_eq!(wallcast_in(folder.path(), &all).said(), "eyJ.a.b\n");

    let asked = daemon.asked();
    assert_eq!(asked[0].0, "POST /api/tokens");
    let body: Value = serde_json::from_str(&asked[0].1).unwrap();
    assert_eq!(
        body,
        json!({"role":"admin","name":"made on the command line"})
    );
    let body: Value = serde_json::from_str(&asked[1].1).unwrap();
    assert_eq!(
        body,
        json!({"role":"user","subject":"ann","name":"Ann","ttlSeconds":172_800,
            "email":"ann@example.org","organizationId":"o1","tenantId":"t1"})
    );
}

#[test]
fn list_follows_the_cursors() {
    let folder = tempfile::tempdir().unwrap();
    let first = r#"{"tokens":[{"jti":"a","role":"admin","subject":"root","name":"first"}],"nextCursor":"x/1"}"#;
    let second = r#"{"tokens":[{"jti":"bb","role":"client","subject":"client_1","name":"wall\u001b[2J","revokedAt":null}],"nextCursor":null}"#;
    let pages = [("200 OK", first), ("200 OK", second)];
    let daemon = Daemon::start(folder.path(), &[pages, pages].concat());
    let table = wallcast_in(folder.path(), &["token", "list"]);
    let lines: Vec<Vec<&str>> = table
        .said()
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[0],
        [
            "JTI", "ROLE", "SUBJECT", "NAME", "CREATED", "EXPIRES", "REVOKED"
        ]
    );
    assert_eq!(lines[1], ["a", "admin", "root", "first", "-", "-", "-"]);
    assert_eq!(
        lines[2],
        ["bb", "client", "client_1", "wall", "[2J", "-", "-", "-"]
    );
    assert_eq!(
        daemon.asked()[1].0,
        "GET /api/tokens?limit=100&cursor=x%2F1"
    );

    let list = wallcast_in(folder.path(), &["token", "list", "--json"]);
    let json: Value = serde_json::from_str(list.said()).unwrap();
    assert_eq!(json["tokens"][1]["jti"], "bb");
}

#[test]
fn revoke_names_the_token_in_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = r#"{"success":false,"error":"there is no token a/b","code":"not_found"}"#;
    let daemon = Daemon::start(
        folder.path(),
        &[("204 No Content", ""), ("404 Not Found", refusal)],
    );
    let revoked = wallcast_in(folder.path(), &["token", "revoke", "a/b"]);
    assert_eq!(revoked.said(), "revoked a/b\n");
    assert_eq!(daemon.asked()[0].0, "DELETE /api/tokens/a%2Fb");
    let again = wallcast_in(folder.path(), &["token", "revoke", "a/b"]);
    assert_eq!(again.refused(1), "there is no token a/b");
}

#[test]
fn what_is_no_answer_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let _daemon = Daemon::start(
        folder.path(),
        &[("201 Created", "gibberish"), ("502 Bad", "<html>")],
    );
    for _ in 0..2 {
        let ended = wallcast_in(folder.path(), &["token", "create", "--role", "admin"]);
        assert!(ended.refused(1).starts_with("the daemon "), "{ended:?}");
    }
}

#[test]
fn a_token_whose_id_begins_with_a_hyphen_is_revoked_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let _daemon = Daemon::start(folder.path(), &[("204 No Content", "")]);
    let ended = wallcast_in(folder.path(), &["token", "revoke", "-abc"]);
    assert!(ended.said().contains("-abc"), "{ended:?}");
}

#[test]
fn health_is_an_exit_code_and_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let well = r#"{"status":"ok","version":"1.2.3","services":{"database":"connected"}}"#;
    let ill = r#"{"status":"error","services":{"database":"disconnected","redis":"disabled","websocket":{"status":"active"}}}"#;
    let _daemon = Daemon::start(
        folder.path(),
        &[("200 OK", well), ("503 Service Unavailable", ill)],
    );
    assert_eq!(
        wallcast_in(folder.path(), &["health"]).said(),
        "healthy, version 1.2.3\n"
    );
    assert_eq!(
        wallcast_in(folder.path(), &["health"]).refused(1),
        "unhealthy: the daemon answers 503 (database disconnected, redis disabled, websocket active)"
    );
}

#[test]
fn a_socket_that_nobody_listens_on_is_no_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let expected = format!(
        "unhealthy: no daemon runs on the data folder {}",
        folder.path().display()
    );
    assert_eq!(wallcast_in(folder.path(), &["health"]).refused(1), expected);
    drop(UnixListener::bind(folder.path().join("wallcast.sock")).unwrap());
    assert!(folder.path().join("wallcast.sock").exists());
    assert_eq!(wallcast_in(folder.path(), &["health"]).refused(1), expected);
    let missing = folder.path().join("x".repeat(200));
    assert!(
        wallcast_in(&missing, &["health"])
            .refused(1)
            .contains("no daemon runs")
    );
}

#[test]
fn a_data_folder_deep_down_works() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("deep/".repeat(40));
    std::fs::create_dir_all(&folder).unwrap();
    let _daemon = Daemon::start(&folder, &[("200 OK", r#"{"version":"1"}"#)]);
    assert_eq!(
        wallcast_in(&folder, &["health"]).said(),
        "healthy, version 1\n"
    );
}

#[test]
fn a_token_in_the_environment_is_no_option() {
    let folder = tempfile::tempdir().unwrap();
    let _daemon = Daemon::start(folder.path(), &[("200 OK", r#"{"version":"1"}"#)]);
    let mut command = program();
    command
        .env("WALLCAST_DATA_DIR", folder.path())
        .env("WALLCAST_TOKEN", "eyJ");
    let output = command.arg("health").output().unwrap();
    assert_eq!(ended(output).said(), "healthy, version 1\n");
}
