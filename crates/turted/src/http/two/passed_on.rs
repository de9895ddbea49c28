//! The answer of another node on its way out over HTTP/2. hyper asks for a piece of it when the client has room, so what
//! the client does not take is not read of the other node.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::Switch;
use crate::http::passing::passed::{Flow, FlowFailure};

/// An answer as it comes, and what lasts until it has left.
pub(super) struct PassedOn<T> {
    flow: Flow,
    /// Knows what has left.
    switch: Option<Switch>,
    is_over: bool,
    _lasting: T,
}

impl<T> PassedOn<T> {
    pub(super) fn new(flow: Flow, switch: Option<Switch>, lasting: T) -> Self {
        Self { flow, switch, is_over: false, _lasting: lasting }
    }
}

impl<T: Unpin> Body for PassedOn<T> {
    type Data = Bytes;
    type Error = FlowFailure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, FlowFailure>>> {
        while !self.is_over {
            let Some(frame) = ready!(Pin::new(&mut self.flow).poll_frame(context)).transpose()? else {
                self.is_over = true;
                break;
            };
            // What stands behind a body concerns the connection that it came on.
            let Ok(piece) = frame.into_data() else { continue };
            let piece = match &self.switch {
                Some(switch) => switch.track(piece),
                None => piece,
            };
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match &self.switch {
            // As in `Whole`: once hyper knows the end, the stream can no longer be ended early.
            Some(switch) if switch.unsent() > 0 => Poll::Pending,
            _ => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.flow.size_hint()
    }
}
