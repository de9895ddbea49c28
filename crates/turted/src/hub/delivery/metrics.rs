//! What a worker counts. `admin` reads the numbers and shows them.
//!
//! Each worker writes its own counters only, so a counter is a load and a store of an `AtomicU64`, which cost
//! what a plain `u64` costs: no lock prefix, no shared cache line. A scrape reads them from another thread
//! while they change. Cells published once per slice would save nothing measurable and would show a blocked
//! worker as one that counts nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::runtime::RuntimeMetrics;
use turted_core::close::Close;

/// A number that one thread changes and other threads read.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Only for the thread that owns the counter: two threads would lose counts to each other.
    pub(crate) fn add(&self, more: usize) {
        self.0.store(self.get().wrapping_add(more as u64), Ordering::Relaxed);
    }

    /// As [`add`](Self::add), for what counts up and down.
    pub(crate) fn subtract(&self, less: usize) {
        self.0.store(self.get().wrapping_sub(less as u64), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How a client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Socket.IO above Engine.IO 3.
    SocketIoV3,
    /// Socket.IO above Engine.IO 4.
    SocketIoV4,
    /// turted.v1 on a WebSocket.
    WebSocket,
    /// Event streams.
    Sse,
    /// SockJS, whatever is spoken in it.
    SockJs,
}

impl Transport {
    /// The values of the labels `transport` and `version`.
    pub(crate) fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::SocketIoV3 => ("socketio", "3"),
            Self::SocketIoV4 => ("socketio", "4"),
            Self::WebSocket => ("websocket", "turted.v1"),
            Self::Sse => ("sse", "whatwg"),
            Self::SockJs => ("sockjs", "0.3.3"),
        }
    }
}

/// What carries a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Polling,
    WebSocket,
    /// HTTP responses that do not end.
    Streaming,
}

/// A transport and what carries it: what connections are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) transport: Transport,
    pub(crate) carrier: Carrier,
}

impl Route {
    /// Every way to be connected.
    pub(crate) const ALL: &[Self] = &[
        Self { transport: Transport::SocketIoV3, carrier: Carrier::Polling },
        Self { transport: Transport::SocketIoV3, carrier: Carrier::WebSocket },
        Self { transport: Transport::SocketIoV4, carrier: Carrier::Polling },
        Self { transport: Transport::SocketIoV4, carrier: Carrier::WebSocket },
        Self { transport: Transport::WebSocket, carrier: Carrier::WebSocket },
        Self { transport: Transport::Sse, carrier: Carrier::Streaming },
        Self { transport: Transport::SockJs, carrier: Carrier::Polling },
        Self { transport: Transport::SockJs, carrier: Carrier::Streaming },
        Self { transport: Transport::SockJs, carrier: Carrier::WebSocket },
    ];

    /// The place in [`ALL`](Self::ALL).
    fn index(self) -> usize {
        Self::ALL.iter().position(|route| *route == self).expect("ALL has every route there is")
    }

    /// The value of the label `transport`.
    pub(crate) fn transport_label(self) -> &'static str {
        self.transport.labels().0
    }

    /// The labels `transport`, `version` and `carrier`.
    pub(crate) fn labels(self) -> [(&'static str, &'static str); 3] {
        let (transport, version) = self.transport.labels();
        let carrier = match self.carrier {
            Carrier::Polling => "polling",
            Carrier::WebSocket => "websocket",
            Carrier::Streaming => "streaming",
        };
        [("transport", transport), ("version", version), ("carrier", carrier)]
    }
}

/// How a client that came back began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovered {
    /// With its session and all that it missed.
    Resumed,
    /// With a new session: the old one, or something it missed, is no longer known.
    Anew,
}

impl Recovered {
    pub(crate) const ALL: [(Self, &str); 2] = [(Self::Resumed, "resumed"), (Self::Anew, "anew")];
}

/// Why connections end, as labels.
pub(crate) const CLOSE_REASONS: [&str; 14] = [
    "by_client",
    "transport_lost",
    "ping_timeout",
    "connect_timeout",
    "violation",
    "rate_limited",
    "slow_reader",
    "polling_conflict",
    "superseded",
    "drain",
    "expired",
    "gave_way",
    "log_slow",
    "operator",
];

fn reason_index(close: Close) -> usize {
    match close {
        // Only test services close by `ByService`, and their metrics are not read.
        Close::ByClient | Close::ByService(..) => 0,
        Close::TransportLost => 1,
        Close::PingTimeout => 2,
        Close::ConnectTimeout => 3,
        Close::Violation(_) => 4,
        Close::RateLimited => 5,
        Close::SlowReader => 6,
        Close::PollingConflict => 7,
        Close::Superseded => 8,
        Close::Drain => 9,
        Close::Expired => 10,
        Close::GaveWay => 11,
        Close::LogSlow => 12,
        Close::OperatorEnded | Close::OperatorCut => 13,
    }
}

/// The upper bounds of the latency buckets, in microseconds: 1-2.5-5 from a push that met an idle
/// worker to one that waited behind long slices.
pub(crate) const LATENCY_BOUNDS: [u64; 14] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000];

/// How long something took, in buckets.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    /// One per bound, and one for what took longer.
    pub(crate) buckets: [Counter; LATENCY_BOUNDS.len() + 1],
    pub(crate) sum_micros: Counter,
}

impl Latency {
    pub(crate) fn record(&self, took: Duration) {
        let micros = usize::try_from(took.as_micros()).unwrap_or(usize::MAX);
        let bucket = LATENCY_BOUNDS.partition_point(|bound| *bound < micros as u64);
        self.buckets[bucket].add(1);
        self.sum_micros.add(micros);
    }
}

/// What one worker counts. Aligned so that no two workers write to one cache line (64 bytes, and
/// the neighbour that the processor fetches along).
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct WorkerMetrics {
    connections: [Counter; Route::ALL.len()],
    deliveries: [Counter; Route::ALL.len()],
    closes: [Counter; CLOSE_REASONS.len()],
    recoveries: [Counter; Recovered::ALL.len()],
    pub(crate) opens: Counter,
    pub(crate) frames_encoded: Counter,
    pub(crate) presence_deliveries: Counter,
    /// How often something was left for the next second.
    pub(crate) presence_postponed: Counter,
    pub(crate) writes: Counter,
    pub(crate) written_bytes: Counter,
    pub(crate) outbox_bytes: Counter,
    pub(crate) accept_errors: Counter,
    pub(crate) unread_answers: Counter,
    /// Requests that another node answered.
    pub(crate) passed_on: Counter,
    /// Requests that no other node answered although their sessions are not of this one.
    pub(crate) not_passed_on: Counter,
    pub(crate) push_latency: Latency,
    /// By rule. Rules are named in the code, so there are few. Locked by the worker for a refusal
    /// and by a scrape.
    refusals: Mutex<BTreeMap<&'static str, u64>>,
    runtime: OnceLock<RuntimeMetrics>,
}

impl WorkerMetrics {
    /// To be called on the worker's runtime, whose busy time is shown from then on.
    pub(crate) fn watch_runtime(&self) {
        // A second call would name the same runtime.
        let _ = self.runtime.set(tokio::runtime::Handle::current().metrics());
    }

    pub(crate) fn opened(&self, route: Route) {
        self.opens.add(1);
        self.connections[route.index()].add(1);
    }

    /// A connection went on by another carrier.
    pub(crate) fn moved(&self, from: Route, to: Route) {
        self.connections[from.index()].subtract(1);
        self.connections[to.index()].add(1);
    }

    pub(crate) fn closed(&self, route: Route, close: Close) {
        self.connections[route.index()].subtract(1);
        self.closes[reason_index(close)].add(1);
    }

    pub(crate) fn delivered(&self, route: Route, dispatches: usize) {
        self.deliveries[route.index()].add(dispatches);
    }

    /// One call of the kernel took this many bytes.
    pub(crate) fn wrote(&self, bytes: usize) {
        self.writes.add(1);
        self.written_bytes.add(bytes);
    }

    pub(crate) fn recovered(&self, recovered: Recovered) {
        self.recoveries[recovered as usize].add(1);
    }

    pub(crate) fn refused(&self, rule: &'static str) {
        *self.refusals_locked().entry(rule).or_default() += 1;
    }

    /// As many as there are [routes](Route::ALL), in their order.
    pub(crate) fn connections(&self) -> [u64; Route::ALL.len()] {
        self.connections.each_ref().map(Counter::get)
    }

    /// As many as there are [routes](Route::ALL), in their order.
    pub(crate) fn deliveries(&self) -> [u64; Route::ALL.len()] {
        self.deliveries.each_ref().map(Counter::get)
    }

    /// As many as there are [`CLOSE_REASONS`], in their order.
    pub(crate) fn closes(&self) -> impl Iterator<Item = u64> {
        self.closes.iter().map(Counter::get)
    }

    pub(crate) fn recoveries(&self, recovered: Recovered) -> u64 {
        self.recoveries[recovered as usize].get()
    }

    pub(crate) fn refusals(&self) -> BTreeMap<&'static str, u64> {
        self.refusals_locked().clone()
    }

    /// How long the worker has been doing something since it started.
    pub(crate) fn busy(&self) -> Duration {
        self.runtime.get().map_or(Duration::ZERO, |runtime| runtime.worker_total_busy_duration(0))
    }

    fn refusals_locked(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_counts_in_the_first_bucket_that_holds_it() {
        let latency = Latency::default();
        for micros in [0, 50, 51, 1_000_000, 1_000_001] {
            latency.record(Duration::from_micros(micros));
        }
        let counts: Vec<_> = latency.buckets.iter().map(Counter::get).collect();
        assert_eq!(counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(latency.sum_micros.get(), 2_000_102);
    }

    #[test]
    fn a_move_changes_the_transport_and_a_close_ends_it() {
        let metrics = WorkerMetrics::default();
        metrics.opened(Route::ALL[0]);
        assert_eq!(metrics.connections()[..2], [1, 0]);
        metrics.moved(Route::ALL[0], Route::ALL[1]);
        assert_eq!(metrics.connections()[..2], [0, 1]);
        metrics.closed(Route::ALL[1], Close::SlowReader);
        assert_eq!(metrics.connections(), [0; Route::ALL.len()]);
        assert_eq!(CLOSE_REASONS[metrics.closes().position(|count| count == 1).unwrap()], "slow_reader");
    }
}
