//! Whatever happens in a house, each session is told exactly its events: in order, once, none
//! missing and none that was not its own. Held by lot against a simple model, on the real store
//! and hub. `PROPTEST_CASES` has it try harder.

mod house;
mod model;
mod operations;

use std::sync::Arc;

use proptest::prelude::*;

use super::{ReplayPage, ReplayRange, Subscription};
use crate::realtime::position::{Outcome, ResumeHint, ResyncReason};
use crate::realtime::writer_state::BATCH;
use house::{House, Planned};
use model::{Expected, Model, Move, Room};
use operations::{Change, From, Operation, Place, Who, operations};
use wallcast_core::event::{Epoch, Event, EventId, EventType, Position};
use wallcast_core::ids::ConnectionId;
use wallcast_core::store::RoomMembership;

/// Sessions that are open at once; more are not let in.
const MAX_GUESTS: usize = 6;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 10_000, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn each_session_is_told_exactly_its_events(operations in operations()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut trial = Trial::new().await;
            for operation in operations {
                trial.run(operation).await;
                assert_eq!(trial.house.last_event(), trial.model.last());
            }
            trial.finish().await;
        });
    }
}

/// The house and its model side by side.
struct Trial {
    house: House,
    model: Model,
    guests: Vec<Guest>,
    /// What sessions that are gone remember.
    kept: Vec<Memory>,
    /// Every connection id there was; the model knows them by number.
    connections: Vec<ConnectionId>,
}

/// An open session.
struct Guest {
    subscription: Subscription,
    memory: Memory,
    expected: Expected,
}

/// What the other side of a session keeps.
#[derive(Clone)]
struct Memory {
    who: Who,
    is_help: bool,
    connection: usize,
    pid: String,
    /// The event after which its first session began.
    base: i64,
    /// The last event that it was told.
    last: Option<i64>,
}

/// Somebody who comes in.
struct Arrival {
    who: Who,
    is_help: bool,
    hint: ResumeHint,
    /// The session whose place it is to take.
    continues: Option<Memory>,
    outcome: Outcome,
    after: i64,
}

impl Trial {
    async fn new() -> Self {
        Self {
            house: House::new().await,
            model: Model::new(),
            guests: Vec::new(),
            kept: Vec::new(),
            connections: Vec::new(),
        }
    }

    async fn run(&mut self, operation: Operation) {
        match operation {
            Operation::Commit(changes) => self.commit(changes).await,
            Operation::Connect { from, is_help } => self.connect(from, is_help).await,
            Operation::Drop(guest) => {
                if let Some(guest) = self.pick(guest) {
                    self.leave(guest);
                }
            }
            Operation::Drain(guest, limit) => {
                if let Some(guest) = self.pick(guest) {
                    self.guests[guest].drain(limit);
                }
            }
            Operation::Turn(guest) => {
                if let Some(guest) = self.pick(guest) {
                    self.turn(guest).await;
                }
            }
            Operation::TurnDuring(guest, changes) => {
                if let Some(guest) = self.pick(guest) {
                    self.turn_during(guest, changes).await;
                }
            }
            Operation::Rewind(guest, place) => {
                if let Some(guest) = self.pick(guest) {
                    self.rewind(guest, place).await;
                }
            }
            Operation::Room {
                session,
                room,
                enters,
                change,
            } => {
                if let Some(guest) = self.pick(session) {
                    self.change_room(guest, room, enters, change).await;
                }
            }
            Operation::Heartbeat => self.house.heartbeat(),
            Operation::States(entities) => self.house.send_states(entities),
            Operation::Prune(keep) => {
                self.house.prune(keep).await;
                self.model.prune(keep.into());
            }
            Operation::Restart => self.restart().await,
        }
    }

    /// Everybody takes all that there is, and then has everything.
    async fn finish(mut self) {
        for guest in 0..self.guests.len() {
            let mut turns = 0;
            while self.guests[guest].drain(BATCH) > 0 || self.guests[guest].subscription.is_behind()
            {
                self.turn(guest).await;
                turns += 1;
                assert!(turns < 10_000, "it never comes to an end");
            }
            self.guests[guest].expected.has_everything();
        }
    }

    fn pick(&self, number: usize) -> Option<usize> {
        number.checked_rem(self.guests.len())
    }

    async fn commit(&mut self, changes: Vec<Change>) {
        let (changes, expected) = self.foresee(changes, None);
        let ids = self.house.commit(changes).await;
        assert_eq!(ids, expected);
    }

    /// The model's part of a commit, and the ids that each change is to give. A room that is entered
    /// or left is part of the last change.
    fn foresee(
        &mut self,
        changes: Vec<Change>,
        room: Option<(Move, RoomMembership)>,
    ) -> (Vec<Planned>, Vec<Vec<i64>>) {
        let count = changes.len();
        let mut expected = Vec::new();
        let mut planned = Vec::new();
        for (index, change) in changes.into_iter().enumerate() {
            let room = room.clone().filter(|_| index + 1 == count);
            let first = self.model.last() + 1;
            let ids = self
                .model
                .commit(&change, room.as_ref().map(|(moved, _)| *moved));
            for guest in &mut self.guests {
                for id in &ids {
                    self.model.offer(&mut guest.expected, *id);
                }
            }
            expected.push(ids);
            planned.push(Planned {
                change,
                room: room.map(|(moved, room)| (moved.enters, room)),
                first,
            });
        }
        (planned, expected)
    }

    async fn connect(&mut self, from: From, is_help: bool) {
        if self.guests.len() >= MAX_GUESTS {
            return;
        }
        let arrival = self.arrival(from, is_help);
        let (who, is_help) = (arrival.who, arrival.is_help);
        let (outcome, after) = (arrival.outcome, arrival.after);
        let (session, start, pid) = self
            .house
            .connect(who, house::namespace(is_help), arrival.hint)
            .await;
        assert_eq!((start.outcome, start.after.get()), (outcome, after));
        let continued = arrival.continues.filter(|_| outcome == Outcome::Recovered);
        assert_eq!(start.continues.is_some(), continued.is_some());
        let memory = match continued {
            Some(memory) => {
                self.give_way(memory.connection);
                memory
            }
            None => {
                self.connections.push(session.id().clone());
                Memory {
                    who,
                    is_help,
                    connection: self.connections.len() - 1,
                    pid,
                    base: after,
                    last: None,
                }
            }
        };
        let connection = memory.connection;
        self.guests.push(Guest {
            subscription: Subscription::new(session, start.after),
            expected: self.model.expect(who, connection, is_help, after),
            memory,
        });
    }

    /// Somebody who comes in, and what the model says of that.
    fn arrival(&self, from: From, is_help: bool) -> Arrival {
        let epoch = self.house.store.epoch();
        let last = self.model.last();
        let fresh = |who| Arrival {
            who,
            is_help,
            hint: ResumeHint::default(),
            continues: None,
            outcome: Outcome::Fresh,
            after: last,
        };
        let at = |who, id| {
            let (outcome, after) = match self.model.reaches(id) {
                true => (Outcome::Recovered, id),
                false if self.model.is_too_old(id) => (Outcome::Lost(ResyncReason::TooOld), last),
                false => (Outcome::Lost(ResyncReason::Ahead), last),
            };
            Arrival {
                hint: ResumeHint::at(Some(Ok(house::position(epoch, id)))),
                outcome,
                after,
                ..fresh(who)
            }
        };
        match from {
            From::Nowhere(who) => fresh(who),
            From::Position(who, place) => at(who, place.among(last)),
            From::Ahead(who) => at(who, last + 1),
            From::OtherEpoch(who) => {
                let elsewhere = house::position(&Epoch::from_stored("elsewhere"), last);
                Arrival {
                    hint: ResumeHint::at(Some(Ok(elsewhere))),
                    outcome: Outcome::Lost(ResyncReason::EpochChanged),
                    ..fresh(who)
                }
            }
            From::Kept(number) => match self.memory(number) {
                Some(memory) => Arrival {
                    is_help: memory.is_help,
                    ..at(memory.who, memory.last.unwrap_or(memory.base))
                },
                None => fresh(Who::Kitchen),
            },
            From::Pid(number) => match self.memory(number) {
                Some(memory) => Arrival {
                    is_help: memory.is_help,
                    hint: memory.hint(epoch),
                    continues: Some(memory.clone()),
                    ..at(memory.who, memory.last.unwrap_or(0).max(memory.base))
                },
                None => fresh(Who::Kitchen),
            },
        }
    }

    /// What a session remembers: those that are open first, then the others, the youngest first.
    fn memory(&self, number: usize) -> Option<&Memory> {
        let number = number.checked_rem(self.guests.len() + self.kept.len())?;
        let open = self.guests.iter().map(|guest| &guest.memory);
        open.chain(self.kept.iter().rev()).nth(number)
    }

    /// Another session took this one's place, if it was still there.
    fn give_way(&mut self, connection: usize) {
        let is_it = |guest: &Guest| guest.memory.connection == connection;
        if let Some(old) = self.guests.iter().position(is_it) {
            assert!(self.guests[old].subscription.session().outbox().has_ended());
            self.leave(old);
        }
    }

    fn leave(&mut self, guest: usize) {
        let guest = self.guests.remove(guest);
        self.house.drop_session(guest.subscription.session());
        self.kept.push(guest.memory);
    }

    async fn turn(&mut self, guest: usize) {
        let guest = &mut self.guests[guest];
        guest.drain(BATCH);
        let stretch = guest.subscription.behind.front().copied();
        let recalled = self.house.read_on(&mut guest.subscription).await;
        guest.recall(&self.model, stretch, recalled);
    }

    async fn turn_during(&mut self, guest: usize, changes: Vec<Change>) {
        self.guests[guest].drain(BATCH);
        let stretch = self.guests[guest].subscription.behind.front().copied();
        let (changes, expected) = self.foresee(changes, None);
        let guest = &mut self.guests[guest];
        let (recalled, ids) = self
            .house
            .read_on_during(&mut guest.subscription, changes)
            .await;
        assert_eq!(ids, expected);
        guest.recall(&self.model, stretch, recalled);
    }

    async fn rewind(&mut self, guest: usize, place: Place) {
        let id = place.among(self.model.last());
        let asked = house::position(self.house.store.epoch(), id);
        let guest = &mut self.guests[guest];
        let judged = self.house.rewind(&mut guest.subscription, &asked).await;
        if self.model.reaches(id) {
            assert_eq!(judged, Ok(()));
            self.model.rewind(&mut guest.expected, id);
        } else {
            assert_eq!(judged, Err(ResyncReason::TooOld));
        }
    }

    async fn change_room(&mut self, guest: usize, number: u8, enters: bool, change: Change) {
        let Guest {
            subscription,
            memory,
            ..
        } = &self.guests[guest];
        let is_help = memory.is_help;
        let room = Room { is_help, number };
        let named = subscription.session().in_room(house::room(room));
        let moved = Move {
            connection: memory.connection,
            room,
            enters,
        };
        let (changes, expected) = self.foresee(vec![change], Some((moved, named)));
        assert_eq!(self.house.commit(changes).await, expected);
    }

    async fn restart(&mut self) {
        while !self.guests.is_empty() {
            self.leave(0);
        }
        self.house.restart().await;
    }
}

impl Memory {
    /// What a stock Socket.IO client says of it.
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

impl Guest {
    /// Takes what the outbox has; returns how much that was.
    fn drain(&mut self, limit: usize) -> usize {
        let events = self.subscription.drain(limit);
        self.hear(events.iter().map(Arc::as_ref));
        events.len()
    }

    /// Takes a page of history. It may lack only what was deleted, and must say so then.
    fn recall(&mut self, model: &Model, stretch: Option<ReplayRange>, recalled: ReplayPage) {
        let reached = stretch.map(|stretch| stretch.reached.get());
        let is_lost = reached.is_some_and(|reached| model.is_too_old(reached));
        match recalled {
            ReplayPage::Events(events) => {
                assert!(!is_lost, "deleted, and not said so");
                self.hear(events.iter());
            }
            ReplayPage::TooOld(bounds) => {
                assert!(is_lost, "not deleted");
                let until = stretch.and_then(|stretch| stretch.until);
                self.expected.lost(until.unwrap_or(bounds.last).get());
            }
        }
    }

    fn hear<'a>(&mut self, events: impl Iterator<Item = &'a Event>) {
        for event in events {
            let data: serde_json::Value = serde_json::from_str(event.data()).unwrap();
            match event.id() {
                Some(id) => {
                    self.expected.told(id.get());
                    self.memory.last = Some(id.get());
                    assert_eq!(data["id"], id.get());
                }
                None if *event.event_type() == EventType::HEARTBEAT => {
                    self.expected
                        .stands_at(data["lastEventId"].as_i64().unwrap());
                }
                None => {}
            }
        }
    }
}

impl Place {
    fn among(self, last: i64) -> i64 {
        match self {
            Self::Part(part) => (last + 1) * i64::from(part) / 256,
            Self::Back(back) => (last - i64::from(back)).max(0),
        }
    }
}
