//! A response that streams, from its head to its end: a client reads frames from it until it has
//! grown so long that browsers should not have to keep more of it.

use std::borrow::Cow;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use turted_core::wire::chunked::{LAST_CHUNK, encode_chunk};
use turted_core::wire::sockjs::{Callback, HEARTBEAT, Transport};

use super::taken::reframe;
use crate::http::streaming;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::outlet::{Flushed, Form, Ledger, Sent, Stream, Waiting};
use crate::hub::worker::connection::Connection;
use crate::hub::worker::worker::Worker;
use crate::io::socket::Socket;

/// A response under way.
#[derive(Debug)]
pub(super) struct Response {
    stream: Stream,
    transport: Transport,
    /// Bytes of frames until it ends.
    left: usize,
    /// Dropped with the response, which tells the task that waits for the client.
    _over: oneshot::Sender<()>,
}

/// What a response begins with.
pub(super) struct Beginning {
    pub(super) socket: Rc<Socket>,
    pub(super) form: Form,
    pub(super) transport: Transport,
    /// Head and prelude, then frames.
    pub(super) bytes: Vec<u8>,
    /// Bytes of those frames.
    pub(super) said: usize,
}

impl Beginning {
    /// Adds a frame.
    pub(super) fn push(&mut self, frame: &str) {
        let data = self.transport.frame(&Callback::NONE, frame);
        put(self.form, data.as_bytes(), &mut self.bytes);
        self.said += data.len();
    }

    /// Writes all of it, and the end, to a client that does not get to receive, within this time.
    pub(super) async fn finish(mut self, longest: Duration) {
        if self.form == Form::Chunked {
            self.bytes.extend_from_slice(LAST_CHUNK);
        }
        // A client that does not take it has no use for the rest.
        let _ = timeout(longest, write_all(&self.socket, &self.bytes)).await;
        self.socket.linger().await;
    }
}

async fn write_all(socket: &Socket, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() || socket.has_unsent() {
        socket.writable().await?;
        let written = if bytes.is_empty() { socket.try_flush().map(|()| 0) } else { socket.try_write(bytes) };
        match written {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Appends data in the form that the body of a response has.
pub(super) fn put(form: Form, data: &[u8], out: &mut Vec<u8>) {
    match form {
        Form::Chunked => encode_chunk(data, out),
        Form::Plain | Form::WebSocket => out.extend_from_slice(data),
    }
}

impl Response {
    /// Begins a response of at most about so many bytes of frames. `Begun::over` ends when the response is
    /// over.
    pub(super) fn begin(beginning: Beginning, bytes: usize, ledger: &Rc<Ledger>) -> (Self, Begun) {
        let Beginning { socket, form, transport, bytes: first, said } = beginning;
        let (over, is_over) = oneshot::channel();
        let stream = Stream::new(Rc::clone(&socket), form);
        let mut response = Self { stream, transport, left: bytes.saturating_sub(said).max(1), _over: over };
        let sent = response.stream.send(&[Frame::bare(&first)], ledger);
        (response, Begun { socket, sent, over: is_over })
    }

    /// Whether no more frames go into it.
    pub(super) fn is_over(&self) -> bool {
        self.left == 0
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.stream.is_blocked()
    }

    /// Bytes of the first frame that waits which are sent already.
    pub(super) fn under_way(&self) -> usize {
        self.stream.under_way()
    }

    pub(super) fn waiting(&self) -> Waiting {
        self.stream.waiting()
    }

    pub(super) fn socket(&self) -> &Rc<Socket> {
        &self.stream.socket
    }

    /// Since when something has waited; `None` if nothing waits.
    pub(super) fn since(&self) -> Option<Instant> {
        self.stream.since()
    }

    /// Whether it takes more frames now.
    pub(super) fn takes(&self) -> bool {
        !self.is_over() && !self.is_blocked()
    }

    pub(super) fn flush(&mut self, ledger: &Ledger) -> Flushed {
        self.stream.flush(ledger)
    }

    /// Writes frames, all of them even if it has grown too long with the first.
    pub(super) fn send(&mut self, frames: &[Frame], ledger: &Rc<Ledger>) -> Sent {
        let fits = |frame: &Frame| self.transport.has_framed(frame.data());
        let frames = if frames.iter().all(fits) {
            Cow::Borrowed(frames)
        } else {
            Cow::Owned(frames.iter().map(|frame| reframe(self.transport, frame)).collect())
        };
        let bytes: usize = frames.iter().map(|frame| frame.data().len()).sum();
        self.left = self.left.saturating_sub(bytes);
        let sent = if frames.is_empty() { Sent::Yes } else { self.stream.send(&frames, ledger) };
        let is_sent = matches!(sent, Sent::Yes | Sent::Kept | Sent::Blocked);
        if self.is_over() && self.stream.form() == Form::Chunked && is_sent {
            let ended = self.stream.send_own(&Frame::bare(LAST_CHUNK), ledger);
            return if matches!(ended, Sent::Yes | Sent::Kept) { sent } else { ended };
        }
        sent
    }

    /// Shows that the session is alive, unless the client has enough to read.
    pub(super) fn beat(&mut self, ledger: &Rc<Ledger>) -> Sent {
        if self.is_over() || self.is_blocked() {
            return Sent::Yes;
        }
        let beat = Frame::chunk(&self.transport.frame(&Callback::NONE, HEARTBEAT), 0);
        self.send(&[beat], ledger)
    }

    /// Sends the close frame, if it can still arrive.
    pub(super) fn end(self, close: &str) {
        let socket = &self.stream.socket;
        if self.is_blocked() {
            // A client that does not read would keep the kernel's buffer alive until the last byte is sent.
            return socket.reset();
        }
        let mut last = Vec::new();
        if !self.is_over() {
            put(self.stream.form(), self.transport.frame(&Callback::NONE, close).as_bytes(), &mut last);
            last.extend_from_slice(if self.stream.form() == Form::Chunked { LAST_CHUNK } else { b"" });
        }
        // A broken socket does not take the frame. The end of the stream tells the client as well.
        let _ = socket.try_write(&last);
        socket.finish();
    }
}

/// What came of beginning a response.
pub(super) struct Begun {
    pub(super) socket: Rc<Socket>,
    pub(super) sent: Sent,
    /// Comes to an end with the response.
    pub(super) over: oneshot::Receiver<()>,
}

/// Waits until a response is over, or its client is gone. The session ends with its client, because what the
/// client has not read is lost (sockjs-protocol 0.3.3, `test_abort_xhr_streaming`).
pub(super) async fn watch(
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    socket: Rc<Socket>,
    over: oneshot::Receiver<()>,
) {
    tokio::select! {
        // First: a client that has read the end may have closed the connection already.
        biased;
        _ = over => {}
        close = streaming::ended(&worker, &socket) => connection.close(&worker, close),
    }
    drop(connection);
    socket.linger().await;
}
