//! Who may use the ingress listener (contract section 2): Supervisor's proxy alone, and of its
//! users the admins alone.
//!
//! Home Assistant lets any of its users open ingress and sends no role, so its user list is asked.
//! Where it cannot be, the check is closed, not open.

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

/// The user that Supervisor names; a second value would be a forged one.
pub(crate) const USER_HEADER: &str = "x-remote-user-id";
/// The group whose members are Home Assistant's administrators.
const ADMINS: &str = "system-admin";
/// How long an answer is as good as new.
pub(crate) const FRESH: Duration = Duration::from_secs(60);
/// How long it stands while Home Assistant is away.
const STANDS: Duration = Duration::from_secs(600);
/// After a question that failed nobody asks again for so long: each may take ten seconds.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Decides who on the ingress listener is an admin.
#[derive(Debug)]
pub struct IngressAuthenticator {
    pub verify_admin: bool,
    home: HomeAssistant,
    /// Held while Home Assistant is asked, so that it is asked once for all who wait.
    known: Mutex<Known>,
}

/// What Home Assistant said last.
#[derive(Debug, Default)]
struct Known {
    answer: Option<Admins>,
    failed_at: Option<Instant>,
}

/// Its administrators, and when it named them.
#[derive(Debug)]
struct Admins {
    users: HashSet<String>,
    at: Instant,
}

/// Whether somebody is an admin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Admin,
    Other,
    /// Nobody can say.
    Unknown,
}

/// A user of Home Assistant; what is not said is not granted.
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

impl Known {
    /// What the last answer says of a user, if it is no older than `limit`.
    fn says(&self, user: &str, limit: Duration, now: Instant) -> Option<Verdict> {
        let answer = self.answer.as_ref().filter(|a| a.at + limit >= now)?;
        Some(match answer.users.contains(user) {
            true => Verdict::Admin,
            false => Verdict::Other,
        })
    }
}

impl IngressAuthenticator {
    /// By the options.
    pub fn new(config: &Config, home: HomeAssistant) -> Self {
        Self {
            verify_admin: config.ingress_verify_admin,
            home,
            known: Mutex::default(),
        }
    }

    /// The admin's id.
    ///
    /// # Errors
    /// 403 with the reason, for the page that says it.
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
        match self.verdict(user, FRESH).await {
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

    /// Whether a user is an admin, by an answer no older than `fresh` if there can be one.
    pub async fn verdict(&self, user: &str, fresh: Duration) -> Verdict {
        let mut known = self.known.lock().await;
        let now = Instant::now();
        if let Some(verdict) = known.says(user, fresh, now) {
            return verdict;
        }
        if known.failed_at.is_none_or(|at| at + ASK_AGAIN < now) {
            let command = json!({ "type": "config/auth/list" });
            match self.home.request::<Vec<User>>(command).await {
                Ok(users) => {
                    let admins = users.into_iter().filter(User::is_admin);
                    let answer = Admins {
                        users: admins.map(|user| user.id).collect(),
                        at: Instant::now(),
                    };
                    *known = Known {
                        answer: Some(answer),
                        failed_at: None,
                    };
                }
                Err(error) => {
                    // One that is there and does not name them is not away: nothing older counts.
                    if let HomeError::Refused { .. } | HomeError::Unreadable(_) = error {
                        known.answer = None;
                    }
                    known.failed_at = Some(Instant::now());
                    tracing::warn!(%error, "Home Assistant does not say who is an admin");
                }
            }
        }
        let verdict = known.says(user, STANDS, Instant::now());
        verdict.unwrap_or(Verdict::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_is_active_and_owner_or_in_the_group() {
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
    fn an_answer_is_fresh_for_a_minute_and_stands_for_ten() {
        let start = Instant::now();
        let known = Known {
            answer: Some(Admins {
                users: HashSet::from(["ann".to_owned()]),
                at: start,
            }),
            failed_at: None,
        };
        let says =
            |user, limit, seconds| known.says(user, limit, start + Duration::from_secs(seconds));
        assert_eq!(says("ann", FRESH, 60), Some(Verdict::Admin));
        assert_eq!(says("bob", FRESH, 60), Some(Verdict::Other));
        assert_eq!(says("ann", FRESH, 61), None);
        assert_eq!(says("ann", STANDS, 600), Some(Verdict::Admin));
        assert_eq!(says("ann", STANDS, 601), None);
        assert_eq!(Known::default().says("ann", STANDS, start), None);
    }
}
