//! Ordinary `POST`s: what is taken for one, hyper takes for one, with the same path, headers and body, and waits for
//! another request behind it. What is a part of one becomes a whole one of this path, or none.

#![no_main]

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderName};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Method, Request, Response, Version};
use libfuzzer_sys::fuzz_target;
use turted_core::wire::post::{Decoded, Post, PostLimits, decode};

const LIMITS: PostLimits =
    PostLimits { head_bytes: 8_192, headers: 100, target_bytes: 100, body_bytes: 2_000, bytes: 8_192 };
/// Headers that would change what a request means.
const MORE: [&str; 10] = [
    "transfer-encoding",
    "content-encoding",
    "expect",
    "upgrade",
    "te",
    "trailer",
    "origin",
    "sec-fetch-site",
    "x-forwarded-for",
    "forwarded",
];

fuzz_target!(|data: &[u8]| {
    let data = &data[..data.len().min(LIMITS.bytes + 64)];
    match decode(data, LIMITS) {
        Decoded::Whole { post, bytes } => {
            assert!(bytes <= data.len().min(LIMITS.bytes));
            assert_eq!(decode(&data[..bytes], LIMITS), Decoded::Whole { post, bytes });
            let (seen, is_waiting) = serve(&data[..bytes]);
            let seen = seen.expect("hyper takes it for a request");
            assert!(is_waiting, "another one may follow");
            assert_same(&post, &seen);
            for cut in (0..bytes).step_by(1 + bytes / 64) {
                let is_part = match decode(&data[..cut], LIMITS) {
                    Decoded::Part { path } => path == post.path,
                    Decoded::Other => cut < b"POST  HTTP/1.1\r\n".len() + post.path.len(),
                    Decoded::Whole { .. } => false,
                };
                assert!(is_part, "{cut}");
            }
        }
        Decoded::Part { path } => assert!(path.len() < data.len() && data.len() < LIMITS.bytes),
        Decoded::Other => {}
    }
});

fn assert_same(post: &Post<'_>, seen: &Seen) {
    let (head, body) = seen;
    assert_eq!((head.method(), head.version()), (&Method::POST, Version::HTTP_11));
    assert_eq!(head.uri().to_string(), post.path);
    assert_eq!(body, post.body);
    let key = HeaderName::from_static("idempotency-key");
    let expected = [
        (HOST, Some(post.host)),
        (ACCEPT, post.accept),
        (AUTHORIZATION, post.authorization),
        (key, post.idempotency_key),
    ];
    for (name, value) in expected {
        let seen: Vec<_> = head.headers().get_all(&name).iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(seen, value.into_iter().collect::<Vec<_>>(), "{name}");
    }
    assert!(MORE.iter().all(|name| !head.headers().contains_key(*name)));
    assert!(hyper::http::uri::Authority::try_from(post.host).is_ok());
}

/// A request as hyper understands it.
type Seen = (Request<()>, Vec<u8>);

/// What hyper makes of these bytes, and whether it waits for more.
fn serve(bytes: &[u8]) -> (Option<Seen>, bool) {
    let seen = Rc::new(RefCell::new(None));
    let input = Input { bytes: bytes.to_vec(), read: 0 };
    let service = Noting(Rc::clone(&seen));
    let connection = http1::Builder::new().max_headers(LIMITS.headers).serve_connection(input, service);
    let mut connection = std::pin::pin!(connection);
    let mut context = Context::from_waker(Waker::noop());
    let is_waiting = (0..8).all(|_| connection.as_mut().poll(&mut context).is_pending());
    (seen.take(), is_waiting)
}

struct Noting(Rc<RefCell<Option<Seen>>>);

impl Service<Request<Incoming>> for Noting {
    type Response = Response<Nothing>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let seen = Rc::clone(&self.0);
        Box::pin(async move {
            let (head, mut body) = request.into_parts();
            let mut bytes = Vec::new();
            while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
            }
            seen.replace(Some((Request::from_parts(head, ()), bytes)));
            Ok(Response::new(Nothing))
        })
    }
}

/// The body of an answer.
struct Nothing;

impl Body for Nothing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}

/// A connection of whose other side nothing else comes.
struct Input {
    bytes: Vec<u8>,
    read: usize,
}

impl Read for Input {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let left = &self.bytes[self.read..];
        let bytes = left.len().min(buffer.remaining());
        if bytes == 0 {
            return Poll::Pending;
        }
        buffer.put_slice(&left[..bytes]);
        self.read += bytes;
        Poll::Ready(Ok(()))
    }
}

impl Write for Input {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
