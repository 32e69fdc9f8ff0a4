//! How far a long copy is, on stderr, for somebody who watches it there. Nothing into a log or a pipe.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use wallcast_core::store::snapshot::Progress;

/// Less than this long is not worth a word, nor another one.
const PAUSE: Duration = Duration::from_millis(500);

/// One line that is written over and over; gone when dropped.
pub(super) struct Meter {
    state: Arc<Mutex<State>>,
}

struct State {
    is_watched: bool,
    told_at: Instant,
    has_told: bool,
}

impl Meter {
    /// A meter that has not shown itself yet.
    pub(super) fn new() -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                is_watched: io::stderr().is_terminal(),
                told_at: Instant::now(),
                has_told: false,
            })),
        }
    }

    /// What the copy tells.
    pub(super) fn hears(&self) -> Progress {
        let state = Arc::clone(&self.state);
        Arc::new(move |done, total| {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if !state.is_watched || state.told_at.elapsed() < PAUSE {
                return;
            }
            state.told_at = Instant::now();
            state.has_told = true;
            let percent = done.saturating_mul(100) / total.max(1);
            // Nobody listening is fine.
            let _ = write!(io::stderr(), "\rcopying: {percent} %");
        })
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.has_told {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
