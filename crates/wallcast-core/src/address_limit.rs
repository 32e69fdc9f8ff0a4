//! Limits how many sockets an address may open per minute before they authenticate.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The sliding window in which sockets are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses in the table. When it is full, addresses without a socket in the window are dropped first.
const MAX_ADDRESSES: usize = 8192;

/// Counts unauthenticated sockets per address. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AddressLimit {
    per_minute: usize,
    opened: Arc<Mutex<HashMap<IpAddr, VecDeque<Instant>>>>,
}

/// One counted socket. Call [`AddressPermit::release`] once it authenticates; if the permit is dropped
/// instead, the socket counts until it leaves the window.
#[derive(Debug)]
pub struct AddressPermit {
    limit: AddressLimit,
    address: IpAddr,
    opened_at: Instant,
}

impl AddressLimit {
    /// Allows `per_minute` unauthenticated sockets per address in any 60 seconds.
    pub fn new(per_minute: usize) -> Self {
        Self {
            per_minute,
            opened: Arc::default(),
        }
    }

    /// Counts one more socket of `address`.
    ///
    /// # Errors
    /// How long to wait before the next attempt, if the limit is reached or the table is full.
    pub fn acquire(&self, address: IpAddr, now: Instant) -> Result<AddressPermit, Duration> {
        let address = Self::limit_key(address);
        let mut opened = self.lock();
        if opened.len() >= MAX_ADDRESSES && !opened.contains_key(&address) {
            opened.retain(|_, times| times.back().is_some_and(|last| now - *last < WINDOW));
            if opened.len() >= MAX_ADDRESSES {
                return Err(WINDOW);
            }
        }
        let times = opened.entry(address).or_default();
        while times
            .front()
            .is_some_and(|first| now.saturating_duration_since(*first) >= WINDOW)
        {
            times.pop_front();
        }
        if times.len() >= self.per_minute {
            let oldest = times.front().copied().unwrap_or(now);
            return Err(WINDOW.saturating_sub(now.saturating_duration_since(oldest)));
        }
        times.push_back(now);
        Ok(AddressPermit {
            limit: self.clone(),
            address,
            opened_at: now,
        })
    }

    /// The address under which `address` is counted. An IPv6 /64 counts as one address, because one
    /// customer usually owns all of it.
    pub fn limit_key(address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V6(v6) => {
                let network = u128::from(v6) & (u128::MAX << 64);
                IpAddr::V6(network.into())
            }
            v4 => v4,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, VecDeque<Instant>>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AddressPermit {
    /// Stops counting the socket, because it has authenticated.
    pub fn release(self) {
        let mut opened = self.limit.lock();
        if let Some(times) = opened.get_mut(&self.address) {
            if let Some(at) = times.iter().position(|time| *time == self.opened_at) {
                times.remove(at);
            }
            if times.is_empty() {
                opened.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 1, 7));

    #[test]
    fn acquire_at_limit_fails_until_window_passes() {
        let limit = AddressLimit::new(10);
        let start = Instant::now();
        for _ in 0..10 {
            limit.acquire(HOME, start).unwrap();
        }
        assert!(
            limit
                .acquire(HOME, start + Duration::from_secs(59))
                .is_err()
        );
        limit.acquire(HOME, start + WINDOW).unwrap();
    }

    #[test]
    fn released_permit_does_not_count() {
        let limit = AddressLimit::new(1);
        let now = Instant::now();
        for _ in 0..20 {
            limit.acquire(HOME, now).unwrap().release();
        }
        let _unauthenticated = limit.acquire(HOME, now).unwrap();
        assert!(limit.acquire(HOME, now).is_err());
    }

    #[test]
    fn ipv6_network_counts_as_one_address() {
        let limit = AddressLimit::new(1);
        let now = Instant::now();
        limit.acquire("2001:db8::1".parse().unwrap(), now).unwrap();
        assert!(limit.acquire("2001:db8::2".parse().unwrap(), now).is_err());
        limit
            .acquire("2001:db8:0:1::1".parse().unwrap(), now)
            .unwrap();
        limit
            .acquire("::ffff:192.168.1.7".parse().unwrap(), now)
            .unwrap();
        assert!(limit.acquire(HOME, now).is_err());
    }
}
