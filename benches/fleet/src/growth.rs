//! What Wallcast costs as a house grows: paired clients, kept events, missed events.

use std::path::Path;

use serde_json::Value;

use crate::chart::{Chart, Line};
use crate::http::Http;
use crate::publisher::Publisher;
use crate::round::per;
use crate::subject::{Dialect, Server, Subject};
use crate::tablet::{self, Heard};
use crate::{Outcome, house};

/// Paired clients of a house, of which one is connected.
const CLIENTS: [usize; 4] = [10, 100, 1_000, 10_000];
/// Events that the smallest house keeps.
const FEW: usize = 2_000;
/// Events that the largest house keeps, more and more; pairing its clients makes some 20,000.
const KEPT: [usize; 3] = [25_000, 50_000, 100_000];
/// Events that a tablet missed, of however many are kept.
const MISSED: [usize; 5] = [1, 10, 100, 1_000, 10_000];
/// How often each is measured; the middle counts.
const REPEATS: usize = 5;
/// Changes by which the cost of one is measured.
const CHANGES: usize = 300;

/// A house with a kitchen that one tablet has, and a cellar that all others have.
struct House {
    server: Server,
    kitchen: String,
    tablet: String,
}

/// Measures all of it.
pub async fn measure(programs: &Path) -> Outcome<Vec<Chart>> {
    let mut changes = Vec::new();
    let mut starts = Vec::new();
    let mut replays = Vec::new();
    let mut largest = None;
    for clients in CLIENTS {
        eprintln!("growth: {clients} clients");
        // The one before ends first: what it does would be measured as well.
        drop(largest.take());
        let house = House::with(clients, programs).await?;
        changes.push((clients as f64, house.change().await?));
        let (house, within) = house.start_again().await?;
        starts.push((clients as f64, within));
        if replays.is_empty() {
            house.keep(FEW).await?;
            replays.push(house.replays(FEW).await?);
        }
        largest = Some(house);
    }
    let mut house = largest.ok_or("no house was measured")?;
    let mut full_starts = Vec::new();
    for kept in KEPT {
        eprintln!("growth: {kept} events");
        house.keep(kept).await?;
        let within;
        (house, within) = house.start_again().await?;
        full_starts.push((kept as f64, within));
    }
    replays.push(house.replays(KEPT[KEPT.len() - 1]).await?);
    let one = |points| {
        vec![Line {
            name: "Wallcast".to_owned(),
            points,
        }]
    };
    Ok(vec![
        Chart {
            name: "change",
            title: "A change to one area that one tablet hears: processor time",
            x: "paired clients",
            y: "µs",
            lines: one(changes),
        },
        Chart {
            name: "start",
            title: "From exec to the ready line, after a kill",
            x: "paired clients",
            y: "ms",
            lines: one(starts),
        },
        Chart {
            name: "start-full",
            title: "From exec to the ready line, 10,000 clients paired",
            x: "events kept",
            y: "ms",
            lines: one(full_starts),
        },
        Chart {
            name: "replay",
            title: "A tablet that comes back: processor time, the connection's included",
            x: "events missed",
            y: "µs",
            lines: replays,
        },
    ])
}

impl House {
    async fn with(clients: usize, programs: &Path) -> Outcome<Self> {
        let server = Server::start(Subject::WallcastJson, programs).await?;
        let mut http = Http::open(server.address, server.admin_token.as_deref()).await?;
        let kitchen = house::area(&mut http, "Kitchen").await?;
        let cellar = house::area(&mut http, "Cellar").await?;
        let tablet = house::pair(&server, 1, &kitchen).await?.remove(0);
        house::pair(&server, clients - 1, &cellar).await?;
        Ok(Self {
            server,
            kitchen,
            tablet,
        })
    }

    /// Processor time of a change to the kitchen, in µs.
    async fn change(&self) -> Outcome<f64> {
        let heard = Heard::new();
        let token = Some(self.tablet.clone());
        tablet::open(self.server.address, Dialect::Json, token, heard.clone()).await?;
        let mut publisher = Publisher::renaming(&self.server, &self.kitchen).await?;
        let mut costs = Vec::new();
        for repeat in 0..REPEATS {
            let cost = per(CHANGES, &self.server.process, async {
                for number in 1..=CHANGES {
                    publisher.publish().await?;
                    heard.until(repeat * CHANGES + number).await?;
                }
                Ok(())
            });
            costs.push(cost.await?);
        }
        Ok(middle(costs))
    }

    /// From its exec to its ready line, in ms.
    async fn start_again(mut self) -> Outcome<(Self, f64)> {
        let mut taken = Vec::new();
        for _ in 0..REPEATS {
            self.server = self.server.restart().await?;
            taken.push(self.server.started_within.as_secs_f64() * 1e3);
        }
        Ok((self, middle(taken)))
    }

    /// Renames the kitchen until so many events are kept.
    async fn keep(&self, events: usize) -> Outcome<()> {
        let (kept, _) = self.last_event().await?;
        house::events(&self.server, events.saturating_sub(kept), &self.kitchen).await
    }

    /// The newest event and its epoch, as the tablet is told when it comes.
    async fn last_event(&self) -> Outcome<(usize, String)> {
        let mut socket = tablet::connect(self.server.address, "/ws", Some(&self.tablet)).await?;
        let words: Value = serde_json::from_str(&tablet::text(&mut socket).await?)?;
        let last = words["data"]["lastEventId"].as_u64();
        let epoch = words["data"]["epoch"].as_str().ok_or("no epoch")?;
        let last = usize::try_from(last.ok_or("no lastEventId")?)?;
        Ok((last, epoch.to_owned()))
    }

    /// Processor time by what was missed, of so many events kept.
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
                    // Its first words come first.
                    for _ in 0..=missed {
                        tablet::text(&mut socket).await?;
                    }
                    Ok(())
                });
                costs.push(cost.await?);
            }
            points.push((missed as f64, middle(costs)));
        }
        Ok(Line {
            name: format!("{kept} kept"),
            points,
        })
    }
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
