//! Limits sockets and event streams: at most `max_connections` open, and at most `connections_per_minute` new
//! unauthenticated ones from one address.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use wallcast_core::address_limit::{AddressLimit, AddressPermit};

use crate::http::{ApiError, Peer};

/// Counts open sockets, authenticated or not.
#[derive(Debug)]
pub struct SocketLimit {
    open: Arc<AtomicUsize>,
    max_open: usize,
    per_address: AddressLimit,
}

/// Counts one open socket until it is dropped.
#[derive(Debug)]
pub(crate) struct SocketPermit {
    open: Arc<AtomicUsize>,
    /// Set while the socket counts against the rate limit of its address.
    pub(crate) address_permit: Option<AddressPermit>,
}

impl SocketLimit {
    /// At most `max_open` sockets, and at most `per_minute` new unauthenticated ones from one address.
    pub fn new(max_open: usize, per_minute: usize) -> Self {
        Self {
            open: Arc::default(),
            max_open,
            per_address: AddressLimit::new(per_minute),
        }
    }

    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Takes a permit for one more socket.
    ///
    /// # Errors
    /// 503 when `max_connections` sockets are open.
    pub(crate) fn acquire(&self) -> Result<SocketPermit, ApiError> {
        let increment = |open| (open < self.max_open).then_some(open + 1);
        let counted = self
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, increment);
        if counted.is_err() {
            return Err(ApiError::unavailable(
                "Too many sockets are open; try again later",
            ));
        }
        Ok(SocketPermit {
            open: self.open.clone(),
            address_permit: None,
        })
    }

    /// Counts an unauthenticated socket against its address. The caller stores the result in
    /// [`SocketPermit::address_permit`], which is released once the socket authenticates.
    ///
    /// # Errors
    /// 429 when the address is over its rate limit.
    pub(crate) fn count_unauthenticated(
        &self,
        peer: &Peer,
    ) -> Result<Option<AddressPermit>, ApiError> {
        let refused = |wait| ApiError::too_many("Too many new connections; wait", wait);
        let take = |address| self.per_address.acquire(address, Instant::now());
        peer.address.map(take).transpose().map_err(refused)
    }
}

impl SocketPermit {
    /// Call when the socket is authenticated: it no longer counts against its address.
    pub(crate) fn mark_authenticated(&mut self) {
        if let Some(permit) = self.address_permit.take() {
            permit.release();
        }
    }
}

impl Drop for SocketPermit {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}
