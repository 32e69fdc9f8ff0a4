//! `wallcast restore`: replaces all data with a backup while no daemon runs, and lists the tokens
//! that are valid again.

use std::path::PathBuf;

use clap::Args;
use wallcast_core::{
    clock::Timestamp,
    store::restore::{self, RestoreError},
};

use super::{CliError, backup::summary_text, output, progress::ProgressLine};
use crate::{
    config::Config,
    tokens::{self, ActiveToken},
};

#[derive(Args)]
pub(super) struct RestoreCommand {
    /// A file that wallcast backup wrote, or any copy of a Wallcast database
    file: PathBuf,
}

const COLUMN_TITLES: [&str; 5] = ["JTI", "ROLE", "SUBJECT", "NAME", "EXPIRES"];

impl RestoreCommand {
    pub(super) fn run(self, config: &Config) -> Result<(), CliError> {
        let source = restore::open(&self.file)?;
        let valid_tokens = source
            .read(|db| tokens::active(db, Timestamp::now()))
            .map_err(|error| RestoreError::Unreadable {
                file: self.file.clone(),
                cause: error.into(),
            })?;
        let progress = ProgressLine::new();
        let replaced = source.restore_into(&config.data_dir, &progress.callback())?;
        drop(progress);
        print(&format!(
            "restored {} from {} ({}), made {}",
            replaced.database.display(),
            self.file.display(),
            summary_text(&replaced.summary),
            replaced.summary.made_at
        ))?;
        if let Some(kept) = &replaced.kept {
            print(&format!(
                "the previous database is kept in {}",
                kept.display()
            ))?;
        }
        list_tokens(&valid_tokens)
    }
}

fn list_tokens(tokens: &[ActiveToken]) -> Result<(), CliError> {
    if tokens.is_empty() {
        return print("the backup contains no valid token");
    }
    print(
        "these tokens are valid again; revoke those you do not want with `wallcast token revoke JTI`",
    )?;
    let mut rows = vec![COLUMN_TITLES.map(str::to_owned).to_vec()];
    rows.extend(tokens.iter().map(|token| {
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

fn print(text: &str) -> Result<(), CliError> {
    output::line(&output::printable(text))
}
