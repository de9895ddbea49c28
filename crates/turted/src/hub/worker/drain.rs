//! The end of a worker's connections: each is told to come back elsewhere, not all at once, and
//! none before it has taken what was accepted for it.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use turted_core::close::Close;
use turted_core::limits::CLOSES_PER_SECOND;
use turted_core::registry::ConnectionKey;

use crate::hub::delivery::outlet::{Outlet, Waiting};
use crate::hub::worker::worker::Worker;

/// Time between two looks at which connections are next. At full pace these are ten, and a client whose bytes
/// have left waits hardly any longer.
const BEAT: Duration = Duration::from_millis(10);

/// How long a client that is told to come back may take none of the bytes that wait for it. It
/// covers a few round trips; a client that needs longer recovers what it missed when it is back.
const STALL: Duration = Duration::from_secs(2);

/// How long a client may take to ask for the next frame after it got one, before it is taken for gone: a
/// few round trips of a slow network. A client that asks within that time is told; later there is no server to
/// ask.
const NEXT_REQUEST: Duration = Duration::from_secs(1);

/// Tells every connection of this worker that the server stops. To be called when the fan-out is
/// done: what was accepted is then in the outboxes at the latest.
///
/// Takes as long as `drain_timeout` at most.
pub(crate) async fn tell_all(worker: &Rc<Worker>) {
    let began = Instant::now();
    let keys: Vec<_> = worker.registry.borrow().iter().map(|connection| connection.key).collect();
    let longest = worker.config.drain_timeout;
    let spread = spread(keys.len() * worker.config.workers, longest);
    let (mut told, mut late) = (0, Vec::new());
    loop {
        late.retain_mut(|waiting: &mut Late| !waiting.tell(worker));
        let due = due(keys.len(), began.elapsed(), spread);
        let turn = keys[told..due].iter().map(|key| Late::new(*key));
        late.extend(turn.filter_map(|mut next| (!next.tell(worker)).then_some(next)));
        told = due;
        if told == keys.len() && (late.is_empty() || began.elapsed() >= longest) {
            break;
        }
        sleep(BEAT).await;
    }
    tell_the_rest(worker);
}

/// A connection whose turn has come.
#[derive(Debug)]
struct Late {
    key: ConnectionKey,
    waiting: Waiting,
    /// Bytes that it has taken of the first frame that waits: a large one may take it long.
    under_way: usize,
    /// When it last took something.
    since: Instant,
}

impl Late {
    fn new(key: ConnectionKey) -> Self {
        Self { key, waiting: Waiting::default(), under_way: 0, since: Instant::now() }
    }

    /// Tells the client if it has taken everything and can be reached, or if it takes nothing any more. Returns
    /// whether the connection is over.
    fn tell(&mut self, worker: &Worker) -> bool {
        let connection = worker.registry.borrow().get(self.key).cloned();
        let Some(connection) = connection else { return true };
        let (is_ready, waiting, under_way) = {
            let outlet = connection.outlet().borrow();
            (outlet.is_flushed() && !is_between_requests(&outlet), outlet.waiting(), outlet.under_way())
        };
        if (waiting, under_way) != (self.waiting, self.under_way) {
            (self.waiting, self.under_way, self.since) = (waiting, under_way, Instant::now());
        }
        let over = is_ready || self.since.elapsed() >= STALL;
        if over {
            connection.close(worker, Close::Drain);
        }
        over
    }
}

/// Whether no request of the client is there to be answered, but one soon will be.
fn is_between_requests(outlet: &Outlet) -> bool {
    outlet.absent_since().is_some_and(|since| since.elapsed() < NEXT_REQUEST)
}

/// The time over which `connections` of a node are told.
fn spread(connections: usize, longest: Duration) -> Duration {
    let millis = connections.saturating_mul(1000) / CLOSES_PER_SECOND;
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)).min(longest)
}

/// How many of `total` have been told when the current beat is over.
fn due(total: usize, elapsed: Duration, spread: Duration) -> usize {
    let (elapsed, spread) = ((elapsed + BEAT).as_micros(), spread.as_micros().max(1));
    usize::try_from((total as u128 * elapsed).div_ceil(spread)).map_or(total, |due| due.min(total))
}

/// Tells the clients that did not take everything, and the few that were let in at the last moment.
fn tell_the_rest(worker: &Rc<Worker>) {
    let rest: Vec<_> = worker.registry.borrow().iter().cloned().collect();
    if !rest.is_empty() {
        tracing::info!(worker = worker.index, connections = rest.len(), "closing before all was sent");
    }
    rest.iter().for_each(|connection| connection.close(worker, Close::Drain));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_server_is_drained_at_once_and_a_large_one_in_the_time_it_has() {
        let longest = Duration::from_secs(30);
        assert_eq!(due(10, Duration::ZERO, spread(10, longest)), 10);
        assert_eq!(spread(2_000, longest), Duration::from_secs(2));
        assert_eq!(spread(1_000_000, longest), longest);
        assert_eq!(spread(usize::MAX, longest), longest);
    }

    #[test]
    fn the_pace_is_even() {
        let spread = Duration::from_secs(2);
        for (millis, told) in [(0, 10), (490, 500), (1_990, 2_000), (5_000, 2_000)] {
            assert_eq!(due(2_000, Duration::from_millis(millis), spread), told, "{millis} ms");
        }
    }
}
