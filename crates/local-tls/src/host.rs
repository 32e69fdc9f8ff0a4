//! The host's names and addresses, which the leaf certificate contains.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tracing::warn;

use super::names::{HostFacts, HostName};

const KERNEL_HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// Provides the host's names and addresses.
pub trait HostSource: Debug + Send + Sync {
    /// Queries the host. Must return within `timeout`; facts that are not available by then are omitted, with the
    /// reason in [`HostReport::missing`].
    fn query(&self, timeout: Duration) -> BoxFuture<'_, HostReport>;

    /// Whether a query may take long, so that a start with a usable stored certificate must not wait for it.
    fn is_remote(&self) -> bool;
}

/// The result of [`HostSource::query`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostReport {
    /// The names and addresses that are known.
    pub facts: HostFacts,
    /// Why the facts are incomplete, if a later query may complete them. Logged as a warning. A new leaf then keeps
    /// the names of the old one.
    pub missing: Option<String>,
}

/// This machine: the kernel's host name and the addresses of the network interfaces. A query takes microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Machine;

impl HostSource for Machine {
    fn query(&self, _: Duration) -> BoxFuture<'_, HostReport> {
        let report = HostReport {
            facts: query_machine(),
            missing: None,
        };
        std::future::ready(report).boxed()
    }

    fn is_remote(&self) -> bool {
        false
    }
}

fn query_machine() -> HostFacts {
    let host = std::fs::read_to_string(KERNEL_HOST_NAME).ok();
    let addresses = match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces.iter().map(if_addrs::Interface::ip).collect(),
        Err(error) => {
            warn!(%error, "network interfaces cannot be listed; the certificate will contain no addresses");
            Vec::new()
        }
    };
    HostFacts {
        host: host.and_then(|name| HostName::parse(&name).ok()),
        access_names: Vec::new(),
        addresses,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[tokio::test]
    async fn machine_query_returns_loopback_address() {
        let report = Machine.query(Duration::from_secs(5)).await;
        assert_eq!(report.missing, None);
        assert!(report.facts.addresses.iter().any(IpAddr::is_loopback));
    }
}
