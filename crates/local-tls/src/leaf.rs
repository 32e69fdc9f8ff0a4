//! A server certificate of the local authority with its key; knows when it has to be replaced.

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use super::authority::{AuthorityError, RENEW_BEFORE};
use super::names::CertificateNames;
use super::read;
use super::resolver::provider;

/// A leaf. Cloning it copies the key.
#[derive(Clone)]
pub struct Leaf {
    cert: CertificateDer<'static>,
    key: Vec<u8>,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    names: CertificateNames,
}

impl Leaf {
    /// Takes up a kept leaf: its certificate and its key as PKCS #8, both DER. That the two belong
    /// together is checked by [`Leaf::certified_key`], who signed it by the authority.
    pub fn from_der(cert: CertificateDer<'static>, key: &[u8]) -> Result<Self, AuthorityError> {
        rustls::server::ParsedCertificate::try_from(&cert)?;
        let contents = read::certificate(&cert)?;
        Ok(Self {
            cert,
            key: key.to_vec(),
            not_before: contents.not_before,
            not_after: contents.not_after,
            names: contents.names,
        })
    }

    /// The certificate.
    pub fn cert_der(&self) -> &CertificateDer<'static> {
        &self.cert
    }

    /// The key as PKCS #8 DER, to be kept and shown to nobody.
    pub fn key_der(&self) -> &[u8] {
        &self.key
    }

    /// From when it counts.
    pub fn not_before(&self) -> OffsetDateTime {
        self.not_before
    }

    /// Until when it counts.
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// The names and addresses it carries.
    pub fn names(&self) -> &CertificateNames {
        &self.names
    }

    /// Whether its time is up: fewer than 30 days are left, or it is not valid yet because the clock
    /// went back (a board without a battery starts in the past).
    pub fn is_stale(&self, now: OffsetDateTime) -> bool {
        now < self.not_before || self.not_after - now < RENEW_BEFORE
    }

    /// Whether a new leaf must be made: its time is up, or `wanted` (within the authority's constraints)
    /// is not what it carries.
    pub fn is_due(&self, now: OffsetDateTime, wanted: &CertificateNames) -> bool {
        self.is_stale(now) || self.names != *wanted
    }

    /// What the TLS listener serves: leaf, then `authority`. The root goes along so that a client which
    /// pinned its fingerprint finds it in the handshake.
    pub fn certified_key(
        &self,
        authority: &CertificateDer<'static>,
    ) -> Result<CertifiedKey, rustls::Error> {
        let chain = vec![self.cert.clone(), authority.clone()];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()));
        CertifiedKey::from_der(chain, key, &provider())
    }
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaf")
            .field("not_after", &self.not_after)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}
