//! The local authority and its leaf as a pair that is kept: made on the first start, renewed in time.
//! Must never serve what could not be kept, since a restart would then take it away from the tablets.

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
use super::host::Survey;
use super::leaf::Leaf;
use super::names::{AltName, CertificateNames, HostName};

/// What the authority is called where nobody knows the host: the name that Home Assistant's own
/// system gives to its host.
const USUAL_HOST: &str = "homeassistant";
/// Names up to which a leaf holds on to what nobody confirms at the moment.
const MAX_UNCONFIRMED: usize = 100;

/// Where the authority and its leaf are kept.
pub trait Keep: Send + Sync + 'static {
    /// Keeps both, in place of what was kept before; done when they are safe on disk.
    fn save(&self, kept: Kept) -> BoxFuture<'_, Result<(), KeepError>>;
}

/// Whatever the store says; shown to the admin as it is.
pub type KeepError = Box<dyn Error + Send + Sync>;

/// A certificate and its key (PKCS #8), both DER. Debug shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptCertificate {
    /// The certificate.
    pub cert: Vec<u8>,
    /// Its key; a secret.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for KeptCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Everything that must survive a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The authority that tablets have installed.
    pub authority: KeptCertificate,
    /// The leaf served last.
    pub leaf: KeptCertificate,
}

/// The local certificates; empty until they are needed for the first time.
pub(super) struct Local {
    tls_names: Vec<AltName>,
    keep: Arc<dyn Keep>,
    authority: Option<Arc<Authority>>,
    leaf: Option<Leaf>,
}

impl Local {
    /// Takes up what was kept. What does not hold any more is logged and made anew when needed.
    pub(super) fn new(tls_names: Vec<AltName>, keep: Arc<dyn Keep>, kept: Option<Kept>) -> Self {
        let mut local = Self {
            tls_names,
            keep,
            authority: None,
            leaf: None,
        };
        let Some(kept) = kept else { return local };
        match Authority::from_der(
            CertificateDer::from(kept.authority.cert),
            &kept.authority.key,
        ) {
            Ok(authority) => {
                match kept_leaf(&authority, kept.leaf) {
                    Ok(leaf) => local.leaf = Some(leaf),
                    Err(error) => {
                        warn!(%error, "the kept certificate does not hold; a new one will be made")
                    }
                }
                local.authority = Some(Arc::new(authority));
            }
            Err(error) => tracing::error!(
                %error,
                "the kept authority does not hold; a new one will be made, to be installed on every tablet again"
            ),
        }
        local
    }

    pub(super) fn authority(&self) -> Option<&Authority> {
        self.authority.as_deref()
    }

    /// Whether there is a leaf whose time is not up.
    pub(super) fn is_fresh(&self, now: OffsetDateTime) -> bool {
        self.leaf.as_ref().is_some_and(|leaf| !leaf.is_stale(now))
    }

    /// Makes and keeps whatever `now` and `survey` call for. True if there is a new leaf to serve.
    pub(super) async fn renew(
        &mut self,
        survey: &Survey,
        now: OffsetDateTime,
    ) -> Result<bool, TlsError> {
        let standing = self
            .authority
            .as_ref()
            .filter(|authority| !authority.is_due(now));
        let authority = match standing {
            Some(authority) => Arc::clone(authority),
            None => Arc::new(Authority::generate(&bare_host(survey)?, now)?),
        };
        self.check_tls_names(authority.constraints())?;
        let wanted = self.wanted(authority.constraints(), survey);
        let leaf = self.leaf.as_ref().filter(|leaf| !leaf.is_due(now, &wanted));
        if standing.is_some() && leaf.is_some() {
            return Ok(false);
        }
        let leaf = authority.issue(&wanted, now)?;
        let kept = Kept {
            authority: kept(authority.cert_der(), authority.key_der()),
            leaf: kept(leaf.cert_der(), leaf.key_der()),
        };
        self.keep.save(kept).await.map_err(TlsError::Keep)?;
        if standing.is_none() {
            warn!(fingerprint = %authority.fingerprint(), "made a new local authority: install /ca.crt on the tablets");
        }
        info!(fingerprint = %Fingerprint::of(leaf.cert_der()), not_after = %leaf.not_after(), "made a new server certificate");
        self.authority = Some(authority);
        self.leaf = Some(leaf);
        Ok(true)
    }

    /// What the TLS listener serves; there is something once [`Local::renew`] has succeeded.
    pub(super) fn certified_key(&self) -> Result<CertifiedKey, rustls::Error> {
        match (&self.authority, &self.leaf) {
            (Some(authority), Some(leaf)) => leaf.certified_key(authority.cert_der()),
            _ => Err(rustls::Error::NoCertificatesPresented),
        }
    }

    fn check_tls_names(&self, permitted: &Constraints) -> Result<(), TlsError> {
        let said = |names: Vec<String>| names.join(", ");
        let outside: Vec<_> = self
            .tls_names
            .iter()
            .filter(|name| !permitted.permits(name))
            .map(ToString::to_string)
            .collect();
        if outside.is_empty() {
            return Ok(());
        }
        Err(TlsError::OutsideTheHouse {
            names: said(outside),
            permitted: said(permitted.names().map(ToString::to_string).collect()),
        })
    }

    fn wanted(&self, permitted: &Constraints, survey: &Survey) -> CertificateNames {
        let mut names = CertificateNames::collect(&survey.facts, &self.tls_names);
        if let (Some(leaf), Some(_)) = (&self.leaf, &survey.missing) {
            names.extend_up_to(leaf.names(), MAX_UNCONFIRMED);
        }
        names.retain(|name| permitted.permits(name));
        names
    }
}

fn kept_leaf(authority: &Authority, kept: KeptCertificate) -> Result<Leaf, AuthorityError> {
    let leaf = Leaf::from_der(CertificateDer::from(kept.cert), &kept.key)?;
    authority.vouch_for(&leaf)?;
    leaf.certified_key(authority.cert_der())?;
    Ok(leaf)
}

fn kept(cert: &[u8], key: &[u8]) -> KeptCertificate {
    KeptCertificate {
        cert: cert.to_vec(),
        key: key.to_vec(),
    }
}

fn bare_host(survey: &Survey) -> Result<HostName, TlsError> {
    match survey.facts.host.as_ref().and_then(HostName::bare) {
        Some(host) => Ok(host),
        None => HostName::parse(USUAL_HOST).map_err(TlsError::Name),
    }
}
