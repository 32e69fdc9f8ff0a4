//! Sessions by their number. Most sets of them hold one: a tablet's own, and those of its own topic. So
//! one costs no allocation; a tree's smallest node would take 192 bytes, twice for each tablet.

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

    /// Adds it, in the place of one with the same number.
    pub(super) fn insert(&mut self, session: Arc<Session>) {
        match self {
            Self::Many(many) if many.is_empty() => *self = Self::One(session),
            Self::Many(many) => {
                many.insert(session.number(), session);
            }
            Self::One(one) => {
                let both = [one.clone(), session].map(|of| (of.number(), of));
                *self = Self::Many(BTreeMap::from(both));
            }
        }
    }

    /// Takes one out, if it is there. What has been many stays a tree until it is empty.
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

    /// Those with a higher number, or all.
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
