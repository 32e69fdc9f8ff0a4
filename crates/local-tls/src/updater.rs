//! The background task that keeps the served certificate current: it loads changed files, renews the local leaf before
//! it expires and follows changes of the host's names. A failed check is logged and retried; it never ends the task
//! or a TLS session.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use time::macros::datetime;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::files::{FileCheck, FileWatcher};
use super::host::{HostReport, HostSource};
use super::local::LocalCertificates;
use super::{CertificateSource, Certificates, Clock, Setup, TlsError};

/// Time between checks of the files and of the leaf's validity.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// Time between queries of the host's names after a success.
const HOST_QUERY_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Time until the next query after an incomplete report or a failed renewal.
const HOST_RETRY_INTERVAL: Duration = Duration::from_secs(60);
/// Timeout of the query before the first certificate is generated, which delays the start.
const INITIAL_HOST_QUERY_TIMEOUT: Duration = Duration::from_secs(2);
/// Timeout of later queries.
const HOST_QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// Earlier times are treated as this one. Boards without a battery-backed clock start in 1970, and an authority
/// generated then would have expired once the clock is set.
const EARLIEST_PLAUSIBLE_TIME: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

/// The background task that belongs to a [`Certificates`] handle. Nothing is renewed or reloaded unless
/// [`run`](Self::run) is polled.
pub struct CertificateUpdater {
    certificates: Certificates,
    watcher: FileWatcher,
    local: LocalCertificates,
    host: Arc<dyn HostSource>,
    clock: Clock,
    query_host_at: Instant,
    /// A warning about the current failure has been logged.
    failure_logged: bool,
}

pub(super) async fn open(setup: Setup) -> Result<(Certificates, CertificateUpdater), TlsError> {
    let mut watcher = FileWatcher::new(setup.certfile, setup.keyfile);
    let mut local = LocalCertificates::new(setup.tls_names, setup.store, setup.stored);
    let own = match watcher.check() {
        FileCheck::Loaded(key) => Some(key),
        FileCheck::Invalid(error) => {
            error!(%error, "certificate files ignored; using the local authority");
            None
        }
        FileCheck::Unchanged | FileCheck::Absent => None,
    };
    let now = plausible_now(&setup.clock);
    let (key, source) = match own {
        Some(key) => (key, CertificateSource::Files),
        None => {
            let report = initial_report(setup.host.as_ref(), &local, now).await;
            local.renew(&report, now).await?;
            (local.certified_key()?, CertificateSource::Local)
        }
    };
    let certificates = Certificates::new(key, source, local.authority())?;
    let updater = CertificateUpdater {
        certificates: certificates.clone(),
        watcher,
        local,
        host: setup.host,
        clock: setup.clock,
        query_host_at: Instant::now(),
        failure_logged: false,
    };
    updater.log_served();
    Ok((certificates, updater))
}

/// Does not wait for a remote host source if the stored leaf can be served. The first check of
/// [`CertificateUpdater::run`] then queries it.
async fn initial_report(
    host: &dyn HostSource,
    local: &LocalCertificates,
    now: OffsetDateTime,
) -> HostReport {
    if host.is_remote() && local.is_fresh(now) {
        return HostReport {
            missing: Some("not queried yet".to_owned()),
            ..HostReport::default()
        };
    }
    host.query(INITIAL_HOST_QUERY_TIMEOUT).await
}

fn plausible_now(clock: &Clock) -> OffsetDateTime {
    clock().max(EARLIEST_PLAUSIBLE_TIME)
}

impl CertificateUpdater {
    /// The task's name, for logs.
    pub const NAME: &'static str = "certificates";

    /// Runs until `shutdown` completes. Cancel safe.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut ticks = interval(CHECK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                () = async {
                    ticks.tick().await;
                    self.check().await;
                } => {}
            }
        }
    }

    /// Checks the files, then the local certificate if it is the served one.
    pub(super) async fn check(&mut self) {
        // Inline, because two stat calls on a local disk cost less than moving them to a blocking thread.
        match self.watcher.check() {
            FileCheck::Unchanged => {}
            FileCheck::Loaded(key) => {
                self.certificates
                    .serve(key, CertificateSource::Files, self.local.authority());
                self.log_served();
            }
            FileCheck::Invalid(error) => {
                warn!(%error, "changed certificate files ignored; still serving the previous certificate")
            }
            FileCheck::Absent if self.serves_files() => {
                warn!(
                    "certificate files removed; still serving their last certificate until the next start"
                );
            }
            FileCheck::Absent => {}
        }
        if self.serves_files() {
            return;
        }
        let now = plausible_now(&self.clock);
        let stale = !self.local.is_fresh(now) && !self.failure_logged;
        if stale || self.query_host_at <= Instant::now() {
            self.follow_host(now).await;
        }
    }

    /// Queries the host's names, and renews the local certificate if they have changed or it is about to expire.
    async fn follow_host(&mut self, now: OffsetDateTime) {
        let report = self.host.query(HOST_QUERY_TIMEOUT).await;
        let failure = match self.renew(&report, now).await {
            Ok(()) => report.missing,
            Err(error) => Some(error.to_string()),
        };
        let pause = if failure.is_none() {
            HOST_QUERY_INTERVAL
        } else {
            HOST_RETRY_INTERVAL
        };
        self.query_host_at = Instant::now() + pause;
        if let Some(failure) = &failure
            && !self.failure_logged
        {
            warn!(failure, "certificate not updated; retrying every minute");
        }
        self.failure_logged = failure.is_some();
    }

    async fn renew(&mut self, report: &HostReport, now: OffsetDateTime) -> Result<(), TlsError> {
        if self.local.renew(report, now).await? {
            self.certificates.serve(
                self.local.certified_key()?,
                CertificateSource::Local,
                self.local.authority(),
            );
            self.log_served();
        }
        Ok(())
    }

    fn serves_files(&self) -> bool {
        self.certificates.served().source == CertificateSource::Files
    }

    fn log_served(&self) {
        let served = self.certificates.served();
        let expired = served
            .not_after
            .is_some_and(|not_after| not_after < plausible_now(&self.clock));
        let not_after = served
            .not_after
            .map(|at| at.to_string())
            .unwrap_or_default();
        if expired {
            warn!(source = ?served.source, not_after, "certificate served, but it has expired; clients will reject it");
        } else {
            info!(source = ?served.source, fingerprint = %served.fingerprint, not_after, "certificate served");
        }
    }
}

impl std::fmt::Debug for CertificateUpdater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateUpdater")
            .field("certificates", &self.certificates)
            .finish_non_exhaustive()
    }
}
