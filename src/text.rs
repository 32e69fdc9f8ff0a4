//! Bounded strings from clients: trimmed when parsed, without control characters. Their texts in JSON and in the
//! database are the same.

use std::fmt;
use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlResult, ToSqlOutput, ValueRef};
use serde::{Serialize, Serializer};

/// A line of 1 to `MAX` characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SingleLine<const MAX: usize>(String);

/// A text of `MIN` to `MAX` characters that may contain line breaks and tabs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultiLine<const MIN: usize, const MAX: usize>(String);

/// The string is too short, too long or contains control characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must have {min} to {max} characters and no control characters")]
pub struct InvalidText {
    min: usize,
    max: usize,
}

fn validate(text: &str, min: usize, max: usize, allowed: &[char]) -> Result<String, InvalidText> {
    let text = text.trim();
    let is_allowed = |c: char| !c.is_control() || allowed.contains(&c);
    if (min..=max).contains(&text.chars().count()) && text.chars().all(is_allowed) {
        Ok(text.to_owned())
    } else {
        Err(InvalidText { min, max })
    }
}

impl<const MAX: usize> FromStr for SingleLine<MAX> {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        validate(text, 1, MAX, &[]).map(Self)
    }
}

impl<const MIN: usize, const MAX: usize> FromStr for MultiLine<MIN, MAX> {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        validate(text, MIN, MAX, &['\n', '\r', '\t']).map(Self)
    }
}

impl<const MAX: usize> SingleLine<MAX> {
    /// Wraps a text that the caller knows to be valid, such as a default.
    pub(crate) fn from_valid(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl<const MAX: usize> MultiLine<0, MAX> {
    pub fn empty() -> Self {
        Self(String::new())
    }
}

macro_rules! text {
    ($(<$(const $bound:ident),*> $type:ty),*) => {
        $(
            impl<$(const $bound: usize),*> $type {
                pub fn as_str(&self) -> &str {
                    &self.0
                }
            }

            impl<$(const $bound: usize),*> fmt::Display for $type {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }

            impl<$(const $bound: usize),*> Serialize for $type {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.serialize_str(&self.0)
                }
            }

            impl<$(const $bound: usize),*> rusqlite::ToSql for $type {
                fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                    Ok(self.as_str().into())
                }
            }

            impl<$(const $bound: usize),*> FromSql for $type {
                fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                    value.as_str().map(|text| Self(text.to_owned()))
                }
            }
        )*
    };
}

text!(<const MAX> SingleLine<MAX>, <const MIN, const MAX> MultiLine<MIN, MAX>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_trimmed_and_validated() {
        assert_eq!(" a b ".parse::<SingleLine<3>>().unwrap().as_str(), "a b");
        assert_eq!("a\nb".parse::<MultiLine<1, 3>>().unwrap().as_str(), "a\nb");
        for bad in ["", "  ", "abcd", "a\nb", "a\0b"] {
            assert!(bad.parse::<SingleLine<3>>().is_err(), "{bad:?}");
        }
        for bad in ["", "\n", "abcd", "a\0b"] {
            assert!(bad.parse::<MultiLine<1, 3>>().is_err(), "{bad:?}");
        }
        assert!("".parse::<MultiLine<0, 3>>().is_ok());
    }
}
