//! A house under load: a daemon, writers that change areas, and tablets of every dialect.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::chance::{self, Chance};
use crate::proxy::Proxy;
use crate::support::Daemon;
use crate::tablet::{Dialect, Hears, Plan, Tablet};
use crate::truth::Truth;
use crate::verdict::{Row, Verdict};
use crate::way::{Door, Way};
use crate::writer::{Area, Orders, Work, Writer};

/// How long tablets may take to catch up with everything at the end.
const PATIENCE: Duration = Duration::from_secs(60);
/// The name that ends a run.
const LAST: &str = "the last one";

/// What the house is to be.
#[derive(Clone)]
pub struct Size {
    /// A tablet for each.
    pub tablets: Vec<Dialect>,
    pub writers: usize,
    /// Areas of each writer.
    pub areas: usize,
    /// Entities of each area; an event has about 120 bytes for every one.
    pub entities: usize,
    /// A tablet has one in so many areas.
    pub share: usize,
    /// Whether writers give areas to tablets and take them away.
    pub gives: bool,
    /// A pause of at most so many milliseconds after each change of a writer.
    pub pause: usize,
    /// Whether each tablet is reached by a proxy of its own.
    pub has_proxies: bool,
    /// Whether little stays with the kernel while tablets do not read.
    pub is_narrow: bool,
    pub options: &'static [(&'static str, &'static str)],
}

impl Default for Size {
    fn default() -> Self {
        Self {
            tablets: Dialect::ALL.repeat(2),
            writers: 4,
            areas: 3,
            entities: 0,
            share: 2,
            gives: true,
            pause: 0,
            has_proxies: false,
            is_narrow: false,
            options: &[],
        }
    }
}

/// The house.
pub struct House {
    pub chance: Chance,
    pub tablets: Vec<Tablet>,
    pub orders: Orders,
    pub cuts: usize,
    pub half_open: usize,
    pub kills: usize,
    seed: u64,
    began: Instant,
    daemon: Option<Daemon>,
    way: Way,
    admin: String,
    /// An admin's session, which is told everything.
    watcher: Tablet,
    marker: String,
    start: i64,
    writers: Vec<JoinHandle<Work>>,
}

impl House {
    /// Starts everything but the writers; each tablet has heard its first words.
    pub async fn open(size: Size) -> Self {
        let seed = chance::seed();
        println!("seed {seed}");
        let mut chance = Chance::new(seed);
        let mut options = vec![("LOG_LEVEL", "warn"), ("HEARTBEAT_SECONDS", "1")];
        options.extend_from_slice(size.options);
        let daemon = Daemon::with(&options).await;
        let admin = daemon.token(json!({ "role": "admin", "name": "proof" }));
        let admin = admin.await["token"].as_str().expect("a token").to_owned();
        let api = daemon.local();
        let marker = api.create_area("Marker").await;
        let mut areas = Vec::new();
        for _ in 0..size.writers * size.areas {
            let entities: Vec<_> = (0..size.entities)
                .map(|number| format!("light.{number:0>110}"))
                .collect();
            let body = json!({ "name": "Area", "entityIds": entities });
            let area = api.post("/api/areas", body).await.expect(201).json;
            areas.push(area["id"].as_str().expect("an id").to_owned());
        }
        let way = Way {
            door: Door::new(daemon.https),
            tls: daemon.tls.clone(),
            from: Ipv4Addr::LOCALHOST,
            is_narrow: false,
        };
        let mut paired = Vec::new();
        for dialect in size.tablets.iter().copied() {
            let own = areas.iter().filter(|_| chance.one_in(size.share)).cloned();
            let own: Vec<String> = own.chain([marker.clone()]).collect();
            let assigned: Vec<&str> = own.iter().map(String::as_str).collect();
            paired.push((dialect, daemon.pair(dialect.name(), &assigned).await, own));
        }
        let mut tablets = Vec::new();
        for (number, (dialect, paired, own)) in paired.into_iter().enumerate() {
            let number = u8::try_from(number + 2).expect("at most 253 tablets");
            let from = Ipv4Addr::new(127, 0, 1, number);
            let proxy = match size.has_proxies {
                true => Some(Proxy::start(way.door.clone(), from, size.is_narrow).await),
                false => None,
            };
            let door = proxy.as_ref().map_or(&way.door, |proxy| &proxy.door);
            tablets.push(Tablet::start(Plan {
                id: &paired.id,
                token: &paired.token,
                dialect,
                hears: Hears::Areas(own),
                way: Way {
                    door: door.clone(),
                    from,
                    is_narrow: size.is_narrow,
                    ..way.clone()
                },
                proxy,
                chance: chance.fork(),
            }));
        }
        let watcher = Tablet::start(Plan {
            id: "admin",
            token: &admin,
            dialect: Dialect::Json,
            hears: Hears::Everything,
            way: way.clone(),
            proxy: None,
            chance: chance.fork(),
        });
        for tablet in tablets.iter().chain([&watcher]) {
            tablet.ears.connected(1).await;
        }
        let start = watcher.ears.heard().base.expect("a base");
        for tablet in &tablets {
            assert_eq!(tablet.ears.heard().base, Some(start));
        }
        let mut house = Self {
            chance,
            tablets,
            orders: Orders::default(),
            cuts: 0,
            half_open: 0,
            kills: 0,
            seed,
            began: Instant::now(),
            daemon: Some(daemon),
            way,
            admin,
            watcher,
            marker,
            start,
            writers: Vec::new(),
        };
        for own in areas.chunks(size.areas.max(1)) {
            house.hire(own, &size).await;
        }
        house
    }

    /// Sets a writer to work on these areas.
    async fn hire(&mut self, areas: &[String], size: &Size) {
        let mut line = self.way.line(Some(&self.admin));
        let mut own = Vec::new();
        for id in areas {
            let path = format!("/api/areas/{id}");
            let (status, text) = line.ask(Method::GET, &path, None).await.expect("an answer");
            assert_eq!(status, 200, "{text}");
            own.push(Area::read(&serde_json::from_str(&text).expect("JSON")));
        }
        let clients = self.tablets.iter().filter(|_| size.gives);
        let clients = clients.map(|tablet| tablet.id.clone());
        let writer = Writer {
            areas: own,
            clients: clients.collect(),
            line,
            chance: self.chance.fork(),
            orders: self.orders.clone(),
            pause: size.pause,
            work: Work::default(),
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
        self.way.door.moved(daemon.https);
        self.daemon = Some(daemon);
        self.kills += 1;
    }

    /// Waits until an admin is told something.
    pub async fn told(&self) {
        let next = self.watcher.ears.last() + 1;
        self.watcher.ears.reaches(next, PATIENCE).await;
    }

    /// How many connections each tablet has made, for [`House::all_back`].
    pub fn connections(&self) -> Vec<usize> {
        let count = |tablet: &Tablet| tablet.ears.connections();
        self.tablets.iter().map(count).collect()
    }

    /// Waits until each tablet has made another connection than these.
    pub async fn all_back(&self, before: &[usize]) {
        for (tablet, before) in self.tablets.iter().zip(before) {
            tablet.ears.connected(before + 1).await;
        }
    }

    /// Some of the tablets, by chance; at least one.
    pub fn some_tablets(&mut self) -> Vec<usize> {
        let count = 1 + self.chance.below(self.tablets.len());
        let all = 0..self.tablets.len();
        let most = all.map(|_| self.chance.below(self.tablets.len()));
        BTreeSet::from_iter(most.take(count)).into_iter().collect()
    }

    /// Ends these tablets' connections; they stay away until they are mended.
    pub fn cut(&mut self, tablets: &[usize]) {
        for index in tablets {
            self.tablets[*index].proxy().cut();
        }
        self.cuts += tablets.len();
    }

    pub fn mend(&self, tablets: &[usize]) {
        for index in tablets {
            self.tablets[*index].proxy().mend();
        }
    }

    /// The same, a while later.
    pub fn mend_after(&self, tablets: &[usize], length: Duration) {
        for index in tablets {
            let mending = self.tablets[*index].proxy().mend_after(length);
            tokio::spawn(mending);
        }
    }

    /// Leaves the daemon with these tablets' connections, from which it hears nothing more.
    pub fn leave_half_open(&mut self, tablets: &[usize]) {
        for index in tablets {
            self.tablets[*index].proxy().leave_half_open();
        }
        self.half_open += tablets.len();
    }

    /// Has these tablets read nothing for so long.
    pub fn nap(&self, tablets: &[usize], length: Duration) {
        for index in tablets {
            let ears = self.tablets[*index].ears.clone();
            ears.sleep();
            tokio::spawn(async move {
                tokio::time::sleep(length).await;
                ears.wake();
            });
        }
    }

    /// Has these tablets take so much time for each message, and all others none.
    pub fn walk(&self, tablets: &[usize], pace: Duration) {
        for (index, tablet) in self.tablets.iter().enumerate() {
            let is_slow = tablets.contains(&index);
            tablet
                .ears
                .walk(if is_slow { pace } else { Duration::ZERO });
        }
    }

    /// Mends everything and wakes everybody up, for the end.
    pub fn calm(&self) {
        for tablet in &self.tablets {
            tablet.proxy().mend();
            tablet.ears.wake();
            tablet.ears.walk(Duration::ZERO);
        }
    }

    /// How far a run is, in a line.
    pub fn progress(&self) -> String {
        let last = self.watcher.ears.last();
        let behind = self.tablets.iter().map(|t| last - t.ears.last()).max();
        format!(
            "{} kills, {} cuts, {} half-open, {} writes answered, {last} events, the last tablet {} behind",
            self.kills,
            self.cuts,
            self.half_open,
            self.orders.answered(),
            behind.unwrap_or(0).max(0),
        )
    }

    /// Changes the area that every tablet has.
    pub async fn mark(&self, name: &str) {
        let path = format!("/api/areas/{}", self.marker);
        let body = json!({ "name": name });
        self.daemon().local().patch(&path, body).await.expect(200);
    }

    /// Changes the area that every tablet has and gives the event's id, once an admin was told it.
    pub async fn milestone(&self, name: &str) -> i64 {
        self.mark(name).await;
        let told = Truth::read(&self.way, &self.admin, self.start, name);
        told.await.last()
    }

    /// How many sessions a tablet has.
    pub async fn sessions(&self, tablet: &Tablet) -> u64 {
        let path = format!("/api/clients/{}", tablet.id);
        let client = self.daemon().local().get(&path).await.expect(200).json;
        client["sessions"].as_u64().expect("a number")
    }

    /// Ends the load, waits until everybody was told everything, and reconciles.
    pub async fn reconcile(mut self) -> Verdict {
        self.orders.end();
        let mut work = Work::default();
        for writer in std::mem::take(&mut self.writers) {
            let done = writer.await.expect("the writer ends in order");
            work.facts.extend(done.facts);
            work.answered += done.answered;
            work.lost += done.lost;
            work.happened += done.happened;
        }
        self.mark(LAST).await;
        let mut truth = Truth::read(&self.way, &self.admin, self.start, LAST).await;
        let mut faults = truth.hold_against(&work.facts, &self.marker);
        let mut rows = Vec::new();
        let dialects: BTreeSet<_> = self.tablets.iter().map(|tablet| tablet.dialect).collect();
        let groups = dialects.into_iter().map(|dialect| {
            let own = self.tablets.iter().filter(move |t| t.dialect == dialect);
            (dialect.name(), own.collect())
        });
        let admins = ("json, admin", vec![&self.watcher]);
        let deadline = Instant::now() + PATIENCE;
        for (name, tablets) in groups.chain([admins]) {
            let tablets: Vec<&Tablet> = tablets;
            for tablet in &tablets {
                // One that does not get there has something missing, and is told of below.
                let patience = deadline.saturating_duration_since(Instant::now());
                tablet.ears.reaches(truth.last(), patience).await;
            }
            rows.push(Row::of(name, &tablets, &truth, &mut faults));
        }
        Verdict {
            seed: self.seed,
            seconds: self.began.elapsed().as_secs(),
            kills: self.kills,
            cuts: self.cuts,
            half_open: self.half_open,
            events: truth.events.len(),
            answered: work.answered,
            lost: work.lost,
            happened: work.happened,
            rows,
            faults,
        }
    }
}
