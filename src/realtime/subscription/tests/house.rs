//! The real thing: a store in a folder of its own, the hub that hears its commits, and what a
//! connection does for its sessions between the two.

use std::sync::{Arc, mpsc};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use tempfile::TempDir;

use super::model::Room;
use super::operations::{Change, News, To, Who};
use crate::access::entitlement;
use crate::realtime::pid::Pid;
use crate::realtime::position::{HistoryBounds, ResumeHint, ResumePosition, ResyncReason, Start};
use crate::realtime::subscription::{self, ReplayPage, Subscription};
use crate::realtime::writer_state::BATCH;
use wallcast_core::auth::{KEY_BYTES, Principal, Signer, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Epoch, Event, EventId, EventType, Namespace, NewEvent, Topic};
use wallcast_core::history;
use wallcast_core::hub::{ConnectionWriter, Dialect, Hub, Session};
use wallcast_core::ids::{ConnectionId, UserId};
use wallcast_core::store::RoomMembership;
use wallcast_core::store::{DataFolder, Store, StoreError, WriteTx};

pub(super) struct House {
    data: DataFolder,
    _folder: TempDir,
    pub(super) store: Store,
    hub: Arc<Hub>,
    signer: Signer,
}

/// Writes that were queued, and will answer with the ids that they gave.
type Queued = Vec<BoxFuture<'static, Option<Vec<i64>>>>;

impl House {
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

    /// Lets somebody in, as `entry` does once the proof stands.
    pub(super) async fn connect(
        &self,
        who: Who,
        namespace: Namespace,
        hint: ResumeHint,
    ) -> (Arc<Session>, Start, String) {
        let (hub, epoch, signer) = (
            self.hub.clone(),
            self.store.epoch().clone(),
            self.signer.clone(),
        );
        let entered = self.store.read_at_commit(move |db, last| {
            let bounds = HistoryBounds::read(db, epoch.clone(), last)?;
            let start = hint.resolve(&signer, &subject(who), namespace, &bounds);
            let continued = start.continues.clone();
            let (id, pid) = continued.unwrap_or_else(|| {
                let id = ConnectionId::random();
                let base = start.after;
                let pid = Pid {
                    id: id.clone(),
                    epoch,
                    base,
                };
                (id, pid.seal(&signer, &subject(who), namespace))
            });
            let principal = Principal {
                subject: subject(who),
                ..Principal::local_admin(UserId::random())
            };
            let writer = Arc::<ConnectionWriter<()>>::default();
            let session = Session::new(id, principal, namespace, Dialect::Json, None, writer);
            let session = Arc::new(session);
            let rooms = entitlement::rooms(db, session.id(), last)?;
            subscription::register(&hub, db, &session, &rooms, start.after, last, usize::MAX)?;
            Ok::<_, StoreError>((session, start, pid))
        });
        entered.await.unwrap()
    }

    pub(super) fn drop_session(&self, session: &Session) {
        self.hub.unregister(session);
    }

    /// `resume`, as the connection does it.
    pub(super) async fn rewind(
        &self,
        subscription: &mut Subscription,
        asked: &ResumePosition,
    ) -> Result<(), ResyncReason> {
        let epoch = self.store.epoch().clone();
        let look = move |db: &_, last| Ok::<_, StoreError>(HistoryBounds::read(db, epoch, last)?);
        let bounds = self.store.read_at_commit(look).await.unwrap();
        bounds.judge(asked)?;
        subscription.rewind(asked.id);
        Ok(())
    }

    pub(super) async fn read_on(&self, subscription: &mut Subscription) -> ReplayPage {
        subscription.read_on(&self.store, BATCH).await.unwrap()
    }

    /// Has these changes share one commit; each answers with its events' ids.
    pub(super) async fn commit(&self, changes: Vec<Planned>) -> Vec<Vec<i64>> {
        let release = self.hold().await;
        let queued = self.queue(changes);
        drop(release);
        answers(queued).await
    }

    /// Reads a page and has these changes committed before the session tries to go live.
    pub(super) async fn read_on_during(
        &self,
        subscription: &mut Subscription,
        changes: Vec<Planned>,
    ) -> (ReplayPage, Vec<Vec<i64>>) {
        let release = self.hold().await;
        let queued = self.queue(changes);
        let mut reading = Box::pin(subscription.read_on(&self.store, BATCH));
        let mut page = (&mut reading).now_or_never();
        // The reader answers in order: after this the page is there.
        let after = self.store.read(|_| Ok::<_, StoreError>(()));
        after.await.unwrap();
        if page.is_none() {
            page = (&mut reading).now_or_never();
        }
        drop(release);
        let ids = answers(queued).await;
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
    async fn hold(&self) -> mpsc::Sender<()> {
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

    fn queue(&self, changes: Vec<Planned>) -> Queued {
        let mut queued = Queued::new();
        for planned in changes {
            let store = self.store.clone();
            let mut write = async move {
                let written = store.write(move |tx| make(tx, planned));
                match written.await {
                    Ok(ids) => Some(ids),
                    Err(Refused::ByItself) => None,
                    Err(Refused::ByStore(error)) => panic!("{error}"),
                }
            }
            .boxed();
            assert!((&mut write).now_or_never().is_none(), "the writer is held");
            queued.push(write);
        }
        queued
    }
}

/// The store and the hub of a daemon that starts.
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

/// A change that is to be committed.
pub(super) struct Planned {
    pub(super) change: Change,
    /// A room that is entered, or left, with it.
    pub(super) room: Option<(bool, RoomMembership)>,
    /// The id of its first event.
    pub(super) first: i64,
}

/// Why a change is not kept.
#[derive(Debug)]
enum Refused {
    ByItself,
    ByStore(StoreError),
}

impl<E: Into<StoreError>> std::convert::From<E> for Refused {
    fn from(error: E) -> Self {
        Self::ByStore(error.into())
    }
}

async fn answers(queued: Queued) -> Vec<Vec<i64>> {
    let ids = join_all(queued).await;
    ids.into_iter().map(Option::unwrap_or_default).collect()
}

fn make(tx: &mut WriteTx<'_>, planned: Planned) -> Result<Vec<i64>, Refused> {
    let Planned {
        change,
        room,
        first,
    } = planned;
    for (who, number) in &change.joins {
        tx.join(subject(*who), area(*number));
    }
    for (who, number) in &change.leaves {
        tx.leave(subject(*who), area(*number));
    }
    match room {
        Some((true, room)) => tx.enter_room(room),
        Some((false, room)) => tx.leave_room(room),
        None => {}
    }
    let mut ids: Vec<i64> = Vec::new();
    for news in &change.news {
        for _ in 0..news.count {
            if news.is_durable {
                let id = first + i64::try_from(ids.len()).unwrap();
                ids.push(tx.publish(event(news, id))?.get());
            } else {
                tx.publish_ephemeral(event(news, 0));
            }
        }
    }
    match change.fails {
        true => Err(Refused::ByItself),
        false => Ok(ids),
    }
}

/// An event that says which id it is to have.
fn event(news: &News, id: i64) -> NewEvent {
    let data = serde_json::json!({ "id": id, "x": "x".repeat(news.size) });
    let topics = news.to.iter().map(|to| match to {
        To::All => Topic::All,
        To::Admins => Topic::Admins,
        To::Tablet(who) => Topic::Client(name(*who).parse().unwrap()),
        To::Area(number) => area(*number),
        To::Room(number) => room(Room {
            is_help: news.is_help,
            number: *number,
        }),
    });
    let kind = match news.is_help {
        true => EventType::from_stored("help_requested"),
        false => EventType::AREA_UPDATED,
    };
    NewEvent::new(kind, &data, topics.collect())
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

fn name(who: Who) -> &'static str {
    match who {
        Who::Kitchen => "kitchen",
        Who::Hall => "hall",
        Who::Admin => "admin",
    }
}

fn subject(who: Who) -> Subject {
    match who {
        Who::Admin => Subject::Admin(name(who).parse().unwrap()),
        Who::Kitchen | Who::Hall => Subject::Client(name(who).parse().unwrap()),
    }
}

fn area(number: u8) -> Topic {
    Topic::Area(format!("area{number}").parse().unwrap())
}

pub(super) fn room(room: Room) -> Topic {
    let name = format!("room{}", room.number).parse().unwrap();
    Topic::Room(namespace(room.is_help), name)
}
