//! The limits of the registry, by the clock that is given to it.

use super::*;
use wallcast_core::audit::Actor;

fn at(second: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_700_000_000_000).plus_seconds(second)
}

fn address(last: u8) -> Option<IpAddr> {
    Some(IpAddr::from([10, 0, 0, last]))
}

fn offer(registry: &Pairings, now: Timestamp) -> Offer {
    let admin = Actor {
        who: "admin:a".into(),
        address: "local".into(),
    };
    registry.offer(Terms::default(), admin, now, 300).unwrap()
}

#[test]
fn three_wait_from_one_address_and_twenty_in_all() {
    let registry = Pairings::default();
    for _ in 0..3 {
        registry
            .wait(Tablet::default(), address(1), at(0), 300)
            .unwrap();
    }
    assert!(
        registry
            .wait(Tablet::default(), address(1), at(1), 300)
            .is_err()
    );
    for n in 0..17 {
        registry
            .wait(Tablet::default(), address(10 + n), at(0), 300)
            .unwrap();
    }
    assert!(
        registry
            .wait(Tablet::default(), address(99), at(1), 300)
            .is_err()
    );
    registry
        .wait(Tablet::default(), address(99), at(300), 300)
        .unwrap();
}

#[test]
fn a_request_is_found_by_id_or_by_code_as_people_type_it() {
    let registry = Pairings::default();
    let waiting = registry.wait(Tablet::default(), None, at(0), 300).unwrap();
    let typed = waiting.code.to_lowercase().replace('-', " ");
    assert_eq!(registry.take(&typed, at(1)).unwrap().id, waiting.id);
    assert!(
        registry.take(waiting.id.as_str(), at(1)).is_none(),
        "taken once"
    );
    assert!(
        registry.is_waiting(&waiting.id, at(1)),
        "until it is decided"
    );
    registry.forget(&waiting.id);
    assert!(!registry.is_waiting(&waiting.id, at(1)));
}

#[test]
fn a_code_works_once() {
    let registry = Pairings::default();
    let offer = offer(&registry, at(0));
    assert!(matches!(
        registry.redeem(&offer.code, address(1), at(1)),
        Guess::Right(_)
    ));
    assert!(matches!(
        registry.redeem(&offer.code, address(1), at(2)),
        Guess::Wrong(_)
    ));
}

#[test]
fn an_expired_code_is_as_wrong_as_any() {
    let registry = Pairings::default();
    let offer = offer(&registry, at(0));
    assert!(matches!(
        registry.redeem(&offer.code, address(1), at(300)),
        Guess::Wrong(_)
    ));
}

#[test]
fn five_wrong_codes_close_the_door_for_five_minutes() {
    let registry = Pairings::default();
    let offer = offer(&registry, at(0));
    for second in 0..5 {
        assert!(matches!(
            registry.redeem("x", address(1), at(second)),
            Guess::Wrong(_)
        ));
    }
    assert!(matches!(
        registry.redeem(&offer.code, address(1), at(5)),
        Guess::TooMany(_)
    ));
    assert!(matches!(
        registry.redeem(&offer.code, address(2), at(5)),
        Guess::Right(_)
    ));
    assert!(matches!(
        registry.redeem("x", address(1), at(300)),
        Guess::Wrong(_)
    ));
}

#[test]
fn twenty_wrong_codes_kill_every_open_one() {
    let registry = Pairings::default();
    let (first, second) = (offer(&registry, at(0)), offer(&registry, at(0)));
    for n in 0..19 {
        let Guess::Wrong(died) = registry.redeem("x", address(n), at(1)) else {
            panic!()
        };
        assert!(died.is_empty());
    }
    let Guess::Wrong(mut died) = registry.redeem("x", address(50), at(1)) else {
        panic!()
    };
    died.sort_by(|a, b| a.id.cmp(&b.id));
    let mut both = [first.id, second.id].map(|id| Over {
        id,
        reason: "too_many_attempts",
    });
    both.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(died, both);
    assert!(matches!(
        registry.redeem(&first.code, address(60), at(2)),
        Guess::Wrong(_)
    ));
}

#[test]
fn wrong_codes_before_the_oldest_open_one_do_not_count() {
    let registry = Pairings::default();
    offer(&registry, at(0));
    for n in 0..19 {
        registry.redeem("x", address(n), at(1));
    }
    assert_eq!(registry.take_over(at(300)).len(), 1);
    let later = offer(&registry, at(301));
    let Guess::Wrong(died) = registry.redeem("x", address(50), at(302)) else {
        panic!()
    };
    assert!(died.is_empty());
    assert!(matches!(
        registry.redeem(&later.code, address(51), at(303)),
        Guess::Right(_)
    ));
}

#[test]
fn a_denied_request_expires_in_silence() {
    let registry = Pairings::default();
    let mut waiting = registry.wait(Tablet::default(), None, at(0), 300).unwrap();
    waiting.denied = Some("no".into());
    registry.put_back(waiting.clone());
    assert!(registry.is_waiting(&waiting.id, at(299)));
    assert!(registry.open(at(1)).is_empty());
    assert!(registry.take_over(at(300)).is_empty());
    assert!(!registry.is_waiting(&waiting.id, at(300)));
}
