//! How quickly a state of Home Assistant's is told, which nobody keeps; and whether one tablet's is as
//! quick while thousands of others are told something else.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::core::Core;
use crate::http::Http;
use crate::publisher::Publisher;
use crate::subject::{Dialect, Server, Subject};
use crate::tablet::{self, Heard};
use crate::{Outcome, clock, house};

const TABLETS: usize = 100;
const CROWD: usize = 5_000;
/// Handshakes that run at once.
const OPENING: usize = 32;
/// States, at twenty a second.
const STATES: u64 = 400;
const EVERY: Duration = Duration::from_millis(50);
/// The entity of the tablet that is watched, and that of the others.
const OWN: &str = "sensor.own";
const SHARED: &str = "sensor.shared";

/// Measures and says it in words.
pub async fn measure(programs: &Path) -> Outcome<String> {
    let (watched, options) = Watched::start().await?;
    let server = Server::start_with(Subject::WallcastJson, programs, options).await?;
    let own = pair(&server, OWN, 1).await?.remove(0);
    watched.open(server.address, own).await?;
    let alone = watched.measure(OWN).await?;

    let shared = pair(&server, SHARED, TABLETS).await?;
    let last = shared.last().ok_or("there are tablets")?.clone();
    let heard = crowd(&server, shared.into_iter().skip(1).collect()).await?;
    // Of a hundred tablets one is watched; it is told as the others are, in no order of its own.
    watched.open(server.address, last).await?;
    let among = watched.measure(SHARED).await?;
    drop(heard);

    let tokens = server.tokens(CROWD).await?.into_iter().flatten().collect();
    let heard = crowd(&server, tokens).await?;
    let mut publisher = Publisher::broadcasting(&server).await?;
    let mut total = 0;
    let mut measuring = std::pin::pin!(watched.measure(SHARED));
    let beside = loop {
        total += CROWD;
        let broadcast = async {
            publisher.publish().await?;
            heard.until(total).await
        };
        tokio::select! {
            told = &mut measuring => break told?,
            told = broadcast => told?,
        }
    };
    let line = |what: &str, of: &Histogram<u64>| {
        let millis = |quantile| of.value_at_quantile(quantile) as f64 / 1e6;
        format!(
            "| {what} | {:.2} ms | {:.2} ms |\n",
            millis(0.5),
            millis(0.99)
        )
    };
    Ok(format!(
        "| a state, from Home Assistant to the tablet's frame | p50 | p99 |\n| --- | --- | --- |\n{}{}{}",
        line("for one tablet", &alone),
        line(&format!("for {TABLETS} tablets"), &among),
        line(
            &format!(
                "for {TABLETS} tablets, while {CROWD} others are told broadcast after broadcast"
            ),
            &beside
        ),
    ))
}

/// Tablets that see an entity.
async fn pair(server: &Server, entity: &str, count: usize) -> Outcome<Vec<String>> {
    let mut http = Http::open(server.address, server.admin_token.as_deref()).await?;
    let area = json!({ "name": entity, "entityIds": [entity] });
    let area = http.post("/api/areas", &area).await?;
    let area = area["id"].as_str().ok_or("an area has an id")?;
    house::pair(server, count, area).await
}

/// Opens a socket for each token.
async fn crowd(server: &Server, tokens: Vec<String>) -> Outcome<std::sync::Arc<Heard>> {
    let heard = Heard::new();
    let mut opening = JoinSet::new();
    for token in tokens {
        if opening.len() >= OPENING
            && let Some(opened) = opening.join_next().await
        {
            opened??;
        }
        opening.spawn(tablet::open(
            server.address,
            Dialect::Json,
            Some(token),
            heard.clone(),
        ));
    }
    while let Some(opened) = opening.join_next().await {
        opened??;
    }
    Ok(heard)
}

/// A tablet and the Home Assistant that tells it states, in a thread of their own: it is the server's
/// pace that is measured, and not that of the rest of the fleet.
struct Watched {
    orders: mpsc::UnboundedSender<Order>,
}

enum Order {
    Open(SocketAddr, String, oneshot::Sender<Outcome<()>>),
    Measure(&'static str, oneshot::Sender<Outcome<Histogram<u64>>>),
}

impl Watched {
    async fn start() -> Outcome<(Self, Vec<(&'static str, String)>)> {
        let (orders, taken) = mpsc::unbounded_channel();
        let (options, ready) = oneshot::channel();
        std::thread::spawn(move || -> Outcome<()> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let core = Core::start().await?;
                let _ = options.send(core.options());
                follow(&core, taken).await;
                Ok(())
            })
        });
        Ok((Self { orders }, ready.await?))
    }

    async fn open(&self, address: SocketAddr, token: String) -> Outcome<()> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order::Open(address, token, answer))?;
        answered.await?
    }

    async fn measure(&self, entity: &'static str) -> Outcome<Histogram<u64>> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order::Measure(entity, answer))?;
        answered.await?
    }
}

async fn follow(core: &Core, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut socket = None;
    while let Some(order) = orders.recv().await {
        match order {
            Order::Open(address, token, answer) => {
                let opened = tablet::connect(address, "/ws", Some(&token)).await;
                let _ = answer.send(opened.map(|opened| socket = Some(opened)));
            }
            Order::Measure(entity, answer) => {
                let told = match &mut socket {
                    Some(socket) => told(core, entity, socket).await,
                    None => Err("no tablet is open".into()),
                };
                let _ = answer.send(told);
            }
        }
    }
}

/// From Home Assistant's frame to the tablet's, again and again.
async fn told(core: &Core, entity: &str, socket: &mut tablet::Socket) -> Outcome<Histogram<u64>> {
    core.until_subscribed(entity).await?;
    let mut taken = Histogram::new(3)?;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 1..=STATES {
        ticks.tick().await;
        let begun = clock::nanos();
        core.tell(entity, number);
        let mark = format!("\"state-{number}\"");
        while !tablet::text(socket).await?.contains(&mark) {}
        taken.saturating_record(clock::nanos() - begun);
    }
    Ok(taken)
}
