//! When the local certificate is made, kept, renewed and left alone.

use super::*;
use futures_util::future::BoxFuture;

/// A source that answers what the test last told it.
#[derive(Debug, Default)]
struct RemoteHost(Mutex<Survey>);

impl HostSource for RemoteHost {
    fn survey(&self, _: std::time::Duration) -> BoxFuture<'_, Survey> {
        let survey = self.0.lock().unwrap().clone();
        std::future::ready(survey).boxed()
    }

    fn is_remote(&self) -> bool {
        true
    }
}

impl RemoteHost {
    fn knows(&self, host: &str, address: &str) {
        *self.0.lock().unwrap() = Survey {
            facts: HostFacts {
                host: Some(HostName::parse(host).unwrap()),
                reached_at: vec![AltName::parse("ha.lan").unwrap()],
                addresses: vec![address.parse().unwrap()],
            },
            missing: None,
        };
    }

    fn is_away(&self) {
        *self.0.lock().unwrap() = Survey {
            missing: Some("away".to_owned()),
            ..Survey::default()
        };
    }
}

async fn open(setup: Setup) -> (Certificates, Upkeep) {
    Certificates::open(setup).await.unwrap()
}

fn at(clock: &Clock, setup: Setup) -> Setup {
    Setup {
        now: clock.now(),
        ..setup
    }
}

fn under(host: &Arc<RemoteHost>, setup: Setup) -> Setup {
    Setup {
        host: host.clone(),
        ..setup
    }
}

fn kept_names(memory: &Arc<Memory>) -> CertificateNames {
    let leaf = memory.kept().unwrap().leaf;
    Leaf::from_der(CertificateDer::from(leaf.cert), &leaf.key)
        .unwrap()
        .names()
        .clone()
}

fn has(memory: &Arc<Memory>, name: &str) -> bool {
    kept_names(memory).contains(&AltName::parse(name).unwrap())
}

#[tokio::test]
async fn a_restart_serves_what_was_kept() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let (first, _) = open(setup(dir.path(), &memory)).await;
    let (second, _) = open(setup(dir.path(), &memory)).await;
    assert_eq!(first.serving(), second.serving());
    assert_eq!(first.authority(), second.authority());
    assert_eq!(*memory.saves.lock().unwrap(), 1);
    for name in ["homeassistant.local", "localhost", "127.0.0.1", "::1"] {
        assert!(has(&memory, name), "{name}");
    }
}

#[tokio::test]
async fn the_leaf_is_renewed_thirty_days_before_its_end_and_the_authority_stays() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let clock = Clock::at(TODAY);
    let (certificates, mut upkeep) = open(at(&clock, setup(dir.path(), &memory))).await;
    let (serving, authority) = (certificates.serving(), certificates.authority());
    clock.advance(Duration::days(365));
    upkeep.look().await;
    assert_eq!(certificates.serving(), serving, "31 days are left");
    clock.advance(Duration::days(2));
    upkeep.look().await;
    assert_ne!(certificates.serving().fingerprint, serving.fingerprint);
    assert!(certificates.serving().not_after > serving.not_after);
    assert_eq!(certificates.authority(), authority);
}

#[tokio::test]
async fn an_authority_at_its_end_is_replaced() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let clock = Clock::at(TODAY);
    let (certificates, mut upkeep) = open(at(&clock, setup(dir.path(), &memory))).await;
    let authority = certificates.authority();
    clock.advance(Duration::days(3652 - 100));
    upkeep.look().await;
    assert_eq!(certificates.authority(), authority);
    let end = certificates.serving().not_after.unwrap();
    assert_eq!(
        end,
        TODAY + Duration::days(3652),
        "no leaf outlives its authority"
    );
    clock.advance(Duration::days(71));
    upkeep.look().await;
    assert_ne!(certificates.authority(), authority);
    assert!(certificates.serving().not_after.unwrap() > end);
}

#[tokio::test]
async fn in_the_add_on_the_host_is_supervisors_and_changes_are_followed() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let host = Arc::new(RemoteHost::default());
    host.knows("pi4", "192.168.77.5");
    let (_, mut upkeep) = open(under(&host, setup(dir.path(), &memory))).await;
    assert_eq!(
        kept_names(&memory),
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

    host.knows("pi4", "192.168.77.6");
    upkeep.look().await;
    assert!(has(&memory, "192.168.77.6") && !has(&memory, "192.168.77.5"));
    assert_eq!(*memory.saves.lock().unwrap(), 2);
}

#[tokio::test]
async fn while_supervisor_is_away_no_name_is_given_up() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let host = Arc::new(RemoteHost::default());
    host.knows("pi4", "192.168.77.5");
    let start = || {
        open(Setup {
            tls_names: vec![AltName::parse("wall.lan").unwrap()],
            ..under(&host, setup(dir.path(), &memory))
        })
    };
    start().await;
    host.is_away();
    let (certificates, mut upkeep) = start().await;
    upkeep.look().await;
    assert!(has(&memory, "192.168.77.5") && has(&memory, "pi4") && has(&memory, "wall.lan"));
    assert_eq!(*memory.saves.lock().unwrap(), 1);
    assert_eq!(certificates.serving().origin, Origin::Local);
}

#[tokio::test]
async fn a_first_start_without_supervisor_goes_on_and_catches_up() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let host = Arc::new(RemoteHost::default());
    host.is_away();
    let (_, mut upkeep) = open(under(&host, setup(dir.path(), &memory))).await;
    assert_eq!(
        kept_names(&memory),
        names(&["homeassistant.local", "localhost", "127.0.0.1", "::1"])
    );
    host.knows("pi4", "192.168.77.5");
    upkeep.look().await;
    assert!(has(&memory, "192.168.77.5") && has(&memory, "pi4.local"));
    assert!(
        !has(&memory, "pi4"),
        "the authority was made before anyone knew this name"
    );
}

#[tokio::test]
async fn a_new_host_name_enters_only_as_far_as_the_kept_authority_permits() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let host = Arc::new(RemoteHost::default());
    host.knows("pi4", "192.168.77.5");
    let (certificates, mut upkeep) = open(under(&host, setup(dir.path(), &memory))).await;
    let authority = certificates.authority();
    host.knows("attic", "203.0.113.9");
    upkeep.look().await;
    assert!(has(&memory, "attic.local"));
    for outside in ["attic", "pi4", "pi4.local", "203.0.113.9"] {
        assert!(!has(&memory, outside), "{outside}");
    }
    assert_eq!(certificates.authority(), authority);
}

#[tokio::test]
async fn a_tls_name_outside_the_house_ends_the_start_unless_a_certificate_is_brought() {
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
    let said = error.to_string();
    assert!(
        said.contains("tls_names: wall.example.org, 8.8.8.8 lies outside"),
        "{said}"
    );
    assert!(said.contains("bring a certificate"), "{said}");
    assert_eq!(
        memory.kept(),
        None,
        "a start that ends leaves nothing behind"
    );
    Certificates::open(with(&["wall.lan", "10.9.8.7"]))
        .await
        .unwrap();
    assert!(has(&memory, "wall.lan") && has(&memory, "10.9.8.7"));

    files::Pair::signed("wall.example.org").write(dir.path());
    Certificates::open(with(&["wall.example.org"]))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_served() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    *memory.broken.lock().unwrap() = true;
    let error = Certificates::open(setup(dir.path(), &memory))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("the disk is full"));

    *memory.broken.lock().unwrap() = false;
    let clock = Clock::at(TODAY);
    let (certificates, mut upkeep) = open(at(&clock, setup(dir.path(), &memory))).await;
    let serving = certificates.serving();
    *memory.broken.lock().unwrap() = true;
    clock.advance(Duration::days(380));
    upkeep.look().await;
    assert_eq!(certificates.serving(), serving);
}

#[tokio::test]
async fn kept_certificates_that_do_not_hold_are_made_anew() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let (first, _) = open(setup(dir.path(), &memory)).await;
    let good = memory.kept().unwrap();

    let stranger = Authority::generate(&host("other"), TODAY).unwrap();
    let foreign = stranger.issue(&names(&["localhost"]), TODAY).unwrap();
    let foreign = KeptCertificate {
        cert: foreign.cert_der().to_vec(),
        key: foreign.key_der().to_vec(),
    };
    for leaf in [
        foreign.clone(),
        KeptCertificate {
            cert: good.leaf.cert.clone(),
            key: foreign.key,
        },
        KeptCertificate {
            cert: Vec::new(),
            key: Vec::new(),
        },
    ] {
        let kept = Some(Kept {
            leaf,
            ..good.clone()
        });
        let (again, _) = open(Setup {
            kept,
            ..setup(dir.path(), &memory)
        })
        .await;
        assert_eq!(again.authority(), first.authority());
        assert_ne!(again.serving().fingerprint, first.serving().fingerprint);
    }
    let authority = KeptCertificate {
        cert: good.authority.cert.clone(),
        key: good.leaf.key.clone(),
    };
    let kept = Some(Kept { authority, ..good });
    let (again, _) = open(Setup {
        kept,
        ..setup(dir.path(), &memory)
    })
    .await;
    assert_ne!(again.authority(), first.authority());
}

#[tokio::test]
async fn a_clock_without_a_battery_makes_no_authority_of_1970() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let clock = Clock::at(OffsetDateTime::UNIX_EPOCH);
    let (certificates, mut upkeep) = open(at(&clock, setup(dir.path(), &memory))).await;
    assert!(certificates.serving().not_after.unwrap() > datetime!(2027-01-01 0:00 UTC));
    upkeep.look().await;
    assert_eq!(*memory.saves.lock().unwrap(), 1);
    clock.advance(TODAY + Duration::days(400) - OffsetDateTime::UNIX_EPOCH);
    upkeep.look().await;
    assert_eq!(
        *memory.saves.lock().unwrap(),
        2,
        "renewed as soon as the clock is right"
    );
}

#[tokio::test]
async fn run_ends_when_told() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
    let (_, upkeep) = open(setup(dir.path(), &memory)).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(upkeep.run(async { drop(stopped.await) }));
    stop.send(()).unwrap();
    running.await.unwrap();
}
