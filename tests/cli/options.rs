//! Help, version and the messages for invalid options.

use crate::program::{program, run_result, wallcast, wallcast_in};

#[test]
fn help_shows_each_option_with_its_default() {
    let help = wallcast(&["--help"]);
    let text = help.stdout();
    for row in wallcast::config::options::ROWS {
        let flag = format!("--{}", row.name.replace('_', "-"));
        let default = format!("[default: {}]", row.default);
        let shown = text.lines().skip_while(|line| !line.contains(&flag)).nth(1);
        assert!(
            shown.is_some_and(|line| line.ends_with(&default)),
            "{flag}: {shown:?}"
        );
    }
    assert!(text.contains("[default: 0.0.0.0:8443,[::]:8443]"), "{text}");
    assert!(
        text.contains("[default: ./data; in the add-on /data]"),
        "{text}"
    );
    for command in ["backup", "restore", "health", "watch"] {
        assert!(text.contains(&format!("\n  {command} ")), "{text}");
    }
}

#[test]
fn command_help_omits_serve_options() {
    for command in [
        &["token", "create"][..],
        &["backup"],
        &["restore"],
        &["health"],
        &["watch"],
    ] {
        let help = wallcast(&[command, &["--help"]].concat());
        assert!(!help.stdout().contains("--heartbeat-seconds"), "{help:?}");
    }
    assert!(
        wallcast(&["serve", "--help"])
            .stdout()
            .contains("--heartbeat-seconds")
    );
}

#[test]
fn version_prints_one_line() {
    let expected = format!("wallcast {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(wallcast(&["--version"]).stdout(), expected);
}

#[test]
fn invalid_option_value_is_reported_in_one_line() {
    let line = wallcast(&["--heartbeat-seconds", "soon"]);
    assert_eq!(
        line.error_line(2),
        r#"heartbeat_seconds is "soon" (flag --heartbeat-seconds); allowed: a whole number from 1 to 3600"#
    );
    let output = program()
        .env("WALLCAST_LOG_LEVEL", "loud")
        .output()
        .unwrap();
    assert_eq!(
        run_result(output).error_line(2),
        r#"log_level is "loud" (environment variable WALLCAST_LOG_LEVEL); allowed: trace, debug, info, warn, error"#
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("options.json");
    let path = path.to_str().unwrap();
    std::fs::write(path, r#"{"plain_listen":["0.0.0.0:80"]}"#).unwrap();
    let line = wallcast(&["serve", "--options", path]);
    assert_eq!(
        line.error_line(2),
        format!(
            "plain_listen is \"0.0.0.0:80\" ({path}); allowed: a loopback address such as 127.0.0.1:8080, or any if plain_allow_remote is true"
        )
    );
}

#[test]
fn unknown_option_error_names_source_and_options() {
    for arguments in [
        &["--lisen", "x"][..],
        &["serve", "--lisen=x"],
        &["health", "--lisen"],
    ] {
        let result = wallcast(arguments);
        let line = result.error_line(2);
        assert!(
            line.starts_with(r#"unknown option "--lisen" on the command line; allowed: "#),
            "{line}"
        );
        assert!(line.contains("--listen, "), "{line}");
    }
    let output = program().env("WALLCAST_LISEN", "x").output().unwrap();
    let result = run_result(output);
    assert!(
        result
            .error_line(2)
            .contains(r#""WALLCAST_LISEN" in the environment"#)
    );
    assert!(
        wallcast(&["--options", "/nowhere.json"])
            .error_line(2)
            .contains("/nowhere.json")
    );
}

#[test]
fn wrong_usage_is_reported_in_one_line() {
    for (arguments, part) in [
        (
            &["tokens"][..],
            "allowed: serve, token, backup, restore, check, health, watch",
        ),
        (&["serve", "extra"], "extra"),
        (&["token"], "create, list, revoke"),
        (&["token", "create"], "--role"),
        (
            &["token", "create", "--role", "king"],
            "admin, client, user",
        ),
        (
            &["token", "create", "--role", "user", "--ttl", "0"],
            "--ttl",
        ),
        (
            &[
                "token",
                "create",
                "--role",
                "user",
                "--ttl",
                "1",
                "--ttl-days",
                "1",
            ],
            "--ttl-days",
        ),
        (&["token", "revoke"], "JTI"),
        (&["backup"], "FILE"),
        (&["restore"], "FILE"),
        (&["watch"], "URL"),
        (
            &["watch", "ws://h/ws?token=x"],
            "a token never belongs in a URL",
        ),
        (&["--listen"], "--listen"),
    ] {
        let result = wallcast(arguments);
        let line = result.error_line(2);
        assert!(line.contains(part), "{arguments:?}: {line}");
        assert!(line.contains("--help`"), "{arguments:?}: {line}");
    }
}

#[test]
fn check_shows_every_option_with_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let switches = ["--plain-allow-remote", "--ingress-verify-admin", "false"];
    let check = wallcast_in(
        folder.path(),
        &[&["check", "--max-connections=7"][..], &switches].concat(),
    );
    let text = check.stdout();
    let words = |name: &str| {
        let line = text
            .lines()
            .find(|line| line.split(' ').next() == Some(name));
        line.unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        words("max_connections"),
        "max_connections 7 flag --max-connections"
    );
    assert_eq!(
        words("plain_allow_remote"),
        "plain_allow_remote true flag --plain-allow-remote"
    );
    assert_eq!(
        words("ingress_verify_admin"),
        "ingress_verify_admin false flag --ingress-verify-admin"
    );
    assert_eq!(words("heartbeat_seconds"), "heartbeat_seconds 30 default");
    assert!(words("data_dir").ends_with("environment variable WALLCAST_DATA_DIR"));
}

#[test]
fn flag_is_accepted_before_and_after_the_command() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["--max-connections", "7", "check"][..],
        &["check", "--max-connections", "7"],
        &["--plain-allow-remote", "check", "--max-connections", "7"],
    ] {
        let check = wallcast_in(folder.path(), arguments);
        assert!(check.stdout().contains("flag --max-connections"));
    }
}

#[test]
fn commands_accept_options_hidden_in_their_help() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let health = wallcast(&["health", "--data-dir", path]);
    assert!(health.error_line(1).contains(path), "{health:?}");
    let before = wallcast(&["--data-dir", path, "health"]);
    assert!(before.error_line(1).contains(path), "{before:?}");
    for arguments in [
        &["health", "--options", "/nowhere.json"][..],
        &["token", "list", "--options", "/nowhere.json"],
        &["token", "--options", "/nowhere.json", "list"],
    ] {
        assert!(wallcast(arguments).error_line(2).contains("/nowhere.json"));
    }
    let deep = wallcast(&["token", "list", "--log-level", "loud"]);
    assert!(deep.error_line(2).contains("flag --log-level"), "{deep:?}");
}

#[test]
fn repeated_flags_build_a_list() {
    let folder = tempfile::tempdir().unwrap();
    let listen = ["check", "--listen", "127.0.0.1:0", "--listen", "[::1]:0"];
    let check = wallcast_in(folder.path(), &listen);
    assert!(check.stdout().contains("127.0.0.1:0,[::1]:0"));
}

#[test]
fn closed_stdout_is_not_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for argument in ["check", "--help"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = program();
        command.env("WALLCAST_DATA_DIR", folder.path());
        let output = command.arg(argument).stdout(writer).output().unwrap();
        let result = run_result(output);
        assert_eq!((result.code, result.stderr.as_str()), (Some(0), ""));
    }
}
