//! Generates one flag per row of the option table. Knows no option by name and checks no value.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::config::options::{self, OptionKind, OptionRow, ROWS};

/// The option flags of a command line, unparsed.
#[derive(Default)]
pub(super) struct OptionFlags {
    /// Name and text. The values of a repeated list flag are joined by commas.
    pub(super) values: Vec<(&'static str, String)>,
}

impl Args for OptionFlags {
    fn augment_args(command: Command) -> Command {
        command.args(ROWS.iter().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for OptionFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for row in ROWS {
            let Ok(Some(texts)) = matches.try_get_many::<String>(row.name) else {
                continue;
            };
            let texts: Vec<&str> = texts.map(String::as_str).collect();
            let text = match (&row.kind, texts.last()) {
                (OptionKind::List(..), _) => texts.join(","),
                (_, Some(last)) => (*last).to_owned(),
                (_, None) => continue,
            };
            self.values.push((row.name, text));
        }
        Ok(())
    }
}

fn flag(row: &'static OptionRow) -> Arg {
    let arg = Arg::new(row.name)
        .long(row.name.replace('_', "-"))
        .help(help(row))
        .help_heading(row.section)
        .next_line_help(true)
        .action(ArgAction::Append)
        .allow_hyphen_values(matches!(row.kind, OptionKind::Number(..)))
        .global(true);
    match &row.kind {
        OptionKind::Switch => arg
            .value_name("true|false")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        OptionKind::Number(..) => arg.value_name("N"),
        OptionKind::Choice(words) => arg.value_name(words.join("|")),
        OptionKind::Text(name, _) | OptionKind::Secret(name, _) => arg.value_name(*name),
        OptionKind::List(item, _) => arg.value_name(format!("{item},…")),
    }
}

fn help(row: &OptionRow) -> String {
    format!("{} [default: {}]", row.help, row.default)
}

/// Adds every option flag to a command, hidden in its help.
pub(super) fn hide(command: Command) -> Command {
    let options_file = Arg::new("options_file")
        .long("options")
        .value_name("FILE")
        .value_parser(clap::value_parser!(std::path::PathBuf))
        .global(true)
        .hide(true);
    command
        .args(ROWS.iter().map(|row| flag(row).hide(true)))
        .arg(options_file)
        .after_help(
            "The daemon's options, such as --data-dir, are accepted too: see wallcast --help",
        )
}

/// Joins `--switch false` into `--switch=false`. A switch needs no value, so clap would otherwise
/// take the next word for a separate argument.
pub(super) fn join_switches(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    for argument in arguments {
        match joined.last_mut() {
            Some(last) if (argument == "true" || argument == "false") && is_switch(last) => {
                last.push("=");
                last.push(argument);
            }
            _ => joined.push(argument),
        }
    }
    joined
}

fn is_switch(argument: &OsString) -> bool {
    let mut switches = ROWS
        .iter()
        .filter(|row| matches!(row.kind, OptionKind::Switch));
    switches.any(|row| *argument == *options::flag(row.name))
}
