//! The server under test: a store in a temporary folder, the hub that receives its commits, and the steps that a
//! connection takes for its sessions.

use std::sync::{Arc, mpsc};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use tempfile::TempDir;
use wallcast_core::auth::{KEY_BYTES, Principal, Signer, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Epoch, Event, EventId, EventType, Namespace, NewEvent, Topic};
use wallcast_core::history;
use wallcast_core::hub::{ConnectionWriter, Dialect, Hub, Session};
use wallcast_core::ids::{ConnectionId, UserId};
use wallcast_core::store::RoomMembership;
use wallcast_core::store::{DataFolder, Store, StoreError, WriteTx};

use super::model::Room;
use super::operations::{Change, Publication, Target, User};
use crate::access::entitlement;
use crate::realtime::pid::Pid;
use crate::realtime::position::{
    HistoryBounds, ResumeHint, ResumePosition, ResyncReason, StartPoint,
};
use crate::realtime::subscription::{self, ReplayPage, Subscription};
use crate::realtime::writer_state::BATCH;

pub(super) struct TestServer {
    data: DataFolder,
    _folder: TempDir,
    pub(super) store: Store,
    hub: Arc<Hub>,
    signer: Signer,
}

/// Queued writes; each returns the ids of its events, or none if it was rolled back.
type Queued = Vec<BoxFuture<'static, Option<Vec<i64>>>>;

impl TestServer {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::claim(folder.path()).unwrap();
        let (store, hub) = start(&data).await;
        Self {
            data,
            _folder: folder,
            store,
            hub,
            signer: Signer::new(&[7; KEY_BYTES]),
        }
    }

    pub(super) async fn restart(&mut self) {
        self.store.clone().close().await;
        (self.store, self.hub) = start(&self.data).await;
    }

    /// Registers a session, as `registration` does after authentication.
    pub(super) async fn connect(
        &self,
        user: User,
        namespace: Namespace,
        hint: ResumeHint,
    ) -> (Arc<Session>, StartPoint, String) {
        let (hub, epoch, signer) = (
            self.hub.clone(),
            self.store.epoch().clone(),
            self.signer.clone(),
        );
        let registered = self.store.read_at_commit(move |db, last| {
            let bounds = HistoryBounds::read(db, epoch.clone(), last)?;
            let start = hint.resolve(&signer, &subject(user), namespace, &bounds);
            let (id, pid) = start.resumed.clone().unwrap_or_else(|| {
                let id = ConnectionId::random();
                let base = start.after;
                let pid = Pid {
                    id: id.clone(),
                    epoch,
                    base,
                };
                (id, pid.seal(&signer, &subject(user), namespace))
            });
            let principal = Principal {
                subject: subject(user),
                ..Principal::local_admin(UserId::random())
            };
            let writer = Arc::<ConnectionWriter<()>>::default();
            let session = Session::new(id, principal, namespace, Dialect::Json, None, writer);
            let session = Arc::new(session);
            let rooms = entitlement::rooms(db, session.id(), last)?;
            subscription::register(&hub, db, &session, &rooms, start.after, last, usize::MAX)?;
            Ok::<_, StoreError>((session, start, pid))
        });
        registered.await.unwrap()
    }

    pub(super) fn drop_session(&self, session: &Session) {
        self.hub.unregister(session);
    }

    /// Handles `resume` as the connection does.
    pub(super) async fn rewind(
        &self,
        subscription: &mut Subscription,
        position: &ResumePosition,
    ) -> Result<(), ResyncReason> {
        let epoch = self.store.epoch().clone();
        let read = move |db: &_, last| Ok::<_, StoreError>(HistoryBounds::read(db, epoch, last)?);
        let bounds = self.store.read_at_commit(read).await.unwrap();
        bounds.check(position)?;
        subscription.rewind(position.id);
        Ok(())
    }

    pub(super) async fn read_page(&self, subscription: &mut Subscription) -> ReplayPage {
        subscription.read_page(&self.store, BATCH).await.unwrap()
    }

    /// Commits the changes together. Returns the ids of each change's events.
    pub(super) async fn commit(&self, changes: Vec<PlannedChange>) -> Vec<Vec<i64>> {
        let release = self.hold_writer().await;
        let queued = self.queue(changes);
        drop(release);
        event_ids(queued).await
    }

    /// Reads a page of history, and commits the changes before the session tries to go live.
    pub(super) async fn read_page_with_commit(
        &self,
        subscription: &mut Subscription,
        changes: Vec<PlannedChange>,
    ) -> (ReplayPage, Vec<Vec<i64>>) {
        let release = self.hold_writer().await;
        let queued = self.queue(changes);
        let mut reading = Box::pin(subscription.read_page(&self.store, BATCH));
        let mut page = (&mut reading).now_or_never();
        // The reader thread works in order: after this read the page is ready.
        let after = self.store.read(|_| Ok::<_, StoreError>(()));
        after.await.unwrap();
        if page.is_none() {
            page = (&mut reading).now_or_never();
        }
        drop(release);
        let ids = event_ids(queued).await;
        let page = match page {
            Some(page) => page,
            None => reading.await,
        };
        (page.unwrap(), ids)
    }

    pub(super) fn last_event(&self) -> i64 {
        self.hub.last_event().get()
    }

    pub(super) fn heartbeat(&self) {
        self.hub.heartbeat(self.store.epoch());
    }

    pub(super) fn send_states(&self, entities: usize) {
        for number in 0..entities {
            let state = NewEvent::new(
                EventType::AREA_UPDATED,
                &serde_json::json!({}),
                vec![Topic::All],
            );
            let state = Event::ephemeral(state, Timestamp::now());
            self.hub.publish(state.conflated_by(&number.to_string()));
        }
    }

    pub(super) async fn prune(&self, keep: u16) {
        let pruned = self.store.write(move |tx| {
            let (db, ever) = (tx.connection(), Timestamp::from_unix_ms(0));
            history::trim(db, ever, keep.into(), usize::MAX)?;
            Ok::<_, StoreError>(())
        });
        pruned.await.unwrap();
    }

    /// Keeps the writer busy until the returned sender is dropped.
    async fn hold_writer(&self) -> mpsc::Sender<()> {
        let (release, released) = mpsc::channel();
        let (begin, begun) = tokio::sync::oneshot::channel();
        let store = self.store.clone();
        tokio::spawn(async move {
            let held = store.read_at_commit(move |_, _| {
                begin.send(()).unwrap();
                // A dropped sender releases.
                let _ = released.recv();
                Ok::<_, StoreError>(())
            });
            held.await.unwrap();
        });
        begun.await.unwrap();
        release
    }

    fn queue(&self, changes: Vec<PlannedChange>) -> Queued {
        let mut queued = Queued::new();
        for planned in changes {
            let store = self.store.clone();
            let mut write = async move {
                let written = store.write(move |tx| apply(tx, planned));
                match written.await {
                    Ok(ids) => Some(ids),
                    Err(ChangeError::Intended) => None,
                    Err(ChangeError::Store(error)) => panic!("{error}"),
                }
            }
            .boxed();
            assert!((&mut write).now_or_never().is_none(), "the writer is held");
            queued.push(write);
        }
        queued
    }
}

/// Opens the store and the hub as the server does when it starts.
async fn start(data: &DataFolder) -> (Store, Arc<Hub>) {
    let hub = Arc::new(Hub::new());
    let store = Store::open(data, hub.clone()).unwrap();
    let starting = hub.clone();
    let started = store.read_at_commit(move |_, last| {
        starting.set_last_event(last);
        Ok::<_, StoreError>(())
    });
    started.await.unwrap();
    (store, hub)
}

pub(super) struct PlannedChange {
    pub(super) change: Change,
    /// A room that is joined (true) or left with the change.
    pub(super) room: Option<(bool, RoomMembership)>,
    /// The id of its first event.
    pub(super) first: i64,
}

/// Why a change was rolled back.
#[derive(Debug)]
enum ChangeError {
    Intended,
    Store(StoreError),
}

impl<E: Into<StoreError>> std::convert::From<E> for ChangeError {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}

async fn event_ids(queued: Queued) -> Vec<Vec<i64>> {
    let ids = join_all(queued).await;
    ids.into_iter().map(Option::unwrap_or_default).collect()
}

fn apply(tx: &mut WriteTx<'_>, planned: PlannedChange) -> Result<Vec<i64>, ChangeError> {
    let PlannedChange {
        change,
        room,
        first,
    } = planned;
    for (user, number) in &change.joins {
        tx.join(subject(*user), area(*number));
    }
    for (user, number) in &change.leaves {
        tx.leave(subject(*user), area(*number));
    }
    match room {
        Some((true, room)) => tx.enter_room(room),
        Some((false, room)) => tx.leave_room(room),
        None => {}
    }
    let mut ids: Vec<i64> = Vec::new();
    for publication in &change.publications {
        for _ in 0..publication.count {
            if publication.is_durable {
                let id = first + i64::try_from(ids.len()).unwrap();
                ids.push(tx.publish(event(publication, id))?.get());
            } else {
                tx.publish_ephemeral(event(publication, 0));
            }
        }
    }
    match change.fails {
        true => Err(ChangeError::Intended),
        false => Ok(ids),
    }
}

/// An event whose data contains the id that it must get.
fn event(publication: &Publication, id: i64) -> NewEvent {
    let data = serde_json::json!({ "id": id, "x": "x".repeat(publication.size) });
    let topics = publication.targets.iter().map(|target| match target {
        Target::All => Topic::All,
        Target::Admins => Topic::Admins,
        Target::Client(user) => Topic::Client(name(*user).parse().unwrap()),
        Target::Area(number) => area(*number),
        Target::Room(number) => room(Room {
            is_help: publication.is_help,
            number: *number,
        }),
    });
    let event_type = match publication.is_help {
        true => EventType::from_stored("help_requested"),
        false => EventType::AREA_UPDATED,
    };
    NewEvent::new(event_type, &data, topics.collect())
}

pub(super) fn namespace(is_help: bool) -> Namespace {
    match is_help {
        true => Namespace::Help,
        false => Namespace::Main,
    }
}

pub(super) fn position(epoch: &Epoch, id: i64) -> ResumePosition {
    ResumePosition {
        epoch: Some(epoch.clone()),
        id: EventId::new(id),
    }
}

fn name(user: User) -> &'static str {
    match user {
        User::Kitchen => "kitchen",
        User::Hall => "hall",
        User::Admin => "admin",
    }
}

fn subject(user: User) -> Subject {
    match user {
        User::Admin => Subject::Admin(name(user).parse().unwrap()),
        User::Kitchen | User::Hall => Subject::Client(name(user).parse().unwrap()),
    }
}

fn area(number: u8) -> Topic {
    Topic::Area(format!("area{number}").parse().unwrap())
}

pub(super) fn room(room: Room) -> Topic {
    let name = format!("room{}", room.number).parse().unwrap();
    Topic::Room(namespace(room.is_help), name)
}
