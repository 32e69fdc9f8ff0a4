//! How quickly one tablet is told while others are left alone, and while thousands of others are told
//! something else: a state of Home Assistant's, which nobody keeps, and a change, which lasts.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use crate::core::Core;
use crate::http::Http;
use crate::publisher::Publisher;
use crate::subject::{Dialect, Server, Subject};
use crate::tablet::{self, Heard};
use crate::{Outcome, clock, house, latency};

const TABLETS: usize = 100;
const CROWD: usize = 5_000;
/// Where the crowd belongs, and nobody else.
const ORGANIZATION: &str = "crowd";
/// Told one after the other, at twenty a second.
const TOLD: usize = 300;
const EVERY: Duration = Duration::from_millis(50);
/// The entity of the tablet that is alone, and that of the hundred.
const OWN: &str = "sensor.own";
const SHARED: &str = "sensor.shared";

/// Measures and says it in a table.
pub async fn measure(programs: &Path) -> Outcome<String> {
    let (watched, options) = Watched::start().await?;
    let server = Server::start_with(Subject::WallcastJson, programs, options).await?;
    // Whoever is watched goes first: what the crowd takes of the fleet's core is not the server's.
    rustix::process::nice(19)?;
    let mut http = Http::open(server.address, server.admin_token.as_deref()).await?;
    let own = house::area_of(&mut http, OWN).await?;
    let shared = house::area_of(&mut http, SHARED).await?;
    let own_token = house::pair(&server, 1, &own).await?.remove(0);
    let mut shared_tokens = house::pair(&server, TABLETS, &shared).await?;
    let shared_token = shared_tokens.remove(0);
    let hundred = Heard::new();
    tablet::open_all(server.address, Dialect::Json, some(shared_tokens), &hundred).await?;
    let look = |what: What, token: &str| Look {
        address: server.address,
        admin: server.admin_token.clone(),
        token: token.to_owned(),
        what,
    };
    let looks = || {
        [
            (
                "a state, for one tablet",
                look(What::State(OWN), &own_token),
            ),
            (
                "a state, for 100 tablets",
                look(What::State(SHARED), &shared_token),
            ),
            (
                "a durable change, for one tablet",
                look(What::Change(own.clone()), &own_token),
            ),
        ]
    };
    let mut alone = Vec::new();
    for (_, look) in looks() {
        alone.push(watched.look(look).await?);
    }

    eprintln!("ephemeral: {CROWD} more");
    let heard = Heard::new();
    let tokens = server.tokens(CROWD, Some(ORGANIZATION)).await?;
    tablet::open_all(server.address, Dialect::Json, tokens, &heard).await?;
    let mut publisher = Publisher::broadcasting_to(&server, ORGANIZATION).await?;
    let (mut total, mut text) = (0, String::new());
    for ((what, look), alone) in looks().into_iter().zip(alone) {
        let mut looking = std::pin::pin!(watched.look(look));
        let beside = loop {
            total += CROWD;
            let broadcast = async {
                publisher.publish().await?;
                heard.until(total).await
            };
            let mut broadcast = std::pin::pin!(broadcast);
            tokio::select! {
                told = &mut looking => {
                    broadcast.await?;
                    break told?;
                }
                told = &mut broadcast => told?,
            }
        };
        text.push_str(&row(what, &alone, &beside));
    }
    Ok(format!(
        "| from its sending to the tablet's frame | p50 | p99 | p50, crowd told | p99, crowd told |\n\
         | --- | --- | --- | --- | --- |\n{text}\n\
         \"Crowd told\": meanwhile {CROWD} other tablets are told broadcast after broadcast, {} in all.\n",
        total / CROWD
    ))
}

fn row(what: &str, alone: &Histogram<u64>, beside: &Histogram<u64>) -> String {
    let [a, b, c, d] = [(alone, 0.5), (alone, 0.99), (beside, 0.5), (beside, 0.99)]
        .map(|(of, quantile)| latency::millis(of, quantile));
    format!("| {what} | {a:.2} ms | {b:.2} ms | {c:.2} ms | {d:.2} ms |\n")
}

fn some(tokens: Vec<String>) -> Vec<Option<String>> {
    tokens.into_iter().map(Some).collect()
}

/// A tablet and the Home Assistant that tells it states, in a thread of their own: it is the server's
/// pace that is measured, and not that of the rest of the fleet.
struct Watched {
    orders: mpsc::UnboundedSender<Order>,
}

type Order = (Look, oneshot::Sender<Outcome<Histogram<u64>>>);

/// What to measure.
struct Look {
    address: SocketAddr,
    /// Who makes changes.
    admin: Option<String>,
    /// Who is told.
    token: String,
    what: What,
}

enum What {
    /// A state of this entity.
    State(&'static str),
    /// A change of this area.
    Change(String),
}

impl Watched {
    async fn start() -> Outcome<(Self, Vec<(&'static str, String)>)> {
        let (orders, mut taken) = mpsc::unbounded_channel::<Order>();
        let (options, ready) = oneshot::channel();
        std::thread::spawn(move || -> Outcome<()> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let core = Core::start().await?;
                let _ = options.send(core.options());
                while let Some((look, answer)) = taken.recv().await {
                    let _ = answer.send(look.measure(&core).await);
                }
                Ok(())
            })
        });
        Ok((Self { orders }, ready.await?))
    }

    async fn look(&self, look: Look) -> Outcome<Histogram<u64>> {
        let (answer, answered) = oneshot::channel();
        self.orders.send((look, answer))?;
        answered.await?
    }
}

impl Look {
    /// From the sending to the tablet's frame, again and again.
    async fn measure(self, core: &Core) -> Outcome<Histogram<u64>> {
        let mut socket = tablet::connect(self.address, "/ws", Some(&self.token)).await?;
        let mut http = Http::open(self.address, self.admin.as_deref()).await?;
        if let What::State(entity) = self.what {
            core.until_subscribed(entity).await?;
        }
        let mut taken = latency::histogram();
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 1..=TOLD {
            ticks.tick().await;
            let begun = clock::nanos();
            let mark = format!("state-{begun}");
            let told = async {
                while !tablet::text(&mut socket).await?.contains(&mark) {}
                Outcome::Ok(clock::nanos())
            };
            let heard_at = match &self.what {
                What::State(entity) => {
                    core.tell(entity, &mark, number);
                    told.await?
                }
                What::Change(area) => {
                    let (path, name) = (format!("/api/areas/{area}"), json!({ "name": mark }));
                    let (heard_at, _) = tokio::try_join!(told, http.put(&path, &name))?;
                    heard_at
                }
            };
            taken.saturating_record(heard_at.saturating_sub(begun));
        }
        Ok(taken)
    }
}
