//! `/metrics`: every metric of the server. `docs/metrics.md` lists the same; a test compares.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::exposition::{Exposition, MetricKind};
use super::monitor::Monitor;
use super::{cluster, hooks};
use crate::hub::delivery::metrics::{CLOSE_REASONS, LATENCY_BOUNDS, Recovered, Route, WorkerMetrics};
use crate::hub::dispatch::dispatcher::Source;
use crate::hub::dispatch::log::health::{LogHealth, LogState};
use crate::hub::worker::queries;
use crate::io::{log_lines, memory};
use crate::push::intake::{OUTCOMES, Status};

/// Writes the page. The workers are asked for users, channels and responsiveness; everything else
/// is read from counters.
pub(super) async fn write(monitor: &Monitor) -> String {
    let key = getrandom::u64().unwrap_or_default();
    let users = monitor.count(queries::GroupKind::Users, key).await;
    let channels = monitor.count(queries::GroupKind::Channels, key).await;
    let mut page = Exposition::default();
    server(&mut page, monitor);
    page.metric("turted_users", MetricKind::Gauge, "Users with a connection.")
        .sample(&[], users.hashes.len());
    page.metric("turted_channels", MetricKind::Gauge, "Channels with a connection.")
        .sample(&[], channels.hashes.len());
    let counters = Counters { page: &mut page, workers: &monitor.shared.metrics };
    counters.write();
    dispatches(&mut page, monitor);
    sources(&mut page, &monitor.sources);
    hooks::write(&mut page, &monitor.shared.hooks);
    kept(&mut page, monitor);
    process(&mut page);
    if let Some(own) = monitor.shared.cluster.get() {
        cluster::write(&mut page, own);
        cluster::write_presence(&mut page, monitor.shared.presence.copied());
    }
    workers(&mut page, &monitor.shared.metrics, &users.answered);
    page.finish()
}

fn server(page: &mut Exposition, monitor: &Monitor) {
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    page.metric("turted_build_info", MetricKind::Gauge, "The running version; always 1.").sample(&version, 1);
    let uptime = monitor.started.elapsed().as_secs_f64();
    page.metric("turted_uptime_seconds", MetricKind::Gauge, "Time since the server started.")
        .sample(&[], uptime);
    let draining = u8::from(monitor.is_draining());
    page.metric("turted_draining", MetricKind::Gauge, "1 while the server stops, else 0.")
        .sample(&[], draining);
    let permits = &monitor.shared.permits;
    page.metric("turted_sockets", MetricKind::Gauge, "Open TCP connections of clients and backends.")
        .sample(&[], permits.open());
    let help = "TCP connections of clients and backends that may be open (limits.connections).";
    page.metric("turted_sockets_limit", MetricKind::Gauge, help).sample(&[], permits.limit());
    let spare = &monitor.shared.spare;
    let help = "Open connections beyond limits.connections, which may only push or ask for health.";
    page.metric("turted_spare_sockets", MetricKind::Gauge, help).sample(&[], spare.open());
    let help = "Connections that may be open beyond limits.connections (limits.spare_connections).";
    page.metric("turted_spare_sockets_limit", MetricKind::Gauge, help).sample(&[], spare.limit());
    let places = &monitor.shared.places;
    let help = "Sessions that live by requests: polling, and SockJS without a WebSocket.";
    page.metric("turted_request_sessions", MetricKind::Gauge, help).sample(&[], places.taken());
    let help = "Sessions that may live by requests (limits.connections).";
    page.metric("turted_request_sessions_limit", MetricKind::Gauge, help).sample(&[], places.limit());
}

/// What has to do with the process, not with a server in it.
fn process(page: &mut Exposition) {
    let help = "Log lines that were dropped because standard error was not read.";
    page.metric("turted_log_lines_dropped_total", MetricKind::Counter, help)
        .sample(&[], log_lines::dropped());
}

fn dispatches(page: &mut Exposition, monitor: &Monitor) {
    let mut metric = page.metric("turted_dispatches_total", MetricKind::Counter, "Accepted dispatches.");
    for (source, label) in &Source::ALL {
        metric.sample(&[("source", label)], monitor.dispatcher.accepted(source));
    }
    for source in &*monitor.sources {
        metric.sample(&[("source", source.name())], source.dispatches());
    }
    let help = "Dispatches in the fullest inbox of a worker (limits.inbox_dispatches).";
    page.metric("turted_inbox_dispatches", MetricKind::Gauge, help).sample(&[], monitor.dispatcher.waiting());
}

/// The sources. A metric without any of them is written all the same, so that a page has every metric.
fn sources(page: &mut Exposition, sources: &[Arc<Status>]) {
    let mut each = |name, kind, help, number: &dyn Fn(&Status) -> Option<f64>| {
        let mut metric = page.metric(name, kind, help);
        for source in sources {
            if let Some(number) = number(source) {
                metric.sample(&[("source", source.name())], number);
            }
        }
    };
    let help = "1 if the source is connected, else 0.";
    each("turted_source_up", MetricKind::Gauge, help, &|source| Some(f64::from(u8::from(source.is_up()))));
    let help = "Bytes that are there and not accepted yet.";
    each("turted_source_lag_bytes", MetricKind::Gauge, help, &|source| source.lag_bytes().map(float));
    let help = "Messages that are there and were not read yet.";
    each("turted_source_lag_messages", MetricKind::Gauge, help, &|source| source.lag_messages().map(float));
    let help = "How often messages were lost on their way from the source.";
    each("turted_source_gaps_total", MetricKind::Counter, help, &|source| Some(float(source.gaps())));
    let help = "Time that the source waited because an inbox was half full.";
    each("turted_source_waiting_seconds_total", MetricKind::Counter, help, &|source| {
        Some(source.waited().as_secs_f64())
    });
    let help = "Messages of the source, by what became of them.";
    let mut metric = page.metric("turted_source_messages_total", MetricKind::Counter, help);
    for source in sources {
        for (outcome, count) in OUTCOMES.iter().zip(source.outcomes()) {
            metric.sample(&[("source", source.name()), ("outcome", outcome)], count);
        }
    }
}

/// What is kept for clients that come back, for pushes that are made again, and what waits.
fn kept(page: &mut Exposition, monitor: &Monitor) {
    let (dispatches, bytes) = monitor.dispatcher.read_log(|log| log.size());
    let mut gauge = |name, help, value| {
        page.metric(name, MetricKind::Gauge, help).sample(&[], value);
    };
    gauge("turted_log_dispatches", "Dispatches that can be replayed.", dispatches);
    gauge("turted_log_bytes", "Bytes of the dispatches that can be replayed (recovery.log_bytes).", bytes);
    history(page, monitor);
    presence(page, monitor);
    log(page, monitor.dispatcher.log_health());
    let mut gauge = |name, help, value| {
        page.metric(name, MetricKind::Gauge, help).sample(&[], value);
    };
    let shared = &monitor.shared;
    let help = "Bytes of request bodies that are being read (limits.bodies_bytes).";
    gauge("turted_bodies_bytes", help, shared.bodies.bytes());
    let help = "Sessions without a connection that can be recovered (recovery.sessions).";
    gauge("turted_lost_sessions", help, shared.recovery.lost());
    let help =
        "Whether sessions are kept in memory alone because the directory of the log cannot be written.";
    gauge("turted_sessions_degraded", help, shared.sessions.failure().is_some().into());
    let help = "Idempotency keys of pushes that are remembered (limits.idempotency_keys).";
    gauge("turted_idempotency_keys", help, monitor.push.idempotency_keys());
    let help = "Bytes that wait for all clients together, each frame counted once.";
    gauge("turted_backlog_bytes", help, shared.backlogs.bytes());
    let help = "Bytes that may wait for all clients together (limits.backlog_bytes).";
    gauge("turted_backlog_limit_bytes", help, shared.backlogs.limit());
    gauge("turted_memory_bytes", "Resident memory of the process.", memory::resident());
    let help = "Memory that the process takes at most, by its limits.";
    gauge("turted_memory_max_bytes", help, shared.memory_max);
}

/// What channels keep for those who join later.
fn history(page: &mut Exposition, monitor: &Monitor) {
    let sizes = monitor.dispatcher.read_history(|history| {
        let store = history.store();
        (store.channels(), store.events(), store.bytes(), store.pushed_out())
    });
    let (channels, events, bytes, pushed_out) = sizes.unwrap_or_default();
    let mut gauge = |name, help, value: usize| {
        page.metric(name, MetricKind::Gauge, help).sample(&[], value);
    };
    gauge("turted_history_channels", "Channels that have history.", channels);
    gauge("turted_history_events", "Events in the history of channels, counted in each channel.", events);
    gauge("turted_history_bytes", "Bytes of the history of channels (limits.history_bytes).", bytes);
    let help = "Events that gave way because all channels together had too much history.";
    page.metric("turted_history_pushed_out_total", MetricKind::Counter, help).sample(&[], pushed_out);
}

/// Who is in channels.
fn presence(page: &mut Exposition, monitor: &Monitor) {
    let (channels, lost) = monitor.shared.presence.counts();
    let help = "Channels with presence that have members.";
    page.metric("turted_presence_channels", MetricKind::Gauge, help).sample(&[], channels);
    let help = "Lost connections that count as present still (presence.grace).";
    page.metric("turted_presence_lost", MetricKind::Gauge, help).sample(&[], lost);
}

/// Where the log is, and what the disk costs.
fn log(page: &mut Exposition, health: &LogHealth) {
    let help = "1 for where the log is at the moment, else 0.";
    let (mut metric, state) = (page.metric("turted_log_state", MetricKind::Gauge, help), health.state());
    for (index, name) in LogState::NAMES.iter().enumerate() {
        metric.sample(&[("state", name)], u8::from(index == state.index()));
    }
    let mut count = |name, help, value| {
        page.metric(name, MetricKind::Counter, help).sample(&[], value);
    };
    count("turted_log_written_pushes_total", "Pushes that were written to disk.", health.pushes());
    count("turted_log_syncs_total", "How often the log was synced.", health.syncs());
    count("turted_log_failures_total", "How often the disk failed or took nothing.", health.failures());
}

fn workers(page: &mut Exposition, workers: &[impl AsRef<WorkerMetrics>], answered: &[bool]) {
    let help = "Time each worker spent working instead of waiting.";
    let mut busy = page.metric("turted_worker_busy_seconds_total", MetricKind::Counter, help);
    for (index, worker) in workers.iter().enumerate() {
        busy.sample(&[("worker", &index.to_string())], worker.as_ref().busy().as_secs_f64());
    }
    let help = "1 if the worker answered this scrape in time, else 0.";
    let mut responsive = page.metric("turted_worker_responsive", MetricKind::Gauge, help);
    for (index, answered) in answered.iter().enumerate() {
        responsive.sample(&[("worker", &index.to_string())], u8::from(*answered));
    }
}

/// What is summed over all workers.
struct Counters<'a, W> {
    page: &'a mut Exposition,
    workers: &'a [W],
}

impl<W: AsRef<WorkerMetrics>> Counters<'_, W> {
    fn write(mut self) {
        self.connections();
        self.traffic();
        self.refusals();
        self.push_latency();
    }

    fn sum(&self, number: impl Fn(&WorkerMetrics) -> u64) -> u64 {
        let numbers = self.workers.iter().map(|worker| number(worker.as_ref()));
        numbers.fold(0, u64::wrapping_add)
    }

    /// A number that goes up and down. The reader may see a worker between two changes.
    fn level(&self, number: impl Fn(&WorkerMetrics) -> u64) -> u64 {
        let sum = self.sum(number);
        if sum.cast_signed() < 0 { 0 } else { sum }
    }

    fn single(&mut self, name: &str, help: &str, number: impl Fn(&WorkerMetrics) -> u64) {
        let sum = self.sum(number);
        self.page.metric(name, MetricKind::Counter, help).sample(&[], sum);
    }

    fn connections(&mut self) {
        let levels: Vec<_> =
            (0..Route::ALL.len()).map(|route| self.level(|own| own.connections()[route])).collect();
        let help = "Connected clients, by transport, version of its protocol, and carrier.";
        let mut metric = self.page.metric("turted_connections", MetricKind::Gauge, help);
        for (route, level) in Route::ALL.iter().zip(levels) {
            metric.sample(&route.labels(), level);
        }
        self.single("turted_opens_total", "Connections that were opened.", |worker| worker.opens.get());
        let mut closes = [0; CLOSE_REASONS.len()];
        for worker in self.workers {
            closes.iter_mut().zip(worker.as_ref().closes()).for_each(|(sum, own)| *sum += own);
        }
        let help = "Connections that ended, by reason; slow_reader are those whose client did not read.";
        let mut metric = self.page.metric("turted_closes_total", MetricKind::Counter, help);
        for (reason, closes) in CLOSE_REASONS.iter().zip(closes) {
            metric.sample(&[("reason", reason)], closes);
        }
        let recoveries =
            Recovered::ALL.map(|(how, label)| (label, self.sum(|worker| worker.recoveries(how))));
        let help = "Clients that came back: with their session and all they missed, or anew.";
        let mut metric = self.page.metric("turted_recoveries_total", MetricKind::Counter, help);
        for (label, recoveries) in recoveries {
            metric.sample(&[("outcome", label)], recoveries);
        }
    }

    fn traffic(&mut self) {
        let deliveries: Vec<_> =
            (0..Route::ALL.len()).map(|route| self.sum(|own| own.deliveries()[route])).collect();
        let help = "Dispatches handed to connections, by transport, version of its protocol, and carrier.";
        let mut metric = self.page.metric("turted_deliveries_total", MetricKind::Counter, help);
        for (route, deliveries) in Route::ALL.iter().zip(deliveries) {
            metric.sample(&route.labels(), deliveries);
        }
        let help = "Messages that told a client who is in a channel.";
        self.single("turted_presence_deliveries_total", help, |worker| worker.presence_deliveries.get());
        let help = "How often a worker left messages about presence for the next second.";
        self.single("turted_presence_postponed_total", help, |worker| worker.presence_postponed.get());
        self.single("turted_frames_encoded_total", "Frames encoded for dispatches.", |worker| {
            worker.frames_encoded.get()
        });
        self.single("turted_writes_total", "Write calls that put frames into sockets.", |worker| {
            worker.writes.get()
        });
        self.single("turted_written_bytes_total", "Bytes of frames put into sockets.", |worker| {
            worker.written_bytes.get()
        });
        let waiting = self.level(|worker| worker.outbox_bytes.get());
        self.page
            .metric("turted_outbox_bytes", MetricKind::Gauge, "Bytes that clients have not taken yet.")
            .sample(&[], waiting);
    }

    fn refusals(&mut self) {
        let mut refusals = BTreeMap::<&str, u64>::new();
        for worker in self.workers {
            for (rule, count) in worker.as_ref().refusals() {
                *refusals.entry(rule).or_default() += count;
            }
        }
        let help = "Requests, pushes and commands that were refused, by rule.";
        let mut metric = self.page.metric("turted_refusals_total", MetricKind::Counter, help);
        for (rule, count) in refusals {
            metric.sample(&[("rule", rule)], count);
        }
        let help = "Answers whose client did not read them (limits.outbox_stall).";
        self.single("turted_unread_answers_total", help, |worker| worker.unread_answers.get());
        let help = "Requests for sessions of other nodes that were passed on.";
        self.single("turted_forwarded_requests_total", help, |worker| worker.passed_on.get());
        let help = "Requests for sessions of other nodes that could not be reached.";
        self.single("turted_forwarding_failures_total", help, |worker| worker.not_passed_on.get());
        self.single("turted_accept_errors_total", "Connections that could not be accepted.", |worker| {
            worker.accept_errors.get()
        });
    }

    fn push_latency(&mut self) {
        const NAME: &str = "turted_push_duration_seconds";
        let mut buckets = [0; LATENCY_BOUNDS.len() + 1];
        for worker in self.workers {
            let own = &worker.as_ref().push_latency.buckets;
            buckets.iter_mut().zip(own).for_each(|(sum, own)| *sum += own.get());
        }
        let sum = self.sum(|worker| worker.push_latency.sum_micros.get());
        let help = "Time from the head of a push request to its acceptance.";
        let mut metric = self.page.metric(NAME, MetricKind::Histogram, help);
        let mut below = 0;
        for (bound, count) in LATENCY_BOUNDS.iter().zip(buckets) {
            below += count;
            metric.suffixed("_bucket", &[("le", &seconds(*bound).to_string())], below);
        }
        let count: u64 = buckets.iter().sum();
        metric.suffixed("_bucket", &[("le", "+Inf")], count);
        metric.suffixed("_sum", &[], seconds(sum)).suffixed("_count", &[], count);
    }
}

/// A count as Prometheus has it.
#[expect(clippy::cast_precision_loss, reason = "a number of Prometheus is a float")]
fn float(count: u64) -> f64 {
    count as f64
}

fn seconds(micros: u64) -> f64 {
    std::time::Duration::from_micros(micros).as_secs_f64()
}
