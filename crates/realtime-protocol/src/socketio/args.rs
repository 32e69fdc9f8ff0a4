//! The arguments of an EVENT or ACK packet: a JSON array, kept as text and not parsed into values.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A valid JSON array in its original text.
#[derive(Debug, Clone)]
pub struct Args(Box<RawValue>);

impl Args {
    /// Returns `None` unless `json` is a JSON array without surrounding whitespace.
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

    /// The element at `index`. In an event, 0 is the name and 1 the first argument. Scans the text on every
    /// call.
    pub fn get(&self, index: usize) -> Option<&RawValue> {
        let mut json = serde_json::Deserializer::from_str(self.0.get());
        json.deserialize_seq(Nth(index)).ok().flatten()
    }

    /// All elements in order, including an event's name.
    pub fn items(&self) -> Vec<&RawValue> {
        serde_json::from_str(self.0.get()).unwrap_or_default()
    }

    /// The name of an event. socket.io-client also allows a number, which is returned as text. `None` if the
    /// first element is missing or has another type.
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

    /// The first argument after the event's name.
    pub fn first(&self) -> Option<&RawValue> {
        self.get(1)
    }
}

/// Extracts one element of an array without building the others.
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
    fn elements_keep_their_original_text() {
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
    fn parse_rejects_anything_but_an_array() {
        for wrong in ["", "{}", "[", "[1]2", "[1,]", "null", "\"[]\"", " []"] {
            assert!(Args::parse(wrong).is_none(), "{wrong}");
        }
    }
}
