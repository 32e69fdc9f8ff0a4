//! A load test: a daemon, writers that change areas, and tablets of every dialect.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::connector::{Connector, Endpoint};
use crate::history::History;
use crate::proxy::Proxy;
use crate::random::{self, Random};
use crate::report::{Report, Row};
use crate::support::Daemon;
use crate::tablet::{Dialect, Subscription, Tablet, TabletConfig};
use crate::writer::{Area, WriteControl, WriteResults, Writer};

/// How long all tablets together may take to catch up at the end.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(60);
/// The name that the marker area gets at the end of a run.
const LAST: &str = "the last one";

#[derive(Clone)]
pub struct LoadConfig {
    /// One tablet for each entry.
    pub tablets: Vec<Dialect>,
    pub writers: usize,
    /// Areas per writer.
    pub areas: usize,
    /// Entities per area. Each adds about 120 bytes to every event of the area.
    pub entities: usize,
    /// A tablet is assigned each area with a probability of 1 in `share`.
    pub share: usize,
    /// Whether writers also assign areas to tablets and unassign them.
    pub assigns: bool,
    /// The longest pause of a writer after a change, in milliseconds.
    pub pause: usize,
    /// Whether each tablet connects through its own proxy.
    pub has_proxies: bool,
    /// Whether socket buffers are small, so that a tablet which does not read blocks soon.
    pub is_narrow: bool,
    pub options: &'static [(&'static str, &'static str)],
}

impl Default for LoadConfig {
    fn default() -> Self {
        Self {
            tablets: Dialect::ALL.repeat(2),
            writers: 4,
            areas: 3,
            entities: 0,
            share: 2,
            assigns: true,
            pause: 0,
            has_proxies: false,
            is_narrow: false,
            options: &[],
        }
    }
}

pub struct LoadTest {
    pub random: Random,
    pub tablets: Vec<Tablet>,
    pub writes: WriteControl,
    pub cuts: usize,
    pub half_open: usize,
    pub kills: usize,
    seed: u64,
    began: Instant,
    daemon: Option<Daemon>,
    connector: Connector,
    admin: String,
    /// An admin's session, which receives every event.
    watcher: Tablet,
    marker: String,
    start: i64,
    writers: Vec<JoinHandle<WriteResults>>,
}

impl LoadTest {
    /// Starts the daemon and the tablets, waits until each tablet was welcomed, then starts the writers.
    pub async fn start(config: LoadConfig) -> Self {
        let seed = random::seed();
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let mut options = vec![("LOG_LEVEL", "warn"), ("HEARTBEAT_SECONDS", "1")];
        options.extend_from_slice(config.options);
        let daemon = Daemon::with(&options).await;
        let admin = daemon.token(json!({ "role": "admin", "name": "load test" }));
        let admin = admin.await["token"].as_str().expect("a token").to_owned();
        let api = daemon.local();
        let marker = api.create_area("Marker").await;
        let mut areas = Vec::new();
        for _ in 0..config.writers * config.areas {
            let entities: Vec<_> = (0..config.entities)
                .map(|number| format!("light.{number:0>110}"))
                .collect();
            let body = json!({ "name": "Area", "entityIds": entities });
            let area = api.post("/api/areas", body).await.expect(201).json;
            areas.push(area["id"].as_str().expect("an id").to_owned());
        }
        let connector = Connector {
            endpoint: Endpoint::new(daemon.https),
            tls: daemon.tls.clone(),
            from: Ipv4Addr::LOCALHOST,
            is_narrow: false,
        };
        let mut paired = Vec::new();
        for dialect in config.tablets.iter().copied() {
            let own = areas
                .iter()
                .filter(|_| random.one_in(config.share))
                .cloned();
            let own: Vec<String> = own.chain([marker.clone()]).collect();
            let assigned: Vec<&str> = own.iter().map(String::as_str).collect();
            paired.push((dialect, daemon.pair(dialect.name(), &assigned).await, own));
        }
        let mut tablets = Vec::new();
        for (number, (dialect, paired, own)) in paired.into_iter().enumerate() {
            let number = u8::try_from(number + 2).expect("at most 253 tablets");
            let from = Ipv4Addr::new(127, 0, 1, number);
            let proxy = match config.has_proxies {
                true => {
                    Some(Proxy::start(connector.endpoint.clone(), from, config.is_narrow).await)
                }
                false => None,
            };
            let endpoint = proxy
                .as_ref()
                .map_or(&connector.endpoint, |proxy| &proxy.endpoint);
            tablets.push(Tablet::start(TabletConfig {
                id: &paired.id,
                token: &paired.token,
                dialect,
                subscription: Subscription::Areas(own),
                connector: Connector {
                    endpoint: endpoint.clone(),
                    from,
                    is_narrow: config.is_narrow,
                    ..connector.clone()
                },
                proxy,
                random: random.fork(),
            }));
        }
        let watcher = Tablet::start(TabletConfig {
            id: "admin",
            token: &admin,
            dialect: Dialect::Json,
            subscription: Subscription::AllEvents,
            connector: connector.clone(),
            proxy: None,
            random: random.fork(),
        });
        for tablet in tablets.iter().chain([&watcher]) {
            tablet.receiver.wait_for_connections(1).await;
        }
        let start = watcher.receiver.received().base.expect("a base");
        for tablet in &tablets {
            assert_eq!(tablet.receiver.received().base, Some(start));
        }
        let mut test = Self {
            random,
            tablets,
            writes: WriteControl::default(),
            cuts: 0,
            half_open: 0,
            kills: 0,
            seed,
            began: Instant::now(),
            daemon: Some(daemon),
            connector,
            admin,
            watcher,
            marker,
            start,
            writers: Vec::new(),
        };
        for own in areas.chunks(config.areas.max(1)) {
            test.start_writer(own, &config).await;
        }
        test
    }

    /// Starts a writer that changes these areas.
    async fn start_writer(&mut self, areas: &[String], config: &LoadConfig) {
        let mut http = self.connector.http_client(Some(&self.admin));
        let mut own = Vec::new();
        for id in areas {
            let path = format!("/api/areas/{id}");
            let (status, text) = http
                .request(Method::GET, &path, None)
                .await
                .expect("a response");
            assert_eq!(status, 200, "{text}");
            own.push(Area::read(&serde_json::from_str(&text).expect("JSON")));
        }
        let clients = self.tablets.iter().filter(|_| config.assigns);
        let clients = clients.map(|tablet| tablet.id.clone());
        let writer = Writer {
            areas: own,
            clients: clients.collect(),
            http,
            random: self.random.fork(),
            writes: self.writes.clone(),
            pause: config.pause,
            results: WriteResults::default(),
        };
        self.writers.push(tokio::spawn(writer.run()));
    }

    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("it runs")
    }

    /// Kills the daemon and starts it again.
    pub async fn kill(&mut self) {
        let daemon = self.daemon.take().expect("it runs");
        let daemon = daemon.kill_and_restart().await;
        self.connector.endpoint.set_address(daemon.https);
        self.daemon = Some(daemon);
        self.kills += 1;
    }

    /// Waits until the admin receives another event.
    pub async fn wait_for_next_event(&self) {
        let next = self.watcher.receiver.last_id() + 1;
        self.watcher
            .receiver
            .wait_for_event(next, CATCH_UP_TIMEOUT)
            .await;
    }

    /// The number of connections that each tablet has made, for [`LoadTest::wait_for_reconnects`].
    pub fn connections(&self) -> Vec<usize> {
        let count = |tablet: &Tablet| tablet.receiver.connections();
        self.tablets.iter().map(count).collect()
    }

    /// Waits until each tablet has made more connections than before.
    pub async fn wait_for_reconnects(&self, before: &[usize]) {
        for (tablet, before) in self.tablets.iter().zip(before) {
            tablet.receiver.wait_for_connections(before + 1).await;
        }
    }

    /// A random selection of the tablets, at least one.
    pub fn random_tablets(&mut self) -> Vec<usize> {
        let count = 1 + self.random.below(self.tablets.len());
        let all = 0..self.tablets.len();
        let chosen = all.map(|_| self.random.below(self.tablets.len()));
        BTreeSet::from_iter(chosen.take(count))
            .into_iter()
            .collect()
    }

    /// Cuts these tablets' connections. They cannot reconnect until [`LoadTest::restore`].
    pub fn cut(&mut self, tablets: &[usize]) {
        for index in tablets {
            self.tablets[*index].proxy().cut();
        }
        self.cuts += tablets.len();
    }

    pub fn restore(&self, tablets: &[usize]) {
        for index in tablets {
            self.tablets[*index].proxy().restore();
        }
    }

    /// Restores these tablets' proxies after `length`.
    pub fn restore_after(&self, tablets: &[usize], length: Duration) {
        for index in tablets {
            let restoring = self.tablets[*index].proxy().restore_after(length);
            tokio::spawn(restoring);
        }
    }

    /// Closes these tablets' ends of their connections without notice to the daemon.
    pub fn leave_half_open(&mut self, tablets: &[usize]) {
        for index in tablets {
            self.tablets[*index].proxy().leave_half_open();
        }
        self.half_open += tablets.len();
    }

    /// Stops these tablets from reading for `length`.
    pub fn pause_reading_for(&self, tablets: &[usize], length: Duration) {
        for index in tablets {
            let receiver = self.tablets[*index].receiver.clone();
            receiver.pause_reading();
            tokio::spawn(async move {
                tokio::time::sleep(length).await;
                receiver.resume_reading();
            });
        }
    }

    /// Makes these tablets wait before each message, and all others read without delay.
    pub fn set_read_delay(&self, tablets: &[usize], delay: Duration) {
        for (index, tablet) in self.tablets.iter().enumerate() {
            let is_slow = tablets.contains(&index);
            tablet
                .receiver
                .set_read_delay(if is_slow { delay } else { Duration::ZERO });
        }
    }

    /// Restores every proxy, and makes every tablet read without delay.
    pub fn stop_faults(&self) {
        for tablet in &self.tablets {
            tablet.proxy().restore();
            tablet.receiver.resume_reading();
            tablet.receiver.set_read_delay(Duration::ZERO);
        }
    }

    /// The state of the run in one line.
    pub fn progress(&self) -> String {
        let last = self.watcher.receiver.last_id();
        let behind = self
            .tablets
            .iter()
            .map(|t| last - t.receiver.last_id())
            .max();
        format!(
            "{} kills, {} cuts, {} half-open, {} writes answered, {last} events, the slowest tablet {} events behind",
            self.kills,
            self.cuts,
            self.half_open,
            self.writes.answered(),
            behind.unwrap_or(0).max(0),
        )
    }

    /// Renames the marker area, which every tablet is assigned.
    pub async fn rename_marker(&self, name: &str) {
        let path = format!("/api/areas/{}", self.marker);
        let body = json!({ "name": name });
        self.daemon().local().patch(&path, body).await.expect(200);
    }

    /// Renames the marker area and returns the id of its event.
    pub async fn publish_marker(&self, name: &str) -> i64 {
        self.rename_marker(name).await;
        let history = History::read(&self.connector, &self.admin, self.start, name);
        history.await.last_id()
    }

    /// The number of a tablet's sessions.
    pub async fn sessions(&self, tablet: &Tablet) -> u64 {
        let path = format!("/api/clients/{}", tablet.id);
        let client = self.daemon().local().get(&path).await.expect(200).json;
        client["sessions"].as_u64().expect("a number")
    }

    /// Stops the writers, waits until every tablet has received the last event, and compares all events
    /// with the history.
    pub async fn finish(mut self) -> Report {
        self.writes.stop();
        let mut results = WriteResults::default();
        for writer in std::mem::take(&mut self.writers) {
            let done = writer.await.expect("the writer does not panic");
            results.expected.extend(done.expected);
            results.answered += done.answered;
            results.lost += done.lost;
            results.applied += done.applied;
        }
        self.rename_marker(LAST).await;
        let mut history = History::read(&self.connector, &self.admin, self.start, LAST).await;
        let mut faults = history.compare_with_writes(&results.expected, &self.marker);
        let mut rows = Vec::new();
        let dialects: BTreeSet<_> = self.tablets.iter().map(|tablet| tablet.dialect).collect();
        let groups = dialects.into_iter().map(|dialect| {
            let own = self.tablets.iter().filter(move |t| t.dialect == dialect);
            (dialect.name(), own.collect())
        });
        let admins = ("json, admin", vec![&self.watcher]);
        let deadline = Instant::now() + CATCH_UP_TIMEOUT;
        for (name, tablets) in groups.chain([admins]) {
            let tablets: Vec<&Tablet> = tablets;
            for tablet in &tablets {
                // A timeout needs no assertion here: the row below lists the missing events.
                let timeout = deadline.saturating_duration_since(Instant::now());
                tablet
                    .receiver
                    .wait_for_event(history.last_id(), timeout)
                    .await;
            }
            rows.push(Row::of(name, &tablets, &history, &mut faults));
        }
        Report {
            seed: self.seed,
            seconds: self.began.elapsed().as_secs(),
            kills: self.kills,
            cuts: self.cuts,
            half_open: self.half_open,
            events: history.events.len(),
            answered: results.answered,
            lost: results.lost,
            applied: results.applied,
            rows,
            faults,
        }
    }
}
