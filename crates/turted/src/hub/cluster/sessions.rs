//! Sessions on their way to the engine. Of each only the newest state is kept until it is written, one write of a session at
//! a time, so that what waits is bounded by the sessions of this node, however long the engine is away.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};
use turted_core::session_key::SessionKey;

use super::random;
use crate::engine::{Change, Changed};
use crate::io::link::Link;
use crate::io::seldom::Seldom;

/// How long an engine that takes nothing is left alone.
pub(super) const REST: Duration = Duration::from_secs(1);
/// Time between two lines about an engine that takes no sessions.
const TELL_PAUSE: Duration = Duration::from_secs(60);
/// Questions whose answers are waited for. Each has a client that waits, two seconds at most.
const QUESTIONS_MAX: usize = 65_536;

/// When so many sessions wait, those that end are not deleted, but live to their age: otherwise clients that come and go for as
/// long as the engine is away would be kept without a bound.
const MANY: usize = 1_000_000;

/// Somebody who waits until a session is written, and by which worker.
pub(crate) type Receipt = (Option<Arc<Link<oneshot::Sender<()>>>>, oneshot::Sender<()>);

/// What is written of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// What it is.
    Put(Vec<u8>),
    /// It has ended.
    Delete,
}

/// Sessions on their way to the engine, and what is asked of other nodes about them.
pub(crate) struct SessionWrites {
    queue: Mutex<Queue>,
    filled: Notify,
    /// Tells that nothing waits any more.
    emptied: Notify,
    /// Whether the engine did not answer when it was last asked.
    is_away: AtomicBool,
    /// How long a session is kept from its last write on.
    age: OnceLock<Duration>,
    /// Hears that another node has taken a session of this one.
    taken: OnceLock<Box<dyn Fn(SessionKey) + Send + Sync>>,
    /// Those who wait until another node has let go of a session.
    questions: Mutex<HashMap<u64, oneshot::Sender<()>>>,
    next_question: AtomicU64,
    refused: Seldom,
    /// Sessions with a change that was answered before it was recorded, and never was.
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    entries: HashMap<SessionKey, Entry>,
    /// Those of which something waits and nothing is under way.
    ready: VecDeque<SessionKey>,
    /// Nothing is taken before.
    rests_until: Option<Instant>,
}

/// A session of which something waits or is under way.
#[derive(Debug, Default)]
struct Entry {
    write: Option<Write>,
    /// Those who wait for it.
    receipts: Vec<Receipt>,
    /// Whether a client was answered already that is what waits here.
    is_answered: bool,
    is_underway: bool,
    /// Those who wait for what is under way.
    underway: Vec<Receipt>,
    /// Whether a client was answered already that is what is under way.
    is_underway_answered: bool,
}

/// A write that was given to the engine.
#[derive(Debug)]
pub(super) struct Underway {
    key: SessionKey,
    name: String,
    write: Write,
    age: Duration,
}

impl Underway {
    pub(super) fn as_change(&self) -> Change<'_> {
        match &self.write {
            Write::Put(value) => Change::Put { name: &self.name, value, age: self.age },
            Write::Delete => Change::Delete { name: &self.name },
        }
    }
}

/// The name under which the engine has a session.
pub(crate) fn name_of(key: SessionKey) -> String {
    use std::fmt::Write as _;
    let mut name = String::with_capacity(8 + 2 * SessionKey::BYTES);
    name.push_str("session:");
    for byte in key.to_bytes() {
        // Writing to a text does not fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

impl fmt::Debug for SessionWrites {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SessionWrites").finish_non_exhaustive()
    }
}

impl SessionWrites {
    pub(super) fn new() -> Self {
        Self {
            queue: Mutex::default(),
            filled: Notify::new(),
            emptied: Notify::new(),
            is_away: AtomicBool::new(false),
            age: OnceLock::new(),
            taken: OnceLock::new(),
            questions: Mutex::default(),
            // Another process may have asked under the same number of a node before.
            next_question: AtomicU64::new(random::number()),
            refused: Seldom::every(TELL_PAUSE),
            lost: AtomicU64::new(0),
        }
    }

    /// Says how long sessions are kept, and who hears that another node has taken one.
    pub(crate) fn begin(&self, age: Duration, taken: impl Fn(SessionKey) + Send + Sync + 'static) {
        let is_first = self.age.set(age).is_ok() && self.taken.set(Box::new(taken)).is_ok();
        debug_assert!(is_first, "a node has one server");
    }

    /// How long a session is kept from its last write on.
    pub(crate) fn age(&self) -> Duration {
        self.age.get().copied().unwrap_or_default()
    }

    /// Whether the engine did not answer when it was last asked.
    pub(crate) fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }

    /// How many sessions stand in the engine as they were, because it has not answered yet.
    pub(crate) fn waiting(&self) -> usize {
        self.queue().entries.len()
    }

    /// Writes a session. What waits to be written of it is not needed any more.
    pub(crate) fn write(&self, key: SessionKey, write: Write, receipt: Option<Receipt>) {
        let mut queue = self.queue();
        if write == Write::Delete && queue.entries.len() >= MANY {
            return queue.forget(key);
        }
        let Queue { entries, ready, .. } = &mut *queue;
        let entry = entries.entry(key).or_default();
        entry.receipts.extend(receipt);
        if entry.write.replace(write).is_none() && !entry.is_underway {
            ready.push_back(key);
        }
        drop(queue);
        self.filled.notify_one();
    }

    /// Comes when all of a session is written; `None` if it is.
    pub(crate) fn written(&self, key: SessionKey) -> Option<oneshot::Receiver<()>> {
        let mut queue = self.queue();
        let entry = queue.entries.get_mut(&key)?;
        let (sender, written) = oneshot::channel();
        let receipts = if entry.write.is_some() { &mut entry.receipts } else { &mut entry.underway };
        receipts.push((None, sender));
        Some(written)
    }

    /// A client was answered before its session is written.
    pub(crate) fn answered_before(&self, key: SessionKey) {
        let mut queue = self.queue();
        // Without an entry it is written by now.
        let Some(entry) = queue.entries.get_mut(&key) else { return };
        match entry.write {
            Some(_) => entry.is_answered = true,
            None => entry.is_underway_answered = true,
        }
    }

    /// How many sessions have a change that was answered before it was recorded, and never was: another node has taken them
    /// before, or this one has left.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// This node leaves: what waits still is never written.
    pub(super) fn give_up(&self) {
        let mut queue = self.queue();
        let entries = std::mem::take(&mut queue.entries);
        drop(queue);
        let answered = |entry: &&Entry| entry.is_answered || entry.is_underway_answered;
        self.lost.fetch_add(entries.values().filter(answered).count() as u64, Ordering::Relaxed);
        if !entries.is_empty() {
            let sessions = entries.len();
            tracing::warn!(
                sessions,
                "sessions were not recorded before the end: their clients come back as what they were"
            );
        }
    }

    /// Waits until nothing waits to be written. To be called when nothing comes any more.
    pub(super) async fn all_written(&self) {
        while self.waiting() > 0 {
            self.emptied.notified().await;
        }
    }

    /// Waits until there is something to write.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Takes sessions to be written, the oldest first.
    pub(super) fn take(&self, most: usize) -> Vec<Underway> {
        let mut queue = self.queue();
        if queue.rests_until.is_some_and(|until| until > Instant::now()) {
            return Vec::new();
        }
        let Queue { entries, ready, rests_until } = &mut *queue;
        *rests_until = None;
        let count = ready.len().min(most);
        let mut taken = Vec::with_capacity(count);
        for key in ready.drain(..count) {
            let Some(entry) = entries.get_mut(&key) else { continue };
            let Some(write) = entry.write.take() else { continue };
            entry.is_underway = true;
            entry.is_underway_answered = std::mem::take(&mut entry.is_answered);
            entry.underway = std::mem::take(&mut entry.receipts);
            taken.push(Underway { key, name: name_of(key), write, age: self.age() });
        }
        if !ready.is_empty() {
            self.filled.notify_one();
        }
        taken
    }

    /// The engine did not answer: each of these is written later, unless something newer of it waits by now.
    pub(super) fn put_back(&self, underway: Vec<Underway>) {
        self.is_away.store(true, Ordering::Relaxed);
        if underway.is_empty() {
            return;
        }
        let mut queue = self.queue();
        let Queue { entries, ready, .. } = &mut *queue;
        for Underway { key, write, .. } in underway {
            let Some(entry) = entries.get_mut(&key) else { continue };
            entry.is_underway = false;
            entry.is_answered |= std::mem::take(&mut entry.is_underway_answered);
            entry.write.get_or_insert(write);
            let earlier = std::mem::take(&mut entry.underway);
            entry.receipts.extend(earlier);
            ready.push_back(key);
        }
        drop(queue);
        self.filled.notify_one();
    }

    /// The engine has answered. Returns whether it refuses something, and has to be left alone for a while.
    pub(super) fn done(&self, done: impl IntoIterator<Item = (Underway, Changed)>) -> bool {
        self.is_away.store(false, Ordering::Relaxed);
        let (mut refused, mut receipts, mut taken) = (Vec::new(), Vec::new(), Vec::new());
        let mut queue = self.queue();
        for (underway, changed) in done {
            match changed {
                Changed::Refused(reason) => {
                    self.tell_refused(&reason);
                    refused.push(underway);
                }
                changed => {
                    if matches!(changed, Changed::Owned(..)) {
                        let is_lost = queue.is_underway_answered(underway.key);
                        self.lost.fetch_add(u64::from(is_lost), Ordering::Relaxed);
                        taken.push(underway.key);
                    }
                    receipts.extend(queue.done(underway.key));
                }
            }
        }
        let is_refused = !refused.is_empty();
        if is_refused {
            queue.rests_until = Some(Instant::now() + REST);
        }
        drop(queue);
        if is_refused {
            self.put_back(refused);
            self.is_away.store(false, Ordering::Relaxed);
        }
        if let Some(hears) = self.taken.get() {
            taken.into_iter().for_each(hears);
        }
        // Dropping a receipt lets its client go on.
        Link::give_back(receipts.into_iter().filter_map(|(link, written)| Some((link?, written))));
        if self.waiting() == 0 {
            self.emptied.notify_one();
        }
        is_refused
    }

    fn tell_refused(&self, reason: &str) {
        if self.refused.tell(Instant::now()).is_some() {
            tracing::error!(reason, "sessions cannot be written to Redis: they are tried again");
        }
    }

    /// The engine is there again.
    pub(super) fn is_back(&self) {
        self.is_away.store(false, Ordering::Relaxed);
        self.filled.notify_one();
    }

    /// There may be something to write again.
    pub(super) fn look(&self) {
        self.filled.notify_one();
    }

    /// A question to another node, and what comes when it has let go of the session.
    pub(crate) fn ask(&self) -> (u64, oneshot::Receiver<()>) {
        let question = self.next_question.fetch_add(1, Ordering::Relaxed);
        let (sender, answered) = oneshot::channel();
        let mut questions = self.questions();
        if questions.len() >= QUESTIONS_MAX {
            questions.retain(|_, asked| !asked.is_closed());
        }
        if questions.len() < QUESTIONS_MAX {
            questions.insert(question, sender);
        }
        (question, answered)
    }

    /// Another node has let go of a session, or it is not waited for any longer.
    pub(crate) fn answered(&self, question: u64) {
        // Whoever asked may have stopped waiting.
        drop(self.questions().remove(&question));
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn questions(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<()>>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Leaves a session that has ended to its age: too many wait already.
    fn forget(&mut self, key: SessionKey) {
        let is_underway = self.entries.get(&key).is_some_and(|entry| entry.is_underway);
        if !is_underway {
            self.entries.remove(&key);
        }
        if self.ready.len() > 2 * MANY {
            let entries = &self.entries;
            self.ready.retain(|key| entries.contains_key(key));
        }
    }

    fn is_underway_answered(&self, key: SessionKey) -> bool {
        self.entries.get(&key).is_some_and(|entry| entry.is_underway_answered)
    }

    /// What was under way of a session is written. Returns those who have waited for it.
    fn done(&mut self, key: SessionKey) -> Vec<Receipt> {
        let Some(entry) = self.entries.get_mut(&key) else { return Vec::new() };
        (entry.is_underway, entry.is_underway_answered) = (false, false);
        let receipts = std::mem::take(&mut entry.underway);
        if entry.write.is_some() {
            self.ready.push_back(key);
        } else {
            self.entries.remove(&key);
        }
        receipts
    }
}

#[cfg(test)]
mod tests;
