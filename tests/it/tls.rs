//! TLS of the HTTPS listener as clients see it: versions, session resumption, the local CA, the
//! names in the certificate, and reloading it. See docs/protocol.md#tls.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, SupportedProtocolVersion, version,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Answer, Api, Daemon, client_config, exchange, root_store, tls_stream, until};

fn config_for_version(
    version: &'static SupportedProtocolVersion,
    roots: RootCertStore,
) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

async fn health(stream: TlsStream<TcpStream>) -> Answer {
    let request = hyper::Request::get("/health").header("host", "localhost");
    exchange(stream, request.body(Default::default()).unwrap()).await
}

async fn local_ca(daemon: &Daemon) -> String {
    daemon.local().get("/ca.crt").await.expect(200).text
}

#[tokio::test]
async fn tls_1_2_and_1_3_sessions_resume_by_ticket() {
    let daemon = Daemon::start().await;
    let ca = local_ca(&daemon).await;
    for (offered, negotiated) in [
        (&version::TLS12, ProtocolVersion::TLSv1_2),
        (&version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let mut config = config_for_version(offered, root_store(&ca));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let config = Arc::new(config);
        let first = tls_stream(daemon.https, config.clone()).await;
        assert_eq!(first.get_ref().1.protocol_version(), Some(negotiated));
        assert_eq!(first.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(
            first.get_ref().1.handshake_kind(),
            Some(HandshakeKind::Full)
        );
        // The client receives its session tickets with the first bytes of the response.
        health(first).await.expect(200);
        let second = tls_stream(daemon.https, config).await;
        let handshake = second.get_ref().1.handshake_kind();
        assert_eq!(handshake, Some(HandshakeKind::Resumed), "{negotiated:?}");
        health(second).await.expect(200);
    }
}

#[tokio::test]
async fn local_ca_is_served_and_survives_restart() {
    let daemon = Daemon::start().await;
    let answer = daemon.unauthenticated().get("/ca.crt").await.expect(200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/x-x509-ca-cert")
    );
    assert!(answer.text.starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(!answer.text.contains("PRIVATE"));
    let daemon = daemon.restart().await;
    assert_eq!(local_ca(&daemon).await, answer.text);
}

#[tokio::test]
async fn leaf_certificate_covers_names_for_at_most_397_days() {
    let daemon = Daemon::with(&[("TLS_NAMES", "panel.lan,192.168.7.7")]).await;
    let roots = Arc::new(root_store(&local_ca(&daemon).await));
    let stream = tls_stream(daemon.https, daemon.tls.clone()).await;
    let chain = stream.get_ref().1.peer_certificates().unwrap().to_vec();
    let verifier = WebPkiServerVerifier::builder_with_provider(
        roots,
        rustls::crypto::ring::default_provider().into(),
    )
    .build()
    .unwrap();
    let is_valid = |name: &str, days: u64| {
        let now = UnixTime::now().as_secs() + days * 86_400;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier
            .verify_server_cert(&chain[0], &chain[1..], &name, &[], now)
            .is_ok()
    };
    for name in [
        "localhost",
        "homeassistant.local",
        "127.0.0.1",
        "panel.lan",
        "192.168.7.7",
    ] {
        assert!(is_valid(name, 0), "{name}");
    }
    assert!(!is_valid("example.org", 0));
    assert!(!is_valid("localhost", 398));
}

/// Writes a new self-signed certificate for `localhost` and its key to `full.pem` and `key.pem`.
fn write_certificate(folder: &Path) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(folder.join("full.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    certificate.der().clone()
}

fn config_trusting(certificates: &[&CertificateDer<'static>]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add((*certificate).clone()).unwrap();
    }
    client_config(roots)
}

/// The certificate that a new connection receives, or `None` if it is not trusted.
async fn served_certificate(
    address: SocketAddr,
    config: Arc<ClientConfig>,
) -> Option<CertificateDer<'static>> {
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(config).connect(name, tcp).await.ok()?;
    Some(
        stream.get_ref().1.peer_certificates()?[0]
            .clone()
            .into_owned(),
    )
}

#[tokio::test]
async fn certificate_reload_keeps_sockets_and_ignores_broken_files() {
    let files = tempfile::tempdir().unwrap();
    let first = write_certificate(files.path());
    let path = |name: &str| files.path().join(name).display().to_string();
    let (certfile, keyfile) = (path("full.pem"), path("key.pem"));
    let mut daemon = Daemon::with(&[("CERTFILE", &certfile), ("KEYFILE", &keyfile)]).await;
    daemon.tls = config_trusting(&[&first]);
    assert_eq!(
        daemon.unauthenticated().get("/ca.crt").await.refused(404),
        "not_found"
    );
    let mut socket = daemon.connect(&daemon.pair("Wall", &[]).await.token).await;
    socket.next_of("connection").await;

    let second = write_certificate(files.path());
    let both = config_trusting(&[&first, &second]);
    until("the new certificate", async || {
        let leaf = served_certificate(daemon.https, both.clone()).await;
        (leaf.as_ref() == Some(&second)).then_some(())
    })
    .await;
    socket.assert_nothing_received().await;

    std::fs::write(files.path().join("full.pem"), "half a certificate").unwrap();
    until("the failed reload to be logged", async || {
        daemon
            .log()
            .contains("still serving the previous certificate")
            .then_some(())
    })
    .await;
    assert_eq!(
        served_certificate(daemon.https, both).await,
        Some(second.clone())
    );
    socket.assert_nothing_received().await;
    // A client that trusts only the old certificate refuses the new one.
    assert_eq!(
        served_certificate(daemon.https, config_trusting(&[&first])).await,
        None
    );
    daemon.tls = config_trusting(&[&second]);
    let again = Api::tls(daemon.https, daemon.tls.clone(), None);
    again.get("/health").await.expect(200);
}
