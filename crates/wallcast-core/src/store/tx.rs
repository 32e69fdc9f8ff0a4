//! A change in the making: what slices write through, and what the hub is told once it is committed.

use rusqlite::Connection;

use super::effects::{ClientTenancy, Effects, RoomMembership};

use crate::auth::{Principal, Subject};
use crate::clock::Timestamp;
use crate::disconnect::{DisconnectReason, EndSessions, SessionFilter};
use crate::entity_id::EntityId;
use crate::event::{Announcement, Epoch, Event, EventId, NewEvent, Position, Topic};
use crate::history;
use crate::ids::{AreaId, Jti};

/// One change inside the writer's transaction. Everything done through it is kept or dropped whole.
#[derive(Debug)]
pub struct WriteTx<'a> {
    connection: &'a Connection,
    epoch: Epoch,
    /// The newest event before this change.
    before: EventId,
    last: EventId,
    now: Timestamp,
    effects: Effects,
}

impl<'a> WriteTx<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        epoch: Epoch,
        before: EventId,
        now: Timestamp,
    ) -> Self {
        Self {
            connection,
            epoch,
            before,
            last: before,
            now,
            effects: Effects::default(),
        }
    }

    /// The connection, for a slice's own rows.
    pub fn connection(&self) -> &'a Connection {
        self.connection
    }

    /// The moment of this change: one for all that it writes and tells.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Appends a durable event; it is told to its topics after the commit.
    ///
    /// # Errors
    /// SQLite's.
    pub fn publish(&mut self, event: NewEvent) -> rusqlite::Result<EventId> {
        let id = history::append(self.connection, &event, self.now)?;
        self.last = id;
        let position = Position {
            epoch: self.epoch.clone(),
            id,
        };
        self.effects
            .events
            .push(Event::durable(event, position, self.now));
        Ok(id)
    }

    /// Tells an event after the commit to who is there, and keeps it nowhere.
    pub fn publish_ephemeral(&mut self, event: NewEvent) {
        self.effects.events.push(Event::ephemeral(event, self.now));
    }

    /// Lets whoever is outside know after the commit: Home Assistant's automations.
    pub fn announce(&mut self, announcement: Announcement) {
        self.effects.announced.push(announcement);
    }

    /// `subject` listens on `topic` from this change's events on.
    pub fn join(&mut self, subject: Subject, topic: Topic) {
        self.effects.joined.push((subject, topic));
    }

    /// `subject` no longer listens on `topic` after this change's events.
    pub fn leave(&mut self, subject: Subject, topic: Topic) {
        self.effects.left.push((subject, topic));
    }

    /// An area may be seen with these entities from this change on; with none while it is disabled
    /// or once it is gone.
    pub fn show_area(&mut self, area: AreaId, entities: Vec<EntityId>) {
        self.effects.areas.push((area, entities));
    }

    /// Which tablets may see anything at all has changed.
    pub fn change_audience(&mut self) {
        self.effects.audience_changed = true;
    }

    /// A session is in a room from this change's events on.
    pub fn enter_room(&mut self, room: RoomMembership) {
        self.effects.entered.push(room);
    }

    /// A session is no longer in a room after this change's events.
    pub fn leave_room(&mut self, room: RoomMembership) {
        self.effects.exited.push(room);
    }

    /// No session of `subject` is in this room after this change's events, those that are away too.
    pub fn expel(&mut self, subject: Subject, room: Topic) {
        self.effects.expelled.push((subject, room));
    }

    /// The newest event, this change's included.
    pub fn last_event(&self) -> EventId {
        self.last
    }

    /// Open sessions of `old` go on with the token of `principal`.
    pub fn replace_session_token(&mut self, old: Jti, principal: Principal) {
        self.effects.token_changes.push((old, principal));
    }

    /// Open sessions of a client say where it belongs from now on.
    pub fn set_session_tenancy(&mut self, moved: ClientTenancy) {
        self.effects.tenancies.push(moved);
    }

    /// Ends sessions after the commit and after this change's events.
    pub fn end_sessions(
        &mut self,
        filter: SessionFilter,
        reason: DisconnectReason,
        final_event: Option<NewEvent>,
    ) {
        let final_event = final_event.map(|event| Event::ephemeral(event, self.now));
        self.effects.ended.push(EndSessions {
            filter,
            reason,
            final_event,
        });
    }

    /// Whether this change ends every session of `subject`.
    pub fn ends_sessions_of(&self, subject: &Subject) -> bool {
        let ends = |filter: &SessionFilter| matches!(filter, SessionFilter::Subject(ended) if ended == subject);
        self.effects.ended.iter().any(|order| ends(&order.filter))
    }

    /// Writes the memberships' intervals, now that this change's events are known.
    pub(super) fn finish(self) -> rusqlite::Result<(Effects, EventId)> {
        for (subject, topic) in &self.effects.joined {
            history::open_membership(self.connection, subject, topic, self.before.next())?;
        }
        let effects = &self.effects;
        for RoomMembership {
            subject,
            session,
            room,
        } in &effects.entered
        {
            history::open_room(self.connection, session, subject, room, self.before.next())?;
        }
        for RoomMembership { session, room, .. } in &effects.exited {
            history::close_room(self.connection, session, room, self.last)?;
        }
        for (subject, room) in &effects.expelled {
            history::close_room_of_all(self.connection, subject, room, self.last)?;
        }
        for (subject, topic) in &self.effects.left {
            history::close_membership(self.connection, subject, topic, self.last)?;
        }
        Ok((self.effects, self.last))
    }
}
