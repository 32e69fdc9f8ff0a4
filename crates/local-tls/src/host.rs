//! What the host is called and where it is reached: names and addresses for the leaf certificate.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tracing::warn;

use super::names::{HostFacts, HostName};

const KERNEL_HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// Knows the host's names and addresses.
pub trait HostSource: Debug + Send + Sync {
    /// Asks now and takes at most `within`; what stays unanswered is left out and named in [`Survey::missing`].
    fn survey(&self, within: Duration) -> BoxFuture<'_, Survey>;

    /// Whether an answer takes long enough that a start with a usable certificate must not wait for it.
    fn is_remote(&self) -> bool;
}

/// The answer of a [`HostSource`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The names and addresses that are known.
    pub facts: HostFacts,
    /// Why the facts are incomplete, for the log. While this is set, no name of the present leaf is dropped.
    pub missing: Option<String>,
}

/// This machine: the kernel's host name and the addresses of its interfaces. Takes microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Machine;

impl HostSource for Machine {
    fn survey(&self, _: Duration) -> BoxFuture<'_, Survey> {
        let survey = Survey {
            facts: facts(),
            missing: None,
        };
        std::future::ready(survey).boxed()
    }

    fn is_remote(&self) -> bool {
        false
    }
}

fn facts() -> HostFacts {
    let host = std::fs::read_to_string(KERNEL_HOST_NAME).ok();
    let addresses = match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces.iter().map(if_addrs::Interface::ip).collect(),
        Err(error) => {
            warn!(%error, "the interfaces cannot be listed; the certificate carries names alone");
            Vec::new()
        }
    };
    HostFacts {
        host: host.and_then(|name| HostName::parse(&name).ok()),
        reached_at: Vec::new(),
        addresses,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[tokio::test]
    async fn machine_survey_has_loopback() {
        let survey = Machine.survey(Duration::from_secs(5)).await;
        assert_eq!(survey.missing, None);
        assert!(survey.facts.addresses.iter().any(IpAddr::is_loopback));
    }
}
