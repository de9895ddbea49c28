//! Relief: when more waits for all clients together than may, the workers close the connections that
//! something has waited for longest, until there is room again. Each closes its own, and says to the others since when
//! something waits for them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use turted_core::registry::ConnectionKey;

use crate::hub::delivery::outlet::Pace;
use crate::hub::worker::connection::Connection;
use crate::hub::worker::worker::Worker;

/// Entries below which it is not worth looking for those that are out of date.
const ENTRIES_MIN: usize = 1_024;
/// Time until the next look where relief found nothing to close: what waits is held by answers or by
/// other workers, which need a moment.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a worker waits for another one whose connections have waited longer. That one may hang.
const OTHERS_WAIT: Duration = Duration::from_millis(100);
/// Time between two lines in the log: clients could fill it.
const TELL_PAUSE: Duration = Duration::from_secs(60);

/// The connections of one worker that something waits for, in the order in which it began to.
#[derive(Debug, Default)]
pub(crate) struct WaitingConnections(RefCell<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// An entry is out of date once nothing waits any more, or once something else does.
    entries: VecDeque<(Instant, ConnectionKey)>,
    /// The number of entries at which those that are out of date are looked for.
    entries_max: usize,
}

impl WaitingConnections {
    /// Notes that something waits for a connection since then: whether nothing waited for others.
    pub(crate) fn add(
        &self,
        since: Instant,
        key: ConnectionKey,
        is_current: impl Fn(Instant, ConnectionKey) -> bool,
    ) -> bool {
        let Entries { entries, entries_max } = &mut *self.0.borrow_mut();
        let is_first = entries.is_empty();
        entries.push_back((since, key));
        if entries.len() > ENTRIES_MIN.max(*entries_max) {
            entries.retain(|(since, key)| is_current(*since, *key));
            *entries_max = 2 * entries.len();
            entries.shrink_to(ENTRIES_MIN.max(*entries_max));
        }
        is_first
    }

    /// The connection that something has waited for longest, and since when.
    fn longest<T>(&self, find: impl Fn(Instant, ConnectionKey) -> Option<T>) -> Option<(Instant, T)> {
        let entries = &mut self.0.borrow_mut().entries;
        while let Some((since, key)) = entries.front().copied() {
            if let Some(found) = find(since, key) {
                return Some((since, found));
            }
            entries.pop_front();
        }
        None
    }

    /// Takes out what [`longest`](Self::longest) found.
    fn remove_longest(&self) {
        self.0.borrow_mut().entries.pop_front();
    }
}

/// Since when something has waited for connections of each worker, or longer ago: what each told last, which is
/// out of date once its connections have taken all.
#[derive(Debug)]
pub(crate) struct Longest {
    start: Instant,
    /// In microseconds from the start, by the index of the worker.
    since: Box<[AtomicU64]>,
}

impl Longest {
    pub(crate) fn new(workers: usize) -> Self {
        Self { start: Instant::now(), since: (0..workers).map(|_| AtomicU64::new(u64::MAX)).collect() }
    }

    /// Tells the other workers; `None` if nothing waits.
    fn tell(&self, worker: u8, since: Option<Instant>) {
        let micros = since.map_or(u64::MAX, |since| {
            u64::try_from(since.saturating_duration_since(self.start).as_micros()).unwrap_or(u64::MAX)
        });
        self.since[usize::from(worker)].store(micros, Ordering::Relaxed);
    }

    /// Whether nothing has waited longer than what this worker told of.
    fn is_of(&self, worker: u8) -> bool {
        let since = |at: &AtomicU64| at.load(Ordering::Relaxed);
        let own = since(&self.since[usize::from(worker)]);
        self.since.iter().all(|other| own <= since(other))
    }
}

/// Notes that something waits for a connection from now on.
pub(crate) fn note(worker: &Worker, connection: &Connection) {
    let since = connection.outlet().borrow().since();
    if let Some(since) = since
        && worker.waiting.add(since, connection.key, |since, key| find(worker, since, key).is_some())
    {
        worker.shared.longest.tell(worker.index, Some(since));
    }
}

/// The same for whoever watches a connection: notes if all was taken that waited `since` then and something else
/// waits now, which has as long as it had. A session of SockJS gives its response the next portion at once.
pub(crate) fn note_anew(
    worker: &Worker,
    connection: &Connection,
    (since, pace): (&mut Option<Instant>, &mut Pace),
) {
    let now_since = connection.outlet().borrow().since();
    if now_since != *since {
        (*since, *pace) = (now_since, Pace::new(worker.config.limits.outbox_stall, Instant::now()));
        note(worker, connection);
    }
}

/// The connection with this key, if something has waited for it since then.
fn find(worker: &Worker, since: Instant, key: ConnectionKey) -> Option<Rc<Connection>> {
    let connection = worker.registry.borrow().get(key).cloned()?;
    let is_current = connection.outlet().borrow().since() == Some(since);
    is_current.then_some(connection)
}

/// Relieves the server of what waits whenever that is too much, until the server ends.
pub(crate) async fn run(worker: Rc<Worker>) {
    let backlogs = Arc::clone(&worker.shared.backlogs);
    let ending = worker.shared.life.ending.clone();
    let (mut closed, mut told) = (0, None::<Instant>);
    while ending.run_until_cancelled(backlogs.exceeded()).await.is_some() {
        closed += relieve(&worker).await;
        if closed > 0 && told.is_none_or(|told| told.elapsed() >= TELL_PAUSE) {
            let limit = backlogs.limit();
            tracing::warn!(
                closed,
                limit,
                "more waits for clients than may (limits.backlog_bytes): slow readers are closed"
            );
            (closed, told) = (0, Some(Instant::now()));
        }
        ending.run_until_cancelled(sleep(PAUSE)).await;
    }
}

/// Closes connections until there is room: how many.
async fn relieve(worker: &Rc<Worker>) -> usize {
    let longest = &worker.shared.longest;
    let (start, mut closed) = (Instant::now(), 0);
    loop {
        let own = worker.waiting.longest(|since, key| find(worker, since, key));
        longest.tell(worker.index, own.as_ref().map(|(since, _)| *since));
        if !worker.shared.backlogs.is_full() {
            return closed;
        }
        let Some((_, connection)) = own else { return closed };
        if longest.is_of(worker.index) || start.elapsed() >= OTHERS_WAIT {
            worker.waiting.remove_longest();
            connection.cut(worker);
            closed += 1;
        } else {
            sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use turted_core::registry::Registry;

    use super::*;

    #[test]
    fn entries_out_of_date_are_forgotten_and_the_oldest_of_the_others_comes_first() {
        let (waiting, start) = (WaitingConnections::default(), Instant::now());
        let mut registry = Registry::new();
        let keys = [registry.insert(()), registry.insert(())];
        let at = |millis| start + Duration::from_millis(millis);
        for millis in 0..100_000 {
            waiting.add(at(millis), keys[0], |since, _| since >= at(millis));
        }
        assert!(waiting.0.borrow().entries.len() <= ENTRIES_MIN, "the others are out of date");
        waiting.add(at(100_001), keys[1], |_, _| true);
        let longest = || {
            let found = waiting.longest(|since, key| (since >= at(99_999)).then_some(key));
            waiting.remove_longest();
            found.map(|(_, key)| key)
        };
        assert_eq!([longest(), longest(), longest()], [Some(keys[0]), Some(keys[1]), None]);
    }
    #[test]
    fn the_worker_closes_first_whose_connection_has_waited_longest() {
        let longest = Longest::new(3);
        let at = |millis| Some(longest.start + Duration::from_millis(millis));
        longest.tell(0, at(2));
        longest.tell(1, at(1));
        assert_eq!([0, 1, 2].map(|worker| longest.is_of(worker)), [false, true, false]);
        longest.tell(1, None);
        assert_eq!([0, 1, 2].map(|worker| longest.is_of(worker)), [true, false, false]);
    }
}
