//! What may happen in a house, as values that can be drawn by lot and made smaller.

use proptest::collection::vec;
use proptest::prelude::*;

/// Who has sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Who {
    Kitchen,
    Hall,
    Admin,
}

impl Who {
    pub(super) const ALL: [Self; 3] = [Self::Kitchen, Self::Hall, Self::Admin];
}

/// Where an event is addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    All,
    Admins,
    Tablet(Who),
    Area(u8),
    /// The room of this number, in the namespace of the event.
    Room(u8),
}

/// The same event several times.
#[derive(Clone, Debug)]
pub(super) struct News {
    pub(super) to: Vec<To>,
    pub(super) is_help: bool,
    pub(super) is_durable: bool,
    pub(super) count: usize,
    /// Bytes of its data.
    pub(super) size: usize,
}

/// What is committed whole or not at all.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) joins: Vec<(Who, u8)>,
    pub(super) news: Vec<News>,
    pub(super) leaves: Vec<(Who, u8)>,
    pub(super) fails: bool,
}

impl Change {
    pub(super) fn durable(&self) -> impl Iterator<Item = &News> {
        self.news.iter().filter(|news| news.is_durable)
    }
}

/// A position.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// A part of 256 of all there are.
    Part(u8),
    /// So many before the last.
    Back(u8),
}

/// Where a session comes from.
#[derive(Clone, Debug)]
pub(super) enum From {
    Nowhere(Who),
    Position(Who, Place),
    Ahead(Who),
    OtherEpoch(Who),
    /// From the last event that another session of its own was told: an open one or, above those,
    /// one that is gone, the youngest first.
    Kept(usize),
    /// In the place of such a session, by its `pid`.
    Pid(usize),
}

/// One thing that happens. Sessions are named by a number, modulo how many there are.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    /// Changes that share a commit.
    Commit(Vec<Change>),
    Connect {
        from: From,
        is_help: bool,
    },
    Drop(usize),
    /// The session takes so many events from its outbox, if it is not behind.
    Drain(usize, usize),
    /// A turn of the connection's loop: what the outbox has, then a page of history if it is behind.
    Turn(usize),
    /// The same, and these are committed between the page and the attempt to go live.
    TurnDuring(usize, Vec<Change>),
    /// `resume`.
    Rewind(usize, Place),
    Room {
        session: usize,
        room: u8,
        enters: bool,
        change: Change,
    },
    Heartbeat,
    /// States of so many entities, told to all.
    States(usize),
    /// All events go but so many.
    Prune(u16),
    Restart,
}

pub(super) fn operations() -> impl Strategy<Value = Vec<Operation>> {
    vec(operation(), 1..100)
}

fn operation() -> impl Strategy<Value = Operation> {
    let session = || 0..6_usize;
    prop_oneof![
        10 => vec(change(), 1..4).prop_map(Operation::Commit),
        8 => (from(), prop::bool::weighted(0.2))
            .prop_map(|(from, is_help)| Operation::Connect { from, is_help }),
        4 => session().prop_map(Operation::Drop),
        8 => (session(), prop_oneof![1..4_usize, Just(64)])
            .prop_map(|(session, limit)| Operation::Drain(session, limit)),
        8 => session().prop_map(Operation::Turn),
        6 => (session(), vec(change(), 1..3))
            .prop_map(|(session, changes)| Operation::TurnDuring(session, changes)),
        4 => (session(), place())
            .prop_map(|(session, place)| Operation::Rewind(session, place)),
        7 => (session(), 0..2_u8, prop::bool::weighted(0.7), change()).prop_map(
            |(session, room, enters, change)| Operation::Room { session, room, enters, change }
        ),
        2 => Just(Operation::Heartbeat),
        1 => prop_oneof![1..5_usize, Just(300)].prop_map(Operation::States),
        1 => prop_oneof![0..20_u16, 0..600_u16].prop_map(Operation::Prune),
        1 => Just(Operation::Restart),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let member = || (tablet(), 0..2_u8);
    (
        vec(member(), 0..2),
        vec(news(), 0..3),
        vec(member(), 0..2),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(joins, news, leaves, fails)| Change {
            joins,
            news,
            leaves,
            fails,
        })
}

fn news() -> impl Strategy<Value = News> {
    // Bursts that are too many frames, or too many bytes, for an outbox.
    let bulk = prop_oneof![
        8 => (1..4_usize, Just(20)),
        1 => (200..300_usize, Just(20)),
        1 => (1..5_usize, Just(100_000)),
    ];
    let (is_help, is_durable) = (prop::bool::weighted(0.3), prop::bool::weighted(0.9));
    (vec(to(), 1..3), is_help, is_durable, bulk).prop_map(
        |(to, is_help, is_durable, (count, size))| News {
            to,
            is_help,
            is_durable,
            count,
            size,
        },
    )
}

fn to() -> impl Strategy<Value = To> {
    prop_oneof![
        Just(To::All),
        Just(To::Admins),
        tablet().prop_map(To::Tablet),
        (0..2_u8).prop_map(To::Area),
        (0..2_u8).prop_map(To::Room),
    ]
}

fn tablet() -> impl Strategy<Value = Who> {
    prop_oneof![Just(Who::Kitchen), Just(Who::Hall)]
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![3 => Just(Who::Kitchen), 2 => Just(Who::Hall), 1 => Just(Who::Admin)]
}

fn from() -> impl Strategy<Value = From> {
    prop_oneof![
        3 => who().prop_map(From::Nowhere),
        3 => (who(), place()).prop_map(|(who, place)| From::Position(who, place)),
        1 => who().prop_map(From::Ahead),
        1 => who().prop_map(From::OtherEpoch),
        3 => (0..9_usize).prop_map(From::Kept),
        6 => (0..9_usize).prop_map(From::Pid),
    ]
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        any::<u8>().prop_map(Place::Part),
        (0..20_u8).prop_map(Place::Back)
    ]
}
