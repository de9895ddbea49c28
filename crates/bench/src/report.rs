//! What a run found: as JSON for programs, and as a table for people.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use serde::Serialize;

use super::fleet::Tally;
use super::plan::Plan;
use super::process::Cpu;
use super::pusher::Pushed;

/// What a run found. Without the server's process there are no times of the server.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How connections were opened.
    pub connects: Connects,
    /// How connections were opened and closed, if the run did that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub churn: Option<Churn>,
    /// What connections cost that are left alone, if the run did that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<Idle>,
    /// How all clients came back after they lost their connections, if the run did that.
    #[serde(rename = "return", skip_serializing_if = "Option::is_none")]
    pub comeback: Option<Return>,
    /// How dispatches arrived.
    pub load: LoadReport,
    /// What the server used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerReport>,
    /// The first reason why a connection failed or ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complaint: Option<String>,
}

/// How connections were opened.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Connects {
    /// Connections that were opened.
    pub opened: usize,
    /// Connections that could not be opened.
    pub failed: usize,
    /// Connections per second.
    pub per_second: f64,
    /// The server's CPU time for one connection that joins its channel.
    pub cpu_us: Option<f64>,
    /// The part of it outside the kernel.
    pub cpu_user_us: Option<f64>,
}

/// How connections were opened and closed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Churn {
    /// Connections that were opened and closed.
    pub cycles: usize,
    /// Connections for which that failed.
    pub failed: usize,
    /// Connections per second.
    pub per_second: f64,
    /// The server's CPU time for one connection from its beginning to its end.
    pub cpu_us: Option<f64>,
    /// Resident memory that the server still held afterwards.
    pub rss_growth_bytes: Option<i64>,
    /// File descriptors that the server still held afterwards.
    pub descriptors_growth: Option<i64>,
}

/// What connections cost that are left alone: heartbeats, and timers.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Idle {
    /// How long they were left alone.
    pub seconds: f64,
    /// The server's CPU time for all of them.
    pub cpu_us: Option<f64>,
}

/// How all clients came back after they lost their connections at once, and missed events.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Return {
    /// Clients that lost their connections.
    pub clients: usize,
    /// Those that could not connect again.
    pub failed: usize,
    /// Events that each of them missed.
    pub missed: u32,
    /// From the first connection to the last event that was missed.
    pub seconds: f64,
    /// Events that arrived: those that were missed, and one before.
    pub deliveries: u64,
    /// Events that never arrived.
    pub lost: u64,
    /// Events that arrived after a later one.
    pub disordered: u64,
    /// Events that arrived more than once.
    pub duplicated: u64,
    /// How often the server had no room for a push.
    pub pushes_refused: u64,
    /// The server's CPU time for one client, from its connection to its last event.
    pub cpu_us_per_client: Option<f64>,
    /// Resident memory when nobody was connected.
    pub rss_before: Option<u64>,
    /// The most resident memory while they came back.
    pub rss_peak: Option<u64>,
}

/// How dispatches arrived.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct LoadReport {
    /// How long the run pushed.
    pub seconds: f64,
    /// Pushes that were accepted.
    pub pushes: u64,
    /// Pushes the server had no room for.
    pub pushes_refused: u64,
    /// Events that arrived.
    pub deliveries: u64,
    /// Events that arrived per second.
    pub deliveries_per_second: f64,
    /// Events that did not arrive.
    pub lost: u64,
    /// Events that arrived after a later one.
    pub disordered: u64,
    /// Events that arrived more than once.
    pub duplicated: u64,
    /// Events that this run did not push.
    pub strange: u64,
    /// Connections that the server ended although the client read.
    pub ended: usize,
    /// Connections that did not read.
    pub stalled: usize,
    /// Connections that should not read, and could not be opened.
    pub stalled_failed: usize,
    /// Connections that did not read and that the server ended.
    pub stalled_cut: usize,
    /// Whether the run ended early because deliveries stopped.
    pub gave_up: bool,
    /// How long deliveries took.
    pub latency: Latency,
}

/// From the time a push was due to its arrival at a client, in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latency {
    /// The median.
    pub p50_us: f64,
    /// Exceeded by 1 in 100.
    pub p99_us: f64,
    /// Exceeded by 1 in 1,000.
    pub p999_us: f64,
    /// The longest.
    pub max_us: f64,
}

/// What the server used.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ServerReport {
    /// From the first push to the last delivery.
    pub cpu: Cpu,
    /// Cores in use during that time.
    pub cores: f64,
    /// CPU time of one delivery.
    pub cpu_us_per_delivery: Option<f64>,
    /// CPU time of one push with its deliveries.
    pub cpu_us_per_push: Option<f64>,
    /// Growth of resident memory from a tenth of the connections to all of them, per connection.
    pub bytes_per_connection: Option<f64>,
    /// Resident memory.
    pub rss: Memory,
    /// File descriptors before the first connection.
    pub descriptors_before: usize,
    /// File descriptors after the last connection closed.
    pub descriptors_after: usize,
}

/// Resident memory at several points of the run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Memory {
    /// Before the first connection.
    pub before: u64,
    /// When all clients were connected.
    pub connected: u64,
    /// When everything was delivered.
    pub loaded: u64,
    /// After the last connection closed.
    pub after: u64,
    /// The most of the whole run. It counts from the start of the server, unless its peak could be forgotten.
    pub peak: u64,
}

impl LoadReport {
    /// What the clients and the backend say.
    pub(super) fn of(plan: &Plan, time: Duration, tally: &Tally, pushed: Pushed) -> Self {
        let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
        let (heard, latency) = (tally.load, &tally.latency);
        Self {
            seconds: time.as_secs_f64(),
            pushes: pushed.accepted,
            pushes_refused: pushed.refused,
            deliveries: heard.deliveries,
            deliveries_per_second: rate(heard.deliveries, time),
            disordered: heard.disordered,
            duplicated: heard.duplicated,
            strange: tally.strange,
            stalled: plan.clients.stalled,
            stalled_cut: tally.cut,
            gave_up: pushed.gave_up,
            latency: Latency {
                p50_us: micros(latency.quantile(0.5)),
                p99_us: micros(latency.quantile(0.99)),
                p999_us: micros(latency.quantile(0.999)),
                max_us: micros(latency.max()),
            },
            ..Self::default()
        }
    }
}

impl Report {
    /// Whether every event arrived at every client it was for, once and in order.
    pub fn is_clean(&self) -> bool {
        let load = &self.load;
        let wrong = load.lost + load.disordered + load.duplicated + load.strange;
        let churn_failed = self.churn.map_or(0, |churn| churn.failed);
        let failed = self.connects.failed + load.stalled_failed + churn_failed;
        let came_back = self
            .comeback
            .is_none_or(|one| one.lost + one.disordered + one.duplicated == 0 && one.failed == 0);
        wrong == 0 && came_back && load.ended == 0 && failed == 0 && !load.gave_up
    }
}

/// `part` divided by `count`; `None` if `count` is zero.
#[expect(clippy::cast_precision_loss, reason = "a report has four digits")]
pub fn each(part: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| part / count as f64)
}

/// Events per second.
#[expect(clippy::cast_precision_loss, reason = "a report has four digits")]
pub fn rate(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut table = Table(f);
        if let Some(churn) = &self.churn {
            table.churn(churn)?;
        }
        table.connects(&self.connects)?;
        if let Some(Idle { seconds, cpu_us }) = self.idle {
            table.row("left alone", format_args!("{seconds:.1} s"))?;
            table.optional("  server CPU", cpu_us, "us")?;
        }
        if let Some(comeback) = &self.comeback {
            table.comeback(comeback)?;
        }
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

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
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

    fn comeback(&mut self, comeback: &Return) -> fmt::Result {
        let Return { clients, failed, missed, seconds, lost, disordered, duplicated, .. } = comeback;
        self.row(
            "came back",
            format_args!("{clients}, {failed} failed, each missed {missed}, in {seconds:.2} s"),
        )?;
        self.row("  lost", format_args!("{lost}, {disordered} out of order, {duplicated} twice"))?;
        self.optional("  server CPU for each", comeback.cpu_us_per_client, "us")?;
        if let (Some(before), Some(peak)) = (comeback.rss_before, comeback.rss_peak) {
            self.row("  server memory", format_args!("{}, peak {}", megabytes(before), megabytes(peak)))?;
        }
        Ok(())
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
        let Memory { before, connected, loaded, after, peak } = server.rss;
        let [before, connected, loaded, after, peak] =
            [before, connected, loaded, after, peak].map(megabytes);
        self.row(
            "server memory",
            format_args!("{before}, connected {connected}, loaded {loaded}, closed {after}, peak {peak}"),
        )?;
        self.optional("  per connection", server.bytes_per_connection, "bytes")?;
        let (before, after) = (server.descriptors_before, server.descriptors_after);
        self.row("server descriptors", format_args!("{before}, closed {after}"))
    }
}
