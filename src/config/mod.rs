//! Options: what was said ([`options`]), what it means ([`Config`]), and how the one becomes the other ([`load`]).
//! Nothing here opens a port, a database or a log.

pub mod load;
pub mod net;
pub mod options;
pub mod origin;
pub mod provenance;
pub mod secret;
pub mod socket;

#[expect(
    clippy::module_inception,
    reason = "the type's own name is the best one for its file"
)]
mod config;

pub use config::{CertificateFiles, Config, LogFormat};
pub use load::{Environment, Sources, load};
pub use net::IpNet;
pub use options::Options;
pub use origin::Origin;
pub use provenance::{OptionError, Provenance, Said, Source};
pub use secret::Secret;
pub use socket::ControlPath;
