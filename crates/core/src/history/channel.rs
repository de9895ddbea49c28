//! The history of one channel.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Instant;

use super::Depth;
use crate::kept::PORTION;
use crate::name::Name;

/// What an event takes beside itself: its place in a queue that has grown to twice its size.
const PLACE_BYTES: usize = 2 * size_of::<Kept<[usize; 2]>>();

/// An event that is kept.
#[derive(Clone, Copy, Debug)]
pub struct Kept<T> {
    /// Its number. Those of a channel come in their order.
    pub number: u64,
    /// When it was accepted.
    pub at: Instant,
    /// Its bytes, all of which count in each of its channels.
    pub bytes: usize,
    /// The event.
    pub event: T,
}

impl<T> Kept<T> {
    fn size(&self) -> usize {
        self.bytes + PLACE_BYTES
    }
}

/// Which events are asked for: the last ones of those with numbers above `after`, up to and including `up_to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The number before the first one.
    pub after: u64,
    /// The number of the last one.
    pub up_to: u64,
    /// At most so many.
    pub most: usize,
}

/// What is not kept any more of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    /// The number of the last event that is gone, whatever the reason.
    pub number: u64,
    /// When the last event was accepted that gave way to others although its channel had room for it, or was deleted.
    pub pushed_out: Option<Instant>,
}

impl Edge {
    /// The later of two.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        Self { number: self.number.max(other.number), pushed_out: self.pushed_out.max(other.pushed_out) }
    }
}

/// Why an event goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Going {
    /// Its channel keeps no more, or not for so long.
    ByRule,
    /// All channels together have too much.
    PushedOut,
}

#[derive(Debug)]
pub(super) struct Channel<T> {
    pub(super) name: Name,
    pub(super) depth: Depth,
    entries: VecDeque<Kept<T>>,
    bytes: usize,
    pub(super) edge: Edge,
}

impl<T> Channel<T> {
    /// A channel of which everything up to an edge may be gone.
    pub(super) fn new(name: Name, depth: Depth, edge: Edge, own_bytes: usize) -> Self {
        Self { name, depth, entries: VecDeque::new(), bytes: own_bytes, edge }
    }

    /// Bytes of it and its events.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn add(&mut self, kept: Kept<T>) {
        self.bytes += kept.size();
        self.entries.push_back(kept);
    }

    /// Takes out what the rule of the channel does not keep: a portion at most.
    pub(super) fn forget_by_rule(&mut self, now: Instant) -> Vec<T> {
        let mut gone = Vec::new();
        while gone.len() < PORTION
            && (self.len() > self.depth.events
                || self.entries.front().is_some_and(|kept| self.is_old(kept, now)))
        {
            gone.extend(self.pop(Going::ByRule));
        }
        if self.entries.capacity() > 8 && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(2 * self.entries.len());
        }
        gone
    }

    /// Takes out the events with numbers within a range.
    pub(super) fn delete(&mut self, numbers: RangeInclusive<u64>) -> Vec<T> {
        let begin = self.entries.partition_point(|kept| kept.number < *numbers.start());
        let end = self.entries.partition_point(|kept| kept.number <= *numbers.end());
        let deleted: Vec<_> = self.entries.drain(begin..end.max(begin)).collect();
        for kept in &deleted {
            self.bytes -= kept.size();
            self.edge = self.edge.join(Edge { number: kept.number, pushed_out: Some(kept.at) });
        }
        deleted.into_iter().map(|kept| kept.event).collect()
    }

    /// Takes out the oldest event.
    pub(super) fn pop(&mut self, going: Going) -> Option<T> {
        let kept = self.entries.pop_front()?;
        self.bytes -= kept.size();
        let pushed_out = (going == Going::PushedOut).then_some(kept.at);
        self.edge = self.edge.join(Edge { number: kept.number, pushed_out });
        Some(kept.event)
    }

    /// All events, the oldest first.
    pub(super) fn kept(&self) -> impl Iterator<Item = &Kept<T>> {
        self.entries.iter()
    }

    /// The events that are asked for, the newest first.
    pub(super) fn newest(&self, range: Range, now: Instant) -> impl Iterator<Item = &Kept<T>> {
        let begin =
            self.first_young(now).max(self.entries.partition_point(|kept| kept.number <= range.after));
        let end = self.entries.partition_point(|kept| kept.number <= range.up_to);
        self.entries.range(begin.min(end)..end).rev().take(range.most)
    }

    /// What is gone, or too old to be told.
    pub(super) fn edge_at(&self, now: Instant) -> Edge {
        let old = self.first_young(now).checked_sub(1).map(|last| self.entries[last].number);
        Edge { number: self.edge.number.max(old.unwrap_or(0)), ..self.edge }
    }

    fn first_young(&self, now: Instant) -> usize {
        self.entries.partition_point(|kept| self.is_old(kept, now))
    }

    fn is_old(&self, kept: &Kept<T>, now: Instant) -> bool {
        now.saturating_duration_since(kept.at) > self.depth.age
    }
}
