//! Who is served at the writer, in which order, and when the connection's task has to be.

use std::future::poll_fn;
use std::task::Poll;

use super::*;

/// A wire that notes whose events it takes, all that wait, in a list that several share.
struct Notes(Arc<Mutex<Vec<SessionNumber>>>);

impl EventWriter for Notes {
    fn write_events(&mut self, session: &Session) -> bool {
        match session.outbox().take_for_dispatch(usize::MAX) {
            Some(events) => {
                let number = |_| session.number();
                self.0.lock().unwrap().extend(events.iter().map(number));
                true
            }
            None => false,
        }
    }

    fn discard_pending(&mut self) {}
}

struct House {
    hub: Arc<Hub>,
    told: Arc<Mutex<Vec<SessionNumber>>>,
}

impl House {
    fn new() -> Self {
        let hub = Arc::new(Hub::new());
        let dispatcher = hub.clone();
        tokio::spawn(async move { dispatcher.run_dispatcher().await });
        let told = Arc::default();
        Self { hub, told }
    }

    /// A session whose outbox is open.
    fn enter(&self, name: &str, topics: &[Topic]) -> Arc<Session> {
        let session = Arc::new(Session::new(
            ConnectionId::random(),
            principal(client(name), "jti"),
            Namespace::Main,
            Dialect::Json,
            None,
            Arc::new(ConnectionWriter::new(Notes(self.told.clone()))),
        ));
        session.outbox().allow_dispatch();
        register(&self.hub, &session, topics, usize::MAX);
        session
    }

    fn told(&self) -> Vec<SessionNumber> {
        self.told.lock().unwrap().clone()
    }

    async fn until_told(&self, count: usize) {
        while self.told().len() < count {
            tokio::task::yield_now().await;
        }
    }
}

/// Whether the connection's task was woken since this was asked last.
async fn is_woken(session: &Session) -> bool {
    let mut woken = Box::pin(session.outbox().writer().woken());
    poll_fn(|cx| Poll::Ready(woken.as_mut().poll(cx).is_ready())).await
}

#[tokio::test]
async fn one_tablet_does_not_wait_for_a_broadcast_to_all_others() {
    let house = House::new();
    let many: Vec<_> = (0..500)
        .map(|number| house.enter(&format!("t{number}"), &[Topic::All]))
        .collect();
    let one = house.enter("one", &[area("kitchen")]);
    house.hub.publish(event(1, &[Topic::All]));
    house.hub.publish(event(2, &[area("kitchen")]));
    house.until_told(501).await;
    let told = house.told();
    let place = told.iter().position(|number| *number == one.number());
    assert!(place.unwrap() < 20, "{place:?}");
    let all: Vec<_> = many.iter().map(|session| session.number()).collect();
    let others: Vec<_> = told.into_iter().filter(|at| *at != one.number()).collect();
    assert_eq!(others, all, "each once, in the order in which they came");
}

#[tokio::test]
async fn what_comes_before_what_waits_is_told_by_the_connections_task_alone() {
    let house = House::new();
    let closed = house.enter("a", &[Topic::All]);
    closed.outbox().block_dispatch();
    let open = house.enter("b", &[Topic::All]);
    house.hub.publish(event(1, &[Topic::All]));
    house.until_told(1).await;
    assert_eq!(house.told(), [open.number()]);
    assert!(!is_woken(&open).await, "nothing is left to be done");
    assert!(is_woken(&closed).await);
    assert_eq!(received(&closed), [1]);

    closed.outbox().allow_dispatch();
    house.hub.publish(event(2, &[Topic::All]));
    house.until_told(3).await;
    assert!(!is_woken(&closed).await);
    closed.end(DisconnectReason::Revoked, None);
    assert!(
        closed.outbox().take_for_dispatch(1).is_none(),
        "nobody else tells an end"
    );
}

#[tokio::test]
async fn a_session_that_left_is_told_nothing_more_although_it_was_called() {
    let house = House::new();
    let session = house.enter("a", &[Topic::All]);
    let other = house.enter("b", &[Topic::All]);
    house.hub.publish(event(1, &[Topic::All]));
    house.hub.unregister(&session);
    house.until_told(1).await;
    assert_eq!(house.told(), [other.number()]);
}

#[tokio::test]
async fn a_connection_that_fails_ends_alone() {
    struct Faulty;
    impl EventWriter for Faulty {
        fn write_events(&mut self, _: &Session) -> bool {
            panic!("a fault of this connection")
        }
        fn discard_pending(&mut self) {}
    }
    let house = House::new();
    let faulty = Arc::new(Session::new(
        ConnectionId::random(),
        principal(client("a"), "jti"),
        Namespace::Main,
        Dialect::Json,
        None,
        Arc::new(ConnectionWriter::new(Faulty)),
    ));
    register(&house.hub, &faulty, &[Topic::All], usize::MAX);
    let other = house.enter("b", &[Topic::All]);
    house.hub.publish(event(1, &[Topic::All]));
    house.until_told(1).await;
    assert_eq!(house.told(), [other.number()]);
    assert_eq!(reason(&faulty), Some(DisconnectReason::TryAgain));
}
