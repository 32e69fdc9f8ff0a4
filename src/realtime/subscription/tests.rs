//! Property test: after random operations each session has received exactly its events, in order, each once. Compares
//! the real store, hub and subscriptions with a simple model. `PROPTEST_CASES` sets the number of cases.

mod model;
mod operations;
mod server;

use std::sync::Arc;

use proptest::prelude::*;
use wallcast_core::event::{Epoch, Event, EventId, EventType, Position};
use wallcast_core::ids::ConnectionId;
use wallcast_core::store::RoomMembership;

use super::{ReplayPage, ReplayRange, Subscription};
use crate::realtime::position::{ResumeHint, ResumeOutcome, ResyncReason};
use crate::realtime::writer_state::BATCH;
use model::{Expected, Model, Room, RoomChange};
use operations::{Change, ConnectFrom, Operation, RelativePosition, User, operations};
use server::{PlannedChange, TestServer};

/// Sessions that are open at once; further connects are skipped.
const MAX_SESSIONS: usize = 6;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 10_000, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn each_session_receives_exactly_its_events(operations in operations()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut simulation = Simulation::new().await;
            for operation in operations {
                simulation.run(operation).await;
                assert_eq!(simulation.server.last_event(), simulation.model.last());
            }
            simulation.finish().await;
        });
    }
}

/// The server under test and its model.
struct Simulation {
    server: TestServer,
    model: Model,
    sessions: Vec<TestSession>,
    /// The clients of closed sessions.
    disconnected: Vec<ClientState>,
    /// Every connection id so far; the model uses the index.
    connections: Vec<ConnectionId>,
}

/// An open session.
struct TestSession {
    subscription: Subscription,
    client: ClientState,
    expected: Expected,
}

/// What a session's client remembers.
#[derive(Clone)]
struct ClientState {
    user: User,
    is_help: bool,
    connection: usize,
    pid: String,
    /// The event after which its first session began.
    base: i64,
    /// The last durable event that it received.
    last: Option<i64>,
}

/// A client that connects, and the expected result.
struct ConnectAttempt {
    user: User,
    is_help: bool,
    hint: ResumeHint,
    /// The session that it resumes by `pid`.
    resumed: Option<ClientState>,
    outcome: ResumeOutcome,
    after: i64,
}

impl Simulation {
    async fn new() -> Self {
        Self {
            server: TestServer::new().await,
            model: Model::new(),
            sessions: Vec::new(),
            disconnected: Vec::new(),
            connections: Vec::new(),
        }
    }

    async fn run(&mut self, operation: Operation) {
        match operation {
            Operation::Commit(changes) => self.commit(changes).await,
            Operation::Connect { from, is_help } => self.connect(from, is_help).await,
            Operation::Disconnect(session) => {
                if let Some(session) = self.pick(session) {
                    self.disconnect(session);
                }
            }
            Operation::Drain(session, limit) => {
                if let Some(session) = self.pick(session) {
                    self.sessions[session].drain(limit);
                }
            }
            Operation::Turn(session) => {
                if let Some(session) = self.pick(session) {
                    self.turn(session).await;
                }
            }
            Operation::TurnWithCommit(session, changes) => {
                if let Some(session) = self.pick(session) {
                    self.turn_with_commit(session, changes).await;
                }
            }
            Operation::Rewind(session, position) => {
                if let Some(session) = self.pick(session) {
                    self.rewind(session, position).await;
                }
            }
            Operation::ChangeRoom {
                session,
                room,
                joins_room,
                change,
            } => {
                if let Some(session) = self.pick(session) {
                    self.change_room(session, room, joins_room, change).await;
                }
            }
            Operation::Heartbeat => self.server.heartbeat(),
            Operation::States(entities) => self.server.send_states(entities),
            Operation::Prune(keep) => {
                self.server.prune(keep).await;
                self.model.prune(keep.into());
            }
            Operation::Restart => self.restart().await,
        }
    }

    /// Lets each session receive everything that is left, then checks that none misses an event.
    async fn finish(mut self) {
        for session in 0..self.sessions.len() {
            let mut turns = 0;
            while self.sessions[session].drain(BATCH) > 0
                || self.sessions[session].subscription.is_replaying()
            {
                self.turn(session).await;
                turns += 1;
                assert!(turns < 10_000, "the session never catches up");
            }
            self.sessions[session].expected.assert_complete();
        }
    }

    fn pick(&self, number: usize) -> Option<usize> {
        number.checked_rem(self.sessions.len())
    }

    async fn commit(&mut self, changes: Vec<Change>) {
        let (changes, expected) = self.predict(changes, None);
        let ids = self.server.commit(changes).await;
        assert_eq!(ids, expected);
    }

    /// Applies a commit to the model. Returns the planned changes and the event ids that each must produce. A room that
    /// is joined or left is part of the last change.
    fn predict(
        &mut self,
        changes: Vec<Change>,
        room: Option<(RoomChange, RoomMembership)>,
    ) -> (Vec<PlannedChange>, Vec<Vec<i64>>) {
        let count = changes.len();
        let mut expected = Vec::new();
        let mut planned = Vec::new();
        for (index, change) in changes.into_iter().enumerate() {
            let room = room.clone().filter(|_| index + 1 == count);
            let first = self.model.last() + 1;
            let ids = self
                .model
                .commit(&change, room.as_ref().map(|(room_change, _)| *room_change));
            for session in &mut self.sessions {
                for id in &ids {
                    self.model.offer(&mut session.expected, *id);
                }
            }
            expected.push(ids);
            planned.push(PlannedChange {
                change,
                room: room.map(|(room_change, room)| (room_change.joins_room, room)),
                first,
            });
        }
        (planned, expected)
    }

    async fn connect(&mut self, from: ConnectFrom, is_help: bool) {
        if self.sessions.len() >= MAX_SESSIONS {
            return;
        }
        let attempt = self.attempt(from, is_help);
        let (user, is_help) = (attempt.user, attempt.is_help);
        let (outcome, after) = (attempt.outcome, attempt.after);
        let (session, start, pid) = self
            .server
            .connect(user, server::namespace(is_help), attempt.hint)
            .await;
        assert_eq!((start.outcome, start.after.get()), (outcome, after));
        let resumed = attempt
            .resumed
            .filter(|_| outcome == ResumeOutcome::Recovered);
        assert_eq!(start.resumed.is_some(), resumed.is_some());
        let client = match resumed {
            Some(client) => {
                self.remove_taken_over(client.connection);
                client
            }
            None => {
                self.connections.push(session.id().clone());
                ClientState {
                    user,
                    is_help,
                    connection: self.connections.len() - 1,
                    pid,
                    base: after,
                    last: None,
                }
            }
        };
        let connection = client.connection;
        self.sessions.push(TestSession {
            subscription: Subscription::new(session, start.after),
            expected: self.model.expect(user, connection, is_help, after),
            client,
        });
    }

    /// A client that connects, and the result that the model expects.
    fn attempt(&self, from: ConnectFrom, is_help: bool) -> ConnectAttempt {
        let epoch = self.server.store.epoch();
        let last = self.model.last();
        let fresh = |user| ConnectAttempt {
            user,
            is_help,
            hint: ResumeHint::default(),
            resumed: None,
            outcome: ResumeOutcome::Fresh,
            after: last,
        };
        let at = |user, id| {
            let (outcome, after) = match self.model.reaches(id) {
                true => (ResumeOutcome::Recovered, id),
                false if self.model.is_too_old(id) => {
                    (ResumeOutcome::Lost(ResyncReason::TooOld), last)
                }
                false => (ResumeOutcome::Lost(ResyncReason::Ahead), last),
            };
            ConnectAttempt {
                hint: ResumeHint::from_position(Some(Ok(server::position(epoch, id)))),
                outcome,
                after,
                ..fresh(user)
            }
        };
        match from {
            ConnectFrom::NoPosition(user) => fresh(user),
            ConnectFrom::Position(user, position) => at(user, position.resolve(last)),
            ConnectFrom::Ahead(user) => at(user, last + 1),
            ConnectFrom::OtherEpoch(user) => {
                let elsewhere = server::position(&Epoch::from_stored("elsewhere"), last);
                ConnectAttempt {
                    hint: ResumeHint::from_position(Some(Ok(elsewhere))),
                    outcome: ResumeOutcome::Lost(ResyncReason::EpochChanged),
                    ..fresh(user)
                }
            }
            ConnectFrom::LastEvent(number) => match self.client_at(number) {
                Some(client) => ConnectAttempt {
                    is_help: client.is_help,
                    ..at(client.user, client.last.unwrap_or(client.base))
                },
                None => fresh(User::Kitchen),
            },
            ConnectFrom::Pid(number) => match self.client_at(number) {
                Some(client) => ConnectAttempt {
                    is_help: client.is_help,
                    hint: client.hint(epoch),
                    resumed: Some(client.clone()),
                    ..at(client.user, client.last.unwrap_or(0).max(client.base))
                },
                None => fresh(User::Kitchen),
            },
        }
    }

    /// A client by number: those of open sessions first, then disconnected ones, the latest first.
    fn client_at(&self, number: usize) -> Option<&ClientState> {
        let number = number.checked_rem(self.sessions.len() + self.disconnected.len())?;
        let open = self.sessions.iter().map(|session| &session.client);
        open.chain(self.disconnected.iter().rev()).nth(number)
    }

    /// A session with the same connection id has taken over: if the old one is still open, it must have ended.
    fn remove_taken_over(&mut self, connection: usize) {
        let is_old = |session: &TestSession| session.client.connection == connection;
        if let Some(old) = self.sessions.iter().position(is_old) {
            assert!(
                self.sessions[old]
                    .subscription
                    .session()
                    .outbox()
                    .has_ended()
            );
            self.disconnect(old);
        }
    }

    fn disconnect(&mut self, session: usize) {
        let session = self.sessions.remove(session);
        self.server.drop_session(session.subscription.session());
        self.disconnected.push(session.client);
    }

    async fn turn(&mut self, session: usize) {
        let session = &mut self.sessions[session];
        session.drain(BATCH);
        let range = session.subscription.replays.front().copied();
        let page = self.server.read_page(&mut session.subscription).await;
        session.receive_page(&self.model, range, page);
    }

    async fn turn_with_commit(&mut self, session: usize, changes: Vec<Change>) {
        self.sessions[session].drain(BATCH);
        let range = self.sessions[session].subscription.replays.front().copied();
        let (changes, expected) = self.predict(changes, None);
        let session = &mut self.sessions[session];
        let (page, ids) = self
            .server
            .read_page_with_commit(&mut session.subscription, changes)
            .await;
        assert_eq!(ids, expected);
        session.receive_page(&self.model, range, page);
    }

    async fn rewind(&mut self, session: usize, position: RelativePosition) {
        let id = position.resolve(self.model.last());
        let position = server::position(self.server.store.epoch(), id);
        let session = &mut self.sessions[session];
        let checked = self
            .server
            .rewind(&mut session.subscription, &position)
            .await;
        if self.model.reaches(id) {
            assert_eq!(checked, Ok(()));
            self.model.rewind(&mut session.expected, id);
        } else {
            assert_eq!(checked, Err(ResyncReason::TooOld));
        }
    }

    async fn change_room(&mut self, session: usize, number: u8, joins_room: bool, change: Change) {
        let TestSession {
            subscription,
            client,
            ..
        } = &self.sessions[session];
        let is_help = client.is_help;
        let room = Room { is_help, number };
        let membership = subscription.session().in_room(server::room(room));
        let room_change = RoomChange {
            connection: client.connection,
            room,
            joins_room,
        };
        let (changes, expected) = self.predict(vec![change], Some((room_change, membership)));
        assert_eq!(self.server.commit(changes).await, expected);
    }

    async fn restart(&mut self) {
        while !self.sessions.is_empty() {
            self.disconnect(0);
        }
        self.server.restart().await;
    }
}

impl ClientState {
    /// What a stock Socket.IO client sends to resume.
    fn hint(&self, epoch: &Epoch) -> ResumeHint {
        let offset = |id| Position {
            epoch: epoch.clone(),
            id: EventId::new(id),
        };
        ResumeHint {
            pid: Some(self.pid.clone()),
            offset: self.last.map(offset),
            position: None,
        }
    }
}

impl TestSession {
    /// Receives events from the outbox and returns their number.
    fn drain(&mut self, limit: usize) -> usize {
        let events = self.subscription.drain(limit);
        self.receive(events.iter().map(Arc::as_ref));
        events.len()
    }

    /// Receives a page of history. Only deleted events may be missing, and then the page must be `TooOld`.
    fn receive_page(&mut self, model: &Model, range: Option<ReplayRange>, page: ReplayPage) {
        let reached = range.map(|range| range.reached.get());
        let is_lost = reached.is_some_and(|reached| model.is_too_old(reached));
        match page {
            ReplayPage::Events(events) => {
                assert!(!is_lost, "a gap was not reported");
                self.receive(events.iter());
            }
            ReplayPage::TooOld(bounds) => {
                assert!(is_lost, "a gap was reported although nothing was deleted");
                let until = range.and_then(|range| range.until);
                self.expected.lost(until.unwrap_or(bounds.last).get());
            }
        }
    }

    fn receive<'a>(&mut self, events: impl Iterator<Item = &'a Event>) {
        for event in events {
            let data: serde_json::Value = serde_json::from_str(event.data()).unwrap();
            match event.id() {
                Some(id) => {
                    self.expected.received(id.get());
                    self.client.last = Some(id.get());
                    assert_eq!(data["id"], id.get());
                }
                None if *event.event_type() == EventType::HEARTBEAT => {
                    self.expected
                        .heartbeat_at(data["lastEventId"].as_i64().unwrap());
                }
                None => {}
            }
        }
    }
}

impl RelativePosition {
    fn resolve(self, last: i64) -> i64 {
        match self {
            Self::Fraction(part) => (last + 1) * i64::from(part) / 256,
            Self::FromEnd(back) => (last - i64::from(back)).max(0),
        }
    }
}
