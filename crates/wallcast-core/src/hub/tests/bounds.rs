//! The bounds of an outbox, what it drops, states and snapshots, and the end of a session.

use super::*;

#[test]
fn outbox_at_256_events_records_first_missed_event() {
    let hub = Hub::new();
    let session = connect(&hub, client("a"), &[Topic::All]);
    for id in 1..=256 {
        assert_eq!(hub.publish(event(id, &[Topic::All])), 1);
    }
    assert_eq!(
        hub.publish(ephemeral(EventType::AREA_UPDATED, vec![Topic::All])),
        0
    );
    assert_eq!(hub.publish(event(257, &[Topic::All])), 0);
    assert_eq!(hub.publish(event(258, &[Topic::All])), 0);

    let DequeueResult::Events(first) = session.outbox().drain(100) else {
        panic!()
    };
    assert_eq!(first.len(), 100);
    // Free places are not used before the missed events were read: the order would break.
    assert_eq!(hub.publish(event(259, &[Topic::All])), 0);
    assert_eq!(received(&session).len(), 156);
    assert!(session.outbox().has_more(), "the history must be read");
    assert!(matches!(session.outbox().drain(1), DequeueResult::Missed(id) if id.get() == 257));

    session.outbox().catch_up();
    assert_eq!(hub.publish(event(260, &[Topic::All])), 1);
    assert_eq!(received(&session), [260]);
}

#[test]
fn outbox_holds_256_kib_or_one_larger_event() {
    let hub = Hub::new();
    let session = connect(&hub, client("a"), &[Topic::All]);
    // Data is `{"x":"…"}`: eight bytes around the text.
    let quarter = |id| event_of(id, 64 * 1024 - 8, vec![Topic::All]);
    for id in 1..=4 {
        assert_eq!(hub.publish(quarter(id)), 1);
    }
    assert_eq!(hub.publish(event(5, &[Topic::All])), 0);
    assert_eq!(received(&session), [1, 2, 3, 4]);
    session.outbox().catch_up();
    assert_eq!(hub.publish(event_of(6, 300 * 1024, vec![Topic::All])), 1);
    assert_eq!(received(&session), [6]);
    assert_eq!(hub.publish(quarter(7)), 1, "drained events do not count");
}

#[test]
fn ephemeral_events_beyond_bounds_are_dropped() {
    let hub = Hub::new();
    let session = connect(&hub, client("a"), &[Topic::All]);
    for _ in 0..300 {
        hub.publish(ephemeral(EventType::AREA_UPDATED, vec![Topic::All]));
    }
    let DequeueResult::Events(events) = session.outbox().drain(usize::MAX) else {
        panic!()
    };
    assert_eq!(events.len(), 256);
    assert_eq!(hub.publish(event(1, &[Topic::All])), 1);
}

/// A state of `entity` with the given value.
fn state(entity: &str, value: &str) -> Event {
    let data = serde_json::json!({ "state": value });
    let new = NewEvent::new(EventType::AREA_UPDATED, &data, vec![Topic::All]);
    Event::ephemeral(new, Timestamp::from_unix_ms(0)).conflated_by(entity)
}

/// Takes all queued events of a session. Returns the data of the states.
fn states(session: &Session) -> Vec<String> {
    let DequeueResult::Events(events) = session.outbox().drain(usize::MAX) else {
        panic!()
    };
    let states = events.iter().filter(|event| event.is_conflated());
    states.map(|event| event.data().to_owned()).collect()
}

#[test]
fn newer_state_of_entity_replaces_queued_one() {
    let hub = Hub::new();
    let session = connect(&hub, client("a"), &[Topic::All]);
    for n in 0..10_000 {
        assert_eq!(hub.publish(state("light.a", &n.to_string())), 1);
    }
    hub.publish(state("light.b", "on"));
    assert_eq!(
        states(&session),
        [r#"{"state":"9999"}"#, r#"{"state":"on"}"#]
    );
    hub.publish(state("light.a", "off"));
    assert_eq!(
        states(&session),
        [r#"{"state":"off"}"#],
        "a state that was taken is not replaced"
    );
}

#[test]
fn newer_state_stays_behind_earlier_events() {
    let hub = Hub::new();
    let session = connect(&hub, client("a"), &[Topic::All]);
    hub.publish(state("light.a", "on"));
    hub.publish(state("light.b", "on"));
    hub.publish(event(1, &[Topic::All]));
    hub.publish(state("light.a", "off"));
    hub.publish(state("light.a", "dim"));
    let DequeueResult::Events(events) = session.outbox().drain(usize::MAX) else {
        panic!()
    };
    let order: Vec<_> = events.iter().map(|event| event.is_conflated()).collect();
    assert_eq!(order, [true, false, true]);
    assert_eq!(events[2].data(), r#"{"state":"dim"}"#);
}

#[test]
fn state_while_reading_history_requests_snapshot() {
    let hub = Hub::new();
    let session = connect(&hub, client("a"), &[Topic::All]);
    for id in 1..=257 {
        hub.publish(event(id, &[Topic::All]));
    }
    assert_eq!(received(&session).len(), 256);
    assert!(matches!(
        session.outbox().drain(1),
        DequeueResult::Missed(_)
    ));
    for n in 0..3 {
        assert_eq!(hub.publish(state("light.a", &n.to_string())), 0);
        assert!(matches!(
            session.outbox().drain(1),
            DequeueResult::Missed(_)
        ));
        assert!(!session.outbox().is_snapshot_due(), "history comes first");
    }
    assert_eq!(
        hub.publish(ephemeral(EventType::AREA_UPDATED, vec![Topic::All])),
        0
    );
    session.outbox().catch_up();
    assert!(session.outbox().is_snapshot_due());
    assert_eq!(states(&session), Vec::<String>::new());
}

#[test]
fn states_beyond_bounds_are_replaced_by_snapshot() {
    let hub = Hub::new();
    let session = connect(&hub, client("a"), &[Topic::All]);
    hub.publish(event(1, &[Topic::All]));
    let publish_state = |n: usize| hub.publish(state(&format!("light.{n}"), "on"));
    assert_eq!((0..255).map(publish_state).sum::<usize>(), 255);
    assert!(!session.outbox().is_snapshot_due(), "all states fit");
    assert_eq!((255..1000).map(publish_state).sum::<usize>(), 0);
    assert_eq!(publish_state(7), 0, "the snapshot will contain it");
    assert!(
        !session.outbox().is_snapshot_due(),
        "an event is queued before it"
    );
    assert_eq!(received(&session), [1], "no state is queued");
    assert!(session.outbox().is_snapshot_due());

    let snapshot = Arc::new(ephemeral(EventType::AREA_UPDATED, vec![Topic::All]));
    session.outbox().queue_snapshot(Some(snapshot));
    assert!(!session.outbox().is_snapshot_due());
    assert_eq!(publish_state(7), 1);
    let DequeueResult::Events(events) = session.outbox().drain(usize::MAX) else {
        panic!()
    };
    let order: Vec<_> = events.iter().map(|event| event.is_conflated()).collect();
    assert_eq!(order, [false, true], "a later state follows the snapshot");
}

#[test]
fn durable_event_replaces_queued_states_by_snapshot() {
    let hub = Hub::new();
    let session = connect(&hub, client("a"), &[Topic::All]);
    for n in 0..256 {
        hub.publish(state(&format!("light.{n}"), "on"));
    }
    assert_eq!(
        hub.publish(ephemeral(EventType::AREA_UPDATED, vec![Topic::All])),
        0,
        "this one does not"
    );
    assert_eq!(hub.publish(event(1, &[Topic::All])), 1);
    assert_eq!(received(&session), [1]);
    assert!(session.outbox().is_snapshot_due());
}

#[test]
fn growing_queued_states_stay_within_byte_bound() {
    let hub = Hub::new();
    let session = connect(&hub, client("a"), &[Topic::All]);
    let large = "x".repeat(2000);
    for n in 0..200 {
        hub.publish(state(&format!("light.{n}"), "on"));
    }
    for n in 0..200 {
        hub.publish(state(&format!("light.{n}"), &large));
    }
    let waiting: usize = states(&session).iter().map(String::len).sum();
    assert!(waiting <= 256 * 1024, "{waiting}");
    assert!(session.outbox().is_snapshot_due());
}

#[test]
fn state_is_built_per_combination_of_topics() {
    let hub = Hub::new();
    let kitchen = connect(&hub, client("k"), &[area("kitchen")]);
    let both = connect(&hub, client("b"), &[area("kitchen"), area("hall")]);
    let other = connect(&hub, client("o"), &[area("bath")]);
    let topics = [area("kitchen"), area("hall"), Topic::Admins];
    let made = std::cell::Cell::new(0);
    let make = |received: &[usize]| {
        made.set(made.get() + 1);
        state("light.a", &format!("{received:?}"))
    };
    assert_eq!(hub.publish_per_audience(&topics, make), 2);
    assert_eq!(states(&kitchen), [r#"{"state":"[0]"}"#]);
    assert_eq!(states(&both), [r#"{"state":"[0, 1]"}"#]);
    assert_eq!(states(&other), Vec::<String>::new());
    assert_eq!(hub.publish_per_audience(&[area("cellar")], make), 0);
    assert_eq!(made.get(), 2, "no event is built without recipients");

    hub.request_snapshot(&[area("hall")]);
    assert!(both.outbox().is_snapshot_due() && !kitchen.outbox().is_snapshot_due());
    let areas = hub.areas_of(both.subject());
    assert_eq!(areas.len(), 2);
}

#[test]
fn full_outbox_does_not_affect_other_sessions() {
    let hub = Hub::new();
    let stuck = connect(&hub, client("a"), &[Topic::All]);
    let reads = connect(&hub, client("b"), &[Topic::All]);
    for id in 1..=1000 {
        hub.publish(event(id, &[Topic::All]));
        assert_eq!(received(&reads), [id]);
    }
    assert_eq!(received(&stuck).len(), 256);
}

#[test]
fn ended_session_queues_nothing_and_keeps_first_reason() {
    let hub = Hub::new();
    let session = connect(&hub, client("a"), &[Topic::All]);
    hub.publish(event(1, &[Topic::All]));
    session.end(
        DisconnectReason::Revoked,
        Some(Arc::new(ephemeral(
            EventType::AREA_UPDATED,
            vec![Topic::All],
        ))),
    );
    assert_eq!(hub.publish(event(2, &[Topic::All])), 0);
    session.end(DisconnectReason::TryAgain, None);
    assert!(session.outbox().has_ended());
    let DequeueResult::Ended(reason, Some(_)) = session.outbox().drain(usize::MAX) else {
        panic!()
    };
    assert_eq!(reason, DisconnectReason::Revoked, "the first reason counts");
}

#[test]
fn end_waits_for_write_in_progress() {
    let hub = Arc::new(Hub::new());
    let session = connect(&hub, client("a"), &[]);
    let writer = session.outbox().writer().lock();
    let (done, is_done) = mpsc::channel();
    let ender = {
        let session = session.clone();
        std::thread::spawn(move || {
            session.end(DisconnectReason::Revoked, None);
            done.send(()).unwrap();
        })
    };
    let early = is_done.recv_timeout(std::time::Duration::from_millis(50));
    assert!(early.is_err(), "a write is in progress");
    drop(writer);
    is_done.recv().unwrap();
    ender.join().unwrap();
}

#[test]
fn end_discards_pending_output_once_per_connection() {
    #[derive(Default)]
    struct CountsDiscards(usize);
    impl EventWriter for CountsDiscards {
        fn write_events(&mut self, _: &Session) -> bool {
            false
        }
        fn discard_pending(&mut self) {
            self.0 += 1;
        }
    }
    let writer = Arc::new(ConnectionWriter::new(CountsDiscards::default()));
    let session_of_connection = |namespace| {
        Arc::new(Session::new(
            ConnectionId::random(),
            principal(client("a"), "jti"),
            namespace,
            Dialect::SocketIo,
            None,
            writer.clone(),
        ))
    };
    let hub = Hub::new();
    for namespace in [Namespace::Main, Namespace::Help] {
        register(&hub, &session_of_connection(namespace), &[], usize::MAX);
    }
    // The task queues the final event after the first call; a second one would discard it.
    let ended = hub.end(EndSessions {
        filter: SessionFilter::Subject(client("a")),
        reason: DisconnectReason::Revoked,
        final_event: None,
    });
    assert_eq!(ended, 2);
    assert_eq!(writer.lock().0, 1);
}
