//! Memory use and memory limit of this process on Linux. Returns `None` on other systems.

use std::fs;
use std::path::Path;

/// Resident memory in bytes (`VmRSS`, proc(5)).
pub(super) fn memory() -> Option<u64> {
    kibibytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// The lower of the machine's memory and the limits of the process's control groups, in bytes.
pub(super) fn memory_limit() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| kibibytes(&text, "MemTotal:"));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    machine
        .into_iter()
        .chain(group_limit(Path::new("/sys/fs/cgroup"), &groups))
        .min()
}

/// Reads a line such as `VmRSS:   1234 kB`, in bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(number.saturating_mul(1024))
}

/// The lowest limit of the process's control group and its ancestors (cgroups(7)). A container sees
/// its own group as the root.
fn group_limit(root: &Path, groups: &str) -> Option<u64> {
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let (top, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            "memory" => (root.join("memory"), "memory.limit_in_bytes"),
            _ => continue,
        };
        let group = top.join(path.trim_start_matches('/'));
        limits.extend(
            group
                .ancestors()
                .take_while(|above| above.starts_with(&top))
                .filter_map(|above| fs::read_to_string(above.join(file)).ok())
                // `max` means no limit, and does not parse as a number.
                .filter_map(|text| text.trim().parse::<u64>().ok()),
        );
    }
    limits.into_iter().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_below_its_limit() {
        let (memory, limit) = (memory().unwrap(), memory_limit().unwrap());
        assert!(memory > 1 << 20, "{memory}");
        assert!(limit > memory, "{limit}");
    }

    #[test]
    fn kibibytes_reads_proc_lines() {
        let text = "VmPeak:\t  100 kB\nVmRSS:\t   12 kB\n";
        assert_eq!(kibibytes(text, "VmRSS:"), Some(12 * 1024));
        assert_eq!(kibibytes(text, "VmSwap:"), None);
    }

    #[test]
    fn lowest_group_limit_applies() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("docker/abc");
        fs::create_dir_all(&inner).unwrap();
        let groups = "0::/docker/abc\n";
        assert_eq!(group_limit(root.path(), groups), None);
        fs::write(inner.join("memory.max"), "max\n").unwrap();
        assert_eq!(group_limit(root.path(), groups), None);
        fs::write(root.path().join("docker/memory.max"), "5000\n").unwrap();
        assert_eq!(group_limit(root.path(), groups), Some(5000));
        fs::write(inner.join("memory.max"), "4000\n").unwrap();
        assert_eq!(group_limit(root.path(), groups), Some(4000));

        let old = root.path().join("memory");
        fs::create_dir_all(&old).unwrap();
        fs::write(old.join("memory.limit_in_bytes"), "3000\n").unwrap();
        let groups = "5:cpu,cpuacct:/\n4:memory:/docker/abc\n0::/docker/abc\n";
        assert_eq!(group_limit(root.path(), groups), Some(3000));
    }
}
