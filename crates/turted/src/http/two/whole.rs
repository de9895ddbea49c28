//! The body of a whole answer on its way out over HTTP/2. It goes out in slices, and counts as under way
//! until the last one has left.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use turted_core::limits::{H2_UNWATCHED_BYTES_MAX, PROGRESS_BYTES};

use super::Switch;
use crate::http::Body;

/// Bytes of a slice: as much as counts as progress of a client, and the largest frame of HTTP/2 that every
/// client accepts (RFC 9113 4.2).
const SLICE_BYTES: usize = PROGRESS_BYTES;

/// A whole answer, and what lasts until it has left.
pub(super) struct Whole<T> {
    body: Body,
    /// What is left of the part that goes out.
    part: Bytes,
    /// Knows what has left. Answers that are too small to be watched have none.
    switch: Option<Switch>,
    _lasting: T,
}

impl<T> Whole<T> {
    pub(super) fn new(body: Body, switch: Option<Switch>, lasting: T) -> Self {
        let switch = switch.filter(|_| body.len() > H2_UNWATCHED_BYTES_MAX);
        Self { body, part: Bytes::new(), switch, _lasting: lasting }
    }

    /// Bytes that hyper has not asked for yet.
    fn left(&self) -> usize {
        self.part.len() + self.body.len()
    }

    /// The next slice: a piece of a large part as it is, or small parts together.
    fn slice(&mut self) -> Option<Bytes> {
        let first = self.next_piece(SLICE_BYTES)?;
        if first.len() == SLICE_BYTES || self.left() == 0 {
            return Some(first);
        }
        let mut together = BytesMut::with_capacity(SLICE_BYTES.min(first.len() + self.left()));
        together.extend_from_slice(&first);
        while together.len() < SLICE_BYTES
            && let Some(piece) = self.next_piece(SLICE_BYTES - together.len())
        {
            together.extend_from_slice(&piece);
        }
        Some(together.freeze())
    }

    fn next_piece(&mut self, bytes_max: usize) -> Option<Bytes> {
        if self.part.is_empty() {
            self.part = self.body.take_part()?;
        }
        Some(self.part.split_to(bytes_max.min(self.part.len())))
    }
}

impl<T: Unpin> HttpBody for Whole<T> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let slice = self.slice();
        match (&self.switch, slice) {
            (Some(switch), Some(slice)) => Poll::Ready(Some(Ok(Frame::data(switch.track(slice))))),
            (None, Some(slice)) => Poll::Ready(Some(Ok(Frame::data(slice)))),
            // hyper is told of the end only when the last slice has left: once it knows the end, the stream
            // can no longer be ended early. `Switch::run` polls again when a slice has left.
            (Some(switch), None) if switch.unsent() > 0 => Poll::Pending,
            (_, None) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0 && self.switch.as_ref().is_none_or(|switch| switch.unsent() == 0)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use proptest::prelude::*;

    use super::*;

    fn whole(parts: Vec<Bytes>, switch: &Switch) -> Whole<()> {
        Whole::new(Body::of_parts(parts), Some(switch.clone()), ())
    }

    fn poll(whole: &mut Whole<()>) -> Poll<Option<Bytes>> {
        let polled = Pin::new(whole).poll_frame(&mut Context::from_waker(Waker::noop()));
        polled.map(|next| next.map(|frame| frame.unwrap().into_data().unwrap()))
    }

    proptest! {
        #[test]
        fn slices_are_the_parts_in_their_order_and_as_large_as_they_may_be(
            lengths in proptest::collection::vec(prop_oneof![0..200_usize, 16_000..50_000_usize], 0..12)
        ) {
            let byte = |at: usize| u8::try_from(at % 251).unwrap();
            let mut at = 0;
            let parts: Vec<Bytes> = lengths
                .iter()
                .map(|length| (0..*length).map(|_| { at += 1; byte(at) }).collect())
                .collect();
            let expected = parts.concat();
            let switch = Switch::default();
            let mut whole = whole(parts, &switch);
            prop_assert_eq!(whole.size_hint().exact(), Some(expected.len() as u64));
            let mut sliced = Vec::new();
            while let Poll::Ready(Some(slice)) = poll(&mut whole) {
                prop_assert!(slice.len() == SLICE_BYTES || sliced.len() + slice.len() == expected.len());
                sliced.extend_from_slice(&slice);
            }
            prop_assert!(sliced == expected);
            prop_assert!(whole.is_end_stream());
        }
    }

    #[tokio::test]
    async fn an_answer_ends_when_its_last_slice_has_left_and_its_bytes_are_not_copied() {
        let switch = Switch::default();
        let file = Bytes::from(vec![1; SLICE_BYTES + 1]);
        let mut whole = whole(vec![file.clone()], &switch);
        let (Poll::Ready(Some(first)), Poll::Ready(Some(last))) = (poll(&mut whole), poll(&mut whole)) else {
            panic!("two slices");
        };
        assert_eq!((first.as_ptr(), last.len(), switch.unsent()), (file.as_ptr(), 1, SLICE_BYTES + 1));
        drop(first);
        assert!(poll(&mut whole).is_pending());
        assert!(!whole.is_end_stream());
        drop(last);
        assert!(whole.is_end_stream());
        assert!(matches!(poll(&mut whole), Poll::Ready(None)));
    }

    #[tokio::test]
    async fn an_answer_of_a_kilobyte_is_not_watched_and_one_byte_more_is() {
        for (bytes, is_watched) in [(H2_UNWATCHED_BYTES_MAX, false), (H2_UNWATCHED_BYTES_MAX + 1, true)] {
            let switch = Switch::default();
            let mut whole = whole(vec![Bytes::from(vec![0; bytes])], &switch);
            let slice = poll(&mut whole);
            assert_eq!(switch.unsent() > 0, is_watched);
            assert_eq!(whole.is_end_stream(), !is_watched);
            drop(slice);
        }
    }
}
