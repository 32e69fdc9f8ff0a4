//! What Home Assistant tells of entities: learnt, and told on to whoever sees them.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::events::{self, Change};
use super::plan::Number;
use super::state::{self, State, Told};
use super::{Entities, Inner, Stage};
use wallcast_core::clock::Timestamp;
use wallcast_core::entity_id::EntityId;
use wallcast_core::event::Topic;

/// What came of something told.
pub(super) enum Learnt {
    /// Nothing.
    Nothing,
    /// The entity was known.
    Change,
    /// It was not.
    New,
}

impl Entities {
    /// Home Assistant told this on a subscription.
    pub(super) fn hear(&self, number: Number, event: &RawValue) {
        let told = match state::read(event) {
            Ok(told) => told,
            // It says of no entity that it is gone, and is no answer to what was asked.
            Err(error) => {
                tracing::warn!(%error, "Home Assistant told states that cannot be read");
                return;
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

    pub(super) fn learn(
        &self,
        inner: &mut Inner,
        entity: &EntityId,
        told: &Told<'_>,
        now: Timestamp,
    ) -> Learnt {
        let Some(entity) = inner.wanted.get(entity).cloned() else {
            return Learnt::Nothing;
        };
        let before = inner.known.get(&entity);
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
            self.locks.note(&entity, new);
        }
        if !is_same && !is_new && inner.stage == Stage::Current {
            let change = Change {
                entity: &entity,
                old: old.as_ref(),
                new: new.as_ref(),
            };
            self.tell(inner, change, now);
        }
        inner.known.insert(entity, new);
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
        self.hub.publish_per_audience(&topics, |heard| {
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
    pub(super) fn tell_anew(&self, inner: &Inner, news: &BTreeSet<EntityId>) {
        let areas = news.iter().flat_map(|id| inner.view.areas_of(id));
        let areas: BTreeSet<_> = areas.collect();
        if !areas.is_empty() {
            let topics = areas.into_iter().cloned().map(Topic::Area);
            let topics: Vec<_> = topics.chain([Topic::Admins]).collect();
            self.hub.request_snapshot(&topics);
        }
    }
}
