//! The commands `token` and `health`, with and without a running daemon.

use std::os::unix::net::UnixListener;

use serde_json::{Value, json};

use crate::{
    control_server::ControlServer,
    program::{program, run_result, wallcast_in},
};

#[test]
fn create_prints_only_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let created = r#"{"token":"eyJ.a.b","jti":"tok_1","role":"admin"}"#;
    let daemon = ControlServer::start(
        folder.path(),
        &[("201 Created", created), ("201 Created", created)],
    );
    let token = wallcast_in(folder.path(), &["token", "create", "--role", "admin"]);
    assert_eq!(token.stdout(), "eyJ.a.b\n");
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
    assert_eq!(wallcast_in(folder.path(), &all).stdout(), "eyJ.a.b\n");

    let requests = daemon.requests();
    assert_eq!(requests[0].0, "POST /api/tokens");
    let body: Value = serde_json::from_str(&requests[0].1).unwrap();
    assert_eq!(
        body,
        json!({"role":"admin","name":"made on the command line"})
    );
    let body: Value = serde_json::from_str(&requests[1].1).unwrap();
    assert_eq!(
        body,
        json!({"role":"user","subject":"ann","name":"Ann","ttlSeconds":172_800,
            "email":"ann@example.org","organizationId":"o1","tenantId":"t1"})
    );
}

#[test]
fn list_reads_all_pages() {
    let folder = tempfile::tempdir().unwrap();
    let first = r#"{"tokens":[{"jti":"a","role":"admin","subject":"root","name":"first"}],"nextCursor":"x/1"}"#;
    let second = r#"{"tokens":[{"jti":"bb","role":"client","subject":"client_1","name":"wall\u001b[2J","revokedAt":null}],"nextCursor":null}"#;
    let pages = [("200 OK", first), ("200 OK", second)];
    let daemon = ControlServer::start(folder.path(), &[pages, pages].concat());
    let table = wallcast_in(folder.path(), &["token", "list"]);
    let lines: Vec<Vec<&str>> = table
        .stdout()
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
        daemon.requests()[1].0,
        "GET /api/tokens?limit=100&cursor=x%2F1"
    );

    let list = wallcast_in(folder.path(), &["token", "list", "--json"]);
    let json: Value = serde_json::from_str(list.stdout()).unwrap();
    assert_eq!(json["tokens"][1]["jti"], "bb");
}

#[test]
fn revoke_percent_encodes_the_token_id() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = r#"{"success":false,"error":"there is no token a/b","code":"not_found"}"#;
    let daemon = ControlServer::start(
        folder.path(),
        &[("204 No Content", ""), ("404 Not Found", refusal)],
    );
    let revoked = wallcast_in(folder.path(), &["token", "revoke", "a/b"]);
    assert_eq!(revoked.stdout(), "revoked a/b\n");
    assert_eq!(daemon.requests()[0].0, "DELETE /api/tokens/a%2Fb");
    let again = wallcast_in(folder.path(), &["token", "revoke", "a/b"]);
    assert_eq!(again.error_line(1), "there is no token a/b");
}

#[test]
fn invalid_response_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let _daemon = ControlServer::start(
        folder.path(),
        &[("201 Created", "gibberish"), ("502 Bad", "<html>")],
    );
    for _ in 0..2 {
        let result = wallcast_in(folder.path(), &["token", "create", "--role", "admin"]);
        assert!(
            result.error_line(1).starts_with("the daemon "),
            "{result:?}"
        );
    }
}

#[test]
fn revoke_accepts_id_with_leading_hyphen() {
    let folder = tempfile::tempdir().unwrap();
    let _daemon = ControlServer::start(folder.path(), &[("204 No Content", "")]);
    let result = wallcast_in(folder.path(), &["token", "revoke", "-abc"]);
    assert!(result.stdout().contains("-abc"), "{result:?}");
}

#[test]
fn health_prints_one_line_and_sets_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let well = r#"{"status":"ok","version":"1.2.3","services":{"database":"connected"}}"#;
    let ill = r#"{"status":"error","services":{"database":"disconnected","redis":"disabled","websocket":{"status":"active"}}}"#;
    let _daemon = ControlServer::start(
        folder.path(),
        &[("200 OK", well), ("503 Service Unavailable", ill)],
    );
    assert_eq!(
        wallcast_in(folder.path(), &["health"]).stdout(),
        "healthy, version 1.2.3\n"
    );
    assert_eq!(
        wallcast_in(folder.path(), &["health"]).error_line(1),
        "unhealthy: the daemon answers 503 (database disconnected, redis disabled, websocket active)"
    );
}

#[test]
fn health_with_stale_socket_reports_no_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let expected = format!(
        "unhealthy: no daemon runs on the data folder {}",
        folder.path().display()
    );
    assert_eq!(
        wallcast_in(folder.path(), &["health"]).error_line(1),
        expected
    );
    drop(UnixListener::bind(folder.path().join("wallcast.sock")).unwrap());
    assert!(folder.path().join("wallcast.sock").exists());
    assert_eq!(
        wallcast_in(folder.path(), &["health"]).error_line(1),
        expected
    );
    let missing = folder.path().join("x".repeat(200));
    assert!(
        wallcast_in(&missing, &["health"])
            .error_line(1)
            .contains("no daemon runs")
    );
}

#[test]
fn deep_data_folder_works() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("deep/".repeat(40));
    std::fs::create_dir_all(&folder).unwrap();
    let _daemon = ControlServer::start(&folder, &[("200 OK", r#"{"version":"1"}"#)]);
    assert_eq!(
        wallcast_in(&folder, &["health"]).stdout(),
        "healthy, version 1\n"
    );
}

#[test]
fn token_variable_is_not_an_unknown_option() {
    let folder = tempfile::tempdir().unwrap();
    let _daemon = ControlServer::start(folder.path(), &[("200 OK", r#"{"version":"1"}"#)]);
    let mut command = program();
    command
        .env("WALLCAST_DATA_DIR", folder.path())
        .env("WALLCAST_TOKEN", "eyJ");
    let output = command.arg("health").output().unwrap();
    assert_eq!(run_result(output).stdout(), "healthy, version 1\n");
}
