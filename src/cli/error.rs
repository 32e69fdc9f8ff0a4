//! The error of a command: its one line on stderr and its exit code.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use wallcast_core::store::{backup::BackupError, restore::RestoreError};

use super::{api::ApiClientError, output::printable};
use crate::{config::OptionError, daemon::StartError};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// An option is unknown or wrong. Exit code 2.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// Wrong usage. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The daemon could not start or run. Exit code 2 if an option has to be changed, otherwise 1.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The API was not reachable or refused the request. Exit code 1.
    #[error(transparent)]
    Api(#[from] ApiClientError),
    /// No backup was made. Exit code 1.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// Nothing was restored. Exit code 1.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// Anything else. Exit code 1.
    #[error("{0}")]
    Failed(String),
    /// The reader of stdout went away (`| head`). Silent, exit code 0.
    #[error("standard output was closed")]
    OutputClosed,
    /// Stdout cannot be written. Exit code 1.
    #[error("standard output cannot be written: {0}")]
    Output(io::Error),
}

impl CliError {
    /// Prints the error as one line on stderr and returns the exit code.
    pub fn report(&self) -> ExitCode {
        if matches!(self, Self::OutputClosed) {
            return ExitCode::SUCCESS;
        }
        // Ignored: if stderr is closed, nothing can be reported.
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
