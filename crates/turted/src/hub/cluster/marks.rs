//! Whether this node has read all that stood in the log at a moment. That it follows the log says less: it may be cut off, and
//! not know it yet.
//!
//! It has read all that, once it reads back an entry of its own that it has made since, or finds nothing behind what it has read
//! when it looks since. Then a position that is ahead of it is nowhere, unless it is of an epoch that has begun elsewhere.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use turted_core::cursor::Cursor;
use turted_core::time::UnixTime;

use super::job::Unavailable;
use super::mistake::{Mistake, makes};
use super::random;
use super::status::Status;
use crate::io::seldom::Seldom;

/// Time between two heartbeats that are appended for those who wait. Anyone can make up a position that is waited for.
const HEARTBEAT_PAUSE: Duration = Duration::from_millis(250);
/// How far an epoch may be ahead of a clock: a day, in case that was set back.
const AHEAD_MAX: u64 = 86_400_000 << 16;

/// A moment: by the entries that this node has made until then, and by the clock.
#[derive(Clone, Copy, Debug)]
struct Mark {
    made: u64,
    at: u64,
}

/// What this node has made and read back.
#[derive(Debug)]
pub(crate) struct Marks {
    /// The tag of the last entry that it has made.
    made: AtomicU64,
    /// That of the last one that it has read back, with everything before it.
    read_back: AtomicU64,
    /// The last moment at which nothing stood behind what it has read.
    had_all: AtomicU64,
    began: Instant,
    heartbeats: Seldom,
}

impl Marks {
    /// Tags count from a random number on, so that two processes with one number do not mistake each other's entries for their
    /// own.
    pub(super) fn new() -> Self {
        Self::from(random::number())
    }

    fn from(first: u64) -> Self {
        let [made, read_back] = [(); 2].map(|()| AtomicU64::new(first));
        let heartbeats = Seldom::every(HEARTBEAT_PAUSE);
        Self { made, read_back, had_all: AtomicU64::new(0), began: Instant::now(), heartbeats }
    }

    /// The tag of an entry that is made now.
    pub(super) fn make(&self) -> u64 {
        self.made.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// The entry with this tag is read, and everything before it is handed over. Others can write what looks like an entry of
    /// this node, and an entry that was made before may be read later.
    pub(super) fn reads_back(&self, tag: u64) {
        let is_made = !is_behind(self.made.load(Ordering::Relaxed), tag);
        if is_made && is_behind(self.read_back.load(Ordering::Relaxed), tag) {
            self.read_back.store(tag, Ordering::Release);
        }
    }

    /// Nothing stood behind what was read when it was asked for. All that was read is handed over.
    pub(super) fn had_all(&self, asked: Instant) {
        self.had_all.store(self.moment(asked), Ordering::Release);
    }

    fn moment(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX)
    }

    fn now(&self) -> Mark {
        Mark { made: self.made.load(Ordering::Relaxed), at: self.moment(Instant::now()) }
    }

    /// Whether everything was read that stood in the log at a moment.
    fn has_read_up_to(&self, mark: Mark) -> bool {
        makes(Mistake::CountsOldEntries)
            || is_behind(mark.made, self.read_back.load(Ordering::Acquire))
            || self.had_all.load(Ordering::Acquire) > mark.at
    }

    /// Whether a heartbeat may be appended now for somebody who waits.
    pub(super) fn is_heartbeat_due(&self) -> bool {
        self.heartbeats.tell(Instant::now().into_std()).is_some()
    }
}

/// Whether a tag was made before another one. They wrap.
fn is_behind(tag: u64, other: u64) -> bool {
    other.wrapping_sub(tag).cast_signed() > 0
}

/// Whether no node can have begun an epoch: it is too far ahead of the clock, and of an epoch that is known.
pub(super) fn is_absurd(epoch: u64, known: u64, now: Duration) -> bool {
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX).saturating_mul(1 << 16);
    epoch > now.max(known).saturating_add(AHEAD_MAX) || epoch == u64::MAX
}

/// A client that waits until its node has read as far as the node from which it comes.
#[derive(Debug)]
pub(crate) struct Wait {
    /// The epoch that its node reads, and since when the client waits there while it does.
    since: Option<(u64, Mark)>,
    until: Instant,
}

impl Wait {
    /// It waits no longer than that.
    pub(crate) fn no_longer_than(until: Instant) -> Self {
        Self { since: None, until }
    }

    /// Looks whether it has waited long enough, for a node that has read up to `read`: what the client has `seen` that is ahead
    /// of that is nowhere, or the node cannot read the log now. `None`: it waits further.
    pub(crate) fn end(
        &mut self,
        status: &Status,
        (seen, read): (Option<Cursor>, Cursor),
        now: UnixTime,
    ) -> Option<Result<(), Unavailable>> {
        // What it has read of another epoch may have been the log of a former master.
        let since = self.since.filter(|(epoch, _)| *epoch == read.epoch);
        let (_, mark) = *self.since.insert(since.unwrap_or_else(|| (read.epoch, status.marks.now())));
        let has_read = status.marks.has_read_up_to(mark);
        // Where two servers take entries, this node may read another one.
        let is_elsewhere =
            seen.is_some_and(|seen| seen.epoch > read.epoch && !is_absurd(seen.epoch, read.epoch, now.0));
        if has_read && !is_elsewhere {
            return Some(Ok(()));
        }
        if Instant::now() >= self.until {
            return Some(if has_read { Ok(()) } else { Err(Unavailable) });
        }
        status.is_waited_for();
        None
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[test]
    fn what_stood_in_the_log_is_read_once_a_later_entry_of_this_node_is() {
        for first in [0, u64::MAX - 1, u64::MAX / 2] {
            let marks = Marks::from(first);
            let began = marks.now();
            assert!(!marks.has_read_up_to(began), "it has read nothing yet");
            let earlier = marks.make();
            let mark = marks.now();
            marks.reads_back(earlier);
            assert!(marks.has_read_up_to(began));
            assert!(!marks.has_read_up_to(mark), "it was made before");
            let later = marks.make();
            marks.reads_back(later + 1);
            assert!(!marks.has_read_up_to(mark), "it is not made yet: another program wrote it");
            marks.reads_back(later);
            marks.reads_back(earlier);
            assert!(marks.has_read_up_to(mark), "it is sent again behind a later one");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_read_once_nothing_is_found_behind_what_was_read() {
        let marks = Marks::from(0);
        let asked = Instant::now();
        advance(Duration::from_millis(1)).await;
        let mark = marks.now();
        marks.had_all(asked);
        assert!(!marks.has_read_up_to(mark), "that was before");
        advance(Duration::from_millis(1)).await;
        marks.had_all(Instant::now());
        assert!(marks.has_read_up_to(mark));
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_make_few_heartbeats() {
        let marks = Marks::from(0);
        let mut due = 0;
        for _ in 0..10_000 {
            due += u32::from(marks.is_heartbeat_due());
            advance(Duration::from_millis(1)).await;
        }
        assert_eq!(due, 40);
    }

    #[tokio::test(start_paused = true)]
    async fn a_position_of_a_later_epoch_may_be_elsewhere_and_is_waited_for_to_the_end() {
        let now = UnixTime(Duration::from_millis(1_700_000_000_000));
        let at = |epoch| Cursor { epoch, sequence: 5 };
        let epoch = 1_700_000_000_000 << 16;
        let status = Status::new();
        let mut wait = Wait::no_longer_than(Instant::now() + Duration::from_secs(10));
        let mut end = |seen| wait.end(&status, (Some(at(seen)), at(epoch)), now).map(|end| end.is_ok());
        assert_eq!(end(epoch), None, "it may be behind");
        status.marks.reads_back(status.marks.make());
        assert_eq!((end(epoch), end(u64::MAX / 2), end(epoch + 1)), (Some(true), Some(true), None));
        advance(Duration::from_secs(10)).await;
        assert_eq!(end(epoch + 1), Some(true), "nobody is kept out for ever");
        let mut wait = Wait::no_longer_than(Instant::now());
        assert_eq!(wait.end(&status, (None, at(epoch)), now).map(|end| end.is_ok()), Some(false));
    }
    #[tokio::test(start_paused = true)]
    async fn what_a_node_has_read_of_a_former_master_does_not_count_for_the_next() {
        let now = UnixTime(Duration::from_millis(1_700_000_000_000));
        let at = |epoch| Cursor { epoch: (1_700_000_000_000_u64 << 16) + epoch, sequence: 5 };
        let status = Status::new();
        let mut wait = Wait::no_longer_than(Instant::now() + Duration::from_secs(10));
        let mut end = |read| wait.end(&status, (Some(at(2)), at(read)), now).map(|end| end.is_ok());
        assert_eq!(end(1), None);
        status.marks.reads_back(status.marks.make());
        assert_eq!(
            (end(1), end(2)),
            (None, None),
            "it has read all of the former one, and begins with the next"
        );
        status.marks.reads_back(status.marks.make());
        assert_eq!(end(2), Some(true));
    }
}
