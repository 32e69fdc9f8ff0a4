//! Decides which Home Assistant users may use the ingress listener: administrators only
//! (`docs/protocol.md#ingress`).
//!
//! Home Assistant lets every user open ingress and sends no role, so its user list is queried. If that is not
//! possible, nobody is an administrator.

use std::collections::HashSet;
use std::time::Duration;

use hyper::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::config::Config;
use crate::home::{HomeAssistant, HomeError};
use crate::http::ApiError;

/// Supervisor's header with the user's id. A request with two values is refused: one of them is forged.
pub(crate) const USER_HEADER: &str = "x-remote-user-id";
/// The group whose members are Home Assistant's administrators.
const ADMINS: &str = "system-admin";
/// How long a list of administrators is used before Home Assistant is queried again.
pub(crate) const ADMIN_LIST_MAX_AGE: Duration = Duration::from_secs(60);
/// How long an older list is used while Home Assistant cannot be reached.
const ADMIN_LIST_MAX_STALE_AGE: Duration = Duration::from_secs(600);
/// The pause after a failed query, which may take ten seconds itself.
const RETRY_AFTER: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct IngressAuthenticator {
    pub verify_admin: bool,
    home: HomeAssistant,
    /// Locked during a query, so that concurrent requests share one query.
    cache: Mutex<AdminCache>,
}

/// The result of the last query.
#[derive(Debug, Default)]
struct AdminCache {
    admins: Option<Admins>,
    failed_at: Option<Instant>,
}

/// The ids of Home Assistant's administrators, and when they were queried.
#[derive(Debug)]
struct Admins {
    users: HashSet<String>,
    at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Admin,
    Other,
    /// Home Assistant cannot be queried now.
    Unknown,
}

/// A user of Home Assistant. A missing field counts as no permission.
#[derive(Debug, Deserialize)]
struct User {
    id: String,
    #[serde(default)]
    is_active: bool,
    #[serde(default)]
    is_owner: bool,
    #[serde(default)]
    group_ids: Vec<String>,
}

impl User {
    fn is_admin(&self) -> bool {
        self.is_active && (self.is_owner || self.group_ids.iter().any(|group| group == ADMINS))
    }
}

impl AdminCache {
    /// Whether a user is an administrator; `None` if the list is older than `max_age` or missing.
    fn verdict(&self, user: &str, max_age: Duration, now: Instant) -> Option<Verdict> {
        let admins = self.admins.as_ref().filter(|a| a.at + max_age >= now)?;
        Some(match admins.users.contains(user) {
            true => Verdict::Admin,
            false => Verdict::Other,
        })
    }
}

impl IngressAuthenticator {
    pub fn new(config: &Config, home: HomeAssistant) -> Self {
        Self {
            verify_admin: config.ingress_verify_admin,
            home,
            cache: Mutex::default(),
        }
    }

    /// The id of the administrator who sent a request.
    ///
    /// # Errors
    /// 403 with a text for the page that shows it.
    pub async fn admin(&self, headers: &HeaderMap) -> Result<String, ApiError> {
        let mut users = headers.get_all(USER_HEADER).iter();
        let user = match (users.next(), users.next()) {
            (Some(user), None) => user.to_str().ok().filter(|id| !id.is_empty()),
            _ => None,
        };
        if !self.verify_admin {
            return Ok(user.unwrap_or("ingress").to_owned());
        }
        let refused = |message| ApiError::new(StatusCode::FORBIDDEN, "not_an_admin", message);
        let Some(user) = user else {
            return Err(refused("Home Assistant did not say which user this is"));
        };
        match self.verdict(user, ADMIN_LIST_MAX_AGE).await {
            Verdict::Admin => Ok(user.to_owned()),
            Verdict::Other => Err(refused(
                "Wallcast is for administrators of Home Assistant: ask one of them",
            )),
            Verdict::Unknown => Err(refused(
                "Wallcast cannot ask Home Assistant now whether you are an admin; \
                 try again in a moment, or use an admin token on port 8443",
            )),
        }
    }

    /// Whether a user is an administrator. Queries Home Assistant if the list is older than `max_age`.
    pub async fn verdict(&self, user: &str, max_age: Duration) -> Verdict {
        let mut cache = self.cache.lock().await;
        let now = Instant::now();
        if let Some(verdict) = cache.verdict(user, max_age, now) {
            return verdict;
        }
        if cache.failed_at.is_none_or(|at| at + RETRY_AFTER < now) {
            let command = json!({ "type": "config/auth/list" });
            match self.home.request::<Vec<User>>(command).await {
                Ok(users) => {
                    let admins = users.into_iter().filter(User::is_admin);
                    let admins = Admins {
                        users: admins.map(|user| user.id).collect(),
                        at: Instant::now(),
                    };
                    *cache = AdminCache {
                        admins: Some(admins),
                        failed_at: None,
                    };
                }
                Err(error) => {
                    // An old list is used while Home Assistant is away, but not when it answers with an error.
                    if let HomeError::Refused { .. } | HomeError::Unreadable(_) = error {
                        cache.admins = None;
                    }
                    cache.failed_at = Some(Instant::now());
                    tracing::warn!(%error, "cannot query Home Assistant's administrators");
                }
            }
        }
        let verdict = cache.verdict(user, ADMIN_LIST_MAX_STALE_AGE, Instant::now());
        verdict.unwrap_or(Verdict::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_is_active_and_owner_or_in_admin_group() {
        let is_admin = |user: serde_json::Value| {
            let user: User = serde_json::from_value(user).unwrap();
            user.is_admin()
        };
        let group = json!([ADMINS]);
        assert!(is_admin(
            json!({"id": "a", "is_active": true, "is_owner": true})
        ));
        assert!(is_admin(
            json!({"id": "a", "is_active": true, "group_ids": group})
        ));
        assert!(!is_admin(
            json!({"id": "a", "is_active": false, "is_owner": true})
        ));
        assert!(!is_admin(
            json!({"id": "a", "is_active": true, "group_ids": ["system-users"]})
        ));
        assert!(!is_admin(json!({"id": "a"})));
    }

    #[test]
    fn admin_list_is_fresh_for_one_minute_and_usable_for_ten() {
        let start = Instant::now();
        let cache = AdminCache {
            admins: Some(Admins {
                users: HashSet::from(["ann".to_owned()]),
                at: start,
            }),
            failed_at: None,
        };
        let verdict = |user, max_age, seconds| {
            cache.verdict(user, max_age, start + Duration::from_secs(seconds))
        };
        assert_eq!(verdict("ann", ADMIN_LIST_MAX_AGE, 60), Some(Verdict::Admin));
        assert_eq!(verdict("bob", ADMIN_LIST_MAX_AGE, 60), Some(Verdict::Other));
        assert_eq!(verdict("ann", ADMIN_LIST_MAX_AGE, 61), None);
        assert_eq!(
            verdict("ann", ADMIN_LIST_MAX_STALE_AGE, 600),
            Some(Verdict::Admin)
        );
        assert_eq!(verdict("ann", ADMIN_LIST_MAX_STALE_AGE, 601), None);
        assert_eq!(
            AdminCache::default().verdict("ann", ADMIN_LIST_MAX_STALE_AGE, start),
            None
        );
    }
}
