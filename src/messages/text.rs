//! The texts of a message, each with its length limits.

use std::str::FromStr;

use serde::Serialize;

use crate::http::text_fields;

/// Characters of a message's body.
const MAX_BODY: usize = 4000;

/// The name of a platform or a level: 1 to 32 of `A-Z a-z 0-9 _ . -`, starting with a letter or a
/// digit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Label(pub(super) String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must have 1 to 32 of A-Z a-z 0-9 _ . - and start with a letter or a digit")]
pub struct InvalidLabel;

impl FromStr for Label {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        let is_start_valid = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let are_all_valid = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if is_start_valid && are_all_valid && text.len() <= 32 {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidLabel)
        }
    }
}

impl Label {
    /// The platform of messages that name none.
    pub(super) fn wallcast() -> Self {
        Self("wallcast".to_owned())
    }

    /// The level of messages that name none.
    pub(super) fn info() -> Self {
        Self("info".to_owned())
    }
}

/// The body of a message: 1 to 4000 characters, at least one of them not whitespace, without control
/// characters other than line breaks and tabs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Body(pub(super) String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it must have 1 to 4000 characters and no control characters other than line breaks and tabs"
)]
pub struct InvalidBody;

impl FromStr for Body {
    type Err = InvalidBody;

    fn from_str(text: &str) -> Result<Self, InvalidBody> {
        let is_length_valid = !text.trim().is_empty() && text.chars().count() <= MAX_BODY;
        let is_text = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        if is_length_valid && text.chars().all(is_text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidBody)
        }
    }
}

text_fields!(Label, Body);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_bodies_are_bounded() {
        for good in ["wallcast", "WhatsApp", "x", "a-b_c.9", &"x".repeat(32)] {
            assert!(good.parse::<Label>().is_ok(), "{good}");
        }
        for bad in ["", "-x", "a b", "ä", &"x".repeat(33)] {
            assert!(bad.parse::<Label>().is_err(), "{bad}");
        }
        for good in ["x", "one\ntwo\tthree", &"ü".repeat(4000)] {
            assert!(good.parse::<Body>().is_ok(), "{good}");
        }
        for bad in ["", " \n ", "a\u{7}", &"x".repeat(4001)] {
            assert!(bad.parse::<Body>().is_err(), "{bad}");
        }
    }
}
