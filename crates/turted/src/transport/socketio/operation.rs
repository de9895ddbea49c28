//! What requests ask of an Engine.IO session, on the worker that owns it. A request that arrives at another worker is
//! handed over.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::polling::PollingAnswer;
use super::refusal::EngineRefusal;
use crate::io::socket::DetachedSocket;

/// Carries an answer to the request that asked, which may be gone.
pub(crate) type OperationAnswer<T> = oneshot::Sender<Result<T, EngineRefusal>>;

/// What a client asks of its Engine.IO session.
#[derive(Debug)]
pub(crate) enum Operation {
    /// A GET asks for what waits, now or later.
    Poll(oneshot::Sender<PollingAnswer>),
    /// The GET is gone before its answer.
    PollAborted,
    /// A POST begins: no other may be under way.
    BeginPost(OperationAnswer<()>),
    /// The body of that POST.
    Post(PostBody, OperationAnswer<()>),
    /// That POST is gone, or refused, before the end of its body.
    PostAborted,
    /// A WebSocket asks whether it may take the session over.
    BeginUpgrade(Attempt, OperationAnswer<()>),
    /// That WebSocket is gone before its socket was handed over, perhaps before it was answered.
    UpgradeAborted(Attempt),
    /// It may, and has finished its handshake: its socket, and what was read of it already.
    Upgrade(DetachedSocket, Bytes),
}

/// The body of a POST, and whether it is a binary payload.
#[derive(Debug)]
pub(crate) struct PostBody {
    pub(crate) bytes: Bytes,
    pub(crate) is_binary: bool,
}

/// One attempt to move a session to a WebSocket. An attempt that is aborted leaves the others alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt(NonZeroU32);

impl Attempt {
    pub(super) fn next() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        // A session has few attempts at a time, so a number that is used again does not meet itself.
        Self(NonZeroU32::new(LAST.fetch_add(1, Ordering::Relaxed)).unwrap_or(NonZeroU32::MAX))
    }
}
