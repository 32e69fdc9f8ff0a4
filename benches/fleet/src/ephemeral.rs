//! Measures the latency of events to one tablet, while the server is otherwise idle and while it broadcasts to
//! thousands of other tablets: a Home Assistant state, which is ephemeral, and an area change, which is durable.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use crate::home_assistant::HomeAssistant;
use crate::http::Http;
use crate::publisher::Publisher;
use crate::subject::{Dialect, Server, Subject};
use crate::tablet::{self, Deliveries};
use crate::{Outcome, clock, latency, setup};

const TABLETS: usize = 100;
const CROWD: usize = 5_000;
/// The organisation of the crowd. No other tablet belongs to it.
const ORGANIZATION: &str = "crowd";
/// Events per measurement, sent one after the other at 20 per second.
const EVENTS: usize = 300;
const INTERVAL: Duration = Duration::from_millis(50);
/// The entity that one tablet sees, and the one that a hundred tablets see.
const OWN: &str = "sensor.own";
const SHARED: &str = "sensor.shared";

/// Measures, and returns the result as Markdown.
pub async fn measure(programs: &Path) -> Outcome<String> {
    let (probe, options) = Probe::start().await?;
    let server = Server::start_with(Subject::WallcastJson, programs, options).await?;
    // The probe's thread gets priority, so that the crowd's share of the load core does not count as latency.
    rustix::process::nice(19)?;
    let mut http = Http::open(server.address, server.admin_token.as_deref()).await?;
    let own = setup::area_with_entity(&mut http, OWN).await?;
    let shared = setup::area_with_entity(&mut http, SHARED).await?;
    let own_token = setup::pair(&server, 1, &own).await?.remove(0);
    let mut shared_tokens = setup::pair(&server, TABLETS, &shared).await?;
    let shared_token = shared_tokens.remove(0);
    let hundred = Deliveries::new();
    tablet::open_all(server.address, Dialect::Json, some(shared_tokens), &hundred).await?;
    let measurement = |event: EventKind, token: &str| Measurement {
        address: server.address,
        admin: server.admin_token.clone(),
        token: token.to_owned(),
        event,
    };
    let measurements = || {
        [
            (
                "a state, for one tablet",
                measurement(EventKind::State(OWN), &own_token),
            ),
            (
                "a state, for 100 tablets",
                measurement(EventKind::State(SHARED), &shared_token),
            ),
            (
                "a durable change, for one tablet",
                measurement(EventKind::Change(own.clone()), &own_token),
            ),
        ]
    };
    let mut idle = Vec::new();
    for (_, measurement) in measurements() {
        idle.push(probe.run(measurement).await?);
    }

    eprintln!("ephemeral: connecting {CROWD} more tablets");
    let deliveries = Deliveries::new();
    let tokens = server.tokens(CROWD, Some(ORGANIZATION)).await?;
    tablet::open_all(server.address, Dialect::Json, tokens, &deliveries).await?;
    let mut publisher = Publisher::broadcasting_to(&server, ORGANIZATION).await?;
    let (mut total, mut text) = (0, String::new());
    for ((what, measurement), idle) in measurements().into_iter().zip(idle) {
        let mut measuring = std::pin::pin!(probe.run(measurement));
        let busy = loop {
            total += CROWD;
            let broadcast = async {
                publisher.publish().await?;
                deliveries.wait_for(total).await
            };
            let mut broadcast = std::pin::pin!(broadcast);
            tokio::select! {
                latencies = &mut measuring => {
                    broadcast.await?;
                    break latencies?;
                }
                result = &mut broadcast => result?,
            }
        };
        text.push_str(&row(what, &idle, &busy));
    }
    Ok(format!(
        "| from sending to the tablet's frame | p50 | p99 | p50 with broadcasts | p99 with broadcasts |\n\
         | --- | --- | --- | --- | --- |\n{text}\n\
         \"With broadcasts\": {CROWD} other tablets receive one broadcast after the other, {} in all.\n",
        total / CROWD
    ))
}

fn row(what: &str, idle: &Histogram<u64>, busy: &Histogram<u64>) -> String {
    let [a, b, c, d] = [(idle, 0.5), (idle, 0.99), (busy, 0.5), (busy, 0.99)]
        .map(|(of, quantile)| latency::millis(of, quantile));
    format!("| {what} | {a:.2} ms | {b:.2} ms | {c:.2} ms | {d:.2} ms |\n")
}

fn some(tokens: Vec<String>) -> Vec<Option<String>> {
    tokens.into_iter().map(Some).collect()
}

/// The measured tablet and the stand-in for Home Assistant, in their own thread: the latency must be that of the
/// server, without delays of the rest of the fleet.
struct Probe {
    jobs: mpsc::UnboundedSender<Job>,
}

type Job = (Measurement, oneshot::Sender<Outcome<Histogram<u64>>>);

struct Measurement {
    address: SocketAddr,
    /// The token that makes changes.
    admin: Option<String>,
    /// The token of the measured tablet.
    token: String,
    event: EventKind,
}

enum EventKind {
    /// A state of this entity.
    State(&'static str),
    /// A change of this area.
    Change(String),
}

impl Probe {
    async fn start() -> Outcome<(Self, Vec<(&'static str, String)>)> {
        let (jobs, mut queue) = mpsc::unbounded_channel::<Job>();
        let (options, ready) = oneshot::channel();
        std::thread::spawn(move || -> Outcome<()> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let home_assistant = HomeAssistant::start().await?;
                let _ = options.send(home_assistant.options());
                while let Some((measurement, result)) = queue.recv().await {
                    let _ = result.send(measurement.run(&home_assistant).await);
                }
                Ok(())
            })
        });
        Ok((Self { jobs }, ready.await?))
    }

    async fn run(&self, measurement: Measurement) -> Outcome<Histogram<u64>> {
        let (sender, result) = oneshot::channel();
        self.jobs.send((measurement, sender))?;
        result.await?
    }
}

impl Measurement {
    /// Measures the time from sending to the tablet's frame `EVENTS` times.
    async fn run(self, home_assistant: &HomeAssistant) -> Outcome<Histogram<u64>> {
        let mut socket = tablet::connect(self.address, "/ws", Some(&self.token)).await?;
        let mut http = Http::open(self.address, self.admin.as_deref()).await?;
        if let EventKind::State(entity) = self.event {
            home_assistant.wait_until_subscribed(entity).await?;
        }
        let mut latencies = latency::histogram();
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 1..=EVENTS {
            ticks.tick().await;
            let sent_at = clock::nanos();
            let mark = format!("state-{sent_at}");
            let received = async {
                while !tablet::text(&mut socket).await?.contains(&mark) {}
                Outcome::Ok(clock::nanos())
            };
            let received_at = match &self.event {
                EventKind::State(entity) => {
                    home_assistant.send_state(entity, &mark, number);
                    received.await?
                }
                EventKind::Change(area) => {
                    let (path, name) = (format!("/api/areas/{area}"), json!({ "name": mark }));
                    let (received_at, _) = tokio::try_join!(received, http.put(&path, &name))?;
                    received_at
                }
            };
            latencies.saturating_record(received_at.saturating_sub(sent_at));
        }
        Ok(latencies)
    }
}
