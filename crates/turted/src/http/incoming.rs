//! The body of a request, and what an endpoint leaves unread of it.
//!
//! Over HTTP/2 hyper cancels a stream whose request body is dropped before its answer has ended, and the
//! client loses the answer. If the body is dropped afterwards, the stream ends with `NO_ERROR`, which asks the
//! client only to send no more (RFC 9113 8.1).

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// The body of a request.
#[derive(Debug)]
pub(crate) struct RequestBody {
    body: Option<Incoming>,
    unread: Option<Unread>,
    /// Told when all of it has been read.
    end: Option<BodyEnd>,
}

/// Whether all of a body has been read.
#[derive(Clone, Debug, Default)]
pub(crate) struct BodyEnd(Rc<Cell<bool>>);

impl BodyEnd {
    pub(crate) fn is_reached(&self) -> bool {
        self.0.get()
    }
}

/// Keeps what was left unread of a body. It holds at most what the window of the stream lets in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unread(Rc<RefCell<Option<Incoming>>>);

impl RequestBody {
    /// A body that is dropped as soon as nobody reads it. `end` is told when it is read to its end.
    pub(crate) fn dropped_unread(body: Incoming, end: &BodyEnd) -> Self {
        end.0.set(body.is_end_stream());
        Self { body: Some(body), unread: None, end: Some(end.clone()) }
    }

    /// The body of a request that has none.
    pub(super) fn none() -> Self {
        Self { body: None, unread: None, end: None }
    }

    /// A body that goes to `unread` when nobody reads it any more.
    pub(crate) fn kept_unread(body: Incoming, unread: &Unread) -> Self {
        Self { body: Some(body), unread: Some(unread.clone()), end: None }
    }
}

impl Unread {
    /// What was left unread, if there is any.
    pub(crate) fn take(&self) -> Option<Incoming> {
        self.0.take()
    }
}

/// Reads a body to its end, or a little more than `bytes_max` of it, and keeps nothing.
pub(crate) async fn discard(mut body: Incoming, bytes_max: usize) {
    let mut bytes = 0;
    while bytes <= bytes_max
        && let Some(Ok(frame)) = body.frame().await
    {
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let unread = self.body.take().filter(|body| !body.is_end_stream());
        if let (Some(place), Some(body)) = (&self.unread, unread) {
            place.0.replace(Some(body));
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(&mut *body).poll_frame(context));
        if frame.is_none() || body.is_end_stream() {
            self.end.iter().for_each(|end| end.0.set(true));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}
