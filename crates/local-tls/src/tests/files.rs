//! The user's own certificate files: taken up, changed, half-replaced, broken, removed.

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
        put(dir.join("fullchain.pem"), &self.cert);
        put(dir.join("privkey.pem"), &self.key);
    }
}

/// Puts a new file in the place of the old one. Written into the old one, two versions within a tick of
/// the file system's clock could look alike, which the two seconds between real looks rule out.
fn put(path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
    let path = path.as_ref();
    let fresh = path.with_extension("new");
    fs::write(&fresh, text).unwrap();
    fs::rename(fresh, path).unwrap();
}

struct Folder {
    dir: tempfile::TempDir,
    watch: FileWatch,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let watch = FileWatch::new(
            dir.path().join("fullchain.pem"),
            dir.path().join("privkey.pem"),
        );
        Self { dir, watch }
    }

    fn cert(&self) -> PathBuf {
        self.dir.path().join("fullchain.pem")
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("privkey.pem")
    }

    /// What the next look finds: the loaded certificate, or the error in words.
    fn look(&mut self) -> Result<Option<Fingerprint>, String> {
        match self.watch.look() {
            Look::Same | Look::Absent => Ok(None),
            Look::Loaded(key) => Ok(Some(Fingerprint::of(&key.cert[0]))),
            Look::Broken(error) => Err(error.to_string()),
        }
    }

    fn assert_loads(&mut self, pair: &Pair) {
        assert_eq!(self.look(), Ok(Some(Fingerprint::of(&pair.root))));
    }
}

#[test]
fn files_that_come_later_are_taken_up_once() {
    let mut folder = Folder::new();
    assert!(matches!(folder.watch.look(), Look::Absent));
    assert_eq!(folder.look(), Ok(None));
    let pair = Pair::signed("a.lan");
    pair.write(folder.dir.path());
    folder.assert_loads(&pair);
    for _ in 0..3 {
        assert_eq!(folder.look(), Ok(None));
    }
}

#[test]
fn a_pair_replaced_in_two_steps_ends_right_in_either_order() {
    for certificate_first in [true, false] {
        let mut folder = Folder::new();
        let (old, new) = (Pair::signed("old.lan"), Pair::signed("new.lan"));
        old.write(folder.dir.path());
        folder.assert_loads(&old);
        let halves = [(folder.cert(), &new.cert), (folder.key(), &new.key)];
        let (first, second) = if certificate_first { (0, 1) } else { (1, 0) };
        put(&halves[first].0, halves[first].1);
        assert!(folder.look().unwrap_err().contains("do not fit together"));
        assert_eq!(folder.look(), Ok(None), "told once");
        put(&halves[second].0, halves[second].1);
        folder.assert_loads(&new);
    }
}

#[test]
fn a_change_that_leaves_every_stamp_alone_is_found_at_the_next_look() {
    let mut folder = Folder::new();
    let key = KeyPair::generate().unwrap();
    let (old, new) = (Pair::with("aa.lan", &key), Pair::with("bb.lan", &key));
    old.write(folder.dir.path());
    folder.assert_loads(&old);
    fs::write(folder.cert(), &new.cert).unwrap();
    folder.watch.overlook_stamps();
    folder.assert_loads(&new);
}

#[test]
fn certbots_symlink_swap_is_seen() {
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
fn broken_files_say_what_is_wrong_once() {
    let pair = Pair::signed("a.lan");
    let long = "x".repeat(300 * 1024);
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (cert, key, said) in [
        ("", pair.key.as_str(), "holds no certificate"),
        ("garbage", &pair.key, "holds no certificate"),
        (junk, &pair.key, "do not fit"),
        (&pair.cert[..200], &pair.key, "holds no certificate"),
        (&pair.cert, "", "no unencrypted private key"),
        (&pair.cert, encrypted, "no unencrypted private key"),
        (
            &pair.cert,
            &Pair::signed("b.lan").key,
            "do not fit together",
        ),
        (&long, &pair.key, "longer than"),
    ] {
        let mut folder = Folder::new();
        put(folder.cert(), cert);
        put(folder.key(), key);
        let error = folder.look().unwrap_err();
        assert!(error.contains(said), "{error}");
        assert_eq!(folder.look(), Ok(None));
    }
    let mut folder = Folder::new();
    put(folder.cert(), &pair.cert);
    assert!(
        folder
            .look()
            .unwrap_err()
            .contains("privkey.pem is missing")
    );
    fs::create_dir(folder.key()).unwrap();
    assert!(folder.look().unwrap_err().contains("cannot be read"));
}

#[test]
fn a_chain_and_other_kinds_of_key_load() {
    let mut folder = Folder::new();
    let leaf = Pair::with(
        "a.lan",
        &KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap(),
    );
    leaf.write(folder.dir.path());
    put(
        folder.cert(),
        format!("{}\n{}", leaf.cert, Pair::signed("ca.lan").cert),
    );
    folder.assert_loads(&leaf);
}

/// Skipped where the machine has no openssl: nothing else here makes RSA keys and the older key forms.
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
    for (make, begins) in [
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
        assert!(fs::read_to_string(&key).unwrap().starts_with(begins));
        let sign = "req -x509 -key KEY -out CERT -subj /CN=a.lan -addext subjectAltName=DNS:a.lan";
        assert!(openssl(&sign.split(' ').collect::<Vec<_>>()));
        assert!(matches!(folder.look(), Ok(Some(_))), "{begins}");
        let loaded = CertificateDer::from_pem_file(&cert).unwrap();
        assert!(
            read::certificate(&loaded)
                .unwrap()
                .names
                .contains(&AltName::parse("a.lan").unwrap())
        );
    }
}

#[tokio::test]
async fn a_broken_or_removed_pair_keeps_the_old_certificate() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let pair = Pair::signed("a.lan");
    pair.write(dir.path());
    let (certificates, mut upkeep) = Certificates::open(setup(dir.path(), &memory))
        .await
        .unwrap();
    let serving = certificates.serving();
    assert_eq!(
        (serving.origin, serving.fingerprint),
        (Origin::Files, Fingerprint::of(&pair.root))
    );
    assert_eq!(
        certificates.authority(),
        None,
        "nobody needs a local authority"
    );
    assert_eq!(memory.kept(), None);

    put(dir.path().join("fullchain.pem"), "half a fi");
    upkeep.look().await;
    assert_eq!(certificates.serving(), serving);
    fs::remove_file(dir.path().join("fullchain.pem")).unwrap();
    fs::remove_file(dir.path().join("privkey.pem")).unwrap();
    upkeep.look().await;
    assert_eq!(certificates.serving(), serving);

    let next = Pair::signed("a.lan");
    next.write(dir.path());
    upkeep.look().await;
    assert_eq!(
        certificates.serving().fingerprint,
        Fingerprint::of(&next.root)
    );
}

#[tokio::test]
async fn a_pair_broken_at_the_start_lets_the_local_authority_step_in() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    put(dir.path().join("fullchain.pem"), "garbage");
    let (certificates, mut upkeep) = Certificates::open(setup(dir.path(), &memory))
        .await
        .unwrap();
    assert_eq!(certificates.serving().origin, Origin::Local);
    let pair = Pair::signed("a.lan");
    pair.write(dir.path());
    upkeep.look().await;
    assert_eq!(
        certificates.serving().fingerprint,
        Fingerprint::of(&pair.root)
    );
    assert!(
        certificates.authority().is_some(),
        "tablets may still want to install it"
    );
}
