//! The user's certificate files: loading, replacing, invalid files, removing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384};
use rustls::pki_types::pem::PemObject;

use super::*;

/// A self-signed certificate with its key, in PEM.
pub(super) struct Pair {
    pub(super) root: CertificateDer<'static>,
    cert: String,
    key: String,
}

impl Pair {
    pub(super) fn signed(name: &str) -> Self {
        Self::with(name, &KeyPair::generate().unwrap())
    }

    fn with(name: &str, key: &KeyPair) -> Self {
        let cert = CertificateParams::new([name.to_owned()])
            .unwrap()
            .self_signed(key)
            .unwrap();
        Self {
            root: cert.der().clone(),
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }

    pub(super) fn write(&self, dir: &Path) {
        replace(dir.join("fullchain.pem"), &self.cert);
        replace(dir.join("privkey.pem"), &self.key);
    }
}

/// Replaces a file by a new one. Overwriting it could leave the stamp unchanged within one tick of the file system's
/// clock. That cannot happen in production, where checks are two seconds apart.
fn replace(path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
    let path = path.as_ref();
    let fresh = path.with_extension("new");
    fs::write(&fresh, text).unwrap();
    fs::rename(fresh, path).unwrap();
}

struct Folder {
    dir: tempfile::TempDir,
    watcher: FileWatcher,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let watcher = FileWatcher::new(
            dir.path().join("fullchain.pem"),
            dir.path().join("privkey.pem"),
        );
        Self { dir, watcher }
    }

    fn cert(&self) -> PathBuf {
        self.dir.path().join("fullchain.pem")
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("privkey.pem")
    }

    /// The fingerprint of a newly loaded certificate, or the error text.
    fn check(&mut self) -> Result<Option<Fingerprint>, String> {
        match self.watcher.check() {
            FileCheck::Unchanged | FileCheck::Absent => Ok(None),
            FileCheck::Loaded(key) => Ok(Some(Fingerprint::of(&key.cert[0]))),
            FileCheck::Invalid(error) => Err(error.to_string()),
        }
    }

    fn assert_loads(&mut self, pair: &Pair) {
        assert_eq!(self.check(), Ok(Some(Fingerprint::of(&pair.root))));
    }
}

#[test]
fn files_created_later_load_once() {
    let mut folder = Folder::new();
    assert!(matches!(folder.watcher.check(), FileCheck::Absent));
    assert_eq!(folder.check(), Ok(None));
    let pair = Pair::signed("a.lan");
    pair.write(folder.dir.path());
    folder.assert_loads(&pair);
    for _ in 0..3 {
        assert_eq!(folder.check(), Ok(None));
    }
}

#[test]
fn pair_replaced_file_by_file_loads_in_either_order() {
    for certificate_first in [true, false] {
        let mut folder = Folder::new();
        let (old, new) = (Pair::signed("old.lan"), Pair::signed("new.lan"));
        old.write(folder.dir.path());
        folder.assert_loads(&old);
        let halves = [(folder.cert(), &new.cert), (folder.key(), &new.key)];
        let (first, second) = if certificate_first { (0, 1) } else { (1, 0) };
        replace(&halves[first].0, halves[first].1);
        assert!(folder.check().unwrap_err().contains("do not match"));
        assert_eq!(folder.check(), Ok(None), "reported once");
        replace(&halves[second].0, halves[second].1);
        folder.assert_loads(&new);
    }
}

#[test]
fn change_with_unchanged_stamps_loads_at_next_check() {
    let mut folder = Folder::new();
    let key = KeyPair::generate().unwrap();
    let (old, new) = (Pair::with("aa.lan", &key), Pair::with("bb.lan", &key));
    old.write(folder.dir.path());
    folder.assert_loads(&old);
    fs::write(folder.cert(), &new.cert).unwrap();
    folder.watcher.accept_current_stamps();
    folder.assert_loads(&new);
}

#[test]
fn symlink_swap_by_certbot_loads_new_pair() {
    let mut folder = Folder::new();
    let (old, new) = (Pair::signed("old.lan"), Pair::signed("new.lan"));
    for (version, pair) in [("1", &old), ("2", &new)] {
        let archive = folder.dir.path().join(version);
        fs::create_dir(&archive).unwrap();
        pair.write(&archive);
    }
    let point_at = |folder: &Folder, version: &str| {
        for link in [folder.cert(), folder.key()] {
            let target = folder
                .dir
                .path()
                .join(version)
                .join(link.file_name().unwrap());
            let _ = fs::remove_file(&link);
            symlink(target, link).unwrap();
        }
    };
    point_at(&folder, "1");
    folder.assert_loads(&old);
    point_at(&folder, "2");
    folder.assert_loads(&new);
}

#[test]
fn invalid_files_report_their_error_once() {
    let pair = Pair::signed("a.lan");
    let long = "x".repeat(300 * 1024);
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (cert, key, expected) in [
        ("", pair.key.as_str(), "contains no certificate"),
        ("garbage", &pair.key, "contains no certificate"),
        (junk, &pair.key, "do not match"),
        (&pair.cert[..200], &pair.key, "contains no certificate"),
        (&pair.cert, "", "no unencrypted private key"),
        (&pair.cert, encrypted, "no unencrypted private key"),
        (&pair.cert, &Pair::signed("b.lan").key, "do not match"),
        (&long, &pair.key, "longer than"),
    ] {
        let mut folder = Folder::new();
        replace(folder.cert(), cert);
        replace(folder.key(), key);
        let error = folder.check().unwrap_err();
        assert!(error.contains(expected), "{error}");
        assert_eq!(folder.check(), Ok(None));
    }
    let mut folder = Folder::new();
    replace(folder.cert(), &pair.cert);
    assert!(
        folder
            .check()
            .unwrap_err()
            .contains("privkey.pem is missing")
    );
    fs::create_dir(folder.key()).unwrap();
    assert!(folder.check().unwrap_err().contains("cannot be read"));
}

#[test]
fn chain_with_p384_key_loads() {
    let mut folder = Folder::new();
    let leaf = Pair::with(
        "a.lan",
        &KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap(),
    );
    leaf.write(folder.dir.path());
    replace(
        folder.cert(),
        format!("{}\n{}", leaf.cert, Pair::signed("ca.lan").cert),
    );
    folder.assert_loads(&leaf);
}

/// Skipped without openssl, which is needed to generate RSA keys and the older key formats.
#[test]
fn keys_in_pkcs8_pkcs1_and_sec1_load() {
    let mut folder = Folder::new();
    let (cert, key) = (folder.cert(), folder.key());
    let openssl = |arguments: &[&str]| {
        let paths = |word: &&str| match *word {
            "CERT" => cert.clone().into_os_string(),
            "KEY" => key.clone().into_os_string(),
            word => word.into(),
        };
        Command::new("openssl")
            .args(arguments.iter().map(paths))
            .output()
            .is_ok_and(|output| output.status.success())
    };
    if !openssl(&["version"]) {
        return;
    }
    for (make, header) in [
        (
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out KEY",
            "-----BEGIN PRIVATE KEY",
        ),
        (
            "rsa -traditional -in KEY -out KEY",
            "-----BEGIN RSA PRIVATE KEY",
        ),
        (
            "ecparam -name prime256v1 -genkey -out KEY",
            "-----BEGIN EC PARAMETERS",
        ),
    ] {
        assert!(openssl(&make.split(' ').collect::<Vec<_>>()), "{make}");
        assert!(fs::read_to_string(&key).unwrap().starts_with(header));
        let sign = "req -x509 -key KEY -out CERT -subj /CN=a.lan -addext subjectAltName=DNS:a.lan";
        assert!(openssl(&sign.split(' ').collect::<Vec<_>>()));
        assert!(matches!(folder.check(), Ok(Some(_))), "{header}");
        let loaded = CertificateDer::from_pem_file(&cert).unwrap();
        assert!(
            parse::certificate(&loaded)
                .unwrap()
                .names
                .contains(&AltName::parse("a.lan").unwrap())
        );
    }
}

#[tokio::test]
async fn invalid_or_removed_pair_keeps_old_certificate() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let pair = Pair::signed("a.lan");
    pair.write(dir.path());
    let (certificates, mut updater) = Certificates::open(setup(dir.path(), &memory))
        .await
        .unwrap();
    let served = certificates.served();
    assert_eq!(
        (served.source, served.fingerprint),
        (CertificateSource::Files, Fingerprint::of(&pair.root))
    );
    assert_eq!(
        certificates.authority(),
        None,
        "no local authority is needed"
    );
    assert_eq!(memory.stored(), None);

    replace(dir.path().join("fullchain.pem"), "half a fi");
    updater.check().await;
    assert_eq!(certificates.served(), served);
    fs::remove_file(dir.path().join("fullchain.pem")).unwrap();
    fs::remove_file(dir.path().join("privkey.pem")).unwrap();
    updater.check().await;
    assert_eq!(certificates.served(), served);

    let next = Pair::signed("a.lan");
    next.write(dir.path());
    updater.check().await;
    assert_eq!(
        certificates.served().fingerprint,
        Fingerprint::of(&next.root)
    );
}

#[tokio::test]
async fn pair_invalid_at_start_falls_back_to_local_authority() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    replace(dir.path().join("fullchain.pem"), "garbage");
    let (certificates, mut updater) = Certificates::open(setup(dir.path(), &memory))
        .await
        .unwrap();
    assert_eq!(certificates.served().source, CertificateSource::Local);
    let pair = Pair::signed("a.lan");
    pair.write(dir.path());
    updater.check().await;
    assert_eq!(
        certificates.served().fingerprint,
        Fingerprint::of(&pair.root)
    );
    assert!(
        certificates.authority().is_some(),
        "clients may still need to install it"
    );
}
