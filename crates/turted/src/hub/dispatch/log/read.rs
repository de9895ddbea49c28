//! Entries that were numbered elsewhere, and are read from there.
//!
//! Their numbers only grow, but an epoch begins far behind the end of the one before. Some of them are no dispatches.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use turted_core::cursor::Cursor;
use turted_core::dispatch::Dispatch;

use super::holes::Holes;
use super::index::Index;
use super::{Accepted, Log};

impl Log {
    /// Keeps a dispatch that was numbered elsewhere. If it is not the next one, the numbers between are those of no entry,
    /// and nothing is missing there, unless something was [lost](Self::forget_all).
    ///
    /// # Panics
    /// If its number is below that of the next one: numbers never go back.
    pub(crate) fn append_at(
        &mut self,
        cursor: Cursor,
        dispatch: Dispatch,
        accepted_at: Instant,
    ) -> Arc<Accepted> {
        self.put_at(Accepted::new(cursor, dispatch, accepted_at))
    }

    /// The same for an entry that is no dispatch, and takes a number all the same.
    pub(crate) fn skip_at(&mut self, cursor: Cursor, accepted_at: Instant) -> Arc<Accepted> {
        self.fillers += 1;
        self.put_at(Accepted::filler(cursor, accepted_at))
    }

    /// Forgets everything, because something of it may be lost. A client that has seen less than all of it has a gap. So
    /// has one that has seen all, if the next entry does not follow on the last one.
    pub(crate) fn forget_all(&mut self) {
        // Not name by name.
        (self.index, self.indexed) = (Index::new(), 0);
        while self.forget_oldest() {}
        (self.gone, self.has_lost) = (self.last(), true);
        (self.kept, self.holes) = (VecDeque::new(), Holes::default());
    }

    fn put_at(&mut self, accepted: Accepted) -> Arc<Accepted> {
        let (cursor, accepted_at) = (accepted.cursor, accepted.accepted_at());
        assert!(cursor.sequence >= self.next.sequence, "numbers never go back");
        if cursor.sequence > self.next.sequence {
            self.jump(cursor.sequence);
        }
        let accepted = self.keep(accepted);
        self.next = Cursor { sequence: cursor.sequence.saturating_add(1), ..cursor };
        self.forget_what_is_too_much(accepted_at);
        accepted
    }

    /// The next entry has this number.
    fn jump(&mut self, until: u64) {
        if self.has_lost {
            self.gone = until - 1;
        }
        if let Some(after) = self.holes.end_of_oldest_if_full() {
            while self.first() <= after && self.forget_oldest() {}
        }
        if !self.kept.is_empty() {
            self.holes.add(self.last(), until);
        }
    }
}
