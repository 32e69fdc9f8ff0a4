//! Runs the binary with an environment of its own and waits for its end.

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The binary with nothing of this process's environment that could say an option.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wallcast"));
    command.env_clear().stdin(Stdio::null());
    command
}

pub(crate) fn wallcast(arguments: &[&str]) -> Ended {
    ended(program().args(arguments).output().unwrap())
}

pub(crate) fn wallcast_in(data_dir: &Path, arguments: &[&str]) -> Ended {
    let mut command = program();
    command.env("WALLCAST_DATA_DIR", data_dir);
    ended(command.args(arguments).output().unwrap())
}

pub(crate) fn wallcast_told(command: &mut Command, input: &str) -> Ended {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.stderr(Stdio::piped()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    ended(child.wait_with_output().unwrap())
}

pub(crate) fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ended {
    /// The one line on stderr, with nothing on stdout.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        let line = self.stderr.strip_prefix("wallcast: ").unwrap();
        line.trim_end()
    }

    /// What stands on stdout, with nothing on stderr.
    #[track_caller]
    pub(crate) fn said(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert_eq!(self.stderr, "", "{self:?}");
        &self.stdout
    }
}
