//! How a cluster numbers the dispatches of a node: it takes the pushes that wait, appends them to the log of all nodes, and
//! hands over what it reads there.
//!
//! A push is settled when it stands in the log. It is delivered when it is read back, in the order of the log, which all
//! nodes read. What its caller waits for besides (the counts of workers, handlers) comes along as [`Own`].

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::timeout;
use turted_core::cluster::history::{HistoryAsk, HistoryPage};
use turted_core::cursor::Cursor;
use turted_core::dispatch::Dispatch;
use turted_core::epochs::{Epoch, Epochs};
use turted_core::name::Name;

use crate::hub::dispatch::history::deletion::Deletion;
use crate::hub::dispatch::history::{DELETIONS_MAX, Fetched};
use crate::hub::dispatch::inner::Inner;
use crate::hub::dispatch::log::health::LogHealth;
use crate::hub::dispatch::order::{Entry, Order, Push, Size};
use crate::hub::dispatch::queue::{PushedKey, Waiting};
use crate::hub::dispatch::receipt::{Counting, DispatchRefusal, Positions, Reached, Unsettled};
use crate::live::Origin;

/// The side of the dispatcher that a cluster has.
#[derive(Debug)]
pub(crate) struct Feed(Arc<Inner>);

/// A push that was taken to be appended. It counts as waiting until the batch is [done](Feed::done).
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) dispatches: Vec<Dispatch>,
    /// What each dispatch brings along, in their order.
    pub(crate) own: Vec<Own>,
    pub(crate) key: Option<PushedKey>,
    /// The name that this node must hold, or nothing is appended.
    pub(crate) holds: Option<Arc<str>>,
    pub(crate) unsettled: Unsettled,
}

/// What a dispatch of this node brings along, to be handed over with it.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// The place of its source among those that are counted.
    source: Option<usize>,
    /// What those who watch are told of where it comes from.
    origin: Option<Arc<Origin>>,
    /// Where it is reported how many connections it reached, if its push asked for that.
    pub(crate) reached: Option<Counting>,
    /// Where it is reported that all handlers have returned, if it is the last of a push that asked for that.
    handled: Option<mpsc::Sender<usize>>,
}

/// An entry of the log that was read.
#[derive(Debug)]
pub(crate) struct ReadEntry {
    pub(crate) cursor: Cursor,
    pub(crate) accepted_at: Instant,
    /// `None` for an entry that is no dispatch: it takes a number, and reaches nobody.
    pub(crate) dispatch: Option<Dispatch>,
    pub(crate) by: By,
}

/// Which node accepted a dispatch.
#[derive(Debug)]
pub(crate) enum By {
    /// This one.
    Own(Own),
    /// Another one, which may want to know how many connections it reaches here.
    Other(Option<mpsc::Sender<usize>>),
}

impl ReadEntry {
    /// What it needs of an inbox.
    fn size(&self) -> Size {
        self.dispatch
            .as_ref()
            .map_or(Size { dispatches: 1, bytes: 0 }, |dispatch| Size::of(std::slice::from_ref(dispatch)))
    }
}

impl Feed {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    /// Waits for pushes, and takes all that wait, up to a bound. `None` after a stop, when nothing waits.
    pub(crate) async fn take(&self) -> Option<Vec<Taken>> {
        loop {
            let taken = self.take_now();
            if !taken.is_empty() {
                return Some(taken);
            }
            if self.is_done() {
                return None;
            }
            self.0.queued_for_engine.notified().await;
        }
    }

    /// Waits until `more` pushes wait beside those that wait already, `most` in all, but no longer than that. Returns whether
    /// they came.
    pub(crate) async fn gather(&self, more: usize, most: usize, longest: Duration) -> bool {
        if !self.0.order().queue_mut().gather(more, most) {
            return true;
        }
        timeout(longest, self.0.queued_for_engine.notified()).await.is_ok()
    }

    /// Whether nothing waits after a stop. If there was none, whoever pushes wakes the writer from now on.
    fn is_done(&self) -> bool {
        let mut order = self.0.order();
        let sleeps = order.queue_mut().sleep();
        if !sleeps {
            // Something has come meanwhile.
            self.0.queued_for_engine.notify_one();
        }
        sleeps && order.stopped
    }

    /// Takes what waits at this moment.
    pub(crate) fn take_now(&self) -> Vec<Taken> {
        let batch = {
            let mut order = self.0.order();
            let batch = order.queue_mut().take();
            if batch.pushes.is_empty() {
                order.queue_mut().done();
            }
            batch
        };
        batch.pushes.into_iter().map(taken).collect()
    }

    /// Whether nothing is accepted any more, because the server stops.
    pub(crate) fn is_stopped(&self) -> bool {
        self.0.order().stopped
    }

    /// What was taken is settled: it counts no longer as waiting.
    pub(crate) fn done(&self) {
        self.0.order().queue_mut().done();
    }

    /// Tells callers what became of their pushes.
    pub(crate) fn settle(pushes: impl IntoIterator<Item = (Unsettled, Result<Positions, DispatchRefusal>)>) {
        Unsettled::settle_all(pushes);
    }

    /// Whether pushes are refused, because the log takes nothing.
    pub(crate) fn refuse(&self, is_refusing: bool) {
        self.0.order().queue_mut().is_refusing = is_refusing;
    }

    /// Whether pushes are refused because this node is behind with reading its own.
    pub(crate) fn hold_back(&self, is_behind: bool) {
        self.0.order().queue_mut().is_behind = is_behind;
    }

    /// How many of these entries every inbox has room for, from the first one on.
    pub(crate) fn room_for(&self, entries: &[ReadEntry]) -> usize {
        let order = self.0.order();
        let mut size = Size::default();
        let fits = |entry: &&ReadEntry| {
            size += entry.size();
            order.has_room_now(size)
        };
        entries.iter().take_while(fits).count()
    }

    /// Keeps entries that were read, and hands them over, once the workers run. There must be [room](Self::room_for).
    pub(crate) fn hand_over(&self, entries: impl IntoIterator<Item = ReadEntry>) {
        self.0.order().hand_over_read(entries, Instant::now());
    }

    /// From now on what is read is handed over: the workers begin behind what was read until now.
    pub(crate) fn begin(&self) {
        let mut order = self.0.order();
        order.is_restoring = false;
        self.0.began_after.store(order.log.last(), Ordering::Relaxed);
    }

    /// Begins with the first epoch that is read. What came before its first entry is not known.
    pub(crate) fn begin_first(&self, begun: Epoch) {
        let mut order = self.0.order();
        *self.0.epochs_mut() = Epochs::new(begun);
        order.log.forget_all();
        if let Some(history) = &mut order.history {
            history.begins_behind(begun.after);
        }
    }

    /// Begins an epoch of the log: the former one ended with this number.
    pub(crate) fn begin_epoch(&self, begun: Epoch, former_end: u64) {
        let _order = self.0.order();
        self.0.epochs_mut().begin_behind(begun, former_end);
    }

    /// Gives up all positions of before the current epoch, and what is kept of them: something of it may be lost.
    pub(crate) fn lose(&self) {
        let mut order = self.0.order();
        let mut epochs = self.0.epochs_mut();
        let (current, known) = (epochs.current(), epochs.rows().len());
        epochs.forget_before(current.epoch);
        // If no epoch is given up, something of the current one was trimmed.
        let is_trimmed = epochs.rows().len() == known;
        let lost = if is_trimmed { order.log.last() } else { current.after };
        self.0.losses.note(lost);
        self.0.losses.tell(order.log.last());
        order.forget_all(Instant::now());
    }

    /// What was lost is told once more: clients may have been served elsewhere since, and not been told.
    pub(crate) fn tell_loss_again(&self) {
        self.0.losses.tell(self.0.order().log.last());
    }

    /// The deletions of history that are to stand in the log, from now on.
    pub(crate) fn deletions(&self) -> mpsc::Receiver<Deletion> {
        let (sender, receiver) = mpsc::channel(DELETIONS_MAX);
        self.0.order().deletions = Some(sender);
        receiver
    }

    /// Deletes the events of the history of `channel` with numbers within a range.
    pub(crate) fn delete_history(&self, channel: &Name, numbers: RangeInclusive<u64>) {
        self.0.order().delete_history(channel, numbers);
    }

    /// Whether history waits for what another node has, and from which number on it needs nothing.
    pub(crate) fn fills_history_before(&self) -> Option<u64> {
        self.0.order().history.as_ref()?.fills_before()
    }

    /// A page of history, for another node; `None` if no channel has history here.
    pub(crate) fn history_page(&self, ask: HistoryAsk) -> Option<HistoryPage> {
        let page = {
            let order = self.0.order();
            order.history.as_ref().map(|history| history.page(ask, &order.log))?
        };
        let epochs = self.0.epochs().written().collect();
        Some(page.written(epochs))
    }

    /// Goes on with the history of another node. Returns whether it did.
    pub(crate) fn fill_history(&self, mut fetched: Fetched) -> bool {
        let epochs = std::mem::take(&mut fetched.epochs);
        let mut order = self.0.order();
        let Order { history, log, .. } = &mut *order;
        let is_filled = history.as_mut().is_some_and(|history| history.fill(fetched, log, Instant::now()));
        if is_filled {
            self.0.epochs_mut().lengthen(epochs);
        }
        is_filled
    }

    /// History gets nothing more of other nodes.
    pub(crate) fn end_filling(&self) {
        if let Some(history) = &mut self.0.order().history {
            history.end_filling();
        }
    }

    /// Whether a position is one of the log, by the epochs that were read.
    pub(crate) fn knows(&self, at: Cursor) -> bool {
        self.0.epochs().number(at).is_some()
    }

    /// The first position that is kept; the next one, if none is.
    pub(crate) fn first(&self) -> Cursor {
        let first = self.0.order().log.first();
        self.0.epochs().cursor(first)
    }

    /// How long an entry is kept.
    pub(crate) fn kept_for(&self) -> Duration {
        self.0.order().log.limits().age
    }

    /// How many workers count what a dispatch reaches.
    pub(crate) fn counting(&self) -> (Reached, mpsc::Sender<usize>) {
        let workers = self.0.order().inboxes.len();
        Reached::by(workers)
    }

    /// Whether the log is where it is configured to be.
    pub(crate) fn health(&self) -> &LogHealth {
        &self.0.health
    }

    /// Hands nothing over from now on: the workers end when their inboxes are empty.
    pub(crate) fn close(&self) {
        self.0.order().close();
        // A thread watches the stop.
        self.0.queued.notify_all();
    }
}

fn taken(Waiting { push, key, unsettled, .. }: Waiting) -> Taken {
    let Push { dispatches, source, holds, origin, reached, handled } = push;
    let mut reached = reached.into_iter();
    let mut own: Vec<_> = dispatches
        .iter()
        .map(|_| Own { source, origin: origin.clone(), reached: reached.next(), handled: None })
        .collect();
    if let Some(last) = own.last_mut() {
        last.handled = handled;
    }
    Taken { dispatches, own, key, holds, unsettled }
}

impl Order {
    /// Whether every inbox has room, whatever waits to be numbered.
    fn has_room_now(&self, size: Size) -> bool {
        self.all_inboxes().all(|inbox| inbox.has_room(size, Size::default()))
    }

    /// Keeps what was read from the log of a cluster, and hands it over.
    fn hand_over_read(&mut self, read: impl IntoIterator<Item = ReadEntry>, now: Instant) {
        let mut entries = Vec::new();
        for ReadEntry { cursor, accepted_at, dispatch, by } in read {
            let Some(dispatch) = dispatch else {
                let accepted = self.log.skip_at(cursor, accepted_at);
                entries.push(Entry { accepted, reached: None, handled: None, is_own: false });
                continue;
            };
            let accepted = self.log.append_at(cursor, dispatch, accepted_at);
            if let Some(history) = &mut self.history {
                history.add(&accepted, &self.log, now);
            }
            let (own, reached, is_own) = match by {
                By::Own(mut own) => {
                    let reached = own.reached.take().map(|counting| counting.counts);
                    (own, reached, true)
                }
                By::Other(reached) => (Own::default(), reached, false),
            };
            if let Some(source) = own.source {
                self.accepted[source] += 1;
            }
            if self.live.is_watched() {
                let elsewhere = || Arc::new(Origin { source: "cluster".into(), address: None, key: None });
                let origin = own.origin.unwrap_or_else(elsewhere);
                self.live.pushed(accepted.cursor, &accepted.dispatch, &origin, self.inboxes.len());
            }
            entries.push(Entry { accepted, reached, handled: own.handled, is_own });
        }
        if !self.is_restoring {
            self.put(&entries);
        }
    }
}
