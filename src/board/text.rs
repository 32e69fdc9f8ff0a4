//! The texts of services and incidents, each with its length limits.

use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlResult, ToSqlOutput, ValueRef};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::http::{FromField, from_text};

pub type ServiceName = SingleLine<100>;
pub type Title = SingleLine<200>;
/// How bad an incident is. Free text, chosen by the admin.
pub type Severity = SingleLine<32>;
/// The description of a service or an incident. May be empty.
pub type Description = MultiLine<0, 2000>;
/// The message of an incident's update.
pub type Message = MultiLine<1, 1000>;

/// 1 to `MAX` characters after trimming, without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SingleLine<const MAX: usize>(String);

/// `MIN` to `MAX` characters after trimming, without control characters other than line breaks and
/// tabs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultiLine<const MIN: usize, const MAX: usize>(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must have {min} to {max} characters and no control characters")]
pub struct InvalidText {
    min: usize,
    max: usize,
}

fn checked(text: &str, min: usize, max: usize, allowed: &[char]) -> Result<String, InvalidText> {
    let text = text.trim();
    let is_refused = |c: char| c.is_control() && !allowed.contains(&c);
    if (min..=max).contains(&text.chars().count()) && !text.chars().any(is_refused) {
        Ok(text.to_owned())
    } else {
        Err(InvalidText { min, max })
    }
}

impl<const MAX: usize> FromStr for SingleLine<MAX> {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        checked(text, 1, MAX, &[]).map(Self)
    }
}

impl<const MIN: usize, const MAX: usize> FromStr for MultiLine<MIN, MAX> {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        checked(text, MIN, MAX, &['\n', '\r', '\t']).map(Self)
    }
}

impl<const MIN: usize, const MAX: usize> MultiLine<MIN, MAX> {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Description {
    pub fn empty() -> Self {
        Self(String::new())
    }
}

impl Severity {
    /// The severity of an incident that names none.
    pub fn minor() -> Self {
        Self("minor".to_owned())
    }
}

impl<const MAX: usize> SingleLine<MAX> {
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

text!(<const MAX> SingleLine<MAX>, <const MIN, const MAX> MultiLine<MIN, MAX>);

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
