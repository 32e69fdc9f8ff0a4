//! Entities of Home Assistant as tablets see them: the newest state of each that some tablet may
//! see, who is told of it, and what may be done with it (contract 6.3).
//!
//! Keeps states in memory alone: they are Home Assistant's. Hears of commits before the hub does, so
//! that no state of an area is told once it is known to be disabled, gone or another's.

pub mod allowed;
mod call;
mod events;
mod hearing;
mod locks;
mod plan;
pub(crate) mod rows;
mod services;
mod showing;
mod state;
mod subscribing;
mod view;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use wallcast_core::auth::Subject;
use wallcast_core::entity_id::EntityId;
use wallcast_core::event::Topic;
use wallcast_core::hub::Hub;
use wallcast_core::ids::AreaId;
use wallcast_core::store::{CommitListener, Effects};

pub use call::{Asked, Called, call, permitted};
pub use rows::is_in_enabled_area;
pub use subscribing::run;

use locks::Locks;
use plan::{Held, Number};
use state::State;
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
    /// Others may be wanted since a commit: it has yet to be read which.
    is_outdated: bool,
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

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// An area is as it is now; what nobody wants of it is passed over until somebody does.
    fn place(&mut self, area: &AreaId, entities: Vec<EntityId>) {
        // One text for each entity, however often it is named.
        let wanted = entities.iter().filter_map(|id| self.wanted.get(id));
        let wanted = wanted.cloned().collect();
        self.view.show(area, wanted);
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
                inner.place(&area, entities);
            }
            inner.is_outdated |= is_wanted_anew;
            self.hub.committed(effects);
            self.hub.request_snapshot(&owed);
        }
        if is_wanted_anew {
            self.wants.notify_one();
        }
    }
}
