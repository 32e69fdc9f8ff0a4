//! What an outbox holds, what it drops, and how it ends.

use super::*;

#[test]
fn an_outbox_holds_256_frames_and_remembers_the_first_durable_one_that_found_no_place() {
    let hub = Hub::new();
    let session = enter(&hub, client("a"), &[Topic::All]);
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
    // A place that is free again is not taken: the order would break.
    assert_eq!(hub.publish(event(259, &[Topic::All])), 0);
    assert_eq!(received(&session).len(), 156);
    assert!(session.outbox().has_more(), "the history is to be read");
    assert!(matches!(session.outbox().drain(1), DequeueResult::Missed(id) if id.get() == 257));

    session.outbox().catch_up();
    assert_eq!(hub.publish(event(260, &[Topic::All])), 1);
    assert_eq!(received(&session), [260]);
}

#[test]
fn an_outbox_holds_256_kib_and_at_least_one_event_however_large() {
    let hub = Hub::new();
    let session = enter(&hub, client("a"), &[Topic::All]);
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
    assert_eq!(
        hub.publish(quarter(7)),
        1,
        "what was drained counts no more"
    );
}

#[test]
fn ephemeral_events_that_find_no_place_are_dropped_without_a_trace() {
    let hub = Hub::new();
    let session = enter(&hub, client("a"), &[Topic::All]);
    for _ in 0..300 {
        hub.publish(ephemeral(EventType::AREA_UPDATED, vec![Topic::All]));
    }
    let DequeueResult::Events(events) = session.outbox().drain(usize::MAX) else {
        panic!()
    };
    assert_eq!(events.len(), 256);
    assert_eq!(hub.publish(event(1, &[Topic::All])), 1);
}

/// A state of `entity`; the data tells which one.
fn state(entity: &str, value: &str) -> Event {
    let data = serde_json::json!({ "state": value });
    let new = NewEvent::new(EventType::AREA_UPDATED, &data, vec![Topic::All]);
    Event::ephemeral(new, Timestamp::from_unix_ms(0)).conflated_by(entity)
}

/// The states that wait for a session.
fn states(session: &Session) -> Vec<String> {
    let DequeueResult::Events(events) = session.outbox().drain(usize::MAX) else {
        panic!()
    };
    let states = events.iter().filter(|event| event.is_conflated());
    states.map(|event| event.data().to_owned()).collect()
}

#[test]
fn of_one_entity_only_the_newest_state_waits() {
    let hub = Hub::new();
    let session = enter(&hub, client("a"), &[Topic::All]);
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
        "what was told is not replaced"
    );
}

#[test]
fn a_newer_state_is_not_told_before_what_came_before_it() {
    let hub = Hub::new();
    let session = enter(&hub, client("a"), &[Topic::All]);
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
fn while_a_session_reads_from_history_states_are_owed_and_do_not_wait() {
    let hub = Hub::new();
    let session = enter(&hub, client("a"), &[Topic::All]);
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
fn states_that_find_no_place_are_all_owed_and_make_room() {
    let hub = Hub::new();
    let session = enter(&hub, client("a"), &[Topic::All]);
    hub.publish(event(1, &[Topic::All]));
    let tell = |n: usize| hub.publish(state(&format!("light.{n}"), "on"));
    assert_eq!((0..255).map(tell).sum::<usize>(), 255);
    assert!(!session.outbox().is_snapshot_due(), "all have a place");
    assert_eq!((255..1000).map(tell).sum::<usize>(), 0);
    assert_eq!(tell(7), 0, "the newest of it will be told with the others");
    assert!(
        !session.outbox().is_snapshot_due(),
        "something waits before"
    );
    assert_eq!(received(&session), [1], "and no state does");
    assert!(session.outbox().is_snapshot_due());

    let newest = Arc::new(ephemeral(EventType::AREA_UPDATED, vec![Topic::All]));
    session.outbox().queue_snapshot(Some(newest));
    assert!(!session.outbox().is_snapshot_due());
    assert_eq!(tell(7), 1);
    let DequeueResult::Events(events) = session.outbox().drain(usize::MAX) else {
        panic!()
    };
    let order: Vec<_> = events.iter().map(|event| event.is_conflated()).collect();
    assert_eq!(order, [false, true], "what came after is told after");
}

#[test]
fn a_durable_event_takes_the_place_of_states_before_it_is_left_to_history() {
    let hub = Hub::new();
    let session = enter(&hub, client("a"), &[Topic::All]);
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
fn states_that_grow_where_they_wait_stay_within_the_bytes() {
    let hub = Hub::new();
    let session = enter(&hub, client("a"), &[Topic::All]);
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
fn a_state_is_told_to_each_by_the_topics_that_it_listens_on() {
    let hub = Hub::new();
    let kitchen = enter(&hub, client("k"), &[area("kitchen")]);
    let both = enter(&hub, client("b"), &[area("kitchen"), area("hall")]);
    let other = enter(&hub, client("o"), &[area("bath")]);
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
    assert_eq!(made.get(), 2, "nothing is made that nobody hears");

    hub.request_snapshot(&[area("hall")]);
    assert!(both.outbox().is_snapshot_due() && !kitchen.outbox().is_snapshot_due());
    let areas = hub.areas_of(both.subject());
    assert_eq!(areas.len(), 2);
}

#[test]
fn one_full_outbox_takes_nothing_from_another() {
    let hub = Hub::new();
    let stuck = enter(&hub, client("a"), &[Topic::All]);
    let reads = enter(&hub, client("b"), &[Topic::All]);
    for id in 1..=1000 {
        hub.publish(event(id, &[Topic::All]));
        assert_eq!(received(&reads), [id]);
    }
    assert_eq!(received(&stuck).len(), 256);
}

#[test]
fn an_ended_session_takes_nothing_more_and_its_queue_is_empty() {
    let hub = Hub::new();
    let session = enter(&hub, client("a"), &[Topic::All]);
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
    assert_eq!(reason, DisconnectReason::Revoked, "the first end counts");
}

#[test]
fn ending_a_session_waits_until_the_bytes_under_way_are_with_the_kernel() {
    let hub = Arc::new(Hub::new());
    let session = enter(&hub, client("a"), &[]);
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
    assert!(early.is_err(), "it is still being written");
    drop(writer);
    is_done.recv().unwrap();
    ender.join().unwrap();
}

#[test]
fn what_was_laid_out_is_taken_back_once_for_all_sessions_of_a_connection() {
    #[derive(Default)]
    struct Cuts(usize);
    impl EventWriter for Cuts {
        fn write_events(&mut self, _: &Session) -> bool {
            false
        }
        fn discard_pending(&mut self) {
            self.0 += 1;
        }
    }
    let writer = Arc::new(ConnectionWriter::new(Cuts::default()));
    let of_one = |namespace| {
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
        register(&hub, &of_one(namespace), &[], usize::MAX);
    }
    // Last words are laid out after the first cut: another would take them back.
    let ended = hub.end(EndSessions {
        filter: SessionFilter::Subject(client("a")),
        reason: DisconnectReason::Revoked,
        final_event: None,
    });
    assert_eq!(ended, 2);
    assert_eq!(writer.lock().0, 1);
}
