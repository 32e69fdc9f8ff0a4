//! Fixtures of the micro-benchmarks: a hub with sessions, events, frames.

use std::sync::Arc;

use realtime_protocol::Frame;
use realtime_protocol::socketio::{AttachmentLimits, Decoder};
use serde_json::json;
use wallcast_core::auth::{Principal, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{
    Epoch, Event, EventId, EventType, Namespace, NewEvent, Position, Topic,
};
use wallcast_core::history::Span;
use wallcast_core::hub::{ConnectionWriter, Dialect, EventWriter, Hub, Session};
use wallcast_core::ids::{ConnectionId, UserId};

/// A hub and its registered sessions.
pub struct HubFixture {
    pub hub: Arc<Hub>,
    pub sessions: Vec<Arc<Session>>,
}

/// A connection that writes nothing.
struct NullWriter;

impl EventWriter for NullWriter {
    fn write_events(&mut self, _: &Session) -> bool {
        false
    }

    fn discard_pending(&mut self) {}
}

/// A hub with `sessions` sessions, of which the first `subscribers` are subscribed to the area of [`event`].
pub fn hub_with_sessions(sessions: usize, subscribers: usize) -> HubFixture {
    let hub = Arc::new(Hub::new());
    let sessions = (0..sessions)
        .map(|number| {
            let subject = Subject::User(id(&format!("tablet-{number}")));
            let session = Arc::new(Session::new(
                ConnectionId::random(),
                Principal {
                    subject,
                    ..Principal::local_admin(UserId::random())
                },
                Namespace::Main,
                Dialect::Json,
                None,
                Arc::new(ConnectionWriter::new(NullWriter)),
            ));
            let area = if number < subscribers {
                "kitchen"
            } else {
                "cellar"
            };
            let spans = [Span::always(Topic::Area(id(area)))];
            hub.register(session.clone(), &spans, &[], usize::MAX);
            session
        })
        .collect();
    HubFixture { hub, sessions }
}

/// A change of an area, with about 200 bytes of data.
pub fn change() -> NewEvent {
    let data = json!({
        "areaId": "kitchen",
        "name": "Kitchen",
        "entityIds": ["light.kitchen", "switch.kettle", "sensor.kitchen_temperature"],
        "isEnabled": true,
        "message": "Area has been updated",
        "timestamp": "2026-01-01T00:00:00.000Z",
    });
    let topics = vec![Topic::Area(id("kitchen")), Topic::Admins];
    NewEvent::new(EventType::AREA_UPDATED, &data, topics)
}

/// The event of [`change`] after its commit, not encoded yet.
pub fn event() -> Event {
    let position = Position {
        epoch: Epoch::from_stored("epoch"),
        id: EventId::new(12_345),
    };
    Event::durable(change(), position, Timestamp::from_unix_ms(0))
}

/// A decoder of Socket.IO frames.
pub fn decoder() -> Decoder {
    Decoder::new(AttachmentLimits { count: 0, bytes: 0 })
}

/// A Socket.IO event with an ack, as a tablet sends it.
pub fn frame() -> Frame {
    Frame::text(r#"421["subscribe_room",{"room_id":12}]"#)
}

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a valid id")
}
