//! Measures durable changes: the latency from sending the request to the frame at each tablet, compared with an
//! fdatasync of the same disk, and the highest number of changes per second.

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
use crate::tablet::{self, Deliveries};
use crate::{Outcome, disk, latency, setup};

const TABLETS: usize = 100;
/// Changes for the latency, at 20 per second.
const CHANGES: usize = 400;
/// Changes of a single writer, for the processor time of one change.
const SINGLE_WRITER_CHANGES: usize = 1_000;
/// Concurrent writers, and the changes of each, for the highest rate.
const WRITERS: usize = 16;
const CHANGES_EACH: usize = 500;

/// Measures, and returns the result as Markdown.
pub async fn measure(programs: &Path) -> Outcome<String> {
    let server = Server::start(Subject::WallcastJson, programs).await?;
    let mut http = Http::open(server.address, server.admin_token.as_deref()).await?;
    let area = setup::area(&mut http, "Kitchen").await?;
    let deliveries = Deliveries::new();
    for token in setup::pair(&server, TABLETS, &area).await? {
        tablet::open(
            server.address,
            Dialect::Json,
            Some(token),
            deliveries.clone(),
        )
        .await?;
    }
    let disk = disk::syncs(server.folder())?;
    let mut publisher = Publisher::renaming(&server, &area).await?;
    let mut ticks = interval(Duration::from_millis(50));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 1..=CHANGES {
        ticks.tick().await;
        publisher.publish().await?;
        deliveries.wait_for(number * TABLETS).await?;
    }
    let delivered = deliveries.take().latency;
    let unassigned = setup::area(&mut http, "Cellar").await?;
    let mut publisher = Publisher::renaming(&server, &unassigned).await?;
    let single = per(SINGLE_WRITER_CHANGES, &server.process, async {
        for _ in 0..SINGLE_WRITER_CHANGES {
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
         {WRITERS} writers, each with its own area: **{rate:.0}** durable changes per second on one \
         core, {each:.0} µs of processor time each. With a single writer: {single:.0} µs.\n",
        line("the disk alone: write and `fdatasync` of 4 KiB", &disk),
        line(
            &format!("`PUT /api/areas/{{id}}` to the frame at {TABLETS} tablets"),
            &delivered
        ),
    ))
}

/// Durable changes per second, and the processor time of one change in µs.
async fn rate(server: &Server) -> Outcome<(f64, f64)> {
    let mut connections = Vec::new();
    for writer in 0..WRITERS {
        let mut http = Http::open(server.address, server.admin_token.as_deref()).await?;
        let area = setup::area(&mut http, &format!("Room {writer}")).await?;
        connections.push((http, format!("/api/areas/{area}")));
    }
    let started = Instant::now();
    let each = per(WRITERS * CHANGES_EACH, &server.process, async {
        let mut writers = JoinSet::new();
        for (mut http, path) in connections {
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
    Ok((changes / started.elapsed().as_secs_f64(), each))
}
