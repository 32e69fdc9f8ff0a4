use std::{io::Write, path::PathBuf, time::Duration};

use super::*;
use crate::config::{Config, LogFormat};

#[derive(Default)]
struct Case<'a> {
    file: Option<&'a str>,
    env: &'a [(&'a str, &'a str)],
    flags: &'a [(&'static str, &'a str)],
}

/// The folder must outlive the result: errors name the path in it.
fn load_case(case: &Case<'_>) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("options.json");
    if let Some(text) = case.file {
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
    let env = case
        .env
        .iter()
        .map(|(name, value)| (name.into(), value.into()));
    let flags = case
        .flags
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    load(&Sources {
        options_file: None,
        default_file: path.clone(),
        environment: Environment::new(env),
        flags: flags.collect(),
    })
    .map_err(|error| error.to_string().replace(&*path.to_string_lossy(), "FILE"))
}

fn from_file(text: &str) -> Result<Config, String> {
    load_case(&Case {
        file: Some(text),
        ..Case::default()
    })
}

fn from_env(name: &str, value: &str) -> Result<Config, String> {
    load_case(&Case {
        env: &[(name, value)],
        ..Case::default()
    })
}

fn from_flag(name: &'static str, value: &str) -> Result<Config, String> {
    load_case(&Case {
        flags: &[(name, value)],
        ..Case::default()
    })
}

fn joined<T: ToString>(list: &[T]) -> String {
    list.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}

#[test]
fn defaults_outside_the_addon() {
    let config = load_case(&Case::default()).unwrap();
    assert_eq!(joined(&config.listen), "0.0.0.0:8443,[::]:8443");
    assert!(config.ingress_listen.is_empty() && config.plain_listen.is_empty());
    assert_eq!(joined(&config.ingress_from), "172.30.32.2");
    assert!(config.ingress_verify_admin && !config.in_addon());
    assert!(config.trusted_proxies.is_empty() && config.cors_origins.is_empty());
    assert_eq!(config.data_dir, PathBuf::from("./data"));
    let files = config.certificate.unwrap();
    assert_eq!(files.certfile, PathBuf::from("/ssl/fullchain.pem"));
    assert_eq!(files.keyfile, PathBuf::from("/ssl/privkey.pem"));
    assert!(config.tls_names.is_empty());
    assert_eq!(config.log_level, tracing::level_filters::LevelFilter::INFO);
    assert_eq!(config.log_format, LogFormat::Text);
    assert_eq!(config.client_token_life, Duration::from_secs(365 * 86_400));
    assert_eq!(config.pairing_ttl, Duration::from_secs(300));
    assert_eq!(config.heartbeat, Duration::from_secs(30));
    assert_eq!(config.connections_per_minute, 10);
    assert_eq!(config.max_connections, 10_000);
    assert_eq!(config.history_life, Duration::from_secs(7 * 86_400));
    assert_eq!(config.history_events, 100_000);
    assert_eq!(config.archive_life, Duration::from_secs(90 * 86_400));
    assert_eq!(config.max_sessions_per_client, 16);
    assert_eq!(config.max_message_bytes, 65_536);
    assert_eq!(config.messages_per_second, 20);
    assert_eq!(config.auth_timeout, Duration::from_secs(10));
    assert_eq!(config.supervisor_url.to_string(), "http://supervisor/");
}

#[test]
fn defaults_in_the_addon() {
    let config = from_env("SUPERVISOR_TOKEN", "s3cret").unwrap();
    assert_eq!(joined(&config.ingress_listen), "0.0.0.0:8099");
    assert_eq!(config.data_dir, PathBuf::from("/data"));
    assert_eq!(config.supervisor_token.as_ref().unwrap().expose(), "s3cret");
    assert!(!format!("{config:?}").contains("s3cret"));
    assert!(!from_env("SUPERVISOR_TOKEN", "").unwrap().in_addon());
}

#[test]
fn later_source_wins() {
    let file = Some(r#"{"data_dir":"file","heartbeat_seconds":5}"#);
    let env = &[("WALLCAST_DATA_DIR", "env")][..];
    let flags = &[("data_dir", "flag")][..];
    for (case, expected, place) in [
        (
            Case {
                file,
                ..Case::default()
            },
            "file",
            "FILE",
        ),
        (
            Case {
                file,
                env,
                ..Case::default()
            },
            "env",
            "environment variable WALLCAST_DATA_DIR",
        ),
        (Case { file, env, flags }, "flag", "flag --data-dir"),
        (
            Case {
                flags,
                ..Case::default()
            },
            "flag",
            "flag --data-dir",
        ),
    ] {
        let config = load_case(&case).unwrap();
        assert_eq!(config.data_dir, PathBuf::from(expected));
        let value = config.provenance.get("data_dir").unwrap();
        let found = value.source.place("data_dir");
        assert!(found == place || found.ends_with("options.json"), "{found}");
        let heartbeat = if case.file.is_some() { 5 } else { 30 };
        assert_eq!(config.heartbeat, Duration::from_secs(heartbeat));
    }
}

#[test]
fn every_source_supports_every_type() {
    let file = r#"{"listen":["127.0.0.1:0","[::1]:0"],"ingress_verify_admin":false,"max_connections":7,
        "log_format":"json","tls_names":"panel.local, 192.0.2.7","keyfile":null,"ingress_listen":""}"#;
    let config = from_file(file).unwrap();
    assert_eq!(joined(&config.listen), "127.0.0.1:0,[::1]:0");
    assert_eq!(config.tls_names.len(), 2);
    assert!(!config.ingress_verify_admin && config.log_format == LogFormat::Json);
    assert_eq!(config.max_connections, 7);

    let env = [
        ("WALLCAST_LISTEN", "127.0.0.1:0, [::1]:0"),
        ("WALLCAST_INGRESS_VERIFY_ADMIN", "false"),
        ("WALLCAST_MAX_CONNECTIONS", "7"),
        ("WALLCAST_DATA_DIR", "2026"),
        ("WALLCAST_TOKEN", "for the command line"),
        ("WALLCASTLE", "somebody else's"),
    ];
    let config = load_case(&Case {
        env: &env,
        ..Case::default()
    })
    .unwrap();
    assert_eq!(joined(&config.listen), "127.0.0.1:0,[::1]:0");
    assert!(!config.ingress_verify_admin);
    assert_eq!(config.max_connections, 7);
    assert_eq!(
        config.data_dir,
        PathBuf::from("2026"),
        "a number stays text"
    );

    let config = from_flag("trusted_proxies", "10.0.0.0/8,192.0.2.7").unwrap();
    assert_eq!(joined(&config.trusted_proxies), "10.0.0.0/8,192.0.2.7");
    assert!(
        from_flag("plain_listen", "off")
            .unwrap()
            .plain_listen
            .is_empty()
    );
    let off = load_case(&Case {
        flags: &[("ingress_listen", "off")],
        env: &[("SUPERVISOR_TOKEN", "x")],
        file: None,
    });
    assert!(off.unwrap().ingress_listen.is_empty());
}

#[test]
fn dependent_options_are_checked_together() {
    assert!(from_flag("plain_listen", "127.0.0.1:0,[::1]:0").is_ok());
    let allowed = [
        ("plain_listen", "0.0.0.0:8080"),
        ("plain_allow_remote", "true"),
    ];
    assert!(
        load_case(&Case {
            flags: &allowed,
            ..Case::default()
        })
        .is_ok()
    );
    let both = [("certfile", "a.pem"), ("keyfile", "b.pem")];
    let config = load_case(&Case {
        flags: &both,
        ..Case::default()
    })
    .unwrap();
    assert_eq!(config.certificate.unwrap().keyfile, PathBuf::from("b.pem"));
    for none in [
        &[("certfile", ""), ("keyfile", "")][..],
        &[("certfile", "")],
        &[("keyfile", "")],
    ] {
        let case = Case {
            flags: none,
            ..Case::default()
        };
        assert!(load_case(&case).unwrap().certificate.is_none());
    }
}

#[test]
fn invalid_value_error_names_source_and_allowed_values() {
    let sockets =
        "addresses with a port, such as 0.0.0.0:8443 or [::]:8443 (port 0 takes a free one)";
    let loopback =
        "a loopback address such as 127.0.0.1:8080, or any if plain_allow_remote is true";
    for (name, value, allowed) in [
        ("listen", "8443", sockets),
        ("listen", "", sockets),
        ("listen", "localhost:8443", sockets),
        ("plain_listen", "0.0.0.0:80", loopback),
        (
            "ingress_listen",
            "off,off",
            "addresses with a port, such as 127.0.0.1:8080, or off",
        ),
        (
            "ingress_from",
            "supervisor",
            "addresses or networks, such as 192.0.2.7 or 10.0.0.0/8",
        ),
        (
            "trusted_proxies",
            "10.0.0.0/40",
            "addresses or networks, such as 192.0.2.7 or 10.0.0.0/8",
        ),
        (
            "cors_origins",
            "*",
            "origins, such as https://panel.example:8443",
        ),
        ("ingress_verify_admin", "yes", "true or false"),
        ("plain_allow_remote", "1", "true or false"),
        ("data_dir", "", "a folder"),
        (
            "certfile",
            "a.pem",
            "both certfile and keyfile, or neither; keyfile is not set",
        ),
        (
            "keyfile",
            "a.pem",
            "both certfile and keyfile, or neither; certfile is not set",
        ),
        (
            "tls_names",
            "no name",
            "host names or addresses, such as panel.local or 192.0.2.7",
        ),
        ("log_level", "loud", "trace, debug, info, warn, error"),
        ("log_level", "3", "trace, debug, info, warn, error"),
        ("log_format", "xml", "text, json"),
        ("client_token_days", "0", "a whole number from 1 to 3650"),
        (
            "pairing_ttl_seconds",
            "-1",
            "a whole number from 1 to 86400",
        ),
        ("heartbeat_seconds", "1.5", "a whole number from 1 to 3600"),
        (
            "connections_per_minute",
            "many",
            "a whole number from 1 to 1000000",
        ),
        ("max_connections", "0", "a whole number from 1 to 1000000"),
        (
            "max_sessions_per_client",
            "",
            "a whole number from 1 to 10000",
        ),
        (
            "max_message_bytes",
            "99999999",
            "a whole number from 512 to 1048576",
        ),
        (
            "messages_per_second",
            "0",
            "a whole number from 1 to 100000",
        ),
        (
            "auth_timeout_seconds",
            "true",
            "a whole number from 1 to 3600",
        ),
        ("history_days", "0", "a whole number from 1 to 3650"),
        ("history_events", "-1", "a whole number from 1 to 10000000"),
        ("archive_days", "36501", "a whole number from 1 to 36500"),
        (
            "supervisor_url",
            "ftp://supervisor",
            "an http:// or https:// address",
        ),
        (
            "supervisor_url",
            "supervisor",
            "an http:// or https:// address",
        ),
    ] {
        let variable = options::variable(name);
        let place = format!("environment variable {variable}");
        let expected = format!("{name} is {value:?} ({place}); allowed: {allowed}");
        assert_eq!(from_env(&variable, value).unwrap_err(), expected);
        let expected = format!(
            "{name} is {value:?} (flag {}); allowed: {allowed}",
            options::flag(name)
        );
        assert_eq!(from_flag(name, value).unwrap_err(), expected);
    }
}

#[test]
fn options_file_values_are_typed() {
    for (text, expected) in [
        (
            r#"{"heartbeat_seconds":"30"}"#,
            r#"heartbeat_seconds is "30" (FILE); allowed: a whole number from 1 to 3600"#,
        ),
        (
            r#"{"heartbeat_seconds":-3}"#,
            r#"heartbeat_seconds is "-3" (FILE); allowed: a whole number from 1 to 3600"#,
        ),
        (
            r#"{"log_level":5}"#,
            r#"log_level is "5" (FILE); allowed: trace, debug, info, warn, error"#,
        ),
        (
            r#"{"plain_allow_remote":"true"}"#,
            r#"plain_allow_remote is "true" (FILE); allowed: true or false"#,
        ),
        (
            r#"{"ingress_from":[7]}"#,
            r#"ingress_from is "7" (FILE); allowed: addresses or networks, such as 192.0.2.7 or 10.0.0.0/8"#,
        ),
        (
            r#"{"data_dir":{"a":1}}"#,
            r#"data_dir is "{\"a\":1}" (FILE); allowed: a folder"#,
        ),
        (
            "[]",
            "the options file FILE is not a JSON object: invalid type: sequence, expected a map at line 1 column 0",
        ),
        (
            "{",
            "the options file FILE is not a JSON object: EOF while parsing an object at line 1 column 1",
        ),
    ] {
        assert_eq!(from_file(text).unwrap_err(), expected);
    }
}

#[test]
fn unknown_option_is_refused_in_every_source() {
    let file = from_file(r#"{"lisen":[]}"#).unwrap_err();
    assert!(
        file.starts_with(r#"unknown option "lisen" in FILE; allowed: listen, ingress_listen, "#),
        "{file}"
    );
    let env = from_env("WALLCAST_LISEN", "x").unwrap_err();
    assert!(
        env.starts_with(r#"unknown option "WALLCAST_LISEN" in the environment"#),
        "{env}"
    );
    assert!(env.contains("allowed: listen, "), "{env}");
    assert!(
        from_env("WALLCAST_listen", "127.0.0.1:0").is_err(),
        "names are upper case"
    );
    for line in [file, env] {
        assert_eq!(line.lines().count(), 1);
    }
}

#[test]
fn error_for_multiline_value_is_one_line() {
    assert_eq!(
        from_env("WALLCAST_LOG_LEVEL", "a\nb")
            .unwrap_err()
            .lines()
            .count(),
        1
    );
}

#[test]
fn named_options_file_must_exist() {
    let error = load(&Sources {
        options_file: Some("/nowhere/options.json".into()),
        ..Sources::default()
    });
    let line = error.unwrap_err().to_string();
    assert!(
        line.starts_with("the options file /nowhere/options.json cannot be read: "),
        "{line}"
    );
}

#[test]
fn option_table_is_consistent() {
    for row in ROWS {
        assert!(
            !row.help.is_empty() && !row.help.ends_with('.'),
            "{}",
            row.name
        );
    }
    for in_addon in [false, true] {
        let token = if in_addon { "x" } else { "" };
        assert!(from_env("SUPERVISOR_TOKEN", token).is_ok());
    }
}
