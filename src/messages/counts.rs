//! Tells tablets and people how much they have not read when a message to all came or went, which each
//! counts for itself.
//!
//! Only who is here is told, and nothing of it is stored: the history would hold a row for every
//! tablet there is. Whoever comes back is told the message itself.

use std::sync::Arc;

use super::{Party, events, receipts};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::Event;
use wallcast_core::hub::Hub;
use wallcast_core::store::{Store, StoreError};

/// Sides that are told between two commits: other writes wait for no more.
const AT_ONCE: usize = 16;

/// Tells each that is here what it has not read.
///
/// # Errors
/// The store's.
pub async fn tell_everyone(store: &Store, hub: &Arc<Hub>) -> Result<(), StoreError> {
    let sides = hub.principals();
    let sides: Vec<_> = sides.iter().filter_map(Party::of).collect();
    for some in sides.chunks(AT_ONCE) {
        let (some, hub) = (some.to_vec(), hub.clone());
        // Between two commits, so that no older count comes after a newer one.
        let tell = store.read_at_commit(move |db, _| {
            let now = Timestamp::now();
            for side in some.iter().filter(|side| **side != Party::Admin) {
                let unread = receipts::unread(db, side, now)?;
                let event = events::unread_count_update(side, &unread, now);
                hub.publish(Event::ephemeral(event, now));
            }
            Ok::<_, StoreError>(())
        });
        tell.await?;
    }
    Ok(())
}
