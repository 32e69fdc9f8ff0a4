//! Keeps Home Assistant's subscriptions at what is wanted: begun anew on each connection, grown and
//! shrunk as areas and assignments change, many changes at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep, timeout_at};

use super::plan::{self, Number};
use super::state::Told;
use super::view::View;
use super::{Entities, Stage, rows};
use crate::app::App;
use crate::home::{HomeError, Link, Subscription};
use wallcast_core::clock::Timestamp;
use wallcast_core::entity_id::EntityId;
use wallcast_core::event::Topic;
use wallcast_core::ids::AreaId;
use wallcast_core::store::StoreError;

/// How long changes are gathered before Home Assistant is asked again.
const GATHER: Duration = Duration::from_millis(50);
/// How long the first states of a subscription may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// After so long what Home Assistant refused is asked again.
const TRY_AGAIN: Duration = Duration::from_secs(30);

type Subscriptions = BTreeMap<Number, Subscription>;

/// What is to be begun and what to be given up after.
struct Step {
    begin: Vec<(Number, BTreeSet<EntityId>)>,
    end: Vec<Number>,
}

/// Serves until the daemon stops.
pub async fn run(app: Arc<App>) {
    tokio::select! {
        () = serve_links(&app) => {}
        () = app.entities.locks.pass_on(&app) => {}
        () = app.shutdown.begun() => {}
    }
}

async fn serve_links(app: &Arc<App>) {
    let mut links = app.home.links();
    while let Some(link) = links.next().await {
        app.entities.begin();
        tokio::select! {
            () = serve(app, &link) => {}
            () = link.closed() => {}
        }
        app.entities.end();
    }
}

async fn serve(app: &Arc<App>, link: &Link) {
    let mut held = Subscriptions::new();
    loop {
        let entities = app.entities.clone();
        // Between two commits, so that no area is shown as it was before one.
        let step = app.store.read_at_commit(move |db, _| {
            let wanted = rows::wanted(db)?;
            let areas = rows::holding(db, &wanted)?;
            Ok::<_, StoreError>(entities.follow(wanted, areas))
        });
        let is_complete = match step.await {
            Ok(step) => follow(&app.entities, link, &mut held, step).await,
            Err(error) => {
                tracing::warn!(%error, "it could not be read which entities are wanted");
                false
            }
        };
        if is_complete {
            app.entities.wants.notified().await;
        } else {
            tokio::select! {
                () = app.entities.wants.notified() => {}
                () = sleep(TRY_AGAIN) => {}
            }
        }
        sleep(GATHER).await;
    }
}

/// Begins, waits for the first states, and then ends. False where something was refused.
async fn follow(
    entities: &Arc<Entities>,
    link: &Link,
    held: &mut Subscriptions,
    step: Step,
) -> bool {
    let mut is_complete = true;
    let numbers: Vec<_> = step.begin.iter().map(|(number, _)| *number).collect();
    for (number, ids) in step.begin {
        match subscribe(entities, link, number, &ids).await {
            Ok(subscription) => {
                held.insert(number, subscription);
            }
            Err(error) => {
                tracing::warn!(%error, "Home Assistant does not tell the states of some entities");
                entities.give_up(number);
                is_complete = false;
            }
        }
    }
    let deadline = Instant::now() + ANSWER_WITHIN;
    while entities.awaits_any(&numbers) {
        if timeout_at(deadline, entities.answered.notified())
            .await
            .is_err()
        {
            tracing::warn!("Home Assistant did not tell the states of some entities in time");
            for number in entities.awaited(&numbers) {
                entities.give_up(number);
                held.remove(&number);
            }
            is_complete = false;
        }
    }
    entities.be_current();
    // What nothing has taken the place of tells on, until it is asked again.
    if is_complete {
        for number in step.end {
            entities.release(number);
            held.remove(&number);
        }
    }
    is_complete
}

async fn subscribe(
    entities: &Arc<Entities>,
    link: &Link,
    number: Number,
    ids: &BTreeSet<EntityId>,
) -> Result<Subscription, HomeError> {
    let command = json!({ "type": "subscribe_entities", "entity_ids": ids });
    let ears = entities.clone();
    link.subscribe(command, move |event| ears.hear(number, event))
        .await
}

impl Entities {
    /// A connection stands, on which nothing is subscribed yet.
    fn begin(&self) {
        let mut inner = self.inner();
        inner.stage = Stage::Beginning;
        inner.held.clear();
        inner.unanswered.clear();
    }

    /// The connection is gone. What was told last is told on.
    fn end(&self) {
        let mut inner = self.inner();
        inner.stage = Stage::Away;
        inner.held.clear();
        inner.unanswered.clear();
        // Whoever waited for the first states gets what there is.
        self.hub.retry_snapshots();
    }

    /// These entities are wanted now, and the enabled areas hold them like this: lets go of all
    /// others, and says what is to be asked.
    fn follow(&self, wanted: BTreeSet<EntityId>, areas: Vec<(AreaId, Vec<EntityId>)>) -> Step {
        let mut guard = self.inner();
        let inner = &mut *guard;
        inner.known.retain(|id, _| wanted.contains(id));
        inner.view = View::default();
        for (area, entities) in areas {
            inner.view.show(&area, entities);
        }
        inner.is_outdated = false;
        let (askable, others): (BTreeSet<_>, BTreeSet<_>) =
            wanted.iter().cloned().partition(plan::is_askable);
        let plan = plan::plan(&inner.held, &askable);
        inner.wanted = wanted;
        let mut begin = Vec::new();
        for ids in plan.begin {
            inner.last_number += 1;
            inner.held.insert(inner.last_number, ids.clone());
            inner.unanswered.insert(inner.last_number);
            begin.push((inner.last_number, ids));
        }
        let mut news = BTreeSet::new();
        for id in others {
            if !inner.known.contains_key(&id) {
                inner.known.insert(id.clone(), None);
                news.insert(id);
            }
        }
        self.tell_anew(inner, &news);
        self.hub.retry_snapshots();
        // A locker may have been made after its lock was heard.
        for (id, state) in &inner.known {
            if let Some(state) = state {
                self.locks.note(id, state);
            }
        }
        Step {
            begin,
            end: plan.end,
        }
    }

    /// Home Assistant does not tell the states of a subscription: as if it had none.
    fn give_up(&self, number: Number) {
        let mut inner = self.inner();
        inner.unanswered.remove(&number);
        let mut news = BTreeSet::new();
        for id in inner.held.remove(&number).unwrap_or_default() {
            // What was known before may still be so.
            if !inner.known.contains_key(&id) {
                self.learn(&mut inner, &id, &Told::Gone, Timestamp::now());
                news.insert(id);
            }
        }
        self.tell_anew(&inner, &news);
    }

    /// Another subscription has taken its place.
    fn release(&self, number: Number) {
        self.inner().held.remove(&number);
    }

    fn awaited(&self, numbers: &[Number]) -> Vec<Number> {
        let inner = self.inner();
        let is_awaited = |number: &&Number| inner.unanswered.contains(*number);
        numbers.iter().filter(is_awaited).copied().collect()
    }

    fn awaits_any(&self, numbers: &[Number]) -> bool {
        !self.awaited(numbers).is_empty()
    }

    /// All that was wanted at first is known: from here on changes are told, and first of all every
    /// session what it has missed.
    fn be_current(&self) {
        let mut inner = self.inner();
        if inner.stage == Stage::Beginning {
            inner.stage = Stage::Current;
            self.hub.request_snapshot(&[Topic::All]);
        }
    }
}
