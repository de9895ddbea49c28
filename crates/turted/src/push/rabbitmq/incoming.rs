//! Bytes of the broker that are not decoded yet, in a buffer that never grows.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;
use turted_core::wire::amqp::{FRAME_BYTES_MAX, Frame, Violation};

use crate::io::broker_stream::BrokerStream;

/// Room for the longest frame, and for as much again, so that bytes are moved seldom.
const BUFFER_BYTES: usize = 2 * FRAME_BYTES_MAX;

/// The buffer.
#[derive(Debug)]
pub(super) struct Incoming {
    bytes: Box<[u8]>,
    /// What is not decoded yet.
    from: usize,
    to: usize,
}

impl Incoming {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; BUFFER_BYTES].into(), from: 0, to: 0 }
    }

    /// Takes the next frame out; `None` if none is complete.
    ///
    /// # Errors
    /// The broker breaks a rule.
    pub(super) fn frame(&mut self, most: usize) -> Result<Option<Frame<'_>>, Violation> {
        let Some((frame, bytes)) = Frame::decode(&self.bytes[self.from..self.to], most)? else {
            return Ok(None);
        };
        self.from += bytes;
        Ok(Some(frame))
    }

    /// Reads what the socket has. `Ok(0)` is its end.
    ///
    /// # Cancel safety
    /// What was read is in the buffer.
    pub(super) fn poll_read(
        &mut self,
        socket: &mut dyn BrokerStream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        // A frame that is not complete is shorter than what is free then.
        self.bytes.copy_within(self.from..self.to, 0);
        (self.from, self.to) = (0, self.to - self.from);
        let mut free = ReadBuf::new(&mut self.bytes[self.to..]);
        ready!(Pin::new(socket).poll_read(context, &mut free))?;
        let read = free.filled().len();
        self.to += read;
        Poll::Ready(Ok(read))
    }
}
