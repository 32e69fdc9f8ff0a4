//! The SHA-256 fingerprint of a certificate, and its PEM encoding.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest;

/// Characters per line of PEM (RFC 7468, section 2).
const PEM_LINE: usize = 64;

/// The SHA-256 of a certificate's DER. `Display` prints upper-case hex pairs separated by colons, as browsers do.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Computes the fingerprint of a certificate in DER.
    pub fn of(cert_der: &[u8]) -> Self {
        let mut octets = [0; 32];
        let digest = digest::digest(&digest::SHA256, cert_der);
        octets.copy_from_slice(digest.as_ref());
        Self(octets)
    }

    /// The digest as bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, octet) in self.0.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{octet:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Encodes a certificate as PEM (RFC 7468, section 5).
pub(super) fn pem(cert_der: &[u8]) -> String {
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for (index, character) in STANDARD.encode(cert_der).chars().enumerate() {
        if index > 0 && index % PEM_LINE == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem.push_str("\n-----END CERTIFICATE-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    #[test]
    fn pem_round_trips() {
        for length in [0, 1, 47, 48, 49, 96, 700] {
            let der: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let text = pem(&der);
            assert!(
                text.lines()
                    .all(|line| !line.is_empty() && line.len() <= PEM_LINE || length == 0)
            );
            if length > 0 {
                assert_eq!(
                    CertificateDer::from_pem_slice(text.as_bytes())
                        .unwrap()
                        .as_ref(),
                    der
                );
            }
        }
    }

    #[test]
    fn fingerprint_is_colon_separated_hex() {
        assert!(
            Fingerprint::of(b"")
                .to_string()
                .starts_with("E3:B0:C4:42:98:FC")
        );
        assert_eq!(Fingerprint::of(b"").to_string().len(), 95);
    }
}
