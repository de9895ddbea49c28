//! The parts of an answer to a poll: large ones are shared with other answers, small ones are copied.

use std::sync::Arc;

use bytes::Bytes;

use crate::hub::delivery::frame::Frame;
use crate::io::backlogs::{Backlogs, Held};

/// Bytes from which it is worth to share them with other answers: a part of its own takes about 100.
pub(super) const SHARED_BYTES_MIN: usize = 1024;

/// The parts of an answer that is being put together.
#[derive(Debug, Default)]
pub(super) struct Parts {
    parts: Vec<Bytes>,
    copied: Vec<u8>,
    /// Bytes that are this answer's alone.
    own_bytes: usize,
}

impl Parts {
    /// Adds bytes that no other answer shares.
    pub(super) fn copy(&mut self, bytes: &[u8]) {
        self.own_bytes += bytes.len();
        self.copied.extend_from_slice(bytes);
    }

    /// Adds what is in a frame, shared if that is worth a part.
    pub(super) fn share(&mut self, frame: &Frame) {
        if frame.data().len() < SHARED_BYTES_MIN {
            return self.copy(frame.data());
        }
        self.push(frame.shared_data());
    }

    /// Adds a part that other answers share.
    pub(super) fn push(&mut self, part: Bytes) {
        self.parts.push(std::mem::take(&mut self.copied).into());
        self.parts.push(part);
    }

    /// The parts. Bytes that were copied into them count until they are taken, unless they are few.
    pub(super) fn finish(mut self, backlogs: &Arc<Backlogs>) -> Vec<Bytes> {
        self.parts.push(self.copied.into());
        self.parts.retain(|part| !part.is_empty());
        if self.own_bytes >= SHARED_BYTES_MIN {
            let last = self.parts.pop().unwrap_or_default();
            let counted = backlogs.count(self.own_bytes);
            self.parts.push(Bytes::from_owner(Held { bytes: last, _held: counted }));
        }
        self.parts
    }
}
