//! The TLS stream: transfer, buffering, closing and protocol errors.

use std::io::ErrorKind;

use rustls::version::{TLS12, TLS13};
use tokio::io::duplex;

use super::handshake::open_local;
use super::*;

/// Both ends of a session over a pipe with a buffer of `pipe` bytes.
async fn session(version: &'static SupportedProtocolVersion, pipe: usize) -> Session {
    let (certificates, root) = open_local().await;
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
async fn large_transfer_through_small_pipe_is_complete() {
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
        let send = async {
            to_server.write_all(half).await.unwrap();
            to_server.write_all(rest).await.unwrap();
            to_server.shutdown().await.unwrap();
        };
        let mut received = Vec::new();
        let receive = from_server.read_to_end(&mut received);
        let ((), (), read) = tokio::join!(echo, send, receive);
        read.unwrap();
        assert!(
            received.strip_prefix(b"keys") == Some(&sent[..]),
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn idle_session_holds_no_buffers() {
    for version in [&TLS12, &TLS13] {
        let mut session = session(version, 64 * 1024).await;
        assert_eq!(session.server.buffer_capacity(), 0, "after the handshake");
        session.ping_pong().await.unwrap();
        assert_eq!(session.server.buffer_capacity(), 0, "after a message");
    }
}

#[tokio::test]
async fn write_to_stalled_peer_buffers_one_record() {
    let mut session = session(&TLS13, 4096).await;
    let data = vec![0; 100_000];
    let mut accepted = 0;
    while let Some(count) = session.server.write(&data).now_or_never() {
        accepted += count.unwrap();
    }
    assert!(accepted <= 32 * 1024, "{accepted} were accepted");
    assert!(session.server.buffer_capacity() <= 20 * 1024);
}

#[tokio::test]
async fn close_notify_is_distinguished_from_truncation() {
    let mut session = session(&TLS13, 4096).await;
    session.client.shutdown().await.unwrap();
    assert_eq!(session.server.read(&mut [0; 8]).await.unwrap(), 0);
    session.server.write_all(b"bye").await.unwrap();
    session.server.shutdown().await.unwrap();
    let mut received = Vec::new();
    session.client.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, b"bye");

    let mut session = self::session(&TLS13, 4096).await;
    drop(session.client);
    let truncated = session.server.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(truncated.kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn plain_http_is_rejected_with_alert() {
    let (certificates, _) = open_local().await;
    let (mut near, far) = duplex(64 * 1024);
    near.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let rejected = accept(certificates.server_config(), far).await.unwrap_err();
    assert_eq!(rejected.kind(), ErrorKind::InvalidData);
    let mut alert = Vec::new();
    near.read_to_end(&mut alert).await.unwrap();
    assert_eq!(alert.first(), Some(&21), "an alert (RFC 8446 section 5.1)");
}

#[tokio::test]
async fn session_after_invalid_record_stays_closed() {
    let Session { client, mut server } = session(&TLS13, 64 * 1024).await;
    let (mut pipe, _) = client.into_inner();
    // A record that was not encrypted.
    pipe.write_all(&[23, 3, 3, 0, 20]).await.unwrap();
    pipe.write_all(&[0; 20]).await.unwrap();
    let invalid = server.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(invalid.kind(), ErrorKind::InvalidData);
    let rejected = server.write_all(b"more").await.unwrap_err();
    assert_eq!(rejected.kind(), ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn oversized_handshake_is_rejected() {
    let (certificates, _) = open_local().await;
    let (mut near, far) = duplex(1024 * 1024);
    // A ClientHello of 16 MB minus one byte, in full records.
    let mut hello = vec![1, 0xff, 0xff, 0xff];
    hello.resize(16 * 1024, 0);
    for _ in 0..20 {
        near.write_all(&[22, 3, 1, 0x40, 0]).await.unwrap();
        near.write_all(&hello).await.unwrap();
        hello.fill(0);
    }
    let rejected = accept(certificates.server_config(), far).await.unwrap_err();
    assert_eq!(rejected.kind(), ErrorKind::InvalidData);
}
