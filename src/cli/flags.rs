//! One flag for each row of the table of options. It knows no option by name and checks no value.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::config::options::{self, Kind, ROWS, Row};

/// The options that stood on the command line, by name, as they were typed.
#[derive(Default)]
pub(super) struct OptionFlags {
    /// Name and text; a list given by several flags is joined by commas.
    pub(super) said: Vec<(&'static str, String)>,
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
                (Kind::List(..), _) => texts.join(","),
                (_, Some(last)) => (*last).to_owned(),
                (_, None) => continue,
            };
            self.said.push((row.name, text));
        }
        Ok(())
    }
}

fn flag(row: &'static Row) -> Arg {
    let arg = Arg::new(row.name)
        .long(row.name.replace('_', "-"))
        .help(help(row))
        .help_heading(row.section)
        .next_line_help(true)
        .action(ArgAction::Append)
        .allow_hyphen_values(matches!(row.kind, Kind::Number(..)))
        .global(true);
    match &row.kind {
        Kind::Switch => arg
            .value_name("true|false")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        Kind::Number(..) => arg.value_name("N"),
        Kind::Choice(words) => arg.value_name(words.join("|")),
        Kind::Text(name, _) | Kind::Secret(name, _) => arg.value_name(*name),
        Kind::List(item, _) => arg.value_name(format!("{item},…")),
    }
}

fn help(row: &Row) -> String {
    format!("{} [default: {}]", row.help, row.fallback)
}

/// Lets a command take every option flag without showing them in its help.
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
            "The daemon's options, such as --data-dir, are taken here too: see wallcast --help",
        )
}

/// Makes `--switch false` one argument, `--switch=false`. A switch may also stand alone, so that clap
/// would have to guess whether the next word belongs to it.
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
    let mut switches = ROWS.iter().filter(|row| matches!(row.kind, Kind::Switch));
    switches.any(|row| *argument == *options::flag(row.name))
}
