//! What a socket did not take yet, until it does.

use std::io::{self, IoSlice};
use std::rc::Rc;

use super::{Form, WRITE_FRAMES_MAX};
use crate::hub::delivery::metrics::WorkerMetrics;
use crate::hub::delivery::outlet::ledger::{Ledger, Sent};
use crate::hub::delivery::outlet::waitlist::Waitlist;
use crate::io::socket::Socket;

/// Bytes written to one client in one go while it takes them as fast as they come. Other clients have a turn in
/// between, after half a millisecond.
const FLUSH_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Backlog {
    pub(super) form: Form,
    pub(super) waiting: Waitlist,
    /// Bytes of the first frame that are sent already.
    pub(super) sent: usize,
}

impl Backlog {
    pub(super) fn new(form: Form, ledger: &Rc<Ledger>) -> Self {
        Self { form, waiting: Waitlist::new(ledger), sent: 0 }
    }

    /// Adds to what waits. `Kept` if no frame waited before: only ciphertext did, which is counted elsewhere.
    pub(super) fn put(&mut self, put: impl FnOnce(&mut Waitlist) -> Sent) -> Sent {
        let was_empty = self.waiting.is_empty();
        match put(&mut self.waiting) {
            Sent::Yes if was_empty => Sent::Kept,
            put => put,
        }
    }

    /// Writes what waits, and counts it in `bytes`. Returns whether all is written.
    pub(super) fn write(
        &mut self,
        socket: &Socket,
        metrics: &WorkerMetrics,
        bytes: &mut usize,
    ) -> io::Result<bool> {
        while !self.waiting.is_empty() {
            if *bytes >= FLUSH_BYTES_MAX {
                return Ok(false);
            }
            match self.write_batch(socket) {
                Ok(written) => {
                    metrics.wrote(written);
                    *bytes += written;
                    self.forget(written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        match socket.try_flush() {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn write_batch(&mut self, socket: &Socket) -> io::Result<usize> {
        let frames = self.waiting.ready();
        let mut slices = [IoSlice::new(&[]); WRITE_FRAMES_MAX];
        let mut skip = self.sent;
        let count = frames.len().min(WRITE_FRAMES_MAX);
        for (slice, frame) in slices.iter_mut().zip(frames) {
            *slice = IoSlice::new(&self.form.bytes(frame)[skip..]);
            skip = 0;
        }
        socket.try_write_vectored(&slices[..count])
    }

    fn forget(&mut self, written: usize) {
        self.sent += written;
        while let Some(first) = self.waiting.ready().front()
            && self.sent >= self.form.bytes(first).len()
        {
            self.sent -= self.form.bytes(first).len();
            self.waiting.pop();
        }
    }
}
