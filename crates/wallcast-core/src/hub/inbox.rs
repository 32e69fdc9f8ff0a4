//! The bounded queue of messages that were posted to a session over HTTP and wait for its connection's task. It closes
//! with the session, so that no caller waits for a reply that cannot come.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};
use tokio::sync::oneshot;

/// Most queued messages per session.
const MAX_POSTS: usize = 32;
/// Most bytes of queued messages; one message of any size always fits.
const MAX_BYTES: usize = 64 * 1024;

/// A message for a session, posted over HTTP.
pub struct PostedMessage {
    /// The message type.
    pub message_type: String,
    /// The fields of its data.
    pub data: Map<String, Value>,
    /// The length of the request body in bytes.
    pub bytes: usize,
    /// Receives the reply. Dropped without one if the session ends first.
    pub reply_sender: oneshot::Sender<Value>,
}

/// Why a message could not be posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// The queue is full.
    #[error("too many messages are queued for this session; send fewer at once")]
    Full,
    /// The session has ended.
    #[error("this session has ended; open another")]
    Ended,
}

/// The messages queued for one session.
#[derive(Default)]
pub(super) struct Inbox(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    posts: VecDeque<PostedMessage>,
    is_closed: bool,
}

/// Hides the messages, which may contain a token.
impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inbox")
    }
}

impl Inbox {
    pub(super) fn push(&self, post: PostedMessage) -> Result<(), PostError> {
        let mut queue = self.queue();
        if queue.is_closed {
            return Err(PostError::Ended);
        }
        queue.posts.retain(|post| !post.reply_sender.is_closed());
        let bytes: usize = queue.posts.iter().map(|post| post.bytes).sum();
        let is_full = queue.posts.len() >= MAX_POSTS || bytes + post.bytes > MAX_BYTES;
        if is_full && !queue.posts.is_empty() {
            return Err(PostError::Full);
        }
        queue.posts.push_back(post);
        Ok(())
    }

    /// The next message whose caller is still waiting for the reply.
    pub(super) fn take(&self) -> Option<PostedMessage> {
        let mut queue = self.queue();
        while let Some(post) = queue.posts.pop_front() {
            if !post.reply_sender.is_closed() {
                return Some(post);
            }
        }
        // An idle session keeps no buffer.
        queue.posts = VecDeque::new();
        None
    }

    pub(super) fn close(&self) {
        let mut queue = self.queue();
        queue.is_closed = true;
        queue.posts = VecDeque::new();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(message_type: &str) -> (PostedMessage, oneshot::Receiver<Value>) {
        let (reply_sender, reply) = oneshot::channel();
        let post = PostedMessage {
            message_type: message_type.to_owned(),
            data: Map::new(),
            bytes: 1,
            reply_sender,
        };
        (post, reply)
    }

    #[test]
    fn take_skips_messages_without_waiting_caller() {
        let inbox = Inbox::default();
        let (first, _waits) = post("first");
        let (given_up, gone) = post("given up");
        let (last, _waits_too) = post("last");
        drop(gone);
        for post in [first, given_up, last] {
            inbox.push(post).unwrap();
        }
        let mut types = std::iter::from_fn(|| inbox.take()).map(|post| post.message_type);
        assert_eq!(
            (types.next(), types.next()),
            (Some("first".into()), Some("last".into()))
        );
        assert_eq!(types.next(), None);
    }

    #[test]
    fn push_beyond_bounds_fails() {
        let inbox = Inbox::default();
        let mut waiting = Vec::new();
        for _ in 0..MAX_POSTS {
            let (post, waits) = post("x");
            inbox.push(post).unwrap();
            waiting.push(waits);
        }
        let (one_more, _waits) = post("x");
        assert_eq!(inbox.push(one_more), Err(PostError::Full));
        waiting.clear();
        for (bytes, expected) in [(2 * MAX_BYTES, Ok(())), (1, Err(PostError::Full))] {
            let (mut post, waits) = post("x");
            post.bytes = bytes;
            assert_eq!(
                inbox.push(post),
                expected,
                "messages without a waiting caller do not count"
            );
            waiting.push(waits);
        }
    }

    #[test]
    fn close_releases_callers_and_refuses_messages() {
        let inbox = Inbox::default();
        let (first, mut waits) = post("first");
        inbox.push(first).unwrap();
        inbox.close();
        assert_eq!(waits.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert_eq!(inbox.push(post("late").0), Err(PostError::Ended));
    }
}
