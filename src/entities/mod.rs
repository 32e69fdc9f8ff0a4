//! Entities of Home Assistant as tablets see them: the newest state of each that some tablet may
//! see, who is told of it, and what may be done with it (contract 6.3).
//!
//! Keeps states in memory alone: they are Home Assistant's. Hears of commits before the hub does, so
//! that no state of an area is told once it is known to be disabled, gone or another's.

pub mod allowed;
mod call;
mod events;
mod locks;
mod plan;
pub mod routes;
mod rows;
mod services;
mod state;
mod subscribing;
mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::value::RawValue;
use tokio::sync::Notify;

use crate::areas::EntityId;
use crate::auth::Subject;
use crate::clock::Timestamp;
use crate::event::{Event, Topic};
use crate::hub::{CommitListener, Effects, Hub, Session};
use crate::ids::AreaId;
use crate::store::{Store, StoreError};

pub use call::{Asked, Called, call, permitted};
pub use rows::is_in_enabled_area;
pub use subscribing::run;

use events::{Change, Shown};
use locks::Locks;
use plan::{Held, Number};
use state::{State, Told};
use view::View;

/// The entities; share it by `Arc`. Stands before the hub as the store's listener.
#[derive(Debug)]
pub struct Entities {
    hub: Arc<Hub>,
    /// Whether there is a Home Assistant at all. Else nobody is told of states.
    is_on: bool,
    /// Held while anything of it is told, so that states and commits keep their order: taken before
    /// any lock of the hub.
    inner: Mutex<Inner>,
    /// Other entities may be wanted.
    wants: Notify,
    /// A subscription has told its first states.
    answered: Notify,
    locks: Locks,
}

#[derive(Debug, Default)]
struct Inner {
    view: View,
    wanted: BTreeSet<EntityId>,
    /// Of each wanted entity that Home Assistant was asked for: its state, or that it has none.
    known: HashMap<EntityId, Option<State>>,
    stage: Stage,
    /// What stands at Home Assistant.
    held: Held,
    /// Of these it has told no state yet.
    unanswered: BTreeSet<Number>,
    last_number: Number,
}

/// How it stands with Home Assistant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// It is not there; what is known is what it told last.
    #[default]
    Away,
    /// It is there, and has yet to tell the states as they are now.
    Beginning,
    /// Its states are known as they change.
    Current,
}

/// Whose entities.
enum Scope {
    /// All that are known.
    All,
    /// Those of these areas.
    Areas(Vec<AreaId>),
    /// None at all.
    Nothing,
}

impl Entities {
    /// Before the store is opened, whose listener it is.
    pub fn new(hub: Arc<Hub>, is_on: bool) -> Self {
        Self {
            hub,
            is_on,
            inner: Mutex::default(),
            wants: Notify::new(),
            answered: Notify::new(),
            locks: Locks::default(),
        }
    }

    /// Learns which areas are enabled. Call at the start, before anything is committed.
    ///
    /// # Errors
    /// The store's.
    pub async fn load(&self, store: &Store) -> Result<(), StoreError> {
        let areas = store.read(|db| Ok::<_, StoreError>(rows::enabled(db)?));
        let areas = areas.await?;
        let mut inner = self.inner();
        for (area, entities) in areas {
            inner.view.show(&area, entities);
        }
        Ok(())
    }

    /// Whether sessions of `subject` are told states at all.
    pub fn concerns(&self, subject: &Subject) -> bool {
        self.is_on && matches!(subject, Subject::Admin(_) | Subject::Client(_))
    }

    /// Lays the newest states out for a session that is owed them, unless Home Assistant is about to
    /// tell the first ones of what it may see: then it is woken again. True if there is something
    /// to tell.
    pub fn tell_states(&self, session: &Session) -> bool {
        let inner = self.inner();
        if !session.outbox().must_tell_states() {
            return false;
        }
        let scope = self.scope(session.subject());
        let Some(seen) = inner.seen(&scope) else {
            session.outbox().settle_states(None);
            return false;
        };
        let is_known = |id: &EntityId| inner.known.contains_key(id);
        let is_awaited = match inner.stage {
            Stage::Away => !seen.keys().any(|id| is_known(id)),
            Stage::Beginning => true,
            Stage::Current => {
                matches!(scope, Scope::Areas(_)) && !seen.keys().all(|id| is_known(id))
            }
        };
        if !is_awaited {
            let states = events::states(&inner.show(seen), Timestamp::now());
            session
                .outbox()
                .settle_states(Some(Arc::new(states.published_now())));
        }
        !is_awaited
    }

    /// `entity_states` as it is now, for a session that asks.
    pub fn states_for(&self, subject: &Subject) -> Event {
        let inner = self.inner();
        let seen = inner.seen(&self.scope(subject)).unwrap_or_default();
        events::states(&inner.show(seen), Timestamp::now())
    }

    /// The states of entities in these areas, by their ids, each as JSON: at most `limit` after the
    /// one named.
    fn page(
        &self,
        areas: &BTreeSet<AreaId>,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<(EntityId, Box<RawValue>)> {
        let inner = self.inner();
        let scope = Scope::Areas(areas.iter().cloned().collect());
        let mut seen = inner.seen(&scope).unwrap_or_default();
        seen.retain(|id, _| after.is_none_or(|after| id.as_str() > after));
        let shown = inner.show(seen).into_iter().take(limit);
        shown
            .filter_map(|shown| {
                let json = serde_json::value::to_raw_value(&shown).ok()?;
                Some((shown.entity_id.clone(), json))
            })
            .collect()
    }

    /// The states of all entities in these areas, each as JSON.
    pub fn states_in(&self, areas: &BTreeSet<AreaId>) -> Vec<Box<RawValue>> {
        let states = self.page(areas, None, usize::MAX).into_iter();
        states.map(|(_, json)| json).collect()
    }

    /// The device class of an entity as Home Assistant told it.
    fn device_class(&self, entity: &EntityId) -> DeviceClass {
        match self.inner().known.get(entity) {
            Some(Some(state)) => DeviceClass::Told(state.device_class()),
            _ => DeviceClass::Unknown,
        }
    }

    fn scope(&self, subject: &Subject) -> Scope {
        match subject {
            Subject::Admin(_) => Scope::All,
            Subject::Client(_) => Scope::Areas(self.hub.areas_of(subject)),
            Subject::User(_) | Subject::Pairing(_) => Scope::Nothing,
        }
    }

    /// Home Assistant told this on a subscription.
    fn hear(&self, number: Number, event: &RawValue) {
        let told = match state::read(event) {
            Ok(told) => told,
            Err(error) => {
                tracing::warn!(%error, "Home Assistant told states that cannot be read");
                Vec::new()
            }
        };
        let now = Timestamp::now();
        let mut inner = self.inner();
        if !inner.held.contains_key(&number) {
            return;
        }
        let is_first = inner.unanswered.remove(&number);
        let mut news = BTreeSet::new();
        for (entity, told) in &told {
            if let Learnt::New = self.learn(&mut inner, entity, told, now) {
                news.insert(entity.clone());
            }
        }
        if is_first {
            let ids = told.iter().map(|(id, _)| id).collect::<BTreeSet<_>>();
            self.settle(&mut inner, number, &ids, &mut news, now);
            self.answered.notify_one();
        }
        if inner.stage == Stage::Current {
            self.tell_anew(&inner, &news);
        }
    }

    /// What a subscription has not told by its first event, Home Assistant does not have.
    fn settle(
        &self,
        inner: &mut Inner,
        number: Number,
        told: &BTreeSet<&EntityId>,
        news: &mut BTreeSet<EntityId>,
        now: Timestamp,
    ) {
        let of = inner.held.get(&number).cloned().unwrap_or_default();
        for entity in of.iter().filter(|id| !told.contains(id)) {
            if let Learnt::New = self.learn(inner, entity, &Told::Gone, now) {
                news.insert(entity.clone());
            }
        }
    }

    fn learn(
        &self,
        inner: &mut Inner,
        entity: &EntityId,
        told: &Told<'_>,
        now: Timestamp,
    ) -> Learnt {
        if !inner.wanted.contains(entity) {
            return Learnt::Nothing;
        }
        let before = inner.known.get(entity);
        let is_new = before.is_none();
        let old = before.cloned().flatten();
        if is_new && matches!(told, Told::Changed(_)) {
            return Learnt::Nothing;
        }
        let new = State::after(old.as_ref(), told, now);
        let is_same = match (&old, &new) {
            (Some(old), Some(new)) => old.tells_as(new),
            (None, None) => true,
            _ => false,
        };
        if let (false, Some(new)) = (is_same, &new) {
            self.locks.note(entity, new);
        }
        if !is_same && !is_new && inner.stage == Stage::Current {
            let (old, new) = (old.as_ref(), new.as_ref());
            self.tell(inner, Change { entity, old, new }, now);
        }
        inner.known.insert(entity.clone(), new);
        if is_new { Learnt::New } else { Learnt::Change }
    }

    /// Tells a change to whoever sees the entity, each with the areas that it sees it in.
    fn tell(&self, inner: &Inner, change: Change<'_>, now: Timestamp) {
        let areas = inner.view.areas_of(change.entity);
        if areas.is_empty() {
            return;
        }
        let topics = areas.iter().cloned().map(Topic::Area);
        let topics: Vec<_> = topics.chain([Topic::Admins]).collect();
        self.hub.publish_apart(&topics, |heard| {
            let is_admin = heard.contains(&areas.len());
            let seen: Vec<_> = match is_admin {
                true => areas.iter().collect(),
                false => heard.iter().filter_map(|place| areas.get(*place)).collect(),
            };
            events::state_changed(change, &seen, now)
        });
    }

    /// States became known for the first time: whoever sees them is told all of its own anew, once
    /// none of them is awaited.
    fn tell_anew(&self, inner: &Inner, news: &BTreeSet<EntityId>) {
        let areas = news.iter().flat_map(|id| inner.view.areas_of(id));
        let areas: BTreeSet<_> = areas.collect();
        if !areas.is_empty() {
            let topics = areas.into_iter().cloned().map(Topic::Area);
            let topics: Vec<_> = topics.chain([Topic::Admins]).collect();
            self.hub.owe_states(&topics);
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an entity says of its kind.
#[derive(Debug, PartialEq, Eq)]
enum DeviceClass {
    /// Home Assistant has told nothing of it.
    Unknown,
    /// This, or that it has none.
    Told(Option<String>),
}

/// What came of something told.
enum Learnt {
    /// Nothing.
    Nothing,
    /// The entity was known.
    Change,
    /// It was not.
    New,
}

impl Inner {
    /// The entities of a scope that are to be seen, and in which areas. None where nobody could ever
    /// see one.
    fn seen(&self, scope: &Scope) -> Option<BTreeMap<&EntityId, Vec<&AreaId>>> {
        let seen: BTreeMap<_, Vec<_>> = match scope {
            Scope::Nothing => return None,
            Scope::All => {
                let all = self.known.keys();
                let seen = all.map(|id| (id, self.view.areas_of(id).iter().collect::<Vec<_>>()));
                seen.filter(|(_, areas)| !areas.is_empty()).collect()
            }
            Scope::Areas(areas) => {
                let mut areas: Vec<_> = areas.iter().collect();
                areas.sort_unstable();
                let mut seen = BTreeMap::<_, Vec<_>>::new();
                for area in areas {
                    for (id, areas) in self.view.entities_in(area) {
                        let own = areas.iter().find(|of| *of == area);
                        seen.entry(id).or_default().extend(own);
                    }
                }
                seen
            }
        };
        (!seen.is_empty()).then_some(seen)
    }

    fn show<'a>(&'a self, seen: BTreeMap<&'a EntityId, Vec<&'a AreaId>>) -> Vec<Shown<'a>> {
        let shown = seen.into_iter().filter_map(|(id, areas)| {
            let state = self.known.get(id)?.as_ref()?;
            Some(Shown::new(id, state, areas))
        });
        shown.collect()
    }
}

impl CommitListener for Entities {
    fn committed(&self, mut effects: Effects) {
        if !self.is_on {
            return self.hub.committed(effects);
        }
        let areas = std::mem::take(&mut effects.areas);
        let of_area = |(subject, topic): &(Subject, Topic)| match (subject, topic) {
            (Subject::Client(id), Topic::Area(_)) => Some(Topic::Client(id.clone())),
            _ => None,
        };
        let joined: BTreeSet<_> = effects.joined.iter().filter_map(of_area).collect();
        let left = effects.left.iter().any(|left| of_area(left).is_some());
        let is_wanted_anew =
            effects.audience_changed || left || !joined.is_empty() || !areas.is_empty();
        {
            let mut inner = self.inner();
            let mut owed: Vec<_> = joined.into_iter().collect();
            for (area, entities) in areas {
                if !entities.is_empty() {
                    owed.extend([Topic::Area(area.clone()), Topic::Admins]);
                }
                inner.view.show(&area, entities);
            }
            self.hub.committed(effects);
            self.hub.owe_states(&owed);
        }
        if is_wanted_anew {
            self.wants.notify_one();
        }
    }
}
