//! How far a node has read, and what it knows from that.

use std::time::Duration;

use tokio::time::Instant;
use turted_core::cluster::node::Progress;
use turted_core::cluster::table::Table;
use turted_core::cursor::Cursor;

use super::settings::HEARTBEAT;

/// For so long after a heartbeat of its own a node takes the silence of others for theirs. It may be its own: the next
/// heartbeat is due before.
pub(super) const ATTENTION: Duration = Duration::from_secs(HEARTBEAT.as_secs() + 2);

/// How far this node has read, and what it knows from that.
#[derive(Debug)]
pub(super) struct View {
    /// The position behind which it reads on.
    pub(super) after: Option<Cursor>,
    /// The last entry that counts, and its tag.
    pub(super) last_read: Option<(Cursor, u64)>,
    /// The highest position that one of its own entries was given.
    pub(super) acknowledged: Option<Cursor>,
    /// The epoch that reigned when the engine was asked last.
    pub(super) reign: u64,
    /// The epoch that it reads.
    pub(super) epoch: u64,
    pub(super) table: Table,
    /// The last epoch of which it was told that something before it is lost.
    pub(super) lost: Option<u64>,
    /// When the last entry was written that it has read, or was acknowledged, in the epoch that it reads.
    pub(super) written: Duration,
    /// What that was when the epoch began, if that entry is not in the log any more.
    pub(super) beyond: Option<Duration>,
    /// Another epoch has to begin, which tells a loss: of what was written up to then.
    pub(super) must_begin: Option<Duration>,
    /// Until when the entries were written that it has read of a log that has ended, while it reads the one that goes on.
    pub(super) branch: Option<Duration>,
    /// When it has read a heartbeat of its own.
    pub(super) heard_own: Instant,
    /// When it has read something that was written long ago, or part of it: its own heartbeats are behind that.
    pub(super) behind: Instant,
    /// The moment of the last heartbeat of its own that it has read; `None` before the first.
    pub(super) own: Option<Duration>,
    /// When it found for the last time that entries are gone which it has not read.
    pub(super) hole: Option<Instant>,
}

impl View {
    pub(super) fn new() -> Self {
        Self {
            after: None,
            last_read: None,
            acknowledged: None,
            reign: 0,
            epoch: 0,
            table: Table::default(),
            lost: None,
            written: Duration::ZERO,
            beyond: None,
            must_begin: None,
            branch: None,
            heard_own: Instant::now(),
            behind: Instant::now(),
            own: None,
            hole: None,
        }
    }

    /// The highest position that this node knows of.
    pub(super) fn highest(&self) -> Option<Cursor> {
        // What others have written there counts: nothing below it is read.
        [self.after, self.acknowledged].into_iter().flatten().max_by_key(|cursor| position(*cursor))
    }

    /// How far this node has come.
    pub(super) fn progress(&self) -> Progress {
        Progress { read: self.last_read.map(|(cursor, _)| cursor), acknowledged: self.acknowledged }
    }

    /// Another epoch has to begin, which tells that something is lost of what was written up to then.
    pub(super) fn wants_epoch(&mut self, written: Duration) {
        self.must_begin = self.must_begin.max(Some(written));
    }

    /// A loss was told at this time, of everything that was written before.
    pub(super) fn told_until(&mut self, time: Duration) {
        self.must_begin = self.must_begin.filter(|written| *written > time);
        self.branch = self.branch.filter(|written| *written > time);
    }

    /// Whether everything up to a position was read.
    pub(super) fn has_read(&self, at: Cursor) -> bool {
        self.after.is_some_and(|after| position(after) >= position(at))
    }

    /// A heartbeat of this node is read, which was written at this moment. If none was for a while, it is not the others that
    /// were silent.
    pub(super) fn hear_own(&mut self, moment: Duration) {
        self.heard_own = Instant::now();
        let before = self.own.replace(moment).map(|own| own + ATTENTION);
        if let Some(since) = before.filter(|since| *since < moment) {
            self.table.excuse(since, moment);
        }
    }

    /// One of its own entries stands there, now by the engine's clock.
    pub(super) fn acknowledge(&mut self, at: Cursor, now: Duration) {
        if at.epoch == self.epoch {
            self.written = now;
        }
        if self.acknowledged.is_none_or(|known| position(known) < position(at)) {
            self.acknowledged = Some(at);
        }
    }
}

/// The order of positions in the log.
pub(super) fn position(cursor: Cursor) -> (u64, u64) {
    (cursor.epoch, cursor.sequence)
}
