//! The dispatcher: takes an event from anywhere, numbers it, hands it to every worker.
//!
//! ```no_run
//! # fn example(dispatcher: &turted::dispatcher::Dispatcher) -> Result<(), turted::dispatcher::DispatchRefusal> {
//! dispatcher.notify_user("xosofox", "MESSAGE:NEW", &serde_json::json!({"from": "Bridgekeeper"}))?;
//! # Ok(())
//! # }
//! ```

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock};
use std::time::Instant;
use std::{io, mem};

use serde::Serialize;
use serde_json::value::to_raw_value;
use tokio::sync::{Notify, mpsc, oneshot};
use turted_core::cluster::fit::fit;
use turted_core::cursor::Cursor;
use turted_core::dispatch::{Dispatch, Targets};
#[cfg(test)]
use turted_core::epochs::Epoch;
use turted_core::epochs::Epochs;
use turted_core::history::Range;
use turted_core::limits::EXPANSION_BYTES_MAX;
use turted_core::name::Name;

use crate::config::Config;
use crate::hub::dispatch::feed::Feed;
use crate::hub::dispatch::handlers::HandlerId;
use crate::hub::dispatch::history::deletion::Deletion;
use crate::hub::dispatch::history::{DELETIONS_MAX, EVENTS_PER_LOCK, FormerHistory, History, Told};
use crate::hub::dispatch::inbox::{Inbox, inbox};
use crate::hub::dispatch::inner::{Inner, lock};
use crate::hub::dispatch::journal::{Pusher, Pushes};
#[cfg(test)]
use crate::hub::dispatch::log::LogLimits;
use crate::hub::dispatch::log::disk::deleted::{self, Deleted};
use crate::hub::dispatch::log::health::LogHealth;
use crate::hub::dispatch::log::{Accepted, Log};
use crate::hub::dispatch::order::{Hearing, Order, Push, Size};
use crate::hub::dispatch::queue::{BUSY_MAX, Counts, PushedKey, Queue, Waiting};
pub use crate::hub::dispatch::receipt::{DispatchRefusal, Positions, Reached, Receipt};
pub(crate) use crate::hub::dispatch::receipt::{Reach, Settled, Submitted};
pub(crate) use crate::hub::dispatch::source::Source;
use crate::hub::dispatch::writer::{Ending, Writer, WriterEnd, WriterParts};
#[cfg(test)]
use crate::io::backlogs::Backlogs;
use crate::io::link::Link;
use crate::live::Live;

/// Takes events and sends them on their way. Cheap to clone; every clone is the same dispatcher.
///
/// Every connection sees events in the order in which this dispatcher accepted them.
#[derive(Clone, Debug)]
pub struct Dispatcher {
    inner: Arc<Inner>,
    source: Source,
    /// The name that this node must hold in the engine of its cluster for what is submitted.
    holds: Option<Arc<str>>,
    /// The largest [`Dispatch::expansion_of`] that one call may have.
    expansion_bytes: usize,
    /// By which a worker and the log writer wake each other.
    link: Option<Arc<Link<Settled>>>,
}

impl Dispatcher {
    /// A dispatcher over a log that begins anew.
    #[cfg(test)]
    pub(crate) fn new(epoch: u64, limits: LogLimits, inboxes: Vec<Inbox>, backlogs: &Arc<Backlogs>) -> Self {
        Self::over(
            Log::new(limits, Epoch { epoch, after: 0 }, backlogs),
            Epochs::new(Epoch { epoch, after: 0 }),
            inboxes,
            Live::default(),
        )
    }

    /// A dispatcher that goes on with a log, and tells `live` of each dispatch.
    pub(crate) fn over(log: Log, epochs: Epochs, inboxes: Vec<Inbox>, live: Live) -> Self {
        let (backlogs, began_after) = (Arc::clone(log.backlogs()), log.last());
        let order = Mutex::new(Order::new(log, inboxes, live.clone()));
        let inner = Arc::new(Inner {
            order,
            epochs: RwLock::new(epochs),
            began_after: began_after.into(),
            lost_before: 0.into(),
            backlogs,
            live,
            handlers: Arc::default(),
            handlers_end: Mutex::default(),
            writer_end: Mutex::default(),
            health: Arc::default(),
            keeps_keys: AtomicBool::new(false),
            has_nodes: AtomicBool::new(false),
            queued: Condvar::new(),
            queued_for_engine: Notify::new(),
        });
        Self { inner, source: Source::Embed, holds: None, expansion_bytes: EXPANSION_BYTES_MAX, link: None }
    }

    /// The same dispatcher with another limit (`limits.expansion_bytes`).
    pub(crate) fn with_expansion_bytes(self, expansion_bytes: usize) -> Self {
        Self { expansion_bytes, ..self }
    }

    /// The same dispatcher, which keeps the history of channels from now on, if a channel has any. It goes on with what the
    /// last life left.
    pub(crate) fn with_history(self, config: &Config, former: Option<FormerHistory>) -> Self {
        let order = &mut *self.order();
        order.history = History::over(&order.log, config, (former, Instant::now()));
        self.clone()
    }

    /// The same dispatcher without what was deleted from history in an earlier life.
    pub(crate) fn without(self, deleted: Vec<Deleted>) -> Self {
        for (channel, numbers) in deleted {
            self.delete_history(&channel, numbers);
        }
        self
    }

    /// The same dispatcher for dispatches of this source. A push connector calls it: the dispatcher of a worker is
    /// that of [`Source::Rest`].
    pub(crate) fn for_source(&self, source: Source) -> Self {
        Self { source, ..self.clone() }
    }

    /// The same dispatcher for dispatches that are accepted only while this node holds a name in the engine of its cluster.
    pub(crate) fn holding(&self, name: &Arc<str>) -> Self {
        Self { holds: Some(Arc::clone(name)), ..self.clone() }
    }

    /// The same dispatcher for one worker, which wakes the log writer when this link asks for it.
    pub(crate) fn linked(self, link: Arc<Link<Settled>>) -> Self {
        Self { link: Some(link), ..self }
    }

    /// Wakes the log writer.
    pub(crate) fn wake_writer(&self) {
        self.inner.wake_writer();
    }

    /// How many dispatches of this source were accepted.
    pub(crate) fn accepted(&self, source: &Source) -> u64 {
        source.index().map_or(0, |index| self.order().accepted[index])
    }

    /// How many dispatches wait for the worker that has most of them waiting.
    pub(crate) fn waiting(&self) -> usize {
        self.order().waiting()
    }

    /// Sends `event` to all connections of `user`.
    ///
    /// # Errors
    /// As [`notify`](Self::notify).
    pub fn notify_user(
        &self,
        user: &str,
        event: &str,
        payload: &impl Serialize,
    ) -> Result<Receipt, DispatchRefusal> {
        self.notify(Targets::user(Name::new(user)?), event, payload)
    }

    /// Sends `event` to all connections in `channel`.
    ///
    /// # Errors
    /// As [`notify`](Self::notify).
    pub fn notify_channel(
        &self,
        channel: &str,
        event: &str,
        payload: &impl Serialize,
    ) -> Result<Receipt, DispatchRefusal> {
        self.notify(Targets::channel(Name::new(channel)?), event, payload)
    }

    /// Sends `event` to every connection.
    ///
    /// # Errors
    /// As [`notify`](Self::notify).
    pub fn broadcast(&self, event: &str, payload: &impl Serialize) -> Result<Receipt, DispatchRefusal> {
        self.notify(Targets::broadcast(), event, payload)
    }

    /// Sends `event` to `targets`: one delivery per connection, however many targets match.
    ///
    /// # Errors
    /// A name or the payload breaks a rule, or the server takes no dispatch at the moment.
    pub fn notify(
        &self,
        targets: Targets,
        event: &str,
        payload: &impl Serialize,
    ) -> Result<Receipt, DispatchRefusal> {
        let payload = to_raw_value(payload).map_err(|_| DispatchRefusal::Payload)?;
        self.dispatch(Dispatch { event: Name::new(event)?, payload, targets })
    }

    /// Sends a dispatch that is already typed.
    ///
    /// # Errors
    /// As [`notify`](Self::notify), except those of names and payloads.
    pub fn dispatch(&self, dispatch: Dispatch) -> Result<Receipt, DispatchRefusal> {
        self.dispatch_all(vec![dispatch])
    }

    /// Sends several dispatches, all or none, with nothing in between.
    ///
    /// # Errors
    /// As [`dispatch`](Self::dispatch), for all of them together.
    pub fn dispatch_all(&self, mut dispatches: Vec<Dispatch>) -> Result<Receipt, DispatchRefusal> {
        self.submit(&mut dispatches, Reach::Uncounted, None).map(|submitted| submitted.receipt)
    }

    /// As [`dispatch_all`](Self::dispatch_all), and tells how many connections of this node each
    /// dispatch reaches.
    ///
    /// # Errors
    /// As [`dispatch_all`](Self::dispatch_all).
    pub fn dispatch_counted(
        &self,
        mut dispatches: Vec<Dispatch>,
    ) -> Result<(Receipt, Vec<Reached>), DispatchRefusal> {
        let Submitted { receipt, reached, .. } = self.submit(&mut dispatches, Reach::Counted, None)?;
        Ok((receipt, reached))
    }

    /// Calls `handler` with every accepted event of this name, or with all of them for `"*"`.
    ///
    /// Handlers run on a thread of their own, one event after the other, in the order that clients see. An event
    /// that is accepted while this is called may be the first one that the handler misses. While handlers are so far
    /// behind as a worker may be (`limits.inbox_dispatches`), pushes are refused. A handler may dispatch.
    pub fn on(&self, event: &str, handler: impl Fn(&Dispatch) + Send + Sync + 'static) -> HandlerId {
        let id = self.inner.handlers.add(event, Box::new(handler));
        self.listen();
        id
    }

    /// Takes a handler away.
    pub fn off(&self, handler: HandlerId) {
        self.inner.handlers.remove(handler);
    }

    /// Lets `hear` hear each dispatch when it is handed over, in the order of the log. Pushes wait meanwhile.
    pub(crate) fn hear(&self, hear: impl Fn(&Arc<Accepted>) + Send + 'static) {
        self.order().hearing = Some(Hearing(Box::new(hear)));
    }

    /// Where those who watch hear of dispatches.
    pub(crate) fn live(&self) -> &Live {
        &self.inner.live
    }

    /// The number that a position of a client stands for; `None` if this log never gave it out.
    pub(crate) fn number(&self, cursor: Cursor) -> Option<u64> {
        self.inner.epochs().number(cursor)
    }

    /// The position with this number.
    pub(crate) fn cursor(&self, sequence: u64) -> Cursor {
        self.inner.epochs().cursor(sequence)
    }

    /// The number of the last dispatch before this dispatcher took its first one.
    pub(crate) fn began_after(&self) -> u64 {
        self.inner.began_after.load(Ordering::Relaxed)
    }

    /// What was accepted up to this number may be lost: a session that began before it has a gap.
    pub(crate) fn lost_before(&self) -> u64 {
        self.inner.lost_before.load(Ordering::Relaxed)
    }

    /// The number of the last dispatch that was accepted.
    pub(crate) fn last(&self) -> u64 {
        self.order().log.last()
    }

    /// Looks into the log. Pushes wait meanwhile, so it must be a short look.
    pub(crate) fn read_log<T>(&self, read: impl FnOnce(&mut Log) -> T) -> T {
        read(&mut self.order().log)
    }

    /// Looks into the history of channels; `None` if no channel has any. Pushes wait meanwhile, so it must be a short look.
    pub(crate) fn read_history<T>(&self, read: impl FnOnce(&History) -> T) -> Option<T> {
        self.order().history.as_ref().map(read)
    }

    /// The events of a channel that are asked for, the newest first. They are read a portion at a time, backwards: what gives
    /// way meanwhile is older than what was read.
    pub(crate) fn history_of(&self, channel: &Name, mut range: Range, now: Instant) -> Vec<Told> {
        let mut events = Vec::new();
        while range.most > 0 {
            let portion = Range { most: range.most.min(EVENTS_PER_LOCK), ..range };
            let found =
                self.read_history(|history| history.newest(channel, portion, now)).unwrap_or_default();
            let Some((oldest, _)) = found.last() else { break };
            range.up_to = oldest.sequence() - 1;
            range.most -= found.len();
            let is_last = found.len() < portion.most;
            events.extend(found);
            if is_last {
                break;
            }
        }
        events
    }

    /// Deletes the events of the history of `channel` with numbers within a range, and returns how many there were. The log
    /// keeps them for clients that come back.
    pub(crate) fn delete_history(&self, channel: &Name, numbers: RangeInclusive<u64>) -> usize {
        self.order().delete_history(channel, numbers)
    }

    /// Records that history is deleted: in the log of a cluster, so that every node deletes it, one that starts later as well,
    /// or beside the log on disk, so that a start deletes it after a kill too. Says later that it stands there. `None` if the
    /// log is in memory, or too many wait.
    pub(crate) fn record_deletion(
        &self,
        channel: &Name,
        numbers: RangeInclusive<u64>,
    ) -> Option<oneshot::Receiver<()>> {
        let deletions = self.order().deletions.clone()?;
        let (recorded, is_recorded) = oneshot::channel();
        deletions.try_send(Deletion { channel: channel.clone(), numbers, recorded }).ok()?;
        Some(is_recorded)
    }

    /// Gives up a portion of what log and history keep and is too old. Returns whether there is more.
    pub(crate) fn tidy(&self, now: Instant) -> bool {
        let order = &mut *self.order();
        let has_more = order.history.as_mut().is_some_and(|history| history.tidy(&order.log, now));
        order.log.tidy(now) || has_more
    }

    /// Accepts nothing from now on; the workers end when their inboxes are empty.
    pub(crate) fn stop(&self) {
        let mut order = self.order();
        if order.queue.is_none() {
            order.close();
        } else if !mem::replace(&mut order.stopped, true) {
            // The log writer closes the inboxes, when it has written what waits.
            Inner::watch_stop(&self.inner);
            self.inner.wake_writer();
        }
    }

    /// Whether keys of pushes are kept with them, because the log is on disk.
    pub(crate) fn keeps_keys(&self) -> bool {
        self.inner.keeps_keys.load(Ordering::Relaxed)
    }

    /// Whether the log is where it is configured to be.
    pub(crate) fn log_health(&self) -> &LogHealth {
        &self.inner.health
    }

    /// Starts the thread that writes pushes to disk, before the first one comes.
    ///
    /// # Errors
    /// The operating system refuses a thread.
    pub(crate) fn start_writer(&self, parts: WriterParts) -> io::Result<()> {
        if let Some((directory, _)) = &parts.settings.directory {
            let (deletions, receiver) = mpsc::channel(DELETIONS_MAX);
            deleted::start(Arc::clone(directory), receiver)?;
            self.order().deletions = Some(deletions);
        }
        let end = Writer::start(Arc::clone(&self.inner), parts)?;
        *lock(&self.inner.writer_end) = Some(end);
        self.inner.keeps_keys.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Lets a cluster number the dispatches from now on. Nothing is taken until it says so.
    pub(crate) fn feed(&self) -> Feed {
        let mut order = self.order();
        (order.queue, order.is_restoring, order.has_nodes) = (Some(Queue::new(true)), true, true);
        if let Some(history) = &mut order.history {
            history.begin_filling();
        }
        drop(order);
        self.inner.keeps_keys.store(true, Ordering::Relaxed);
        self.inner.has_nodes.store(true, Ordering::Relaxed);
        Feed::new(Arc::clone(&self.inner))
    }

    /// The workers begin behind what was read of the log of a cluster until now.
    pub(crate) fn begin_feed(&self) {
        Feed::new(Arc::clone(&self.inner)).begin();
    }

    /// Leaves the directory of the log behind: something else in it cannot be believed by a later start. Waits until it is
    /// marked, or until the disk is taken for one that hangs. Not for threads of workers.
    pub(crate) fn leave_log(&self) {
        let mut order = self.order();
        if let Some(queue) = &mut order.queue {
            queue.leave();
            self.inner.queued.notify_all();
            let is_unmarked = |order: &mut Order| !order.is_closed() && order.queue_mut().must_leave();
            drop(self.inner.queued.wait_timeout_while(order, BUSY_MAX, is_unmarked));
        }
    }

    /// Waits until the log writer has ended, after a [stop](Self::stop). What it gives ends the log in good order, when
    /// nothing else can be recorded.
    pub(crate) fn wait_for_writer(&self) -> Option<Ending> {
        let end = lock(&self.inner.writer_end).take();
        end.and_then(WriterEnd::wait)
    }

    /// Lets the log writer end without a clean end of the log, after a [stop](Self::stop) that nobody waits for.
    pub(crate) fn forget_writer(&self) {
        drop(lock(&self.inner.writer_end).take());
    }

    /// Notes how many connections each dispatch of an accepted push reached, for a repeated answer after a restart.
    pub(crate) fn note_delivered(&self, first: u64, delivered: Vec<u64>) {
        // They are written with the next push, or within a second.
        if let Some(queue) = &mut self.order().queue {
            queue.put_counts(Counts { first, delivered });
        }
    }

    /// Waits until the handlers have heard everything, after a [stop](Self::stop).
    pub(crate) fn wait_for_handlers(&self) {
        let end = lock(&self.inner.handlers_end).take();
        if let Some(end) = end {
            end.wait();
        }
    }

    /// Takes all dispatches out of the list and accepts them, or none of them.
    pub(crate) fn submit(
        &self,
        dispatches: &mut Vec<Dispatch>,
        reach: Reach,
        key: Option<PushedKey>,
    ) -> Result<Submitted, DispatchRefusal> {
        let pusher = match &self.source {
            Source::Embed => Pusher::of("embed"),
            Source::Rest => Pusher::of("rest"),
            Source::Named(name) => Pusher::of(name),
        };
        let pushes = Pushes::of(pusher, dispatches);
        let submitted = self.submit_from(pusher, dispatches, reach, key)?;
        if let Some(pushes) = pushes {
            pushes.tell_uncounted();
        }
        Ok(submitted)
    }

    /// The same for a push whose caller knows where it comes from, and tells the log of it.
    pub(crate) fn submit_from(
        &self,
        pusher: Pusher<'_>,
        dispatches: &mut Vec<Dispatch>,
        reach: Reach,
        key: Option<PushedKey>,
    ) -> Result<Submitted, DispatchRefusal> {
        let (expansion, most) = (Dispatch::expansion_of(dispatches), self.expansion_bytes);
        if expansion > most {
            return Err(DispatchRefusal::ExpansionTooLarge { bytes: expansion, most });
        }
        if self.inner.has_nodes.load(Ordering::Relaxed) {
            dispatches.iter_mut().try_for_each(fit)?;
        }
        if self.inner.backlogs.is_full() {
            return Err(DispatchRefusal::BacklogsFull);
        }
        let (now, size) = (Instant::now(), Size::of(dispatches));
        let (submitted, wakes) = {
            let mut order = self.order();
            if order.stopped {
                return Err(DispatchRefusal::Stopped);
            }
            if let Some(queue) = order.queue.as_ref().filter(|queue| queue.is_stuck(now)) {
                if !queue.is_refusing {
                    self.inner.health.is_hanging();
                }
                return Err(DispatchRefusal::LogUnavailable);
            }
            let waits = self.source.index().is_none() && order.is_half_full();
            let is_behind = order.queue.as_ref().is_some_and(|queue| queue.is_behind);
            if waits || is_behind || !order.has_room(size) {
                return Err(DispatchRefusal::Overload);
            }
            let (push, reached, handled) = self.push((&order, pusher), mem::take(dispatches), reach);
            let (receipt, wakes) = match &mut order.queue {
                None => (Receipt::accepted(order.hand_over(push, now)), false),
                Some(queue) => {
                    let (receipt, unsettled) = Receipt::waiting(self.link.clone());
                    queue.put(Waiting { push, key, size, unsettled });
                    (receipt, queue.wake())
                }
            };
            (Submitted { receipt, reached, handled }, wakes)
        };
        match &self.link {
            Some(link) if wakes => link.ask(),
            // Without the lock, which the writer takes at once.
            None if wakes => self.wake_writer(),
            _ => {}
        }
        Ok(submitted)
    }

    /// What is handed over, and what its caller can wait for.
    fn push(
        &self,
        (order, pusher): (&Order, Pusher<'_>),
        dispatches: Vec<Dispatch>,
        reach: Reach,
    ) -> (Push, Vec<Reached>, Option<Reached>) {
        let counted = if reach == Reach::Counted { dispatches.len() } else { 0 };
        let count = |_| Reached::with_nodes(order.inboxes.len(), order.has_nodes);
        let (counts, reached) = (0..counted).map(count).unzip();
        let waits = self.source.index().is_none() && order.handlers.is_some();
        let (returned, handled) = waits.then(|| Reached::by(1)).unzip();
        let origin = order.live.is_watched().then(|| pusher.kept());
        let (source, holds) = (self.source.index(), self.holds.clone());
        (Push { dispatches, source, holds, origin, reached, handled }, counts, returned)
    }

    /// Starts the thread of the handlers, if it does not run.
    fn listen(&self) {
        let mut order = self.order();
        let (Some(limits), None) = (order.inboxes.first().map(Inbox::limits), &order.handlers) else {
            return;
        };
        let (sender, receiver) = inbox(limits);
        if let Some(end) = self.inner.handlers.start(receiver) {
            order.handlers = Some(sender);
            *lock(&self.inner.handlers_end) = Some(end);
        }
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.inner.order()
    }
}

#[cfg(test)]
mod tests;
