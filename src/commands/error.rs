//! Why a command or its result is refused.

use wallcast_core::ids::{ClientId, KioskId};
use wallcast_core::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The command belongs to another client or does not exist. Clients get the same error for
    /// both, so that they cannot find out which commands exist.
    #[error("You are not allowed to do this")]
    Forbidden,
    #[error("There is no such command")]
    Unknown,
    #[error("There is no client {0}")]
    UnknownClient(ClientId),
    #[error("No tablet belongs to the kiosk {0}; set the `kioskId` of a client first")]
    EmptyKiosk(KioskId),
    #[error("More than 100 tablets belong to this kiosk; send the command to each client")]
    TooManyTablets,
    #[error("Client {0} has 50 open commands already; wait until one finishes or expires")]
    TooMany(ClientId),
    /// The client reported a different outcome before.
    #[error("This command finished with another outcome before; that outcome stays")]
    Finished,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for CommandError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}
