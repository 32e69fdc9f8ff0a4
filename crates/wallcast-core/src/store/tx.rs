//! A change in progress: features write through it and collect its effects, which are applied after the commit.

use rusqlite::Connection;

use super::effects::{ClientTenancy, Effects, RoomMembership};
use crate::auth::{Principal, Subject};
use crate::clock::Timestamp;
use crate::disconnect::{DisconnectReason, EndSessions, SessionFilter};
use crate::entity_id::EntityId;
use crate::event::{Announcement, Epoch, Event, EventId, NewEvent, Position, Topic};
use crate::history;
use crate::ids::{AreaId, Jti};

/// One change inside the writer's transaction. It is committed or rolled back as a whole.
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

    /// The connection, for the feature's own SQL.
    pub fn connection(&self) -> &'a Connection {
        self.connection
    }

    /// The time of this change. All rows and events of the change have the same time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Appends a durable event. Subscribers of its topics receive it after the commit.
    ///
    /// # Errors
    /// If the database fails.
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

    /// Publishes an event to connected sessions after the commit, without storing it.
    pub fn publish_ephemeral(&mut self, event: NewEvent) {
        self.effects.events.push(Event::ephemeral(event, self.now));
    }

    /// Announces something to automations outside Wallcast after the commit.
    pub fn announce(&mut self, announcement: Announcement) {
        self.effects.announced.push(announcement);
    }

    /// Subscribes `subject` to `topic`, starting with this change's events.
    pub fn join(&mut self, subject: Subject, topic: Topic) {
        self.effects.joined.push((subject, topic));
    }

    /// Ends the subscription of `subject` to `topic` after this change's events.
    pub fn leave(&mut self, subject: Subject, topic: Topic) {
        self.effects.left.push((subject, topic));
    }

    /// Sets the visible entities of an area after the commit; none for a disabled or deleted area.
    pub fn show_area(&mut self, area: AreaId, entities: Vec<EntityId>) {
        self.effects.areas.push((area, entities));
    }

    /// Reports that the set of tablets that may see any entity changed.
    pub fn change_audience(&mut self) {
        self.effects.audience_changed = true;
    }

    /// Adds a session to a room, starting with this change's events.
    pub fn enter_room(&mut self, room: RoomMembership) {
        self.effects.entered.push(room);
    }

    /// Removes a session from a room after this change's events.
    pub fn leave_room(&mut self, room: RoomMembership) {
        self.effects.exited.push(room);
    }

    /// Removes all sessions of `subject` from a room after this change's events, including disconnected sessions.
    pub fn expel(&mut self, subject: Subject, room: Topic) {
        self.effects.expelled.push((subject, room));
    }

    /// The newest event, including those of this change.
    pub fn last_event(&self) -> EventId {
        self.last
    }

    /// Gives the open sessions with the token `old` the refreshed token of `principal`.
    pub fn replace_session_token(&mut self, old: Jti, principal: Principal) {
        self.effects.token_changes.push((old, principal));
    }

    /// Updates the organisation and tenant in a client's open sessions.
    pub fn set_session_tenancy(&mut self, tenancy: ClientTenancy) {
        self.effects.tenancies.push(tenancy);
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

    /// Whether this change ends all sessions of `subject`.
    pub fn ends_sessions_of(&self, subject: &Subject) -> bool {
        let ends = |filter: &SessionFilter| matches!(filter, SessionFilter::Subject(ended) if ended == subject);
        self.effects.ended.iter().any(|order| ends(&order.filter))
    }

    /// Writes the membership intervals, now that the ids of this change's events are known.
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
