//! Runs the binary to its end with a clean environment.

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

/// The result of a run.
#[derive(Debug)]
pub(crate) struct RunResult {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The binary without this process's environment, which could set options.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wallcast"));
    command.env_clear().stdin(Stdio::null());
    command
}

pub(crate) fn wallcast(arguments: &[&str]) -> RunResult {
    run_result(program().args(arguments).output().unwrap())
}

pub(crate) fn wallcast_in(data_dir: &Path, arguments: &[&str]) -> RunResult {
    let mut command = program();
    command.env("WALLCAST_DATA_DIR", data_dir);
    run_result(command.args(arguments).output().unwrap())
}

pub(crate) fn wallcast_with_input(command: &mut Command, input: &str) -> RunResult {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.stderr(Stdio::piped()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    run_result(child.wait_with_output().unwrap())
}

pub(crate) fn run_result(output: Output) -> RunResult {
    RunResult {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl RunResult {
    /// The only line on stderr, without its prefix. Asserts the exit code and that stdout is empty.
    #[track_caller]
    pub(crate) fn error_line(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        let line = self.stderr.strip_prefix("wallcast: ").unwrap();
        line.trim_end()
    }

    /// The text on stdout. Asserts exit code 0 and that stderr is empty.
    #[track_caller]
    pub(crate) fn stdout(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert_eq!(self.stderr, "", "{self:?}");
        &self.stdout
    }
}
