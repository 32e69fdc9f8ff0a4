//! The status board (seed 2): services, incidents, and which board shows them.
//!
//! Knows no session: what changes is addressed to the topic of its audience.

mod events;
pub mod incidents;
pub(crate) mod overall;
pub mod own;
pub mod services;
mod status;
mod text;

pub use status::{IncidentStatus, ServiceStatus};
pub use text::{Description, Message, ServiceName, Severity, Title};

pub use crate::access::{Audience, AudiencePatch, View};
use crate::http::ApiError;
use wallcast_core::ids::ServiceId;
use wallcast_core::store::StoreError;

/// Why a change to the board was refused.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// There is no such service.
    #[error("there is no such service")]
    UnknownService,
    /// There is no such incident.
    #[error("there is no such incident")]
    UnknownIncident,
    /// Wallcast says itself how this service is.
    #[error("Wallcast keeps this service itself; it can be neither changed nor deleted")]
    Own,
    /// A limit is reached.
    #[error("there may be {most} {what}; {advice}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        most: usize,
        /// What to do.
        advice: &'static str,
    },
    /// An incident names a service that those for whom it is do not see, or that is not there.
    #[error("serviceIds names {0}, which is not on the incident's board")]
    NotOnBoard(ServiceId),
    /// The store failed.
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
            BoardError::Own => Self::new(conflict, "own_service", error.to_string()),
            BoardError::TooMany { .. } => Self::new(conflict, "too_many", error.to_string()),
            BoardError::NotOnBoard(_) => Self::field("serviceIds", error.to_string()),
            BoardError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audience(organization: &str, tenant: &str) -> Audience {
        Audience {
            organization_id: organization.parse().ok(),
            tenant_id: tenant.parse().ok(),
        }
    }

    #[test]
    fn a_board_shows_its_layers_and_nothing_else() {
        let all: Vec<_> = ["", "o", "p"]
            .iter()
            .flat_map(|o| ["", "t", "u"].map(|t| audience(o, t)))
            .collect();
        for board in &all {
            let shown: Vec<_> = all.iter().filter(|of| of.includes(board)).collect();
            assert_eq!(
                board.layers().iter().collect::<Vec<_>>(),
                shown,
                "{board:?}"
            );
            let view = View::Board(board.clone());
            assert!(shown.iter().all(|of| view.shows(of)));
        }
        assert_eq!(audience("", "").layers().len(), 1);
        assert_eq!(audience("o", "t").layers().len(), 4);
    }

    #[test]
    fn an_audience_has_the_topic_of_whom_it_names() {
        let topic = |o, t| audience(o, t).topic().to_string();
        assert_eq!(topic("", ""), "all");
        assert_eq!(topic("o", ""), "org:o");
        assert_eq!(topic("", "t"), "tenant:t");
        assert_eq!(topic("o", "t"), "both:o t");
    }
}
