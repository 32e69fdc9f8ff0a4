//! How quickly a durable change is told: from the request's sending to the frame at each tablet, beside
//! what the disk itself takes for a write that lasts; and how many there can be in a second.

use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::http::Http;
use crate::publisher::Publisher;
use crate::round::per;
use crate::subject::{Dialect, Server, Subject};
use crate::tablet::{self, Heard};
use crate::{Outcome, disk, house, latency};

const TABLETS: usize = 100;
/// Changes, at twenty a second.
const CHANGES: usize = 400;
/// Changes, one after the other, by which the processor time of one is measured.
const ALONE: usize = 1_000;
/// Who writes at once, and how much each, to find how many changes a second there can be.
const WRITERS: usize = 16;
const CHANGES_EACH: usize = 500;

/// Measures and says it in a table.
pub async fn measure(programs: &Path) -> Outcome<String> {
    let server = Server::start(Subject::WallcastJson, programs).await?;
    let mut http = Http::open(server.address, server.admin_token.as_deref()).await?;
    let area = house::area(&mut http, "Kitchen").await?;
    let heard = Heard::new();
    for token in house::pair(&server, TABLETS, &area).await? {
        tablet::open(server.address, Dialect::Json, Some(token), heard.clone()).await?;
    }
    let disk = disk::syncs(server.folder())?;
    let mut publisher = Publisher::renaming(&server, &area).await?;
    let mut ticks = interval(Duration::from_millis(50));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 1..=CHANGES {
        ticks.tick().await;
        publisher.publish().await?;
        heard.until(number * TABLETS).await?;
    }
    let told = heard.take().latency;
    let unheard = house::area(&mut http, "Cellar").await?;
    let mut publisher = Publisher::renaming(&server, &unheard).await?;
    let alone = per(ALONE, &server.process, async {
        for _ in 0..ALONE {
            publisher.publish().await?;
        }
        Ok(())
    })
    .await?;
    let (rate, each) = rate(&server).await?;
    let line = |what: &str, of: &Histogram<u64>| {
        let micros = |quantile| latency::millis(of, quantile) * 1e3;
        format!(
            "| {what} | {:.0} µs | {:.0} µs |\n",
            micros(0.5),
            micros(0.99)
        )
    };
    Ok(format!(
        "| | p50 | p99 |\n| --- | --- | --- |\n{}{}\n\
         {WRITERS} writers, each to an area of its own: **{rate:.0}** durable changes a second, \
         {each:.0} µs of processor time each, on one core. A single writer's: {alone:.0} µs.\n",
        line(
            "this disk by itself: 4 KiB written and lasting (`fdatasync`)",
            &disk
        ),
        line(
            &format!("`PUT /api/areas/{{id}}` to the frame at {TABLETS} tablets"),
            &told
        ),
    ))
}

/// Durable changes a second, and the processor time of one in µs.
async fn rate(server: &Server) -> Outcome<(f64, f64)> {
    let mut opened = Vec::new();
    for writer in 0..WRITERS {
        let mut http = Http::open(server.address, server.admin_token.as_deref()).await?;
        let area = house::area(&mut http, &format!("Room {writer}")).await?;
        opened.push((http, format!("/api/areas/{area}")));
    }
    let begun = Instant::now();
    let each = per(WRITERS * CHANGES_EACH, &server.process, async {
        let mut writers = JoinSet::new();
        for (mut http, path) in opened {
            writers.spawn(async move {
                for number in 0..CHANGES_EACH {
                    let name = json!({ "name": format!("Name {number}") });
                    http.put(&path, &name).await?;
                }
                Outcome::Ok(())
            });
        }
        while let Some(done) = writers.join_next().await {
            done??;
        }
        Ok(())
    })
    .await?;
    let changes = (WRITERS * CHANGES_EACH) as f64;
    Ok((changes / begun.elapsed().as_secs_f64(), each))
}
