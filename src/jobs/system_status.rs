//! Publishes `system_status` on every change of the status and once a minute.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::Event;

use crate::app::App;
use crate::system::{HealthStatus, system_status};

/// Interval between two measurements. A store failure is reported at once.
const MEASURE_INTERVAL: Duration = Duration::from_secs(5);
/// Interval of publishing an unchanged status (`docs/protocol.md#event-types`).
const PUBLISH_INTERVAL: Duration = Duration::from_secs(60);

/// Runs until the daemon stops.
pub(crate) async fn run(app: Arc<App>) {
    let mut last = LastPublished::default();
    let mut broken = app.store.watch_broken();
    let mut ticks = interval(MEASURE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_change = tokio::select! {
            _ = ticks.tick() => false,
            changed = broken.changed() => match changed {
                Ok(()) => true,
                // The store's writer has stopped, so the daemon is stopping.
                Err(_) => return,
            },
            () = app.shutdown.begun() => return,
        };
        // Without this probe an idle server would not notice that its store can write again. A working store is not
        // probed, so that an idle server writes nothing.
        if !is_change && !app.store.is_writable() {
            app.store.probe().await;
        }
        let health = app.system_health();
        if last.should_publish(health.status(), Instant::now()) {
            let event = system_status(&health);
            app.hub.publish(Event::ephemeral(event, Timestamp::now()));
        }
    }
}

/// The last published status and its time.
#[derive(Debug, Default)]
struct LastPublished(Option<(HealthStatus, Instant)>);

impl LastPublished {
    /// Whether a minute has passed, rounded to the nearest measurement.
    fn is_due(&self, now: Instant) -> bool {
        self.0
            .is_none_or(|(_, at)| now + MEASURE_INTERVAL / 2 >= at + PUBLISH_INTERVAL)
    }

    /// Whether to publish this status now. If so, it is recorded as published.
    fn should_publish(&mut self, status: HealthStatus, now: Instant) -> bool {
        let is_new = self.0.is_none_or(|(last, _)| last != status);
        let is_published = is_new || self.is_due(now);
        if is_published {
            self.0 = Some((status, now));
        }
        is_published
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_published_on_change_and_every_minute() {
        let mut last = LastPublished::default();
        let start = Instant::now();
        let steps = [
            (0, HealthStatus::Healthy, true),
            (5, HealthStatus::Healthy, false),
            (55, HealthStatus::Healthy, false),
            (60, HealthStatus::Healthy, true),
            (65, HealthStatus::Unhealthy, true),
            (70, HealthStatus::Unhealthy, false),
            (75, HealthStatus::Healthy, true),
            (130, HealthStatus::Healthy, false),
            (135, HealthStatus::Healthy, true),
        ];
        for (seconds, status, expected) in steps {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(
                last.should_publish(status, now),
                expected,
                "after {seconds} s"
            );
        }
    }
}
