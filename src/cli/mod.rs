//! The command line: parses the arguments, runs one command, and sets the exit code (0 success, 1
//! failure, 2 wrong usage or option). The command's result goes to stdout; everything else, and
//! every error as one line, goes to stderr.

pub mod api;
pub mod error;
pub mod flags;
pub mod output;

mod backup;
mod check;
mod health;
mod progress;
mod restore;
mod serve;
mod token;
mod usage;
mod watch;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{FromArgMatches, Parser, Subcommand};

use crate::config::{Environment, Sources, load, load::DEFAULT_OPTIONS_FILE};

pub use error::CliError;
use flags::OptionFlags;

const AFTER_HELP: &str = "\
Without a command, wallcast runs the daemon. Options can also be set in the options file (data_dir) or in the
environment (WALLCAST_DATA_DIR). A flag overrides the environment, which overrides the file.
Lists are separated by commas.";

/// Wallcast pairs wall tablets with Home Assistant and sends them live events
#[derive(Parser)]
#[command(name = "wallcast", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Option<Subcommands>,

    /// JSON file of options [default: /data/options.json, if there is one]
    #[arg(long = "options", value_name = "FILE", global = true)]
    options_file: Option<PathBuf>,

    #[command(flatten)]
    options: OptionFlags,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Run the daemon (what wallcast does without a command)
    Serve,
    /// Create, list and revoke tokens
    #[command(subcommand, arg_required_else_help = false)]
    Token(token::TokenCommand),
    /// Copy all data into one file; works while the daemon runs
    Backup(backup::BackupCommand),
    /// Replace all data with a backup; the daemon must be stopped
    Restore(restore::RestoreCommand),
    /// Show the options and where each came from, check the data folder, and exit
    Check,
    /// Ask the running daemon for its health (for a container's health check)
    Health,
    /// Connect to a Wallcast server and print its events
    Watch(watch::WatchCommand),
}

/// Runs one command line. The first argument is the program's name.
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let arguments = flags::join_switches(arguments);
    // A separate statement, so that the parser is freed: it takes a quarter of a megabyte, and the
    // daemon does not need it.
    let parsed = command().try_get_matches_from_mut(&arguments);
    let result = match parsed {
        Ok(matches) => Cli::from_arg_matches(&matches)
            .map_err(|error| CliError::Usage(error.to_string()))
            .and_then(|cli| run(cli, Environment::new(variables))),
        Err(error) => usage::handle(&error, &mut command(), &arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

fn run(cli: Cli, environment: Environment) -> Result<(), CliError> {
    let sources = Sources {
        options_file: cli.options_file,
        default_file: DEFAULT_OPTIONS_FILE.into(),
        environment,
        flags: cli.options.values,
    };
    match cli.command.unwrap_or(Subcommands::Serve) {
        Subcommands::Serve => serve::run(load(&sources)?),
        Subcommands::Token(token) => token.run(load(&sources)?),
        Subcommands::Backup(backup) => backup.run(&load(&sources)?),
        Subcommands::Restore(restore) => restore.run(&load(&sources)?),
        Subcommands::Check => check::run(&load(&sources)?),
        Subcommands::Health => health::run(&load(&sources)?),
        // The terminal client runs on any machine and does not read the daemon's options.
        Subcommands::Watch(watch) => watch.run(&sources.environment),
    }
}

/// The argument parser. Only commands that use all options list them in their help.
fn command() -> clap::Command {
    use clap::CommandFactory;
    Cli::command().mut_subcommands(|subcommand| match subcommand.get_name() {
        "serve" | "check" => subcommand,
        _ => flags::hide(subcommand),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn command_definitions_are_valid() {
        super::command().debug_assert();
    }
}
