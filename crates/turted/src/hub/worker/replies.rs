//! What a client is sent while the worker deals with what one read brought: it is gathered, and goes out in one
//! write.

use std::cell::{Cell, RefCell};

use turted_core::registry::ConnectionKey;

use crate::hub::delivery::frame::Frame;

/// Frames that are gathered at most: what one system call takes. One read can bring a thousand messages, and a reply
/// may be longer than what asks for it.
const FRAMES_MAX: usize = 64;

/// The frames for the client that is dealt with. A worker deals with one at a time.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    of: Cell<Option<ConnectionKey>>,
    frames: RefCell<Vec<Frame>>,
}

impl Replies {
    /// Gathers what is for this connection, until what is returned is dropped.
    pub(super) fn begin(&self, key: ConnectionKey) -> Gathering<'_> {
        self.of.set(Some(key));
        Gathering(self)
    }

    /// Gathers frames if they are for the client that is dealt with. Returns whether they are.
    pub(super) fn add(&self, key: ConnectionKey, frames: &[Frame]) -> bool {
        let is_gathered = self.of.get() == Some(key);
        if is_gathered {
            self.frames.borrow_mut().extend_from_slice(frames);
        }
        is_gathered
    }

    /// Whether no more frames may be gathered.
    pub(super) fn is_full(&self) -> bool {
        self.frames.borrow().len() >= FRAMES_MAX
    }

    /// Takes the frames, if they are those of this connection.
    pub(super) fn take(&self, key: ConnectionKey) -> Option<Vec<Frame>> {
        let is_of = self.of.get() == Some(key) && !self.frames.borrow().is_empty();
        is_of.then(|| self.frames.take())
    }

    /// Gives back the memory of what was taken.
    pub(super) fn give_back(&self, mut frames: Vec<Frame>) {
        frames.clear();
        let mut own = self.frames.borrow_mut();
        if own.is_empty() {
            *own = frames;
        }
    }
}

/// Ends the gathering when it is dropped, also by a panic.
#[derive(Debug)]
pub(super) struct Gathering<'a>(&'a Replies);

impl Drop for Gathering<'_> {
    fn drop(&mut self) {
        self.0.of.set(None);
        self.0.frames.borrow_mut().clear();
    }
}
