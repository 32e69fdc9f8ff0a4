//! Options: the raw values as given ([`options`]), the typed configuration ([`Config`]), and the
//! step from one to the other ([`load`]). Nothing here opens a port, a database or a log.

pub mod control_socket;
pub mod load;
pub mod net;
pub mod options;
pub mod provenance;
pub mod secret;
pub mod web_origin;

#[expect(clippy::module_inception, reason = "the file is named after the type")]
mod config;

pub use config::{CertificateFiles, Config, LogFormat};
pub use control_socket::ControlPath;
pub use load::{Environment, Sources, load};
pub use net::IpNet;
pub use options::RawOptions;
pub use provenance::{OptionError, OptionSource, OptionValue, Provenance};
pub use secret::Secret;
pub use web_origin::WebOrigin;
