//! Progress of a long copy on stderr, if that is a terminal. Prints nothing into a log or a pipe.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use wallcast_core::store::snapshot::Progress;

/// Delay before the first update, and between updates.
const UPDATE_INTERVAL: Duration = Duration::from_millis(500);

/// One line that is overwritten with each update and erased on drop.
pub(super) struct ProgressLine {
    state: Arc<Mutex<ProgressLineState>>,
}

struct ProgressLineState {
    is_terminal: bool,
    updated_at: Instant,
    is_shown: bool,
}

impl ProgressLine {
    pub(super) fn new() -> Self {
        Self {
            state: Arc::new(Mutex::new(ProgressLineState {
                is_terminal: io::stderr().is_terminal(),
                updated_at: Instant::now(),
                is_shown: false,
            })),
        }
    }

    /// The callback for the copy.
    pub(super) fn callback(&self) -> Progress {
        let state = Arc::clone(&self.state);
        Arc::new(move |done, total| {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if !state.is_terminal || state.updated_at.elapsed() < UPDATE_INTERVAL {
                return;
            }
            state.updated_at = Instant::now();
            state.is_shown = true;
            let percent = done.saturating_mul(100) / total.max(1);
            // A closed stderr is ignored.
            let _ = write!(io::stderr(), "\rcopying: {percent} %");
        })
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
