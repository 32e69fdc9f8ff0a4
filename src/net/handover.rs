//! Taking a connection out of hyper's hands for an answer without an end: whoever tells it owns the
//! connection, and nothing of it waits in buffers out of its owner's reach.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hyper::http::response::Parts;

use crate::http::Response;
use crate::net::Stream;

type Taker = Box<dyn FnOnce(Stream, Parts, Bytes) + Send>;

/// Marks an answer whose connection changes hands.
#[derive(Clone)]
struct Mark(Shared<Taker>);

/// A connection that is about to change hands: the answer's head, and who takes it.
struct Leaving {
    head: Parts,
    taker: Taker,
}

/// Where the answer that takes a connection over is laid by its service, for the task that holds
/// the connection.
#[derive(Clone, Default)]
pub(crate) struct Handover(Shared<Leaving>);

/// What one side lays down and the other takes, once.
struct Shared<T>(Arc<Mutex<Option<T>>>);

/// An answer of which only the head counts: with it, as it is when it would be sent, and once all
/// earlier answers have left, the connection is given to `taker`, which sends both, and so is what was
/// read after the request.
pub(crate) fn hand_over(
    mut response: Response,
    taker: impl FnOnce(Stream, Parts, Bytes) + Send + 'static,
) -> Response {
    let mark = Mark(Shared::default());
    mark.0.put(Box::new(taker));
    response.extensions_mut().insert(mark);
    response
}

impl Handover {
    /// Lays the answer down if it is one that takes the connection over; else gives it back.
    pub(crate) fn claim(&self, mut response: Response) -> Option<Response> {
        let mark = response.extensions_mut().remove::<Mark>();
        let Some(taker) = mark.and_then(|mark| mark.0.take()) else {
            return Some(response);
        };
        let head = response.into_parts().0;
        self.0.put(Leaving { head, taker });
        None
    }

    /// Who takes the connection over, once it is to be.
    pub(crate) fn take(&self) -> Option<impl FnOnce(Stream, Bytes) + use<>> {
        let Leaving { head, taker } = self.0.take()?;
        Some(move |stream, read| taker(stream, head, read))
    }
}

impl<T> Shared<T> {
    fn put(&self, thing: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(thing);
    }

    fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}
