//! Reads messages from a WebSocket, whatever is spoken on it.

use std::io;

use bytes::Bytes;
use futures_core::future::LocalBoxFuture;
use tokio::task::yield_now;
use turted_core::wire::websocket::{Decoder, DecoderLimits, Message, Violation};

use crate::config::Limits;
use crate::hub::worker::session::Step;
use crate::hub::worker::worker::Worker;
use crate::io::socket::Socket;

/// Why [`Reader::read`] returned.
pub(crate) enum ReadProgress {
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
    /// Nearly all connections have none.
    rest: Option<Box<Rest>>,
    /// Whether the last read may have left something in the socket.
    more: bool,
}

/// Bytes that were read and not decoded.
#[derive(Debug)]
struct Rest {
    bytes: Vec<u8>,
    /// Whether there may be whole frames in it, behind a message that is waited for.
    is_unfinished: bool,
}

impl Rest {
    /// `None` if there is nothing left.
    fn of(bytes: Vec<u8>, is_unfinished: bool) -> Option<Box<Self>> {
        (!bytes.is_empty()).then(|| Box::new(Self { bytes, is_unfinished }))
    }
}

impl Reader {
    /// A reader of messages within `limits`, that begins with what HTTP read already.
    pub(crate) fn new(limits: &Limits, leftover: &Bytes) -> Self {
        let limits =
            DecoderLimits { message_bytes: limits.message_bytes, fragments: limits.message_fragments };
        Self { decoder: Decoder::new(limits), rest: Rest::of(leftover.to_vec(), true), more: false }
    }

    /// Waits until there may be something to read. A client that never stops sending must not hold
    /// the worker: other connections get their turn. Cancel safe.
    pub(crate) async fn ready(&self, socket: &Socket) -> io::Result<()> {
        if self.more {
            yield_now().await;
        }
        socket.readable().await
    }

    /// Decodes what is left from the last time, then reads once and decodes that.
    pub(crate) fn read(
        &mut self,
        worker: &Worker,
        socket: &Socket,
        mut receive: impl FnMut(Message<'_>) -> Step,
    ) -> ReadProgress {
        if self.rest.as_ref().is_some_and(|rest| rest.is_unfinished) {
            let progress = self.decode_rest(&mut receive);
            if !matches!(progress, ReadProgress::Drained) {
                return progress;
            }
        }
        let mut scratch = worker.scratch.borrow_mut();
        let most = scratch.len();
        let read = match socket.try_read(&mut scratch) {
            Ok(0) => return ReadProgress::Ended,
            Ok(read) => &mut scratch[..read],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.more = socket.may_have_unread();
                return ReadProgress::Drained;
            }
            Err(_) => return ReadProgress::Ended,
        };
        self.more = read.len() == most || socket.may_have_unread();
        if let Some(rest) = &mut self.rest {
            rest.bytes.extend_from_slice(read);
            return self.decode_rest(&mut receive);
        }
        let (done, progress) = decode(&mut self.decoder, read, &mut receive);
        self.rest = Rest::of(read[done..].to_vec(), may_hold_frames(&progress));
        progress
    }

    fn decode_rest(&mut self, receive: &mut impl FnMut(Message<'_>) -> Step) -> ReadProgress {
        let Some(mut rest) = self.rest.take() else { return ReadProgress::Drained };
        let (done, progress) = decode(&mut self.decoder, &mut rest.bytes, receive);
        rest.bytes.drain(..done);
        rest.is_unfinished = may_hold_frames(&progress);
        self.rest = Some(rest).filter(|rest| !rest.bytes.is_empty());
        progress
    }
}

/// Whether what is left may hold more than part of a frame: the receiver stopped before the end.
fn may_hold_frames(progress: &ReadProgress) -> bool {
    matches!(progress, ReadProgress::Wait(_) | ReadProgress::Stopped)
}

/// Decodes frames until the input is used up or the receiver wants something else. Returns how many
/// bytes are done with.
fn decode(
    decoder: &mut Decoder,
    input: &mut [u8],
    receive: &mut impl FnMut(Message<'_>) -> Step,
) -> (usize, ReadProgress) {
    let mut done = 0;
    loop {
        let decoded = match decoder.decode(&mut input[done..]) {
            Ok(Some(decoded)) => decoded,
            Ok(None) => return (done, ReadProgress::Drained),
            Err(violation) => return (done, ReadProgress::Violated(violation)),
        };
        done += decoded.consumed;
        match decoded.message.map_or(Step::Continue, &mut *receive) {
            Step::Continue => {}
            Step::Wait(event) => return (done, ReadProgress::Wait(event)),
            Step::Stop => return (done, ReadProgress::Stopped),
        }
    }
}
