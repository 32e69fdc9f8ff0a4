//! Reads the token of `watch` from a file, standard input or the environment, never from an
//! argument.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use hyper::header::HeaderValue;

use crate::{cli::CliError, config::Environment};

/// Maximum size of a token file in bytes. A token has about 300, so a larger file is the wrong one.
const MAX_TOKEN_BYTES: u64 = 8 * 1024;

/// Reads the token and returns an `Authorization` header value, marked as sensitive.
pub(super) fn read(
    file: Option<&Path>,
    environment: &Environment,
) -> Result<HeaderValue, CliError> {
    let (text, place) = match (file, environment.get("WALLCAST_TOKEN")) {
        (Some(path), _) if path.as_os_str() == "-" => (
            read_all(io::stdin().lock(), "standard input")?,
            "standard input".to_owned(),
        ),
        (Some(path), _) => {
            let place = path.display().to_string();
            let opened = File::open(path);
            let file = opened.map_err(|error| unreadable(&place, &error))?;
            (read_all(file, &place)?, place)
        }
        (None, Some(text)) => (text.to_owned(), "WALLCAST_TOKEN".to_owned()),
        (None, None) => {
            let text = "watch needs a token: set WALLCAST_TOKEN, or --token-file FILE (- reads standard input)";
            return Err(CliError::Usage(text.to_owned()));
        }
    };
    let token = text.trim();
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    let header = HeaderValue::from_str(&format!("Bearer {token}"));
    match header {
        Ok(mut header) if is_token => {
            header.set_sensitive(true);
            Ok(header)
        }
        _ => Err(CliError::Usage(format!(
            "{place} contains no token: one line, as wallcast token create prints it"
        ))),
    }
}

fn read_all(source: impl Read, place: &str) -> Result<String, CliError> {
    let mut text = String::new();
    let mut bounded = source.take(MAX_TOKEN_BYTES);
    let read = bounded.read_to_string(&mut text);
    read.map_err(|error| unreadable(place, &error))?;
    Ok(text)
}

fn unreadable(place: &str, error: &io::Error) -> CliError {
    CliError::Usage(format!("the token cannot be read from {place}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::config::Environment;

    #[test]
    fn token_file_wins_over_environment() {
        let environment = Environment::new([("WALLCAST_TOKEN".into(), "from-env\n".into())]);
        assert_eq!(read(None, &environment).unwrap(), "Bearer from-env");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "from-file\n").unwrap();
        let header = read(Some(&path), &environment).unwrap();
        assert_eq!(header, "Bearer from-file");
        assert!(!format!("{header:?}").contains("from-file"));
    }

    #[test]
    fn invalid_token_is_refused_without_showing_it() {
        for text in ["", " \n", "two words", "a\u{e9}", "line\nline"] {
            let environment = Environment::new([("WALLCAST_TOKEN".into(), text.into())]);
            let line = read(None, &environment).unwrap_err().to_string();
            assert!(
                line.starts_with("WALLCAST_TOKEN contains no token"),
                "{line}"
            );
        }
        assert!(read(None, &Environment::default()).is_err());
    }
}
