//! Bodies of any chunks: what is read of them, what is refused, and what they take meanwhile.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Frame, SizeHint};
use proptest::prelude::*;

use super::*;
use crate::config::Config;
use crate::io::bodies::Bodies;

const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// A body that comes in these chunks; `length` is what its head says.
struct Chunks {
    chunks: VecDeque<Bytes>,
    length: Option<u64>,
}

impl Chunks {
    fn new(sizes: impl IntoIterator<Item = usize>) -> Self {
        let chunks = sizes.into_iter().map(|size| Bytes::from(vec![b'x'; size])).collect();
        Self { chunks, length: None }
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.chunks.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn bodies(change: impl FnOnce(&mut Config)) -> Arc<Bodies> {
    let mut config = Config::default();
    change(&mut config);
    Bodies::new(config.bodies())
}

async fn read(bodies: &Arc<Bodies>, body: Chunks, limit: usize) -> Result<Bytes, BodyRefusal> {
    gather(body, bodies.charge(HOME), limit).await
}

#[tokio::test]
async fn a_body_may_be_as_long_as_the_limit_whatever_its_head_says() {
    let bodies = bodies(|_| {});
    for length in [None, Some(100)] {
        let body = |sizes: &[usize]| Chunks { length, ..Chunks::new(sizes.iter().copied()) };
        for (sizes, limit) in [(&[100][..], 100), (&[50, 50], 100), (&[1, 98, 1], 100)] {
            assert_eq!(read(&bodies, body(sizes), limit).await.unwrap().len(), 100);
            assert_eq!(read(&bodies, body(sizes), limit - 1).await, Err(BodyRefusal::TooLong));
        }
    }
    assert_eq!(read(&bodies, Chunks::new([]), 0).await.unwrap(), "");
    assert_eq!(bodies.bytes(), 0);
}

#[tokio::test]
async fn a_body_has_1024_chunks_and_one_for_each_64_bytes() {
    let bodies = bodies(|_| {});
    // 1,041 bytes allow for 16 chunks more.
    for (chunks, is_read) in [(1_040, true), (1_041, false)] {
        let read = read(&bodies, Chunks::new(std::iter::repeat_n(1, chunks)), 1 << 20).await;
        assert_eq!(
            read.map_err(|refusal| refusal == BodyRefusal::TooManyChunks),
            is_read.then(|| Bytes::from(vec![b'x'; chunks])).ok_or(true)
        );
    }
    let empty = Chunks::new(std::iter::repeat_n(0, BODY_CHUNKS_MAX + 1));
    assert_eq!(read(&bodies, empty, 100).await, Err(BodyRefusal::TooManyChunks), "empty ones count");
    let usual = Chunks::new(std::iter::repeat_n(64, 16_384));
    assert_eq!(read(&bodies, usual, 1 << 20).await.unwrap().len(), 1 << 20);
}

#[tokio::test]
async fn a_body_counts_until_it_is_dropped() {
    let bodies = bodies(|config| {
        config.limits.bodies_bytes = 2_000_000;
        config.limits.push_body_bytes = 1_000_000;
    });
    let one = read(&bodies, Chunks::new([1_000_000]), 1_000_000).await.unwrap();
    let clone = one.clone();
    let body = Chunks { length: Some(1_000_000), ..Chunks::new([500_000, 500_000]) };
    let other = read(&bodies, body, 1_000_000).await.unwrap();
    assert_eq!(bodies.bytes(), 2_000_000);
    assert_eq!(read(&bodies, Chunks::new([1]), 1).await, Err(BodyRefusal::Full));
    assert_eq!(bodies.bytes(), 2_000_000, "a refused body no longer counts");
    drop(one);
    assert_eq!(bodies.bytes(), 2_000_000);
    drop((clone, other));
    assert_eq!(bodies.bytes(), 0);
    assert!(read(&bodies, Chunks::new([1]), 1).await.is_ok());
}

proptest! {
    #[test]
    fn a_body_is_its_chunks_and_its_buffer_at_most_twice_what_has_come(
        sizes in proptest::collection::vec(prop_oneof![0..4_usize, 60..5_000_usize], 0..60),
        is_announced: bool,
    ) {
        let bodies = bodies(|_| {});
        let length = if is_announced { sizes.iter().sum() } else { 1 << 20 };
        let (first, rest) = (Bytes::new(), Vec::new());
        let mut gathered = Gathered { first, rest, length, charge: bodies.charge(HOME) };
        let mut expected = Vec::new();
        for (at, size) in sizes.iter().enumerate() {
            let chunk = vec![u8::try_from(at).unwrap(); *size];
            expected.extend_from_slice(&chunk);
            prop_assert_eq!(gathered.add(chunk.into()), Ok(()));
            prop_assert!(gathered.rest.capacity() <= expected.len() * 2);
            prop_assert!(gathered.rest.capacity() <= bodies.bytes());
            prop_assert!(!is_announced || gathered.rest.capacity() <= length);
        }
        let body = gathered.finish();
        prop_assert!(body == expected);
        drop(body);
        prop_assert_eq!(bodies.bytes(), 0);
    }
}
