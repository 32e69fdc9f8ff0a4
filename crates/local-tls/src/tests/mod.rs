//! The parts of TLS together: a house to open, a client to connect with.

mod authority;
mod files;
mod handshake;
mod renewal;
mod stream;

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

/// Some day after the program was written.
const TODAY: OffsetDateTime = datetime!(2026-11-21 12:00 UTC);

fn host(name: &str) -> HostName {
    HostName::parse(name).unwrap()
}

fn names(said: &[&str]) -> CertificateNames {
    said.iter()
        .map(|name| AltName::parse(name).unwrap())
        .collect()
}

/// A clock that the test moves.
#[derive(Clone)]
struct Clock(Arc<Mutex<OffsetDateTime>>);

impl Clock {
    fn at(now: OffsetDateTime) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }

    fn now(&self) -> Now {
        let clock = self.clone();
        Arc::new(move || *clock.0.lock().unwrap())
    }
}

/// Keeps in memory, and counts; refuses while `broken`.
#[derive(Default)]
struct Memory {
    kept: Mutex<Option<Kept>>,
    saves: Mutex<usize>,
    broken: Mutex<bool>,
}

impl Memory {
    fn kept(&self) -> Option<Kept> {
        self.kept.lock().unwrap().clone()
    }
}

impl Keep for Arc<Memory> {
    fn save(&self, kept: Kept) -> BoxFuture<'_, Result<(), KeepError>> {
        async move {
            if *self.broken.lock().unwrap() {
                return Err("the disk is full".into());
            }
            *self.kept.lock().unwrap() = Some(kept);
            *self.saves.lock().unwrap() += 1;
            Ok(())
        }
        .boxed()
    }
}

/// A set-up on this machine with files in `dir` and the clock at [`TODAY`].
fn setup(dir: &Path, memory: &Arc<Memory>) -> Setup {
    Setup {
        certfile: dir.join("fullchain.pem"),
        keyfile: dir.join("privkey.pem"),
        tls_names: Vec::new(),
        host: Arc::new(Machine),
        kept: memory.kept(),
        keep: Arc::new(Arc::clone(memory)),
        now: Clock::at(TODAY).now(),
    }
}

/// A client that trusts `root` alone. Certificates are judged by the real clock, so is the test's house.
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
        session.talk().await?;
        Ok(session)
    }

    /// A word in both directions; reading the answer also takes in the server's tickets.
    async fn talk(&mut self) -> Result<(), std::io::Error> {
        let mut heard = [0; 4];
        self.client.write_all(b"ping").await?;
        self.client.flush().await?;
        self.server.read_exact(&mut heard).await?;
        self.server.write_all(&heard).await?;
        self.server.flush().await?;
        self.client.read_exact(&mut heard).await?;
        assert_eq!(&heard, b"ping");
        Ok(())
    }

    fn served(&self) -> Fingerprint {
        Fingerprint::of(&self.client.get_ref().1.peer_certificates().unwrap()[0])
    }
}
