//! Messages and conversations: who may write to whom, the status of each message, and unread
//! counts (docs/protocol.md#messages).
//!
//! A conversation has two participants and one platform. Its events go to the participants' own
//! topics, so sessions do not join or leave conversations.

mod conversation;
mod events;
mod expiry;
mod message;
mod participant;
pub mod presence;
mod receipts;
mod requester;
pub(crate) mod rows;
mod send;
mod text;
mod updates;
pub(crate) mod wire;

pub use conversation::{Conversation, ConversationView, UnreadCounts};
pub use expiry::expire;
pub(crate) use message::TTL;
pub use message::{Message, MessageStatus};
pub use participant::Participant;
pub use receipts::{acknowledge, set_status, undelivered};
pub use requester::{MessageError, Requester};
pub use rows::{delete_old, next_expiry};
pub use send::{NewMessage, send, typing};
pub use updates::publish_unread_counts_to_connected;
pub(crate) use updates::unread_counts;
