//! A set of sessions, ordered by number. Most sets have one element: the sessions of one tablet, or of its own topic. A
//! single element needs no allocation; the smallest B-tree node would take 192 bytes, twice per tablet.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::{Session, SessionNumber};

/// Sessions in the order of their numbers.
#[derive(Debug)]
pub(super) enum SessionSet {
    One(Arc<Session>),
    Many(BTreeMap<SessionNumber, Arc<Session>>),
}

impl Default for SessionSet {
    fn default() -> Self {
        Self::Many(BTreeMap::new())
    }
}

impl SessionSet {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(many) => many.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a session, replacing one with the same number.
    pub(super) fn insert(&mut self, session: Arc<Session>) {
        match self {
            Self::Many(many) if many.is_empty() => *self = Self::One(session),
            Self::Many(many) => {
                many.insert(session.number(), session);
            }
            Self::One(one) => {
                let both = [one.clone(), session].map(|session| (session.number(), session));
                *self = Self::Many(BTreeMap::from(both));
            }
        }
    }

    /// Removes a session, if it is in the set. `Many` stays a tree until it is empty.
    pub(super) fn remove(&mut self, number: SessionNumber) -> Option<Arc<Session>> {
        match self {
            Self::Many(many) => many.remove(&number),
            Self::One(one) if one.number() == number => match std::mem::take(self) {
                Self::One(one) => Some(one),
                Self::Many(_) => None,
            },
            Self::One(_) => None,
        }
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.after(None)
    }

    /// The sessions with a higher number; all if `number` is `None`.
    pub(super) fn after(
        &self,
        number: Option<SessionNumber>,
    ) -> impl Iterator<Item = &Arc<Session>> {
        let (one, many) = match self {
            Self::One(one) => (Some(one), None),
            Self::Many(many) => {
                let after = number.map_or(Bound::Unbounded, Bound::Excluded);
                (None, Some(many.range((after, Bound::Unbounded))))
            }
        };
        let one = one.filter(move |one| number.is_none_or(|number| one.number() > number));
        let many = many.into_iter().flatten().map(|(_, session)| session);
        one.into_iter().chain(many)
    }
}
