//! The command line: what was typed becomes one command, and its end becomes an exit code (0 well, 1 failed, 2 wrongly said).
//! A command prints what was asked for on stdout; everything else, and every error in one line, goes to stderr.

pub mod api;
pub mod failure;
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

pub use failure::CliError;
use flags::OptionFlags;

const AFTER_HELP: &str = "\
Without a command wallcast serves. Each option may also stand in the options file (data_dir) or in the
environment (WALLCAST_DATA_DIR); a flag wins over the environment, and that over the file.
Lists are separated by commas.";

/// Wallcast pairs wall tablets with Home Assistant and tells them what happens in the house.
#[derive(Parser)]
#[command(name = "wallcast", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// JSON file of options [default: /data/options.json, if there is one]
    #[arg(long = "options", value_name = "FILE", global = true)]
    options_file: Option<PathBuf>,

    #[command(flatten)]
    options: OptionFlags,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon (what wallcast does without a command)
    Serve,
    /// Make, list and revoke tokens
    #[command(subcommand, arg_required_else_help = false)]
    Token(token::Token),
    /// Copy the whole house into one file, beside a running daemon or without one
    Backup(backup::Backup),
    /// Put a backup in place of the house; the daemon must be stopped
    Restore(restore::Restore),
    /// Show the options and where each came from, look at the data folder, and exit
    Check,
    /// Ask the running daemon whether all is well (for a container's health check)
    Health,
    /// Connect to a Wallcast and print what it tells
    Watch(watch::Watch),
}

/// Runs one command line to its end. The first argument is the program's name.
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let arguments = flags::join_switches(arguments);
    // In a statement of its own: the grammar takes a quarter of a megabyte, and the daemon needs none of it.
    let parsed = command().try_get_matches_from_mut(&arguments);
    let ended = match parsed {
        Ok(matches) => Cli::from_arg_matches(&matches)
            .map_err(|error| CliError::Usage(error.to_string()))
            .and_then(|cli| run(cli, Environment::new(variables))),
        Err(error) => usage::answer(&error, &mut command(), &arguments),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

fn run(cli: Cli, environment: Environment) -> Result<(), CliError> {
    let sources = Sources {
        options_file: cli.options_file,
        default_file: DEFAULT_OPTIONS_FILE.into(),
        environment,
        flags: cli.options.said,
    };
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(load(&sources)?),
        Command::Token(token) => token.run(load(&sources)?),
        Command::Backup(backup) => backup.run(&load(&sources)?),
        Command::Restore(restore) => restore.run(&load(&sources)?),
        Command::Check => check::run(&load(&sources)?),
        Command::Health => health::run(&load(&sources)?),
        // A terminal client is at home on any machine; the daemon's options do not concern it.
        Command::Watch(watch) => watch.run(&sources.environment),
    }
}

/// The whole grammar. Only the commands that run on all options show them in their help.
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
    fn the_grammar_is_sound() {
        super::command().debug_assert();
    }
}
