//! Authority and leaves, verified with webpki and OpenSSL.

use std::process::Command;

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::UnixTime;

use super::*;

/// A certificate signed with the authority's key, bypassing the checks of [`Authority::issue`].
fn forged(authority: &Authority, name: &str) -> CertificateDer<'static> {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_before = TODAY - Duration::DAY;
    params.not_after = TODAY + Duration::days(90);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let mut issuer = CertificateParams::default();
    issuer.distinguished_name = rcgen::DistinguishedName::new();
    for (id, value) in parse::certificate(authority.cert_der()).unwrap().subject {
        issuer
            .distinguished_name
            .push(rcgen::DnType::from_oid(&id), value);
    }
    let key = KeyPair::try_from(authority.key_der()).unwrap();
    let own = KeyPair::generate().unwrap();
    params
        .signed_by(&own, &Issuer::new(issuer, key))
        .unwrap()
        .der()
        .clone()
}

fn webpki_accepts(
    authority: &Authority,
    leaf: &CertificateDer<'_>,
    name: &str,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.cert_der().clone()).unwrap();
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .unwrap();
    let now = std::time::Duration::from_secs(TODAY.unix_timestamp() as u64);
    let name = ServerName::try_from(name).unwrap();
    verifier
        .verify_server_cert(leaf, &[], &name, &[], UnixTime::since_unix_epoch(now))
        .map(drop)
}

/// `None` without openssl.
fn openssl_accepts(authority: &Authority, leaf: &CertificateDer<'_>) -> Option<bool> {
    let dir = tempfile::tempdir().unwrap();
    let (root, own) = (dir.path().join("ca.pem"), dir.path().join("leaf.pem"));
    std::fs::write(&root, authority.cert_pem()).unwrap();
    std::fs::write(&own, fingerprint::pem(leaf)).unwrap();
    let verdict = Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", "sslserver", "-attime"])
        .arg(TODAY.unix_timestamp().to_string())
        .arg("-CAfile")
        .arg(root)
        .arg(own)
        .output()
        .ok()?;
    Some(verdict.status.success())
}

#[test]
fn leaf_is_valid_for_each_of_its_names() {
    let authority = Authority::generate(&host("panel"), TODAY).unwrap();
    let wanted = [
        "panel",
        "panel.local",
        "localhost",
        "wall.home.arpa",
        "192.168.1.5",
        "fd00::5",
        "fe80::1",
        "::1",
    ];
    let leaf = authority.issue(&names(&wanted), TODAY).unwrap();
    assert_eq!(leaf.names(), &names(&wanted));
    for name in wanted {
        webpki_accepts(&authority, leaf.cert_der(), name).unwrap();
    }
    assert_ne!(openssl_accepts(&authority, leaf.cert_der()), Some(false));
}

#[test]
fn forged_public_name_violates_name_constraints() {
    let authority = Authority::generate(&host("panel"), TODAY).unwrap();
    for name in [
        "bank.example.com",
        "com",
        "8.8.8.8",
        "2001:db8::1",
        "172.32.0.1",
    ] {
        let forged = forged(&authority, name);
        let error = webpki_accepts(&authority, &forged, name).unwrap_err();
        assert!(
            format!("{error:?}").contains("NameConstraintViolation"),
            "{name}: {error:?}"
        );
        assert_ne!(openssl_accepts(&authority, &forged), Some(true), "{name}");
    }
    let inside = forged(&authority, "panel.lan");
    webpki_accepts(&authority, &inside, "panel.lan").unwrap();
    assert_ne!(
        openssl_accepts(&authority, &inside),
        Some(false),
        "a forged certificate is otherwise valid"
    );
}

#[test]
fn leaf_omits_names_that_are_not_permitted() {
    let authority = Authority::generate(&host("panel"), TODAY).unwrap();
    let leaf = authority
        .issue(&names(&["localhost", "example.org", "8.8.8.8"]), TODAY)
        .unwrap();
    assert_eq!(leaf.names(), &names(&["localhost"]));
    assert!(matches!(
        authority.issue(&names(&["example.org"]), TODAY),
        Err(AuthorityError::NoNames)
    ));
}

#[test]
fn validity_stays_within_its_bounds() {
    let authority = Authority::generate(&host("panel"), TODAY).unwrap();
    let contents = parse::certificate(authority.cert_der()).unwrap();
    assert_eq!(contents.not_before, TODAY - Duration::DAY);
    assert_eq!(contents.not_after, TODAY + Duration::days(3652));
    let leaf = authority.issue(&names(&["localhost"]), TODAY).unwrap();
    assert_eq!(
        leaf.not_after() - leaf.not_before(),
        Duration::days(397) - Duration::SECOND
    );
    assert!(!leaf.needs_replacement(TODAY, &names(&["localhost"])));
    assert!(leaf.needs_replacement(TODAY, &names(&["localhost", "a.lan"])));
    let renewal_starts = leaf.not_after() - Duration::days(30);
    assert!(!leaf.needs_renewal(renewal_starts));
    assert!(leaf.needs_renewal(renewal_starts + Duration::SECOND));
}

#[test]
fn authority_loads_from_its_stored_form() {
    let generated = Authority::generate(&host("panel"), TODAY).unwrap();
    let loaded = Authority::from_der(generated.cert_der().clone(), generated.key_der()).unwrap();
    assert_eq!(
        loaded.constraints(),
        &Constraints::for_local_network(&host("panel"))
    );
    let leaf = loaded.issue(&names(&["localhost"]), TODAY).unwrap();
    generated.verify_leaf(&leaf).unwrap();
    let other = Authority::generate(&host("panel"), TODAY).unwrap();
    assert!(other.verify_leaf(&leaf).is_err());
    assert!(Authority::from_der(generated.cert_der().clone(), other.key_der()).is_err());
    assert!(Authority::from_der(leaf.cert_der().clone(), leaf.key_der()).is_err());
    assert!(
        !format!("{generated:?} {leaf:?}")
            .contains(&format!("{:?}", &generated.key_der()[..8])[1..20])
    );
}

#[test]
fn long_host_name_fits_into_common_name() {
    let authority = Authority::generate(&host(&"a".repeat(63)), TODAY).unwrap();
    let subject = parse::certificate(authority.cert_der()).unwrap().subject;
    assert!(subject.iter().all(|(_, value)| value.len() <= 64));
    assert!(
        subject
            .iter()
            .any(|(_, value)| value.starts_with("Wallcast CA aaa"))
    );
}

#[test]
fn truncated_certificates_are_rejected() {
    let authority = Authority::generate(&host("panel"), TODAY).unwrap();
    let whole = authority.cert_der().to_vec();
    for end in 0..whole.len() {
        let cut = CertificateDer::from(whole[..end].to_vec());
        assert!(Authority::from_der(cut.clone(), authority.key_der()).is_err());
        assert!(parse::certificate(&cut).is_err());
    }
}

#[test]
fn corrupted_certificates_never_panic() {
    let authority = Authority::generate(&host("panel"), TODAY).unwrap();
    let leaf = authority
        .issue(&names(&["localhost", "::1"]), TODAY)
        .unwrap();
    for (cert, key) in [
        (authority.cert_der(), authority.key_der()),
        (leaf.cert_der(), leaf.key_der()),
    ] {
        for index in 0..cert.len() {
            for octet in [0x00, 0x7f, 0x80, 0x88, 0xff] {
                let mut damaged = cert.to_vec();
                damaged[index] = octet;
                let damaged = CertificateDer::from(damaged);
                let _ = Authority::from_der(damaged.clone(), key);
                if let Ok(leaf) = Leaf::from_der(damaged, key) {
                    let _ = authority.verify_leaf(&leaf);
                }
            }
        }
    }
}

/// Prints certificates to inspect: `cargo test show_certificates -- --ignored --nocapture`.
#[test]
#[ignore = "prints certificates to inspect"]
fn show_certificates() {
    let authority = Authority::generate(&host("panel"), OffsetDateTime::now_utc()).unwrap();
    let wanted = names(&[
        "panel",
        "panel.local",
        "localhost",
        "192.168.1.5",
        "fd00::5",
        "::1",
    ]);
    let leaf = authority.issue(&wanted, OffsetDateTime::now_utc()).unwrap();
    println!(
        "{}{}",
        authority.cert_pem(),
        fingerprint::pem(leaf.cert_der())
    );
}
