//! How much memory this process may use: what the machine has, or what its container allows.

use std::fs;
use std::path::Path;

/// Where Linux says what a control group may use, in version 2 and version 1.
const CGROUP_FILES: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
const MEMINFO: &str = "/proc/meminfo";
/// What is assumed where none of these files can be read: the memory of the smallest machines that are rented.
const UNKNOWN_BYTES: usize = 512 * 1024 * 1024;

/// Bytes of memory that this process may use.
pub(crate) fn limit() -> usize {
    let groups = CGROUP_FILES.iter().filter_map(|file| group(&read(file)?));
    let machine = read(MEMINFO).and_then(|text| machine(&text));
    groups.chain(machine).min().unwrap_or(UNKNOWN_BYTES)
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
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
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
}
