//! What the server's process uses, read from `/proc`: CPU time, memory, descriptors.

use std::fs;
use std::io;
use std::time::Duration;

use serde::Serialize;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    /// Resident memory.
    pub(crate) rss_bytes: u64,
    /// The most resident memory since the process began, or since [`forget_peak`].
    pub(crate) peak_bytes: u64,
    pub(crate) descriptors: usize,
}

/// CPU time between two readings.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Cpu {
    /// Outside the kernel, in microseconds.
    pub user_us: f64,
    /// In the kernel, in microseconds.
    pub system_us: f64,
}

impl Cpu {
    /// User and system time.
    #[must_use]
    pub fn total_us(self) -> f64 {
        self.user_us + self.system_us
    }
}

impl Usage {
    /// Reads what a process uses.
    ///
    /// # Errors
    /// The process does not exist, or this user may not read it.
    pub(crate) fn of(process: u32) -> io::Result<Self> {
        let read = |file| fs::read_to_string(format!("/proc/{process}/{file}"));
        let malformed = |what| io::Error::new(io::ErrorKind::InvalidData, format!("/proc has no {what}"));
        let (user, system) = cpu_time(&read("stat")?).ok_or_else(|| malformed("CPU time"))?;
        let status = read("status")?;
        let memory = |name| memory(&status, name).ok_or_else(|| malformed("resident memory"));
        let (rss_bytes, peak_bytes) = (memory("VmRSS:")?, memory("VmHWM:")?);
        let descriptors = fs::read_dir(format!("/proc/{process}/fd"))?.count();
        Ok(Self { user, system, rss_bytes, peak_bytes, descriptors })
    }

    /// CPU time since an earlier reading.
    pub(crate) fn cpu_since(&self, earlier: &Self) -> Cpu {
        let micros = |now: Duration, then: Duration| now.saturating_sub(then).as_secs_f64() * 1e6;
        Cpu { user_us: micros(self.user, earlier.user), system_us: micros(self.system, earlier.system) }
    }
}

/// Fields 14 and 15 of `/proc/PID/stat` (proc(5)), in clock ticks.
fn cpu_time(stat: &str) -> Option<(Duration, Duration)> {
    // The second field is the name of the program, in parentheses. It may contain any character.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    let (user, system) = (ticks()?, ticks()?);
    #[expect(clippy::cast_precision_loss, reason = "100 on every Linux there is")]
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    Some((Duration::from_secs_f64(user / per_second), Duration::from_secs_f64(system / per_second)))
}

/// Has the kernel forget the peak of a process (proc(5), `clear_refs`). Where that is not allowed, the peak is that
/// of the whole life of the process.
pub(crate) fn forget_peak(process: u32) {
    fs::write(format!("/proc/{process}/clear_refs"), "5").ok();
}

fn memory(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 1 1 1";
        let expected = (Duration::from_millis(2_500), Duration::from_millis(500));
        assert_eq!(cpu_time(stat), Some(expected));
        assert_eq!(cpu_time("7 (a"), None);
    }

    #[test]
    fn this_process_uses_something() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.rss_bytes > 100_000);
        assert!(usage.peak_bytes >= usage.rss_bytes / 2);
        assert!(usage.descriptors >= 3);
    }
}
