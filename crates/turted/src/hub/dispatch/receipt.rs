//! What a caller of the dispatcher gets for a push: a receipt, and the reasons why there is none.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use turted_core::cluster::fit::Unfit;
use turted_core::cluster::table::PROCESSES_MAX;
use turted_core::cursor::Cursor;
use turted_core::limits::{CLUSTER_ENTRY_BYTES_MAX, CLUSTER_TARGETS_MAX};
use turted_core::name::NameRefusal;

use crate::io::link::Link;

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
    /// A dispatch with its names takes more bytes than a node of a cluster reads of one, once its payload is JSON.
    #[error("a dispatch takes {bytes} bytes in the log of the cluster, above {most}")]
    EntryTooLarge {
        /// The bytes that it takes.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// A dispatch has more users and channels than a node of a cluster reads of one.
    #[error("a dispatch has {targets} users and channels, above {most} in a cluster")]
    TargetsTooMany {
        /// How many it has.
        targets: usize,
        /// The limit.
        most: usize,
    },
    /// A worker is too far behind; try again shortly.
    #[error("too many dispatches are waiting to be delivered")]
    Overload,
    /// Too much waits for clients that read slowly; try again shortly.
    #[error("too much is waiting for clients that read slowly (limits.backlog_bytes)")]
    BacklogsFull,
    /// The disk takes nothing (`log.required`), or it could not be marked that the server goes on without it. The push is
    /// not dispatched; try again later. Where the log stands in Redis, Redis does not answer or takes nothing: the push may
    /// be dispatched all the same, if it came to Redis; repeat it with its key.
    #[error("the log takes nothing at the moment")]
    LogUnavailable,
    /// It stands in Redis, but fewer replicas than asked for have it in time: the push may be dispatched all the same. Repeat
    /// it with its key.
    #[error(
        "fewer replicas of Redis have the push than cluster.replicas asks for: it may still be dispatched"
    )]
    Unreplicated,
    /// A push with this key was accepted before, perhaps by another node.
    #[error("a push with this key was accepted before")]
    Repeated {
        /// The position of its first dispatch.
        first: Cursor,
        /// Whether it had the same body.
        is_same: bool,
    },
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopped,
}

impl From<Unfit> for DispatchRefusal {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Bytes(bytes) => Self::EntryTooLarge { bytes, most: CLUSTER_ENTRY_BYTES_MAX },
            Unfit::Targets(targets) => Self::TargetsTooMany { targets, most: CLUSTER_TARGETS_MAX },
        }
    }
}

/// The positions of the dispatches of one push, which follow on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Positions {
    first: Cursor,
    count: usize,
}

impl Positions {
    /// Those of `count` dispatches, of which this is the first.
    pub(crate) fn new(first: Cursor, count: usize) -> Self {
        Self { first, count }
    }

    /// The position of the first dispatch.
    #[must_use]
    pub fn first(&self) -> Cursor {
        self.first
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether the push had no dispatch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Cursor> + use<> {
        let first = self.first;
        (first.sequence..).take(self.count).map(move |sequence| Cursor { sequence, ..first })
    }
}

/// What becomes of a push that was submitted: a future of its [`Positions`].
///
/// It is done when the push is as safe as the log is configured to be, or is refused after all. Without a log on disk
/// that is at once. A receipt that is dropped changes nothing for its push.
#[derive(Debug)]
pub struct Receipt(State);

#[derive(Debug)]
enum State {
    Settled(Result<Positions, DispatchRefusal>),
    Waiting(oneshot::Receiver<Result<Positions, DispatchRefusal>>),
}

impl Receipt {
    pub(crate) fn accepted(positions: Positions) -> Self {
        Self(State::Settled(Ok(positions)))
    }

    /// One that waits, and its other side. If that is dropped the server has stopped.
    pub(super) fn waiting(link: Option<Arc<Link<Settled>>>) -> (Self, Unsettled) {
        let (receipt, settled) = oneshot::channel();
        (Self(State::Waiting(settled)), Unsettled { receipt, link })
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.settled().is_some()
    }

    /// What became of the push, if that is known.
    pub(crate) fn settled(&self) -> Option<Result<Positions, DispatchRefusal>> {
        match self.0 {
            State::Settled(result) => Some(result),
            State::Waiting(_) => None,
        }
    }

    /// Waits on this thread. Not for threads of a runtime, which others need.
    ///
    /// # Errors
    /// The push was refused.
    pub fn wait(self) -> Result<Positions, DispatchRefusal> {
        match self.0 {
            State::Settled(result) => result,
            State::Waiting(settled) => settled.blocking_recv().unwrap_or(Err(DispatchRefusal::Stopped)),
        }
    }
}

impl Future for Receipt {
    type Output = Result<Positions, DispatchRefusal>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Settled(result) => Poll::Ready(*result),
            State::Waiting(settled) => {
                Pin::new(settled).poll(context).map(|result| result.unwrap_or(Err(DispatchRefusal::Stopped)))
            }
        }
    }
}

/// The other side of a receipt that [waits](Receipt::waiting).
#[derive(Debug)]
pub(crate) struct Unsettled {
    receipt: oneshot::Sender<Result<Positions, DispatchRefusal>>,
    /// By which the worker that took the push learns of it.
    link: Option<Arc<Link<Settled>>>,
}

impl Unsettled {
    /// Settles the receipts of pushes that were written together. Their callers may not wait any more.
    pub(super) fn settle_all(pushes: impl IntoIterator<Item = (Self, Result<Positions, DispatchRefusal>)>) {
        Link::give_back(pushes.into_iter().filter_map(|(Self { receipt, link }, result)| {
            let settled = Settled { receipt, result };
            match link {
                Some(link) => Some((link, settled)),
                None => {
                    settled.tell();
                    None
                }
            }
        }));
    }
}

/// What became of a push, on its way to the worker that took it.
#[derive(Debug)]
pub(crate) struct Settled {
    receipt: oneshot::Sender<Result<Positions, DispatchRefusal>>,
    result: Result<Positions, DispatchRefusal>,
}

impl Settled {
    /// Tells the one who waits, if he still does.
    pub(crate) fn tell(self) {
        let _ = self.receipt.send(self.result);
    }
}

/// Whether the answer to a push says how many connections it reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Counted,
    Uncounted,
}

/// A push that was taken: its receipt, and what can be waited for beside it.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub(crate) receipt: Receipt,
    /// For each dispatch, how many connections it reaches, if that is [counted](Reach::Counted).
    pub(crate) reached: Vec<Reached>,
    /// Done when all handlers have returned, for a [source](Source::Named) that tells its broker then.
    pub(crate) handled: Option<Reached>,
}

impl Submitted {
    /// Whether nothing is to be waited for.
    pub(crate) fn is_settled(&self) -> bool {
        self.handled.is_none() && self.receipt.is_settled()
    }

    /// Waits until the push is accepted and its handlers have returned.
    pub(crate) async fn settled(self) -> Result<Positions, DispatchRefusal> {
        let positions = self.receipt.await?;
        if let Some(handled) = self.handled {
            handled.count().await;
        }
        Ok(positions)
    }
}

/// How many connections a dispatch reaches, once every worker has answered, in a cluster those of all nodes.
pub struct Reached {
    counts: mpsc::Receiver<usize>,
    others: Option<Arc<Others>>,
}

/// The other nodes of a cluster that were asked how many connections a dispatch reaches there.
#[derive(Debug, Default)]
pub(crate) struct Others {
    counted: AtomicUsize,
    silent: AtomicUsize,
}

/// Which nodes of a cluster have counted what a dispatch reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodesCounted {
    /// This one included.
    pub(crate) nodes: usize,
    /// Those that did not answer in time.
    pub(crate) silent: usize,
}

/// Where it is reported how many connections a dispatch reaches.
#[derive(Clone, Debug)]
pub(crate) struct Counting {
    /// Each worker sends its number, and each other node.
    pub(crate) counts: mpsc::Sender<usize>,
    others: Option<Arc<Others>>,
}

impl Counting {
    /// Another node has counted.
    pub(crate) fn counted(&self, reached: usize) {
        // It has room for each node once.
        let _ = self.counts.try_send(reached);
        if let Some(others) = &self.others {
            others.counted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// So many nodes have not.
    pub(crate) fn are_silent(&self, nodes: usize) {
        if let Some(others) = &self.others {
            others.silent.fetch_add(nodes, Ordering::Relaxed);
        }
    }
}

impl Reached {
    /// Counts the answers of so many workers, which they send into the second part.
    pub(crate) fn by(workers: usize) -> (Self, mpsc::Sender<usize>) {
        let (sender, counts) = mpsc::channel(workers.max(1));
        (Self { counts, others: None }, sender)
    }

    /// The same for a dispatch of which other nodes count as well, if there may be any.
    pub(crate) fn with_nodes(workers: usize, has_nodes: bool) -> (Self, Counting) {
        let others = has_nodes.then(Arc::default);
        let room = workers + if has_nodes { PROCESSES_MAX } else { 0 };
        let (reached, counts) = Self::by(room);
        (Self { others: others.clone(), ..reached }, Counting { counts, others })
    }

    /// Waits for the workers, and for other nodes for a second, and adds up their answers. A push that is refused reaches
    /// nobody. In a cluster it waits until this node has read the push from the log: limit it.
    pub async fn count(mut self) -> usize {
        let mut count = 0;
        self.add_up(&mut count).await;
        count
    }

    /// The same, and which nodes of a cluster have counted. In a cluster it waits until then at most, and counts this node as
    /// silent if something is missing.
    pub(crate) async fn count_until(mut self, until: Instant) -> (usize, Option<NodesCounted>) {
        let mut count = 0;
        let Some(others) = self.others.clone() else { return (self.count().await, None) };
        let missing = usize::from(timeout_at(until, self.add_up(&mut count)).await.is_err());
        let nodes = NodesCounted {
            nodes: 1 + others.counted.load(Ordering::Relaxed) - missing,
            silent: others.silent.load(Ordering::Relaxed) + missing,
        };
        (count, Some(nodes))
    }

    async fn add_up(&mut self, count: &mut usize) {
        while let Some(more) = self.counts.recv().await {
            *count += more;
        }
    }
}

impl fmt::Debug for Reached {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reached").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const WAIT: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn a_node_that_does_not_read_its_push_is_silent_after_a_while() {
        let (reached, counting) = Reached::with_nodes(2, true);
        counting.counted(3);
        let began = Instant::now();
        let (count, nodes) = reached.count_until(began + WAIT).await;
        assert_eq!((count, nodes), (3, Some(NodesCounted { nodes: 1, silent: 1 })));
        assert_eq!(began.elapsed(), WAIT);
        let (reached, counting) = Reached::with_nodes(2, true);
        counting.counts.send(4).await.unwrap();
        drop(counting);
        let counted = reached.count_until(began).await;
        assert_eq!(counted, (4, Some(NodesCounted { nodes: 1, silent: 0 })), "it has counted before");
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_server_waits_for_its_workers() {
        let (reached, counting) = Reached::with_nodes(1, false);
        let later = async {
            tokio::time::sleep(3 * WAIT).await;
            counting.counts.send(5).await.unwrap();
            drop(counting);
        };
        let ((count, nodes), ()) = tokio::join!(reached.count_until(Instant::now() + WAIT), later);
        assert_eq!((count, nodes), (5, None));
    }
}
