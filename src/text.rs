//! Texts from outside that have a bound. Never empty.

use std::fmt;
use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlResult, ToSqlOutput, ValueRef};
use serde::{Serialize, Serializer};

/// A text of 1 to `MAX` characters after trimming, in one line: no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<const MAX: usize>(String);

/// A text of 1 to `MAX` characters after trimming, whose lines may end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prose<const MAX: usize>(String);

/// A text that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it takes 1 to {0} characters, none of them a control character")]
pub struct InvalidText(usize);

fn checked(text: &str, max: usize, allowed: &[char]) -> Result<String, InvalidText> {
    let text = text.trim();
    let fits = (1..=max).contains(&text.chars().count());
    let is_clean = |c: char| !c.is_control() || allowed.contains(&c);
    if fits && text.chars().all(is_clean) {
        Ok(text.to_owned())
    } else {
        Err(InvalidText(max))
    }
}

impl<const MAX: usize> FromStr for Line<MAX> {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        checked(text, MAX, &[]).map(Self)
    }
}

impl<const MAX: usize> FromStr for Prose<MAX> {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        checked(text, MAX, &['\n', '\r', '\t']).map(Self)
    }
}

macro_rules! text {
    ($name:ident) => {
        impl<const MAX: usize> $name<MAX> {
            /// The text.
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
    fn texts_are_trimmed_and_bounded() {
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
