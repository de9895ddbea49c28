//! The dispatcher: takes an event from anywhere, numbers it, hands it to every worker.
//!
//! ```no_run
//! # fn example(dispatcher: &turted::dispatcher::Dispatcher) -> Result<(), turted::dispatcher::DispatchRefusal> {
//! dispatcher.notify_user("xosofox", "MESSAGE:NEW", &serde_json::json!({"from": "Bridgekeeper"}))?;
//! # Ok(())
//! # }
//! ```

mod history;
mod life;

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock};
use std::time::Instant;

use serde::Serialize;
use serde_json::value::to_raw_value;
use tokio::sync::Notify;
use turted_core::cluster::fit::fit;
use turted_core::cursor::Cursor;
use turted_core::dispatch::{Dispatch, Targets};
#[cfg(test)]
use turted_core::epochs::Epoch;
use turted_core::epochs::Epochs;
use turted_core::limits::EXPANSION_BYTES_MAX;
use turted_core::name::Name;

use crate::hub::dispatch::handlers::HandlerId;
use crate::hub::dispatch::inbox::{Inbox, inbox};
use crate::hub::dispatch::inner::{Inner, lock};
use crate::hub::dispatch::journal::{Pusher, Pushes};
#[cfg(test)]
use crate::hub::dispatch::log::LogLimits;
use crate::hub::dispatch::log::health::LogHealth;
use crate::hub::dispatch::log::{Accepted, Log};
use crate::hub::dispatch::losses::Losses;
use crate::hub::dispatch::order::{Hearing, Order, Push, Size};
use crate::hub::dispatch::queue::{Counts, PushedKey, Waiting};
pub use crate::hub::dispatch::receipt::{DispatchRefusal, Positions, Reached, Receipt};
pub(crate) use crate::hub::dispatch::receipt::{Reach, Settled, Submitted};
pub(crate) use crate::hub::dispatch::source::Source;
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
            losses: Losses::default(),
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

    /// What the log may have lost.
    pub(crate) fn losses(&self) -> &Losses {
        &self.inner.losses
    }

    /// The number of the last dispatch that was accepted.
    pub(crate) fn last(&self) -> u64 {
        self.order().log.last()
    }

    /// Looks into the log. Pushes wait meanwhile, so it must be a short look.
    pub(crate) fn read_log<T>(&self, read: impl FnOnce(&mut Log) -> T) -> T {
        read(&mut self.order().log)
    }

    /// Whether keys of pushes are kept with them, because the log is on disk.
    pub(crate) fn keeps_keys(&self) -> bool {
        self.inner.keeps_keys.load(Ordering::Relaxed)
    }

    /// Whether the log is where it is configured to be.
    pub(crate) fn log_health(&self) -> &LogHealth {
        &self.inner.health
    }

    /// Notes how many connections each dispatch of an accepted push reached, for a repeated answer after a restart.
    pub(crate) fn note_delivered(&self, first: u64, delivered: Vec<u64>) {
        // They are written with the next push, or within a second.
        if let Some(queue) = &mut self.order().queue {
            queue.put_counts(Counts { first, delivered });
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
