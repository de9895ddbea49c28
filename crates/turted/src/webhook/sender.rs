//! The life of one hook: waits for records, sends them in batches, one after the other, tries again, and stops.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use turted_core::limits::HOOK_BATCH_BYTES_MAX;

use super::batch::{Batch, Envelope};
use super::nodes::Nodes;
use super::post::{Mailbox, Verdict};
use crate::hub::hooks::{Hook, RECORDS_OF_BATCH, Waiting};

/// How long the first record of a batch waits for others.
const GATHER_WAIT: Duration = Duration::from_millis(200);
/// The wait after the first failure is half of it to all of it.
const WAIT_MIN: Duration = Duration::from_secs(2);
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How long what waits may take at a stop. For a backend that is down, the drain counts.
pub(super) const STOP_WAIT: Duration = Duration::from_secs(5);

/// What became of a batch.
enum Sent {
    Taken,
    Refused(StatusCode),
    /// The backend wants nothing any more, or the server stops.
    GivenUp,
}

/// How the end of the server comes.
#[derive(Debug, Default)]
pub(super) struct End {
    /// The server drains: clients are told to leave.
    pub(super) draining: CancellationToken,
    /// Nothing happens any more.
    pub(super) stop: CancellationToken,
}

impl End {
    /// Waits until it is too late to send something.
    async fn too_late(&self, hook: &Hook) {
        // A server that is dropped stops without a drain.
        self.stop.run_until_cancelled(self.draining.cancelled()).await;
        let drained = Instant::now();
        self.stop.cancelled().await;
        let begin = if hook.is_up() { Instant::now() } else { drained };
        sleep_until(begin + STOP_WAIT).await;
    }

    /// Waits before the next try: from the drain on not for long, and no longer than until the stop.
    async fn pause(&self, wait: Duration) {
        if self.draining.run_until_cancelled(sleep(wait)).await.is_none() {
            self.stop.run_until_cancelled(sleep(WAIT_MIN)).await;
        }
    }
}

/// What sends the records of one hook.
pub(super) struct Sender {
    hook: Arc<Hook>,
    mailbox: Mailbox,
    envelope: Envelope,
    /// Taken out, and not in a batch yet.
    waiting: VecDeque<Waiting>,
    /// Records of the batch that is under way.
    under_way: u64,
    /// How often the backend did not take a batch since it last took one.
    failures: u32,
}

impl Sender {
    pub(super) fn new(hook: Arc<Hook>, mailbox: Mailbox, envelope: Envelope) -> Self {
        Self { hook, mailbox, envelope, waiting: VecDeque::new(), under_way: 0, failures: 0 }
    }

    /// Sends until the server stops and nothing waits, or the backend wants nothing any more.
    /// Meanwhile it watches the other nodes of a cluster.
    pub(super) async fn run(mut self, end: &End, nodes: Option<Nodes>) {
        let hook = Arc::clone(&self.hook);
        hook.start();
        let watched = async {
            match nodes {
                Some(nodes) => nodes.watch().await,
                None => pending().await,
            }
        };
        // All of it is on one thread: whatever ends first, nothing of the others is under way but waits.
        tokio::select! {
            () = self.send_all(end) => {}
            () = hook.watch_grace() => {}
            () = watched => {}
            () = end.too_late(&hook) => {}
        }
        let unsent = (hook.waiting().0 + self.waiting.len()) as u64 + self.under_way;
        if unsent > 0 {
            warn!(hook = hook.name(), unsent, "records of a hook were not sent before the stop");
        }
    }

    async fn send_all(&mut self, end: &End) {
        while self.wait(&end.stop).await {
            let Some(batch) = self.next_batch() else {
                // A portion of those who are online had nothing that the hook asks for.
                yield_now().await;
                continue;
            };
            if !self.deliver(batch, end).await {
                return;
            }
        }
    }

    /// Waits until there is a batch. Returns whether there is one: not if the server stops and nothing waits, not even the
    /// news of that.
    async fn wait(&self, stop: &CancellationToken) -> bool {
        if !self.waiting.is_empty() {
            return true;
        }
        if stop.run_until_cancelled(self.hook.something()).await.is_some() {
            let enough = timeout(GATHER_WAIT, self.hook.enough(HOOK_BATCH_BYTES_MAX));
            stop.run_until_cancelled(enough).await;
        }
        if stop.is_cancelled() {
            self.hook.stop();
        }
        !self.hook.is_idle()
    }

    fn next_batch(&mut self) -> Option<Batch> {
        let room = RECORDS_OF_BATCH.saturating_sub(self.waiting.len());
        let bytes: usize = self.waiting.iter().map(|waiting| waiting.bytes).sum();
        self.waiting.extend(self.hook.take(room, HOOK_BATCH_BYTES_MAX.saturating_sub(bytes)));
        self.envelope.seal(&mut self.waiting)
    }

    /// Sends a batch until the backend took or refused it. What it refuses is halved, down to single records, so that a bad
    /// record costs only itself. Returns whether another batch may follow.
    async fn deliver(&mut self, batch: Batch, end: &End) -> bool {
        // The first part stands last. Each half takes one request, so a batch takes fewer than two for each of its records.
        let mut parts = vec![batch];
        let (mut is_taken, mut is_refused, mut begins_anew) = (false, false, false);
        while let Some(part) = parts.pop() {
            self.under_way = part.records() + parts.iter().map(Batch::records).sum::<u64>();
            let status = match self.send(&part, end).await {
                Sent::Taken => {
                    is_taken = true;
                    continue;
                }
                Sent::GivenUp => return false,
                Sent::Refused(status) => status,
            };
            if let Some([first, second]) = part.halves() {
                self.hook.count_failure();
                parts.extend([second, first]);
                continue;
            }
            if is_refused {
                self.hook.count_failure();
            } else {
                self.failed(&format!("it answered {status}: a record is dropped"));
            }
            is_refused = true;
            begins_anew |= part.begins_anew();
            self.hook.count_refused(part.records(), part.missed());
        }
        self.under_way = 0;
        if !is_taken && end.stop.is_cancelled() {
            return false;
        }
        // A backend that refuses everything may refuse the next batch at once, too; one that refuses a gap hears another.
        if is_refused && (!is_taken || begins_anew) {
            self.pause(end).await;
        }
        true
    }

    /// Sends a batch or a part of one until the backend has an answer to it.
    async fn send(&mut self, batch: &Batch, end: &End) -> Sent {
        loop {
            let is_last_try = end.stop.is_cancelled();
            let answer = self.mailbox.post(batch.body.clone(), &self.hook.secrets()).await;
            match Verdict::of(&answer) {
                Verdict::Done => {
                    self.took(batch);
                    return Sent::Taken;
                }
                Verdict::Ended => {
                    warn!(
                        hook = self.hook.name(),
                        "the backend answered 410: the hook ends until the restart"
                    );
                    self.hook.end();
                    self.hook.count_failure();
                    self.under_way = 0;
                    return Sent::GivenUp;
                }
                Verdict::Refused(status) => return Sent::Refused(status),
                Verdict::Again(reason) => self.failed(&reason),
            }
            if is_last_try {
                return Sent::GivenUp;
            }
            self.pause(end).await;
        }
    }

    fn took(&mut self, batch: &Batch) {
        if self.failures > 0 {
            warn!(
                hook = self.hook.name(),
                failures = self.failures,
                "the backend of a hook takes records again"
            );
            self.failures = 0;
        }
        self.hook.count_sent(batch.records());
    }

    fn failed(&mut self, reason: &str) {
        if self.failures == 0 {
            warn!(hook = self.hook.name(), reason, "the backend of a hook fails, and is tried again");
        }
        self.failures = self.failures.saturating_add(1);
        self.hook.count_failure();
    }

    /// Waits before the next try.
    async fn pause(&self, end: &End) {
        // Without random numbers all hooks wait as long, which is no reason to fail.
        let random = getrandom::u32().unwrap_or_default();
        end.pause(wait(self.failures, random)).await;
    }
}

/// How long to wait after so many failures: at least 1 s, at most 30, twice as long each time. A random half is left out, so
/// that many servers do not come back to a backend at once.
fn wait(failures: u32, random: u32) -> Duration {
    let doubled = WAIT_MIN.saturating_mul(1 << failures.saturating_sub(1).min(8));
    let whole = doubled.min(WAIT_MAX);
    whole / 2 + whole.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Hook as Settings;
    use crate::hub::hooks::Hooks;

    #[test]
    fn a_try_comes_after_1_to_30_seconds_later_each_time() {
        let seconds = |failures| (wait(failures, 0).as_secs(), wait(failures, u32::MAX).as_secs());
        let waits: Vec<_> = (1..=6).map(seconds).collect();
        assert_eq!(waits, [(1, 2), (2, 4), (4, 8), (8, 16), (15, 30), (15, 30)]);
        assert_eq!(seconds(u32::MAX), (15, 30));
    }

    fn hooks() -> Hooks {
        let settings = Settings {
            name: "app".to_owned(),
            url: "http://127.0.0.1:1/".parse().unwrap(),
            secrets: Vec::new(),
            dispatches: Vec::new(),
            clients: Vec::new(),
            grace: Duration::ZERO,
            ca: None,
            node: None,
        };
        Hooks::new(&[settings])
    }

    /// How long a hook lives whose server drains for `drain` from now on.
    async fn life(hook: &Hook, drain: Duration) -> Duration {
        let (end, begin) = (End::default(), Instant::now());
        let stop = async {
            end.draining.cancel();
            sleep(drain).await;
            end.stop.cancel();
        };
        tokio::join!(end.too_late(hook), stop);
        begin.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_a_backend_that_is_down_only_as_far_as_the_drain_was_shorter() {
        let hooks = hooks();
        let hook = hooks.iter().next().unwrap();
        let drain = Duration::from_secs(3);
        hook.count_failure();
        assert_eq!(life(hook, drain).await, STOP_WAIT);
        assert_eq!(life(hook, 10 * drain).await, 10 * drain);
        hook.count_sent(1);
        assert_eq!(life(hook, 10 * drain).await, 10 * drain + STOP_WAIT);
    }
}
