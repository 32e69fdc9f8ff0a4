//! The dispatcher: in which order it writes to sessions, and when it leaves one to its connection's task.

use std::future::poll_fn;
use std::task::Poll;

use super::*;

/// A writer that takes all queued events and records the session of each in a shared list.
struct Recorder(Arc<Mutex<Vec<SessionNumber>>>);

impl EventWriter for Recorder {
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

struct TestHub {
    hub: Arc<Hub>,
    delivered: Arc<Mutex<Vec<SessionNumber>>>,
}

impl TestHub {
    fn new() -> Self {
        let hub = Arc::new(Hub::new());
        let dispatcher = hub.clone();
        tokio::spawn(async move { dispatcher.run_dispatcher().await });
        let delivered = Arc::default();
        Self { hub, delivered }
    }

    /// Registers a session whose outbox allows dispatch.
    fn connect(&self, name: &str, topics: &[Topic]) -> Arc<Session> {
        let session = Arc::new(Session::new(
            ConnectionId::random(),
            principal(client(name), "jti"),
            Namespace::Main,
            Dialect::Json,
            None,
            Arc::new(ConnectionWriter::new(Recorder(self.delivered.clone()))),
        ));
        session.outbox().allow_dispatch();
        register(&self.hub, &session, topics, usize::MAX);
        session
    }

    fn delivered(&self) -> Vec<SessionNumber> {
        self.delivered.lock().unwrap().clone()
    }

    async fn wait_for_deliveries(&self, count: usize) {
        while self.delivered().len() < count {
            tokio::task::yield_now().await;
        }
    }
}

/// Whether the connection's task was woken since the last call.
async fn is_woken(session: &Session) -> bool {
    let mut woken = Box::pin(session.outbox().writer().woken());
    poll_fn(|cx| Poll::Ready(woken.as_mut().poll(cx).is_ready())).await
}

#[tokio::test]
async fn small_publication_does_not_wait_for_broadcast() {
    let test = TestHub::new();
    let many: Vec<_> = (0..500)
        .map(|number| test.connect(&format!("t{number}"), &[Topic::All]))
        .collect();
    let one = test.connect("one", &[area("kitchen")]);
    test.hub.publish(event(1, &[Topic::All]));
    test.hub.publish(event(2, &[area("kitchen")]));
    test.wait_for_deliveries(501).await;
    let delivered = test.delivered();
    let index = delivered.iter().position(|number| *number == one.number());
    assert!(index.unwrap() < 20, "{index:?}");
    let all: Vec<_> = many.iter().map(|session| session.number()).collect();
    let others: Vec<_> = delivered
        .into_iter()
        .filter(|at| *at != one.number())
        .collect();
    assert_eq!(others, all, "each once, in the order of registration");
}

#[tokio::test]
async fn session_with_blocked_dispatch_is_left_to_its_task() {
    let test = TestHub::new();
    let closed = test.connect("a", &[Topic::All]);
    closed.outbox().block_dispatch();
    let open = test.connect("b", &[Topic::All]);
    test.hub.publish(event(1, &[Topic::All]));
    test.wait_for_deliveries(1).await;
    assert_eq!(test.delivered(), [open.number()]);
    assert!(!is_woken(&open).await, "nothing is left for the task");
    assert!(is_woken(&closed).await);
    assert_eq!(received(&closed), [1]);

    closed.outbox().allow_dispatch();
    test.hub.publish(event(2, &[Topic::All]));
    test.wait_for_deliveries(3).await;
    assert!(!is_woken(&closed).await);
    closed.end(DisconnectReason::Revoked, None);
    assert!(
        closed.outbox().take_for_dispatch(1).is_none(),
        "only the task writes the end"
    );
}

#[tokio::test]
async fn unregistered_session_gets_no_queued_events() {
    let test = TestHub::new();
    let session = test.connect("a", &[Topic::All]);
    let other = test.connect("b", &[Topic::All]);
    test.hub.publish(event(1, &[Topic::All]));
    test.hub.unregister(&session);
    test.wait_for_deliveries(1).await;
    assert_eq!(test.delivered(), [other.number()]);
}

#[tokio::test]
async fn panicking_writer_ends_only_its_session() {
    struct Faulty;
    impl EventWriter for Faulty {
        fn write_events(&mut self, _: &Session) -> bool {
            panic!("expected by the test")
        }
        fn discard_pending(&mut self) {}
    }
    let test = TestHub::new();
    let faulty = Arc::new(Session::new(
        ConnectionId::random(),
        principal(client("a"), "jti"),
        Namespace::Main,
        Dialect::Json,
        None,
        Arc::new(ConnectionWriter::new(Faulty)),
    ));
    register(&test.hub, &faulty, &[Topic::All], usize::MAX);
    let other = test.connect("b", &[Topic::All]);
    test.hub.publish(event(1, &[Topic::All]));
    test.wait_for_deliveries(1).await;
    assert_eq!(test.delivered(), [other.number()]);
    assert_eq!(reason(&faulty), Some(DisconnectReason::TryAgain));
}
