//! The body of an answer that is known when it is given: one part or several, some of which other
//! answers may share.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// The parts of an answer in their order. A single part takes no further memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body {
    /// What goes out next; empty at the end.
    next: Bytes,
    /// What goes out behind it, none of it empty.
    rest: VecDeque<Bytes>,
}

impl Body {
    /// A body of these parts, one behind the other.
    pub(crate) fn of_parts(parts: Vec<Bytes>) -> Self {
        let mut rest = VecDeque::from(parts);
        rest.retain(|part| !part.is_empty());
        Self { next: rest.pop_front().unwrap_or_default(), rest }
    }

    /// Bytes that are still to go out.
    pub(crate) fn len(&self) -> usize {
        self.next.len() + self.rest.iter().map(Bytes::len).sum::<usize>()
    }

    /// Takes the part that goes out next.
    pub(crate) fn take_part(&mut self) -> Option<Bytes> {
        let part = std::mem::replace(&mut self.next, self.rest.pop_front().unwrap_or_default());
        (!part.is_empty()).then_some(part)
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self { next: bytes.into(), rest: VecDeque::new() }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.take_part().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn parts(body: &mut Body) -> Vec<Bytes> {
        std::iter::from_fn(|| body.take_part()).collect()
    }

    #[test]
    fn a_body_of_parts_says_how_long_it_is_and_leaves_empty_parts_out() {
        let mut body = Body::of_parts(["", "ab", "", "c", ""].map(Bytes::from).to_vec());
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(3), false));
        assert_eq!(parts(&mut body), ["ab", "c"]);
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(0), true));
        for empty in [Body::default(), Body::from(""), Body::of_parts(vec![Bytes::new()])] {
            assert_eq!((empty.size_hint().exact(), empty.is_end_stream()), (Some(0), true));
        }
    }

    #[tokio::test]
    async fn the_parts_of_a_body_go_out_in_their_order_and_are_not_copied() {
        let shared = Bytes::from("shared".to_owned());
        let body = Body::of_parts(vec![Bytes::from_static(b"first "), shared.clone()]);
        let mut copy = body.clone();
        assert_eq!(parts(&mut copy)[1].as_ptr(), shared.as_ptr());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "first shared");
    }
}
