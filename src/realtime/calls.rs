//! Service calls of one connection that Home Assistant has not answered yet.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::codec::RequestMark;
use crate::http::ApiError;
use wallcast_core::event::Namespace;

/// What Home Assistant does for a connection at once; more is refused.
const MAX_CALLS: usize = 16;

/// Calls that Home Assistant has yet to answer, and answers that the connection has yet to give: it
/// goes on telling and hearing meanwhile.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<OpenCalls>);

#[derive(Default)]
struct OpenCalls {
    open: AtomicUsize,
    done: Mutex<Vec<FinishedCall>>,
}

/// The result of one call.
pub(super) struct FinishedCall {
    pub(super) namespace: Namespace,
    pub(super) mark: Option<RequestMark>,
    pub(super) outcome: Result<Value, ApiError>,
}

impl Calls {
    /// Counts one more call; false when too many are open.
    pub(super) fn begin(&self) -> bool {
        let is_free = self.0.open.fetch_add(1, Ordering::Relaxed) < MAX_CALLS;
        if !is_free {
            self.0.open.fetch_sub(1, Ordering::Relaxed);
        }
        is_free
    }

    pub(super) fn finish(&self, done: FinishedCall) {
        self.done().push(done);
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn take(&self) -> Vec<FinishedCall> {
        std::mem::take(&mut *self.done())
    }

    fn done(&self) -> std::sync::MutexGuard<'_, Vec<FinishedCall>> {
        self.0.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
