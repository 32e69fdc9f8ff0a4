//! TLS.

mod authority;
mod constraints;
mod fingerprint;
mod leaf;
mod names;
mod read;
mod resolver;

pub use authority::{Authority, AuthorityError};
pub use constraints::Constraints;
pub use fingerprint::Fingerprint;
pub use leaf::Leaf;
pub use names::{AltName, CertificateNames, HostFacts, HostName, NameError};
pub use resolver::{SwapResolver, accept, server_config};
