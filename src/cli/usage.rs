//! Turns clap's results into this program's output: help on stdout unchanged, an error as one line
//! that lists what is allowed.

use std::{ffi::OsString, io::Write};

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::CliError;

/// Prints help or the version, or returns the usage error.
pub(super) fn handle(
    error: &clap::Error,
    definition: &mut clap::Command,
    arguments: &[OsString],
) -> Result<(), CliError> {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        let mut stdout = std::io::stdout().lock();
        write!(stdout, "{}", error.render())?;
        stdout.flush()?;
        return Ok(());
    }
    definition.build();
    let command = subcommand(definition, arguments);
    let message = first_part(&error.render().to_string());
    let line = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(flag))) if flag.starts_with('-') => {
            let flags = command.get_arguments().filter_map(|arg| arg.get_long());
            let flags: Vec<String> = flags.map(|long| format!("--{long}")).collect();
            let flags = flags.join(", ");
            format!("unknown option {flag:?} on the command line; allowed: {flags}")
        }
        (ErrorKind::InvalidSubcommand, _) => {
            let names: Vec<&str> = command
                .get_subcommands()
                .map(|sub| sub.get_name())
                .collect();
            format!("{message}; allowed: {}", names.join(", "))
        }
        _ => message,
    };
    let name = command.get_bin_name().unwrap_or("wallcast");
    Err(CliError::Usage(format!("{line}; see `{name} --help`")))
}

/// The subcommand that the arguments lead to: each word that names a subcommand descends one level.
fn subcommand<'a>(definition: &'a clap::Command, arguments: &[OsString]) -> &'a clap::Command {
    let words = arguments.iter().skip(1);
    words.fold(definition, |command, word| {
        command.find_subcommand(word).unwrap_or(command)
    })
}

/// Clap's message without usage and hints, as one line.
fn first_part(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let message = lines.take_while(|line| {
        !line.starts_with("Usage:") && !line.starts_with("For more information")
    });
    let words: Vec<&str> = message.filter(|line| !line.is_empty()).collect();
    let line = words.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}
