//! The overall status of each board, which is the status of its worst service, and publishing
//! `status-update` when it changes.

use std::collections::BTreeSet;

use rusqlite::Connection;
use wallcast_core::store::WriteTx;

use super::events;
use super::services;
use super::status::ServiceStatus;
use crate::access::Audience;

/// The overall status of several boards at one moment, to compare with a later one.
#[derive(Debug)]
pub(super) struct BoardStatuses(Vec<(Audience, ServiceStatus)>);

/// The overall status of one board.
pub(crate) fn of_board(
    connection: &Connection,
    board: &Audience,
) -> rusqlite::Result<ServiceStatus> {
    let mut worst = ServiceStatus::default();
    for layer in board.layers() {
        worst = worst.max(services::worst_status_for(connection, &layer)?);
    }
    Ok(worst)
}

/// The worst status of all services, on whichever board.
pub(crate) fn of_all_services(connection: &Connection) -> rusqlite::Result<ServiceStatus> {
    services::worst_status(connection)
}

/// The boards whose overall status a change to services of `audiences` can affect, widest first:
/// the boards of `audiences`, and the boards that show them and have services of their own. All
/// other boards inherit their status from one of these.
fn affected_boards(
    connection: &Connection,
    audiences: &[&Audience],
) -> rusqlite::Result<BTreeSet<Audience>> {
    let mut boards: BTreeSet<Audience> = audiences.iter().copied().cloned().collect();
    let with_services = services::audiences(connection)?.into_iter();
    boards.extend(
        with_services.filter(|board| audiences.iter().any(|audience| audience.includes(board))),
    );
    Ok(boards)
}

impl BoardStatuses {
    /// Reads the status of every board that a change to services of `audiences` can affect.
    pub(super) fn read(connection: &Connection, audiences: &[&Audience]) -> rusqlite::Result<Self> {
        let boards = affected_boards(connection, audiences)?.into_iter();
        boards
            .map(|board| {
                let status = of_board(connection, &board)?;
                Ok((board, status))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The statuses as if every board also showed a service with `status`.
    pub(super) fn at_least(self, status: ServiceStatus) -> Self {
        let raised = self.0.into_iter();
        Self(
            raised
                .map(|(board, current)| (board, current.max(status)))
                .collect(),
        )
    }

    /// The boards whose status differs in `other`: the board, its status here, its status there.
    /// Both must contain the same boards.
    pub(super) fn differences<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (&'a Audience, ServiceStatus, ServiceStatus)> {
        let pairs = self.0.iter().zip(&other.0);
        pairs.filter_map(|((board, here), (_, there))| {
            (here != there).then_some((board, *here, *there))
        })
    }

    /// Reads the statuses again and publishes `status-update` for each board whose status changed.
    pub(super) fn publish_changes(self, tx: &mut WriteTx<'_>) -> rusqlite::Result<()> {
        let now = self.read_again(tx.connection())?;
        for (board, before, after) in self.differences(&now) {
            tx.publish(events::status_update(board, before, after, tx.now()))?;
        }
        Ok(())
    }

    fn read_again(&self, connection: &Connection) -> rusqlite::Result<Self> {
        let boards = self.0.iter();
        boards
            .map(|(board, _)| Ok((board.clone(), of_board(connection, board)?)))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}
