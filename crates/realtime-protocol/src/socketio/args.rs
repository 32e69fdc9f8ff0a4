//! The arguments of an event or an answer: a JSON array kept as text; never builds a tree of values.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON array in its original text, shared by nobody.
#[derive(Debug, Clone)]
pub struct Args(Box<RawValue>);

impl Args {
    /// Takes a text that is a JSON array; none when it is anything else.
    pub(super) fn parse(json: &str) -> Option<Self> {
        if !json.starts_with('[') {
            return None;
        }
        serde_json::from_str(json).ok().map(Self)
    }

    /// The whole array.
    pub fn as_raw(&self) -> &RawValue {
        &self.0
    }

    /// One element by its index; in an event 0 is the name and 1 the first argument.
    pub fn get(&self, index: usize) -> Option<&RawValue> {
        let mut json = serde_json::Deserializer::from_str(self.0.get());
        json.deserialize_seq(Nth(index)).ok().flatten()
    }

    /// All elements, in order.
    pub fn items(&self) -> Vec<&RawValue> {
        serde_json::from_str(self.0.get()).unwrap_or_default()
    }

    /// An event's name. Stock clients also allow a number, which then is its digits.
    pub fn name(&self) -> Option<Cow<'_, str>> {
        let json = self.get(0)?.get();
        match json.as_bytes().first()? {
            b'"' => Some(match json.get(1..json.len() - 1) {
                Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
                _ => Cow::Owned(serde_json::from_str(json).ok()?),
            }),
            b'-' | b'0'..=b'9' => Some(Cow::Borrowed(json)),
            _ => None,
        }
    }

    /// The first argument behind an event's name.
    pub fn first(&self) -> Option<&RawValue> {
        self.get(1)
    }
}

/// Finds one element of an array and skips the others.
struct Nth(usize);

impl<'de> Visitor<'de> for Nth {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        for _ in 0..self.0 {
            if items.next_element::<IgnoredAny>()?.is_none() {
                return Ok(None);
            }
        }
        let found = items.next_element()?;
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_elements_as_they_were_written() {
        let args = Args::parse(r#"["na\u006de", {"a" : [1, 2]},null]"#).unwrap();
        assert_eq!(args.name().unwrap(), "name");
        assert_eq!(args.first().unwrap().get(), r#"{"a" : [1, 2]}"#);
        assert_eq!(args.get(2).unwrap().get(), "null");
        assert!(args.get(3).is_none());
        assert_eq!(args.items().len(), 3);
        assert_eq!(Args::parse("[7]").unwrap().name().unwrap(), "7");
        assert!(Args::parse("[{}]").unwrap().name().is_none());
        assert!(Args::parse("[]").unwrap().name().is_none());
    }

    #[test]
    fn takes_arrays_only() {
        for wrong in ["", "{}", "[", "[1]2", "[1,]", "null", "\"[]\"", " []"] {
            assert!(Args::parse(wrong).is_none(), "{wrong}");
        }
    }
}
