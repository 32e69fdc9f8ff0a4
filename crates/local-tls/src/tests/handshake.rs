//! Handshakes with a rustls client.

use rustls::HandshakeKind;
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};

use super::*;

pub(super) async fn open_local() -> (Certificates, CertificateDer<'static>) {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let clock: Clock = Arc::new(OffsetDateTime::now_utc);
    let (certificates, _) = Certificates::open(Setup {
        clock,
        ..setup(dir.path(), &memory)
    })
    .await
    .unwrap();
    (
        certificates,
        CertificateDer::from(memory.stored().unwrap().authority.cert),
    )
}

#[tokio::test]
async fn tls12_and_tls13_connect_by_name_and_address() {
    let (certificates, root) = open_local().await;
    for version in [&TLS12, &TLS13] {
        for name in ["localhost", "homeassistant.local", "127.0.0.1", "::1"] {
            let client = client_of(&root, version);
            let session = Session::open(certificates.server_config(), &client, name)
                .await
                .unwrap();
            let (_, connection) = session.server.get_ref();
            assert_eq!(
                connection.protocol_version(),
                Some(version.version),
                "{name}"
            );
            assert_eq!(connection.alpn_protocol(), Some(&b"http/1.1"[..]));
            assert_eq!(session.served(), certificates.served().fingerprint);
        }
    }
}

#[tokio::test]
async fn chain_includes_root_for_pinning_clients() {
    let (certificates, root) = open_local().await;
    let session = Session::open(
        certificates.server_config(),
        &client_of(&root, &TLS13),
        "localhost",
    )
    .await
    .unwrap();
    let chain = session.client.get_ref().1.peer_certificates().unwrap();
    assert_eq!(chain.last(), Some(&root));
    assert_eq!(
        certificates.authority().unwrap().fingerprint,
        Fingerprint::of(&root)
    );
}

#[tokio::test]
async fn name_missing_from_leaf_is_rejected() {
    let (certificates, root) = open_local().await;
    let rejected = Session::open(
        certificates.server_config(),
        &client_of(&root, &TLS13),
        "other.local",
    )
    .await;
    assert!(rejected.is_err());
}

#[tokio::test]
async fn second_connection_resumes_by_ticket() {
    let (certificates, root) = open_local().await;
    let mut tickets_only = (*certificates.server_config()).clone();
    tickets_only.session_storage = Arc::new(NoServerSessionStorage {});
    let tickets_only = Arc::new(tickets_only);
    for version in [&TLS12, &TLS13] {
        let client = client_of(&root, version);
        let kind = async || {
            let session = Session::open(Arc::clone(&tickets_only), &client, "localhost")
                .await
                .unwrap();
            session.server.get_ref().1.handshake_kind()
        };
        assert_eq!(kind().await, Some(HandshakeKind::Full));
        assert_eq!(kind().await, Some(HandshakeKind::Resumed), "{version:?}");
    }
}

#[tokio::test]
async fn every_connection_gets_one_new_ticket() {
    let (certificates, root) = open_local().await;
    assert_eq!(certificates.server_config().send_tls13_tickets, 1);
    let client = client_of(&root, &TLS13);
    let mut kinds = Vec::new();
    for _ in 0..4 {
        let config = certificates.server_config();
        let session = Session::open(config, &client, "localhost").await.unwrap();
        kinds.push(session.server.get_ref().1.handshake_kind().unwrap());
    }
    let [full, resumed] = [HandshakeKind::Full, HandshakeKind::Resumed];
    assert_eq!(kinds, [full, resumed, resumed, resumed]);
}

#[tokio::test]
async fn swap_keeps_open_sessions_and_affects_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let memory = Arc::new(Memory::default());
    let clock: Clock = Arc::new(OffsetDateTime::now_utc);
    let (certificates, mut updater) = Certificates::open(Setup {
        clock,
        ..setup(dir.path(), &memory)
    })
    .await
    .unwrap();
    let local = CertificateDer::from(memory.stored().unwrap().authority.cert);
    let mut before = Session::open(
        certificates.server_config(),
        &client_of(&local, &TLS13),
        "localhost",
    )
    .await
    .unwrap();

    let own = files::Pair::signed("localhost");
    own.write(dir.path());
    updater.check().await;

    before.ping_pong().await.unwrap();
    let after = Session::open(
        certificates.server_config(),
        &client_of(&own.root, &TLS13),
        "localhost",
    )
    .await
    .unwrap();
    assert_ne!(before.served(), after.served());
    assert_eq!(after.served(), certificates.served().fingerprint);
    assert_eq!(certificates.served().source, CertificateSource::Files);
    before.ping_pong().await.unwrap();
}
