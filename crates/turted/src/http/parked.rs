//! A request that waits for its answer outside of hyper.
//!
//! hyper holds 24 KiB for a connection as long as an answer is not there, and a poll waits for most of its life. So
//! such a request leaves hyper: its answer is waited for, and written, by what is here. What the client sends
//! meanwhile is kept, within a bound, for hyper, which then gets the connection back.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use hyper::{Method, Request, StatusCode, Version};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::answer::{Answer, close_after};
use super::call::Outcome;
use super::endpoint::Answering;
use super::head;
use super::paced::Paced;
use super::patience::{has_token, wants_more};
use super::rewound::Rewound;
use super::rules::asks_for_other_version;
use crate::hub::worker::worker::Worker;

/// What an answer has to know of its request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) version: Version,
    /// Whether another request may follow on its connection.
    pub(super) wants_more: bool,
    /// Whether it asks for a WebSocket in another version than ours.
    pub(super) other_version: bool,
    /// Whether it is one for a head alone, whose answer is left to hyper: it has the length of a body that it does not have.
    pub(super) is_head: bool,
}

impl Asked {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        Self {
            version: request.version(),
            wants_more: wants_more(request),
            other_version: asks_for_other_version(request),
            is_head: request.method() == Method::HEAD,
        }
    }
}

/// A request that left hyper.
pub(super) struct Parked {
    pub(super) answering: Answering,
    pub(super) asked: Asked,
}

impl Parked {
    /// Waits for what becomes of the request; `None` if its client ends the connection, or its side of it. A client
    /// that has sent more already is not watched, as in hyper. Cancel safe.
    pub(super) fn outcome<'a, C>(
        &'a mut self,
        worker: &'a Worker,
        channel: &'a mut Rewound<C>,
    ) -> impl Future<Output = Option<Outcome>> + 'a
    where
        C: AsyncRead + Unpin,
    {
        let mut is_watched = true;
        poll_fn(move |context| {
            if let Poll::Ready(outcome) = self.answering.as_mut().poll(context) {
                return Poll::Ready(Some(outcome));
            }
            if is_watched
                && let Poll::Ready(unread) = channel.poll_unread(context, &mut worker.scratch.borrow_mut())
            {
                is_watched = false;
                if unread.is_err() {
                    return Poll::Ready(None);
                }
            }
            Poll::Pending
        })
    }
}

/// What came of writing an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Another request may follow.
    Whole,
    /// None may.
    Last,
    /// The client takes too little.
    Stalled,
    /// The client is gone.
    Broken,
}

/// Writes an answer as hyper does. The client may take `stall` for a part of it.
pub(super) async fn write<C>(
    channel: &mut Rewound<C>,
    answer: Answer,
    asked: Asked,
    stall: Duration,
) -> Written
where
    C: AsyncWrite + Unpin,
{
    let (mut bytes, is_last) = encode(answer, asked);
    let mut paced = Paced::new(channel, stall);
    let written = async {
        paced.write_all_buf(&mut bytes).await?;
        paced.flush().await
    };
    match written.await {
        Ok(()) if is_last => Written::Last,
        Ok(()) => Written::Whole,
        Err::<(), io::Error>(_) if paced.is_stalled() => Written::Stalled,
        Err(_) => Written::Broken,
    }
}

/// Says in an answer whether another request may follow on its connection. Returns whether it is the last one.
pub(super) fn mark_connection(answer: &mut Answer, asked: Asked) -> bool {
    let is_last = !asked.wants_more || has_token(answer.headers(), "close");
    match asked.version {
        // RFC 9112 9.3: it would take an answer without this for the last one.
        Version::HTTP_10 if !is_last => {
            let value = HeaderValue::from_static("keep-alive");
            answer.headers_mut().entry(CONNECTION).or_insert(value);
        }
        Version::HTTP_10 => {}
        _ if is_last => close_after(answer),
        _ => {}
    }
    is_last
}

/// The bytes of an answer, and whether it is the last one on its connection.
fn encode(mut answer: Answer, asked: Asked) -> (Parts, bool) {
    let is_last = mark_connection(&mut answer, asked);
    let (mut head, mut body) = answer.into_parts();
    let mut parts = Parts::default();
    // RFC 9110 8.6
    if head.status != StatusCode::NO_CONTENT && head.status != StatusCode::NOT_MODIFIED {
        head.headers.insert(CONTENT_LENGTH, body.len().into());
        parts.0.extend(std::iter::from_fn(|| body.take_part()));
    }
    parts.0.push_front(head::encode(asked.version, head.status, head.headers).into());
    (parts, is_last)
}

/// Bytes in several parts, none of them empty. Each is given back as soon as it is written: others may count it, and a
/// session waits for the last one.
#[derive(Debug, Default)]
struct Parts(VecDeque<Bytes>);

impl Buf for Parts {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map_or(&[], |part| part)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let count = self.0.len().min(slices.len());
        slices.iter_mut().zip(&self.0).for_each(|(slice, part)| *slice = IoSlice::new(part));
        count
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(part) = self.0.front_mut() {
            if count < part.len() {
                return part.advance(count);
            }
            count -= part.len();
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Body, answer, bare};

    fn asked(version: Version, wants_more: bool) -> Asked {
        Asked { version, wants_more, other_version: false, is_head: false }
    }

    fn encoded(answer: Answer, asked: Asked) -> (String, bool) {
        let (mut parts, is_last) = encode(answer, asked);
        let bytes = parts.copy_to_bytes(parts.remaining());
        (String::from_utf8(bytes.into()).unwrap(), is_last)
    }

    #[test]
    fn an_answer_says_whether_another_request_may_follow() {
        for (version, wants_more, first, connection) in [
            (Version::HTTP_11, true, "HTTP/1.1 200 OK\r\n", None),
            (Version::HTTP_11, false, "HTTP/1.1 200 OK\r\n", Some("close")),
            (Version::HTTP_10, true, "HTTP/1.0 200 OK\r\n", Some("keep-alive")),
            (Version::HTTP_10, false, "HTTP/1.0 200 OK\r\n", None),
        ] {
            let (text, is_last) =
                encoded(answer(StatusCode::OK, "text/plain", "abc"), asked(version, wants_more));
            assert_eq!(is_last, !wants_more, "{version:?}");
            assert!(text.starts_with(first), "{text}");
            assert!(text.contains("\r\ncontent-length: 3\r\ndate: "), "{text}");
            assert!(text.ends_with(" GMT\r\n\r\nabc"), "{text}");
            let expected = connection.map(|value| format!("\r\nconnection: {value}\r\n"));
            assert_eq!(text.contains("\r\nconnection: "), expected.is_some(), "{text}");
            assert!(expected.is_none_or(|line| text.contains(&line)), "{text}");
        }
        let mut last = answer(StatusCode::OK, "text/plain", "");
        close_after(&mut last);
        let (text, is_last) = encoded(last, asked(Version::HTTP_11, true));
        assert!(is_last);
        assert!(text.contains("\r\ncontent-length: 0\r\n"), "{text}");
    }

    #[test]
    fn an_answer_without_content_has_neither_length_nor_body() {
        for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED] {
            let (text, _) = encoded(bare(status, "abc"), asked(Version::HTTP_11, true));
            assert!(text.ends_with(" GMT\r\n\r\n"), "{text}");
            assert!(!text.contains("content-length"), "{text}");
        }
    }

    #[test]
    fn the_parts_of_an_answer_are_given_back_as_they_are_written() {
        let (first, second) = (Bytes::from(vec![b'a'; 10]), Bytes::from(vec![b'b'; 10]));
        let body = Body::of_parts(vec![first.clone(), second.clone()]);
        let (mut parts, _) = encode(bare(StatusCode::OK, body), asked(Version::HTTP_11, true));
        parts.advance(parts.remaining() - 15);
        assert!(!first.is_unique());
        parts.advance(5);
        assert!(first.is_unique());
        assert!(!second.is_unique());
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(parts.chunks_vectored(&mut slices), 1);
        assert_eq!(&*slices[0], &*second);
        parts.advance(10);
        assert!(second.is_unique());
        assert!(!parts.has_remaining());
    }
}
