//! Takes a connection away from hyper, so that a socket's task owns it: for WebSocket upgrades and event streams.
//! hyper's own upgrade would keep written bytes in a buffer that a revocation cannot discard.
//!
//! A handler marks its response by [`upgrade`]. The connection's HTTP service intercepts it by
//! [`PendingUpgrade::intercept`]; the task that holds the connection then takes it from hyper and calls the callback.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hyper::http::response::Parts;

use crate::http::Response;
use crate::net::Stream;

type Callback = Box<dyn FnOnce(Stream, Parts, Bytes) + Send>;

/// The extension that marks a response as an upgrade.
#[derive(Clone)]
struct Marker(TakeOnce<Callback>);

/// An intercepted response: its head, which is not sent yet, and the callback.
struct Upgrade {
    head: Parts,
    callback: Callback,
}

/// Passes an upgrade from a connection's HTTP service to the task that holds the connection.
#[derive(Clone, Default)]
pub(crate) struct PendingUpgrade(TakeOnce<Upgrade>);

/// A value that one task stores and another takes, once.
struct TakeOnce<T>(Arc<Mutex<Option<T>>>);

/// Marks a response as an upgrade; its body is ignored. Once earlier responses are written, `callback` gets the
/// connection, the response's head, and the bytes that were read after the request. The callback must send the head.
pub(crate) fn upgrade(
    mut response: Response,
    callback: impl FnOnce(Stream, Parts, Bytes) + Send + 'static,
) -> Response {
    let marker = Marker(TakeOnce::default());
    marker.0.put(Box::new(callback));
    response.extensions_mut().insert(marker);
    response
}

impl PendingUpgrade {
    /// Keeps the response if it is marked as an upgrade; else returns it.
    pub(crate) fn intercept(&self, mut response: Response) -> Option<Response> {
        let marker = response.extensions_mut().remove::<Marker>();
        let Some(callback) = marker.and_then(|marker| marker.0.take()) else {
            return Some(response);
        };
        let head = response.into_parts().0;
        self.0.put(Upgrade { head, callback });
        None
    }

    /// The callback that takes the connection over, once a response was intercepted.
    pub(crate) fn take(&self) -> Option<impl FnOnce(Stream, Bytes) + use<>> {
        let Upgrade { head, callback } = self.0.take()?;
        Some(move |stream, read| callback(stream, head, read))
    }
}

impl<T> TakeOnce<T> {
    fn put(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }

    fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<T> Clone for TakeOnce<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for TakeOnce<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}
