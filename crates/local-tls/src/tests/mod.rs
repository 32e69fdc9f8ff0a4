//! Tests of certificates, updates and the TLS stream, with a test store, clock and client.

mod authority;
mod files;
mod handshake;
mod stream;
mod updater;

use std::path::Path;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_rustls::{TlsConnector, client};

use super::resolver::provider;
use super::*;

const TODAY: OffsetDateTime = datetime!(2026-11-21 12:00 UTC);

fn host(name: &str) -> HostName {
    HostName::parse(name).unwrap()
}

fn names(texts: &[&str]) -> CertificateNames {
    texts
        .iter()
        .map(|name| AltName::parse(name).unwrap())
        .collect()
}

/// A clock that tests advance.
#[derive(Clone)]
struct TestClock(Arc<Mutex<OffsetDateTime>>);

impl TestClock {
    fn at(now: OffsetDateTime) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }

    fn now(&self) -> Clock {
        let clock = self.clone();
        Arc::new(move || *clock.0.lock().unwrap())
    }
}

/// A store in memory that counts saves, and fails while `broken`.
#[derive(Default)]
struct Memory {
    stored: Mutex<Option<StoredCertificates>>,
    saves: Mutex<usize>,
    broken: Mutex<bool>,
}

impl Memory {
    fn stored(&self) -> Option<StoredCertificates> {
        self.stored.lock().unwrap().clone()
    }
}

impl CertificateStore for Arc<Memory> {
    fn save(&self, certificates: StoredCertificates) -> BoxFuture<'_, Result<(), SaveError>> {
        async move {
            if *self.broken.lock().unwrap() {
                return Err("the disk is full".into());
            }
            *self.stored.lock().unwrap() = Some(certificates);
            *self.saves.lock().unwrap() += 1;
            Ok(())
        }
        .boxed()
    }
}

/// A setup for this machine with certificate files in `dir` and the clock at [`TODAY`].
fn setup(dir: &Path, memory: &Arc<Memory>) -> Setup {
    Setup {
        certfile: dir.join("fullchain.pem"),
        keyfile: dir.join("privkey.pem"),
        tls_names: Vec::new(),
        host: Arc::new(Machine),
        stored: memory.stored(),
        store: Arc::new(Arc::clone(memory)),
        clock: TestClock::at(TODAY).now(),
    }
}

/// A client that trusts only `root`. It uses the real clock, so the certificates must be issued with it, too.
fn client_of(
    root: &CertificateDer<'static>,
    version: &'static SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Both ends of one TLS session.
struct Session {
    client: client::TlsStream<DuplexStream>,
    server: TlsStream<DuplexStream>,
}

impl Session {
    async fn open(
        server: Arc<rustls::ServerConfig>,
        client: &Arc<ClientConfig>,
        name: &str,
    ) -> Result<Self, std::io::Error> {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let (server, client) = tokio::join!(
            accept(server, far),
            TlsConnector::from(Arc::clone(client)).connect(name, near)
        );
        let mut session = Self {
            client: client?,
            server: server?,
        };
        session.ping_pong().await?;
        Ok(session)
    }

    /// Sends a message in both directions. Reading the reply also receives the server's session tickets.
    async fn ping_pong(&mut self) -> Result<(), std::io::Error> {
        let mut received = [0; 4];
        self.client.write_all(b"ping").await?;
        self.client.flush().await?;
        self.server.read_exact(&mut received).await?;
        self.server.write_all(&received).await?;
        self.server.flush().await?;
        self.client.read_exact(&mut received).await?;
        assert_eq!(&received, b"ping");
        Ok(())
    }

    fn served(&self) -> Fingerprint {
        Fingerprint::of(&self.client.get_ref().1.peer_certificates().unwrap()[0])
    }
}
