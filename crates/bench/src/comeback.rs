//! The return of all clients: they lose their connections at once, miss events, and come back to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use super::fleet::Heard;
use super::plan::Turn;
use super::process::{Usage, forget_peak};
use super::pusher::Pusher;
use super::report::{Return, each};
use super::{BenchError, CLOSE_WAIT_MAX, Progress, Run, SETTLE};

/// Time between two looks at what is missing.
const LOOK: Duration = Duration::from_millis(2);
/// A server without room for a push is asked again after this time.
const OVERLOAD_WAIT: Duration = Duration::from_millis(5);

/// How the clients came back, without what they heard.
#[derive(Debug)]
pub(super) struct Comeback {
    time: Duration,
    failed: usize,
    lost: u64,
    pushes_refused: u64,
    before: Option<Usage>,
    after: Option<Usage>,
}

impl<P: FnMut(Progress)> Run<P> {
    /// Loses all connections, pushes what the clients miss, and has them come back, if the plan says so.
    pub(super) async fn comeback(&mut self) -> Result<Option<Comeback>, BenchError> {
        if self.plan.missed == 0 {
            return Ok(None);
        }
        let (groups, told) = (self.plan.told() / self.plan.told_to_each(), self.plan.told());
        // From its first event on a client has a position.
        let mut refused = self.tell(0..groups).await?;
        self.wait_for(groups).await;
        self.lose().await?;
        refused += self.tell(groups..told).await?;
        sleep(SETTLE).await;
        self.plan.process.iter().copied().for_each(forget_peak);
        let (before, start) = (self.look()?, Instant::now());
        let (_, failed) = self.want(|wanted, clients| wanted.returning = clients.reading).await?;
        let last = self.wait_for(told).await;
        let (after, lost) = (self.look()?, self.board.missing(told));
        self.board.settle();
        let time = last.saturating_duration_since(start);
        Ok(Some(Comeback { time, failed, lost, pushes_refused: refused, before, after }))
    }

    /// Pushes the dispatches of these numbers, one after the other. Returns how often the server had no room.
    async fn tell(&mut self, numbers: std::ops::Range<u32>) -> Result<u64, BenchError> {
        let tasks = TaskTracker::new();
        let (plan, board) = (Arc::clone(&self.plan), Arc::clone(&self.board));
        let mut backend = Pusher::open(plan, board, 0, &tasks).await?;
        let mut refused = 0;
        let mut deadline = Instant::now() + self.plan.patience;
        let groups = self.plan.spread.groups();
        for number in numbers {
            // Each group in turn, whatever the turn of the load is: each client is told as much.
            let group = Turn::Next.group(number, groups);
            while !backend.push_number(number, group, self.board.now()).await? {
                refused += 1;
                if Instant::now() > deadline {
                    return Ok(refused);
                }
                sleep(OVERLOAD_WAIT).await;
            }
            deadline = Instant::now() + self.plan.patience;
        }
        Ok(refused)
    }

    /// Waits until the dispatches below this number arrived, or until nothing comes any more. Returns when the last
    /// delivery was seen.
    async fn wait_for(&mut self, numbers: u32) -> Instant {
        let (mut last, mut missing) = (Instant::now(), self.board.missing(numbers));
        while missing > 0 && last.elapsed() < self.plan.patience {
            sleep(LOOK).await;
            let now = self.board.missing(numbers);
            if now < missing {
                (last, missing) = (Instant::now(), now);
            }
        }
        last
    }

    /// Ends all connections that read, and waits until the server has noticed.
    async fn lose(&mut self) -> Result<(), BenchError> {
        let (start, connected) = (Instant::now(), self.look()?);
        let counts = &self.board.counts;
        let open = counts.ready.load(Ordering::Acquire) - self.plan.clients.churned;
        self.loss.cancel();
        loop {
            let gone = counts.away.load(Ordering::Acquire) + counts.ended.load(Ordering::Acquire);
            if gone >= open || start.elapsed() > self.plan.patience {
                break;
            }
            // What is notified just before this is not missed: the notice waits.
            timeout(LOOK, self.board.changed.notified()).await.ok();
        }
        let gone =
            connected.map(|usage| Usage { descriptors: usage.descriptors.saturating_sub(open), ..usage });
        self.look_when_closed(gone).await?;
        if gone.is_none() {
            sleep(CLOSE_WAIT_MAX).await;
        }
        Ok(())
    }
}

impl Comeback {
    pub(super) fn report(&self, clients: usize, missed: u32, heard: Heard) -> Return {
        let both = self.before.zip(self.after);
        Return {
            clients,
            failed: self.failed,
            missed,
            seconds: self.time.as_secs_f64(),
            deliveries: heard.deliveries,
            lost: self.lost,
            disordered: heard.disordered,
            duplicated: heard.duplicated,
            pushes_refused: self.pushes_refused,
            cpu_us_per_client: both
                .and_then(|(before, after)| each(after.cpu_since(&before).total_us(), clients as u64)),
            rss_before: self.before.map(|before| before.rss_bytes),
            rss_peak: self.after.map(|after| after.peak_bytes),
        }
    }
}
