//! How many sockets are open, and who may open one more (contract section 8).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::http::{ApiError, Peer};
use wallcast_core::limits::{AddressLimit, AddressPermit};

/// Counts open sockets, proven or not.
#[derive(Debug)]
pub struct SocketLimit {
    open: Arc<AtomicUsize>,
    max_open: usize,
    limits: AddressLimit,
}

/// One open socket; it counts until this is dropped.
#[derive(Debug)]
pub(crate) struct SocketPermit {
    open: Arc<AtomicUsize>,
    pub(crate) place: Option<AddressPermit>,
}

impl SocketLimit {
    /// At most `max_open` sockets, and at most `per_minute` new unauthenticated ones from one address.
    pub fn new(max_open: usize, per_minute: usize) -> Self {
        Self {
            open: Arc::default(),
            max_open,
            limits: AddressLimit::new(per_minute),
        }
    }

    /// Sockets that are open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Counts one more socket.
    ///
    /// # Errors
    /// 503 when as many are open as `max_connections` allows.
    pub(crate) fn permit(&self) -> Result<SocketPermit, ApiError> {
        let room = |open| (open < self.max_open).then_some(open + 1);
        let counted = self
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
        if counted.is_err() {
            return Err(ApiError::unavailable(
                "Too many sockets are open; try again later",
            ));
        }
        Ok(SocketPermit {
            open: self.open.clone(),
            place: None,
        })
    }

    /// Holds a socket whose handshake has proven no token to the limit of its address. The place is its
    /// permit's, which gives it back once it proves one.
    ///
    /// # Errors
    /// 429 when the address has tried too often.
    pub(crate) fn count_unauthenticated(
        &self,
        peer: &Peer,
    ) -> Result<Option<AddressPermit>, ApiError> {
        let refused = |wait| ApiError::too_many("Too many new connections; wait", wait);
        let take = |address| self.limits.acquire(address, Instant::now());
        peer.address.map(take).transpose().map_err(refused)
    }
}

impl SocketPermit {
    /// The socket has proven a token: it no longer counts against its address.
    pub(crate) fn proven(&mut self) {
        if let Some(place) = self.place.take() {
            place.release();
        }
    }
}

impl Drop for SocketPermit {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}
