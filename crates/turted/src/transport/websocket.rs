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
/// client has sent part of a frame.
#[derive(Debug)]
pub(crate) struct Reader {
    decoder: Decoder,
    rest: Vec<u8>,
}

impl Reader {
    /// A reader of messages up to `message_bytes`, that begins with what HTTP read already.
    pub(crate) fn new(message_bytes: usize, leftover: &Bytes) -> Self {
        let limits = DecoderLimits { message_bytes, fragments: MESSAGE_FRAGMENTS_MAX };
        Self { decoder: Decoder::new(limits), rest: leftover.to_vec() }
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
        if !self.rest.is_empty() {
            let mut rest = std::mem::take(&mut self.rest);
            let progress = self.decode(&mut rest, &mut receive);
            if !matches!(progress, Progress::Drained) {
                return progress;
            }
        }
        let mut scratch = worker.scratch.borrow_mut();
        let read = match socket.try_read(&mut scratch) {
            Ok(0) => return Progress::Ended,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Drained,
            Err(_) => return Progress::Ended,
        };
        if self.rest.is_empty() {
            return self.decode(&mut scratch[..read], &mut receive);
        }
        let mut joined = std::mem::take(&mut self.rest);
        joined.extend_from_slice(&scratch[..read]);
        drop(scratch);
        self.decode(&mut joined, &mut receive)
    }

    /// Decodes frames until the input is used up; what is left over goes to `rest`.
    fn decode(&mut self, input: &mut [u8], receive: &mut impl FnMut(Message<'_>) -> Step) -> Progress {
        let mut done = 0;
        let progress = loop {
            match self.decoder.decode(&mut input[done..]) {
                Ok(Some(decoded)) => {
                    done += decoded.consumed;
                    match decoded.message.map_or(Step::Continue, &mut *receive) {
                        Step::Continue => {}
                        Step::Wait(event) => break Progress::Wait(event),
                        Step::Stop => break Progress::Stopped,
                    }
                }
                Ok(None) => break Progress::Drained,
                Err(violation) => break Progress::Violated(violation),
            }
        };
        self.rest.extend_from_slice(&input[done..]);
        progress
    }
}
