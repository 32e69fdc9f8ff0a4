//! Tells `system_status` on change and every minute, for as long as the daemon runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::app::App;
use crate::system::{Status, system_status};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::Event;

/// How often the process is looked at. That the store takes no more writes is heard at once.
const LOOK: Duration = Duration::from_secs(5);
/// How often it is told although nothing changed (contract section 5).
const TELL: Duration = Duration::from_secs(60);

/// Serves until the daemon stops.
pub(crate) async fn run(app: Arc<App>) {
    let mut told = Told::default();
    let mut broken = app.store.watch_broken();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_change = tokio::select! {
            _ = look.tick() => false,
            changed = broken.changed() => match changed {
                Ok(()) => true,
                // The writer is gone, and the daemon with it.
                Err(_) => return,
            },
            () = app.shutdown.begun() => return,
        };
        // In a quiet house nothing else would find out that it can write again. One that can is not
        // tried: at rest nothing is written.
        if !is_change && !app.store.is_writable() {
            app.store.probe().await;
        }
        let vitals = app.vitals();
        if told.tells(vitals.status(), Instant::now()) {
            let event = system_status(&vitals);
            app.hub.publish(Event::ephemeral(event, Timestamp::now()));
        }
    }
}

/// What was told last, and when.
#[derive(Debug, Default)]
struct Told(Option<(Status, Instant)>);

impl Told {
    /// Whether it is time to tell, whatever there is to tell: at the look that is nearest.
    fn is_due(&self, now: Instant) -> bool {
        self.0.is_none_or(|(_, at)| now + LOOK / 2 >= at + TELL)
    }

    /// Whether this status is to be told now; if so it counts as told.
    fn tells(&mut self, status: Status, now: Instant) -> bool {
        let is_new = self.0.is_none_or(|(last, _)| last != status);
        let tells = is_new || self.is_due(now);
        if tells {
            self.0 = Some((status, now));
        }
        tells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_on_change_and_every_minute_and_not_between() {
        let mut told = Told::default();
        let start = Instant::now();
        let steps = [
            (0, Status::Healthy, true),
            (5, Status::Healthy, false),
            (55, Status::Healthy, false),
            (60, Status::Healthy, true),
            (65, Status::Unhealthy, true),
            (70, Status::Unhealthy, false),
            (75, Status::Healthy, true),
            (130, Status::Healthy, false),
            (135, Status::Healthy, true),
        ];
        for (seconds, status, tells) in steps {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(told.tells(status, now), tells, "after {seconds} s");
        }
    }
}
