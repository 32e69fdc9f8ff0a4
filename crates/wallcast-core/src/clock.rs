//! Wall-clock time as Wallcast stores and tells it: UTC, in whole milliseconds.

use std::fmt;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const RFC3339_MS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// The latest second an RFC 3339 year of four digits can tell (9999-12-31T23:59:59Z).
const LAST_SECOND: i64 = 253_402_300_799;

/// A moment in UTC with millisecond precision. Shown and serialised as RFC 3339 with `Z`
/// (contract section 1); stored as milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The present moment.
    pub fn now() -> Self {
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Self::from_unix_ms(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    /// From milliseconds since 1970, clamped to what RFC 3339 can tell.
    pub fn from_unix_ms(ms: i64) -> Self {
        Self(ms.clamp(0, LAST_SECOND * 1000))
    }

    /// Milliseconds since 1970.
    pub fn unix_ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, as JWT claims count them.
    pub fn unix_seconds(self) -> i64 {
        self.0 / 1000
    }

    /// This moment, `seconds` later.
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self::from_unix_ms(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// This moment cut to whole seconds, so that a stored expiry and a JWT's agree.
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
    fn shows_milliseconds_and_z() {
        let moment = Timestamp::from_unix_ms(1_705_314_600_007);
        assert_eq!(moment.to_string(), "2024-01-15T10:30:00.007Z");
    }

    #[test]
    fn stays_within_four_digit_years() {
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
