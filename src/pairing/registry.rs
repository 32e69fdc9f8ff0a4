//! Open pairings: requests of tablets and codes of admins, held in memory.
//!
//! Anybody in the network can request a pairing or try a code, so the registry limits the number of open requests per
//! address and in all, and the number of wrong codes (`docs/protocol.md#pairing`).

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use subtle::ConstantTimeEq as _;
use tokio::sync::Notify;
use wallcast_core::address_limit::AddressLimit;
use wallcast_core::audit::Actor;
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::{Jti, PairingId};
use wallcast_core::random;

use super::settings::{ClientSettings, DeviceInfo};

const MAX_REQUESTS_PER_ADDRESS: usize = 3;
const MAX_REQUESTS: usize = 20;
/// Far more than an admin needs at once.
const MAX_CODES: usize = 20;
/// An address that sends this many wrong codes within [`WRONG_CODE_WINDOW_MS`] must wait.
const MAX_WRONG_PER_ADDRESS: usize = 5;
/// This many wrong codes from all addresses since the oldest open code was created invalidate every open code. A code
/// has only six digits, and an attacker may have many addresses.
const MAX_WRONG: usize = 20;
const WRONG_CODE_WINDOW_MS: i64 = 5 * 60 * 1000;
/// The most addresses whose wrong codes are remembered, to bound memory.
const MAX_ADDRESSES: usize = 4096;
/// Without 0, O, 1, I and L, which people confuse.
const CODE_ALPHABET: &[u8] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789";

/// A tablet's request, which waits for an admin's decision.
#[derive(Clone, Debug)]
pub struct PairingRequest {
    pub id: PairingId,
    /// `XXXX-XXXX`; the tablet shows it, so that the admin approves the right request.
    pub code: String,
    pub device: DeviceInfo,
    /// The `jti` of the `pairingToken` with which the tablet waits.
    pub jti: Jti,
    pub address: Option<IpAddr>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// The reason, once an admin has denied the request.
    pub denied: Option<String>,
    /// Whether an admin's decision is being written.
    pub is_reserved: bool,
}

/// A code that an admin created for a tablet to redeem.
#[derive(Clone, Debug)]
pub struct PairingCode {
    pub id: PairingId,
    /// Six digits.
    pub code: String,
    pub settings: ClientSettings,
    pub created_by: Actor,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// A request or code that ended without a paired client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedPairing {
    pub id: PairingId,
    /// The `reason` of the `pairing_expired` event.
    pub reason: &'static str,
}

#[derive(Clone, Debug)]
pub enum RedeemResult {
    /// The code is right, and is used up now.
    Accepted(Box<PairingCode>),
    /// The code is wrong, used or expired; the answer must not say which. The wrong attempt invalidated these codes.
    Rejected(Vec<EndedPairing>),
    /// The address has sent too many wrong codes and must wait this long.
    RateLimited(Duration),
}

#[derive(Debug)]
pub struct RegistryFull(
    /// How long until a place becomes free.
    pub Duration,
);

/// The open pairings; share it by `Arc`.
#[derive(Debug, Default)]
pub struct PairingRegistry {
    state: Mutex<RegistryState>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct RegistryState {
    requests: HashMap<PairingId, PairingRequest>,
    codes: HashMap<PairingId, PairingCode>,
    /// Removed from the two maps, but their events are not published yet.
    ended: Vec<EndedPairing>,
    wrong_by_address: HashMap<IpAddr, VecDeque<Timestamp>>,
    /// Wrong codes of all addresses.
    wrong: VecDeque<Timestamp>,
}

impl PairingRegistry {
    /// Opens a request of a tablet.
    ///
    /// # Errors
    /// [`RegistryFull`] if 3 requests of the address, or 20 in all, are open.
    pub fn open_request(
        &self,
        device: DeviceInfo,
        address: Option<IpAddr>,
        now: Timestamp,
        ttl_seconds: i64,
    ) -> Result<PairingRequest, RegistryFull> {
        let mut state = self.state();
        let mut open: Vec<_> = state
            .requests
            .values()
            .filter(|request| request.is_open(now))
            .collect();
        open.sort_by_key(|request| request.expires_at);
        let own: Vec<_> = open
            .iter()
            .filter(|request| request.address.map(rate_limit_key) == address.map(rate_limit_key))
            .collect();
        let first_free = match (own.first(), open.first()) {
            (Some(own_first), _) if own.len() >= MAX_REQUESTS_PER_ADDRESS => {
                Some(own_first.expires_at)
            }
            (_, Some(first)) if open.len() >= MAX_REQUESTS => Some(first.expires_at),
            _ => None,
        };
        if let Some(at) = first_free {
            return Err(RegistryFull(until(now, at)));
        }
        let expires_at = now.plus_seconds(ttl_seconds).whole_seconds();
        let code = unused_code(
            |code| state.requests.values().any(|request| request.code == code),
            || {
                let letters = random::code(8, CODE_ALPHABET);
                let (left, right) = letters.split_at(4);
                format!("{left}-{right}")
            },
        );
        let request = PairingRequest {
            id: PairingId::random(),
            code,
            device,
            jti: Jti::random(),
            address,
            created_at: now,
            expires_at,
            denied: None,
            is_reserved: false,
        };
        state.requests.insert(request.id.clone(), request.clone());
        drop(state);
        self.changed.notify_one();
        Ok(request)
    }

    /// Whether the request exists, open or denied, so that its `pairingToken` is still accepted.
    pub fn has_request(&self, id: &PairingId, now: Timestamp) -> bool {
        self.state()
            .requests
            .get(id)
            .is_some_and(|request| request.expires_at > now)
    }

    /// The request may be open or denied.
    pub fn find(&self, id: &PairingId) -> Option<PairingRequest> {
        self.state().requests.get(id).cloned()
    }

    /// Open requests, oldest first.
    pub fn open_requests(&self, now: Timestamp) -> Vec<PairingRequest> {
        let state = self.state();
        let mut open: Vec<_> = state
            .requests
            .values()
            .filter(|request| request.is_open(now))
            .cloned()
            .collect();
        open.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        open
    }

    /// Reserves the open request with this id or code, so that only one admin decides it. The tablet still sees it as
    /// pending. The caller must call [`Self::release`] or [`Self::remove_request`] afterwards.
    pub fn reserve(&self, id_or_code: &str, now: Timestamp) -> Option<PairingRequest> {
        let mut state = self.state();
        let code = normalize_code(id_or_code);
        let request = state.requests.values_mut().find(|request| {
            request.is_open(now)
                && (request.id.as_str() == id_or_code || normalize_code(&request.code) == code)
        })?;
        request.is_reserved = true;
        Some(request.clone())
    }

    /// Removes a request that was approved, or that could not be published.
    pub fn remove_request(&self, id: &PairingId) {
        self.state().requests.remove(id);
    }

    /// Ends a reservation. The tablet can then read that its request is still open, or denied.
    pub fn release(&self, request: PairingRequest) {
        let request = PairingRequest {
            is_reserved: false,
            ..request
        };
        self.state().requests.insert(request.id.clone(), request);
        self.changed.notify_one();
    }

    /// Creates a code of six digits.
    ///
    /// # Errors
    /// [`RegistryFull`] if 20 codes are open.
    pub fn create_code(
        &self,
        settings: ClientSettings,
        created_by: Actor,
        now: Timestamp,
        ttl_seconds: i64,
    ) -> Result<PairingCode, RegistryFull> {
        let mut state = self.state();
        state.codes.retain(|_, code| code.expires_at > now);
        if state.codes.len() >= MAX_CODES {
            let first = state
                .codes
                .values()
                .map(|code| code.expires_at)
                .min()
                .unwrap_or(now);
            return Err(RegistryFull(until(now, first)));
        }
        let code = unused_code(
            |code| state.codes.values().any(|open| open.code == code),
            || random::code(6, b"0123456789"),
        );
        let code = PairingCode {
            id: PairingId::random(),
            code,
            settings,
            created_by,
            created_at: now,
            expires_at: now.plus_seconds(ttl_seconds).whole_seconds(),
        };
        state.codes.insert(code.id.clone(), code.clone());
        drop(state);
        self.changed.notify_one();
        Ok(code)
    }

    /// Removes a code that could not be audited, before any admin has seen it.
    pub fn remove_code(&self, id: &PairingId) {
        self.state().codes.remove(id);
    }

    /// Uses up the code if it is open; otherwise counts a wrong attempt of the address.
    pub fn redeem(&self, code: &str, address: Option<IpAddr>, now: Timestamp) -> RedeemResult {
        let mut state = self.state();
        let address = address.map(rate_limit_key);
        if let Some(wait) = address.and_then(|address| state.must_wait(address, now)) {
            return RedeemResult::RateLimited(wait);
        }
        let code = normalize_code(code);
        let mut found = None;
        for open in state.codes.values() {
            // Every open code is compared, in constant time, so that the duration reveals nothing about a code.
            if bool::from(open.code.as_bytes().ct_eq(code.as_bytes())) && open.expires_at > now {
                found = Some(open.id.clone());
            }
        }
        match found.and_then(|id| state.codes.remove(&id)) {
            Some(code) => RedeemResult::Accepted(Box::new(code)),
            None => RedeemResult::Rejected(state.record_wrong(address, now)),
        }
    }

    /// Undoes [`Self::redeem`] after a failed write: an accepted code is open again. Codes that the attempt invalidated
    /// stay invalid, and their events are published later.
    pub fn undo_redeem(&self, result: RedeemResult) {
        match result {
            RedeemResult::Accepted(code) => {
                self.state().codes.insert(code.id.clone(), *code);
                self.changed.notify_one();
            }
            RedeemResult::Rejected(invalidated) => self.requeue_ended(invalidated),
            RedeemResult::RateLimited(_) => {}
        }
    }

    /// Keeps pairings whose events could not be published for the next [`Self::take_ended`].
    pub fn requeue_ended(&self, ended: Vec<EndedPairing>) {
        self.state().ended.extend(ended);
        self.changed.notify_one();
    }

    /// Removes and returns the pairings whose end must be published: expired requests that nobody decided, expired
    /// codes, and those of [`Self::requeue_ended`].
    pub fn take_ended(&self, now: Timestamp) -> Vec<EndedPairing> {
        let mut state = self.state();
        let mut ended = std::mem::take(&mut state.ended);
        let mut expired = |id: &PairingId| {
            ended.push(EndedPairing {
                id: id.clone(),
                reason: "expired",
            });
        };
        state.requests.retain(|id, request| {
            let has_expired = request.expires_at <= now;
            if has_expired && request.denied.is_none() && !request.is_reserved {
                expired(id);
            }
            !has_expired
        });
        state.codes.retain(|id, code| {
            let has_expired = code.expires_at <= now;
            if has_expired {
                expired(id);
            }
            !has_expired
        });
        ended
    }

    /// When the next request or code expires.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        let state = self.state();
        let requests = state.requests.values().map(|request| request.expires_at);
        requests
            .chain(state.codes.values().map(|code| code.expires_at))
            .min()
    }

    /// Waits until a request, a code or an ended pairing was added.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, RegistryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PairingRequest {
    fn is_open(&self, now: Timestamp) -> bool {
        self.denied.is_none() && !self.is_reserved && self.expires_at > now
    }
}

impl RegistryState {
    /// How long this address must wait before its next attempt.
    fn must_wait(&mut self, address: IpAddr, now: Timestamp) -> Option<Duration> {
        let times = self.wrong_by_address.get_mut(&address)?;
        remove_old(times, now);
        if times.len() < MAX_WRONG_PER_ADDRESS {
            return None;
        }
        let oldest = times.front().copied()?;
        Some(until(
            now,
            Timestamp::from_unix_ms(oldest.unix_ms() + WRONG_CODE_WINDOW_MS),
        ))
    }

    /// Counts a wrong code; returns the codes that it invalidated.
    fn record_wrong(&mut self, address: Option<IpAddr>, now: Timestamp) -> Vec<EndedPairing> {
        if let Some(address) = address {
            if self.wrong_by_address.len() >= MAX_ADDRESSES {
                self.wrong_by_address.retain(|_, times| {
                    remove_old(times, now);
                    !times.is_empty()
                });
            }
            if self.wrong_by_address.len() < MAX_ADDRESSES
                || self.wrong_by_address.contains_key(&address)
            {
                self.wrong_by_address
                    .entry(address)
                    .or_default()
                    .push_back(now);
            }
        }
        let Some(oldest) = self.codes.values().map(|code| code.created_at).min() else {
            self.wrong.clear();
            return Vec::new();
        };
        while self.wrong.front().is_some_and(|at| *at < oldest) {
            self.wrong.pop_front();
        }
        self.wrong.push_back(now);
        if self.wrong.len() < MAX_WRONG {
            return Vec::new();
        }
        self.wrong.clear();
        let invalidated = self.codes.drain().map(|(id, _)| EndedPairing {
            id,
            reason: "too_many_attempts",
        });
        invalidated.collect()
    }
}

fn remove_old(times: &mut VecDeque<Timestamp>, now: Timestamp) {
    while times
        .front()
        .is_some_and(|at| at.unix_ms() + WRONG_CODE_WINDOW_MS <= now.unix_ms())
    {
        times.pop_front();
    }
}

/// The address, or its network, by which attempts are counted.
fn rate_limit_key(address: IpAddr) -> IpAddr {
    AddressLimit::limit_key(address)
}

fn until(now: Timestamp, then: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(then.unix_ms() - now.unix_ms()).unwrap_or(0))
}

/// Removes differences in how people type a code: letter case, dashes and spaces.
pub(crate) fn normalize_code(code: &str) -> String {
    code.chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .map(|c| c.to_ascii_uppercase())
        .collect()
}

fn unused_code(is_used: impl Fn(&str) -> bool, generate: impl Fn() -> String) -> String {
    loop {
        let code = generate();
        if !is_used(&code) {
            return code;
        }
    }
}

#[cfg(test)]
mod tests;
