//! What a session's stream does with bytes: all of them arrive, few of them wait, none are left.

use std::io::ErrorKind;

use rustls::version::{TLS12, TLS13};
use tokio::io::duplex;

use super::handshake::opened;
use super::*;

/// Both ends of a session over a pipe that takes so many bytes at once.
async fn session(version: &'static SupportedProtocolVersion, pipe: usize) -> Session {
    let (certificates, root) = opened().await;
    let (near, far) = duplex(pipe);
    let client = TlsConnector::from(client_of(&root, version));
    let name = ServerName::try_from("localhost").unwrap();
    let (server, client) = tokio::join!(
        accept(certificates.server_config(), far),
        client.connect(name, near)
    );
    Session {
        client: client.unwrap(),
        server: server.unwrap(),
    }
}

#[tokio::test]
async fn much_passes_both_ways_through_a_narrow_pipe() {
    let sent: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    for version in [&TLS12, &TLS13] {
        let Session { mut client, server } = session(version, 1000).await;
        let (mut from_client, mut to_client) = tokio::io::split(server);
        let echo = async {
            tokio::io::copy(&mut from_client, &mut to_client)
                .await
                .unwrap();
            to_client.shutdown().await.unwrap();
        };
        let (half, rest) = sent.split_at(sent.len() / 2);
        client.write_all(b"keys").await.unwrap();
        if version.version == TLS13.version {
            client.get_mut().1.refresh_traffic_keys().unwrap();
        }
        let (mut from_server, mut to_server) = tokio::io::split(client);
        let ask = async {
            to_server.write_all(half).await.unwrap();
            to_server.write_all(rest).await.unwrap();
            to_server.shutdown().await.unwrap();
        };
        let mut heard = Vec::new();
        let listen = from_server.read_to_end(&mut heard);
        let ((), (), read) = tokio::join!(echo, ask, listen);
        read.unwrap();
        assert!(
            heard.strip_prefix(b"keys") == Some(&sent[..]),
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn a_silent_session_holds_no_bytes() {
    for version in [&TLS12, &TLS13] {
        let mut session = session(version, 64 * 1024).await;
        assert_eq!(session.server.held(), 0, "after the handshake");
        session.talk().await.unwrap();
        assert_eq!(session.server.held(), 0, "after a word");
    }
}

#[tokio::test]
async fn no_more_than_a_record_waits_for_a_peer_that_reads_nothing() {
    let mut session = session(&TLS13, 4096).await;
    let much = vec![0; 100_000];
    let mut taken = 0;
    while let Some(count) = session.server.write(&much).now_or_never() {
        taken += count.unwrap();
    }
    assert!(taken <= 32 * 1024, "{taken} were taken");
    assert!(session.server.held() <= 20 * 1024);
}

#[tokio::test]
async fn a_farewell_is_told_from_a_cut() {
    let mut session = session(&TLS13, 4096).await;
    session.client.shutdown().await.unwrap();
    assert_eq!(session.server.read(&mut [0; 8]).await.unwrap(), 0);
    session.server.write_all(b"bye").await.unwrap();
    session.server.shutdown().await.unwrap();
    let mut heard = Vec::new();
    session.client.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"bye");

    let mut session = self::session(&TLS13, 4096).await;
    drop(session.client);
    let cut = session.server.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn what_is_no_tls_is_refused_with_an_alert() {
    let (certificates, _) = opened().await;
    let (mut near, far) = duplex(64 * 1024);
    near.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let refused = accept(certificates.server_config(), far).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidData);
    let mut told = Vec::new();
    near.read_to_end(&mut told).await.unwrap();
    assert_eq!(told.first(), Some(&21), "an alert (RFC 8446 section 5.1)");
}

#[tokio::test]
async fn what_a_session_broke_over_is_told_once_and_it_stays_broken() {
    let Session { client, mut server } = session(&TLS13, 64 * 1024).await;
    let (mut pipe, _) = client.into_inner();
    // A record that nobody sealed.
    pipe.write_all(&[23, 3, 3, 0, 20]).await.unwrap();
    pipe.write_all(&[0; 20]).await.unwrap();
    let broken = server.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::InvalidData);
    let refused = server.write_all(b"more").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn an_endless_handshake_is_given_up() {
    let (certificates, _) = opened().await;
    let (mut near, far) = duplex(1024 * 1024);
    // A ClientHello of 16 MB less a byte, in whole records.
    let mut hello = vec![1, 0xff, 0xff, 0xff];
    hello.resize(16 * 1024, 0);
    for _ in 0..20 {
        near.write_all(&[22, 3, 1, 0x40, 0]).await.unwrap();
        near.write_all(&hello).await.unwrap();
        hello.fill(0);
    }
    let refused = accept(certificates.server_config(), far).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidData);
}
