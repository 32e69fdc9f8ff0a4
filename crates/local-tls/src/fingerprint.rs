//! How a certificate is shown to people and handed out: its SHA-256 and its PEM form.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest;

/// Characters in a line of PEM (RFC 7468, 2).
const PEM_LINE: usize = 64;

/// SHA-256 of a certificate's DER; Display is upper-case hex pairs with colons, as browsers show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate in DER.
    pub fn of(cert_der: &[u8]) -> Self {
        let mut octets = [0; 32];
        let digest = digest::digest(&digest::SHA256, cert_der);
        octets.copy_from_slice(digest.as_ref());
        Self(octets)
    }

    /// The 32 octets.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, octet) in self.0.iter().enumerate() {
            let colon = if place == 0 { "" } else { ":" };
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

/// One certificate as PEM (RFC 7468, 5).
pub(super) fn pem(cert_der: &[u8]) -> String {
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for (place, character) in STANDARD.encode(cert_der).chars().enumerate() {
        if place > 0 && place % PEM_LINE == 0 {
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
    fn pem_comes_back_as_it_went() {
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
    fn a_fingerprint_reads_like_a_browsers() {
        assert!(
            Fingerprint::of(b"")
                .to_string()
                .starts_with("E3:B0:C4:42:98:FC")
        );
        assert_eq!(Fingerprint::of(b"").to_string().len(), 95);
    }
}
