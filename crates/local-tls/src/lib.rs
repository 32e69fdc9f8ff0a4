//! TLS for a server in a local network, where no public authority issues certificates: serves the user's certificate
//! files if both exist, otherwise a leaf of a local certificate authority that clients install. Certificates change
//! without a restart, and open sessions are not affected.
//!
//! [`Certificates::open`] returns a handle for listeners and a [`CertificateUpdater`] to run in the background.
//! [`accept`] does the TLS handshake on a connection.
//!
//! `updater` uses all other modules. `files` and `local` produce certified keys. `authority` and `leaf` generate
//! certificates for the `names` that `constraints` permit.

mod authority;
mod constraints;
mod files;
mod fingerprint;
mod host;
mod leaf;
mod local;
mod names;
mod parse;
mod resolver;
mod stream;
#[cfg(test)]
mod tests;
mod updater;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustls::ServerConfig;
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

pub use authority::{Authority, AuthorityError};
pub use constraints::Constraints;
pub use files::{FileCheck, FileWatcher, FilesError};
pub use fingerprint::Fingerprint;
pub use host::{HostReport, HostSource, Machine};
pub use leaf::Leaf;
pub use local::{CertificateStore, SaveError, StoredCertificate, StoredCertificates};
pub use names::{AltName, CertificateNames, HostFacts, HostName, NameError};
pub use resolver::{SwapResolver, server_config};
pub use stream::{TlsStream, accept};
pub use updater::CertificateUpdater;

/// Returns the current time. Tests replace it.
pub type Clock = Arc<dyn Fn() -> OffsetDateTime + Send + Sync>;

/// Why no certificate can be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// `tls_names` contains names that the local authority must not certify.
    #[error(
        "tls_names: {names}: the local authority may only certify {permitted}, names below them, and private, \
         link-local and loopback addresses; provide a certificate with certfile and keyfile, or remove the name \
         from tls_names"
    )]
    OutsideLocalNames {
        /// The names that are not permitted, separated by commas.
        names: String,
        /// The permitted names, separated by commas.
        permitted: String,
    },
    /// A name is neither a host name nor an IP address.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The local authority could not be generated or used.
    #[error("the local certificate authority failed: {0}")]
    Authority(#[from] AuthorityError),
    /// rustls rejected the configuration or a certificate.
    #[error("TLS cannot be configured: {0}")]
    Rustls(#[from] rustls::Error),
    /// The new certificate could not be stored, so it is not served.
    #[error("the new certificate cannot be stored: {0}")]
    Save(#[source] SaveError),
}

/// The configuration of [`Certificates::open`].
pub struct Setup {
    /// A certificate chain in PEM, the server's own certificate first. The file may be missing, and may appear
    /// later.
    pub certfile: PathBuf,
    /// The private key in PEM, unencrypted. The file may be missing, and may appear later.
    pub keyfile: PathBuf,
    /// Additional names for the local certificate. Each must be within the authority's [`Constraints`].
    pub tls_names: Vec<AltName>,
    /// Provides the host's names and addresses.
    pub host: Arc<dyn HostSource>,
    /// The certificates that an earlier run stored.
    pub stored: Option<StoredCertificates>,
    /// Stores new certificates.
    pub store: Arc<dyn CertificateStore>,
    /// The clock that decides about renewal.
    pub clock: Clock,
}

/// Where the served certificate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateSource {
    /// The user's certificate files.
    Files,
    /// The local authority.
    Local,
}

/// The certificate that new sessions receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServedCertificate {
    /// Whether it is the user's or the local authority's.
    pub source: CertificateSource,
    /// SHA-256 of the server's own certificate.
    pub fingerprint: Fingerprint,
    /// The end of its validity. `None` if the user's certificate cannot be parsed.
    pub not_after: Option<OffsetDateTime>,
}

/// The local authority in the forms that clients need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAuthority {
    /// The certificate in PEM, to be installed on clients.
    pub pem: Bytes,
    /// Its SHA-256, for people to compare on the client.
    pub fingerprint: Fingerprint,
}

/// A handle to the served certificate. Clones are cheap and share the certificate.
#[derive(Debug, Clone)]
pub struct Certificates(Arc<CertificatesInner>);

#[derive(Debug)]
struct CertificatesInner {
    resolver: Arc<SwapResolver>,
    config: Arc<ServerConfig>,
    state: Mutex<CurrentState>,
}

#[derive(Debug, Clone)]
struct CurrentState {
    served: ServedCertificate,
    authority: Option<LocalAuthority>,
}

impl Certificates {
    /// Loads the certificate files, or loads or generates the local certificate. If the files are invalid, the
    /// error is logged and the local certificate is used.
    ///
    /// Takes a few milliseconds. A remote [`HostSource`] is queried only if there is no usable stored certificate,
    /// for at most two seconds.
    ///
    /// # Errors
    /// The local certificate is needed and cannot be generated or stored, or contains a name that is not
    /// permitted.
    pub async fn open(setup: Setup) -> Result<(Self, CertificateUpdater), TlsError> {
        updater::open(setup).await
    }

    /// The configuration for [`accept`]. It stays valid when the certificate changes.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.config)
    }

    /// The local authority. `None` if it was never needed, because the user's files are served.
    pub fn authority(&self) -> Option<LocalAuthority> {
        self.state(|state| state.authority.clone())
    }

    /// The certificate that new sessions receive.
    pub fn served(&self) -> ServedCertificate {
        self.state(|state| state.served)
    }

    fn new(
        key: CertifiedKey,
        source: CertificateSource,
        authority: Option<&Authority>,
    ) -> Result<Self, TlsError> {
        let state = CurrentState {
            served: served_certificate(&key, source),
            authority: authority.map(local_authority),
        };
        let resolver = Arc::new(SwapResolver::new(key));
        let config = server_config(Arc::clone(&resolver))?;
        Ok(Self(Arc::new(CertificatesInner {
            resolver,
            config,
            state: Mutex::new(state),
        })))
    }

    /// Serves `key` to new sessions.
    fn serve(&self, key: CertifiedKey, source: CertificateSource, authority: Option<&Authority>) {
        let served = served_certificate(&key, source);
        let authority = authority.map(local_authority);
        self.0.resolver.swap(key);
        self.state(|state| *state = CurrentState { served, authority });
    }

    fn state<T>(&self, access: impl FnOnce(&mut CurrentState) -> T) -> T {
        access(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn served_certificate(key: &CertifiedKey, source: CertificateSource) -> ServedCertificate {
    let own = key.cert.first();
    ServedCertificate {
        source,
        fingerprint: Fingerprint::of(own.map_or(&[], |cert| cert.as_ref())),
        not_after: own
            .and_then(|cert| parse::certificate(cert).ok())
            .map(|contents| contents.not_after),
    }
}

fn local_authority(authority: &Authority) -> LocalAuthority {
    LocalAuthority {
        pem: authority.cert_pem().into(),
        fingerprint: authority.fingerprint(),
    }
}
