//! Namespace and room topics, and the hub's counters and lists of sessions.

use super::*;
use crate::event::{EventType, Namespace};
use crate::ids::RoomName;

fn queued(session: &Session) -> usize {
    match session.outbox().drain(usize::MAX) {
        DequeueResult::Events(events) => events.len(),
        other => panic!("no events but {other:?}"),
    }
}

fn in_namespace(hub: &Hub, namespace: Namespace, name: &str) -> Arc<Session> {
    let session = session_in(namespace, principal(client(name), "jti"));
    register(hub, &session, &[Topic::All], usize::MAX);
    session
}

#[test]
fn namespace_and_room_topics_reach_their_subscribers() {
    let hub = Hub::new();
    let main = in_namespace(&hub, Namespace::Main, "a");
    let first = in_namespace(&hub, Namespace::Lockers, "a");
    let second = in_namespace(&hub, Namespace::Lockers, "b");
    let waiting = Subject::Pairing(PairingId::random());
    let waiting = session_in(Namespace::Lockers, principal(waiting, "jti"));
    register(&hub, &waiting, &[], usize::MAX);
    let room: RoomName = "kiosk-1".parse().unwrap();
    let topic = Topic::Room(Namespace::Lockers, room.clone());
    hub.registry().add_to_room(&second, &topic);

    let alarm = EventType::custom("alarm").unwrap();
    let publish_to = |topics| hub.publish(ephemeral(alarm.clone(), topics));
    assert_eq!(publish_to(vec![Topic::Namespace(Namespace::Lockers)]), 2);
    assert_eq!(publish_to(vec![topic.clone()]), 1);
    let same_name_elsewhere = Topic::Room(Namespace::Help, room);
    assert_eq!(publish_to(vec![same_name_elsewhere]), 0);
    assert_eq!(hub.recipient_count(&alarm, &[Topic::All, topic.clone()]), 3);
    assert_eq!(publish_to(vec![Topic::All, topic]), 3);
    let found = [&main, &first, &second, &waiting].map(|session| queued(session));
    assert_eq!(found, [1, 2, 3, 0]);
}

#[test]
fn recipient_count_excludes_namespaces_without_the_type() {
    let hub = Hub::new();
    in_namespace(&hub, Namespace::Main, "a");
    in_namespace(&hub, Namespace::Lockers, "a");
    assert_eq!(
        hub.recipient_count(&EventType::AREA_UPDATED, &[Topic::All]),
        1
    );
}

#[test]
fn connection_stats_count_open_sessions_by_namespace() {
    let hub = Hub::new();
    in_namespace(&hub, Namespace::Main, "a");
    let gone = in_namespace(&hub, Namespace::Help, "a");
    in_namespace(&hub, Namespace::Help, "b");
    hub.unregister(&gone);
    let stats = hub.connection_stats();
    let found = (stats.total, stats.lockers, stats.help, stats.events);
    assert_eq!(found, (2, 0, 1, 0));
    assert_eq!(hub.metrics().totals().sessions, 3);
    assert_eq!(hub.page(None, None, 10).len(), 2);
    let help = Topic::Namespace(Namespace::Help);
    assert_eq!(hub.page(Some(&help), None, 10).len(), 1);
    assert_eq!(hub.page(Some(&help), Some(gone.number()), 10).len(), 1);
}

#[test]
fn only_published_events_have_a_publication_time() {
    let hub = Hub::new();
    let session = in_namespace(&hub, Namespace::Main, "a");
    hub.publish(event_of(1, 1, vec![Topic::All]));
    let DequeueResult::Events(events) = session.outbox().drain(1) else {
        panic!("no events")
    };
    let at = events[0].published_at().expect("it was published");
    hub.metrics().delivered([at].into_iter());
    assert_eq!(hub.metrics().deliveries().count, 1);
    assert_eq!(hub.metrics().totals().durable, 1);
    assert_eq!(event_of(2, 1, vec![]).published_at(), None);
}
