//! The addresses of the bound listeners, with port 0 replaced by the real port.

use std::net::SocketAddr;

#[derive(Clone, Debug)]
pub struct BoundAddresses {
    pub https: Vec<SocketAddr>,
    pub ingress: Vec<SocketAddr>,
    pub plain: Vec<SocketAddr>,
}

impl BoundAddresses {
    /// The line that the server prints once it accepts connections (`docs/protocol.md#ready-line`).
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
