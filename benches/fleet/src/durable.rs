//! How quickly a durable change is told: from the request's sending to the frame at each tablet, beside
//! what the disk itself takes for a write that lasts.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::http::Http;
use crate::publisher::Publisher;
use crate::subject::{Dialect, Server, Subject};
use crate::tablet::{self, Heard};
use crate::{Outcome, house};

const TABLETS: usize = 100;
/// Changes, at twenty a second.
const CHANGES: usize = 400;
const SYNCS: usize = 1_000;
/// Who writes at once, and how much each, to find how many changes a second there can be.
const WRITERS: usize = 16;
const CHANGES_EACH: usize = 500;

/// Measures and says it in words.
pub async fn measure(programs: &Path) -> Outcome<String> {
    let server = Server::start(Subject::WallcastJson, programs).await?;
    let mut http = Http::open(server.address, server.admin_token.as_deref()).await?;
    let area = house::area(&mut http, "Kitchen").await?;
    let heard = Heard::new();
    for token in house::pair(&server, TABLETS, &area).await? {
        tablet::open(server.address, Dialect::Json, Some(token), heard.clone()).await?;
    }
    let syncs = syncs(server.folder())?;
    let mut publisher = Publisher::renaming(&server, &area).await?;
    let mut ticks = interval(Duration::from_millis(50));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 1..=CHANGES {
        ticks.tick().await;
        publisher.publish().await?;
        heard.until(number * TABLETS).await?;
    }
    let told = heard.take();
    let rate = rate(&server).await?;
    let millis = |of: &Histogram<u64>, quantile| of.value_at_quantile(quantile) as f64 / 1e6;
    Ok(format!(
        "PUT /api/areas/ID to the frame at {TABLETS} tablets: p50 {:.2} ms, p99 {:.2} ms\n\n\
         this disk's write and fdatasync of 4 KiB: p50 {:.2} ms, p99 {:.2} ms\n\n\
         {WRITERS} writers, each to an area of its own: {rate:.0} durable changes a second\n",
        millis(&told.latency, 0.5),
        millis(&told.latency, 0.99),
        millis(&syncs, 0.5),
        millis(&syncs, 0.99),
    ))
}

/// Durable changes a second.
async fn rate(server: &Server) -> Outcome<f64> {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let mut http = Http::open(server.address, server.admin_token.as_deref()).await?;
        let area = house::area(&mut http, &format!("Room {writer}")).await?;
        writers.spawn(async move {
            let path = format!("/api/areas/{area}");
            for number in 0..CHANGES_EACH {
                http.put(&path, &json!({ "name": format!("Name {number}") }))
                    .await?;
            }
            Outcome::Ok(())
        });
    }
    let begun = Instant::now();
    while let Some(done) = writers.join_next().await {
        done??;
    }
    Ok((WRITERS * CHANGES_EACH) as f64 / begun.elapsed().as_secs_f64())
}

fn syncs(folder: &Path) -> Outcome<Histogram<u64>> {
    let mut file = File::create(folder.join("bench"))?;
    let mut taken = Histogram::new(3)?;
    for _ in 0..SYNCS {
        let begun = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        taken.saturating_record(u64::try_from(begun.elapsed().as_nanos())?);
    }
    std::fs::remove_file(folder.join("bench"))?;
    Ok(taken)
}
