//! An admin's program that changes areas of its own without a pause. It alone changes them, so
//! that whatever happened to them can be told for certain, also where an answer was lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::chance::Chance;
use crate::support::soon;
use crate::way::{Line, Lost};

/// A writer at work.
pub struct Writer {
    pub areas: Vec<Area>,
    /// Whom areas are given to and taken from.
    pub clients: Vec<String>,
    pub line: Line,
    pub chance: Chance,
    pub orders: Orders,
    /// A pause of at most so many milliseconds after each change.
    pub pause: usize,
    pub work: Work,
}

/// What all writers are told, and what they tell.
#[derive(Clone, Default)]
pub struct Orders {
    is_over: Arc<AtomicBool>,
    answered: Arc<watch::Sender<usize>>,
}

/// What became of a writer's changes.
#[derive(Default)]
pub struct Work {
    /// What must have been told, in this order for each area.
    pub facts: Vec<Fact>,
    pub answered: usize,
    /// Whose answer was lost.
    pub lost: usize,
    /// Of those: found to have happened.
    pub happened: usize,
}

/// An event that a change must have made.
#[derive(Clone, Debug)]
pub struct Fact {
    pub kind: &'static str,
    pub area: String,
    pub name: String,
    pub is_enabled: bool,
    /// Whom it is addressed to, where that is one client.
    pub client: Option<String>,
}

/// An area as its one writer knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    pub id: String,
    pub name: String,
    pub is_enabled: bool,
    pub clients: BTreeSet<String>,
}

enum Change {
    Rename(String),
    Toggle,
    Both(String),
    Assign(String),
    Unassign(String),
}

impl Orders {
    /// Has every writer stop after the change that it is at.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Changes that were answered.
    pub fn answered(&self) -> usize {
        *self.answered.borrow()
    }

    /// Waits until so many more changes were answered.
    pub async fn more(&self, count: usize) {
        let target = self.answered() + count;
        let mut answered = self.answered.subscribe();
        let wait = answered.wait_for(|answered| *answered >= target);
        let _ = soon("more changes", wait).await.unwrap();
    }
}

impl Writer {
    /// Works until the orders end.
    pub async fn run(mut self) -> Work {
        let mut number = 0;
        while !self.orders.is_over.load(Ordering::Relaxed) {
            number += 1;
            let index = self.chance.below(self.areas.len());
            let change = self.invent(index, number);
            self.make(index, &change).await;
            if self.pause > 0 {
                let pause = self.chance.below(self.pause) as u64;
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
        self.work
    }

    fn invent(&mut self, index: usize, number: usize) -> Change {
        let area = &self.areas[index];
        // A name that no other change of this house gives: the id is the area's own.
        let name = format!("{} {number}", area.id);
        match self.chance.below(10) {
            0 => Change::Toggle,
            1 => Change::Both(name),
            2 | 3 if !self.clients.is_empty() => {
                let client = self.chance.one_of(&self.clients).clone();
                match area.clients.contains(&client) {
                    true => Change::Unassign(client),
                    false => Change::Assign(client),
                }
            }
            _ => Change::Rename(name),
        }
    }

    async fn make(&mut self, index: usize, change: &Change) {
        let before = &self.areas[index];
        let (after, facts) = change.outcome(before);
        let (method, path, body) = change.request(before);
        let body = Some(("application/json", body.to_string()));
        let has_happened = match self.line.ask(method, &path, body).await {
            Ok((status, text)) => {
                assert!((200..300).contains(&status), "{path}: {status} {text}");
                self.work.answered += 1;
                self.orders.answered.send_modify(|answered| *answered += 1);
                true
            }
            Err(Lost::Final(text)) => panic!("{path}: {text}"),
            Err(Lost::Broken(_)) => {
                let has_happened = self.settle(index, &after).await;
                self.work.lost += 1;
                self.work.happened += usize::from(has_happened);
                has_happened
            }
        };
        if has_happened {
            self.areas[index] = after;
            self.work.facts.extend(facts);
        }
    }

    /// Asks what became of a change whose answer was lost; it happened whole or not at all.
    async fn settle(&mut self, index: usize, after: &Area) -> bool {
        let before = &self.areas[index];
        let path = format!("/api/areas/{}", before.id);
        let line = &mut self.line;
        let answer = async {
            loop {
                if let Ok(answer) = line.ask(Method::GET, &path, None).await {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let (status, text) = soon("the daemon to answer again", answer).await;
        assert_eq!(status, 200, "{path}: {text}");
        let now = Area::read(&serde_json::from_str(&text).expect("JSON"));
        assert!(
            now == *before || now == *after,
            "neither {before:?} nor {after:?} but {now:?}"
        );
        now == *after
    }
}

impl Change {
    fn request(&self, area: &Area) -> (Method, String, Value) {
        let path = format!("/api/areas/{}", area.id);
        let of_client = |client: &str| format!("/api/clients/{client}/areas/{}", area.id);
        match self {
            Self::Rename(name) => (Method::PATCH, path, json!({ "name": name })),
            Self::Toggle => (Method::PATCH, format!("{path}/toggle"), json!({})),
            Self::Both(name) => {
                let body = json!({ "name": name, "isEnabled": !area.is_enabled });
                (Method::PUT, path, body)
            }
            Self::Assign(client) => (Method::POST, of_client(client), json!({})),
            Self::Unassign(client) => (Method::DELETE, of_client(client), json!({})),
        }
    }

    /// The area afterwards, and the events that tell of the change.
    fn outcome(&self, before: &Area) -> (Area, Vec<Fact>) {
        let mut after = before.clone();
        let mut kinds = Vec::new();
        let mut client = None;
        if let Self::Rename(name) | Self::Both(name) = self {
            after.name = name.clone();
            kinds.push("area_updated");
        }
        if let Self::Toggle | Self::Both(_) = self {
            after.is_enabled = !before.is_enabled;
            kinds.push(match after.is_enabled {
                true => "area_enabled",
                false => "area_disabled",
            });
        }
        if let Self::Assign(to) = self {
            after.clients.insert(to.clone());
            kinds.push("area_added");
            client = Some(to.clone());
        }
        if let Self::Unassign(from) = self {
            after.clients.remove(from);
            kinds.push("area_removed");
            client = Some(from.clone());
        }
        let fact = |kind| Fact {
            kind,
            area: after.id.clone(),
            name: after.name.clone(),
            is_enabled: after.is_enabled,
            client: client.clone(),
        };
        let facts = kinds.into_iter().map(fact).collect();
        (after, facts)
    }
}

impl Area {
    /// An area of `GET /api/areas/{id}`, as an admin sees it.
    pub fn read(area: &Value) -> Self {
        let text = |key: &str| area[key].as_str().expect("a text").to_owned();
        let clients = area["clientIds"].as_array().expect("clients").iter();
        Self {
            id: text("id"),
            name: text("name"),
            is_enabled: area["isEnabled"].as_bool().expect("a switch"),
            clients: clients
                .map(|id| id.as_str().expect("an id").to_owned())
                .collect(),
        }
    }
}
