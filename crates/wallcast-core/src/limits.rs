//! How many new sockets an address may open before it has proven a token (seed 0: ten a minute).

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The length of the window that is counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered at once; beyond it, windows that have passed are dropped first.
const MAX_ADDRESSES: usize = 8192;

/// Counts unproven sockets by address. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    per_minute: usize,
    opened: Arc<Mutex<HashMap<IpAddr, VecDeque<Instant>>>>,
}

/// A counted socket; [`Place::give_back`] when it proves a token.
#[derive(Debug)]
pub struct Place {
    limits: ConnectionLimits,
    address: IpAddr,
    opened_at: Instant,
}

impl ConnectionLimits {
    /// A limit of `per_minute` unproven sockets in any 60 seconds.
    pub fn new(per_minute: usize) -> Self {
        Self {
            per_minute,
            opened: Arc::default(),
        }
    }

    /// Counts one more socket of this address.
    ///
    /// # Errors
    /// How long to wait when there is no place left.
    pub fn take(&self, address: IpAddr, now: Instant) -> Result<Place, Duration> {
        let address = Self::counted_as(address);
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
        Ok(Place {
            limits: self.clone(),
            address,
            opened_at: now,
        })
    }

    /// An IPv6 /64 counts as one address: it is one customer's (contract section 8).
    pub fn counted_as(address: IpAddr) -> IpAddr {
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

impl Place {
    /// The socket proved a token: it no longer counts.
    pub fn give_back(self) {
        let mut opened = self.limits.lock();
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
    fn ten_a_minute_and_again_a_minute_later() {
        let limits = ConnectionLimits::new(10);
        let start = Instant::now();
        for _ in 0..10 {
            limits.take(HOME, start).unwrap();
        }
        assert!(limits.take(HOME, start + Duration::from_secs(59)).is_err());
        limits.take(HOME, start + WINDOW).unwrap();
    }

    #[test]
    fn a_proven_socket_gives_its_place_back() {
        let limits = ConnectionLimits::new(1);
        let now = Instant::now();
        for _ in 0..20 {
            limits.take(HOME, now).unwrap().give_back();
        }
        let _unproven = limits.take(HOME, now).unwrap();
        assert!(limits.take(HOME, now).is_err());
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let limits = ConnectionLimits::new(1);
        let now = Instant::now();
        limits.take("2001:db8::1".parse().unwrap(), now).unwrap();
        assert!(limits.take("2001:db8::2".parse().unwrap(), now).is_err());
        limits
            .take("2001:db8:0:1::1".parse().unwrap(), now)
            .unwrap();
        limits
            .take("::ffff:192.168.1.7".parse().unwrap(), now)
            .unwrap();
        assert!(limits.take(HOME, now).is_err());
    }
}
