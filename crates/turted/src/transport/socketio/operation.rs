//! What requests ask of an Engine.IO session, on the worker that owns it. One that arrives elsewhere is handed over.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::polling::PollingAnswer;
use super::refusal::EngineRefusal;
use crate::io::socket::DetachedSocket;

/// An answer to whoever asked; nobody may listen any more.
pub(crate) type OperationAnswer<T> = oneshot::Sender<Result<T, EngineRefusal>>;

/// What a client asks of its Engine.IO session.
#[derive(Debug)]
pub(crate) enum Operation {
    /// GET: what waits, now or later.
    Poll(oneshot::Sender<PollingAnswer>),
    /// The GET is gone before its answer.
    PollAborted,
    /// A POST begins: no other may be under way.
    BeginPost(OperationAnswer<()>),
    /// The body of that POST.
    Post(PostBody, OperationAnswer<()>),
    /// That POST is gone, or refused, before the end of its body.
    PostAborted,
    /// A WebSocket wants to take the session over: may it?
    BeginUpgrade(Attempt, OperationAnswer<()>),
    /// That WebSocket is gone before its socket was handed over, perhaps before it was answered.
    UpgradeAborted(Attempt),
    /// It may: the socket behind the WebSocket handshake, and what was read of it already.
    Upgrade(DetachedSocket, Bytes),
}

/// The body of a POST, and whether it is a binary payload.
#[derive(Debug)]
pub(crate) struct PostBody {
    pub(crate) bytes: Bytes,
    pub(crate) is_binary: bool,
}

/// One attempt to move a session to a WebSocket. What belongs to another is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt(NonZeroU32);

impl Attempt {
    pub(super) fn next() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        // Those of one session are few at a time: numbers that come round again do not meet.
        Self(NonZeroU32::new(LAST.fetch_add(1, Ordering::Relaxed)).unwrap_or(NonZeroU32::MAX))
    }
}
