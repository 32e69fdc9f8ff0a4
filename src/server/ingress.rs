//! Who may use the ingress listener (contract section 2): Supervisor's proxy alone, and of its
//! users the admins alone.
//!
//! Home Assistant lets any of its users open ingress and sends no role. Until its user list can be
//! asked, nobody passes: the check is closed, not open.

use hyper::{HeaderMap, StatusCode};

use super::ApiError;
use crate::config::Config;

/// The user that Supervisor names; a second value would be a forged one.
const USER_HEADER: &str = "x-remote-user-id";

/// Decides who on the ingress listener is an admin.
#[derive(Debug)]
pub struct IngressGate {
    verify_admin: bool,
}

impl IngressGate {
    /// By the options.
    pub fn new(config: &Config) -> Self {
        Self {
            verify_admin: config.ingress_verify_admin,
        }
    }

    /// The admin's id.
    ///
    /// # Errors
    /// 403 with the reason, for the page that says it.
    pub fn admin(&self, headers: &HeaderMap) -> Result<String, ApiError> {
        let mut users = headers.get_all(USER_HEADER).iter();
        let user = match (users.next(), users.next()) {
            (Some(user), None) => user.to_str().ok().filter(|id| !id.is_empty()),
            _ => None,
        };
        if !self.verify_admin {
            return Ok(user.unwrap_or("ingress").to_owned());
        }
        let refused = |message| ApiError::new(StatusCode::FORBIDDEN, "not_an_admin", message);
        if user.is_none() {
            return Err(refused("Home Assistant did not say which user this is"));
        }
        Err(refused(
            "Wallcast cannot ask Home Assistant yet whether you are an admin; \
             use an admin token on port 8443",
        ))
    }
}
