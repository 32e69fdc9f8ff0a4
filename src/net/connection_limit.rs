//! How many TCP connections may be open, in all and of one stranger, so that nobody can take the
//! file descriptors that the store and the command line's socket live on.
//!
//! Counts and refuses; says nothing to whoever is refused.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{Config, IpNet};
use wallcast_core::limits::AddressLimit;

/// Connections beyond `max_connections` sockets: those that only ask something.
const PASSING: usize = 1024;
/// Descriptors that TCP connections never get: listeners, wallcast.sock and who speaks on it,
/// SQLite, certificates, what we connect to ourselves.
const KEPT: usize = 128;
/// Connections of one address that have proven nothing: a wall of tablets behind one NAT fits.
const OF_ONE_STRANGER: usize = 256;
/// How often the log may tell of those that were turned away.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Counts accepted connections. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimit(Arc<House>);

/// The place of one connection, held as long as its descriptor is open.
#[derive(Debug)]
pub struct ConnectionPermit {
    house: Arc<House>,
    /// As the strangers of one network are counted.
    address: IpAddr,
    is_stranger: AtomicBool,
}

#[derive(Debug)]
struct House {
    in_all: usize,
    of_one_stranger: usize,
    /// Peers that stand for many.
    proxies: Vec<IpNet>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    in_all: usize,
    strangers: HashMap<IpAddr, usize>,
    turned_away: u64,
    told_at: Option<Instant>,
}

impl ConnectionLimit {
    /// As many as the options want and the process's descriptors allow, after raising their limit
    /// as far as that is needed and permitted.
    pub(crate) fn new(config: &Config) -> Self {
        let wanted = config.max_connections.saturating_add(PASSING);
        let descriptors = descriptors(wanted.saturating_add(KEPT));
        let in_all = wanted.min(descriptors - KEPT.min(descriptors / 2));
        if in_all < wanted {
            tracing::warn!(
                connections = in_all,
                wanted,
                "this process may open too few files for max_connections; raise its limit (ulimit -n)"
            );
        }
        Self::of(
            in_all,
            [&config.trusted_proxies[..], &config.ingress_from].concat(),
        )
    }

    fn of(in_all: usize, proxies: Vec<IpNet>) -> Self {
        Self(Arc::new(House {
            in_all,
            of_one_stranger: OF_ONE_STRANGER.min(in_all / 2),
            proxies,
            taken: Mutex::default(),
        }))
    }

    /// A place for a connection from this address, if there is one.
    pub(crate) fn take(&self, address: IpAddr) -> Option<Arc<ConnectionPermit>> {
        let is_stranger = !self.0.stands_for_many(address.to_canonical());
        let address = AddressLimit::limit_key(address);
        let mut taken = self.0.lock();
        let own = taken.strangers.get(&address).copied().unwrap_or_default();
        if taken.in_all >= self.0.in_all || is_stranger && own >= self.0.of_one_stranger {
            taken.turn_away(address);
            return None;
        }
        taken.in_all += 1;
        if is_stranger {
            taken.strangers.insert(address, own + 1);
        }
        Some(Arc::new(ConnectionPermit {
            house: self.0.clone(),
            address,
            is_stranger: AtomicBool::new(is_stranger),
        }))
    }
}

impl ConnectionPermit {
    /// Whoever sits here has proven a token or become a socket: other bounds hold for it now, and
    /// it no longer counts against its address.
    pub fn is_known(&self) {
        self.reserve_for_authenticated(&mut self.house.lock());
    }

    fn reserve_for_authenticated(&self, taken: &mut Taken) {
        if !self.is_stranger.swap(false, Ordering::Relaxed) {
            return;
        }
        if let Some(own) = taken.strangers.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                taken.strangers.remove(&self.address);
            }
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut taken = self.house.lock();
        self.reserve_for_authenticated(&mut taken);
        taken.in_all -= 1;
    }
}

impl House {
    fn stands_for_many(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.proxies.iter().any(|net| net.contains(address))
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn turn_away(&mut self, address: IpAddr) {
        self.turned_away += 1;
        if self.told_at.is_some_and(|at| at.elapsed() < TOLD_EVERY) {
            return;
        }
        tracing::warn!(
            turned_away = self.turned_away,
            last_from = %address,
            open = self.in_all,
            "too many connections are open; new ones are closed at once"
        );
        self.turned_away = 0;
        self.told_at = Some(Instant::now());
    }
}

/// How many descriptors this process may open, raised to `wanted` if the hard limit allows it.
fn descriptors(wanted: usize) -> usize {
    let now = getrlimit(Resource::Nofile);
    let soft = limit(now.current);
    if soft >= wanted {
        return soft;
    }
    let raised = wanted.min(limit(now.maximum));
    let asked = Rlimit {
        current: u64::try_from(raised).ok(),
        maximum: now.maximum,
    };
    match setrlimit(Resource::Nofile, asked) {
        Ok(()) => raised,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            soft
        }
    }
}

/// Without a limit there is none.
fn limit(said: Option<u64>) -> usize {
    said.map_or(usize::MAX, |said| {
        usize::try_from(said).unwrap_or(usize::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_stranger_never_takes_all_places() {
        let limit = ConnectionLimit::of(8, Vec::new());
        let strangers: Vec<_> = (0..4)
            .map(|n| limit.take(ip(&format!("2001:db8::{n}"))).unwrap())
            .collect();
        assert!(limit.take(ip("2001:db8::5")).is_none(), "a /64 is one");
        let _other = limit.take(ip("192.0.2.1")).unwrap();

        strangers[0].is_known();
        strangers[0].is_known();
        let _again = limit.take(ip("2001:db8::5")).unwrap();
        assert!(limit.take(ip("2001:db8::6")).is_none());
        drop(strangers);
        let _three: Vec<_> = (0..3).map(|_| limit.take(ip("2001:db8::6"))).collect();
        assert!(limit.take(ip("2001:db8::6")).is_none());
    }

    #[test]
    fn those_that_stand_for_many_are_held_to_the_whole_alone() {
        let limit = ConnectionLimit::of(8, vec!["10.0.0.0/8".parse().unwrap()]);
        let mut taken: Vec<_> = (0..4).map(|_| limit.take(ip("127.0.0.1"))).collect();
        taken.extend((0..4).map(|_| limit.take(ip("::ffff:10.1.2.3"))));
        assert!(taken.iter().all(Option::is_some));
        assert!(limit.take(ip("127.0.0.1")).is_none());
        taken.pop();
        assert!(limit.take(ip("192.0.2.1")).is_some());
    }
}
