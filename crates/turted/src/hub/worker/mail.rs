//! What workers are asked by each other: requests of polling clients that arrived at a worker that
//! does not own the session. And what the operator asks of them.

use bytes::Bytes;
use tokio::sync::oneshot;
use turted_core::registry::ConnectionKey;

use crate::hub::delivery::outlet::PollingAnswer;
use crate::hub::worker::census::Query;
use crate::hub::worker::session_id::SessionId;
use crate::io::socket::DetachedSocket;
use crate::transport::socketio::{Attempt, EngineRefusal, PostBody};
use crate::transport::sockjs::Letter;

/// An answer to whoever asked; nobody may listen any more.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, EngineRefusal>>;

/// A letter to the worker that owns something.
#[derive(Debug)]
pub(crate) enum Mail {
    /// A request for an Engine.IO session.
    Engine(SessionId, EngineRequest),
    /// A request for a SockJS session.
    SockJs(Box<Letter>),
    /// The client of this connection is back under the same id: let go of the old connection.
    Supersede(ConnectionHint, SessionId, oneshot::Sender<()>),
    /// A session whose client did not come back gives its place to another.
    GiveWay(ConnectionKey),
    /// The operator wants to know something.
    Query(Query),
}

/// Where the connection of a session is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ConnectionHint {
    /// At the place the session id names.
    Slot(u32),
    /// At this key.
    Key(ConnectionKey),
}

/// What a client asks of its Engine.IO session.
#[derive(Debug)]
pub(crate) enum EngineRequest {
    /// GET: what waits, now or later.
    Poll(oneshot::Sender<PollingAnswer>),
    /// The GET is gone before its answer.
    PollAborted,
    /// A POST begins: no other may be under way.
    BeginPost(Answer<()>),
    /// The body of that POST.
    Post(PostBody, Answer<()>),
    /// That POST is gone, or refused, before the end of its body.
    PostAborted,
    /// A WebSocket wants to take the session over: may it?
    BeginUpgrade(Attempt, Answer<()>),
    /// That WebSocket is gone before its socket was handed over, perhaps before it was answered.
    UpgradeAborted(Attempt),
    /// It may: the socket behind the WebSocket handshake, and what was read of it already.
    Upgrade(DetachedSocket, Bytes),
}
