//! An admin client that keeps changing its areas. No other client changes them, so the writer can find
//! out whether a change was applied even if its response was lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::connector::{ConnectionError, HttpClient};
use crate::random::Random;
use crate::support::soon;

pub struct Writer {
    pub areas: Vec<Area>,
    /// The clients that areas are assigned to and unassigned from.
    pub clients: Vec<String>,
    pub http: HttpClient,
    pub random: Random,
    pub writes: WriteControl,
    /// The longest pause after a change, in milliseconds.
    pub pause: usize,
    pub results: WriteResults,
}

/// Stops all writers, and counts their answered changes.
#[derive(Clone, Default)]
pub struct WriteControl {
    is_stopped: Arc<AtomicBool>,
    answered: Arc<watch::Sender<usize>>,
}

/// The outcome of a writer's changes.
#[derive(Default)]
pub struct WriteResults {
    /// The events that must have been published, in this order for each area.
    pub expected: Vec<ExpectedEvent>,
    pub answered: usize,
    /// Changes whose response was lost.
    pub lost: usize,
    /// How many of the lost ones were applied.
    pub applied: usize,
}

/// An event that a change must have published.
#[derive(Clone, Debug)]
pub struct ExpectedEvent {
    pub event_type: &'static str,
    pub area: String,
    pub name: String,
    pub is_enabled: bool,
    /// The client it is addressed to, for an assignment.
    pub client: Option<String>,
}

/// An area in the state that its writer knows.
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
    RenameAndToggle(String),
    Assign(String),
    Unassign(String),
}

impl WriteControl {
    /// Makes every writer stop after its current change.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Changes that were answered.
    pub fn answered(&self) -> usize {
        *self.answered.borrow()
    }

    /// Waits until `count` more changes were answered.
    pub async fn wait_for(&self, count: usize) {
        let target = self.answered() + count;
        let mut answered = self.answered.subscribe();
        let wait = answered.wait_for(|answered| *answered >= target);
        let _ = soon("more changes", wait).await.unwrap();
    }
}

impl Writer {
    /// Makes changes until it is stopped.
    pub async fn run(mut self) -> WriteResults {
        let mut number = 0;
        while !self.writes.is_stopped.load(Ordering::Relaxed) {
            number += 1;
            let index = self.random.below(self.areas.len());
            let change = self.random_change(index, number);
            self.apply(index, &change).await;
            if self.pause > 0 {
                let pause = self.random.below(self.pause) as u64;
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
        self.results
    }

    fn random_change(&mut self, index: usize, number: usize) -> Change {
        let area = &self.areas[index];
        // Unique within the run: area id and change number.
        let name = format!("{} {number}", area.id);
        match self.random.below(10) {
            0 => Change::Toggle,
            1 => Change::RenameAndToggle(name),
            2 | 3 if !self.clients.is_empty() => {
                let client = self.random.one_of(&self.clients).clone();
                match area.clients.contains(&client) {
                    true => Change::Unassign(client),
                    false => Change::Assign(client),
                }
            }
            _ => Change::Rename(name),
        }
    }

    async fn apply(&mut self, index: usize, change: &Change) {
        let before = &self.areas[index];
        let (after, expected) = change.outcome(before);
        let (method, path, body) = change.request(before);
        let body = Some(("application/json", body.to_string()));
        let was_applied = match self.http.request(method, &path, body).await {
            Ok((status, text)) => {
                assert!((200..300).contains(&status), "{path}: {status} {text}");
                self.results.answered += 1;
                self.writes.answered.send_modify(|answered| *answered += 1);
                true
            }
            Err(ConnectionError::Fatal(text)) => panic!("{path}: {text}"),
            Err(ConnectionError::Retryable(_)) => {
                let was_applied = self.find_out(index, &after).await;
                self.results.lost += 1;
                self.results.applied += usize::from(was_applied);
                was_applied
            }
        };
        if was_applied {
            self.areas[index] = after;
            self.results.expected.extend(expected);
        }
    }

    /// Reads the area to find out whether a change was applied whose response was lost. Panics if it was
    /// applied in part.
    async fn find_out(&mut self, index: usize, after: &Area) -> bool {
        let before = &self.areas[index];
        let path = format!("/api/areas/{}", before.id);
        let http = &mut self.http;
        let answer = async {
            loop {
                if let Ok(answer) = http.request(Method::GET, &path, None).await {
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
            Self::RenameAndToggle(name) => {
                let body = json!({ "name": name, "isEnabled": !area.is_enabled });
                (Method::PUT, path, body)
            }
            Self::Assign(client) => (Method::POST, of_client(client), json!({})),
            Self::Unassign(client) => (Method::DELETE, of_client(client), json!({})),
        }
    }

    /// The area after the change, and the events that the change publishes.
    fn outcome(&self, before: &Area) -> (Area, Vec<ExpectedEvent>) {
        let mut after = before.clone();
        let mut event_types = Vec::new();
        let mut client = None;
        if let Self::Rename(name) | Self::RenameAndToggle(name) = self {
            after.name = name.clone();
            event_types.push("area_updated");
        }
        if let Self::Toggle | Self::RenameAndToggle(_) = self {
            after.is_enabled = !before.is_enabled;
            event_types.push(match after.is_enabled {
                true => "area_enabled",
                false => "area_disabled",
            });
        }
        if let Self::Assign(to) = self {
            after.clients.insert(to.clone());
            event_types.push("area_added");
            client = Some(to.clone());
        }
        if let Self::Unassign(from) = self {
            after.clients.remove(from);
            event_types.push("area_removed");
            client = Some(from.clone());
        }
        let expected = |event_type| ExpectedEvent {
            event_type,
            area: after.id.clone(),
            name: after.name.clone(),
            is_enabled: after.is_enabled,
            client: client.clone(),
        };
        let events = event_types.into_iter().map(expected).collect();
        (after, events)
    }
}

impl Area {
    /// Parses the response of `GET /api/areas/{id}` to an admin.
    pub fn read(area: &Value) -> Self {
        let text = |key: &str| area[key].as_str().expect("a string").to_owned();
        let clients = area["clientIds"].as_array().expect("clients").iter();
        Self {
            id: text("id"),
            name: text("name"),
            is_enabled: area["isEnabled"].as_bool().expect("a boolean"),
            clients: clients
                .map(|id| id.as_str().expect("an id").to_owned())
                .collect(),
        }
    }
}
