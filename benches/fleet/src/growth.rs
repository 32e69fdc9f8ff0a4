//! What Wallcast costs as a house grows: paired clients, kept events, missed events.

use std::path::Path;
use std::time::Instant;

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
/// Events that the largest house keeps.
const KEPT: usize = 100_000;
/// Events that a tablet missed.
const MISSED: [u64; 5] = [0, 10, 100, 1_000, 10_000];
/// Changes by which the cost of one is measured.
const CHANGES: usize = 500;
/// Starts by which the time of one is measured.
const STARTS: usize = 5;

/// Measures all of it.
pub async fn measure(programs: &Path) -> Outcome<Vec<Chart>> {
    let mut changes = Vec::new();
    let mut starts = Vec::new();
    let mut largest = None;
    for clients in CLIENTS {
        eprintln!("growth: {clients} clients");
        let server = Server::start(Subject::WallcastJson, programs).await?;
        let mut http = Http::open(server.address, server.admin_token.as_deref()).await?;
        let kitchen = house::area(&mut http, "Kitchen").await?;
        let cellar = house::area(&mut http, "Cellar").await?;
        let token = house::pair(&server, 1, &kitchen).await?.remove(0);
        house::pair(&server, clients - 1, &cellar).await?;
        let heard = Heard::new();
        tablet::open(
            server.address,
            Dialect::Json,
            Some(token.clone()),
            heard.clone(),
        )
        .await?;
        let mut publisher = Publisher::renaming(&server, &kitchen).await?;
        let cost = per(CHANGES, &server.process, async {
            for number in 1..=CHANGES {
                publisher.publish().await?;
                heard.until(number).await?;
            }
            Ok(())
        })
        .await?;
        changes.push((clients as f64, cost));
        let (server, within) = start_again(server).await?;
        starts.push((clients as f64, within));
        largest = Some((server, kitchen, token));
    }
    let (server, area, token) = largest.ok_or("no house was measured")?;
    eprintln!("growth: {KEPT} events");
    house::events(&server, KEPT, &area).await?;
    let (server, within) = start_again(server).await?;
    let replays = replays(&server, &token).await?;
    Ok(vec![
        chart(
            "change",
            "A change to one area",
            "paired clients",
            "µs",
            changes,
        ),
        chart(
            "start",
            "From exec to ready",
            "paired clients",
            "ms",
            starts,
        ),
        chart(
            "start-full",
            "From exec to ready, 10,000 clients paired",
            "events kept",
            "ms",
            vec![(KEPT as f64, within)],
        ),
        chart(
            "replay",
            "A replay, of 100,000 events kept",
            "events missed",
            "µs",
            replays,
        ),
    ])
}

fn chart(
    name: &'static str,
    title: &'static str,
    x: &'static str,
    y: &'static str,
    points: Vec<(f64, f64)>,
) -> Chart {
    let lines = vec![Line {
        name: "Wallcast".to_owned(),
        points,
    }];
    Chart {
        name,
        title,
        x,
        y,
        lines,
    }
}

/// Its median start, in ms.
async fn start_again(mut server: Server) -> Outcome<(Server, f64)> {
    let mut taken = Vec::new();
    for _ in 0..STARTS {
        server = server.restart().await?;
        taken.push(server.started_within);
    }
    taken.sort_unstable();
    let median = taken.get(STARTS / 2).ok_or("it was started")?;
    Ok((server, median.as_secs_f64() * 1e3))
}

/// Processor time by what was missed, and prints the time that it took.
async fn replays(server: &Server, token: &str) -> Outcome<Vec<(f64, f64)>> {
    let mut socket = tablet::connect(server.address, "/ws", Some(token)).await?;
    let words: Value = serde_json::from_str(&tablet::text(&mut socket).await?)?;
    let last = words["data"]["lastEventId"]
        .as_u64()
        .ok_or("no lastEventId")?;
    let epoch = words["data"]["epoch"].as_str().ok_or("no epoch")?;
    drop(socket);
    let mut points = Vec::new();
    for missed in MISSED {
        let path = format!("/ws?since={}&epoch={epoch}", last.saturating_sub(missed));
        let begun = Instant::now();
        let cost = per(1, &server.process, async {
            let mut socket = tablet::connect(server.address, &path, Some(token)).await?;
            // Its first words come first.
            for _ in 0..=missed {
                tablet::text(&mut socket).await?;
            }
            Ok(())
        })
        .await?;
        eprintln!(
            "growth: {missed} missed, {:.1} ms",
            begun.elapsed().as_secs_f64() * 1e3
        );
        points.push((missed as f64, cost));
    }
    Ok(points)
}
