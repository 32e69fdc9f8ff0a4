//! The limits of the registry, with time passed in.

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_700_000_000_000).plus_seconds(second)
}

fn address(last: u8) -> Option<IpAddr> {
    Some(IpAddr::from([10, 0, 0, last]))
}

fn create_code(registry: &PairingRegistry, now: Timestamp) -> PairingCode {
    let admin = Actor {
        principal: "admin:a".into(),
        address: "local".into(),
    };
    registry
        .create_code(ClientSettings::default(), admin, now, 300)
        .unwrap()
}

#[test]
fn open_requests_are_limited_per_address_and_in_all() {
    let registry = PairingRegistry::default();
    for _ in 0..3 {
        registry
            .open_request(DeviceInfo::default(), address(1), at(0), 300)
            .unwrap();
    }
    assert!(
        registry
            .open_request(DeviceInfo::default(), address(1), at(1), 300)
            .is_err()
    );
    for n in 0..17 {
        registry
            .open_request(DeviceInfo::default(), address(10 + n), at(0), 300)
            .unwrap();
    }
    assert!(
        registry
            .open_request(DeviceInfo::default(), address(99), at(1), 300)
            .is_err()
    );
    registry
        .open_request(DeviceInfo::default(), address(99), at(300), 300)
        .unwrap();
}

#[test]
fn reserve_finds_request_by_id_or_typed_code_once() {
    let registry = PairingRegistry::default();
    let request = registry
        .open_request(DeviceInfo::default(), None, at(0), 300)
        .unwrap();
    let typed = request.code.to_lowercase().replace('-', " ");
    assert_eq!(registry.reserve(&typed, at(1)).unwrap().id, request.id);
    assert!(
        registry.reserve(request.id.as_str(), at(1)).is_none(),
        "reserved once"
    );
    assert!(
        registry.has_request(&request.id, at(1)),
        "until it is decided"
    );
    registry.remove_request(&request.id);
    assert!(!registry.has_request(&request.id, at(1)));
}

#[test]
fn redeemed_code_is_rejected_next_time() {
    let registry = PairingRegistry::default();
    let code = create_code(&registry, at(0));
    assert!(matches!(
        registry.redeem(&code.code, address(1), at(1)),
        RedeemResult::Accepted(_)
    ));
    assert!(matches!(
        registry.redeem(&code.code, address(1), at(2)),
        RedeemResult::Rejected(_)
    ));
}

#[test]
fn expired_code_is_rejected() {
    let registry = PairingRegistry::default();
    let code = create_code(&registry, at(0));
    assert!(matches!(
        registry.redeem(&code.code, address(1), at(300)),
        RedeemResult::Rejected(_)
    ));
}

#[test]
fn five_wrong_codes_rate_limit_address_for_five_minutes() {
    let registry = PairingRegistry::default();
    let code = create_code(&registry, at(0));
    for second in 0..5 {
        assert!(matches!(
            registry.redeem("x", address(1), at(second)),
            RedeemResult::Rejected(_)
        ));
    }
    assert!(matches!(
        registry.redeem(&code.code, address(1), at(5)),
        RedeemResult::RateLimited(_)
    ));
    assert!(matches!(
        registry.redeem(&code.code, address(2), at(5)),
        RedeemResult::Accepted(_)
    ));
    assert!(matches!(
        registry.redeem("x", address(1), at(300)),
        RedeemResult::Rejected(_)
    ));
}

#[test]
fn twenty_wrong_codes_invalidate_every_open_code() {
    let registry = PairingRegistry::default();
    let (first, second) = (create_code(&registry, at(0)), create_code(&registry, at(0)));
    for n in 0..19 {
        let RedeemResult::Rejected(invalidated) = registry.redeem("x", address(n), at(1)) else {
            panic!()
        };
        assert!(invalidated.is_empty());
    }
    let RedeemResult::Rejected(mut invalidated) = registry.redeem("x", address(50), at(1)) else {
        panic!()
    };
    invalidated.sort_by(|a, b| a.id.cmp(&b.id));
    let mut both = [first.id, second.id].map(|id| EndedPairing {
        id,
        reason: "too_many_attempts",
    });
    both.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(invalidated, both);
    assert!(matches!(
        registry.redeem(&first.code, address(60), at(2)),
        RedeemResult::Rejected(_)
    ));
}

#[test]
fn wrong_codes_before_oldest_open_code_do_not_count() {
    let registry = PairingRegistry::default();
    create_code(&registry, at(0));
    for n in 0..19 {
        registry.redeem("x", address(n), at(1));
    }
    assert_eq!(registry.take_ended(at(300)).len(), 1);
    let later = create_code(&registry, at(301));
    let RedeemResult::Rejected(invalidated) = registry.redeem("x", address(50), at(302)) else {
        panic!()
    };
    assert!(invalidated.is_empty());
    assert!(matches!(
        registry.redeem(&later.code, address(51), at(303)),
        RedeemResult::Accepted(_)
    ));
}

#[test]
fn denied_request_expires_without_event() {
    let registry = PairingRegistry::default();
    let mut request = registry
        .open_request(DeviceInfo::default(), None, at(0), 300)
        .unwrap();
    request.denied = Some("no".into());
    registry.release(request.clone());
    assert!(registry.has_request(&request.id, at(299)));
    assert!(registry.open_requests(at(1)).is_empty());
    assert!(registry.take_ended(at(300)).is_empty());
    assert!(!registry.has_request(&request.id, at(300)));
}
