//! The engine of a cluster: what all nodes share. It appends to one log, lets every node follow it, keeps small values with
//! an age, and carries messages between nodes. It knows bytes alone: no users, channels or sockets.
//!
//! A node has four connections: one appends, one follows, one has the values and sends messages, one hears them. Each belongs
//! to one task, which does one thing after the other on it. A call that is dropped before it is done may leave its connection
//! unusable: whoever stops waiting for a call gives the connection up.
//!
//! | file | what |
//! |---|---|
//! | `redis` | the engine on Redis and Valkey |
//! | `memory` | an engine for nodes of one process, with faults on demand, for tests |
//! | `suite` | what every engine has to pass |

#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(test)]
pub(crate) mod memory;
#[cfg(test)]
mod suite;

use std::time::Duration;

use bytes::Bytes;
use turted_core::cursor::Cursor;

/// A way to the engine, one for each node. Connections are made anew after every failure.
pub(crate) trait Engine: 'static {
    type Writer: Writer;
    type Reader: Reader;
    type Values: Values;
    type Ears: Ears;

    /// Whether a node may do all that it needs. It is asked at its start, so that it ends at once with the reason.
    async fn rights(&self) -> Result<(), Failure>;

    /// Connects to append. The connection that this node appended with before is ended first, by its id, so that nothing that
    /// was sent on it is done later. Returns what the log is like.
    async fn writer(&self) -> Result<(Self::Writer, State), Failure>;

    /// Connects to follow the log.
    async fn reader(&self) -> Result<(Self::Reader, State), Failure>;

    /// Connects to values.
    async fn values(&self) -> Result<Self::Values, Failure>;

    /// Connects to hear what is told to all nodes, and to this one. It hears what is told after this has returned. A node
    /// whose number changes connects anew.
    async fn ears(&self, node: u16) -> Result<Self::Ears, Failure>;
}

/// Appends to the log.
pub(crate) trait Writer {
    /// What the log is like now.
    async fn state(&mut self) -> Result<State, Failure>;

    /// Appends pushes, each as a whole or not at all, in their order. There is a result for each. If the connection breaks
    /// (`Err`), any of them may be appended or not. With `replicas` it waits until so many have all of it.
    async fn append(
        &mut self,
        epoch: u64,
        pushes: &[Append<'_>],
        replicas: u32,
    ) -> Result<Vec<Appended>, Failure>;

    /// Begins an epoch, if the reign and the last position are still those that were `seen`. Of several nodes that try, one
    /// wins. Returns whether this one did.
    async fn begin(&mut self, seen: &State, begun: &Reign, entry: &[u8]) -> Result<bool, Failure>;

    /// Gives up the entries before `first`.
    async fn trim(&mut self, first: Cursor) -> Result<(), Failure>;

    /// The entry at a position; `None` if there is none.
    async fn entry(&mut self, at: Cursor) -> Result<Option<Bytes>, Failure>;
}

/// Follows the log.
pub(crate) trait Reader {
    /// The next entries behind `after`, in their order, about so many; from the beginning without a position. If there is none
    /// it waits for one, about a second, then returns an empty list. An entry has no bytes if somebody else wrote it and it
    /// is not of our form, or above 8 MiB. What is kept of an entry for long is copied: entries that came together share
    /// their memory.
    async fn read(
        &mut self,
        after: Option<Cursor>,
        count: usize,
    ) -> Result<Vec<(Cursor, Option<Bytes>)>, Failure>;

    /// Whether the last read, which was asked for `count` and returned `read` of them, was full: there may be more.
    fn was_full(&self, read: usize, count: usize) -> bool {
        read >= count
    }

    /// Whether part of the next entries has come: the last read has returned an empty list, and the next one, behind the
    /// same position, goes on with them. A slow network takes longer for large ones than a read may take.
    fn is_coming(&self) -> bool {
        false
    }

    /// What the log is like now.
    #[allow(dead_code, reason = "only the suite asks every connection")]
    async fn state(&mut self) -> Result<State, Failure>;
}

/// Has values, which live for a while, and sends messages. A value has an owner: a process.
pub(crate) trait Values {
    /// Does all of these, in their order. There is a result for each.
    async fn all(&mut self, changes: &[Change<'_>]) -> Result<Vec<Changed>, Failure>;
}

/// Hears messages.
pub(crate) trait Ears {
    /// Waits for a message. `None`: nothing came for 5 s, and the connection answers.
    async fn hear(&mut self) -> Result<Option<Bytes>, Failure>;
}

/// What the log is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// Which reign of which process of the engine it is. If it differs from that of the last epoch, what the log had may be
    /// lost.
    pub(crate) process: String,
    /// The engine's clock: time since 1970.
    pub(crate) now: Duration,
    /// The highest position that this log has given; `None` if there is no log.
    pub(crate) last: Option<Cursor>,
    /// The epoch that was begun last; `None` if there is none.
    pub(crate) reign: Option<Reign>,
    pub(crate) keeping: Keeping,
}

/// How safe with the engine is what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keeping {
    /// How many replicas follow it.
    pub(crate) replicas: u32,
    /// By which policy it throws values away when its memory is full; `None` if it throws none away.
    pub(crate) evicts: Option<String>,
}

/// An epoch, and the process of the engine to which it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reign {
    pub(crate) epoch: u64,
    /// The number of its first entry, `begin`.
    pub(crate) first: u64,
    pub(crate) process: String,
}

/// A push that is to be appended.
#[derive(Clone, Debug)]
pub(crate) struct Append<'a> {
    pub(crate) entries: &'a [Bytes],
    /// The name under which it is known, what is kept there behind the position of its first entry, and for how long.
    pub(crate) key: Option<(&'a str, &'a [u8], Duration)>,
    /// A name that this process must hold (`Change::Hold`), or nothing is appended.
    pub(crate) holds: Option<&'a str>,
}

/// What became of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// Its first entry has this position, the others follow.
    At(Cursor),
    /// The same, but fewer replicas than asked for have it in time.
    Unreplicated(Cursor),
    /// It was appended before: the position of its first entry, and what is kept beside.
    Known(Cursor, Bytes),
    /// It was appended before, but fewer replicas than asked for have it in time.
    KnownUnreplicated,
    /// Another epoch has begun: nothing is appended.
    Stale,
    /// There is no log: nothing is appended.
    Gone,
    /// Somebody else holds the name: nothing is appended.
    NotHeld,
    /// The engine takes nothing, for this reason: nothing is appended.
    Refused(String),
}

/// A change of a value, or a look at it. `age` is how long it is kept from now on.
#[derive(Clone, Debug)]
pub(crate) enum Change<'a> {
    /// Writes a value, unless another process owns it.
    Put { name: &'a str, value: &'a [u8], age: Duration },
    /// Makes this process the owner, and returns the value as it is.
    Take { name: &'a str, age: Duration },
    /// Returns the value.
    Get { name: &'a str },
    /// Deletes a value, unless another process owns it.
    Delete { name: &'a str },
    /// Owns a name that nobody else owns, or still owns it, with this value.
    Hold { name: &'a str, value: &'a [u8], age: Duration },
    /// Keeps a value for longer, if this process owns it.
    Renew { name: &'a str, age: Duration },
    /// Tells all nodes, or one of them.
    Tell { to: Option<u16>, message: &'a [u8] },
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    Done,
    /// There is no such value.
    Missing,
    /// Another process owns it, with this value.
    Owned(u64, Bytes),
    /// The value, and the process that owned it until now.
    Value(u64, Bytes),
    /// The engine takes nothing, for this reason.
    Refused(String),
}

/// Why a connection to the engine is of no use any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// It is not there, or does not answer; what was asked may have been done.
    #[error("{0}")]
    Lost(String),
    /// It has become a replica, or the log is not where it was: another server has to be asked for.
    #[error("{0}")]
    Moved(String),
    /// It can never be used like this: its version, a password, a right.
    #[error("{0}")]
    Unusable(String),
}
