//! What the public listener proves itself with: the user's own certificate files if both exist, else a
//! leaf of a local authority (contract, section 2). Sessions that are open never notice a change.
//!
//! [`Certificates::open`] gives a handle for the listener and the routes, and an [`Upkeep`] to be run in
//! the background. The parts below know less and less: `upkeep` sees them all, `files` and `local` make
//! certified keys, `authority` and `leaf` make certificates out of `names` within `constraints`.

mod authority;
mod constraints;
mod files;
mod fingerprint;
mod host;
mod leaf;
mod local;
mod names;
mod read;
mod resolver;
mod stream;
#[cfg(test)]
mod tests;
mod upkeep;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustls::ServerConfig;
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

pub use authority::{Authority, AuthorityError};
pub use constraints::Constraints;
pub use files::{FileWatch, FilesError, Look};
pub use fingerprint::Fingerprint;
pub use host::{HostSource, Machine, Survey};
pub use leaf::Leaf;
pub use local::{Keep, KeepError, Kept, KeptCertificate};
pub use names::{AltName, CertificateNames, HostFacts, HostName, NameError};
pub use resolver::{SwapResolver, server_config};
pub use stream::{TlsStream, accept};
pub use upkeep::Upkeep;

/// The wall clock; tests move it.
pub type Now = Arc<dyn Fn() -> OffsetDateTime + Send + Sync>;

/// Why there is no certificate to serve.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The option `tls_names` names something that the local authority must not vouch for.
    #[error(
        "tls_names: {names} lies outside what the local authority may vouch for ({permitted}, names below them, \
         and private, link-local and loopback addresses); bring a certificate for it with certfile and keyfile, \
         or take it out of tls_names"
    )]
    OutsideTheHouse {
        /// The names at fault.
        names: String,
        /// The permitted names.
        permitted: String,
    },
    /// A name that cannot be.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The local authority failed.
    #[error("the local certificate authority failed: {0}")]
    Authority(#[from] AuthorityError),
    /// rustls refused its configuration or a certificate.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
    /// The new certificate could not be kept, so it is not served.
    #[error("the new certificate cannot be stored: {0}")]
    Keep(#[source] KeepError),
}

/// Everything that decides which certificate is served.
pub struct Setup {
    /// The option `certfile`: a chain in PEM, the server's own certificate first. Need not exist.
    pub certfile: PathBuf,
    /// The option `keyfile`: its key in PEM. Need not exist.
    pub keyfile: PathBuf,
    /// The option `tls_names`.
    pub tls_names: Vec<AltName>,
    /// Who knows the host's names and addresses.
    pub host: Arc<dyn HostSource>,
    /// What an earlier run kept.
    pub kept: Option<Kept>,
    /// Where this run keeps what it makes.
    pub keep: Arc<dyn Keep>,
    /// The wall clock.
    pub now: Now,
}

/// Where the served certificate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The user's `certfile` and `keyfile`.
    Files,
    /// The local authority.
    Local,
}

/// The certificate that new sessions get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serving {
    /// Where it comes from.
    pub origin: Origin,
    /// SHA-256 of the server's own certificate.
    pub fingerprint: Fingerprint,
    /// Until when it counts; unknown if the user's certificate cannot be read that far.
    pub not_after: Option<OffsetDateTime>,
}

/// The local authority as it is handed to tablets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAuthority {
    /// The certificate in PEM: the body of `GET /ca.crt`.
    pub pem: Bytes,
    /// Its SHA-256, to be compared on the tablet's screen.
    pub fingerprint: Fingerprint,
}

/// A handle on the served certificate; cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Certificates(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    resolver: Arc<SwapResolver>,
    config: Arc<ServerConfig>,
    shown: Mutex<Shown>,
}

#[derive(Debug, Clone)]
struct Shown {
    serving: Serving,
    authority: Option<LocalAuthority>,
}

impl Certificates {
    /// Loads or makes the certificate. Takes a few milliseconds; only in the add-on and only while nothing
    /// usable is kept does it wait for Supervisor, two seconds at most.
    /// Broken files are logged and the local authority steps in; only it can make this fail.
    pub async fn open(setup: Setup) -> Result<(Self, Upkeep), TlsError> {
        upkeep::open(setup).await
    }

    /// The configuration for [`accept`]; one for the whole run, whatever is swapped beneath it.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.config)
    }

    /// The local authority, or none while the user's own files have made it needless.
    pub fn authority(&self) -> Option<LocalAuthority> {
        self.shown(|shown| shown.authority.clone())
    }

    /// What new sessions get.
    pub fn serving(&self) -> Serving {
        self.shown(|shown| shown.serving)
    }

    fn new(
        key: CertifiedKey,
        origin: Origin,
        authority: Option<&Authority>,
    ) -> Result<Self, TlsError> {
        let shown = Shown {
            serving: serving(&key, origin),
            authority: authority.map(local_authority),
        };
        let resolver = Arc::new(SwapResolver::new(key));
        let config = server_config(Arc::clone(&resolver))?;
        Ok(Self(Arc::new(Shared {
            resolver,
            config,
            shown: Mutex::new(shown),
        })))
    }

    /// Serves `key` from now on.
    fn serve(&self, key: CertifiedKey, origin: Origin, authority: Option<&Authority>) {
        let serving = serving(&key, origin);
        let authority = authority.map(local_authority);
        self.0.resolver.swap(key);
        self.shown(|shown| *shown = Shown { serving, authority });
    }

    fn shown<T>(&self, look: impl FnOnce(&mut Shown) -> T) -> T {
        look(&mut self.0.shown.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn serving(key: &CertifiedKey, origin: Origin) -> Serving {
    let own = key.cert.first();
    Serving {
        origin,
        fingerprint: Fingerprint::of(own.map_or(&[], |cert| cert.as_ref())),
        not_after: own
            .and_then(|cert| read::certificate(cert).ok())
            .map(|contents| contents.not_after),
    }
}

fn local_authority(authority: &Authority) -> LocalAuthority {
    LocalAuthority {
        pem: authority.cert_pem().into(),
        fingerprint: authority.fingerprint(),
    }
}
