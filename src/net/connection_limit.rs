//! Limits open TCP connections: all, and unauthenticated ones of each address. So clients cannot use up the
//! file descriptors that the store and the command line's socket need. Connections over the limit are closed without
//! a response.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wallcast_core::address_limit::AddressLimit;

use crate::config::{Config, IpNet};

/// Connections beyond the `max_connections` sockets, for plain HTTP requests.
const EXTRA_CONNECTIONS: usize = 1024;
/// File descriptors that TCP connections never get: for listeners, wallcast.sock and its connections, SQLite,
/// certificates and outgoing connections.
const RESERVED_DESCRIPTORS: usize = 128;
/// Unauthenticated connections of one address. Enough for all tablets of a site behind one NAT.
const MAX_UNAUTHENTICATED_PER_ADDRESS: usize = 256;
/// At most one log line about refused connections in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Counts accepted connections. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimit(Arc<LimitState>);

/// Counts one connection until it is dropped, together with the connection's file descriptor.
#[derive(Debug)]
pub struct ConnectionPermit {
    limit: Arc<LimitState>,
    /// The address that it counts against: for IPv6 the /64 network.
    address: IpAddr,
    is_unauthenticated: AtomicBool,
}

#[derive(Debug)]
struct LimitState {
    max_open: usize,
    max_unauthenticated_per_address: usize,
    /// Peers that connect for many clients; the limit for one address does not apply to them.
    proxies: Vec<IpNet>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    open: usize,
    unauthenticated: HashMap<IpAddr, usize>,
    refused: u64,
    logged_at: Option<Instant>,
}

impl ConnectionLimit {
    /// Computes the limit from the options and the process's limit of open files, which is raised if necessary.
    pub(crate) fn new(config: &Config) -> Self {
        let wanted = config.max_connections.saturating_add(EXTRA_CONNECTIONS);
        let descriptors = raise_descriptor_limit(wanted.saturating_add(RESERVED_DESCRIPTORS));
        let max_open = wanted.min(descriptors - RESERVED_DESCRIPTORS.min(descriptors / 2));
        if max_open < wanted {
            tracing::warn!(
                connections = max_open,
                wanted,
                "the limit of open files is too low for max_connections; raise it (ulimit -n)"
            );
        }
        Self::with_max_open(
            max_open,
            [&config.trusted_proxies[..], &config.ingress_from].concat(),
        )
    }

    fn with_max_open(max_open: usize, proxies: Vec<IpNet>) -> Self {
        Self(Arc::new(LimitState {
            max_open,
            max_unauthenticated_per_address: MAX_UNAUTHENTICATED_PER_ADDRESS.min(max_open / 2),
            proxies,
            counts: Mutex::default(),
        }))
    }

    /// Takes a permit for a connection from this address; `None` if a limit is reached.
    pub(crate) fn acquire(&self, address: IpAddr) -> Option<Arc<ConnectionPermit>> {
        let is_unauthenticated = !self.0.is_proxy(address.to_canonical());
        let address = AddressLimit::limit_key(address);
        let mut counts = self.0.lock();
        let own = counts
            .unauthenticated
            .get(&address)
            .copied()
            .unwrap_or_default();
        if counts.open >= self.0.max_open
            || is_unauthenticated && own >= self.0.max_unauthenticated_per_address
        {
            counts.log_refused(address);
            return None;
        }
        counts.open += 1;
        if is_unauthenticated {
            counts.unauthenticated.insert(address, own + 1);
        }
        Some(Arc::new(ConnectionPermit {
            limit: self.0.clone(),
            address,
            is_unauthenticated: AtomicBool::new(is_unauthenticated),
        }))
    }
}

impl ConnectionPermit {
    /// Call when the peer has authenticated or opened a socket, which has limits of its own. From then on the connection
    /// does not count against its address.
    pub fn mark_authenticated(&self) {
        self.release_address(&mut self.limit.lock());
    }

    fn release_address(&self, counts: &mut Counts) {
        if !self.is_unauthenticated.swap(false, Ordering::Relaxed) {
            return;
        }
        if let Some(own) = counts.unauthenticated.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                counts.unauthenticated.remove(&self.address);
            }
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut counts = self.limit.lock();
        self.release_address(&mut counts);
        counts.open -= 1;
    }
}

impl LimitState {
    fn is_proxy(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.proxies.iter().any(|net| net.contains(address))
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn log_refused(&mut self, address: IpAddr) {
        self.refused += 1;
        if self.logged_at.is_some_and(|at| at.elapsed() < LOG_INTERVAL) {
            return;
        }
        tracing::warn!(
            refused = self.refused,
            last_from = %address,
            open = self.open,
            "connections refused: too many are open"
        );
        self.refused = 0;
        self.logged_at = Some(Instant::now());
    }
}

/// The process's limit of open files, after raising it to `wanted` as far as the hard limit allows.
fn raise_descriptor_limit(wanted: usize) -> usize {
    let now = getrlimit(Resource::Nofile);
    let soft = limit_or_max(now.current);
    if soft >= wanted {
        return soft;
    }
    let raised = wanted.min(limit_or_max(now.maximum));
    let new = Rlimit {
        current: u64::try_from(raised).ok(),
        maximum: now.maximum,
    };
    match setrlimit(Resource::Nofile, new) {
        Ok(()) => raised,
        Err(error) => {
            tracing::debug!(%error, "cannot raise the limit of open files");
            soft
        }
    }
}

/// `usize::MAX` stands for no limit.
fn limit_or_max(limit: Option<u64>) -> usize {
    limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_gets_at_most_half_of_the_permits() {
        let limit = ConnectionLimit::with_max_open(8, Vec::new());
        let permits: Vec<_> = (0..4)
            .map(|n| limit.acquire(ip(&format!("2001:db8::{n}"))).unwrap())
            .collect();
        assert!(
            limit.acquire(ip("2001:db8::5")).is_none(),
            "a /64 counts as one address"
        );
        let _other = limit.acquire(ip("192.0.2.1")).unwrap();

        permits[0].mark_authenticated();
        permits[0].mark_authenticated();
        let _again = limit.acquire(ip("2001:db8::5")).unwrap();
        assert!(limit.acquire(ip("2001:db8::6")).is_none());
        drop(permits);
        let _three: Vec<_> = (0..3).map(|_| limit.acquire(ip("2001:db8::6"))).collect();
        assert!(limit.acquire(ip("2001:db8::6")).is_none());
    }

    #[test]
    fn proxies_are_limited_only_in_total() {
        let limit = ConnectionLimit::with_max_open(8, vec!["10.0.0.0/8".parse().unwrap()]);
        let mut taken: Vec<_> = (0..4).map(|_| limit.acquire(ip("127.0.0.1"))).collect();
        taken.extend((0..4).map(|_| limit.acquire(ip("::ffff:10.1.2.3"))));
        assert!(taken.iter().all(Option::is_some));
        assert!(limit.acquire(ip("127.0.0.1")).is_none());
        taken.pop();
        assert!(limit.acquire(ip("192.0.2.1")).is_some());
    }
}
