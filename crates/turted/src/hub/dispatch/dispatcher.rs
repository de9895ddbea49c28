//! The dispatcher: takes an event from anywhere, numbers it, hands it to every worker.
//!
//! ```no_run
//! # fn example(dispatcher: &turted::dispatcher::Dispatcher) -> Result<(), turted::dispatcher::DispatchRefusal> {
//! dispatcher.notify_user("xosofox", "MESSAGE:NEW", &serde_json::json!({"from": "Bridgekeeper"}))?;
//! # Ok(())
//! # }
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;
use serde_json::value::to_raw_value;
use tokio::sync::mpsc;
use turted_core::cursor::Cursor;
use turted_core::dispatch::{Dispatch, Targets};
use turted_core::limits::EXPANSION_BYTES_MAX;
use turted_core::name::{Name, NameRefusal};

use crate::hub::dispatch::handlers::{HandlerId, Handlers};
use crate::hub::dispatch::inbox::Inbox;
use crate::hub::dispatch::journal::Pushes;
use crate::hub::dispatch::log::{self, Log, LogLimits};
use crate::io::backlogs::Backlogs;

/// Takes events and sends them on their way. Cheap to clone; every clone is the same dispatcher.
///
/// Every connection sees events in the order in which this dispatcher accepted them.
#[derive(Clone, Debug)]
pub struct Dispatcher {
    inner: Arc<Inner>,
    source: Source,
    /// The largest [`Dispatch::expansion_of`] that one call may have.
    expansion_bytes: usize,
}

/// Where dispatches come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The program that embeds the server.
    Embed,
    /// The REST push connector.
    Rest,
}

impl Source {
    pub(crate) const ALL: &[(Self, &str)] = &[(Self::Embed, "embed"), (Self::Rest, "rest")];
}

#[derive(Debug)]
struct Inner {
    epoch: u32,
    /// Held while a dispatch is numbered and put into the inboxes, so that the order of the
    /// inboxes is the order of the log. Once per dispatch, never per delivery, never across await.
    order: Mutex<Order>,
    backlogs: Arc<Backlogs>,
    handlers: Handlers,
}

#[derive(Debug)]
struct Order {
    log: Log,
    inboxes: Vec<Inbox>,
    stopped: bool,
    /// How many were accepted, by source.
    accepted: [u64; Source::ALL.len()],
}

/// Why an event was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DispatchRefusal {
    /// A name breaks a rule.
    #[error("{0}")]
    Name(#[from] NameRefusal),
    /// The payload cannot be written as JSON.
    #[error("the payload cannot be written as JSON")]
    Payload,
    /// The payloads, each times the targets of its dispatch, take more memory than one push may. A large
    /// payload is for a channel, or for several pushes.
    #[error("payloads times targets are {bytes} bytes, above {most} (limits.expansion_bytes)")]
    ExpansionTooLarge {
        /// The bytes of this push.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// A worker is too far behind; try again shortly.
    #[error("too many dispatches are waiting to be delivered")]
    Overload,
    /// Too much waits for clients that read slowly; try again shortly.
    #[error("too much is waiting for clients that read slowly (limits.backlog_bytes)")]
    BacklogsFull,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopped,
}

/// How many connections a dispatch reaches, once every worker has answered.
#[derive(Debug)]
pub struct Reached(mpsc::Receiver<usize>);

impl Reached {
    /// Waits for the workers and adds up their answers.
    pub async fn count(mut self) -> usize {
        let mut count = 0;
        while let Some(more) = self.0.recv().await {
            count += more;
        }
        count
    }
}

impl Dispatcher {
    pub(crate) fn new(epoch: u32, limits: LogLimits, inboxes: Vec<Inbox>, backlogs: &Arc<Backlogs>) -> Self {
        let accepted = [0; Source::ALL.len()];
        let log = Log::new(limits, backlogs);
        let order = Mutex::new(Order { log, inboxes, stopped: false, accepted });
        let backlogs = Arc::clone(backlogs);
        let inner = Arc::new(Inner { epoch, order, backlogs, handlers: Handlers::default() });
        Self { inner, source: Source::Embed, expansion_bytes: EXPANSION_BYTES_MAX }
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

    /// How many dispatches of this source were accepted.
    pub(crate) fn accepted(&self, source: Source) -> u64 {
        self.order().accepted[source as usize]
    }

    /// How many dispatches wait for the worker that has most of them waiting.
    pub(crate) fn waiting(&self) -> usize {
        let order = self.order();
        order.inboxes.iter().map(Inbox::waiting).max().unwrap_or(0)
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
    ) -> Result<Cursor, DispatchRefusal> {
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
    ) -> Result<Cursor, DispatchRefusal> {
        self.notify(Targets::channel(Name::new(channel)?), event, payload)
    }

    /// Sends `event` to every connection.
    ///
    /// # Errors
    /// As [`notify`](Self::notify).
    pub fn broadcast(&self, event: &str, payload: &impl Serialize) -> Result<Cursor, DispatchRefusal> {
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
    ) -> Result<Cursor, DispatchRefusal> {
        let payload = to_raw_value(payload).map_err(|_| DispatchRefusal::Payload)?;
        self.dispatch(Dispatch { event: Name::new(event)?, payload, targets })
    }

    /// Sends a dispatch that is already typed.
    ///
    /// # Errors
    /// As [`notify`](Self::notify), except those of names and payloads.
    pub fn dispatch(&self, dispatch: Dispatch) -> Result<Cursor, DispatchRefusal> {
        self.accept(vec![dispatch], |_| None).map(|positions| positions[0])
    }

    /// Sends several dispatches, all or none, with nothing in between.
    ///
    /// # Errors
    /// As [`dispatch`](Self::dispatch), for all of them together.
    pub fn dispatch_all(&self, dispatches: Vec<Dispatch>) -> Result<Vec<Cursor>, DispatchRefusal> {
        self.accept(dispatches, |_| None)
    }

    /// As [`dispatch_all`](Self::dispatch_all), and tells how many connections of this node each
    /// dispatch reaches.
    ///
    /// # Errors
    /// As [`dispatch_all`](Self::dispatch_all).
    pub fn dispatch_counted(
        &self,
        dispatches: Vec<Dispatch>,
    ) -> Result<Vec<(Cursor, Reached)>, DispatchRefusal> {
        let mut receivers = Vec::with_capacity(dispatches.len());
        let positions = self.accept(dispatches, |workers| {
            let (sender, receiver) = mpsc::channel(workers.max(1));
            receivers.push(Reached(receiver));
            Some(sender)
        })?;
        Ok(positions.into_iter().zip(receivers).collect())
    }

    /// Calls `handler` with every accepted event of this name, or with all of them for `"*"`.
    ///
    /// The handler runs on the thread that dispatches, after the event was accepted: it must be
    /// short. Events that several threads dispatch at once may reach it in another order than
    /// clients see.
    pub fn on(&self, event: &str, handler: impl Fn(&Dispatch) + Send + Sync + 'static) -> HandlerId {
        self.inner.handlers.add(event, Box::new(handler))
    }

    /// Takes a handler away.
    pub fn off(&self, handler: HandlerId) {
        self.inner.handlers.remove(handler);
    }

    /// The epoch of the log, to which positions belong.
    pub(crate) fn epoch(&self) -> u32 {
        self.inner.epoch
    }

    /// The number of the last dispatch that was accepted.
    pub(crate) fn last(&self) -> u64 {
        self.order().log.last()
    }

    /// Looks into the log. Pushes wait meanwhile, so it must be a short look.
    pub(crate) fn read_log<T>(&self, read: impl FnOnce(&mut Log) -> T) -> T {
        read(&mut self.order().log)
    }

    /// Accepts nothing from now on; the workers end when their inboxes are empty.
    pub(crate) fn stop(&self) {
        let mut order = self.order();
        order.stopped = true;
        order.inboxes.clear();
    }

    fn accept(
        &self,
        dispatches: Vec<Dispatch>,
        mut reached: impl FnMut(usize) -> Option<mpsc::Sender<usize>>,
    ) -> Result<Vec<Cursor>, DispatchRefusal> {
        let (expansion, most) = (Dispatch::expansion_of(&dispatches), self.expansion_bytes);
        if expansion > most {
            return Err(DispatchRefusal::ExpansionTooLarge { bytes: expansion, most });
        }
        if self.inner.backlogs.is_full() {
            return Err(DispatchRefusal::BacklogsFull);
        }
        let pushes = match self.source {
            Source::Embed => Pushes::of("embed", None, &dispatches),
            // The address of the push is known where its request is handled.
            Source::Rest => None,
        };
        let now = Instant::now();
        let bytes: usize = dispatches.iter().map(log::bytes_of).sum();
        let mut accepted = Vec::with_capacity(dispatches.len());
        {
            let mut order = self.order();
            if order.stopped {
                return Err(DispatchRefusal::Stopped);
            }
            // Inboxes are filled only under this lock, so room that is seen here stays.
            if !order.inboxes.iter().all(|inbox| inbox.has_room(dispatches.len(), bytes)) {
                return Err(DispatchRefusal::Overload);
            }
            order.accepted[self.source as usize] += dispatches.len() as u64;
            for dispatch in dispatches {
                let entry = order.log.append(dispatch, now);
                let reached = reached(order.inboxes.len());
                order.inboxes.iter().for_each(|inbox| inbox.put(&entry, reached.as_ref()));
                accepted.push(entry);
            }
        }
        if let Some(pushes) = pushes {
            pushes.tell_uncounted();
        }
        for entry in &accepted {
            self.inner.handlers.call(&entry.dispatch);
        }
        Ok(accepted.iter().map(|entry| self.cursor(entry.sequence)).collect())
    }

    /// The cursor of a sequence number in this epoch.
    pub(crate) fn cursor(&self, sequence: u64) -> Cursor {
        Cursor { epoch: self.inner.epoch, sequence }
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        // Nothing under the lock can panic half-way; a poisoned lock still guards a sound order.
        self.inner.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::hub::dispatch::inbox::{InboxLimits, inbox};

    #[test]
    fn a_push_with_more_bytes_than_one_inbox_takes_leaves_no_trace_in_any() {
        let log = LogLimits { dispatches: 10, bytes: 1 << 20, age: Duration::from_secs(1) };
        let small = InboxLimits { dispatches: 10, bytes: 1_000 };
        let (inboxes, mut receivers): (Vec<_>, Vec<_>) =
            [InboxLimits { bytes: 1 << 20, ..small }, small].into_iter().map(inbox).unzip();
        let dispatcher = Dispatcher::new(7, log, inboxes, &Backlogs::new(usize::MAX));
        let push = || dispatcher.broadcast("e", &"x".repeat(600));
        assert_eq!(push().unwrap().sequence, 1);
        assert_eq!(push(), Err(DispatchRefusal::Overload));
        assert_eq!((dispatcher.last(), dispatcher.accepted(Source::Embed)), (1, 1));
        receivers.iter_mut().for_each(|inbox| assert_eq!(inbox.try_recv().unwrap().accepted.sequence, 1));
        assert!(receivers.iter_mut().all(|inbox| inbox.try_recv().is_err()), "no worker was handed it");
        assert_eq!(push().unwrap().sequence, 2, "there is room again, and no number was skipped");
    }
}
