//! What a run found: as JSON for programs, as a table for people.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use serde::Serialize;

use super::process::Cpu;

/// What a run found. Times of the server are missing without its process.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) connects: Connects,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) churn: Option<Churn>,
    pub(crate) load: LoadReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<ServerReport>,
    /// The first reason why a connection failed or ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) complaint: Option<String>,
}

/// How connections opened.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Connects {
    pub(crate) opened: usize,
    pub(crate) failed: usize,
    pub(crate) per_second: f64,
    /// The server's CPU time for one connection that joins its channel.
    pub(crate) cpu_us: Option<f64>,
    pub(crate) cpu_user_us: Option<f64>,
}

/// How connections opened and closed.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Churn {
    pub(crate) cycles: usize,
    pub(crate) failed: usize,
    pub(crate) per_second: f64,
    /// The server's CPU time for one connection from its beginning to its end.
    pub(crate) cpu_us: Option<f64>,
    pub(crate) rss_growth_bytes: Option<i64>,
    pub(crate) descriptors_growth: Option<i64>,
}

/// How dispatches arrived.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct LoadReport {
    pub(crate) seconds: f64,
    pub(crate) pushes: u64,
    /// Pushes the server had no room for.
    pub(crate) pushes_refused: u64,
    pub(crate) deliveries: u64,
    pub(crate) deliveries_per_second: f64,
    pub(crate) lost: u64,
    pub(crate) disordered: u64,
    pub(crate) duplicated: u64,
    /// Events nobody here pushed.
    pub(crate) strange: u64,
    /// Connections that the server ended although they read.
    pub(crate) ended: usize,
    pub(crate) stalled: usize,
    pub(crate) stalled_failed: usize,
    /// Connections that did not read and that the server ended.
    pub(crate) stalled_cut: usize,
    /// Nothing was delivered any more before the time was over.
    pub(crate) gave_up: bool,
    pub(crate) latency: Latency,
}

/// From the time a push was due to the arrival at a client, in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
}

/// What the server used.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ServerReport {
    /// From the first push to the last delivery.
    pub(crate) cpu: Cpu,
    /// Cores in use meanwhile.
    pub(crate) cores: f64,
    pub(crate) cpu_us_per_delivery: Option<f64>,
    pub(crate) cpu_us_per_push: Option<f64>,
    /// Resident memory between a tenth of the connections and all of them, for each.
    pub(crate) bytes_per_connection: Option<f64>,
    pub(crate) rss: Memory,
    pub(crate) descriptors_before: usize,
    pub(crate) descriptors_after: usize,
}

/// Resident memory at points of the run.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) before: u64,
    pub(crate) connected: u64,
    pub(crate) loaded: u64,
    /// After the last connection closed.
    pub(crate) after: u64,
}

impl Report {
    /// Whether everything arrived where it should, once and in order.
    pub(crate) fn is_clean(&self) -> bool {
        let load = &self.load;
        let wrong = load.lost + load.disordered + load.duplicated + load.strange;
        let churn_failed = self.churn.map_or(0, |churn| churn.failed);
        let failed = self.connects.failed + load.stalled_failed + churn_failed;
        wrong == 0 && load.ended == 0 && failed == 0 && !load.gave_up
    }
}

/// `part` of each of `count`; nothing if there are none.
#[expect(clippy::cast_precision_loss, reason = "a report has four digits")]
pub(crate) fn each(part: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| part / count as f64)
}

/// Events per second.
#[expect(clippy::cast_precision_loss, reason = "a report has four digits")]
pub(crate) fn rate(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut table = Table(f);
        if let Some(churn) = &self.churn {
            table.churn(churn)?;
        }
        table.connects(&self.connects)?;
        table.load(&self.load)?;
        if let Some(server) = &self.server {
            table.server(server)?;
        }
        match &self.complaint {
            Some(complaint) => table.row("first complaint", complaint),
            None => Ok(()),
        }
    }
}

struct Table<'a, 'b>(&'a mut Formatter<'b>);

impl Table<'_, '_> {
    fn row(&mut self, name: &str, value: impl Display) -> fmt::Result {
        writeln!(self.0, "{name:<24}{value}")
    }

    fn optional(&mut self, name: &str, value: Option<f64>, unit: &str) -> fmt::Result {
        value.map_or(Ok(()), |value| self.row(name, format_args!("{value:.2} {unit}")))
    }

    fn churn(&mut self, churn: &Churn) -> fmt::Result {
        let Churn { cycles, failed, per_second, .. } = churn;
        self.row("opened and closed", format_args!("{cycles}, {failed} failed, {per_second:.0} per second"))?;
        self.optional("  server CPU for each", churn.cpu_us, "us")?;
        if let (Some(rss), Some(files)) = (churn.rss_growth_bytes, churn.descriptors_growth) {
            self.row("  left behind", format_args!("{} kB, {files} descriptors", rss / 1_000))?;
        }
        Ok(())
    }

    fn connects(&mut self, connects: &Connects) -> fmt::Result {
        let Connects { opened, failed, per_second, .. } = connects;
        self.row("connections", format_args!("{opened}, {failed} failed, {per_second:.0} per second"))?;
        self.optional("  server CPU for each", connects.cpu_us, "us")
    }

    fn load(&mut self, load: &LoadReport) -> fmt::Result {
        let LoadReport { pushes, pushes_refused, deliveries, deliveries_per_second, latency, .. } = load;
        self.row("time", format_args!("{:.1} s", load.seconds))?;
        self.row("pushes", format_args!("{pushes}, {pushes_refused} refused"))?;
        self.row("deliveries", format_args!("{deliveries}, {deliveries_per_second:.0} per second"))?;
        self.row("  lost", load.lost)?;
        self.row("  out of order", load.disordered)?;
        self.row("  twice", load.duplicated)?;
        self.row("connections cut", load.ended)?;
        if load.stalled > 0 {
            let LoadReport { stalled, stalled_failed, stalled_cut, .. } = load;
            self.row("stalled, cut", format_args!("{stalled_cut} of {stalled}, {stalled_failed} failed"))?;
        }
        let Latency { p50_us, p99_us, p999_us, max_us } = latency;
        self.row(
            "latency",
            format_args!("p50 {p50_us:.0} us, p99 {p99_us:.0} us, p99.9 {p999_us:.0} us, max {max_us:.0} us"),
        )
    }

    fn server(&mut self, server: &ServerReport) -> fmt::Result {
        let Cpu { user_us, system_us } = server.cpu;
        let (user, system) = (user_us / 1e6, system_us / 1e6);
        self.row("server CPU", format_args!("{user:.2} s user, {system:.2} s system"))?;
        self.optional("  per delivery", server.cpu_us_per_delivery, "us")?;
        self.optional("  per push", server.cpu_us_per_push, "us")?;
        let Memory { before, connected, loaded, after } = server.rss;
        let mb = |bytes: u64| format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10);
        let (before, connected, loaded, after) = (mb(before), mb(connected), mb(loaded), mb(after));
        self.row(
            "server memory",
            format_args!("{before}, connected {connected}, loaded {loaded}, closed {after}"),
        )?;
        self.optional("  per connection", server.bytes_per_connection, "bytes")?;
        let (before, after) = (server.descriptors_before, server.descriptors_after);
        self.row("server descriptors", format_args!("{before}, closed {after}"))
    }
}
