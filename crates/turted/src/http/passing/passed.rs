//! The answer of another node, as it comes. It owns the connection to that node, so the one ends with the other.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::future::LocalBoxFuture;
use hyper::Request;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{Builder, Connection, Parts, SendRequest};
use hyper::http::response;
use hyper_util::rt::TokioIo;

use super::link::Link;
use crate::http::incoming::RequestBody;
use crate::io::permits::Permit;

/// Bytes of an answer that are read at once, its head included. Nothing more is kept of it.
const READ_BYTES: usize = 16 * 1024;

/// The connection to the owner of a session, before it was asked.
pub(super) struct Owner {
    sender: SendRequest<RequestBody>,
    wire: Wire,
}

/// HTTP/1 on the way to another node.
type Http = Connection<TokioIo<Box<dyn Link>>, RequestBody>;

/// Moves the bytes of one request and its answer.
struct Wire {
    /// `None` once the connection leaves HTTP or has ended, and what it leaves is taken.
    connection: Option<Box<Http>>,
    is_over: bool,
    /// Is done when the node is not there any more.
    withdrawn: LocalBoxFuture<'static, ()>,
    permit: Option<Permit>,
}

/// An answer whose head has come.
pub(crate) struct Passed {
    pub(in crate::http) head: response::Parts,
    pub(in crate::http) flow: Flow,
}

/// The body of an answer, as it comes.
pub(crate) struct Flow {
    wire: Wire,
    body: Incoming,
}

impl Owner {
    pub(super) async fn new(
        link: Box<dyn Link>,
        withdrawn: impl Future<Output = ()> + 'static,
    ) -> Result<Self, hyper::Error> {
        let mut builder = Builder::new();
        builder.read_buf_exact_size(Some(READ_BYTES));
        let (sender, connection) = builder.handshake(TokioIo::new(link)).await?;
        let connection = Some(Box::new(connection));
        let wire = Wire { connection, is_over: false, withdrawn: Box::pin(withdrawn), permit: None };
        Ok(Self { sender, wire })
    }

    /// The same with the permit for its socket, which it keeps until its end.
    pub(super) fn with(mut self, permit: Permit) -> Self {
        self.wire.permit = Some(permit);
        self
    }

    /// Passes a request on and waits for the head of the answer. `None` if the node has gone meanwhile.
    ///
    /// # Cancel safety
    /// The connection ends, so the owner learns that the client is gone.
    pub(super) async fn ask(self, request: Request<RequestBody>) -> Result<Option<Passed>, hyper::Error> {
        let Self { mut sender, mut wire } = self;
        let mut answer = pin!(sender.send_request(request));
        let answer = poll_fn(|context| {
            let is_gone = wire.poll_move(context).is_ready();
            match answer.as_mut().poll(context) {
                Poll::Ready(answer) => Poll::Ready(answer.map(Some)),
                Poll::Pending if is_gone => Poll::Ready(Ok(None)),
                Poll::Pending => Poll::Pending,
            }
        });
        Ok(answer.await?.map(|answer| {
            let (head, body) = answer.into_parts();
            Passed { head, flow: Flow { wire, body } }
        }))
    }
}

impl Wire {
    /// Moves what there is to move. Ready if the node is gone; whatever else ends the connection shows in what it
    /// carries.
    fn poll_move(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(connection) = &mut self.connection
            && !self.is_over
        {
            self.is_over = connection.poll_without_shutdown(context).is_ready();
        }
        self.withdrawn.as_mut().poll(context)
    }
}

impl Flow {
    /// What the connection is when it leaves HTTP, what was read of it, and what has to last as long as it does; `None`
    /// if it has not.
    pub(super) fn leave_http(mut self) -> Option<Left> {
        let Parts { io, read_buf, .. } = self.wire.connection.take()?.into_parts();
        let Wire { withdrawn, permit, .. } = self.wire;
        Some(Left { link: io.into_inner(), read: read_buf, withdrawn, permit })
    }
}

/// A connection to another node that has left HTTP.
pub(super) struct Left {
    pub(super) link: Box<dyn Link>,
    /// What was read of it already.
    pub(super) read: Bytes,
    /// Is done when the node is not there any more.
    pub(super) withdrawn: LocalBoxFuture<'static, ()>,
    /// It counts as a socket until it ends.
    pub(super) permit: Option<Permit>,
}

/// Why an answer breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FlowFailure {
    #[error("the node has left, or is elsewhere")]
    Withdrawn,
    #[error(transparent)]
    Broken(#[from] hyper::Error),
}

impl Body for Flow {
    type Data = Bytes;
    type Error = FlowFailure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, FlowFailure>>> {
        let is_gone = self.wire.poll_move(context).is_ready();
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if is_gone && frame.is_pending() {
            return Poll::Ready(Some(Err(FlowFailure::Withdrawn)));
        }
        Poll::Ready(ready!(frame).map(|frame| Ok(frame?)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
