//! The reading thread: one read-only connection, one consistent moment for each query.

use rusqlite::Connection;
use tokio::sync::mpsc;

/// A query; it is given the connection inside a read transaction, or why there is none.
pub(super) type Read = Box<dyn FnOnce(Result<&Connection, rusqlite::Error>) + Send>;

/// Answers queries until it is told to stop or every handle to the store is gone.
pub(super) fn run(connection: Connection, mut queue: mpsc::Receiver<Option<Read>>) {
    while let Some(Some(read)) = queue.blocking_recv() {
        match connection.unchecked_transaction() {
            Ok(transaction) => {
                let guarded = std::panic::AssertUnwindSafe(|| read(Ok(&transaction)));
                if std::panic::catch_unwind(guarded).is_err() {
                    tracing::error!("a query panicked; its caller was told that the store stopped");
                }
                // Nothing was written, so however the transaction ends is right.
                let _ = transaction.finish();
            }
            Err(error) => read(Err(error)),
        }
    }
    // The connection closes before the queue does: whoever waits for that finds the file released.
    drop(connection);
}
