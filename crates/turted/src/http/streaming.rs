//! HTTP responses that do not end, whatever is said in them: their head, and the wait until the client
//! ends its side.
//!
//! A transport answers [`Unending`], and goes on with the [`Way`] that this turns out to be. Over
//! HTTP/1 that is the socket, whose head is written here by hand, so that nothing of HTTP stays in
//! memory. Over HTTP/2 it is a response that takes what waits for it.

use std::io;
use std::rc::Rc;

use hyper::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::{Response, Version};
use turted_core::close::Close;
use turted_core::limits::STREAM_INPUT_BYTES_MAX;

use super::head;
use crate::http::websocket::run::write_whole;
use crate::http::{Answer, Takeover};
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::outlet::{BodyOutlet, Form, Outlet, Queue, Stream, StreamBody};
use crate::hub::worker::connection::{Client, Connection};
use crate::hub::worker::worker::Worker;
use crate::io::permits::Permit;
use crate::io::socket::Socket;

/// Keeps a response without an end out of caches, and keeps proxies from compressing it: a compressor would hold each
/// event until more have come (RFC 9111 5.2.2.6).
pub(crate) const NOT_CACHED: HeaderValue = HeaderValue::from_static("no-store, no-transform");
/// Makes nginx pass on what comes instead of collecting it.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// An answer without an end.
pub(crate) struct Unending {
    /// Status and headers.
    pub(crate) head: Answer,
    /// The permit of a connection that has no socket of its own.
    pub(crate) permit: Option<Permit>,
    /// What goes on when the head is ready.
    pub(crate) begin: Box<dyn FnOnce(Way)>,
}

impl Unending {
    /// As a takeover of the socket, for HTTP/1.
    pub(crate) fn take_over(self, version: Version) -> Takeover {
        let head = head(form(version), self.head);
        // What a client sends behind such a request is not read.
        Box::new(move |socket, _| (self.begin)(Way::Socket(Rc::new(socket), head)))
    }

    /// As a response, for HTTP/2.
    pub(crate) fn respond(mut self, worker: &Worker) -> Response<StreamBody> {
        let queue = Rc::new(Queue::new(&worker.ledger));
        let body = StreamBody::new(Rc::clone(&queue), Rc::clone(&worker.ledger), self.permit);
        mark(&mut self.head);
        (self.begin)(Way::Response(queue));
        self.head.map(|_| body)
    }
}

/// The permit for a response without an end to a request of this version; `Err` if there is none left. Over
/// HTTP/1 it is `None`, because the socket has one already.
pub(crate) fn permit(worker: &Worker, version: Version) -> Result<Option<Permit>, NoPermit> {
    match version {
        Version::HTTP_2 => worker.shared.permits.take().ok_or(NoPermit).map(Some),
        _ => Ok(None),
    }
}

/// All connections are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server has no connection left (limits.connections)")]
pub(crate) struct NoPermit;

/// The way to a client whose answer does not end.
pub(crate) enum Way {
    /// A socket, and the head that is written to it first.
    Socket(Rc<Socket>, Head),
    /// A response of HTTP/2.
    Response(Rc<Queue>),
}

impl Way {
    pub(crate) fn outlet(&self) -> Outlet {
        match self {
            Self::Socket(socket, head) => Outlet::Stream(Stream::new(Rc::clone(socket), head.form)),
            Self::Response(queue) => Outlet::Body(BodyOutlet::new(queue)),
        }
    }

    /// Closes `connection` when the client ends its side.
    pub(crate) fn watch(&self, client: Client<'_>) {
        let (worker, connection) = client.owned();
        match self {
            Self::Socket(socket, _) => client.worker.spawn(run(worker, connection, Rc::clone(socket))),
            Self::Response(queue) => client.worker.spawn(run_response(worker, connection, Rc::clone(queue))),
        }
    }

    /// Sends the head and a first message; a client that does not take them is closed.
    pub(crate) fn start(&self, client: Client<'_>, message: &str) {
        match self {
            Self::Socket(socket, head) if !write_whole(socket, &head.with(message)) => {
                client.close(Close::TransportLost);
            }
            Self::Socket(..) => {}
            Self::Response(_) => client.send(&[Frame::chunk(message, 0)]),
        }
    }

    /// Sends the head alone, and no body: the answer to HEAD.
    pub(crate) fn end(self, worker: &Worker) {
        match self {
            Self::Socket(socket, head) => worker.spawn(async move {
                // A client that does not take it is gone.
                let _ = socket.try_write(&head.bytes);
                socket.linger().await;
            }),
            Self::Response(queue) => BodyOutlet::new(&queue).finish(None),
        }
    }
}

/// The head of a response to HTTP/1, and how its body goes out.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) form: Form,
    pub(crate) bytes: Vec<u8>,
}

impl Head {
    /// The head and the first message behind it, to be written in one go.
    fn with(&self, message: &str) -> Vec<u8> {
        let first = Frame::chunk(message, 0);
        [&self.bytes, self.form.bytes(&first)].concat()
    }
}

/// What a body of unknown length looks like to a client of this version.
fn form(version: Version) -> Form {
    if version < Version::HTTP_11 { Form::Plain } else { Form::Chunked }
}

/// Adds the headers that every such response has. A response that does not say how it may be cached may not be.
fn mark(answer: &mut Answer) {
    let headers = answer.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.entry(CACHE_CONTROL).or_insert(NOT_CACHED);
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
}

/// The head of a response without an end, made of the status and the headers of `answer`.
pub(crate) fn head(form: Form, mut answer: Answer) -> Head {
    mark(&mut answer);
    let status = answer.status();
    let headers = answer.headers_mut();
    let version = match form {
        // HTTP/1.0 has no chunks, and no other request can follow a body without a length (RFC 9112 6.3).
        Form::Plain => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
            Version::HTTP_10
        }
        Form::Chunked | Form::WebSocket => {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            Version::HTTP_11
        }
    };
    Head { form, bytes: head::encode(version, status, std::mem::take(headers)) }
}

/// Waits for the end of a connection whose way out is a stream.
async fn run(worker: Rc<Worker>, connection: Rc<Connection>, socket: Rc<Socket>) {
    let close = ended(&worker, &socket).await;
    connection.close(&worker, close);
    drop(connection);
    // On the heap, and only now: its timer would make the task of every open stream larger.
    Box::pin(socket.linger()).await;
}

/// The same for a response of HTTP/2.
async fn run_response(worker: Rc<Worker>, connection: Rc<Connection>, queue: Rc<Queue>) {
    let close = queue.ended().await;
    connection.close(&worker, close);
}

/// Waits until the client ends its side of the connection, or sends more than any client has reason
/// to. What it sends is dropped: it could only be a request, which would wait for ever. Cancel safe,
/// but the count of what it sent begins anew.
pub(crate) async fn ended(worker: &Worker, socket: &Socket) -> Close {
    let mut left = STREAM_INPUT_BYTES_MAX;
    loop {
        if socket.readable().await.is_err() {
            return Close::TransportLost;
        }
        match socket.try_read(&mut worker.scratch.borrow_mut()) {
            Ok(0) => return Close::TransportLost,
            Ok(read) if read > left => return Close::Violation(1009),
            Ok(read) => left -= read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return Close::TransportLost,
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;
    use crate::http;

    /// The size of what a function returns, without calling it.
    fn returned<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// Every open stream holds one of these.
    #[test]
    fn the_task_of_a_stream_is_small() {
        assert!(returned(run) <= 128, "{} bytes", returned(run));
    }

    fn head_for(version: Version, answer: Answer) -> String {
        String::from_utf8(head(form(version), answer).bytes).unwrap()
    }

    #[test]
    fn a_body_without_an_end_is_chunked_or_lasts_as_long_as_the_connection() {
        let answer = || http::answer(StatusCode::OK, "text/event-stream", "");
        let head = head_for(Version::HTTP_11, answer());
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.ends_with("\r\n\r\n"), "{head}");
        assert!(head.contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
        assert!(head.contains("\r\ncache-control: no-store, no-transform\r\n"), "{head}");
        assert!(head.contains("\r\nx-accel-buffering: no\r\n"), "{head}");
        assert!(head.contains("\r\ndate: "), "{head}");
        let head = head_for(Version::HTTP_10, answer());
        assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{head}");
        assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
        assert!(!head.contains("transfer-encoding"), "{head}");
        assert!(!head.contains("content-length"), "{head}");
    }

    #[test]
    fn a_transport_says_itself_how_its_response_may_be_cached() {
        let mut answer = http::answer(StatusCode::OK, "text/event-stream", "");
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let head = head_for(Version::HTTP_11, answer);
        assert!(head.contains("\r\ncache-control: no-cache\r\n"), "{head}");
        assert!(!head.contains("no-store"), "{head}");
    }
}
