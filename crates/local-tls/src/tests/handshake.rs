//! Real handshakes against the served configuration.

use rustls::HandshakeKind;
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};

use super::*;

pub(super) async fn opened() -> (Certificates, CertificateDer<'static>) {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let now: Now = Arc::new(OffsetDateTime::now_utc);
    let (certificates, _) = Certificates::open(Setup {
        now,
        ..setup(dir.path(), &memory)
    })
    .await
    .unwrap();
    (
        certificates,
        CertificateDer::from(memory.kept().unwrap().authority.cert),
    )
}

#[tokio::test]
async fn both_versions_connect_by_name_and_address() {
    let (certificates, root) = opened().await;
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
            assert_eq!(session.served(), certificates.serving().fingerprint);
        }
    }
}

#[tokio::test]
async fn the_root_travels_along_for_clients_that_pinned_it() {
    let (certificates, root) = opened().await;
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
async fn a_name_that_is_not_in_the_leaf_is_refused() {
    let (certificates, root) = opened().await;
    let refused = Session::open(
        certificates.server_config(),
        &client_of(&root, &TLS13),
        "other.local",
    )
    .await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_second_connection_resumes_by_ticket_in_both_versions() {
    let (certificates, root) = opened().await;
    let mut tickets_alone = (*certificates.server_config()).clone();
    tickets_alone.session_storage = Arc::new(NoServerSessionStorage {});
    let tickets_alone = Arc::new(tickets_alone);
    for version in [&TLS12, &TLS13] {
        let client = client_of(&root, version);
        let kind = async || {
            let session = Session::open(Arc::clone(&tickets_alone), &client, "localhost")
                .await
                .unwrap();
            session.server.get_ref().1.handshake_kind()
        };
        assert_eq!(kind().await, Some(HandshakeKind::Full));
        assert_eq!(kind().await, Some(HandshakeKind::Resumed), "{version:?}");
    }
}

#[tokio::test]
async fn each_connection_is_given_one_ticket_and_a_resumed_one_another() {
    let (certificates, root) = opened().await;
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
async fn an_open_session_outlives_a_swap_and_new_ones_see_the_new_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let memory = Arc::new(Memory::default());
    let now: Now = Arc::new(OffsetDateTime::now_utc);
    let (certificates, mut upkeep) = Certificates::open(Setup {
        now,
        ..setup(dir.path(), &memory)
    })
    .await
    .unwrap();
    let local = CertificateDer::from(memory.kept().unwrap().authority.cert);
    let mut before = Session::open(
        certificates.server_config(),
        &client_of(&local, &TLS13),
        "localhost",
    )
    .await
    .unwrap();

    let own = files::Pair::signed("localhost");
    own.write(dir.path());
    upkeep.look().await;

    before.talk().await.unwrap();
    let after = Session::open(
        certificates.server_config(),
        &client_of(&own.root, &TLS13),
        "localhost",
    )
    .await
    .unwrap();
    assert_ne!(before.served(), after.served());
    assert_eq!(after.served(), certificates.serving().fingerprint);
    assert_eq!(certificates.serving().origin, Origin::Files);
    before.talk().await.unwrap();
}
