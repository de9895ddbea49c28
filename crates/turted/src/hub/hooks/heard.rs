//! What stands behind the lock of a hook: who is online, the records that wait, and how far all who are online were told.
//!
//! All are told in portions, beside the queue: half of each batch is for them, so they are told however much happens.
//! What is told is true when it is taken out, and a change that still waits then comes behind it: the last record of each
//! user says what it is. If a change is lost meanwhile, a gap is told when all were told, and all are told anew.
//!
//! After the start nobody is told as one of all before the grace is over: who was online comes back meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use turted_core::close::Close;
use turted_core::cluster::table::PROCESSES_MAX;
use turted_core::connection_id::ConnectionId;
use turted_core::membership::Memberships;
use turted_core::name::Name;
use turted_core::session_key::SessionKey;

use super::queue::RecordQueue;
use super::record::{Record, Waiting};
use super::table::{Arrival, Place, Table, Tell};
use crate::config::ClientRecord;

/// Records of one batch: enough that a request costs little beside them, few enough for one transaction of a backend.
pub(crate) const RECORDS_OF_BATCH: usize = 100;
/// Steps of the telling of all under one hold of the lock, some 100 us. Not each step makes a record that the hook asks for.
const STEPS_MAX: usize = 1_000;
/// Other nodes that wait to be told as gone: as many as a cluster remembers.
const GONE_MAX: usize = PROCESSES_MAX;
/// Connections that are given up under one hold of the lock, some 100 us.
const EXPIRED_MAX: usize = 256;

/// What one hook has heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    asked: Vec<ClientRecord>,
    table: Table,
    queue: RecordQueue,
    /// Whether the start was told.
    has_begun: bool,
    /// Whether all who are online are to be told, which has not begun.
    is_due: bool,
    /// Until when those have to come back who were online before the start. Nobody is told before, as one of all.
    held_until: Option<Instant>,
    /// How far all who are online were told; `None` when all of them were.
    telling: Option<Place>,
    end: End,
    /// Other nodes that are gone, and were not told yet. They stand beside the queue: no gap makes up for them.
    gone: VecDeque<Arc<str>>,
    /// Records that were dropped in all.
    pub(super) dropped: u64,
}

/// Whether the end is to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    /// Behind all that waits.
    Due,
    Told,
}

impl Heard {
    pub(super) fn new(asked: &[ClientRecord]) -> Self {
        Self { asked: asked.to_vec(), ..Self::default() }
    }

    pub(super) fn admitted(&mut self, arrival: Arrival<'_>) {
        self.change(|table, tell| table.admit(arrival, tell));
    }

    pub(super) fn became(&mut self, id: ConnectionId, memberships: &Memberships, reason: &'static str) {
        self.change(|table, tell| table.replace(id, memberships, reason, tell));
    }

    pub(super) fn joined(&mut self, id: ConnectionId, channel: &Name) {
        self.change(|table, tell| table.join(id, channel, tell));
    }

    pub(super) fn left(&mut self, id: ConnectionId, channel: &Name) {
        self.change(|table, tell| table.leave(id, channel, tell));
    }

    pub(super) fn closed(&mut self, id: ConnectionId, lost: (Option<SessionKey>, Instant), close: Close) {
        self.change(|table, tell| table.close(id, lost, close, tell));
    }

    pub(super) fn dispatched(&mut self, written: &Arc<str>) {
        self.dropped += self.queue.put(Waiting::new(Record::Dispatch(Arc::clone(written))));
    }

    /// Tells all who are online after this moment only.
    pub(super) fn hold(&mut self, until: Instant) {
        self.held_until = Some(until);
    }

    /// Another node is gone without a word.
    pub(super) fn node_gone(&mut self, node: &str) {
        if self.gone.len() == GONE_MAX {
            self.gone.pop_front();
            self.dropped += 1;
        }
        self.gone.push_back(node.into());
    }

    /// All who are online are told anew, as behind a start.
    pub(super) fn tell_anew(&mut self) {
        (self.has_begun, self.telling) = (false, None);
    }

    /// Nothing happens any more: behind what waits comes the end. Who is online needs no telling then.
    pub(super) fn stop(&mut self) {
        if self.end == End::Open {
            (self.end, self.telling) = (End::Due, None);
        }
    }

    /// Gives up a portion of the connections whose grace is over. Returns when the next one is.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Instant> {
        self.held_until = self.held_until.filter(|until| *until > now);
        self.change(|table, tell| table.expire(now, EXPIRED_MAX, tell));
        self.next_expiry()
    }

    /// When something is over: the grace of the first connection that has ended, or that of the start.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.table.next_expiry().into_iter().chain(self.held_until).min()
    }

    /// Takes out as many records as one batch still has room for: half of them tell who is online, as long as there are some
    /// to be told.
    pub(super) fn take(&mut self, room: usize, bytes_max: usize) -> Vec<Waiting> {
        let mut portion = Portion { taken: Vec::new(), bytes: 0, bytes_max };
        if self.telling.is_none() {
            self.begin_telling(&mut portion);
        }
        portion.fill(room, || self.gone.pop_front().map(|node| Waiting::new(Record::NodeGone { node })));
        let mut steps = STEPS_MAX;
        portion.fill(room.div_ceil(2), || self.tell_next(&mut steps));
        portion.fill(room, || self.queue.take());
        portion.fill(room, || self.tell_next(&mut steps));
        portion.fill(room, || self.take_end());
        portion.taken
    }

    /// Notes that the backend refused records, and how many of them a gap has to tell.
    pub(super) fn refused(&mut self, records: u64, missed: u64) {
        self.dropped += records;
        self.queue.note_dropped(missed);
    }

    /// Gives up all of it, but what was counted: the backend wants to hear nothing any more.
    pub(super) fn clear(&mut self) {
        *self = Self { dropped: self.dropped, ..Self::default() };
    }

    /// Whether there is nothing to send.
    pub(super) fn is_idle(&self) -> bool {
        self.end == End::Told || self.end == End::Open && self.is_told()
    }

    /// Whether all who are online are being told, or may be.
    pub(super) fn is_telling(&self) -> bool {
        !self.has_begun || self.telling.is_some() || self.may_tell()
    }

    /// How many records wait, and their bytes.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.queue.len(), self.queue.bytes())
    }

    /// Begins to tell all who are online, if what was told before is not right any more.
    fn begin_telling(&mut self, portion: &mut Portion) {
        let start = (!self.has_begun).then_some(Record::Started);
        let dropped = self.queue.take_dropped();
        let gap = (dropped > 0).then_some(Record::Gap { dropped });
        self.has_begun = true;
        for record in start.into_iter().chain(gap) {
            portion.put(Waiting::new(record));
            // A hook that hears of no clients is not told who is online.
            self.is_due = !self.asked.is_empty();
        }
        if self.may_tell() {
            self.is_due = false;
            self.telling = Some(self.table.begin());
        }
    }

    /// Whether telling all who are online may begin.
    fn may_tell(&self) -> bool {
        self.is_due && self.held_until.is_none() && self.end == End::Open
    }

    /// Whether nothing waits but the end.
    fn is_told(&self) -> bool {
        let is_told = self.has_begun && self.telling.is_none() && !self.may_tell();
        is_told && self.queue.is_idle() && self.gone.is_empty()
    }

    fn take_end(&mut self) -> Option<Waiting> {
        if self.end != End::Due || !self.is_told() {
            return None;
        }
        self.end = End::Told;
        Some(Waiting::new(Record::Stopped))
    }

    fn tell_next(&mut self, steps: &mut usize) -> Option<Waiting> {
        let Self { telling, table, asked, .. } = self;
        while let Some(place) = telling {
            // Before the place moves on: what stands there is told with the next portion.
            *steps = steps.checked_sub(1)?;
            let Some(record) = table.next_of_all(place) else {
                *telling = None;
                return Some(Waiting::of_all(Record::Synced));
            };
            if is_asked(asked, &record) {
                return Some(Waiting::of_all(record));
            }
        }
        None
    }

    /// Changes the table, and puts the records of that which the hook asks for into the queue.
    fn change<T>(&mut self, change: impl FnOnce(&mut Table, Tell<'_>) -> T) -> T {
        let Self { table, queue, asked, dropped, .. } = self;
        change(table, &mut |record| {
            if is_asked(asked, &record) {
                *dropped += queue.put(Waiting::new(record));
            }
        })
    }
}

/// Records that are taken out at once.
struct Portion {
    taken: Vec<Waiting>,
    bytes: usize,
    bytes_max: usize,
}

impl Portion {
    fn put(&mut self, waiting: Waiting) {
        self.bytes += waiting.bytes;
        self.taken.push(waiting);
    }

    /// Puts in what comes `next`, up to `room` records in all.
    fn fill(&mut self, room: usize, mut next: impl FnMut() -> Option<Waiting>) {
        while self.taken.len() < room
            && self.bytes < self.bytes_max
            && let Some(waiting) = next()
        {
            self.put(waiting);
        }
    }
}

fn is_asked(asked: &[ClientRecord], record: &Record) -> bool {
    record.asked_by().is_none_or(|kind| asked.contains(&kind))
}

#[cfg(test)]
mod tests;
