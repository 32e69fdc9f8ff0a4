//! The local certificate authority: made once, kept, and installed on tablets by hand.
//! Must never sign a name that its own certificate does not permit.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

use super::constraints::Constraints;
use super::fingerprint::Fingerprint;
use super::leaf::Leaf;
use super::names::{AltName, CertificateNames, HostName};
use super::read::{self, Unreadable};
use super::resolver::provider;

/// Ten years with the leap days they can hold.
const AUTHORITY_LIFE: Duration = Duration::days(3652);
/// Browsers refuse server certificates that live longer than 398 days.
const LEAF_LIFE: Duration = Duration::days(397);
/// Tablets whose clock is behind ours still accept a fresh certificate.
const BACKDATED: Duration = Duration::days(1);
/// A certificate is replaced once less than this is left of it.
pub(super) const RENEW_BEFORE: Duration = Duration::days(30);
/// X.520 allows 64 characters in a common name; the words around the host need 23 of them.
const MAX_HOST_IN_NAME: usize = 40;

/// Why an authority cannot be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The operating system gave no random bytes.
    #[error("no random numbers from the operating system: {0}")]
    Random(#[from] getrandom::Error),
    /// The certificate could not be written or signed.
    #[error("the certificate could not be made: {0}")]
    Make(#[from] rcgen::Error),
    /// The bytes are no certificate of an authority made here.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The certificate carries no name constraints, so it was not made here.
    #[error("the authority has no name constraints, so Wallcast did not make it")]
    Unconstrained,
    /// The key is not the certificate's, or a signature does not verify.
    #[error("the certificate does not hold: {0}")]
    Untrusted(#[from] rustls::Error),
    /// Every name was filtered away.
    #[error("there is no name to certify")]
    Nameless,
}

/// A certificate authority with its key. Debug shows no key.
#[derive(Debug)]
pub struct Authority {
    cert: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    constraints: Constraints,
    not_after: OffsetDateTime,
}

impl Authority {
    /// Makes a new authority for the house of `host` (its bare host name): ECDSA P-256, ten years,
    /// for leaves alone, its names critically constrained to the house.
    pub fn generate(host: &HostName, now: OffsetDateTime) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let constraints = Constraints::of_house(host);
        let mut params = CertificateParams::default();
        params.not_before = now - BACKDATED;
        params.not_after = now + AUTHORITY_LIFE;
        params.serial_number = Some(random_serial()?);
        params.distinguished_name = distinguished_name(host)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(constraints.to_extension());
        params.use_authority_key_identifier_extension = true;
        let cert = params.self_signed(&key)?.der().clone();
        // What is kept must be readable later, so reading it is how it is made.
        Self::from_der(cert, key.serialized_der())
    }

    /// Takes up a kept authority: its certificate and its key as PKCS #8, both DER.
    pub fn from_der(cert: CertificateDer<'static>, key: &[u8]) -> Result<Self, AuthorityError> {
        let pkcs8 = PrivatePkcs8KeyDer::from(key.to_vec());
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_ECDSA_P256_SHA256)?;
        CertifiedKey::from_der(vec![cert.clone()], PrivateKeyDer::from(pkcs8), &provider())?;
        let contents = read::certificate(&cert)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (id, value) in contents.subject {
            params.distinguished_name.push(DnType::from_oid(&id), value);
        }
        Ok(Self {
            cert,
            issuer: Issuer::new(params, pair),
            constraints: contents.constraints.ok_or(AuthorityError::Unconstrained)?,
            not_after: contents.not_after,
        })
    }

    /// The certificate, to be kept and to be sent behind the leaf.
    pub fn cert_der(&self) -> &CertificateDer<'static> {
        &self.cert
    }

    /// The key as PKCS #8 DER, to be kept and shown to nobody.
    pub fn key_der(&self) -> &[u8] {
        self.issuer.key().serialized_der()
    }

    /// The certificate as tablets install it.
    pub fn cert_pem(&self) -> String {
        super::fingerprint::pem(&self.cert)
    }

    /// SHA-256 of the certificate's DER.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.cert)
    }

    /// What this authority's own certificate permits, which may be less than a new one would.
    pub fn constraints(&self) -> &Constraints {
        &self.constraints
    }

    /// Whether it is too old to sign another leaf.
    pub fn is_due(&self, now: OffsetDateTime) -> bool {
        self.not_after - now < RENEW_BEFORE
    }

    /// Signs a leaf with a new key for those of `names` that this authority permits; it lives 397 days
    /// at most, the backdated one included, and never longer than the authority.
    pub fn issue(
        &self,
        names: &CertificateNames,
        now: OffsetDateTime,
    ) -> Result<Leaf, AuthorityError> {
        let mut permitted = names.clone();
        permitted.retain(|name| self.constraints.permits(name));
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.not_before = now - BACKDATED;
        // RFC 5280, 4.1.2.5 counts both ends, hence the second less.
        params.not_after = (params.not_before + LEAF_LIFE - Duration::SECOND).min(self.not_after);
        params.serial_number = Some(random_serial()?);
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = permitted
            .iter()
            .map(alternative_name)
            .collect::<Result<_, _>>()?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let cert = params.signed_by(&key, &self.issuer)?.der().clone();
        let leaf = Leaf::from_der(cert, key.serialized_der())?;
        self.vouch_for(&leaf)?;
        Ok(leaf)
    }

    /// Checks as a client does that `leaf` was signed here and stays within the name constraints.
    /// Its age does not matter.
    pub fn vouch_for(&self, leaf: &Leaf) -> Result<(), AuthorityError> {
        let mut roots = RootCertStore::empty();
        roots.add(self.cert.clone())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        let name = match leaf.names().iter().next().ok_or(AuthorityError::Nameless)? {
            AltName::Dns(name) => ServerName::try_from(name.as_str()).map_err(|_| Unreadable)?,
            AltName::Ip(address) => ServerName::IpAddress((*address).into()),
        };
        let then = u64::try_from(leaf.not_before().unix_timestamp()).map_err(|_| Unreadable)?;
        let then = UnixTime::since_unix_epoch(std::time::Duration::from_secs(then));
        verifier.verify_server_cert(leaf.cert_der(), &[], &name, &[], then)?;
        Ok(())
    }
}

/// The random part tells two authorities of one host apart on a tablet that has both installed.
fn distinguished_name(host: &HostName) -> Result<DistinguishedName, AuthorityError> {
    let mut tag = [0; 4];
    getrandom::fill(&mut tag)?;
    let host: String = host.as_str().chars().take(MAX_HOST_IN_NAME).collect();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Wallcast");
    name.push(
        DnType::CommonName,
        format!("Wallcast CA {host} {:08x}", u32::from_be_bytes(tag)),
    );
    Ok(name)
}

fn alternative_name(name: &AltName) -> Result<SanType, rcgen::Error> {
    Ok(match name {
        AltName::Dns(name) => SanType::DnsName(name.as_str().try_into()?),
        AltName::Ip(address) => SanType::IpAddress(*address),
    })
}

/// Sixteen random octets, positive and never short (RFC 5280, 4.1.2.2).
fn random_serial() -> Result<SerialNumber, getrandom::Error> {
    let mut serial = [0; 16];
    getrandom::fill(&mut serial)?;
    serial[0] = serial[0] & 0x3f | 0x40;
    Ok(SerialNumber::from_slice(&serial))
}
