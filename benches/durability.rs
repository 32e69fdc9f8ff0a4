//! Measures the cost of durability: writes per second, the memory of a replay and of stuck tablets, and disk writes
//! at rest.
//!
//! `cargo bench --bench durability` measures the release build of the daemon over TLS and prints the results.
//! Absolute numbers depend on the machine, so it also prints the speed of the disk.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "a benchmark may panic, and uses only a part of the tests' support module"
)]

#[path = "../tests/it/support/mod.rs"]
mod support;

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::json;

use support::{Daemon, Socket, tls_stream};

const WRITERS: usize = 16;
const LENGTH: Duration = Duration::from_secs(10);
const REPLAYED: usize = 10_000;

#[tokio::main]
async fn main() {
    // `cargo test` runs benches with `--test`. Then it is enough that this one compiles.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    writes().await;
    replay().await;
    stuck().await;
    idle().await;
}

async fn writes() {
    let daemon = Daemon::start().await;
    let admin = daemon
        .token(json!({ "role": "admin", "name": "bench" }))
        .await;
    let token = admin["token"].as_str().unwrap().to_owned();
    let mut areas = Vec::new();
    for writer in 0..WRITERS {
        let area = daemon
            .admin()
            .await
            .create_area(&format!("Area {writer}"))
            .await;
        daemon.pair("Tablet", &[&area]).await;
        areas.push(area);
    }
    let syncs = syncs_per_second(daemon.folder());
    let (cpu, start) = (cpu_seconds(daemon.pid()), Instant::now());
    let mut writers = Vec::new();
    for area in areas {
        let mut sender = keep_alive(&daemon).await;
        let token = token.clone();
        writers.push(tokio::spawn(async move {
            let mut times = Vec::new();
            while start.elapsed() < LENGTH {
                let sent = Instant::now();
                rename(&mut sender, &token, &area, &format!("Name {}", times.len())).await;
                times.push(sent.elapsed());
            }
            times
        }));
    }
    let mut times = Vec::new();
    for writer in writers {
        times.extend(writer.await.unwrap());
    }
    let span = start.elapsed().as_secs_f64();
    let cpu = cpu_seconds(daemon.pid()) - cpu;
    times.sort_unstable();
    let percentile = |percent: usize| times[times.len() * percent / 100].as_secs_f64() * 1000.0;
    let rate = times.len() as f64 / span;
    println!("durable area changes from {WRITERS} writers");
    println!("  per second          {rate:.0}");
    println!(
        "  p50, p99            {:.1} ms, {:.1} ms",
        percentile(50),
        percentile(99)
    );
    println!(
        "  processor time      {:.0} us per change",
        cpu / times.len() as f64 * 1e6
    );
    println!("  the disk alone: {syncs:.0} writes with fdatasync of 4 KiB per second");
}

async fn replay() {
    let daemon = Daemon::start().await;
    let (area, tablet, token) = setup(&daemon).await;
    let welcome = daemon.welcome(&tablet).await;
    let mut sender = keep_alive(&daemon).await;
    for n in 0..REPLAYED {
        rename(&mut sender, &token, &area, &format!("Name {n}")).await;
    }
    let path = format!("/ws?since={}", welcome["lastEventId"]);
    // The first replay fills SQLite's page cache, whose memory is bounded and does not belong to the tablet.
    receive_all(&daemon, &path, &tablet).await;
    let before = resident_kib(daemon.pid());
    let start = Instant::now();
    let most = receive_all(&daemon, &path, &tablet).await;
    let span = start.elapsed().as_secs_f64();
    println!("replay of {REPLAYED} events to one tablet");
    println!("  time                {span:.2} s");
    println!(
        "  resident memory     {} KiB more than before",
        most.saturating_sub(before)
    );
}

/// Receives the whole replay. Returns the daemon's highest resident memory in KiB.
async fn receive_all(daemon: &Daemon, path: &str, tablet: &str) -> u64 {
    let mut socket = Socket::open(daemon, path, Some(tablet)).await.unwrap();
    let mut most = 0;
    socket.next().await;
    for n in 0..REPLAYED {
        assert_eq!(socket.next().await["data"]["name"], format!("Name {n}"));
        if n % 100 == 0 {
            most = most.max(resident_kib(daemon.pid()));
        }
    }
    most
}

async fn idle() {
    let daemon = Daemon::start().await;
    let (_, tablet, _) = setup(&daemon).await;
    let _socket = daemon.listen(&tablet).await;
    let written = || {
        let io = std::fs::read_to_string(format!("/proc/{}/io", daemon.pid())).unwrap();
        let line = io.lines().find(|line| line.starts_with("write_bytes:"));
        let bytes = line.unwrap().split_whitespace().nth(1).unwrap();
        bytes.parse::<u64>().unwrap()
    };
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = written();
    tokio::time::sleep(LENGTH).await;
    println!("idle for {} s with one connected tablet", LENGTH.as_secs());
    println!("  written to disk     {} bytes", written() - before);
}

async fn stuck() {
    let daemon = Daemon::start().await;
    let (area, tablet, token) = setup(&daemon).await;
    let mut sender = keep_alive(&daemon).await;
    for n in 0..2000 {
        rename(&mut sender, &token, &area, &format!("Warm {n}")).await;
    }
    let before = resident_kib(daemon.pid());
    let mut sockets = Vec::new();
    for _ in 0..8 {
        sockets.push(Socket::open_with_small_buffer(&daemon, &tablet).await);
    }
    // The daemon closes a stuck tablet after ten seconds. Eight tablets make the memory of one measurable.
    let start = Instant::now();
    let (mut most, mut events) = (before, 0);
    while start.elapsed() < Duration::from_secs(9) {
        let name = format!("{events:<90}x");
        rename(&mut sender, &token, &area, &name).await;
        events += 1;
        if events % 50 == 0 {
            most = most.max(resident_kib(daemon.pid()));
        }
    }
    println!("eight stuck tablets during {events} events");
    println!(
        "  resident memory     {} KiB more per tablet",
        most.saturating_sub(before) / 8
    );
}

/// Returns an area, the token of a tablet that is assigned to it, and an admin's token.
async fn setup(daemon: &Daemon) -> (String, String, String) {
    let admin = daemon
        .token(json!({ "role": "admin", "name": "bench" }))
        .await;
    let token = admin["token"].as_str().unwrap().to_owned();
    let area = daemon.api(&token).create_area("Kitchen").await;
    let tablet = daemon.pair("Tablet", &[&area]).await;
    (area, tablet.token, token)
}

async fn keep_alive(daemon: &Daemon) -> SendRequest<Full<Bytes>> {
    let stream = tls_stream(daemon.https, daemon.tls.clone()).await;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

async fn rename(sender: &mut SendRequest<Full<Bytes>>, token: &str, area: &str, name: &str) {
    let body = json!({ "name": name }).to_string();
    let request = Request::patch(format!("/api/areas/{area}"))
        .header("host", "localhost")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    sender.ready().await.unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body().collect().await.unwrap();
}

fn syncs_per_second(folder: &Path) -> f64 {
    let path = folder.join("bench");
    let mut file = std::fs::File::create(&path).unwrap();
    let start = Instant::now();
    let mut syncs = 0;
    while start.elapsed() < Duration::from_secs(1) {
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
        syncs += 1;
    }
    std::fs::remove_file(path).unwrap();
    f64::from(syncs) / start.elapsed().as_secs_f64()
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields: Vec<_> = fields.split_whitespace().collect();
    // User and system time (proc(5), fields 14 and 15), in hundredths of a second.
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 / 100.0
}
