//! Wall-clock time as the store and the wire formats use it: UTC, whole milliseconds.

use std::fmt;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const RFC3339_MS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// The last second that RFC 3339's four-digit year can express: 9999-12-31T23:59:59Z.
const LAST_SECOND: i64 = 253_402_300_799;

/// A moment in UTC with millisecond precision, between 1970 and the year 9999.
///
/// Formatted and serialised as RFC 3339 with `Z`; stored as milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The current time of the system clock. A clock before 1970 reads as 1970.
    pub fn now() -> Self {
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Self::from_unix_ms(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    /// Converts milliseconds since the Unix epoch, clamped to the years 1970 to 9999.
    pub fn from_unix_ms(ms: i64) -> Self {
        Self(ms.clamp(0, LAST_SECOND * 1000))
    }

    /// Milliseconds since the Unix epoch.
    pub fn unix_ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, the unit of JWT claims.
    pub fn unix_seconds(self) -> i64 {
        self.0 / 1000
    }

    /// Adds `seconds`, which may be negative. The result is clamped like [`Timestamp::from_unix_ms`].
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self::from_unix_ms(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// Truncates to whole seconds, so that an expiry in the store equals the same expiry in a JWT.
    pub fn whole_seconds(self) -> Self {
        Self(self.0 / 1000 * 1000)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i128::from(self.0) * 1_000_000;
        let moment = OffsetDateTime::from_unix_timestamp_nanos(nanos).map_err(|_| fmt::Error)?;
        f.write_str(&moment.format(RFC3339_MS).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl rusqlite::ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl rusqlite::types::FromSql for Timestamp {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        i64::column_result(value).map(Self::from_unix_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_has_milliseconds_and_z() {
        let moment = Timestamp::from_unix_ms(1_705_314_600_007);
        assert_eq!(moment.to_string(), "2024-01-15T10:30:00.007Z");
    }

    #[test]
    fn timestamp_past_year_9999_is_clamped() {
        assert_eq!(
            Timestamp::from_unix_ms(i64::MAX).to_string(),
            "9999-12-31T23:59:59.000Z"
        );
        assert_eq!(
            Timestamp::now().plus_seconds(i64::MAX).to_string(),
            "9999-12-31T23:59:59.000Z"
        );
    }
}
