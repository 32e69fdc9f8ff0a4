//! When the local certificate is generated, stored and renewed.

use super::*;
use futures_util::future::BoxFuture;

/// A host source that returns what the test has set.
#[derive(Debug, Default)]
struct RemoteHost(Mutex<HostReport>);

impl HostSource for RemoteHost {
    fn query(&self, _: std::time::Duration) -> BoxFuture<'_, HostReport> {
        let report = self.0.lock().unwrap().clone();
        std::future::ready(report).boxed()
    }

    fn is_remote(&self) -> bool {
        true
    }
}

impl RemoteHost {
    fn set(&self, host: &str, address: &str) {
        *self.0.lock().unwrap() = HostReport {
            facts: HostFacts {
                host: Some(HostName::parse(host).unwrap()),
                access_names: vec![AltName::parse("ha.lan").unwrap()],
                addresses: vec![address.parse().unwrap()],
            },
            missing: None,
        };
    }

    fn set_unavailable(&self) {
        *self.0.lock().unwrap() = HostReport {
            missing: Some("unavailable".to_owned()),
            ..HostReport::default()
        };
    }
}

async fn open(setup: Setup) -> (Certificates, CertificateUpdater) {
    Certificates::open(setup).await.unwrap()
}

fn with_clock(clock: &TestClock, setup: Setup) -> Setup {
    Setup {
        clock: clock.now(),
        ..setup
    }
}

fn with_host(host: &Arc<RemoteHost>, setup: Setup) -> Setup {
    Setup {
        host: host.clone(),
        ..setup
    }
}

fn stored_names(memory: &Arc<Memory>) -> CertificateNames {
    let leaf = memory.stored().unwrap().leaf;
    Leaf::from_der(CertificateDer::from(leaf.cert), &leaf.key)
        .unwrap()
        .names()
        .clone()
}

fn stored_leaf_has(memory: &Arc<Memory>, name: &str) -> bool {
    stored_names(memory).contains(&AltName::parse(name).unwrap())
}

#[tokio::test]
async fn restart_serves_stored_certificate() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let (first, _) = open(setup(dir.path(), &memory)).await;
    let (second, _) = open(setup(dir.path(), &memory)).await;
    assert_eq!(first.served(), second.served());
    assert_eq!(first.authority(), second.authority());
    assert_eq!(*memory.saves.lock().unwrap(), 1);
    for name in ["homeassistant.local", "localhost", "127.0.0.1", "::1"] {
        assert!(stored_leaf_has(&memory, name), "{name}");
    }
}

#[tokio::test]
async fn leaf_is_renewed_30_days_before_expiry() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let clock = TestClock::at(TODAY);
    let (certificates, mut updater) = open(with_clock(&clock, setup(dir.path(), &memory))).await;
    let (served, authority) = (certificates.served(), certificates.authority());
    clock.advance(Duration::days(365));
    updater.check().await;
    assert_eq!(certificates.served(), served, "31 days are left");
    clock.advance(Duration::days(2));
    updater.check().await;
    assert_ne!(certificates.served().fingerprint, served.fingerprint);
    assert!(certificates.served().not_after > served.not_after);
    assert_eq!(certificates.authority(), authority);
}

#[tokio::test]
async fn expiring_authority_is_replaced() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let clock = TestClock::at(TODAY);
    let (certificates, mut updater) = open(with_clock(&clock, setup(dir.path(), &memory))).await;
    let authority = certificates.authority();
    clock.advance(Duration::days(3652 - 100));
    updater.check().await;
    assert_eq!(certificates.authority(), authority);
    let end = certificates.served().not_after.unwrap();
    assert_eq!(
        end,
        TODAY + Duration::days(3652),
        "no leaf outlives its authority"
    );
    clock.advance(Duration::days(71));
    updater.check().await;
    assert_ne!(certificates.authority(), authority);
    assert!(certificates.served().not_after.unwrap() > end);
}

#[tokio::test]
async fn host_names_from_remote_source_are_followed() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let host = Arc::new(RemoteHost::default());
    host.set("pi4", "192.168.77.5");
    let (_, mut updater) = open(with_host(&host, setup(dir.path(), &memory))).await;
    assert_eq!(
        stored_names(&memory),
        names(&[
            "homeassistant.local",
            "localhost",
            "pi4",
            "pi4.local",
            "ha.lan",
            "192.168.77.5",
            "127.0.0.1",
            "::1"
        ])
    );

    host.set("pi4", "192.168.77.6");
    updater.check().await;
    assert!(stored_leaf_has(&memory, "192.168.77.6") && !stored_leaf_has(&memory, "192.168.77.5"));
    assert_eq!(*memory.saves.lock().unwrap(), 2);
}

#[tokio::test]
async fn unavailable_host_source_keeps_names() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let host = Arc::new(RemoteHost::default());
    host.set("pi4", "192.168.77.5");
    let start = || {
        open(Setup {
            tls_names: vec![AltName::parse("wall.lan").unwrap()],
            ..with_host(&host, setup(dir.path(), &memory))
        })
    };
    start().await;
    host.set_unavailable();
    let (certificates, mut updater) = start().await;
    updater.check().await;
    assert!(
        stored_leaf_has(&memory, "192.168.77.5")
            && stored_leaf_has(&memory, "pi4")
            && stored_leaf_has(&memory, "wall.lan")
    );
    assert_eq!(*memory.saves.lock().unwrap(), 1);
    assert_eq!(certificates.served().source, CertificateSource::Local);
}

#[tokio::test]
async fn first_start_without_host_names_adds_them_later() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let host = Arc::new(RemoteHost::default());
    host.set_unavailable();
    let (_, mut updater) = open(with_host(&host, setup(dir.path(), &memory))).await;
    assert_eq!(
        stored_names(&memory),
        names(&["homeassistant.local", "localhost", "127.0.0.1", "::1"])
    );
    host.set("pi4", "192.168.77.5");
    updater.check().await;
    assert!(stored_leaf_has(&memory, "192.168.77.5") && stored_leaf_has(&memory, "pi4.local"));
    assert!(
        !stored_leaf_has(&memory, "pi4"),
        "the authority was generated before this name was known"
    );
}

#[tokio::test]
async fn new_host_name_is_limited_by_stored_authority() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let host = Arc::new(RemoteHost::default());
    host.set("pi4", "192.168.77.5");
    let (certificates, mut updater) = open(with_host(&host, setup(dir.path(), &memory))).await;
    let authority = certificates.authority();
    host.set("attic", "203.0.113.9");
    updater.check().await;
    assert!(stored_leaf_has(&memory, "attic.local"));
    for outside in ["attic", "pi4", "pi4.local", "203.0.113.9"] {
        assert!(!stored_leaf_has(&memory, outside), "{outside}");
    }
    assert_eq!(certificates.authority(), authority);
}

#[tokio::test]
async fn public_tls_name_fails_without_certificate_files() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let with = |tls_names: &[&str]| Setup {
        tls_names: tls_names
            .iter()
            .map(|name| AltName::parse(name).unwrap())
            .collect(),
        ..setup(dir.path(), &memory)
    };
    let error = Certificates::open(with(&["wall.lan", "wall.example.org", "8.8.8.8"]))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("tls_names: wall.example.org, 8.8.8.8: the local authority may only certify"),
        "{text}"
    );
    assert!(text.contains("provide a certificate"), "{text}");
    assert_eq!(memory.stored(), None, "a failed start stores nothing");
    Certificates::open(with(&["wall.lan", "10.9.8.7"]))
        .await
        .unwrap();
    assert!(stored_leaf_has(&memory, "wall.lan") && stored_leaf_has(&memory, "10.9.8.7"));

    files::Pair::signed("wall.example.org").write(dir.path());
    Certificates::open(with(&["wall.example.org"]))
        .await
        .unwrap();
}

#[tokio::test]
async fn unstored_certificate_is_not_served() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    *memory.broken.lock().unwrap() = true;
    let error = Certificates::open(setup(dir.path(), &memory))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("the disk is full"));

    *memory.broken.lock().unwrap() = false;
    let clock = TestClock::at(TODAY);
    let (certificates, mut updater) = open(with_clock(&clock, setup(dir.path(), &memory))).await;
    let served = certificates.served();
    *memory.broken.lock().unwrap() = true;
    clock.advance(Duration::days(380));
    updater.check().await;
    assert_eq!(certificates.served(), served);
}

#[tokio::test]
async fn invalid_stored_certificates_are_regenerated() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let (first, _) = open(setup(dir.path(), &memory)).await;
    let good = memory.stored().unwrap();

    let other = Authority::generate(&host("other"), TODAY).unwrap();
    let foreign = other.issue(&names(&["localhost"]), TODAY).unwrap();
    let foreign = StoredCertificate {
        cert: foreign.cert_der().to_vec(),
        key: foreign.key_der().to_vec(),
    };
    for leaf in [
        foreign.clone(),
        StoredCertificate {
            cert: good.leaf.cert.clone(),
            key: foreign.key,
        },
        StoredCertificate {
            cert: Vec::new(),
            key: Vec::new(),
        },
    ] {
        let stored = Some(StoredCertificates {
            leaf,
            ..good.clone()
        });
        let (again, _) = open(Setup {
            stored,
            ..setup(dir.path(), &memory)
        })
        .await;
        assert_eq!(again.authority(), first.authority());
        assert_ne!(again.served().fingerprint, first.served().fingerprint);
    }
    let authority = StoredCertificate {
        cert: good.authority.cert.clone(),
        key: good.leaf.key.clone(),
    };
    let stored = Some(StoredCertificates { authority, ..good });
    let (again, _) = open(Setup {
        stored,
        ..setup(dir.path(), &memory)
    })
    .await;
    assert_ne!(again.authority(), first.authority());
}

#[tokio::test]
async fn clock_at_1970_uses_earliest_plausible_time() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let clock = TestClock::at(OffsetDateTime::UNIX_EPOCH);
    let (certificates, mut updater) = open(with_clock(&clock, setup(dir.path(), &memory))).await;
    assert!(certificates.served().not_after.unwrap() > datetime!(2027-01-01 0:00 UTC));
    updater.check().await;
    assert_eq!(*memory.saves.lock().unwrap(), 1);
    clock.advance(TODAY + Duration::days(400) - OffsetDateTime::UNIX_EPOCH);
    updater.check().await;
    assert_eq!(
        *memory.saves.lock().unwrap(),
        2,
        "renewed once the clock is set"
    );
}

#[tokio::test]
async fn run_ends_at_shutdown() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let (_, updater) = open(setup(dir.path(), &memory)).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(updater.run(async { drop(stopped.await) }));
    stop.send(()).unwrap();
    running.await.unwrap();
}
