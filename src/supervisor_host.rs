//! Asks Supervisor for the host's name and addresses, for the certificate. The add-on's container has a name and
//! addresses of its own, which tablets cannot reach.

use std::net::IpAddr;
use std::time::Duration;

use hyper::Uri;
use local_tls::{AltName, HostFacts, HostName, HostReport, HostSource};
use serde::Deserialize;
use tracing::warn;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::supervisor::{Supervisor, SupervisorError};

impl HostSource for Supervisor {
    fn query(&self, timeout: Duration) -> BoxFuture<'_, HostReport> {
        async move { query_supervisor(&self.clone().with_timeout(timeout)).await }.boxed()
    }

    fn is_remote(&self) -> bool {
        true
    }
}

/// The part of `/info` that matters here.
#[derive(Default, Deserialize)]
struct Info {
    hostname: Option<String>,
}

/// The part of `/network/info` that matters here. Addresses come with their prefix length.
#[derive(Default, Deserialize)]
struct Network {
    #[serde(default)]
    interfaces: Vec<Interface>,
}

#[derive(Deserialize)]
struct Interface {
    ipv4: Option<Addresses>,
    ipv6: Option<Addresses>,
}

#[derive(Deserialize)]
struct Addresses {
    #[serde(default)]
    address: Vec<String>,
}

/// The part of Core's configuration that matters here.
#[derive(Default, Deserialize)]
struct CoreConfig {
    internal_url: Option<String>,
}

async fn query_supervisor(supervisor: &Supervisor) -> HostReport {
    let (info, network, core) = tokio::join!(
        supervisor.get_json::<Info>("/info"),
        supervisor.get_json::<Network>("/network/info"),
        supervisor.get_json::<CoreConfig>("/core/api/config"),
    );
    let mut missing = None;
    let info = answered(info, &mut missing);
    let network = answered(network, &mut missing);
    let core = answered(core, &mut missing);
    let facts = HostFacts {
        host: info.hostname.and_then(|name| HostName::parse(&name).ok()),
        access_names: core
            .internal_url
            .as_deref()
            .and_then(host_of)
            .into_iter()
            .collect(),
        addresses: addresses(&network),
    };
    HostReport { facts, missing }
}

fn answered<T: Default>(answer: Result<T, SupervisorError>, missing: &mut Option<String>) -> T {
    answer.unwrap_or_else(|error| {
        if error.is_temporary() {
            missing.get_or_insert(error.to_string());
        } else {
            warn!(%error, "answer of Supervisor left out of the certificate");
        }
        T::default()
    })
}

fn addresses(network: &Network) -> Vec<IpAddr> {
    network
        .interfaces
        .iter()
        .flat_map(|interface| [&interface.ipv4, &interface.ipv6])
        .flatten()
        .flat_map(|family| &family.address)
        .filter_map(|address| address.split('/').next()?.parse().ok())
        .collect()
}

/// The name or address in a URL.
fn host_of(url: &str) -> Option<AltName> {
    AltName::parse(url.parse::<Uri>().ok()?.host()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::fake::FakeSupervisor;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn supervisor_names_the_host_and_its_addresses() {
        let fake = FakeSupervisor::start().await;
        fake.set_answer(
            "/info",
            200,
            r#"{"result":"ok","data":{"hostname":"Pi4","arch":"aarch64"}}"#,
        );
        fake.set_answer(
            "/network/info",
            200,
            r#"{"result":"ok","data":{"interfaces":[
                {"interface":"end0","ipv4":{"address":["192.168.1.5/24"],"method":"auto"},
                 "ipv6":{"address":["fe80::1/64","fd00::5/64"]},"wifi":null},
                {"interface":"wlan0","ipv4":null,"ipv6":null}],
              "docker":{"address":"172.30.32.0/23"}}}"#,
        );
        fake.set_answer(
            "/core/api/config",
            200,
            r#"{"internal_url":"http://ha.lan:8123"}"#,
        );
        let report = fake.client().query(LIMIT).await;
        let addresses: Vec<IpAddr> = ["192.168.1.5", "fe80::1", "fd00::5"]
            .map(|a| a.parse().unwrap())
            .into();
        assert_eq!(
            report,
            HostReport {
                facts: HostFacts {
                    host: Some(HostName::parse("pi4").unwrap()),
                    access_names: vec![AltName::parse("ha.lan").unwrap()],
                    addresses,
                },
                missing: None,
            }
        );
    }

    #[tokio::test]
    async fn only_temporary_failures_leave_report_incomplete() {
        let fake = FakeSupervisor::start().await;
        fake.set_answer("/info", 200, r#"{"result":"ok","data":{"hostname":"pi4"}}"#);
        fake.set_answer("/network/info", 403, "");
        fake.set_answer("/core/api/config", 200, r#"{"internal_url":null}"#);
        let source = fake.client();
        let report = source.query(LIMIT).await;
        assert_eq!(
            report.missing, None,
            "a missing permission is not temporary"
        );
        assert!(report.facts.host.is_some());
        fake.set_answer("/core/api/config", 502, "");
        assert!(source.query(LIMIT).await.missing.unwrap().contains("502"));
    }

    #[test]
    fn host_of_extracts_name_or_address() {
        let host = |url: &str| host_of(url).map(|name| name.to_string());
        assert_eq!(
            host("http://192.168.1.5:8123").as_deref(),
            Some("192.168.1.5")
        );
        assert_eq!(host("http://[fd00::5]:8123/").as_deref(), Some("fd00::5"));
        assert_eq!(
            host("https://HA.example.org").as_deref(),
            Some("ha.example.org")
        );
        assert_eq!(host("nonsense url"), None);
    }
}
