//! The live view: what happens on this node is told to those who watch it, while they do.
//!
//! The functions that write the log tell it too: `auth::gate`, `hub::worker::journal` and `hub::dispatch::journal`. Without a
//! watcher that is one load of an atomic. With one, a record is written once, under one lock, where nothing waits; whoever
//! does not read loses records, and is told how many.
//!
//! | file | what |
//! |---|---|
//! | `record` | one record: what it is, and how it is written |
//! | `push` | a push whose connections are being counted |
//! | `filter` | which records a watcher wants |
//! | `queue` | the records that wait for one watcher |
//! | `feeder` | puts what happens on other nodes before a watcher |
//! | `tests` | who hears what, and what it costs who does not read |

mod record;
mod push;
mod filter;
mod queue;
mod feeder;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;
use turted_core::cursor::Cursor;
use turted_core::dispatch::Dispatch;
use turted_core::limits::WATCHERS_MAX;
use turted_core::name::Name;

pub(crate) use feeder::Feeder;
pub(crate) use filter::Filter;
#[cfg(test)]
use filter::FilterRefusal;
pub(crate) use push::Origin;
use push::{Counted, Pushes};
use queue::Queue;
pub(crate) use record::{Kind, Record};

/// What happens on a node, for those who watch it. Cheap to clone; every clone is the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// How many watchers there are: what everybody looks at who has something to tell.
    watching: AtomicUsize,
    /// Held for one record, or for what one watcher takes out. Nothing else is locked under it.
    told: Mutex<Told>,
    /// Knows the number of this node, if it is one of a cluster.
    node: OnceLock<Naming>,
}

/// Names the node of a cluster.
struct Naming(Box<dyn Fn() -> u16 + Send + Sync>);

impl fmt::Debug for Naming {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Naming").finish_non_exhaustive()
    }
}

/// What stands behind the lock.
#[derive(Debug, Default)]
struct Told {
    watchers: Vec<Watcher>,
    /// The number of the next watcher.
    next: u64,
    pushes: Pushes,
}

#[derive(Debug)]
struct Watcher {
    number: u64,
    filter: Filter,
    queue: Queue,
    news: Arc<Notify>,
}

/// There are as many watchers as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Live {
    /// Whether somebody watches.
    pub(crate) fn is_watched(&self) -> bool {
        self.0.watching.load(Ordering::Relaxed) > 0
    }

    /// Tells something that happened, if somebody watches. `describe` is called only then, and must not lock anything.
    pub(crate) fn tell<'a>(&self, describe: impl FnOnce() -> Record<'a>) {
        if self.is_watched() {
            let mut record = describe();
            if let Some(Naming(node)) = self.0.node.get() {
                record.connection = record.connection.map(|id| id.of_node(node()));
            }
            self.told().tell(&record);
        }
    }

    /// Says who knows the number of this node, which is in the ids of its connections.
    pub(crate) fn name_node_by(&self, node: impl Fn() -> u16 + Send + Sync + 'static) {
        let is_first = self.0.node.set(Naming(Box::new(node))).is_ok();
        debug_assert!(is_first, "a node is in one cluster");
    }

    /// Tells a push that was numbered, once each of so many workers has [resolved](Self::resolved) it.
    pub(crate) fn pushed(&self, cursor: Cursor, dispatch: &Dispatch, origin: &Arc<Origin>, workers: usize) {
        if self.is_watched() {
            let mut told = self.told();
            let Told { watchers, pushes, .. } = &mut *told;
            let counted =
                Counted::new(cursor, dispatch, origin, watchers.iter().map(|own| (own.number, &own.filter)));
            let over = counted.map(|counted| pushes.begin(counted, workers));
            for push in over.into_iter().flatten() {
                told.tell_push(&push, None);
            }
        }
    }

    /// A worker has resolved the push with this number: so many connections receive it. `has_reached` says whether those of
    /// a user are among them.
    pub(crate) fn resolved(&self, sequence: u64, reached: usize, has_reached: impl Fn(&Name) -> bool) {
        if self.is_watched() {
            let mut told = self.told();
            let Told { watchers, pushes, .. } = &mut *told;
            let filters = watchers.iter().map(|own| (own.number, &own.filter));
            if let Some((push, reached)) = pushes.resolved(sequence, reached, filters, has_reached) {
                told.tell_push(&push, Some(reached));
            }
        }
    }

    /// Watches from now on what passes `filter`. The first record is `greeting`, if there is one.
    pub(crate) fn watch(&self, filter: Filter, greeting: Option<&Record<'_>>) -> Result<Watching, TooMany> {
        let mut told = self.told();
        if told.watchers.len() >= WATCHERS_MAX {
            return Err(TooMany);
        }
        let (number, news) = (told.next, Arc::new(Notify::new()));
        told.next += 1;
        let mut queue = Queue::default();
        if let Some(greeting) = greeting {
            queue.put(greeting.write(false).into());
        }
        told.watchers.push(Watcher { number, filter, queue, news: Arc::clone(&news) });
        self.0.watching.store(told.watchers.len(), Ordering::Relaxed);
        drop(told);
        news.notify_one();
        Ok(Watching { live: self.clone(), number, news })
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    fn tell(&mut self, record: &Record<'_>) {
        self.put(record, |watcher| watcher.filter.passes(record));
    }

    fn tell_push(&mut self, push: &Counted, reached: Option<usize>) {
        self.put(&push.record(reached), |watcher| push.is_for(watcher.number));
    }

    fn put(&mut self, record: &Record<'_>, is_for: impl Fn(&Watcher) -> bool) {
        let (mut plain, mut with_payload) = (None, None);
        for watcher in self.watchers.iter_mut().filter(|watcher| is_for(watcher)) {
            let shows_payload = watcher.filter.shows_payload();
            let written = if shows_payload { &mut with_payload } else { &mut plain };
            let written = written.get_or_insert_with(|| Arc::from(record.write(shows_payload)));
            watcher.queue.put(match watcher.filter.node() {
                Some(node) => record::named(written, node),
                None => Arc::clone(written),
            });
            watcher.news.notify_one();
        }
    }
}

/// One watcher, until this is dropped.
#[derive(Debug)]
pub(crate) struct Watching {
    live: Live,
    number: u64,
    news: Arc<Notify>,
}

impl Watching {
    /// Puts what happens on other nodes before this watcher.
    pub(crate) fn feeder(&self) -> Feeder {
        Feeder::new(self.live.clone(), self.number)
    }

    /// Waits for records and takes out some, of about so many bytes at most, but one at least. For one waiter. Cancel safe.
    pub(crate) async fn take(&self, bytes: usize) -> Vec<Arc<str>> {
        loop {
            let taken = self.take_now(bytes);
            if !taken.is_empty() {
                return taken;
            }
            self.news.notified().await;
        }
    }

    fn take_now(&self, bytes: usize) -> Vec<Arc<str>> {
        let mut told = self.live.told();
        let own = told.watchers.iter_mut().find(|watcher| watcher.number == self.number);
        own.map(|own| own.queue.take(bytes)).unwrap_or_default()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut told = self.live.told();
        told.watchers.retain(|watcher| watcher.number != self.number);
        if told.watchers.is_empty() {
            told.pushes = Pushes::default();
        }
        self.live.0.watching.store(told.watchers.len(), Ordering::Relaxed);
    }
}
