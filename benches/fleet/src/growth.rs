//! Measures how Wallcast's costs grow with the number of paired clients, of events in the history, and of events
//! that a tablet missed.

use std::path::Path;

use serde_json::Value;

use crate::chart::{Chart, Line};
use crate::http::Http;
use crate::publisher::Publisher;
use crate::round::per;
use crate::subject::{Dialect, Server, Subject};
use crate::tablet::{self, Deliveries};
use crate::{Outcome, setup, table};

/// Paired clients, of which one is connected.
const CLIENTS: [usize; 4] = [10, 100, 1_000, 10_000];
/// Events in the history of the smallest installation.
const FEW_EVENTS: usize = 2_000;
/// Events in the history of the largest installation, step by step. Pairing its clients alone publishes some
/// 20,000.
const MANY_EVENTS: [usize; 3] = [25_000, 50_000, 100_000];
/// Events that a tablet missed.
const MISSED: [usize; 5] = [1, 10, 100, 1_000, 10_000];
/// Measurements of each value. The result is their median.
const REPEATS: usize = 5;
/// Changes per measurement.
const CHANGES: usize = 300;

/// A server with the area "Kitchen", which one tablet is assigned, and "Cellar", which all others are assigned.
struct Installation {
    server: Server,
    kitchen: String,
    tablet: String,
}

/// Measures, and returns the charts.
pub async fn measure(programs: &Path) -> Outcome<Vec<Chart>> {
    let mut changes = Vec::new();
    let mut starts = Vec::new();
    let mut replays = Vec::new();
    let mut largest = None;
    for clients in CLIENTS {
        eprintln!("growth: {clients} clients");
        // Stop the previous server first, so that it does not disturb the measurement.
        drop(largest.take());
        let installation = Installation::create(clients, programs).await?;
        changes.push((clients as f64, installation.change().await?));
        let (installation, start) = installation.restart().await?;
        starts.push((clients as f64, start));
        if replays.is_empty() {
            installation.fill_history(FEW_EVENTS).await?;
            replays.push(installation.replays(FEW_EVENTS).await?);
        }
        largest = Some(installation);
    }
    let mut installation = largest.ok_or("nothing was measured")?;
    let mut full_starts = Vec::new();
    for kept in MANY_EVENTS {
        eprintln!("growth: {kept} events");
        installation.fill_history(kept).await?;
        let start;
        (installation, start) = installation.restart().await?;
        full_starts.push((kept as f64, start));
    }
    replays.push(
        installation
            .replays(MANY_EVENTS[MANY_EVENTS.len() - 1])
            .await?,
    );
    let one = |points| {
        vec![Line {
            name: "Wallcast".to_owned(),
            points,
        }]
    };
    Ok(vec![
        Chart {
            name: "change",
            title: "A change to an area of one tablet: processor time",
            x: "paired clients",
            y: "µs",
            lines: one(changes),
        },
        Chart {
            name: "start",
            title: "Start after a kill, until the ready line",
            x: "paired clients",
            y: "ms",
            lines: one(starts),
        },
        Chart {
            name: "start-full",
            title: "Start after a kill, until the ready line, with 10,000 paired clients",
            x: "events in the history",
            y: "ms",
            lines: one(full_starts),
        },
        Chart {
            name: "replay",
            title: "Reconnect of a tablet with replay: processor time",
            x: "events missed",
            y: "µs",
            lines: replays,
        },
    ])
}

impl Installation {
    async fn create(clients: usize, programs: &Path) -> Outcome<Self> {
        let server = Server::start(Subject::WallcastJson, programs).await?;
        let mut http = Http::open(server.address, server.admin_token.as_deref()).await?;
        let kitchen = setup::area(&mut http, "Kitchen").await?;
        let cellar = setup::area(&mut http, "Cellar").await?;
        let tablet = setup::pair(&server, 1, &kitchen).await?.remove(0);
        setup::pair(&server, clients - 1, &cellar).await?;
        Ok(Self {
            server,
            kitchen,
            tablet,
        })
    }

    /// Processor time of a change to the kitchen, in µs.
    async fn change(&self) -> Outcome<f64> {
        let deliveries = Deliveries::new();
        let token = Some(self.tablet.clone());
        tablet::open(
            self.server.address,
            Dialect::Json,
            token,
            deliveries.clone(),
        )
        .await?;
        let mut publisher = Publisher::renaming(&self.server, &self.kitchen).await?;
        let mut costs = Vec::new();
        for repeat in 0..REPEATS {
            let cost = per(CHANGES, &self.server.process, async {
                for number in 1..=CHANGES {
                    publisher.publish().await?;
                    deliveries.wait_for(repeat * CHANGES + number).await?;
                }
                Ok(())
            });
            costs.push(cost.await?);
        }
        Ok(table::median(costs))
    }

    /// Kills and restarts the server. Returns the time from exec to the ready line in ms.
    async fn restart(mut self) -> Outcome<(Self, f64)> {
        let mut times = Vec::new();
        for _ in 0..REPEATS {
            self.server = self.server.restart().await?;
            times.push(self.server.start_time.as_secs_f64() * 1e3);
        }
        Ok((self, table::median(times)))
    }

    /// Renames the kitchen until the history has this many events.
    async fn fill_history(&self, events: usize) -> Outcome<()> {
        let (kept, _) = self.last_event().await?;
        setup::publish_events(&self.server, events.saturating_sub(kept), &self.kitchen).await
    }

    /// The newest event id and the epoch, from the tablet's welcome.
    async fn last_event(&self) -> Outcome<(usize, String)> {
        let mut socket = tablet::connect(self.server.address, "/ws", Some(&self.tablet)).await?;
        let welcome: Value = serde_json::from_str(&tablet::text(&mut socket).await?)?;
        let last = welcome["data"]["lastEventId"].as_u64();
        let epoch = welcome["data"]["epoch"].as_str().ok_or("no epoch")?;
        let last = usize::try_from(last.ok_or("no lastEventId")?)?;
        Ok((last, epoch.to_owned()))
    }

    /// The processor time of a reconnect by the number of missed events. `kept` is the size of the history.
    async fn replays(&self, kept: usize) -> Outcome<Line> {
        let (last, epoch) = self.last_event().await?;
        let mut points = Vec::new();
        for missed in MISSED.into_iter().filter(|missed| *missed < kept) {
            let path = format!("/ws?since={}&epoch={epoch}", last.saturating_sub(missed));
            let mut costs = Vec::new();
            for _ in 0..REPEATS {
                let cost = per(1, &self.server.process, async {
                    let address = self.server.address;
                    let mut socket = tablet::connect(address, &path, Some(&self.tablet)).await?;
                    // The welcome comes before the missed events.
                    for _ in 0..=missed {
                        tablet::text(&mut socket).await?;
                    }
                    Ok(())
                });
                costs.push(cost.await?);
            }
            points.push((missed as f64, table::median(costs)));
        }
        Ok(Line {
            name: format!("{kept} events"),
            points,
        })
    }
}
