//! How much memory this process may use: what the machine has, or what its container allows. And how much it uses.

use std::fs;
use std::path::Path;

/// Where Linux says what a control group may use, in version 2 and version 1.
const CGROUP_FILES: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
const MEMINFO: &str = "/proc/meminfo";
const STATUS: &str = "/proc/self/status";
/// What is assumed where none of these files can be read: the memory of the smallest machines that are rented.
const UNKNOWN_BYTES: usize = 512 * 1024 * 1024;

/// Bytes of memory that this process may use.
pub(crate) fn limit() -> usize {
    let groups = CGROUP_FILES.iter().filter_map(|file| group(&read(file)?));
    let machine = read(MEMINFO).and_then(|text| machine(&text));
    groups.chain(machine).min().unwrap_or(UNKNOWN_BYTES)
}

/// Bytes of memory that this process has at the moment: what is resident. 0 where nothing says so.
pub(crate) fn resident() -> usize {
    read(STATUS).and_then(|text| of_line(&text, "VmRSS:")).unwrap_or_default()
}

fn read(file: &str) -> Option<String> {
    fs::read_to_string(Path::new(file)).ok()
}

/// The limit of a control group; version 2 says `max` where there is none, version 1 a number that is
/// larger than every machine.
fn group(text: &str) -> Option<usize> {
    text.trim().parse().ok()
}

fn machine(text: &str) -> Option<usize> {
    of_line(text, "MemTotal:")
}

/// The bytes in a line that begins so, as `/proc` writes them.
fn of_line(text: &str, name: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_linux_writes_them() {
        assert_eq!((group("max\n"), group("268435456\n"), group("")), (None, Some(256 << 20), None));
        let text = "MemTotal:       24690180 kB\nMemFree:         1 kB\n";
        assert_eq!((machine(text), machine("MemFree: 1 kB")), (Some(24_690_180 * 1024), None));
        assert!(limit() > 1 << 20);
    }

    #[test]
    fn a_process_that_runs_has_memory() {
        let status = "VmPeak:\t  1 kB\nVmRSS:\t  12 kB\n";
        assert_eq!(of_line(status, "VmRSS:"), Some(12 * 1024));
        assert!(resident() > 1 << 20, "{}", resident());
    }
}
