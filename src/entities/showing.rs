//! What one session may see: the newest states of the entities of its areas, all at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::value::RawValue;

use super::events::{self, Shown};
use super::{Entities, Inner, Stage};
use wallcast_core::auth::Subject;
use wallcast_core::clock::Timestamp;
use wallcast_core::entity_id::EntityId;
use wallcast_core::event::Event;
use wallcast_core::hub::Session;
use wallcast_core::ids::AreaId;

/// Whose entities.
enum Scope {
    /// All that are known.
    All,
    /// Those of these areas.
    Areas(Vec<AreaId>),
    /// None at all.
    Nothing,
}

/// What an entity says of its kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DeviceClass {
    /// Home Assistant has told nothing of it.
    Unknown,
    /// This, or that it has none.
    Told(Option<String>),
}

impl Entities {
    /// Whether sessions of `subject` are told states at all.
    pub fn concerns(&self, subject: &Subject) -> bool {
        self.is_on && matches!(subject, Subject::Admin(_) | Subject::Client(_))
    }

    /// Lays the newest states out for a session that is owed them, unless Home Assistant is about to
    /// tell the first ones of what it may see: then it is woken again. True if there is something
    /// to tell.
    pub fn send_states(&self, session: &Session) -> bool {
        let inner = self.inner();
        if !session.outbox().is_snapshot_due() {
            return false;
        }
        let scope = self.scope(session.subject());
        let Some(seen) = inner.seen(&scope) else {
            if inner.stage == Stage::Away || !inner.is_outdated {
                session.outbox().queue_snapshot(None);
            }
            return false;
        };
        let is_known = |id: &EntityId| inner.known.contains_key(id);
        let is_awaited = match inner.stage {
            Stage::Away => !seen.keys().any(|id| is_known(id)),
            Stage::Beginning => true,
            Stage::Current => {
                matches!(scope, Scope::Areas(_))
                    && (inner.is_outdated || !seen.keys().all(|id| is_known(id)))
            }
        };
        if !is_awaited {
            let states = events::states(&inner.show(seen), Timestamp::now());
            session
                .outbox()
                .queue_snapshot(Some(Arc::new(states.published_now())));
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
    pub(crate) fn page(
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
    pub(super) fn device_class(&self, entity: &EntityId) -> DeviceClass {
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
