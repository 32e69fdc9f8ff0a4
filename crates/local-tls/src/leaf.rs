//! A server certificate issued by the local authority, with its key.

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use super::authority::{AuthorityError, RENEW_BEFORE};
use super::names::CertificateNames;
use super::parse;
use super::resolver::provider;

/// A server certificate with its key. `Debug` does not print the key.
#[derive(Clone)]
pub struct Leaf {
    cert: CertificateDer<'static>,
    key: Vec<u8>,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    names: CertificateNames,
}

impl Leaf {
    /// Loads a stored leaf: its certificate in DER and its key as PKCS #8 in DER.
    ///
    /// Does not check whether the two match ([`Leaf::certified_key`] does), nor who signed the certificate
    /// ([`Authority::verify_leaf`](super::Authority::verify_leaf) does).
    ///
    /// # Errors
    /// The certificate cannot be parsed.
    pub fn from_der(cert: CertificateDer<'static>, key: &[u8]) -> Result<Self, AuthorityError> {
        rustls::server::ParsedCertificate::try_from(&cert)?;
        let contents = parse::certificate(&cert)?;
        Ok(Self {
            cert,
            key: key.to_vec(),
            not_before: contents.not_before,
            not_after: contents.not_after,
            names: contents.names,
        })
    }

    /// The certificate in DER.
    pub fn cert_der(&self) -> &CertificateDer<'static> {
        &self.cert
    }

    /// The private key as PKCS #8 in DER.
    pub fn key_der(&self) -> &[u8] {
        &self.key
    }

    /// The start of the validity.
    pub fn not_before(&self) -> OffsetDateTime {
        self.not_before
    }

    /// The end of the validity.
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// The subject alternative names.
    pub fn names(&self) -> &CertificateNames {
        &self.names
    }

    /// Whether fewer than 30 days of validity remain, or the certificate is not valid yet because the clock was set
    /// back.
    pub fn needs_renewal(&self, now: OffsetDateTime) -> bool {
        now < self.not_before || self.not_after - now < RENEW_BEFORE
    }

    /// Whether the leaf needs renewal, or its names differ from `wanted`. The authority's constraints must have been
    /// applied to `wanted`.
    pub fn needs_replacement(&self, now: OffsetDateTime, wanted: &CertificateNames) -> bool {
        self.needs_renewal(now) || self.names != *wanted
    }

    /// The chain of leaf and `authority`, with the key. The chain includes the root so that clients which pinned its
    /// fingerprint find it in the handshake.
    ///
    /// # Errors
    /// The key does not belong to the certificate.
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
