//! What happened in the house, by its own history, and whom each event concerned.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::ears::{Told, print};
use crate::json::Message;
use crate::support::soon;
use crate::tablet::{Hears, Tablet};
use crate::way::Way;
use crate::writer::Fact;

/// Every event after the beginning of the run, oldest first.
pub struct Truth {
    pub events: Vec<Event>,
}

/// One event of the history.
#[derive(Debug)]
pub struct Event {
    pub id: i64,
    pub kind: String,
    pub area: String,
    pub name: String,
    is_enabled: bool,
    print: u64,
    /// Whom it is addressed to, where that is one client: the events do not say it, the changes do.
    client: Option<String>,
}

impl Truth {
    /// Replays the history to an admin, from `start` as far as the event that gave this name.
    pub async fn read(way: &Way, admin: &str, start: i64, last_name: &str) -> Self {
        let path = format!("/ws?since={start}");
        let mut socket = way.websocket(&path, Some(admin)).await.expect("a socket");
        let mut events = Vec::new();
        loop {
            let text = soon("the history", socket.text()).await.expect("a message");
            let message = Message::read(&text).expect("a message");
            assert_ne!(message.kind, "resync_required", "{text}");
            let Some(id) = message.id else {
                continue;
            };
            let data = message.parsed().expect("JSON");
            let text = |key: &str| data[key].as_str().expect("an event of an area").to_owned();
            events.push(Event {
                id,
                kind: message.kind.to_owned(),
                area: text("areaId"),
                name: text("name"),
                is_enabled: data["isEnabled"].as_bool().expect("a switch"),
                print: print(message.kind, message.data.get()),
                client: None,
            });
            if data["name"] == last_name {
                return Self { events };
            }
        }
    }

    pub fn last(&self) -> i64 {
        self.events.last().map_or(0, |event| event.id)
    }

    /// Holds the history against the changes, and learns from them whom events are addressed to:
    /// the changes that were made and are not in it, and the events that no change made.
    pub fn hold_against(&mut self, facts: &[Fact], marker: &str) -> Vec<String> {
        let mut by_area: HashMap<&str, VecDeque<&Fact>> = HashMap::new();
        for fact in facts {
            by_area.entry(&fact.area).or_default().push_back(fact);
        }
        let mut complaints = Vec::new();
        for event in self.events.iter_mut().filter(|event| event.area != marker) {
            let facts = by_area.entry(&event.area).or_default();
            match facts.pop_front() {
                Some(fact) if fact.is_told_by(event) => event.client = fact.client.clone(),
                other => complaints.push(format!("{event:?} instead of {other:?}")),
            }
        }
        let missing = by_area.values().flatten();
        complaints.extend(missing.map(|fact| format!("not in the history: {fact:?}")));
        complaints
    }

    /// What a tablet must have been told.
    pub fn concerning(&self, tablet: &Tablet) -> Vec<Told> {
        let mut areas: HashSet<&str> = match &tablet.hears {
            Hears::Everything => HashSet::new(),
            Hears::Areas(areas) => areas.iter().map(String::as_str).collect(),
        };
        let mut told = Vec::new();
        for event in &self.events {
            let is_own = event.client.as_deref() == Some(&tablet.id);
            let concerns = match (&tablet.hears, event.kind.as_str()) {
                (Hears::Everything, _) => true,
                (_, "area_added") => is_own && areas.insert(&event.area),
                (_, "area_removed") => is_own && areas.remove(event.area.as_str()),
                _ => areas.contains(event.area.as_str()),
            };
            if concerns {
                let (id, print) = (event.id, event.print);
                told.push(Told { id, print });
            }
        }
        told
    }

    /// An event for a person to read.
    pub fn show(&self, id: i64) -> String {
        match self.events.binary_search_by_key(&id, |event| event.id) {
            Ok(index) => format!("{:?}", self.events[index]),
            Err(_) => format!("{id}, which is not in the history"),
        }
    }
}

impl Fact {
    fn is_told_by(&self, event: &Event) -> bool {
        (self.kind, &self.name, self.is_enabled) == (&*event.kind, &event.name, event.is_enabled)
    }
}
