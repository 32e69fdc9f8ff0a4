//! Text that must never appear in a log, error or report.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// A secret from the environment or the options. `Debug` prints `***`; there is no `Display`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// `None` if the text is empty.
    pub fn new(text: String) -> Option<Self> {
        (!text.is_empty()).then_some(Self(text))
    }

    /// The text itself; call it only where the secret is sent.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Figment keeps numeric-looking text as text; other types are refused.
        String::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn debug_hides_secret_and_empty_is_none() {
        let secret = Secret::new("hunter2".into()).unwrap();
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(secret.expose(), "hunter2");
        assert!(Secret::new(String::new()).is_none());
    }
}
