//! How many sockets are open, and who may open one more (contract section 8).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::app::App;
use crate::http::{ApiError, Peer};
use wallcast_core::limits::{ConnectionLimits, Place};

/// Counts open sockets, proven or not.
#[derive(Debug)]
pub struct SocketLimit {
    open: Arc<AtomicUsize>,
    limits: ConnectionLimits,
}

/// One open socket; it counts until this is dropped.
#[derive(Debug)]
pub(crate) struct SocketPermit {
    open: Arc<AtomicUsize>,
    pub(crate) place: Option<Place>,
}

impl SocketLimit {
    /// With at most `per_minute` unproven sockets of one address in a minute.
    pub fn new(per_minute: usize) -> Self {
        Self {
            open: Arc::default(),
            limits: ConnectionLimits::new(per_minute),
        }
    }

    /// SocketLimit that are open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Admits one more socket.
    ///
    /// # Errors
    /// 503 when the house is full.
    pub(crate) fn permit(&self, app: &App) -> Result<SocketPermit, ApiError> {
        if app.shutdown.has_begun() {
            return Err(ApiError::unavailable(
                "Wallcast is stopping; connect again in a moment",
            ));
        }
        let room = |open| (open < app.config.max_connections).then_some(open + 1);
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
    pub(crate) fn count_unauthenticated(&self, peer: &Peer) -> Result<Option<Place>, ApiError> {
        let refused = |wait| ApiError::too_many("Too many new connections; wait", wait);
        let take = |address| self.limits.take(address, Instant::now());
        peer.address.map(take).transpose().map_err(refused)
    }
}

impl SocketPermit {
    /// The socket has proven a token: it no longer counts against its address.
    pub(crate) fn proven(&mut self) {
        if let Some(place) = self.place.take() {
            place.give_back();
        }
    }
}

impl Drop for SocketPermit {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}
