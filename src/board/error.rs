//! Why a change to the status board is refused, and the API error for each case.

use wallcast_core::ids::ServiceId;
use wallcast_core::store::StoreError;

use crate::http::ApiError;

#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    #[error("there is no such service")]
    UnknownService,
    #[error("there is no such incident")]
    UnknownIncident,
    /// The service is built in: Wallcast sets its status itself.
    #[error("this service is built into Wallcast and cannot be changed or deleted")]
    BuiltIn,
    #[error("at most {max} {what} are allowed; {advice}")]
    TooMany {
        what: &'static str,
        max: usize,
        advice: &'static str,
    },
    /// An incident names a service that does not exist or that some of the incident's audience
    /// cannot see.
    #[error("`serviceIds` contains {0}, which is not on the incident's board")]
    NotOnBoard(ServiceId),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for BoardError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<BoardError> for ApiError {
    fn from(error: BoardError) -> Self {
        let conflict = hyper::StatusCode::CONFLICT;
        match error {
            BoardError::UnknownService => Self::not_found("service"),
            BoardError::UnknownIncident => Self::not_found("incident"),
            BoardError::BuiltIn => Self::new(conflict, "own_service", error.to_string()),
            BoardError::TooMany { .. } => Self::new(conflict, "too_many", error.to_string()),
            BoardError::NotOnBoard(_) => Self::field("serviceIds", error.to_string()),
            BoardError::Store(error) => error.into(),
        }
    }
}
