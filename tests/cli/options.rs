//! Help, version, and every way to say an option wrongly.

use crate::program::{ended, program, wallcast, wallcast_in};

#[test]
fn help_shows_each_option_with_its_default() {
    let help = wallcast(&["--help"]);
    let text = help.said();
    for row in wallcast::config::options::ROWS {
        let flag = format!("--{}", row.name.replace('_', "-"));
        let default = format!("[default: {}]", row.fallback);
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
fn help_of_a_command_is_about_the_command() {
    for command in [
        &["token", "create"][..],
        &["backup"],
        &["restore"],
        &["health"],
        &["watch"],
    ] {
        let help = wallcast(&[command, &["--help"]].concat());
        assert!(!help.said().contains("--heartbeat-seconds"), "{help:?}");
    }
    assert!(
        wallcast(&["serve", "--help"])
            .said()
            .contains("--heartbeat-seconds")
    );
}

#[test]
fn version_is_one_line() {
    let expected = format!("wallcast {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(wallcast(&["--version"]).said(), expected);
}

#[test]
fn a_wrong_option_ends_the_start_in_one_line() {
    let line = wallcast(&["--heartbeat-seconds", "soon"]);
    assert_eq!(
        line.refused(2),
        r#"heartbeat_seconds is "soon" (flag --heartbeat-seconds); allowed: a whole number from 1 to 3600"#
    );
    let output = program()
        .env("WALLCAST_LOG_LEVEL", "loud")
        .output()
        .unwrap();
    assert_eq!(
        ended(output).refused(2),
        r#"log_level is "loud" (environment variable WALLCAST_LOG_LEVEL); allowed: trace, debug, info, warn, error"#
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("options.json");
    let path = path.to_str().unwrap();
    std::fs::write(path, r#"{"plain_listen":["0.0.0.0:80"]}"#).unwrap();
    let line = wallcast(&["serve", "--options", path]);
    assert_eq!(
        line.refused(2),
        format!(
            "plain_listen is \"0.0.0.0:80\" ({path}); allowed: a loopback address such as 127.0.0.1:8080, or any if plain_allow_remote is true"
        )
    );
}

#[test]
fn an_unknown_option_is_named_with_its_place_and_what_is_allowed() {
    for arguments in [
        &["--lisen", "x"][..],
        &["serve", "--lisen=x"],
        &["health", "--lisen"],
    ] {
        let ended = wallcast(arguments);
        let line = ended.refused(2);
        assert!(
            line.starts_with(r#"unknown option "--lisen" on the command line; allowed: "#),
            "{line}"
        );
        assert!(line.contains("--listen, "), "{line}");
    }
    let output = program().env("WALLCAST_LISEN", "x").output().unwrap();
    let ended = ended(output);
    assert!(
        ended
            .refused(2)
            .contains(r#""WALLCAST_LISEN" in the environment"#)
    );
    assert!(
        wallcast(&["--options", "/nowhere.json"])
            .refused(2)
            .contains("/nowhere.json")
    );
}

#[test]
fn wrong_usage_is_one_line_too() {
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
        let ended = wallcast(arguments);
        let line = ended.refused(2);
        assert!(line.contains(part), "{arguments:?}: {line}");
        assert!(line.contains("--help`"), "{arguments:?}: {line}");
    }
}

#[test]
fn check_shows_every_option_and_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let switches = ["--plain-allow-remote", "--ingress-verify-admin", "false"];
    let check = wallcast_in(
        folder.path(),
        &[&["check", "--max-connections=7"][..], &switches].concat(),
    );
    let text = check.said();
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
fn a_flag_stands_before_or_behind_the_command() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["--max-connections", "7", "check"][..],
        &["check", "--max-connections", "7"],
        &["--plain-allow-remote", "check", "--max-connections", "7"],
    ] {
        let check = wallcast_in(folder.path(), arguments);
        assert!(check.said().contains("flag --max-connections"));
    }
}

#[test]
fn commands_that_hide_the_options_take_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let health = wallcast(&["health", "--data-dir", path]);
    assert!(health.refused(1).contains(path), "{health:?}");
    let before = wallcast(&["--data-dir", path, "health"]);
    assert!(before.refused(1).contains(path), "{before:?}");
    for arguments in [
        &["health", "--options", "/nowhere.json"][..],
        &["token", "list", "--options", "/nowhere.json"],
        &["token", "--options", "/nowhere.json", "list"],
    ] {
        assert!(wallcast(arguments).refused(2).contains("/nowhere.json"));
    }
    let deep = wallcast(&["token", "list", "--log-level", "loud"]);
    assert!(deep.refused(2).contains("flag --log-level"), "{deep:?}");
}

#[test]
fn lists_may_be_given_by_several_flags() {
    let folder = tempfile::tempdir().unwrap();
    let listen = ["check", "--listen", "127.0.0.1:0", "--listen", "[::1]:0"];
    let check = wallcast_in(folder.path(), &listen);
    assert!(check.said().contains("127.0.0.1:0,[::1]:0"));
}

#[test]
fn a_closed_output_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    for argument in ["check", "--help"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = program();
        command.env("WALLCAST_DATA_DIR", folder.path());
        let output = command.arg(argument).stdout(writer).output().unwrap();
        let ended = ended(output);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    }
}
