//! `wallcast restore`: a backup in place of the house, while no daemon runs. It says which tokens come back with it.

use std::path::PathBuf;

use clap::Args;

use super::{CliError, backup::told, output, progress::Meter};
use crate::{
    config::Config,
    tokens::{self, Standing},
};
use wallcast_core::{
    clock::Timestamp,
    store::restore::{self, RestoreError},
};

#[derive(Args)]
pub(super) struct Restore {
    /// A file that wallcast backup wrote, or any copy of a house's database
    file: PathBuf,
}

const TITLES: [&str; 5] = ["JTI", "ROLE", "SUBJECT", "NAME", "EXPIRES"];

impl Restore {
    pub(super) fn run(self, config: &Config) -> Result<(), CliError> {
        let source = restore::open(&self.file)?;
        let standing = source
            .read(|db| tokens::standing(db, Timestamp::now()))
            .map_err(|error| RestoreError::Unreadable {
                file: self.file.clone(),
                cause: error.into(),
            })?;
        let meter = Meter::new();
        let replaced = source.restore_into(&config.data_dir, &meter.hears())?;
        drop(meter);
        say(&format!(
            "restored {} from {} ({}), made {}",
            replaced.database.display(),
            self.file.display(),
            told(&replaced.summary),
            replaced.summary.made_at
        ))?;
        if let Some(kept) = &replaced.kept {
            say(&format!("the old house is kept in {}", kept.display()))?;
        }
        tell(&standing)
    }
}

fn tell(standing: &[Standing]) -> Result<(), CliError> {
    if standing.is_empty() {
        return say("no token came back with it");
    }
    say(
        "these tokens stand again; revoke those that you do not want by `wallcast token revoke JTI`",
    )?;
    let mut rows = vec![TITLES.map(str::to_owned).to_vec()];
    rows.extend(standing.iter().map(|token| {
        vec![
            token.jti.to_string(),
            token.role.clone(),
            token.subject.clone(),
            token.name.clone(),
            token.expires_at.to_string(),
        ]
    }));
    for line in output::table(&rows) {
        output::line(&line)?;
    }
    Ok(())
}

fn say(text: &str) -> Result<(), CliError> {
    output::line(&output::printable(text))
}
