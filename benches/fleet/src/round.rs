//! One measurement: a server is started, sockets are opened, events are published, and it ends.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::core::Core;
use crate::http::Http;
use crate::publisher::Publisher;
use crate::sample::Sample;
use crate::subject::{Server, Subject};
use crate::tablet::{self, Heard};
use crate::{Outcome, house, latency, process};

/// What every tablet sees, where states are told.
const ENTITY: &str = "sensor.shared";
/// Between two states that nobody hears: no answer says when one is done.
const PAUSE: Duration = Duration::from_millis(1);
/// How often an event is published to measure latency, unless that makes more than so many
/// deliveries a second: from there on it is a queue that would be measured.
const EVENTS_A_SECOND: usize = 20;
const DELIVERIES_A_SECOND: usize = 20_000;
/// Publications by which the cost of one that nobody hears is measured.
const UNHEARD: u32 = 500;
/// How long the server is left alone before its memory is read.
const SETTLING: Duration = Duration::from_secs(2);
/// How long deliveries may take before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to measure.
pub struct Round {
    pub subject: Subject,
    pub sockets: usize,
    pub deliveries: usize,
    pub latency_seconds: u64,
    pub programs: PathBuf,
}

impl Round {
    pub async fn run(&self) -> Outcome<Sample> {
        let core = match self.subject {
            Subject::WallcastStates => Some(Core::start().await?),
            _ => None,
        };
        let options = core.as_ref().map(Core::options).unwrap_or_default();
        let server = Server::start_with(self.subject, &self.programs, options).await?;
        let resident_at_start = server.process.memory()?.resident;
        let (tokens, mut publisher) = match &core {
            None => (
                server.tokens(self.sockets, None).await?,
                Publisher::broadcasting(&server).await?,
            ),
            Some(core) => {
                let mut http = Http::open(server.address, server.admin_token.as_deref()).await?;
                let area = house::area_of(&mut http, ENTITY).await?;
                let tokens = house::pair(&server, self.sockets, &area).await?;
                let tokens = tokens.into_iter().map(Some).collect();
                (tokens, Publisher::telling(&server, core, ENTITY).await?)
            }
        };
        let publication = per(UNHEARD as usize, &server.process, async {
            for _ in 0..UNHEARD {
                publisher.publish().await?;
                if core.is_some() {
                    sleep(PAUSE).await;
                }
            }
            Ok(())
        })
        .await?;
        sleep(SETTLING).await;
        let before = server.process.memory()?.proportional;
        let heard = Heard::new();
        let opening = tablet::open_all(server.address, self.subject.dialect(), tokens, &heard);
        let begun = Instant::now();
        let handshake = per(self.sockets, &server.process, opening).await?;
        let handshakes_a_second = self.sockets as f64 / begun.elapsed().as_secs_f64();
        sleep(SETTLING).await;
        let after = server.process.memory()?.proportional;

        // One event warms what is made lazily, and proves that every socket hears. What is told to
        // whoever comes has been heard by now.
        let mut total = heard.count() + self.sockets;
        publisher.publish().await?;
        timeout(PATIENCE, heard.until(total)).await??;
        heard.take();

        let events = (self.deliveries / self.sockets).max(1);
        let delivery = per(events * self.sockets, &server.process, async {
            for _ in 0..events {
                publisher.publish().await?;
                total += self.sockets;
                timeout(PATIENCE, heard.until(total)).await??;
            }
            Ok(())
        })
        .await?;
        let mut tally = heard.take();
        let mut faults = tally.faults;

        let a_second = EVENTS_A_SECOND.min((DELIVERIES_A_SECOND / self.sockets).max(1));
        let mut ticks = interval(Duration::from_secs(1) / u32::try_from(a_second)?);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = Instant::now() + Duration::from_secs(self.latency_seconds);
        while Instant::now() < end {
            ticks.tick().await;
            publisher.publish().await?;
            total += self.sockets;
        }
        timeout(PATIENCE, heard.until(total)).await??;
        tally = heard.take();
        faults += tally.faults;
        Ok(Sample {
            subject: self.subject,
            sockets: self.sockets,
            resident_at_start,
            idle_socket: after.saturating_sub(before) as f64 / self.sockets as f64,
            handshake,
            handshakes_a_second,
            publication,
            delivery,
            latency_p50: latency::millis(&tally.latency, 0.5),
            latency_p99: latency::millis(&tally.latency, 0.99),
            faults,
        })
    }
}

/// The server's processor time for each of `count` things that this does, in µs.
pub async fn per(
    count: usize,
    process: &process::Process,
    doing: impl Future<Output = Outcome<()>>,
) -> Outcome<f64> {
    let before = process.cpu_nanos()?;
    doing.await?;
    let spent = process.cpu_nanos()? - before;
    Ok(spent as f64 / 1e3 / count as f64)
}
