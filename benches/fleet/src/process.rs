//! Processor time and memory of a server, from `/proc`. Linux only.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Outcome;

/// The core that servers run on.
pub const SERVER_CORE: usize = 0;
/// The core that the fleet runs on.
pub const LOAD_CORE: usize = 1;

/// Pins this process to one core.
pub fn pin_to(core: usize) -> Outcome<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}

/// Raises the limit of open files for this process and its children to the machine's maximum.
pub fn allow_many_files() -> Outcome<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    Ok(setrlimit(Resource::Nofile, limit)?)
}

#[derive(Clone, Debug)]
pub struct Process {
    folder: PathBuf,
}

/// The memory of a process, in KiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub resident: u64,
    /// Resident memory with shared pages divided among their users (PSS).
    pub proportional: u64,
}

impl Process {
    pub fn of(pid: u32) -> Self {
        Self {
            folder: Path::new("/proc").join(pid.to_string()),
        }
    }

    /// The processor time of all threads so far, in nanoseconds (schedstat in proc(5)).
    pub fn cpu_nanos(&self) -> Outcome<u64> {
        let mut total = 0;
        for task in fs::read_dir(self.folder.join("task"))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let spent = text.split_whitespace().next().ok_or("schedstat is empty")?;
            total += spent.parse::<u64>()?;
        }
        Ok(total)
    }

    pub fn memory(&self) -> Outcome<Memory> {
        let text = fs::read_to_string(self.folder.join("smaps_rollup"))?;
        let of = |key: &str| -> Outcome<u64> {
            let line = text.lines().find(|line| line.starts_with(key));
            let value = line.and_then(|line| line.split_whitespace().nth(1));
            Ok(value.ok_or("smaps_rollup lacks a line")?.parse()?)
        };
        Ok(Memory {
            resident: of("Rss:")?,
            proportional: of("Pss:")?,
        })
    }
}
