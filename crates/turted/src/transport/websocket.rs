//! WebSocket below any protocol: the opening handshake and reading messages (RFC 6455).

use std::io;

use bytes::Bytes;
use futures_core::future::LocalBoxFuture;
use hyper::header::{CONNECTION, HeaderMap, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::{Method, Request};
use turted_core::limits::MESSAGE_FRAGMENTS_MAX;
use turted_core::wire::websocket::{Decoder, DecoderLimits, Message, Violation, accept_key, is_valid_key};

use crate::socket::Socket;
use crate::worker::Worker;

/// The `Sec-WebSocket-Key` of a request that asks for a WebSocket (RFC 6455 4.2.1); `None` if it
/// does not, or not correctly.
pub(crate) fn upgrade_key<B>(request: &Request<B>) -> Option<&str> {
    let headers = request.headers();
    let asks = request.method() == Method::GET
        && has_token(headers, UPGRADE.as_str(), "websocket")
        && has_token(headers, CONNECTION.as_str(), "upgrade")
        && headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    let key = headers.get(SEC_WEBSOCKET_KEY)?.to_str().ok()?;
    (asks && is_valid_key(key)).then_some(key)
}

/// Whether a request tries to become a WebSocket at all.
pub(crate) fn wants_upgrade<B>(request: &Request<B>) -> bool {
    has_token(request.headers(), UPGRADE.as_str(), "websocket")
}

fn has_token(headers: &HeaderMap, name: &str, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// The answer that turns the connection into a WebSocket (RFC 6455 4.2.2). No extension is
/// negotiated: a compressed frame could not be shared.
pub(crate) fn accept_response(key: &str) -> Vec<u8> {
    let accept = accept_key(key);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

/// What the receiver of a message wants next.
pub(crate) enum Step {
    /// The next message.
    Continue,
    /// The next message, but only after this.
    Wait(LocalBoxFuture<'static, ()>),
    /// No more messages.
    Stop,
}

/// Why [`Reader::read`] returned.
pub(crate) enum Progress {
    /// The socket has nothing more at the moment.
    Drained,
    /// The receiver wants this to happen before the next message.
    Wait(LocalBoxFuture<'static, ()>),
    /// The receiver wants no more messages.
    Stopped,
    /// The socket has ended.
    Ended,
    /// The client broke a rule.
    Violated(Violation),
}

/// Reads messages from a socket through the worker's scratch buffer. Holds bytes only while the
/// client has sent part of a frame, or while a message is waited for.
#[derive(Debug)]
pub(crate) struct Reader {
    decoder: Decoder,
    rest: Vec<u8>,
    /// Whether `rest` may hold whole frames: those behind a message that is waited for.
    unfinished: bool,
}

impl Reader {
    /// A reader of messages up to `message_bytes`, that begins with what HTTP read already.
    pub(crate) fn new(message_bytes: usize, leftover: &Bytes) -> Self {
        let limits = DecoderLimits { message_bytes, fragments: MESSAGE_FRAGMENTS_MAX };
        Self { decoder: Decoder::new(limits), rest: leftover.to_vec(), unfinished: !leftover.is_empty() }
    }

    /// Waits until there may be something to read. Cancel safe.
    pub(crate) async fn ready(&self, socket: &Socket) -> io::Result<()> {
        socket.readable().await
    }

    /// Decodes what is left from the last time, then reads once and decodes that.
    pub(crate) fn read(
        &mut self,
        worker: &Worker,
        socket: &Socket,
        mut receive: impl FnMut(Message<'_>) -> Step,
    ) -> Progress {
        if self.unfinished {
            let progress = self.decode_rest(&mut receive);
            if !matches!(progress, Progress::Drained) {
                return progress;
            }
        }
        let mut scratch = worker.scratch.borrow_mut();
        let read = match socket.try_read(&mut scratch) {
            Ok(0) => return Progress::Ended,
            Ok(read) => &mut scratch[..read],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Drained,
            Err(_) => return Progress::Ended,
        };
        if !self.rest.is_empty() {
            self.rest.extend_from_slice(read);
            return self.decode_rest(&mut receive);
        }
        let (done, progress) = decode(&mut self.decoder, read, &mut receive);
        self.rest.extend_from_slice(&read[done..]);
        self.unfinished = may_hold_frames(&progress);
        progress
    }

    fn decode_rest(&mut self, receive: &mut impl FnMut(Message<'_>) -> Step) -> Progress {
        let (done, progress) = decode(&mut self.decoder, &mut self.rest, receive);
        self.rest.drain(..done);
        if self.rest.is_empty() {
            self.rest = Vec::new();
        }
        self.unfinished = may_hold_frames(&progress);
        progress
    }
}

/// Whether what is left may hold more than part of a frame: the receiver stopped before the end.
fn may_hold_frames(progress: &Progress) -> bool {
    matches!(progress, Progress::Wait(_) | Progress::Stopped)
}

/// Decodes frames until the input is used up or the receiver wants something else: how many bytes
/// are done with.
fn decode(
    decoder: &mut Decoder,
    input: &mut [u8],
    receive: &mut impl FnMut(Message<'_>) -> Step,
) -> (usize, Progress) {
    let mut done = 0;
    loop {
        let decoded = match decoder.decode(&mut input[done..]) {
            Ok(Some(decoded)) => decoded,
            Ok(None) => return (done, Progress::Drained),
            Err(violation) => return (done, Progress::Violated(violation)),
        };
        done += decoded.consumed;
        match decoded.message.map_or(Step::Continue, &mut *receive) {
            Step::Continue => {}
            Step::Wait(event) => return (done, Progress::Wait(event)),
            Step::Stop => return (done, Progress::Stopped),
        }
    }
}
