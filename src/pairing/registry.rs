//! The registry at which pairings wait: open requests of tablets and open codes of admins, in memory,
//! with the limits that keep strangers from filling or guessing them.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use subtle::ConstantTimeEq as _;
use tokio::sync::Notify;

use super::{Tablet, Terms};
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::{Jti, PairingId};
use wallcast_core::limits::ConnectionLimits;
use wallcast_core::random;

/// Open requests of one address (contract 6.2).
const OPEN_OF_ONE: usize = 3;
/// Open requests in all (contract 6.2).
const OPEN_IN_ALL: usize = 20;
/// Open codes in all: far more than an admin needs at once.
const OFFERS_IN_ALL: usize = 20;
/// Wrong codes of one address within [`GUESS_WINDOW`] (contract 6.2).
const WRONG_OF_ONE: usize = 5;
/// Wrong codes in all since the oldest open code was made (contract 6.2).
const WRONG_IN_ALL: usize = 20;
/// How long an address's wrong codes are held against it.
const GUESS_WINDOW_MS: i64 = 5 * 60 * 1000;
/// Addresses whose wrong codes are remembered.
const MAX_GUESSERS: usize = 4096;
/// Letters and digits that nobody mistakes for one another.
const CODE_ALPHABET: &[u8] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789";

/// A tablet that waits.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Its pairing.
    pub id: PairingId,
    /// What it shows, `XXXX-XXXX`.
    pub code: String,
    /// What it says of itself.
    pub tablet: Tablet,
    /// The identity of its `pairingToken`.
    pub jti: Jti,
    /// Where it asked from.
    pub address: Option<IpAddr>,
    /// When it asked.
    pub created_at: Timestamp,
    /// When it stops waiting.
    pub expires_at: Timestamp,
    /// Why an admin refused it, once one has.
    pub denied: Option<String>,
    /// Whether an admin's decision is being written just now.
    pub is_taken: bool,
}

/// A code that an admin offers.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Its pairing.
    pub id: PairingId,
    /// Six digits.
    pub code: String,
    /// What the admin decided beforehand.
    pub terms: Terms,
    /// Who offers it.
    pub offered_by: wallcast_core::audit::Actor,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it dies.
    pub expires_at: Timestamp,
}

/// A pairing that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over {
    /// Which one.
    pub id: PairingId,
    /// Why, in a word for programs.
    pub reason: &'static str,
}

/// What came of a brought code.
#[derive(Clone, Debug)]
pub enum Guess {
    /// It is this offer, which is used up now.
    Right(Box<Offer>),
    /// It is none, or used, or expired: nobody learns which. These codes died of it.
    Wrong(Vec<Over>),
    /// This address has guessed too often.
    TooMany(Duration),
}

/// Too many are open.
#[derive(Debug)]
pub struct RegistryFull(
    /// How long to wait before asking again.
    pub Duration,
);

/// The registry; share it by `Arc`.
#[derive(Debug, Default)]
pub struct Pairings {
    registry: Mutex<PairingRegistry>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct PairingRegistry {
    waiting: HashMap<PairingId, Waiting>,
    offers: HashMap<PairingId, Offer>,
    /// Off the registry, and nobody was told of it yet.
    untold: Vec<Over>,
    /// Wrong codes by address, and in all.
    guesses: HashMap<IpAddr, VecDeque<Timestamp>>,
    wrong: VecDeque<Timestamp>,
}

impl Pairings {
    /// A tablet begins to wait.
    ///
    /// # Errors
    /// [`RegistryFull`] beyond 3 of one address or 20 in all.
    pub fn wait(
        &self,
        tablet: Tablet,
        address: Option<IpAddr>,
        now: Timestamp,
        ttl_seconds: i64,
    ) -> Result<Waiting, RegistryFull> {
        let mut registry = self.registry();
        let mut open: Vec<_> = registry
            .waiting
            .values()
            .filter(|w| w.is_open(now))
            .collect();
        open.sort_by_key(|w| w.expires_at);
        let own: Vec<_> = open
            .iter()
            .filter(|w| w.address.map(counted) == address.map(counted))
            .collect();
        let first_free = match (own.first(), open.first()) {
            (Some(own_first), _) if own.len() >= OPEN_OF_ONE => Some(own_first.expires_at),
            (_, Some(first)) if open.len() >= OPEN_IN_ALL => Some(first.expires_at),
            _ => None,
        };
        if let Some(at) = first_free {
            return Err(RegistryFull(until(now, at)));
        }
        let expires_at = now.plus_seconds(ttl_seconds).whole_seconds();
        let code = fresh_code(
            |code| registry.waiting.values().any(|w| w.code == code),
            || {
                let drawn = random::code(8, CODE_ALPHABET);
                let (left, right) = drawn.split_at(4);
                format!("{left}-{right}")
            },
        );
        let waiting = Waiting {
            id: PairingId::random(),
            code,
            tablet,
            jti: Jti::random(),
            address,
            created_at: now,
            expires_at,
            denied: None,
            is_taken: false,
        };
        registry.waiting.insert(waiting.id.clone(), waiting.clone());
        drop(registry);
        self.changed.notify_one();
        Ok(waiting)
    }

    /// Whether a pairing's token still opens anything here.
    pub fn is_waiting(&self, id: &PairingId, now: Timestamp) -> bool {
        self.registry()
            .waiting
            .get(id)
            .is_some_and(|w| w.expires_at > now)
    }

    /// The request of that id, open or denied.
    pub fn find(&self, id: &PairingId) -> Option<Waiting> {
        self.registry().waiting.get(id).cloned()
    }

    /// Open requests, the oldest first.
    pub fn open(&self, now: Timestamp) -> Vec<Waiting> {
        let registry = self.registry();
        let mut open: Vec<_> = registry
            .waiting
            .values()
            .filter(|w| w.is_open(now))
            .cloned()
            .collect();
        open.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        open
    }

    /// Takes the open request of that id or code in hand, so that one admin alone decides it. It
    /// stays on the registry, where its tablet finds it pending, until [`Self::put_back`] or
    /// [`Self::forget`].
    pub fn take(&self, id_or_code: &str, now: Timestamp) -> Option<Waiting> {
        let mut registry = self.registry();
        let code = normal(id_or_code);
        let waiting = registry
            .waiting
            .values_mut()
            .find(|w| w.is_open(now) && (w.id.as_str() == id_or_code || normal(&w.code) == code))?;
        waiting.is_taken = true;
        Some(waiting.clone())
    }

    /// Clears a request off the registry: the store knows the rest, or nobody ever heard of it.
    pub fn forget(&self, id: &PairingId) {
        self.registry().waiting.remove(id);
    }

    /// Lays a request back, undecided or denied, so that its tablet can still ask.
    pub fn put_back(&self, waiting: Waiting) {
        let waiting = Waiting {
            is_taken: false,
            ..waiting
        };
        self.registry().waiting.insert(waiting.id.clone(), waiting);
        self.changed.notify_one();
    }

    /// An admin offers a code of six digits.
    ///
    /// # Errors
    /// [`RegistryFull`] beyond 20.
    pub fn offer(
        &self,
        terms: Terms,
        offered_by: wallcast_core::audit::Actor,
        now: Timestamp,
        ttl_seconds: i64,
    ) -> Result<Offer, RegistryFull> {
        let mut registry = self.registry();
        registry.offers.retain(|_, offer| offer.expires_at > now);
        if registry.offers.len() >= OFFERS_IN_ALL {
            let first = registry
                .offers
                .values()
                .map(|o| o.expires_at)
                .min()
                .unwrap_or(now);
            return Err(RegistryFull(until(now, first)));
        }
        let code = fresh_code(
            |code| registry.offers.values().any(|offer| offer.code == code),
            || random::code(6, b"0123456789"),
        );
        let offer = Offer {
            id: PairingId::random(),
            code,
            terms,
            offered_by,
            created_at: now,
            expires_at: now.plus_seconds(ttl_seconds).whole_seconds(),
        };
        registry.offers.insert(offer.id.clone(), offer.clone());
        drop(registry);
        self.changed.notify_one();
        Ok(offer)
    }

    /// Takes back an offer that nobody was told of.
    pub fn withdraw(&self, id: &PairingId) {
        self.registry().offers.remove(id);
    }

    /// A tablet brings a code.
    pub fn redeem(&self, code: &str, address: Option<IpAddr>, now: Timestamp) -> Guess {
        let mut registry = self.registry();
        let guesser = address.map(counted);
        if let Some(wait) = guesser.and_then(|address| registry.must_wait(address, now)) {
            return Guess::TooMany(wait);
        }
        let code = normal(code);
        let mut found = None;
        for offer in registry.offers.values() {
            // Every open code is compared in full, so that time tells nothing.
            if bool::from(offer.code.as_bytes().ct_eq(code.as_bytes())) && offer.expires_at > now {
                found = Some(offer.id.clone());
            }
        }
        match found.and_then(|id| registry.offers.remove(&id)) {
            Some(offer) => Guess::Right(Box::new(offer)),
            None => Guess::Wrong(registry.note_wrong(guesser, now)),
        }
    }

    /// What came of a brought code could not be kept: an offer is good again, and of codes that
    /// died of it people are told later.
    pub fn take_back(&self, guess: Guess) {
        match guess {
            Guess::Right(offer) => {
                self.registry().offers.insert(offer.id.clone(), *offer);
                self.changed.notify_one();
            }
            Guess::Wrong(died) => self.tell_later(died),
            Guess::TooMany(_) => {}
        }
    }

    /// Keeps what could not be told for the next [`Self::take_over`].
    pub fn tell_later(&self, over: Vec<Over>) {
        self.registry().untold.extend(over);
        self.changed.notify_one();
    }

    /// Takes away what is over and to be told: requests that expired undecided, codes that nobody
    /// brought in time, and what could not be told before.
    pub fn take_over(&self, now: Timestamp) -> Vec<Over> {
        let mut registry = self.registry();
        let mut over = std::mem::take(&mut registry.untold);
        let mut expired = |id: &PairingId| {
            over.push(Over {
                id: id.clone(),
                reason: "expired",
            });
        };
        registry.waiting.retain(|id, waiting| {
            let has_expired = waiting.expires_at <= now;
            if has_expired && waiting.denied.is_none() && !waiting.is_taken {
                expired(id);
            }
            !has_expired
        });
        registry.offers.retain(|id, offer| {
            let has_expired = offer.expires_at <= now;
            if has_expired {
                expired(id);
            }
            !has_expired
        });
        over
    }

    /// When something expires next.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        let registry = self.registry();
        let waiting = registry.waiting.values().map(|w| w.expires_at);
        waiting
            .chain(registry.offers.values().map(|o| o.expires_at))
            .min()
    }

    /// Waits until something was laid on the registry.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn registry(&self) -> MutexGuard<'_, PairingRegistry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_open(&self, now: Timestamp) -> bool {
        self.denied.is_none() && !self.is_taken && self.expires_at > now
    }
}

impl PairingRegistry {
    /// How long this address must wait before it may bring another code.
    fn must_wait(&mut self, address: IpAddr, now: Timestamp) -> Option<Duration> {
        let times = self.guesses.get_mut(&address)?;
        forget_old(times, now);
        if times.len() < WRONG_OF_ONE {
            return None;
        }
        let oldest = times.front().copied()?;
        Some(until(
            now,
            Timestamp::from_unix_ms(oldest.unix_ms() + GUESS_WINDOW_MS),
        ))
    }

    /// Remembers a wrong code; returns the codes that die of it.
    fn note_wrong(&mut self, guesser: Option<IpAddr>, now: Timestamp) -> Vec<Over> {
        if let Some(address) = guesser {
            if self.guesses.len() >= MAX_GUESSERS {
                self.guesses.retain(|_, times| {
                    forget_old(times, now);
                    !times.is_empty()
                });
            }
            if self.guesses.len() < MAX_GUESSERS || self.guesses.contains_key(&address) {
                self.guesses.entry(address).or_default().push_back(now);
            }
        }
        let Some(oldest) = self.offers.values().map(|offer| offer.created_at).min() else {
            self.wrong.clear();
            return Vec::new();
        };
        while self.wrong.front().is_some_and(|at| *at < oldest) {
            self.wrong.pop_front();
        }
        self.wrong.push_back(now);
        if self.wrong.len() < WRONG_IN_ALL {
            return Vec::new();
        }
        self.wrong.clear();
        let died = self.offers.drain().map(|(id, _)| Over {
            id,
            reason: "too_many_attempts",
        });
        died.collect()
    }
}

fn forget_old(times: &mut VecDeque<Timestamp>, now: Timestamp) {
    while times
        .front()
        .is_some_and(|at| at.unix_ms() + GUESS_WINDOW_MS <= now.unix_ms())
    {
        times.pop_front();
    }
}

/// One home network's worth of addresses counts as one guesser.
fn counted(address: IpAddr) -> IpAddr {
    ConnectionLimits::counted_as(address)
}

fn until(now: Timestamp, then: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(then.unix_ms() - now.unix_ms()).unwrap_or(0))
}

/// A code as people type it: any case, with or without dashes and spaces.
pub(crate) fn normal(code: &str) -> String {
    code.chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .map(|c| c.to_ascii_uppercase())
        .collect()
}

fn fresh_code(taken: impl Fn(&str) -> bool, draw: impl Fn() -> String) -> String {
    loop {
        let code = draw();
        if !taken(&code) {
            return code;
        }
    }
}

#[cfg(test)]
mod tests;
