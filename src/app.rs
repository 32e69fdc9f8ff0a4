//! Builds and wires every part. A placeholder: it holds the three doors that the command line uses, and opens none.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};

use crate::config::{Config, OptionError};

/// Why the daemon, or the offline work on its data folder, could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An option turned out to be unusable after loading. Exit code 2.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// This build has no daemon inside.
    #[error("this build has no daemon inside")]
    NotBuilt,
}

impl StartError {
    /// Whether the owner has to change an option (exit code 2) rather than the surroundings (exit code 1).
    pub fn is_option(&self) -> bool {
        matches!(self, Self::Option(_))
    }
}

/// Runs the daemon until it is told to stop.
pub async fn run(_config: Config) -> Result<(), StartError> {
    Err(StartError::NotBuilt)
}

/// The same router as the daemon's, as admin, on a data folder that no daemon holds.
#[derive(Debug)]
pub enum Offline {}

/// Takes the data folder's lock and opens it for the command line.
pub async fn offline(_config: Config) -> Result<Offline, StartError> {
    Err(StartError::NotBuilt)
}

impl Offline {
    /// Answers one API request. What was answered is committed.
    pub async fn call(&self, _request: Request<Full<Bytes>>) -> Response<Full<Bytes>> {
        match *self {}
    }
}

/// What a look at the data folder found.
#[derive(Debug, Default)]
pub struct Report {
    /// One finding a line, good or bad.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Debug)]
pub struct Finding {
    /// What was found, one line.
    pub text: String,
    /// Whether the daemon can start with it.
    pub is_sound: bool,
}

/// Looks at the data folder without changing it.
pub async fn check(_config: &Config) -> Result<Report, StartError> {
    Ok(Report::default())
}
