//! The events of a run as the daemon's history has them, and which tablets each event concerns.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::connector::Connector;
use crate::json::Message;
use crate::receiver::{ReceivedEvent, fingerprint};
use crate::support::soon;
use crate::tablet::{Subscription, Tablet};
use crate::writer::ExpectedEvent;

/// Every event since the start of the run, oldest first.
pub struct History {
    pub events: Vec<Event>,
}

#[derive(Debug)]
pub struct Event {
    pub id: i64,
    pub event_type: String,
    pub area: String,
    pub name: String,
    is_enabled: bool,
    fingerprint: u64,
    /// The client that an assignment event is addressed to. Event data does not name it; the writers'
    /// changes do.
    client: Option<String>,
}

impl History {
    /// Replays the history to an admin: the events after `start`, up to the one with the area name
    /// `last_name`.
    pub async fn read(connector: &Connector, admin: &str, start: i64, last_name: &str) -> Self {
        let path = format!("/ws?since={start}");
        let socket = connector.websocket(&path, Some(admin));
        let mut socket = socket.await.expect("a socket");
        let mut events = Vec::new();
        loop {
            let text = soon("the history", socket.text()).await.expect("a message");
            let message = Message::read(&text).expect("a message");
            assert_ne!(message.event_type, "resync_required", "{text}");
            let Some(id) = message.id else {
                continue;
            };
            let data = message.parsed().expect("JSON");
            let text = |key: &str| data[key].as_str().expect("an area's event").to_owned();
            events.push(Event {
                id,
                event_type: message.event_type.to_owned(),
                area: text("areaId"),
                name: text("name"),
                is_enabled: data["isEnabled"].as_bool().expect("a boolean"),
                fingerprint: fingerprint(message.event_type, message.data.get()),
                client: None,
            });
            if data["name"] == last_name {
                return Self { events };
            }
        }
    }

    pub fn last_id(&self) -> i64 {
        self.events.last().map_or(0, |event| event.id)
    }

    /// Matches the history with the writers' changes, in order for each area, and copies the addressed
    /// client from the change to the event. Returns the changes without an event and the events without a
    /// change. Skips the `marker` area, which no writer changes.
    pub fn compare_with_writes(&mut self, expected: &[ExpectedEvent], marker: &str) -> Vec<String> {
        let mut by_area: HashMap<&str, VecDeque<&ExpectedEvent>> = HashMap::new();
        for event in expected {
            by_area.entry(&event.area).or_default().push_back(event);
        }
        let mut faults = Vec::new();
        for event in self.events.iter_mut().filter(|event| event.area != marker) {
            let expected = by_area.entry(&event.area).or_default();
            match expected.pop_front() {
                Some(expected) if expected.matches(event) => {
                    event.client = expected.client.clone();
                }
                other => faults.push(format!("{event:?} instead of {other:?}")),
            }
        }
        let missing = by_area.values().flatten();
        faults.extend(missing.map(|event| format!("not in the history: {event:?}")));
        faults
    }

    /// The events that a tablet must have received.
    pub fn expected_for(&self, tablet: &Tablet) -> Vec<ReceivedEvent> {
        let mut areas: HashSet<&str> = match &tablet.subscription {
            Subscription::AllEvents => HashSet::new(),
            Subscription::Areas(areas) => areas.iter().map(String::as_str).collect(),
        };
        let mut events = Vec::new();
        for event in &self.events {
            let is_own = event.client.as_deref() == Some(&tablet.id);
            let concerns = match (&tablet.subscription, event.event_type.as_str()) {
                (Subscription::AllEvents, _) => true,
                (_, "area_added") => is_own && areas.insert(&event.area),
                (_, "area_removed") => is_own && areas.remove(event.area.as_str()),
                _ => areas.contains(event.area.as_str()),
            };
            if concerns {
                let (id, fingerprint) = (event.id, event.fingerprint);
                events.push(ReceivedEvent { id, fingerprint });
            }
        }
        events
    }

    /// The event as text for a fault message.
    pub fn show(&self, id: i64) -> String {
        match self.events.binary_search_by_key(&id, |event| event.id) {
            Ok(index) => format!("{:?}", self.events[index]),
            Err(_) => format!("{id}, which is not in the history"),
        }
    }
}

impl ExpectedEvent {
    fn matches(&self, event: &Event) -> bool {
        (self.event_type, &self.name, self.is_enabled)
            == (&*event.event_type, &event.name, event.is_enabled)
    }
}
