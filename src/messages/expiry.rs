//! Messages that nobody read in time: what is unread changes by itself then, and is told.

use std::collections::BTreeSet;

use super::send::{tell_unread, tell_update};
use super::{Message, Party, rows};
use wallcast_core::store::WriteTx;

/// Tells of at most `at_most` unread messages that are past their expiry by now. True if any was to
/// all, whose counts [`super::tell_everyone`] tells.
///
/// # Errors
/// SQLite's.
pub fn lapse(tx: &mut WriteTx<'_>, at_most: usize) -> rusqlite::Result<bool> {
    let lapsed = rows::lapsed(tx.connection(), tx.now(), at_most)?;
    let mut told = BTreeSet::new();
    for message in lapsed.iter().filter(|message| !message.is_to_all()) {
        let side: &Party = &message.recipient;
        if told.insert((message.conversation, side)) {
            tell_unread(tx, side, &message.platform)?;
            let conversation = rows::conversation_at(tx.connection(), message.conversation)?;
            tell_update(tx, &conversation, side)?;
        }
    }
    Ok(lapsed.iter().any(Message::is_to_all))
}
