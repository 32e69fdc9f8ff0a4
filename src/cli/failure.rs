//! How a command ends badly: its one line and its exit code.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use super::{api::ApiError, output::printable};
use crate::{config::OptionError, daemon::StartError};
use wallcast_core::store::{backup::BackupError, restore::RestoreError};

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// An option is unknown or wrong. Exit code 2.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The command was wrongly typed. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The daemon could not start or run. Exit code 1, or 2 where an option is to blame.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The API could not be asked, or refused. Exit code 1.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// There is no backup. Exit code 1.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// Nothing was restored. Exit code 1.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// Anything else, in words. Exit code 1.
    #[error("{0}")]
    Failed(String),
    /// The reader of our output went away (`| head`). Nobody is left to be told: silent, exit code 0.
    #[error("standard output was closed")]
    OutputClosed,
    /// The output cannot be written. Exit code 1.
    #[error("standard output cannot be written: {0}")]
    Output(io::Error),
}

impl CliError {
    /// Prints the one line on stderr and gives the exit code.
    pub fn report(&self) -> ExitCode {
        if matches!(self, Self::OutputClosed) {
            return ExitCode::SUCCESS;
        }
        // A closed stderr leaves nobody to tell either.
        let _ = writeln!(io::stderr(), "wallcast: {}", printable(&self.to_string()));
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        match self {
            Self::Option(_) | Self::Usage(_) => 2,
            Self::Start(error) if error.is_option() => 2,
            Self::Api(error) if error.is_option() => 2,
            Self::OutputClosed => 0,
            _ => 1,
        }
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Output(error),
        }
    }
}
