//! The random operations of the property test, as values that proptest can generate and shrink.

use proptest::collection::vec;
use proptest::prelude::*;

/// The users that have sessions: two tablets and an admin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum User {
    Kitchen,
    Hall,
    Admin,
}

impl User {
    pub(super) const ALL: [Self; 3] = [Self::Kitchen, Self::Hall, Self::Admin];
}

/// The audience of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    All,
    Admins,
    Client(User),
    Area(u8),
    /// The room of this number, in the namespace of the event.
    Room(u8),
}

/// The same event, published `count` times.
#[derive(Clone, Debug)]
pub(super) struct Publication {
    pub(super) targets: Vec<Target>,
    pub(super) is_help: bool,
    pub(super) is_durable: bool,
    pub(super) count: usize,
    /// Bytes of its data.
    pub(super) size: usize,
}

/// A change that is committed as a whole, or rolled back if it `fails`.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) joins: Vec<(User, u8)>,
    pub(super) publications: Vec<Publication>,
    pub(super) leaves: Vec<(User, u8)>,
    pub(super) fails: bool,
}

impl Change {
    pub(super) fn durable(&self) -> impl Iterator<Item = &Publication> {
        self.publications
            .iter()
            .filter(|publication| publication.is_durable)
    }
}

/// A position in the history, relative to its length.
#[derive(Clone, Copy, Debug)]
pub(super) enum RelativePosition {
    /// At this many 256ths of all events.
    Fraction(u8),
    /// This many events before the last.
    FromEnd(u8),
}

/// How a client connects.
#[derive(Clone, Debug)]
pub(super) enum ConnectFrom {
    NoPosition(User),
    Position(User, RelativePosition),
    Ahead(User),
    OtherEpoch(User),
    /// From the last event that a numbered client received. Clients of open sessions come first, then disconnected
    /// ones, the latest first.
    LastEvent(usize),
    /// Resuming the session of such a client by its `pid`.
    Pid(usize),
}

/// Sessions are numbered, modulo the number of open sessions.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    /// Changes that share a commit.
    Commit(Vec<Change>),
    Connect {
        from: ConnectFrom,
        is_help: bool,
    },
    Disconnect(usize),
    /// The session takes this many events from its outbox, unless it replays.
    Drain(usize, usize),
    /// A turn of the connection's loop: events from the outbox, then a page of history if the session replays.
    Turn(usize),
    /// A turn, with changes committed between the page and the attempt to go live.
    TurnWithCommit(usize, Vec<Change>),
    /// `resume`.
    Rewind(usize, RelativePosition),
    ChangeRoom {
        session: usize,
        room: u8,
        joins_room: bool,
        change: Change,
    },
    Heartbeat,
    /// States of this many entities, published to all.
    States(usize),
    /// Delete all but this many events.
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
        4 => session().prop_map(Operation::Disconnect),
        8 => (session(), prop_oneof![1..4_usize, Just(64)])
            .prop_map(|(session, limit)| Operation::Drain(session, limit)),
        8 => session().prop_map(Operation::Turn),
        6 => (session(), vec(change(), 1..3))
            .prop_map(|(session, changes)| Operation::TurnWithCommit(session, changes)),
        4 => (session(), position())
            .prop_map(|(session, position)| Operation::Rewind(session, position)),
        7 => (session(), 0..2_u8, prop::bool::weighted(0.7), change()).prop_map(
            |(session, room, joins_room, change)| Operation::ChangeRoom { session, room, joins_room, change }
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
        vec(publication(), 0..3),
        vec(member(), 0..2),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(joins, publications, leaves, fails)| Change {
            joins,
            publications,
            leaves,
            fails,
        })
}

fn publication() -> impl Strategy<Value = Publication> {
    // Includes bursts with more frames, or more bytes, than an outbox holds.
    let bulk = prop_oneof![
        8 => (1..4_usize, Just(20)),
        1 => (200..300_usize, Just(20)),
        1 => (1..5_usize, Just(100_000)),
    ];
    let (is_help, is_durable) = (prop::bool::weighted(0.3), prop::bool::weighted(0.9));
    (vec(target(), 1..3), is_help, is_durable, bulk).prop_map(
        |(targets, is_help, is_durable, (count, size))| Publication {
            targets,
            is_help,
            is_durable,
            count,
            size,
        },
    )
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        Just(Target::All),
        Just(Target::Admins),
        tablet().prop_map(Target::Client),
        (0..2_u8).prop_map(Target::Area),
        (0..2_u8).prop_map(Target::Room),
    ]
}

fn tablet() -> impl Strategy<Value = User> {
    prop_oneof![Just(User::Kitchen), Just(User::Hall)]
}

fn user() -> impl Strategy<Value = User> {
    prop_oneof![3 => Just(User::Kitchen), 2 => Just(User::Hall), 1 => Just(User::Admin)]
}

fn from() -> impl Strategy<Value = ConnectFrom> {
    prop_oneof![
        3 => user().prop_map(ConnectFrom::NoPosition),
        3 => (user(), position()).prop_map(|(user, position)| ConnectFrom::Position(user, position)),
        1 => user().prop_map(ConnectFrom::Ahead),
        1 => user().prop_map(ConnectFrom::OtherEpoch),
        3 => (0..9_usize).prop_map(ConnectFrom::LastEvent),
        6 => (0..9_usize).prop_map(ConnectFrom::Pid),
    ]
}

fn position() -> impl Strategy<Value = RelativePosition> {
    prop_oneof![
        any::<u8>().prop_map(RelativePosition::Fraction),
        (0..20_u8).prop_map(RelativePosition::FromEnd)
    ]
}
