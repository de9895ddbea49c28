//! What the server's process used at several points of a run, and what a report makes of it.

use std::time::Duration;

use super::plan::Plan;
use super::process::{Cpu, Usage};
use super::report::{LoadReport, Memory, ServerReport, each};

/// What the server used at several points of the run.
pub(super) struct Looks {
    pub(super) before: Option<Usage>,
    pub(super) tenth: Option<Usage>,
    pub(super) connected: Option<Usage>,
    pub(super) began: Option<Usage>,
    pub(super) loaded: Option<Usage>,
    pub(super) after: Option<Usage>,
}

impl Looks {
    /// The most memory that any look knows of.
    fn peak(&self) -> u64 {
        let looks = [&self.before, &self.tenth, &self.connected, &self.began, &self.loaded, &self.after];
        looks.into_iter().flatten().map(|usage| usage.peak_bytes).max().unwrap_or_default()
    }

    pub(super) fn report(&self, plan: &Plan, time: Duration, load: &LoadReport) -> Option<ServerReport> {
        let (before, tenth, connected) = (self.before?, self.tenth?, self.connected?);
        let (began, loaded, after) = (self.began?, self.loaded?, self.after?);
        let cpu: Cpu = loaded.cpu_since(&began);
        let grown = connected.rss_bytes.cast_signed() - tenth.rss_bytes.cast_signed();
        let more = plan.clients.reading - plan.clients.reading / 10;
        #[expect(clippy::cast_precision_loss, reason = "a report has four digits")]
        let grown = grown as f64;
        Some(ServerReport {
            cpu,
            cores: cpu.total_us() / 1e6 / time.as_secs_f64().max(1e-9),
            cpu_us_per_delivery: each(cpu.total_us(), load.deliveries),
            cpu_us_per_push: each(cpu.total_us(), load.pushes),
            bytes_per_connection: each(grown, more as u64),
            rss: Memory {
                before: before.rss_bytes,
                connected: connected.rss_bytes,
                loaded: loaded.rss_bytes,
                after: after.rss_bytes,
                peak: self.peak(),
            },
            descriptors_before: before.descriptors,
            descriptors_after: after.descriptors,
        })
    }
}
