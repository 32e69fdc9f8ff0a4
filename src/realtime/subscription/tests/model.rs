//! The model: every event there ever was, and for each who was entitled to it when it was
//! committed. Knows nothing of outboxes, pages or intervals.

use std::collections::BTreeSet;

use super::operations::{Change, News, To, Who};

/// Who may hear an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ear {
    /// Every session of a principal.
    Of(Who),
    /// One session and those that take its place, by the number of its connection.
    In(usize),
}

/// A room, in the main namespace or that of help requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Room {
    pub(super) is_help: bool,
    pub(super) number: u8,
}

/// A connection that enters a room or leaves it in a change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    pub(super) connection: usize,
    pub(super) room: Room,
    pub(super) enters: bool,
}

#[derive(Debug)]
struct Told {
    ears: BTreeSet<Ear>,
    is_help: bool,
}

#[derive(Debug)]
pub(super) struct Model {
    /// The event of id `n` is at `n - 1`.
    events: Vec<Told>,
    areas: BTreeSet<(Who, u8)>,
    rooms: BTreeSet<(usize, Room)>,
    /// The oldest event that is kept, or the next one.
    floor: i64,
}

/// What one session has yet to be told.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    who: Who,
    connection: usize,
    is_help: bool,
    /// It is told everything of its own after this.
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

    /// Whether everything after this position can still be told.
    pub(super) fn reaches(&self, position: i64) -> bool {
        self.floor - 1 <= position && position <= self.last()
    }

    pub(super) fn is_too_old(&self, position: i64) -> bool {
        position < self.floor - 1
    }

    /// One change is committed: who belongs before it or after it may hear it.
    pub(super) fn commit(&mut self, change: &Change, moved: Option<Move>) -> Vec<i64> {
        if change.fails {
            return Vec::new();
        }
        self.areas.extend(&change.joins);
        let entered = moved.filter(|moved| moved.enters);
        self.rooms
            .extend(entered.map(|moved| (moved.connection, moved.room)));
        let mut ids = Vec::new();
        for news in change.durable() {
            let ears: BTreeSet<Ear> = news.to.iter().flat_map(|to| self.ears(*to, news)).collect();
            for _ in 0..news.count {
                self.events.push(Told {
                    ears: ears.clone(),
                    is_help: news.is_help,
                });
                ids.push(self.last());
            }
        }
        for left in &change.leaves {
            self.areas.remove(left);
        }
        if let Some(left) = moved.filter(|moved| !moved.enters) {
            self.rooms.remove(&(left.connection, left.room));
        }
        ids
    }

    fn ears(&self, to: To, news: &News) -> Vec<Ear> {
        match to {
            To::All => Who::ALL.map(Ear::Of).to_vec(),
            To::Admins => vec![Ear::Of(Who::Admin)],
            To::Tablet(who) => vec![Ear::Of(who)],
            To::Area(area) => {
                let members = self.areas.iter().filter(|(_, of)| *of == area);
                members.map(|(who, _)| Ear::Of(*who)).collect()
            }
            To::Room(number) => {
                let is_help = news.is_help;
                let room = Room { is_help, number };
                let inside = self.rooms.iter().filter(|(_, of)| *of == room);
                inside.map(|(session, _)| Ear::In(*session)).collect()
            }
        }
    }

    /// All but the newest `keep` events are gone.
    pub(super) fn prune(&mut self, keep: i64) {
        self.floor = self.floor.max(self.last() - keep + 1);
    }

    /// What a session that begins behind `after` is to be told.
    pub(super) fn expect(
        &self,
        who: Who,
        connection: usize,
        is_help: bool,
        after: i64,
    ) -> Expected {
        let mut expected = Expected {
            who,
            connection,
            is_help,
            after: self.last(),
            pending: BTreeSet::new(),
        };
        self.rewind(&mut expected, after);
        expected
    }

    /// The session asks for an earlier position.
    pub(super) fn rewind(&self, expected: &mut Expected, to: i64) {
        for id in to + 1..=expected.after {
            self.offer(expected, id);
        }
        expected.after = expected.after.min(to);
    }

    /// A session that is there when the event is committed is to be told it, if it is its own.
    pub(super) fn offer(&self, expected: &mut Expected, id: i64) {
        let told = &self.events[usize::try_from(id - 1).unwrap()];
        let own = [Ear::Of(expected.who), Ear::In(expected.connection)];
        if own.iter().any(|ear| told.ears.contains(ear)) && (told.is_help || !expected.is_help) {
            expected.pending.insert(id);
        }
    }
}

impl Expected {
    /// The session was told this event: it must be the next of those that are its own.
    pub(super) fn told(&mut self, id: i64) {
        let next = self.pending.pop_first();
        assert_eq!(next, Some(id), "told instead of what was to come next");
    }

    /// The session was told that it stands at this event.
    pub(super) fn stands_at(&self, id: i64) {
        let next = self.pending.first();
        let is_behind = next.is_some_and(|next| *next <= id);
        assert!(!is_behind, "said to be at {id} before it was told {next:?}");
    }

    /// The session was told that it lost what came up to this event.
    pub(super) fn lost(&mut self, until: i64) {
        self.pending = self.pending.split_off(&(until + 1));
    }

    pub(super) fn has_everything(&self) {
        assert_eq!(self.pending, BTreeSet::new(), "never told");
    }
}
