//! Service calls of one connection: how many wait for Home Assistant, and the results that are not sent yet.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use wallcast_core::event::Namespace;

use super::codec::ReplyTo;
use crate::http::ApiError;

/// Calls of one connection that may be open at once; more are refused.
const MAX_CALLS: usize = 16;

/// The calls run in tasks of their own, so that the connection keeps reading and writing. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<OpenCalls>);

#[derive(Default)]
struct OpenCalls {
    open: AtomicUsize,
    finished: Mutex<Vec<FinishedCall>>,
}

pub(super) struct FinishedCall {
    pub(super) namespace: Namespace,
    pub(super) reply_to: Option<ReplyTo>,
    pub(super) result: Result<Value, ApiError>,
}

impl Calls {
    /// Counts one more call. False, and not counted, when too many are open.
    pub(super) fn begin(&self) -> bool {
        let is_free = self.0.open.fetch_add(1, Ordering::Relaxed) < MAX_CALLS;
        if !is_free {
            self.0.open.fetch_sub(1, Ordering::Relaxed);
        }
        is_free
    }

    pub(super) fn finish(&self, call: FinishedCall) {
        self.finished().push(call);
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn take_finished(&self) -> Vec<FinishedCall> {
        std::mem::take(&mut *self.finished())
    }

    fn finished(&self) -> std::sync::MutexGuard<'_, Vec<FinishedCall>> {
        self.0
            .finished
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
