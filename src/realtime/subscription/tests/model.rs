//! The model: every event, and its recipients at the time of the commit. Knows no outboxes, pages or spans.

use std::collections::BTreeSet;

use super::operations::{Change, Publication, Target, User};

/// A recipient of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Receiver {
    /// Every session of a user.
    User(User),
    /// One session and those that resume it, by the number of its connection.
    Session(usize),
}

/// A room in the main or the help namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Room {
    pub(super) is_help: bool,
    pub(super) number: u8,
}

/// A connection that joins or leaves a room in a change.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoomChange {
    pub(super) connection: usize,
    pub(super) room: Room,
    pub(super) joins_room: bool,
}

#[derive(Debug)]
struct PublishedEvent {
    receivers: BTreeSet<Receiver>,
    is_help: bool,
}

#[derive(Debug)]
pub(super) struct Model {
    /// The event with id `n` is at index `n - 1`.
    events: Vec<PublishedEvent>,
    areas: BTreeSet<(User, u8)>,
    rooms: BTreeSet<(usize, Room)>,
    /// The id of the oldest event that is kept; if none is kept, of the next event.
    floor: i64,
}

/// The events that one session must still receive.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    user: User,
    connection: usize,
    is_help: bool,
    /// The session receives all of its events after this one.
    pub(super) after: i64,
    pending: BTreeSet<i64>,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            events: Vec::new(),
            areas: BTreeSet::new(),
            rooms: BTreeSet::new(),
            floor: 1,
        }
    }

    pub(super) fn last(&self) -> i64 {
        i64::try_from(self.events.len()).unwrap()
    }

    /// Whether everything after this position can still be replayed.
    pub(super) fn reaches(&self, position: i64) -> bool {
        self.floor - 1 <= position && position <= self.last()
    }

    pub(super) fn is_too_old(&self, position: i64) -> bool {
        position < self.floor - 1
    }

    /// Commits one change. Members before or after the change receive its events.
    pub(super) fn commit(&mut self, change: &Change, room_change: Option<RoomChange>) -> Vec<i64> {
        if change.fails {
            return Vec::new();
        }
        self.areas.extend(&change.joins);
        let joined = room_change.filter(|room_change| room_change.joins_room);
        self.rooms
            .extend(joined.map(|joined| (joined.connection, joined.room)));
        let mut ids = Vec::new();
        for publication in change.durable() {
            let receivers: BTreeSet<Receiver> = publication
                .targets
                .iter()
                .flat_map(|target| self.receivers(*target, publication))
                .collect();
            for _ in 0..publication.count {
                self.events.push(PublishedEvent {
                    receivers: receivers.clone(),
                    is_help: publication.is_help,
                });
                ids.push(self.last());
            }
        }
        for left in &change.leaves {
            self.areas.remove(left);
        }
        if let Some(left) = room_change.filter(|room_change| !room_change.joins_room) {
            self.rooms.remove(&(left.connection, left.room));
        }
        ids
    }

    fn receivers(&self, target: Target, publication: &Publication) -> Vec<Receiver> {
        match target {
            Target::All => User::ALL.map(Receiver::User).to_vec(),
            Target::Admins => vec![Receiver::User(User::Admin)],
            Target::Client(user) => vec![Receiver::User(user)],
            Target::Area(area) => {
                let members = self.areas.iter().filter(|(_, other)| *other == area);
                members.map(|(user, _)| Receiver::User(*user)).collect()
            }
            Target::Room(number) => {
                let is_help = publication.is_help;
                let room = Room { is_help, number };
                let members = self.rooms.iter().filter(|(_, other)| *other == room);
                members
                    .map(|(session, _)| Receiver::Session(*session))
                    .collect()
            }
        }
    }

    /// Deletes all but the newest `keep` events.
    pub(super) fn prune(&mut self, keep: i64) {
        self.floor = self.floor.max(self.last() - keep + 1);
    }

    /// The events that a session starting after `after` must receive.
    pub(super) fn expect(
        &self,
        user: User,
        connection: usize,
        is_help: bool,
        after: i64,
    ) -> Expected {
        let mut expected = Expected {
            user,
            connection,
            is_help,
            after: self.last(),
            pending: BTreeSet::new(),
        };
        self.rewind(&mut expected, after);
        expected
    }

    /// The session resumes from an earlier position.
    pub(super) fn rewind(&self, expected: &mut Expected, to: i64) {
        for id in to + 1..=expected.after {
            self.offer(expected, id);
        }
        expected.after = expected.after.min(to);
    }

    /// Adds an event to what a session must receive, if the session is a recipient.
    pub(super) fn offer(&self, expected: &mut Expected, id: i64) {
        let event = &self.events[usize::try_from(id - 1).unwrap()];
        let own = [
            Receiver::User(expected.user),
            Receiver::Session(expected.connection),
        ];
        let is_recipient = own.iter().any(|own| event.receivers.contains(own));
        if is_recipient && (event.is_help || !expected.is_help) {
            expected.pending.insert(id);
        }
    }
}

impl Expected {
    /// The session received this event. It must be the next one expected.
    pub(super) fn received(&mut self, id: i64) {
        let next = self.pending.pop_first();
        assert_eq!(
            next,
            Some(id),
            "received in place of the next expected event"
        );
    }

    /// The session received a heartbeat with this last event id. It must have received everything up to it.
    pub(super) fn heartbeat_at(&self, id: i64) {
        let next = self.pending.first();
        let is_early = next.is_some_and(|next| *next <= id);
        assert!(!is_early, "heartbeat with {id} came before event {next:?}");
    }

    /// The session received `resync_required` for the events up to this one.
    pub(super) fn lost(&mut self, until: i64) {
        self.pending = self.pending.split_off(&(until + 1));
    }

    pub(super) fn assert_complete(&self) {
        assert_eq!(self.pending, BTreeSet::new(), "events were never received");
    }
}
