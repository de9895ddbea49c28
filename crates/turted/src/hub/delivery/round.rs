//! A round of the fan-out: a few connections whose turn it is, written one after the other.
//!
//! A fan-out visits thousands of connections, none of them in the processor's cache, and the kernel's
//! work for each write drives our own code out of it. So a round does three things, each for all of
//! its connections: it looks up where to write, with many reads from memory under way at a time;
//! it writes, in a loop of a few instructions that reads descriptors and bytes and nothing else; then it
//! handles the results.

use std::rc::Rc;

use crate::hub::delivery::frame::Frame;

/// Connections in one round. In a longer round each costs less, but other tasks wait until it is over, 300 us.
pub(crate) const TURNS_MAX: usize = 32;

/// Connections, and the frames each gets. Keeps its memory.
#[derive(Debug)]
pub(crate) struct Round<C> {
    connections: Vec<Rc<C>>,
    /// For each connection, where its frames end.
    ends: Vec<usize>,
    pub(crate) frames: Vec<Frame>,
}

impl<C> Default for Round<C> {
    fn default() -> Self {
        Self { connections: Vec::new(), ends: Vec::new(), frames: Vec::new() }
    }
}

impl<C> Round<C> {
    pub(crate) fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Adds a connection, which gets all frames behind those of the one before. A connection may be
    /// in a round once.
    pub(crate) fn push(&mut self, connection: Rc<C>) {
        self.connections.push(connection);
        self.ends.push(self.frames.len());
    }

    pub(crate) fn clear(&mut self) {
        self.connections.clear();
        self.ends.clear();
        self.frames.clear();
    }

    /// Every connection with its frames.
    pub(crate) fn turns(&self) -> impl Iterator<Item = (&Rc<C>, &[Frame])> {
        let mut start = 0;
        self.connections.iter().zip(&self.ends).map(move |(connection, &end)| {
            let frames = &self.frames[start..end];
            start = end;
            (connection, frames)
        })
    }
}
