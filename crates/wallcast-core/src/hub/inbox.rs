//! What is posted to a session from outside of its connection, and waits for the connection's task:
//! bounded, and closed with the session, so that nobody waits for an answer that cannot come.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};
use tokio::sync::oneshot;

/// Messages that may wait for one session.
const MAX_POSTS: usize = 32;
/// Their bytes in all, as they came; one may always wait.
const MAX_BYTES: usize = 64 * 1024;

/// One message for a session.
pub struct PostedMessage {
    /// Its type.
    pub message_type: String,
    /// Its data.
    pub data: Map<String, Value>,
    /// Its length in bytes, as it came.
    pub bytes: usize,
    /// Where its answer goes; dropped if the session ends before.
    pub answer: oneshot::Sender<Value>,
}

/// Why a message could not be posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// The session has not yet taken those before.
    #[error("too many messages wait for this session; send fewer at once")]
    Full,
    /// The session has ended.
    #[error("this session has ended; open another")]
    Ended,
}

/// The messages that wait for one session.
#[derive(Default)]
pub(super) struct Inbox(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    posts: VecDeque<PostedMessage>,
    is_closed: bool,
}

/// A message may hold a token.
impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inbox")
    }
}

impl Inbox {
    pub(super) fn push(&self, post: PostedMessage) -> Result<(), PostError> {
        let mut waiting = self.waiting();
        if waiting.is_closed {
            return Err(PostError::Ended);
        }
        waiting.posts.retain(|post| !post.answer.is_closed());
        let bytes: usize = waiting.posts.iter().map(|post| post.bytes).sum();
        let is_full = waiting.posts.len() >= MAX_POSTS || bytes + post.bytes > MAX_BYTES;
        if is_full && !waiting.posts.is_empty() {
            return Err(PostError::Full);
        }
        waiting.posts.push_back(post);
        Ok(())
    }

    /// The next message whose answer somebody still waits for.
    pub(super) fn take(&self) -> Option<PostedMessage> {
        let mut waiting = self.waiting();
        while let Some(post) = waiting.posts.pop_front() {
            if !post.answer.is_closed() {
                return Some(post);
            }
        }
        // An idle session keeps no buffer.
        waiting.posts = VecDeque::new();
        None
    }

    pub(super) fn close(&self) {
        let mut waiting = self.waiting();
        waiting.is_closed = true;
        waiting.posts = VecDeque::new();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(message_type: &str) -> (PostedMessage, oneshot::Receiver<Value>) {
        let (answer, answered) = oneshot::channel();
        let post = PostedMessage {
            message_type: message_type.to_owned(),
            data: Map::new(),
            bytes: 1,
            answer,
        };
        (post, answered)
    }

    #[test]
    fn gives_in_order_what_somebody_still_waits_for() {
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
    fn is_bounded() {
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
                "nobody waits for the others any more"
            );
            waiting.push(waits);
        }
    }

    #[test]
    fn closed_it_lets_go_whoever_waits_and_takes_no_more() {
        let inbox = Inbox::default();
        let (first, mut waits) = post("first");
        inbox.push(first).unwrap();
        inbox.close();
        assert_eq!(waits.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert_eq!(inbox.push(post("late").0), Err(PostError::Ended));
    }
}
