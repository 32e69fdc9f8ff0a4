//! The addresses that the listeners have, port 0 resolved.

use std::net::SocketAddr;

#[derive(Clone, Debug)]
pub struct BoundAddresses {
    /// TLS.
    pub https: Vec<SocketAddr>,
    /// Ingress.
    pub ingress: Vec<SocketAddr>,
    /// Plain HTTP.
    pub plain: Vec<SocketAddr>,
}

impl BoundAddresses {
    /// The one line of contract section 9.
    pub fn ready_line(&self) -> String {
        let shown = |addresses: &[SocketAddr]| match addresses {
            [] => "off".to_owned(),
            some => some
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(","),
        };
        format!(
            "ready https={} ingress={} plain={}",
            shown(&self.https),
            shown(&self.ingress),
            shown(&self.plain)
        )
    }
}
