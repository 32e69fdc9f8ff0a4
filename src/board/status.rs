//! The statuses of services and incidents (docs/protocol.md#status-board).

use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use serde::{Serialize, Serializer};

use crate::http::text_fields;

/// A service's status, ordered from best to worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceStatus {
    #[default]
    Operational,
    Maintenance,
    Degraded,
    PartialOutage,
    MajorOutage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncidentStatus {
    #[default]
    Investigating,
    Identified,
    Monitoring,
    Resolved,
}

/// The text is none of the listed statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be one of {0}")]
pub struct InvalidBoardStatus(&'static str);

impl ServiceStatus {
    /// Every status, best first. The database stores a status as its index here.
    pub const ALL: [Self; 5] = [
        Self::Operational,
        Self::Maintenance,
        Self::Degraded,
        Self::PartialOutage,
        Self::MajorOutage,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operational => "operational",
            Self::Maintenance => "maintenance",
            Self::Degraded => "degraded",
            Self::PartialOutage => "partial_outage",
            Self::MajorOutage => "major_outage",
        }
    }
}

impl FromStr for ServiceStatus {
    type Err = InvalidBoardStatus;

    fn from_str(text: &str) -> Result<Self, InvalidBoardStatus> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or(InvalidBoardStatus(
                "operational, degraded, partial_outage, major_outage, maintenance",
            ))
    }
}

impl Serialize for ServiceStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl rusqlite::ToSql for ServiceStatus {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let place = Self::ALL.iter().position(|status| status == self);
        Ok(i64::try_from(place.unwrap_or_default())
            .unwrap_or_default()
            .into())
    }
}

impl FromSql for ServiceStatus {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let place = i64::column_result(value)?;
        usize::try_from(place)
            .ok()
            .and_then(|place| Self::ALL.get(place).copied())
            .ok_or(FromSqlError::OutOfRange(place))
    }
}

impl IncidentStatus {
    const ALL: [Self; 4] = [
        Self::Investigating,
        Self::Identified,
        Self::Monitoring,
        Self::Resolved,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Investigating => "investigating",
            Self::Identified => "identified",
            Self::Monitoring => "monitoring",
            Self::Resolved => "resolved",
        }
    }
}

impl FromStr for IncidentStatus {
    type Err = InvalidBoardStatus;

    fn from_str(text: &str) -> Result<Self, InvalidBoardStatus> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or(InvalidBoardStatus(
                "investigating, identified, monitoring, resolved",
            ))
    }
}

impl Serialize for IncidentStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl rusqlite::ToSql for IncidentStatus {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for IncidentStatus {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value
            .as_str()?
            .parse()
            .map_err(|_| FromSqlError::InvalidType)
    }
}

text_fields!(ServiceStatus, IncidentStatus);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_texts_round_trip_and_are_ordered() {
        for status in ServiceStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        for status in IncidentStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert!(ServiceStatus::ALL.is_sorted());
        assert!("Operational".parse::<ServiceStatus>().is_err());
    }
}
