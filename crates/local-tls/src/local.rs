//! The local authority and its leaf: generated on the first start, stored, and renewed before they expire. A new
//! certificate is served only after it was stored. Otherwise a restart would generate another authority, which no
//! client trusts.

use std::error::Error;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;
use tracing::{info, warn};

use super::TlsError;
use super::authority::{Authority, AuthorityError};
use super::constraints::Constraints;
use super::fingerprint::Fingerprint;
use super::host::HostReport;
use super::leaf::Leaf;
use super::names::{AltName, CertificateNames, HostName};

/// The host name if none is known: the default of Home Assistant OS.
const DEFAULT_HOST_NAME: &str = "homeassistant";
/// While the host report is incomplete, a new leaf keeps names of the old one up to this total.
const MAX_NAMES_WITH_UNCONFIRMED: usize = 100;

/// Persistent storage for the authority and its leaf.
pub trait CertificateStore: Send + Sync + 'static {
    /// Replaces the stored certificates. Must not return success before they are durable, and must not store one
    /// without the other.
    fn save(&self, certificates: StoredCertificates) -> BoxFuture<'_, Result<(), SaveError>>;
}

/// An error of a [`CertificateStore`]. Its text is shown to the administrator.
pub type SaveError = Box<dyn Error + Send + Sync>;

/// A certificate and its private key. `Debug` prints neither.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredCertificate {
    /// The certificate in DER.
    pub cert: Vec<u8>,
    /// The private key as PKCS #8 in DER.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for StoredCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The certificates that must survive a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCertificates {
    /// The authority that clients have installed.
    pub authority: StoredCertificate,
    /// The current leaf, signed by `authority`.
    pub leaf: StoredCertificate,
}

/// The authority and leaf in use. Empty until the first [`renew`](Self::renew) if nothing was stored.
pub(super) struct LocalCertificates {
    tls_names: Vec<AltName>,
    store: Arc<dyn CertificateStore>,
    authority: Option<Arc<Authority>>,
    leaf: Option<Leaf>,
}

impl LocalCertificates {
    /// Loads the stored certificates. Invalid ones are logged, ignored and replaced by the next `renew`.
    pub(super) fn new(
        tls_names: Vec<AltName>,
        store: Arc<dyn CertificateStore>,
        stored: Option<StoredCertificates>,
    ) -> Self {
        let mut local = Self {
            tls_names,
            store,
            authority: None,
            leaf: None,
        };
        let Some(stored) = stored else { return local };
        match Authority::from_der(
            CertificateDer::from(stored.authority.cert),
            &stored.authority.key,
        ) {
            Ok(authority) => {
                match load_leaf(&authority, stored.leaf) {
                    Ok(leaf) => local.leaf = Some(leaf),
                    Err(error) => {
                        warn!(%error, "stored certificate is invalid; generating a new one")
                    }
                }
                local.authority = Some(Arc::new(authority));
            }
            Err(error) => tracing::error!(
                %error,
                "stored authority is invalid; generating a new one, which every client must install"
            ),
        }
        local
    }

    pub(super) fn authority(&self) -> Option<&Authority> {
        self.authority.as_deref()
    }

    /// Whether there is a leaf that does not need renewal.
    pub(super) fn is_fresh(&self, now: OffsetDateTime) -> bool {
        self.leaf
            .as_ref()
            .is_some_and(|leaf| !leaf.needs_renewal(now))
    }

    /// Generates and stores a new authority or leaf if the current one expires soon, or if its names differ from
    /// those of `report` and `tls_names`. Returns true if there is a new leaf to serve.
    ///
    /// # Errors
    /// A name of `tls_names` is not permitted, or a certificate could not be generated or stored. The current
    /// certificates stay in use.
    pub(super) async fn renew(
        &mut self,
        report: &HostReport,
        now: OffsetDateTime,
    ) -> Result<bool, TlsError> {
        let valid_authority = self
            .authority
            .as_ref()
            .filter(|authority| !authority.is_expiring(now));
        let authority = match valid_authority {
            Some(authority) => Arc::clone(authority),
            None => Arc::new(Authority::generate(&bare_host(report)?, now)?),
        };
        self.check_tls_names(authority.constraints())?;
        let wanted = self.wanted_names(authority.constraints(), report);
        let leaf = self
            .leaf
            .as_ref()
            .filter(|leaf| !leaf.needs_replacement(now, &wanted));
        if valid_authority.is_some() && leaf.is_some() {
            return Ok(false);
        }
        let leaf = authority.issue(&wanted, now)?;
        let certificates = StoredCertificates {
            authority: stored(authority.cert_der(), authority.key_der()),
            leaf: stored(leaf.cert_der(), leaf.key_der()),
        };
        self.store
            .save(certificates)
            .await
            .map_err(TlsError::Save)?;
        if valid_authority.is_none() {
            warn!(fingerprint = %authority.fingerprint(), "local authority generated; clients must install its certificate");
        }
        info!(fingerprint = %Fingerprint::of(leaf.cert_der()), not_after = %leaf.not_after(), "server certificate generated");
        self.authority = Some(authority);
        self.leaf = Some(leaf);
        Ok(true)
    }

    /// The leaf with its chain and key. Fails if [`renew`](Self::renew) has never succeeded and nothing was stored.
    pub(super) fn certified_key(&self) -> Result<CertifiedKey, rustls::Error> {
        match (&self.authority, &self.leaf) {
            (Some(authority), Some(leaf)) => leaf.certified_key(authority.cert_der()),
            _ => Err(rustls::Error::NoCertificatesPresented),
        }
    }

    fn check_tls_names(&self, permitted: &Constraints) -> Result<(), TlsError> {
        let join = |names: Vec<String>| names.join(", ");
        let outside: Vec<_> = self
            .tls_names
            .iter()
            .filter(|name| !permitted.permits(name))
            .map(ToString::to_string)
            .collect();
        if outside.is_empty() {
            return Ok(());
        }
        Err(TlsError::OutsideLocalNames {
            names: join(outside),
            permitted: join(permitted.names().map(ToString::to_string).collect()),
        })
    }

    fn wanted_names(&self, permitted: &Constraints, report: &HostReport) -> CertificateNames {
        let mut names = CertificateNames::collect(&report.facts, &self.tls_names);
        if let (Some(leaf), Some(_)) = (&self.leaf, &report.missing) {
            names.extend_up_to(leaf.names(), MAX_NAMES_WITH_UNCONFIRMED);
        }
        names.retain(|name| permitted.permits(name));
        names
    }
}

fn load_leaf(authority: &Authority, stored: StoredCertificate) -> Result<Leaf, AuthorityError> {
    let leaf = Leaf::from_der(CertificateDer::from(stored.cert), &stored.key)?;
    authority.verify_leaf(&leaf)?;
    leaf.certified_key(authority.cert_der())?;
    Ok(leaf)
}

fn stored(cert: &[u8], key: &[u8]) -> StoredCertificate {
    StoredCertificate {
        cert: cert.to_vec(),
        key: key.to_vec(),
    }
}

fn bare_host(report: &HostReport) -> Result<HostName, TlsError> {
    match report.facts.host.as_ref().and_then(HostName::bare) {
        Some(host) => Ok(host),
        None => HostName::parse(DEFAULT_HOST_NAME).map_err(TlsError::Name),
    }
}
