//! The status board: services, incidents, and which board shows them
//! (docs/protocol.md#status-board).
//!
//! This module knows no sessions. Each event goes to the topic of its service's or incident's
//! audience and to admins; the hub delivers it.

pub(crate) mod board_status;
pub mod built_in;
mod error;
mod events;
mod incident;
pub mod incidents;
mod service;
pub mod services;
mod status;
mod text;

pub use error::BoardError;
pub use status::{IncidentStatus, ServiceStatus};
pub use text::{Description, ServiceName, Severity, Title, UpdateMessage, default_severity};

pub use crate::access::{Audience, AudiencePatch, BoardView};

#[cfg(test)]
mod tests {
    use super::{Audience, BoardView};

    fn audience(organization: &str, tenant: &str) -> Audience {
        Audience {
            organization_id: organization.parse().ok(),
            tenant_id: tenant.parse().ok(),
        }
    }

    #[test]
    fn board_shows_exactly_its_layers() {
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
            let view = BoardView::Board(board.clone());
            assert!(shown.iter().all(|of| view.shows(of)));
        }
        assert_eq!(audience("", "").layers().len(), 1);
        assert_eq!(audience("o", "t").layers().len(), 4);
    }

    #[test]
    fn audience_topic_matches_its_ids() {
        let topic = |o, t| audience(o, t).topic().to_string();
        assert_eq!(topic("", ""), "all");
        assert_eq!(topic("o", ""), "org:o");
        assert_eq!(topic("", "t"), "tenant:t");
        assert_eq!(topic("o", "t"), "both:o t");
    }
}
