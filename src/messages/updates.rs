//! Publishes unread counts and conversations to the participants whose view of them changed.

use std::sync::Arc;

use rusqlite::Connection;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::Event;
use wallcast_core::hub::Hub;
use wallcast_core::store::{Store, StoreError, WriteTx};

use super::conversation::{Conversation, UnreadCounts};
use super::participant::Participant;
use super::text::Label;
use super::{events, rows};

/// Participants served by one job of the writer thread. Bounds how long other writes wait.
const BATCH_SIZE: usize = 16;

pub(crate) fn unread_counts(
    db: &Connection,
    participant: &Participant,
    now: Timestamp,
) -> rusqlite::Result<UnreadCounts> {
    let mut counts = rows::unread(db, participant, now)?;
    counts.0.entry("wallcast".to_owned()).or_default();
    Ok(counts)
}

/// Publishes `conversation_update` to one participant.
pub(super) fn publish_conversation_update(
    tx: &mut WriteTx<'_>,
    conversation: &Conversation,
    participant: &Participant,
) -> rusqlite::Result<()> {
    let view = rows::view_of(tx.connection(), participant, conversation.clone(), tx.now())?;
    tx.publish(events::conversation_update(participant, &view, tx.now()))?;
    Ok(())
}

/// Publishes `unread_count_update` to one participant. It always contains `platform`, on which the
/// count changed, even at zero.
pub(super) fn publish_unread_counts(
    tx: &mut WriteTx<'_>,
    participant: &Participant,
    platform: &Label,
) -> rusqlite::Result<()> {
    let mut counts = unread_counts(tx.connection(), participant, tx.now())?;
    counts.0.entry(platform.0.clone()).or_default();
    tx.publish(events::unread_count_update(participant, &counts, tx.now()))?;
    Ok(())
}

/// Publishes `unread_count_update` to every connected tablet and person, after a message to all was
/// sent or expired.
///
/// These events are ephemeral: stored, they would add a row to the history for every tablet. Clients
/// that reconnect receive the message itself.
///
/// # Errors
/// The store's.
pub async fn publish_unread_counts_to_connected(
    store: &Store,
    hub: &Arc<Hub>,
) -> Result<(), StoreError> {
    let principals = hub.principals();
    let participants: Vec<_> = principals.iter().filter_map(Participant::of).collect();
    for batch in participants.chunks(BATCH_SIZE) {
        let (batch, hub) = (batch.to_vec(), hub.clone());
        // Between two commits, so that counts are published in the order of the commits.
        let publish = store.read_at_commit(move |db, _| {
            let now = Timestamp::now();
            for participant in batch.iter().filter(|one| **one != Participant::Admin) {
                let counts = unread_counts(db, participant, now)?;
                let event = events::unread_count_update(participant, &counts, now);
                hub.publish(Event::ephemeral(event, now));
            }
            Ok::<_, StoreError>(())
        });
        publish.await?;
    }
    Ok(())
}
