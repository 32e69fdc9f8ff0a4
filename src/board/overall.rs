//! The worst service of each board, and telling when it is another.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::{Audience, ServiceStatus, events};
use wallcast_core::store::WriteTx;

/// How boards stood before a change.
#[derive(Debug)]
pub(super) struct Standing(Vec<(Audience, ServiceStatus)>);

/// The worst service on the board of `board`.
///
/// # Errors
/// SQLite's.
pub(crate) fn worst(connection: &Connection, board: &Audience) -> rusqlite::Result<ServiceStatus> {
    let mut query = connection.prepare_cached(
        "SELECT max(status) FROM services WHERE organization_id IS ?1 AND tenant_id IS ?2",
    )?;
    let mut worst = ServiceStatus::default();
    for layer in board.layers() {
        let of_layer: Option<ServiceStatus> = query
            .query_row(params![layer.organization_id, layer.tenant_id], |row| {
                row.get(0)
            })?;
        worst = worst.max(of_layer.unwrap_or_default());
    }
    Ok(worst)
}

/// The worst of all services.
///
/// # Errors
/// SQLite's.
pub(crate) fn worst_of_all(connection: &Connection) -> rusqlite::Result<ServiceStatus> {
    let worst: Option<ServiceStatus> = connection
        .prepare_cached("SELECT max(status) FROM services")?
        .query_row([], |row| row.get(0))?;
    Ok(worst.unwrap_or_default())
}

/// Every board that has a service of its own and shows what is for one of `audiences`, and their
/// own boards; the widest first. What other boards show they inherit from these.
///
/// # Errors
/// SQLite's.
pub(super) fn boards(
    connection: &Connection,
    audiences: &[&Audience],
) -> rusqlite::Result<BTreeSet<Audience>> {
    let mut query = connection
        .prepare_cached("SELECT organization_id, tenant_id FROM services GROUP BY 1, 2")?;
    let rows = query.query_map([], |row| {
        Ok(Audience {
            organization_id: row.get(0)?,
            tenant_id: row.get(1)?,
        })
    })?;
    let mut boards: BTreeSet<Audience> = audiences.iter().copied().cloned().collect();
    for row in rows {
        let board = row?;
        if audiences.iter().any(|audience| audience.includes(&board)) {
            boards.insert(board);
        }
    }
    Ok(boards)
}

impl Standing {
    /// How every board stands that a change to services of `audiences` may concern.
    ///
    /// # Errors
    /// SQLite's.
    pub(super) fn of(connection: &Connection, audiences: &[&Audience]) -> rusqlite::Result<Self> {
        let boards = boards(connection, audiences)?.into_iter();
        boards
            .map(|board| {
                let worst = worst(connection, &board)?;
                Ok((board, worst))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The same, had every board shown a service of that status as well.
    pub(super) fn at_least(self, status: ServiceStatus) -> Self {
        let raised = self.0.into_iter();
        Self(raised.map(|(board, is)| (board, is.max(status))).collect())
    }

    /// Each board that stands otherwise in `other`: which, how it stands here, and how there.
    pub(super) fn differences<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (&'a Audience, ServiceStatus, ServiceStatus)> {
        let pairs = self.0.iter().zip(&other.0);
        pairs.filter_map(|((board, here), (_, there))| {
            (here != there).then_some((board, *here, *there))
        })
    }

    /// Tells `status-update` for each board whose worst service is another now.
    ///
    /// # Errors
    /// SQLite's.
    pub(super) fn tell_changes(self, tx: &mut WriteTx<'_>) -> rusqlite::Result<()> {
        let now = self.again(tx.connection())?;
        for (board, before, after) in self.differences(&now) {
            tx.publish(events::status_update(board, before, after, tx.now()))?;
        }
        Ok(())
    }

    fn again(&self, connection: &Connection) -> rusqlite::Result<Self> {
        let boards = self.0.iter();
        boards
            .map(|(board, _)| Ok((board.clone(), worst(connection, board)?)))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}
