//! Bounded strings from clients. They are trimmed, never empty, and contain no control characters.

use std::fmt;
use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlResult, ToSqlOutput, ValueRef};
use serde::{Serialize, Serializer};

/// A single line of 1 to `MAX` characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<const MAX: usize>(String);

/// A text of 1 to `MAX` characters that may contain line breaks and tabs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prose<const MAX: usize>(String);

/// The string is empty, too long or contains control characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must have 1 to {0} characters and no control characters")]
pub struct InvalidText(usize);

fn validate(text: &str, max: usize, allowed: &[char]) -> Result<String, InvalidText> {
    let text = text.trim();
    let is_length_valid = (1..=max).contains(&text.chars().count());
    let is_allowed = |c: char| !c.is_control() || allowed.contains(&c);
    if is_length_valid && text.chars().all(is_allowed) {
        Ok(text.to_owned())
    } else {
        Err(InvalidText(max))
    }
}

impl<const MAX: usize> FromStr for Line<MAX> {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        validate(text, MAX, &[]).map(Self)
    }
}

impl<const MAX: usize> FromStr for Prose<MAX> {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        validate(text, MAX, &['\n', '\r', '\t']).map(Self)
    }
}

macro_rules! text {
    ($name:ident) => {
        impl<const MAX: usize> $name<MAX> {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<const MAX: usize> fmt::Display for $name<MAX> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<const MAX: usize> Serialize for $name<MAX> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<const MAX: usize> rusqlite::ToSql for $name<MAX> {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.as_str().into())
            }
        }

        impl<const MAX: usize> FromSql for $name<MAX> {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                value.as_str().map(|text| Self(text.to_owned()))
            }
        }
    };
}

text!(Line);
text!(Prose);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_trimmed_and_validated() {
        assert_eq!(" a b ".parse::<Line<3>>().unwrap().as_str(), "a b");
        assert_eq!("a\nb".parse::<Prose<3>>().unwrap().as_str(), "a\nb");
        for bad in ["", "  ", "abcd", "a\nb", "a\0b"] {
            assert!(bad.parse::<Line<3>>().is_err(), "{bad:?}");
        }
        for bad in ["", "\n", "abcd", "a\0b"] {
            assert!(bad.parse::<Prose<3>>().is_err(), "{bad:?}");
        }
    }
}
