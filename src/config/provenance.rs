//! Where each option's value came from, and the one line that is said when it is wrong.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use super::options;

/// Who said an option's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody: the value is the built-in one.
    Default,
    /// The options file at this path.
    File(PathBuf),
    /// The environment variable `WALLCAST_<OPTION>`.
    Environment,
    /// The flag `--<option>`.
    Flag,
}

/// One option's value in words, and who said it.
#[derive(Clone, Debug)]
pub struct Said {
    /// The value as text; lists are separated by commas.
    pub text: String,
    /// Who said it.
    pub source: Source,
}

/// Every option that has a value, by name.
#[derive(Clone, Debug, Default)]
pub struct Provenance(BTreeMap<&'static str, Said>);

/// Why the options cannot be used. `Display` is one line that names the option, where it came from and what is allowed.
#[derive(Debug, thiserror::Error)]
pub enum OptionError {
    /// No option has this name.
    #[error("unknown option {name:?} in {place}; allowed: {}", options::names().join(", "))]
    Unknown {
        /// The name as it was said.
        name: String,
        /// Where it was said.
        place: String,
    },
    /// The option has a value that it cannot take.
    #[error("{option} is {said:?} ({place}); allowed: {allowed}")]
    Wrong {
        /// The option's name.
        option: &'static str,
        /// Its value as it was said.
        said: String,
        /// Where it was said.
        place: String,
        /// What may be said instead.
        allowed: String,
    },
    /// The options file cannot be read.
    #[error("the options file {} cannot be read: {cause}", path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The options file is not one JSON object.
    #[error("the options file {} is not a JSON object: {cause}", path.display())]
    NotJson {
        /// Its path.
        path: PathBuf,
        /// What the parser said, with line and column.
        cause: serde_json::Error,
    },
}

impl Provenance {
    pub(super) fn note(&mut self, option: &'static str, said: Said) {
        self.0.insert(option, said);
    }

    /// What was said about an option; `None` if nobody said anything and it has no default.
    pub fn of(&self, option: &str) -> Option<&Said> {
        self.0.get(option)
    }

    /// Whether a person said it, rather than the built-in default.
    pub fn is_explicit(&self, option: &str) -> bool {
        self.of(option)
            .is_some_and(|said| said.source != Source::Default)
    }

    /// The error for an option whose value turned out to be unusable, also after loading
    /// (a `tls_names` outside the name constraints). `allowed` says what may be said instead.
    pub fn wrong(&self, option: &'static str, allowed: impl Into<String>) -> OptionError {
        let (said, place) = match self.of(option) {
            Some(said) => (said.text.clone(), said.source.place(option)),
            None => (String::new(), Source::Default.place(option)),
        };
        OptionError::Wrong {
            option,
            said,
            place,
            allowed: allowed.into(),
        }
    }
}

impl Source {
    /// Names the place in words that a person finds again: a path, a variable, a flag.
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

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
