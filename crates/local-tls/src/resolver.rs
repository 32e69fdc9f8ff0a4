//! The one certificate that new TLS sessions get, and the rustls configuration around it.
//! Must never touch a session that is already open.

use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;

/// Sessions remembered for clients without tickets (TLS 1.2 session ids); 0.6 kB each.
const REMEMBERED_SESSIONS: usize = 256;

/// The crypto of the whole program; never taken from the process-wide default.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(ring::default_provider()));
    Arc::clone(&PROVIDER)
}

/// Serves one certificate to every name and lets it be swapped while sessions live on.
#[derive(Debug)]
pub struct SwapResolver(RwLock<Arc<CertifiedKey>>);

impl SwapResolver {
    /// Starts with `current`.
    pub fn new(current: CertifiedKey) -> Self {
        Self(RwLock::new(Arc::new(current)))
    }

    /// Handshakes from now on get `next`.
    pub fn swap(&self, next: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }

    /// What handshakes get now.
    pub fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for SwapResolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

/// TLS 1.2 and 1.3 with ring, tickets for both, HTTP/1.1 alone.
pub fn server_config(resolver: Arc<SwapResolver>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.ticketer = ring::Ticketer::new()?;
    // Each costs as much as a record, and a tablet comes back on one connection.
    config.send_tls13_tickets = 1;
    config.session_storage = ServerSessionMemoryCache::new(REMEMBERED_SESSIONS);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
