//! The reader thread: one read-only connection, one read transaction per query.

use rusqlite::Connection;
use tokio::sync::mpsc;

/// A query. It gets the connection inside a read transaction, or the error that prevented one.
pub(super) type Query = Box<dyn FnOnce(Result<&Connection, rusqlite::Error>) + Send>;

/// Runs queries until the queue yields `None` or every handle to the store is dropped.
pub(super) fn run(connection: Connection, mut queue: mpsc::Receiver<Option<Query>>) {
    while let Some(Some(query)) = queue.blocking_recv() {
        match connection.unchecked_transaction() {
            Ok(transaction) => {
                let guarded = std::panic::AssertUnwindSafe(|| query(Ok(&transaction)));
                if std::panic::catch_unwind(guarded).is_err() {
                    tracing::error!("a query panicked; its caller gets an error");
                }
                // Nothing was written, so commit and rollback are the same.
                let _ = transaction.finish();
            }
            Err(error) => query(Err(error)),
        }
    }
    // Close the connection before the queue, because `Store::close` waits for the queue.
    drop(connection);
}
