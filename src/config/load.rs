//! Reads the options from defaults, options file, environment and flags; later sources override
//! earlier ones. The only file that uses figment.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use figment::{
    Figment, Metadata, Profile, Provider,
    value::{Dict, Map, Value},
};

use super::{
    Config, OptionError, OptionSource, OptionValue, Provenance, RawOptions, Secret,
    options::{self, OptionKind, OptionRow, ROWS},
};

/// The add-on's options file. Also read elsewhere if it exists, unless `--options` names another.
pub const DEFAULT_OPTIONS_FILE: &str = "/data/options.json";

/// `WALLCAST_*` variables that are not options; the command line reads them.
const OTHER_VARIABLES: [&str; 1] = ["WALLCAST_TOKEN"];

/// The process environment, passed in so that tests can provide their own.
#[derive(Clone, Default)]
pub struct Environment(Vec<(String, String)>);

/// The sources that options are read from.
#[derive(Default)]
pub struct Sources {
    /// `--options FILE`: must exist. Without it the default file is read if it is there.
    pub options_file: Option<PathBuf>,
    /// The default file; [`DEFAULT_OPTIONS_FILE`] outside tests.
    pub default_file: PathBuf,
    /// The environment: `WALLCAST_*` and `SUPERVISOR_TOKEN`.
    pub environment: Environment,
    /// Flags by option name, unparsed.
    pub flags: Vec<(&'static str, String)>,
}

/// Reads all sources into a [`Config`].
///
/// # Errors
/// The first invalid option, in one line that says where it was given.
pub fn load(sources: &Sources) -> Result<Config, OptionError> {
    let supervisor_token = sources
        .environment
        .get("SUPERVISOR_TOKEN")
        .and_then(|text| Secret::new(text.to_owned()));
    let layers = [
        defaults(supervisor_token.is_some()),
        file(sources)?,
        environment(&sources.environment)?,
        flags(&sources.flags),
    ];
    let mut figment = Figment::new();
    for layer in &layers {
        figment = figment.merge(layer);
    }
    let provenance = provenance(&figment, &layers);
    let raw: RawOptions = figment
        .extract()
        .map_err(|error| invalid(&error, &provenance))?;
    Config::resolve(raw, provenance, supervisor_token)
}

impl Environment {
    /// Takes variables from the operating system; invalid UTF-8 becomes `U+FFFD`.
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let text = |raw: OsString| raw.to_string_lossy().into_owned();
        let pairs = variables.into_iter();
        Self(
            pairs
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
        )
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        pairs
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The values of one source. Names are checked, values are not.
struct Layer {
    source: OptionSource,
    values: Dict,
}

impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(layer_name(&self.source))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

fn layer_name(source: &OptionSource) -> &'static str {
    match source {
        OptionSource::Default => "defaults",
        OptionSource::File(_) => "options file",
        OptionSource::Environment => "environment",
        OptionSource::Flag => "flags",
    }
}

fn defaults(in_addon: bool) -> Layer {
    let values = ROWS
        .iter()
        .filter_map(|row| Some((row, row.default.text(in_addon)?)));
    Layer {
        source: OptionSource::Default,
        values: values.map(|(row, text)| entry(row, text)).collect(),
    }
}

fn file(sources: &Sources) -> Result<Layer, OptionError> {
    let (path, must_exist) = match &sources.options_file {
        Some(path) => (path.as_path(), true),
        None => (sources.default_file.as_path(), false),
    };
    let mut values = match std::fs::read(path) {
        Ok(bytes) => parse_object(path, &bytes)?,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound && !must_exist => Dict::new(),
        Err(cause) => {
            return Err(OptionError::Unreadable {
                path: path.to_owned(),
                cause,
            });
        }
    };
    // A form sends null for a field that is left empty.
    values.retain(|_, value| !matches!(value, Value::Empty(..)));
    let source = OptionSource::File(path.to_owned());
    if let Some(name) = values.keys().find(|name| options::row(name).is_none()) {
        return Err(OptionError::Unknown {
            name: name.clone(),
            place: source.place(name),
        });
    }
    Ok(Layer { source, values })
}

fn parse_object(path: &Path, bytes: &[u8]) -> Result<Dict, OptionError> {
    serde_json::from_slice(bytes).map_err(|cause| OptionError::NotJson {
        path: path.to_owned(),
        cause,
    })
}

fn environment(environment: &Environment) -> Result<Layer, OptionError> {
    let mut values = Dict::new();
    for (variable, text) in &environment.0 {
        if !variable.starts_with(options::VARIABLE_PREFIX)
            || OTHER_VARIABLES.contains(&variable.as_str())
        {
            continue;
        }
        let row = ROWS
            .iter()
            .find(|row| options::variable(row.name) == *variable);
        let Some(row) = row else {
            return Err(OptionError::Unknown {
                name: variable.clone(),
                place: format!(
                    "the environment (one is {}<OPTION>)",
                    options::VARIABLE_PREFIX
                ),
            });
        };
        values.extend([entry(row, text)]);
    }
    Ok(Layer {
        source: OptionSource::Environment,
        values,
    })
}

fn flags(flags: &[(&'static str, String)]) -> Layer {
    let values = flags
        .iter()
        .filter_map(|(name, text)| Some((options::row(name)?, text)));
    Layer {
        source: OptionSource::Flag,
        values: values.map(|(row, text)| entry(row, text)).collect(),
    }
}

/// Converts text to the type of the option's row, and never guesses: `8443` stays text for a text
/// option. Text that does not fit stays text, so that the typed extraction refuses it.
fn entry(row: &OptionRow, text: &str) -> (String, Value) {
    let value = match &row.kind {
        OptionKind::Switch => text
            .parse()
            .map_or_else(|_| Value::from(text), |on: bool| on.into()),
        OptionKind::Number(..) => text
            .parse()
            .map_or_else(|_| Value::from(text), |n: u64| n.into()),
        OptionKind::Choice(_)
        | OptionKind::Text(..)
        | OptionKind::Secret(..)
        | OptionKind::List(..) => Value::from(text),
    };
    (row.name.to_owned(), value)
}

fn provenance(figment: &Figment, layers: &[Layer]) -> Provenance {
    let mut provenance = Provenance::default();
    for row in ROWS {
        let Ok(value) = figment.find_value(row.name) else {
            continue;
        };
        let name = figment
            .get_metadata(value.tag())
            .map(|metadata| metadata.name.as_ref());
        let layer = layers
            .iter()
            .find(|layer| Some(layer_name(&layer.source)) == name);
        let source = layer.map_or(OptionSource::Default, |layer| layer.source.clone());
        let text = match row.kind {
            OptionKind::Secret(..) => "***".to_owned(),
            _ => text(&value),
        };
        provenance.record(row.name, OptionValue { text, source });
    }
    provenance
}

fn text(value: &Value) -> String {
    match value {
        Value::String(_, text) => text.clone(),
        Value::Array(_, items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}

fn invalid(error: &figment::Error, provenance: &Provenance) -> OptionError {
    let path = error.path.first().map_or("", String::as_str);
    match options::row(path) {
        Some(row) => provenance.invalid(row.name, row.kind.allowed()),
        // Unreachable, because each layer checks its names.
        None => OptionError::Unknown {
            name: path.to_owned(),
            place: error.to_string(),
        },
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
