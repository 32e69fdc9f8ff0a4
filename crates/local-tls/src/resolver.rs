//! The certificate that new TLS sessions receive, and the rustls configuration around it. Swapping the certificate does
//! not affect open sessions.

use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;

/// Size of the session cache for TLS 1.2 clients that resume by session id instead of ticket. An entry takes 0.6 kB.
const SESSION_CACHE_SIZE: usize = 256;

/// The ring provider, independent of rustls' process-wide default.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(ring::default_provider()));
    Arc::clone(&PROVIDER)
}

/// Resolves every server name to one certificate, which can be swapped at any time.
#[derive(Debug)]
pub struct SwapResolver(RwLock<Arc<CertifiedKey>>);

impl SwapResolver {
    /// Creates a resolver that serves `current`.
    pub fn new(current: CertifiedKey) -> Self {
        Self(RwLock::new(Arc::new(current)))
    }

    /// Serves `next` to all handshakes from now on.
    pub fn swap(&self, next: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }

    /// The served certificate.
    pub fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for SwapResolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

/// A configuration for TLS 1.2 and 1.3 with session tickets for both, and `http/1.1` as the only ALPN protocol.
///
/// # Errors
/// rustls could not create the ticket keys.
pub fn server_config(resolver: Arc<SwapResolver>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.ticketer = ring::Ticketer::new()?;
    // rustls sends two by default. Each is a record, and a client with one connection needs only one.
    config.send_tls13_tickets = 1;
    config.session_storage = ServerSessionMemoryCache::new(SESSION_CACHE_SIZE);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
