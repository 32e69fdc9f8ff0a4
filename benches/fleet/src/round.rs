//! One measurement: a server is started, sockets are opened, events are published, and it ends.

use std::path::PathBuf;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::publisher::Publisher;
use crate::sample::Sample;
use crate::subject::{Server, Subject};
use crate::tablet::{self, Heard};
use crate::{Outcome, process};

/// Handshakes that run at once.
pub const OPENING: usize = 32;
/// Publications by which the cost of one that nobody hears is measured.
const UNHEARD: u32 = 500;
/// How long the server is left alone before its memory is read.
const SETTLING: Duration = Duration::from_secs(2);
/// How long deliveries may take before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(300);

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
        let server = Server::start(self.subject, &self.programs).await?;
        let resident_at_start = server.process.memory()?.resident;
        let tokens = server.tokens(self.sockets).await?;
        let mut publisher = Publisher::broadcasting(&server).await?;
        let publication = per(UNHEARD as usize, &server.process, async {
            for _ in 0..UNHEARD {
                publisher.publish().await?;
            }
            Ok(())
        })
        .await?;
        sleep(SETTLING).await;
        let before = server.process.memory()?.proportional;
        let heard = Heard::new();
        let handshake = per(
            self.sockets,
            &server.process,
            self.open(&server, tokens, &heard),
        )
        .await?;
        sleep(SETTLING).await;
        let after = server.process.memory()?.proportional;

        // One event warms what is made lazily, and proves that every socket hears.
        publisher.publish().await?;
        let mut total = self.sockets;
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
        let (mut lost, mut repeated) = (tally.lost, tally.repeated);

        let mut ticks = interval(Duration::from_millis(50));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = Instant::now() + Duration::from_secs(self.latency_seconds);
        while Instant::now() < end {
            ticks.tick().await;
            publisher.publish().await?;
            total += self.sockets;
        }
        timeout(PATIENCE, heard.until(total)).await??;
        tally = heard.take();
        lost += tally.lost;
        repeated += tally.repeated;
        let millis = |quantile| tally.latency.value_at_quantile(quantile) as f64 / 1e6;
        Ok(Sample {
            subject: self.subject,
            sockets: self.sockets,
            resident_at_start,
            idle_socket: after.saturating_sub(before) as f64 / self.sockets as f64,
            handshake,
            publication,
            delivery,
            latency_p50: millis(0.5),
            latency_p99: millis(0.99),
            lost,
            repeated,
        })
    }

    async fn open(
        &self,
        server: &Server,
        tokens: Vec<Option<String>>,
        heard: &std::sync::Arc<Heard>,
    ) -> Outcome<()> {
        let mut opening = JoinSet::new();
        for token in tokens {
            if opening.len() >= OPENING
                && let Some(opened) = opening.join_next().await
            {
                opened??;
            }
            let (address, dialect) = (server.address, self.subject.dialect());
            opening.spawn(tablet::open(address, dialect, token, heard.clone()));
        }
        while let Some(opened) = opening.join_next().await {
            opened??;
        }
        Ok(())
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
