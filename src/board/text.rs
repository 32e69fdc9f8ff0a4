//! Texts of the board, each with its bounds.

use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlResult, ToSqlOutput, ValueRef};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::http::{FromField, from_text};

/// A service's name.
pub type ServiceName = Line<100>;
/// An incident's title.
pub type Title = Line<200>;
/// How bad an incident is, in the admin's own word.
pub type Severity = Line<32>;
/// What a service or an incident is about; may be empty.
pub type Description = Paragraph<0, 2000>;
/// What an update says.
pub type Message = Paragraph<1, 1000>;

/// One line of 1 to `MOST` characters after trimming, without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<const MOST: usize>(String);

/// `LEAST` to `MOST` characters after trimming, with no control characters but line ends and tabs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paragraph<const LEAST: usize, const MOST: usize>(String);

/// A text out of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has {least} to {most} characters and no control characters")]
pub struct InvalidText {
    least: usize,
    most: usize,
}

fn checked(text: &str, least: usize, most: usize, allowed: &[char]) -> Result<String, InvalidText> {
    let text = text.trim();
    let is_refused = |c: char| c.is_control() && !allowed.contains(&c);
    if (least..=most).contains(&text.chars().count()) && !text.chars().any(is_refused) {
        Ok(text.to_owned())
    } else {
        Err(InvalidText { least, most })
    }
}

impl<const MOST: usize> FromStr for Line<MOST> {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        checked(text, 1, MOST, &[]).map(Self)
    }
}

impl<const LEAST: usize, const MOST: usize> FromStr for Paragraph<LEAST, MOST> {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        checked(text, LEAST, MOST, &['\n', '\r', '\t']).map(Self)
    }
}

impl<const LEAST: usize, const MOST: usize> Paragraph<LEAST, MOST> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Description {
    /// Nothing at all.
    pub fn empty() -> Self {
        Self(String::new())
    }
}

impl Severity {
    /// What an incident has that was given none.
    pub fn minor() -> Self {
        Self("minor".to_owned())
    }
}

impl<const MOST: usize> Line<MOST> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text {
    ($(<$(const $bound:ident),*> $type:ty),*) => {
        $(
            impl<$(const $bound: usize),*> FromField for $type {
                fn from_field(value: Value) -> Result<Self, String> {
                    from_text(value)
                }
            }

            impl<$(const $bound: usize),*> Serialize for $type {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.serialize_str(&self.0)
                }
            }

            impl<$(const $bound: usize),*> rusqlite::ToSql for $type {
                fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                    Ok(self.0.as_str().into())
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

text!(<const MOST> Line<MOST>, <const LEAST, const MOST> Paragraph<LEAST, MOST>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_trimmed_and_bounded() {
        assert_eq!(" a b ".parse::<Severity>().unwrap().as_str(), "a b");
        assert!("x".repeat(32).parse::<Severity>().is_ok());
        for bad in ["", "  ", "a\nb", &"x".repeat(33)] {
            assert!(bad.parse::<Severity>().is_err(), "{bad:?}");
        }
        assert!("".parse::<Description>().is_ok());
        assert!("a\nb\tc".parse::<Message>().is_ok());
        for bad in ["", "a\0b", &"x".repeat(1001)] {
            assert!(bad.parse::<Message>().is_err(), "{bad:?}");
        }
    }
}
