//! Keeps the served certificate right while the daemon runs: takes up changed files, renews in time,
//! follows the host's names. Must never end a session or stop because one look failed.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use time::macros::datetime;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::files::{FileWatch, Look};
use super::host::{HostSource, Survey};
use super::local::Local;
use super::{Certificates, Now, Origin, Setup, TlsError};

/// How often the files and the clock are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often the host is asked for its names while all is well.
const SURVEY_EVERY: Duration = Duration::from_secs(60 * 60);
/// How soon it is asked again after an answer was missing or a renewal failed.
const SURVEY_AGAIN: Duration = Duration::from_secs(60);
/// How long the first start may wait for Supervisor.
const START_WAIT: Duration = Duration::from_secs(2);
/// How long later questions may take.
const SURVEY_WAIT: Duration = Duration::from_secs(10);
/// No clock is right before this program was written: boards without a battery start in 1970, and an
/// authority of that age would be over before it is installed.
const NOT_BEFORE_US: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

/// The background service beside a [`Certificates`] handle.
pub struct Upkeep {
    certificates: Certificates,
    watch: FileWatch,
    local: Local,
    host: Arc<dyn HostSource>,
    now: Now,
    survey_at: Instant,
    /// Whether the log already says that the survey is incomplete or the renewal fails.
    complained: bool,
}

pub(super) async fn open(setup: Setup) -> Result<(Certificates, Upkeep), TlsError> {
    let mut watch = FileWatch::new(setup.certfile, setup.keyfile);
    let mut local = Local::new(setup.tls_names, setup.keep, setup.kept);
    let own = match watch.look() {
        Look::Loaded(key) => Some(key),
        Look::Broken(error) => {
            error!(%error, "the certificate files are not used; the local authority steps in");
            None
        }
        Look::Same | Look::Absent => None,
    };
    let now = floored(&setup.now);
    let (key, origin) = match own {
        Some(key) => (key, Origin::Files),
        None => {
            let survey = first_survey(setup.host.as_ref(), &local, now).await;
            local.renew(&survey, now).await?;
            (local.certified_key()?, Origin::Local)
        }
    };
    let certificates = Certificates::new(key, origin, local.authority())?;
    let upkeep = Upkeep {
        certificates: certificates.clone(),
        watch,
        local,
        host: setup.host,
        now: setup.now,
        survey_at: Instant::now(),
        complained: false,
    };
    upkeep.tell();
    Ok((certificates, upkeep))
}

/// With something to serve at hand nobody is waited for: the first round of [`Upkeep::run`] asks.
async fn first_survey(host: &dyn HostSource, local: &Local, now: OffsetDateTime) -> Survey {
    if host.is_remote() && local.is_fresh(now) {
        return Survey {
            missing: Some("not asked yet".to_owned()),
            ..Survey::default()
        };
    }
    host.survey(START_WAIT).await
}

fn floored(now: &Now) -> OffsetDateTime {
    now().max(NOT_BEFORE_US)
}

impl Upkeep {
    /// For logs and restart policies.
    pub const NAME: &'static str = "certificates";

    /// Works until `shutdown` is done; may be dropped at any point.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                () = async {
                    ticks.tick().await;
                    self.look().await;
                } => {}
            }
        }
    }

    /// One round: files first, then the local certificate if that is the one in use.
    pub(super) async fn look(&mut self) {
        // Two stats inline: cheaper than a thread to move them to, and the files lie on a local disk.
        match self.watch.look() {
            Look::Same => {}
            Look::Loaded(key) => {
                self.certificates
                    .serve(key, Origin::Files, self.local.authority());
                self.tell();
            }
            Look::Broken(error) => {
                warn!(%error, "the changed certificate files are not used; the old certificate stays")
            }
            Look::Absent if self.serves_files() => {
                warn!(
                    "the certificate files are gone; their last certificate stays until the next start"
                );
            }
            Look::Absent => {}
        }
        if self.serves_files() {
            return;
        }
        let now = floored(&self.now);
        let stale = !self.local.is_fresh(now) && !self.complained;
        if stale || self.survey_at <= Instant::now() {
            self.follow_host(now).await;
        }
    }

    /// Asks the host for its names and renews the local certificate if they or the time call for it.
    async fn follow_host(&mut self, now: OffsetDateTime) {
        let survey = self.host.survey(SURVEY_WAIT).await;
        let trouble = match self.renew(&survey, now).await {
            Ok(()) => survey.missing,
            Err(error) => Some(error.to_string()),
        };
        let pause = if trouble.is_none() {
            SURVEY_EVERY
        } else {
            SURVEY_AGAIN
        };
        self.survey_at = Instant::now() + pause;
        if let Some(trouble) = &trouble
            && !self.complained
        {
            warn!(
                trouble,
                "the certificate keeps its names for now; trying again every minute"
            );
        }
        self.complained = trouble.is_some();
    }

    async fn renew(&mut self, survey: &Survey, now: OffsetDateTime) -> Result<(), TlsError> {
        if self.local.renew(survey, now).await? {
            self.certificates.serve(
                self.local.certified_key()?,
                Origin::Local,
                self.local.authority(),
            );
            self.tell();
        }
        Ok(())
    }

    fn serves_files(&self) -> bool {
        self.certificates.serving().origin == Origin::Files
    }

    fn tell(&self) {
        let serving = self.certificates.serving();
        let expired = serving
            .not_after
            .is_some_and(|not_after| not_after < floored(&self.now));
        let not_after = serving
            .not_after
            .map(|at| at.to_string())
            .unwrap_or_default();
        if expired {
            warn!(origin = ?serving.origin, not_after, "the certificate has expired; browsers will refuse it");
        } else {
            info!(origin = ?serving.origin, fingerprint = %serving.fingerprint, not_after, "serving this certificate");
        }
    }
}

impl std::fmt::Debug for Upkeep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upkeep")
            .field("certificates", &self.certificates)
            .finish_non_exhaustive()
    }
}
