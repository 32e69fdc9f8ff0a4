//! One round of the comparison: starts a server, opens sockets, publishes events and stops the server.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::home_assistant::HomeAssistant;
use crate::http::Http;
use crate::publisher::Publisher;
use crate::sample::Sample;
use crate::subject::{Server, Subject};
use crate::tablet::{self, Deliveries};
use crate::{Outcome, latency, process, setup};

/// The entity whose states are published for `wallcast-ephemeral`. All tablets see it.
const ENTITY: &str = "sensor.shared";
/// The pause between two states without subscribers, which have no response to wait for.
const STATE_PAUSE: Duration = Duration::from_millis(1);
/// The rate of events for the latency, limited by the rate of deliveries. Above that limit, the latency would be
/// that of a queue.
const EVENTS_PER_SECOND: usize = 20;
const MAX_DELIVERIES_PER_SECOND: usize = 20_000;
/// Publications without subscribers, for the cost of one.
const UNRECEIVED: u32 = 500;
/// The pause before memory is read.
const SETTLE_TIME: Duration = Duration::from_secs(2);
/// The time limit for all deliveries.
const TIMEOUT: Duration = Duration::from_secs(60);

pub struct Round {
    pub subject: Subject,
    pub sockets: usize,
    pub deliveries: usize,
    pub latency_seconds: u64,
    pub programs: PathBuf,
}

impl Round {
    pub async fn run(&self) -> Outcome<Sample> {
        let home_assistant = match self.subject {
            Subject::WallcastStates => Some(HomeAssistant::start().await?),
            _ => None,
        };
        let options = home_assistant
            .as_ref()
            .map(HomeAssistant::options)
            .unwrap_or_default();
        let server = Server::start_with(self.subject, &self.programs, options).await?;
        let resident_at_start = server.process.memory()?.resident;
        let (tokens, mut publisher) = match &home_assistant {
            None => (
                server.tokens(self.sockets, None).await?,
                Publisher::broadcasting(&server).await?,
            ),
            Some(home_assistant) => {
                let mut http = Http::open(server.address, server.admin_token.as_deref()).await?;
                let area = setup::area_with_entity(&mut http, ENTITY).await?;
                let tokens = setup::pair(&server, self.sockets, &area).await?;
                let tokens = tokens.into_iter().map(Some).collect();
                (
                    tokens,
                    Publisher::sending_states(&server, home_assistant, ENTITY).await?,
                )
            }
        };
        let publication = per(UNRECEIVED as usize, &server.process, async {
            for _ in 0..UNRECEIVED {
                publisher.publish().await?;
                if home_assistant.is_some() {
                    sleep(STATE_PAUSE).await;
                }
            }
            Ok(())
        })
        .await?;
        sleep(SETTLE_TIME).await;
        let before = server.process.memory()?.proportional;
        let deliveries = Deliveries::new();
        let opening = tablet::open_all(server.address, self.subject.dialect(), tokens, &deliveries);
        let started = Instant::now();
        let handshake = per(self.sockets, &server.process, opening).await?;
        let handshakes_per_second = self.sockets as f64 / started.elapsed().as_secs_f64();
        sleep(SETTLE_TIME).await;
        let after = server.process.memory()?.proportional;

        // The first event fills caches, and proves that every socket receives events. The events that follow a
        // connect have arrived by now.
        let mut total = deliveries.count() + self.sockets;
        publisher.publish().await?;
        timeout(TIMEOUT, deliveries.wait_for(total)).await??;
        deliveries.take();

        let events = (self.deliveries / self.sockets).max(1);
        let delivery = per(events * self.sockets, &server.process, async {
            for _ in 0..events {
                publisher.publish().await?;
                total += self.sockets;
                timeout(TIMEOUT, deliveries.wait_for(total)).await??;
            }
            Ok(())
        })
        .await?;
        let mut stats = deliveries.take();
        let mut faults = stats.faults;

        let per_second = EVENTS_PER_SECOND.min((MAX_DELIVERIES_PER_SECOND / self.sockets).max(1));
        let mut ticks = interval(Duration::from_secs(1) / u32::try_from(per_second)?);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = Instant::now() + Duration::from_secs(self.latency_seconds);
        while Instant::now() < end {
            ticks.tick().await;
            publisher.publish().await?;
            total += self.sockets;
        }
        timeout(TIMEOUT, deliveries.wait_for(total)).await??;
        stats = deliveries.take();
        faults += stats.faults;
        Ok(Sample {
            subject: self.subject,
            sockets: self.sockets,
            resident_at_start,
            idle_socket: after.saturating_sub(before) as f64 / self.sockets as f64,
            handshake,
            handshakes_per_second,
            publication,
            delivery,
            latency_p50: latency::millis(&stats.latency, 0.5),
            latency_p99: latency::millis(&stats.latency, 0.99),
            faults,
        })
    }
}

/// Runs a future that does something `count` times. Returns the server's processor time per repetition in µs.
pub async fn per(
    count: usize,
    process: &process::Process,
    work: impl Future<Output = Outcome<()>>,
) -> Outcome<f64> {
    let before = process.cpu_nanos()?;
    work.await?;
    let spent = process.cpu_nanos()? - before;
    Ok(spent as f64 / 1e3 / count as f64)
}
