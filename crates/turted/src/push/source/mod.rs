//! What a source is: the contract of everything that fetches messages, and what runs it.
//!
//! **The contract.** A type of source, `demo` say, is one file or folder under `push/` with two types:
//!
//! - `Demo` implements [`Connector`]: it has the settings of one `[[sources]]`, and connects as often as it is asked.
//! - `DemoFeed` implements [`Feed`]: one connection, from which messages come and on which they are acknowledged.
//!
//! Its row in `push::SOURCES` is all that the rest of the server knows of it. [`run`] does what is common:
//!
//! 1. `connect`, at most [`ANSWER_WAIT`]. If it fails: one warning, again after 0.1 to 30 s with jitter, one line when it
//!    is back. A server starts whatever its sources do.
//! 2. `next` gives messages, at least one `Message` each; an empty list is allowed and only leads to a `flush`. It is
//!    **cancel safe**: at a stop it is dropped while it waits, and nothing that it has taken may be lost with it unless it
//!    comes again. A list is the most that is held in memory, so the feed bounds it (`prefetch`). `next` itself must notice
//!    a dead peer (heartbeat, PING); nothing else limits how long it waits.
//! 3. Each message is read, compared and accepted, in order, small ones several at once. While an inbox is half full the
//!    source waits; `renew` is called every [`RENEWAL`](Feed::RENEWAL) meanwhile, for sources whose messages others may
//!    claim.
//! 4. `settle` is told at once what became of each message, in order; it must not wait. `Outcome::Refused` is final:
//!    reject without requeue, or move it where refused messages go. The other outcomes are acknowledged. A message that
//!    was not settled must come again.
//! 5. `flush` after each list: send the acknowledgements, unless `next` sends them at once with something else. At most
//!    [`ANSWER_WAIT`].
//! 6. An error of any of these drops the feed, with all that it has buffered, and leads to 1. No tag of one connection is
//!    used on another.
//! 7. At a stop nothing more is read; what was read is accepted within [`STOP_WAIT`]; then `close`, which flushes.
//!
//! In a cluster a source that every node would hear ([`Connector::IS_HEARD_BY_ALL`]) is read by the node that has its lease.
//! If the lease is lost the feed is dropped as by an error, with all that it has buffered.
//!
//! A feed counts what its source lost as a gap (`Status::count_gap`), and says how far it is behind
//! (`Status::set_lag_bytes`). A [`Failure`] is shown to operators: it must not contain a secret.
//!
//! A source has a thread and a single-threaded runtime of its own: it may block on files, and `tokio::spawn` is for
//! libraries alone. Its dispatcher leaves half of each inbox to pushes that cannot wait.
//!
//! | file | what |
//! |---|---|
//! | `run` | the life of one source: connects, fetches, has accepted, acknowledges, stops |
//! | `backoff` | how long to wait before the next attempt |
//! | `lease` | which node of a cluster reads a source that all of them would hear |
//! | `threads` | the threads of all sources of a server |
//! | `tests` | the contract, kept by a source of a list |

mod run;
mod backoff;
mod lease;
mod threads;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub(crate) use self::threads::Opened;
use super::intake::{Intake, Message, Outcome, Status};
use crate::config::PushSource;
use crate::hub::cluster::Cluster;
pub(crate) use crate::io::failure::Failure;

/// How long one answer of a source may take: a connection, its acknowledgements. Four times what a name look-up with
/// one lost packet takes.
const ANSWER_WAIT: Duration = Duration::from_secs(20);
/// How long what was read may take to be accepted at a stop.
const STOP_WAIT: Duration = Duration::from_secs(2);
/// How long the acknowledgements may take after that.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// A source of one type, with its settings.
pub(crate) trait Connector: Sized + Send + 'static {
    type Feed: Feed;
    /// Whether each of several servers is given all messages: then one node of a cluster reads, and the others wait.
    const IS_HEARD_BY_ALL: bool = false;

    /// The source of these settings; `None` if they are of another type. Takes what only one server may have, such as a
    /// lock: if that fails the server does not start. Connects to nothing.
    fn open(source: &PushSource, status: &Arc<Status>) -> Option<Result<Self, Failure>>;

    /// Connects.
    async fn connect(&mut self) -> Result<Self::Feed, Failure>;

    /// Tries whether it could connect, for `turted check --connect`, beside a server that is connected. `None` if the
    /// settings are of another type.
    fn check(source: &PushSource) -> Option<impl Future<Output = Result<(), Failure>> + use<'_, Self>>;
}

/// One connection of a source, which messages come from.
pub(crate) trait Feed {
    /// By what a message is acknowledged.
    type Tag;
    /// Time between two calls of [`renew`](Self::renew): a sixth of the 60 s after which a message of a Redis stream may
    /// be claimed.
    const RENEWAL: Duration = Duration::from_secs(10);

    /// Waits for messages.
    ///
    /// # Cancel safety
    /// It is dropped at a stop. What it has taken by then comes again with the next connection.
    async fn next(&mut self) -> Result<Vec<Message<Self::Tag>>, Failure>;

    /// Notes what became of a message.
    fn settle(&mut self, message: &Message<Self::Tag>, outcome: &Outcome);

    /// Tells the source what was settled.
    async fn flush(&mut self) -> Result<(), Failure>;

    /// Keeps messages that wait to be accepted from being delivered elsewhere.
    async fn renew(&mut self, _waiting: &[Message<Self::Tag>]) -> Result<(), Failure> {
        Ok(())
    }

    /// Tells the source what was settled, and leaves.
    async fn close(self) -> Result<(), Failure>;
}

/// The life of one source, on its thread.
type Running = Pin<Box<dyn Future<Output = ()>>>;
/// Begins it there.
type Start = Box<dyn FnOnce(Intake, Option<Cluster>, CancellationToken) -> Running + Send>;
/// Opens a source; `None` if it is of another type.
type Open = fn(&PushSource, &Arc<Status>) -> Option<Result<Start, Failure>>;
type Checking<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + 'a>>;

/// A type of source, for the table of them.
#[derive(Debug)]
pub(crate) struct SourceType {
    open: Open,
    check: for<'a> fn(&'a PushSource) -> Option<Checking<'a>>,
}

impl SourceType {
    /// The row of a type.
    pub(crate) const fn of<C: Connector>() -> Self {
        Self {
            open: |source, status| {
                let opened = C::open(source, status)?;
                let start = |connector| -> Start {
                    Box::new(|intake, cluster, stop| {
                        Box::pin(run::run::<C>(connector, intake, cluster, stop))
                    })
                };
                Some(opened.map(start))
            },
            check: |source| C::check(source).map(|checking| -> Checking<'_> { Box::pin(checking) }),
        }
    }

    /// Tries whether a source of one of these types could connect, at most as long as a server would.
    ///
    /// # Errors
    /// Why it could not.
    pub(crate) async fn check(types: &[Self], source: &PushSource) -> Result<(), Failure> {
        match types.iter().find_map(|row| (row.check)(source)) {
            Some(checking) => run::in_time(checking).await,
            None => Err(not_built(source)),
        }
    }
}

fn not_built(source: &PushSource) -> Failure {
    Failure(format!("this program was built without the feature {:?}", source.kind.name()))
}
