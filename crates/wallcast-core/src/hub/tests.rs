//! Subscriptions, the order of effects, presence and takeover.

mod bounds;
mod dispatcher;
mod statistics;

use std::sync::mpsc;

use super::*;
use crate::auth::Principal;
use crate::event::Namespace;
use crate::ids::{ConnectionId, Jti, PairingId, UserId};

fn client(name: &str) -> Subject {
    Subject::Client(name.parse().unwrap())
}

fn area(name: &str) -> Topic {
    Topic::Area(name.parse().unwrap())
}

fn principal(subject: Subject, jti: &str) -> Principal {
    Principal {
        subject,
        jti: Some(jti.parse().unwrap()),
        ..Principal::local_admin(UserId::random())
    }
}

fn session_in(namespace: Namespace, principal: Principal) -> Arc<Session> {
    Arc::new(Session::new(
        ConnectionId::random(),
        principal,
        namespace,
        Dialect::Json,
        None,
        Arc::<ConnectionWriter<()>>::default(),
    ))
}

/// Registers a session of `subject` that is subscribed to these topics.
fn connect(hub: &Hub, subject: Subject, topics: &[Topic]) -> Arc<Session> {
    let session = session_in(Namespace::Main, principal(subject, "jti"));
    register(hub, &session, topics, usize::MAX);
    session
}

fn register(hub: &Hub, session: &Arc<Session>, topics: &[Topic], max_sessions: usize) {
    let spans: Vec<_> = topics.iter().cloned().map(Span::always).collect();
    hub.register(session.clone(), &spans, &[], max_sessions);
}

fn event_of(id: i64, size: usize, topics: Vec<Topic>) -> Event {
    let data = serde_json::json!({ "x": "x".repeat(size) });
    let position = Position {
        epoch: Epoch::from_stored("e"),
        id: EventId::new(id),
    };
    let new = NewEvent::new(EventType::AREA_UPDATED, &data, topics);
    Event::durable(new, position, Timestamp::from_unix_ms(0))
}

fn event(id: i64, topics: &[Topic]) -> Event {
    event_of(id, 1, topics.to_vec())
}

fn ephemeral(event_type: EventType, topics: Vec<Topic>) -> Event {
    let new = NewEvent::new(event_type, &serde_json::json!({}), topics);
    Event::ephemeral(new, Timestamp::from_unix_ms(0))
}

/// Takes all queued events of a session. Returns the ids of the durable ones.
fn received(session: &Session) -> Vec<i64> {
    match session.outbox().drain(usize::MAX) {
        DequeueResult::Events(events) => events
            .iter()
            .filter_map(|e| e.id())
            .map(EventId::get)
            .collect(),
        other => panic!("no events but {other:?}"),
    }
}

fn reason(session: &Session) -> Option<DisconnectReason> {
    match session.outbox().drain(0) {
        DequeueResult::Ended(reason, _) => Some(reason),
        _ => None,
    }
}

#[test]
fn publish_reaches_subscribers_of_its_topics_only() {
    let hub = Hub::new();
    let a = connect(&hub, client("a"), &[area("kitchen")]);
    let b = connect(&hub, client("b"), &[area("bath")]);
    assert_eq!(hub.publish(event(1, &[area("kitchen")])), 1);
    assert_eq!(hub.publish(event(2, &[area("kitchen"), area("bath")])), 2);
    assert_eq!(hub.publish(event(3, &[area("cellar")])), 0);
    assert_eq!(received(&a), [1, 2]);
    assert_eq!(received(&b), [2]);
}

#[test]
fn publish_on_several_matching_topics_delivers_once() {
    let hub = Hub::new();
    let topics = [Topic::All, Topic::Admins, area("kitchen")];
    let session = connect(&hub, client("a"), &topics);
    assert_eq!(hub.publish(event(1, &topics)), 1);
    assert_eq!(hub.publish(event(2, &[Topic::All, Topic::All])), 1);
    assert_eq!(received(&session), [1, 2]);
}

#[test]
fn register_with_closed_span_does_not_subscribe() {
    let hub = Hub::new();
    let session = session_in(Namespace::Main, principal(client("a"), "jti"));
    let over = Span {
        topic: area("kitchen"),
        from: EventId::new(1),
        until: Some(EventId::new(5)),
    };
    hub.register(session, &[over], &[], usize::MAX);
    assert_eq!(hub.publish(event(6, &[area("kitchen")])), 0);
}

#[test]
fn commit_events_reach_old_and_new_members() {
    let hub = Hub::new();
    let old = connect(&hub, client("old"), &[area("kitchen")]);
    let new = connect(&hub, client("new"), &[]);
    hub.committed(Effects {
        joined: vec![(client("new"), area("kitchen"))],
        events: vec![event(1, &[area("kitchen")])],
        left: vec![(client("old"), area("kitchen"))],
        ..Effects::default()
    });
    hub.publish(event(2, &[area("kitchen")]));
    assert_eq!(received(&old), [1]);
    assert_eq!(received(&new), [1, 2]);
}

#[test]
fn join_and_leave_apply_to_all_sessions_of_principal() {
    let hub = Hub::new();
    let both = [(); 2].map(|()| connect(&hub, client("a"), &[]));
    let other = connect(&hub, client("b"), &[]);
    hub.committed(Effects {
        joined: vec![
            (client("a"), area("kitchen")),
            (client("away"), area("kitchen")),
        ],
        ..Effects::default()
    });
    assert_eq!(hub.publish(event(1, &[area("kitchen")])), 2);
    hub.committed(Effects {
        left: vec![(client("a"), area("kitchen"))],
        ..Effects::default()
    });
    assert_eq!(hub.publish(event(2, &[area("kitchen")])), 0);
    assert!(both.iter().all(|session| received(session) == [1]));
    assert!(received(&other).is_empty());
}

#[test]
fn late_unregister_of_old_session_keeps_new_one() {
    let hub = Hub::new();
    let old = connect(&hub, client("a"), &[area("kitchen")]);
    let new = connect(&hub, client("a"), &[area("kitchen")]);
    for _ in 0..2 {
        hub.unregister(&old);
        assert_eq!((hub.sessions_of(&client("a")), hub.session_count()), (1, 1));
    }
    assert_eq!(hub.publish(event(1, &[area("kitchen")])), 1);
    assert_eq!(received(&new), [1]);
}

#[test]
fn registry_is_empty_after_all_sessions_leave() {
    let hub = Hub::new();
    let empty = format!("{:?}", hub.registry());
    let sessions = ["a", "a", "b"].map(|name| connect(&hub, client(name), &[Topic::All]));
    hub.committed(Effects {
        joined: vec![(client("a"), area("kitchen")), (client("b"), area("bath"))],
        left: vec![(client("b"), area("bath"))],
        ..Effects::default()
    });
    assert_ne!(format!("{:?}", hub.registry()), empty);
    for session in &sessions {
        hub.unregister(session);
    }
    assert_eq!(format!("{:?}", hub.registry()), empty);
    assert_eq!((hub.session_count(), hub.principal_count()), (0, 0));
}

#[test]
fn register_over_limit_supersedes_clients_oldest_sessions() {
    let hub = Hub::new();
    let add = |subject: Subject| {
        let session = session_in(Namespace::Main, principal(subject, "jti"));
        register(&hub, &session, &[], 2);
        session
    };
    let bystander = add(client("b"));
    let [first, second, third, fourth] = [(); 4].map(|()| add(client("a")));
    for old in [&first, &second] {
        assert_eq!(reason(old), Some(DisconnectReason::Superseded));
    }
    for new in [&third, &fourth, &bystander] {
        assert_eq!(reason(new), None);
    }
    let admin = Subject::Admin("x".parse().unwrap());
    let admins = [(); 3].map(|()| add(admin.clone()));
    assert!(admins.iter().all(|session| reason(session).is_none()));
}

#[test]
fn commit_ends_sessions_by_token_or_subject() {
    let hub = Hub::new();
    let [one, two, other] = [("a", "1"), ("a", "2"), ("b", "1")].map(|(name, jti)| {
        let session = session_in(Namespace::Main, principal(client(name), jti));
        register(&hub, &session, &[Topic::All], usize::MAX);
        session
    });
    let end = |filter| EndSessions {
        filter,
        reason: DisconnectReason::Revoked,
        final_event: None,
    };
    let jti: Jti = "1".parse().unwrap();
    hub.committed(Effects {
        events: vec![event(1, &[Topic::All])],
        ended: vec![end(SessionFilter::Token(client("a"), jti))],
        ..Effects::default()
    });
    assert_eq!(reason(&one), Some(DisconnectReason::Revoked));
    assert_eq!(received(&two), [1]);
    hub.committed(Effects {
        ended: vec![end(SessionFilter::Subject(client("a")))],
        ..Effects::default()
    });
    assert_eq!(reason(&two), Some(DisconnectReason::Revoked));
    assert_eq!(received(&other), [1]);
}

#[test]
fn token_change_updates_open_sessions() {
    let hub = Hub::new();
    let [old, other] = ["1", "2"].map(|jti| {
        let session = session_in(Namespace::Main, principal(client("a"), jti));
        register(&hub, &session, &[], usize::MAX);
        session
    });
    let mut fresh = principal(client("a"), "3");
    fresh.expires_at = Some(Timestamp::from_unix_ms(7));
    hub.committed(Effects {
        token_changes: vec![("1".parse().unwrap(), fresh.clone())],
        ..Effects::default()
    });
    assert_eq!(old.principal(), fresh);
    assert_eq!(old.expires_at(), fresh.expires_at);
    assert_eq!(other.principal().jti, Some("2".parse().unwrap()));
}

#[test]
fn client_area_and_all_topics_reach_their_subscribers() {
    let hub = Hub::new();
    let me = Topic::Client("a".parse().unwrap());
    let a = connect(&hub, client("a"), &[Topic::All, me, area("kitchen")]);
    let b = connect(&hub, client("b"), &[Topic::All, area("kitchen")]);
    let c = connect(&hub, client("c"), &[Topic::All]);
    let waiting: PairingId = "p".parse().unwrap();
    let waiting = connect(
        &hub,
        Subject::Pairing(waiting.clone()),
        &[Topic::Pairing(waiting)],
    );
    let id = "a".parse().unwrap();
    let publish_to = |topics| hub.publish(ephemeral(EventType::AREA_UPDATED, topics));
    assert_eq!(publish_to(vec![Topic::Client(id)]), 1);
    assert_eq!(publish_to(vec![area("kitchen")]), 2);
    assert_eq!(publish_to(vec![Topic::All]), 3);
    let disconnect = |name| {
        hub.end(EndSessions {
            filter: SessionFilter::Subject(client(name)),
            reason: DisconnectReason::TryAgain,
            final_event: None,
        })
    };
    assert_eq!(disconnect("a"), 1);
    assert_eq!(disconnect("away"), 0);

    assert_eq!(reason(&a), Some(DisconnectReason::TryAgain));
    for (session, count) in [(&b, 2), (&c, 1), (&waiting, 0)] {
        let DequeueResult::Events(events) = session.outbox().drain(usize::MAX) else {
            panic!()
        };
        assert_eq!(events.len(), count);
    }
}

#[test]
fn heartbeat_has_session_count_and_last_event_id() {
    let hub = Hub::new();
    hub.set_last_event(EventId::new(40));
    let sessions = Namespace::ALL.map(|namespace| {
        let session = session_in(namespace, principal(client("a"), "jti"));
        register(&hub, &session, &[Topic::All], usize::MAX);
        session
    });
    hub.publish(event(41, &[area("nobody's")]));
    assert_eq!(hub.heartbeat(&Epoch::from_stored("e")), sessions.len());
    for session in &sessions {
        let DequeueResult::Events(events) = session.outbox().drain(usize::MAX) else {
            panic!()
        };
        let data: serde_json::Value = serde_json::from_str(events[0].data()).unwrap();
        assert_eq!(
            (&data["clients"], &data["lastEventId"]),
            (&4.into(), &41.into())
        );
        assert_eq!(events[0].id(), None);
    }
}

#[test]
fn kiosk_namespace_does_not_receive_other_types() {
    let hub = Hub::new();
    let session = session_in(Namespace::Help, principal(client("a"), "jti"));
    register(&hub, &session, &[Topic::All], usize::MAX);
    assert_eq!(hub.publish(event(1, &[Topic::All])), 0);
    assert!(received(&session).is_empty());
}

#[test]
fn presence_reports_first_and_last_session_of_client() {
    let hub = Hub::new();
    let (sender, receiver) = mpsc::channel();
    hub.on_presence(move |presence| {
        sender
            .send((presence.subject.id().to_owned(), presence.sessions))
            .unwrap()
    });
    let first = connect(&hub, client("a"), &[]);
    let second = connect(&hub, client("a"), &[]);
    let admin = connect(&hub, Subject::Admin("x".parse().unwrap()), &[]);
    for session in [&admin, &first, &second, &second] {
        hub.unregister(session);
    }
    let reports: Vec<_> = receiver.try_iter().collect();
    assert_eq!(reports, [("a".to_owned(), 1), ("a".to_owned(), 0)]);
}

#[test]
fn presence_reports_are_in_order() {
    let hub = Arc::new(Hub::new());
    let (sender, receiver) = mpsc::channel();
    hub.on_presence(move |presence| sender.send(presence.sessions).unwrap());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let hub = hub.clone();
            std::thread::spawn(move || {
                for _ in 0..2000 {
                    hub.unregister(&connect(&hub, client("a"), &[]));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    drop(hub);
    let reports: Vec<_> = receiver.iter().collect();
    assert!(!reports.is_empty() && reports.len() % 2 == 0);
    for pair in reports.chunks(2) {
        assert_eq!(pair, [1, 0], "online, then offline");
    }
}

/// The number of the last publication that reached a session.
fn stamp(session: &Session) -> String {
    let shown = format!("{session:?}");
    let (_, rest) = shown
        .rsplit_once("delivered: ")
        .expect("`delivered` in the debug output");
    rest.chars().take_while(char::is_ascii_digit).collect()
}

#[test]
fn publish_does_not_visit_other_sessions() {
    let hub = Hub::new();
    let recipient = connect(&hub, client("recipient"), &[area("kitchen")]);
    let others: Vec<_> = (0..100)
        .map(|n| connect(&hub, client(&format!("c{n}")), &[Topic::All, area("bath")]))
        .collect();
    for id in 1..=10 {
        assert_eq!(hub.publish(event(id, &[area("kitchen")])), 1);
    }
    assert_eq!(stamp(&recipient), "10");
    assert!(others.iter().all(|session| stamp(session) == "0"));
}

#[test]
fn session_with_reused_id_stays_after_old_one_leaves() {
    let hub = Hub::new();
    let old = connect(&hub, client("a"), &[]);
    let newer = Arc::new(Session::new(
        old.id().clone(),
        principal(client("a"), "jti"),
        Namespace::Main,
        Dialect::Json,
        None,
        Arc::<ConnectionWriter<()>>::default(),
    ));
    let found = || hub.session(old.id()).map(|session| session.number());
    assert_eq!(found(), Some(old.number()));
    register(&hub, &newer, &[], usize::MAX);
    assert_eq!(found(), Some(newer.number()));
    hub.unregister(&old);
    assert_eq!(found(), Some(newer.number()));
    hub.unregister(&newer);
    assert_eq!(found(), None);
}
