//! The plain-HTTP listener, TLS names, and which proxies' forwarded addresses are trusted
//! (docs/protocol.md#listeners).

use serde_json::json;

use crate::support::{Api, Daemon, command};

/// Starts the daemon with invalid options and returns its exit code and stderr.
async fn refused_start(options: &[(&str, &str)]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let options: Vec<_> = options
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    let output = command(folder.path(), &options).output().await.unwrap();
    assert!(output.stdout.is_empty(), "printed a ready line");
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), stderr)
}

#[tokio::test]
async fn plain_listener_is_off_by_default_and_serves_the_same_api() {
    let daemon = Daemon::start().await;
    assert_eq!((daemon.plain, daemon.ingress), (None, None));
    let daemon = Daemon::with(&[("PLAIN_LISTEN", "127.0.0.1:0")]).await;
    let token = daemon.token(json!({ "role": "admin", "name": "a" })).await;
    let plain = Api::plain(daemon.plain.expect("a plain address"));
    assert_eq!(
        plain.get("/api/areas").await.refused(401),
        "unauthenticated"
    );
    let bearer = format!("Bearer {}", token["token"].as_str().unwrap());
    let admin = plain.with_header("authorization", &bearer);
    admin.get("/api/areas").await.expect(200);
}

#[tokio::test]
async fn plain_listener_refuses_a_public_address() {
    for address in [
        "0.0.0.0:0",
        "[::]:0",
        "192.0.2.1:0",
        "127.0.0.1:0,0.0.0.0:0",
    ] {
        let (code, stderr) = refused_start(&[("PLAIN_LISTEN", address)]).await;
        assert_eq!(code, Some(2), "{stderr}");
        assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
        assert!(stderr.contains("plain_listen") && stderr.contains("plain_allow_remote"));
    }
    let daemon = Daemon::with(&[
        ("PLAIN_LISTEN", "0.0.0.0:0"),
        ("PLAIN_ALLOW_REMOTE", "true"),
    ])
    .await;
    let port = daemon.plain.expect("a plain address").port();
    let plain = Api::plain(([127, 0, 0, 1], port).into());
    plain.get("/health").await.expect(200);
}

#[tokio::test]
async fn public_tls_name_fails_the_start_with_advice() {
    let (code, stderr) = refused_start(&[("TLS_NAMES", "panel.example.org")]).await;
    assert_eq!(code, Some(2), "{stderr}");
    for word in ["tls_names", "panel.example.org", "certfile", "keyfile"] {
        assert!(stderr.contains(word), "{word}: {stderr}");
    }
}

/// The address in the audit log of a request with these `X-Forwarded-For` headers.
async fn audited_address(daemon: &Daemon, forwarded: &[&str]) -> String {
    let mut admin = daemon.admin().await;
    for value in forwarded {
        admin = admin.with_header("x-forwarded-for", value);
    }
    admin.create_area("A").await;
    let audit = admin.get("/api/audit?limit=1").await.expect(200).json;
    assert_eq!(audit["entries"][0]["action"], "area.create");
    audit["entries"][0]["address"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn forwarded_address_is_used_only_from_trusted_proxies() {
    let daemon = Daemon::start().await;
    assert_eq!(
        audited_address(&daemon, &["203.0.113.7"]).await,
        "127.0.0.1"
    );
    let daemon = Daemon::with(&[("TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8")]).await;
    let table: [(&[&str], &str); 7] = [
        (&[], "127.0.0.1"),
        (&["203.0.113.7"], "203.0.113.7"),
        (&["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
        (&["203.0.113.7, 10.1.2.3"], "203.0.113.7"),
        (&["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
        (&["203.0.113.7, rubbish"], "127.0.0.1"),
        (&["::ffff:203.0.113.7"], "203.0.113.7"),
    ];
    for (forwarded, expected) in table {
        assert_eq!(
            audited_address(&daemon, forwarded).await,
            expected,
            "{forwarded:?}"
        );
    }
}
