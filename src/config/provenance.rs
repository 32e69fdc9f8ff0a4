//! Where each option's value came from, and the error line for an invalid value.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use super::options;

/// The source of an option's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionSource {
    /// The built-in default.
    Default,
    /// The options file at this path.
    File(PathBuf),
    /// The environment variable `WALLCAST_<OPTION>`.
    Environment,
    /// The flag `--<option>`.
    Flag,
}

/// An option's value as text, with its source.
#[derive(Clone, Debug)]
pub struct OptionValue {
    /// Lists are joined by commas; a secret is `***`.
    pub text: String,
    pub source: OptionSource,
}

/// The values of all options that have one, by name.
#[derive(Clone, Debug, Default)]
pub struct Provenance(BTreeMap<&'static str, OptionValue>);

/// Why the options cannot be used. `Display` is one line with the option, its source and the
/// allowed values.
#[derive(Debug, thiserror::Error)]
pub enum OptionError {
    #[error("unknown option {name:?} in {place}; allowed: {}", options::names().join(", "))]
    Unknown { name: String, place: String },
    /// The option does not accept the value.
    #[error("{option} is {value:?} ({place}); allowed: {allowed}")]
    Invalid {
        option: &'static str,
        /// The value as given.
        value: String,
        place: String,
        allowed: String,
    },
    #[error("the options file {} cannot be read: {cause}", path.display())]
    Unreadable {
        path: PathBuf,
        cause: std::io::Error,
    },
    #[error("the options file {} is not a JSON object: {cause}", path.display())]
    NotJson {
        path: PathBuf,
        cause: serde_json::Error,
    },
}

impl Provenance {
    pub(super) fn record(&mut self, option: &'static str, value: OptionValue) {
        self.0.insert(option, value);
    }

    /// The value of an option; `None` if it is not given and has no default.
    pub fn get(&self, option: &str) -> Option<&OptionValue> {
        self.0.get(option)
    }

    /// Whether the value was given rather than the built-in default.
    pub fn is_explicit(&self, option: &str) -> bool {
        self.get(option)
            .is_some_and(|value| value.source != OptionSource::Default)
    }

    /// The error for an option with an invalid value, also when that is found after loading.
    /// `allowed` describes the allowed values.
    pub fn invalid(&self, option: &'static str, allowed: impl Into<String>) -> OptionError {
        let (value, place) = match self.get(option) {
            Some(value) => (value.text.clone(), value.source.place(option)),
            None => (String::new(), OptionSource::Default.place(option)),
        };
        OptionError::Invalid {
            option,
            value,
            place,
            allowed: allowed.into(),
        }
    }
}

impl OptionSource {
    /// The source in words that a person can find again: a path, a variable or a flag.
    pub fn place(&self, option: &str) -> String {
        match self {
            Self::Default => "default".to_owned(),
            Self::File(path) => path.display().to_string(),
            Self::Environment => {
                format!("environment variable {}", options::variable(option))
            }
            Self::Flag => format!("flag {}", options::flag(option)),
        }
    }
}

impl fmt::Display for OptionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
