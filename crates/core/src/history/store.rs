//! The history of all channels, within bounds.
//!
//! When all of them together have too much, the channel with most bytes gives way, so that a busy one does not push out
//! the last event of a quiet one.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::time::Instant;

use super::channel::{Channel, Edge, Going, Kept, Range};
use super::{Depth, HistoryRules};
use crate::kept::PORTION;
use crate::name::Name;
use crate::shrink::shrink_map;

/// How much is kept of all channels together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Events, each counted in each of its channels.
    pub events: usize,
    /// Bytes, the same.
    pub bytes: usize,
}

/// The last events of channels.
///
/// ```
/// use std::time::{Duration, Instant};
/// use turted_core::{channel::ChannelPattern, history::*, name::Name};
/// let (now, chat) = (Instant::now(), Name::new("chat").unwrap());
/// let depth = Depth { events: 2, age: Duration::from_secs(60) };
/// let rules = HistoryRules::new([(ChannelPattern::parse("*").unwrap(), depth)]);
/// let mut history = History::new(rules, HistoryLimits { events: 100, bytes: 10_000 }, (0, now));
/// for number in 1..=3 {
///     history.add(&chat, now, || Kept { number, at: now, bytes: 10, event: number }, |_| {});
/// }
/// let range = Range { after: 0, up_to: 3, most: 10 };
/// assert_eq!(history.newest(&chat, range, now).map(|kept| kept.event).collect::<Vec<_>>(), [3, 2]);
/// ```
#[derive(Debug)]
pub struct History<T> {
    rules: HistoryRules,
    limits: HistoryLimits,
    names: HashMap<Name, u32>,
    places: Vec<Option<Channel<T>>>,
    free: Vec<u32>,
    /// The places of channels, those with most bytes last.
    by_bytes: BTreeSet<(usize, u32)>,
    events: usize,
    bytes: usize,
    pushed_out: u64,
    /// What is gone of channels of which nothing is kept.
    edge: Edge,
    /// When the first event may have been accepted that is kept.
    began: Instant,
    /// Up to this number events may be lost.
    lost: u64,
    /// The place at which the next look for old events begins.
    tidied: usize,
}

impl<T> History<T> {
    /// An empty history. Nothing is known of events up to a number, nor of those before a moment.
    #[must_use]
    pub fn new(rules: HistoryRules, limits: HistoryLimits, (after, began): (u64, Instant)) -> Self {
        Self {
            rules,
            limits,
            names: HashMap::new(),
            places: Vec::new(),
            free: Vec::new(),
            by_bytes: BTreeSet::new(),
            events: 0,
            bytes: 0,
            pushed_out: 0,
            edge: Edge { number: after, pushed_out: None },
            began,
            lost: 0,
            tidied: 0,
        }
    }

    /// Takes this for what is not kept of channels of which nothing is.
    pub fn set_edge(&mut self, edge: Edge) {
        self.edge = edge;
    }

    /// Keeps what an earlier history kept of `channel`, the oldest first, if the channel has history still.
    pub fn restore(
        &mut self,
        (channel, edge): (&Name, Edge),
        now: Instant,
        kept: impl Iterator<Item = Kept<T>>,
        mut gone: impl FnMut(T),
    ) {
        let Some(depth) = self.rules.of(channel) else { return };
        let mut kept = kept.peekable();
        if kept.peek().is_some() {
            let place = self.find_or_add(channel, depth);
            if let Some(channel) = &mut self.places[place as usize] {
                channel.edge = edge;
            }
        }
        kept.for_each(|kept| self.add(channel, now, || kept, &mut gone));
    }

    /// The channels of which something is kept, each with what is not kept any more, and with its events, the oldest first.
    pub fn each(&self) -> impl Iterator<Item = (&Name, Edge, impl Iterator<Item = &Kept<T>>)> {
        let edge = |channel: &Channel<T>| Edge { number: channel.edge.number.max(self.lost), ..channel.edge };
        self.places.iter().flatten().map(move |channel| (&channel.name, edge(channel), channel.kept()))
    }

    /// The channels from a place on, each with its place, what is not kept any more, and its events, the oldest first.
    pub fn each_from(
        &self,
        place: u32,
    ) -> impl Iterator<Item = (u32, &Name, Edge, impl Iterator<Item = &Kept<T>>)> {
        let edge = |channel: &Channel<T>| Edge { number: channel.edge.number.max(self.lost), ..channel.edge };
        (place..).zip(self.places.iter().skip(place as usize)).filter_map(move |(place, channel)| {
            let channel = channel.as_ref()?;
            Some((place, &channel.name, edge(channel), channel.kept()))
        })
    }

    /// An empty history with the same rules and limits, which has all that its rules keep since then.
    #[must_use]
    pub fn emptied(&self, began: Instant, edge: Edge) -> Self {
        let mut emptied = Self::new(self.rules.clone(), self.limits, (0, began));
        (emptied.edge, emptied.pushed_out) = (edge, self.pushed_out);
        emptied
    }

    /// Notes what is gone of a channel besides.
    pub fn join_edge(&mut self, channel: &Name, edge: Edge) {
        let place = self.names.get(channel).map(|place| *place as usize);
        let own = place.and_then(|place| self.places[place].as_mut()).map(|channel| &mut channel.edge);
        let own = own.unwrap_or(&mut self.edge);
        *own = own.join(edge);
    }

    /// What is not kept of channels of which nothing is.
    #[must_use]
    pub fn edge(&self) -> Edge {
        self.edge
    }

    /// Since when it has all that its rules keep, but for what gave way.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.began
    }

    /// See [`HistoryRules::checksum`].
    #[must_use]
    pub fn rules_checksum(&self) -> u32 {
        self.rules.checksum()
    }

    /// Notes at the moment `now` that events up to a number may be lost. Those that are kept stay, but nobody is told that
    /// they are all.
    pub fn mark_lost(&mut self, number: u64, now: Instant) {
        (self.lost, self.began) = (self.lost.max(number), now);
        self.edge.number = self.edge.number.max(number);
    }

    /// Keeps an event of `channel`, if the channel has history. `gone` is told what is not kept any more for it.
    pub fn add(
        &mut self,
        channel: &Name,
        now: Instant,
        kept: impl FnOnce() -> Kept<T>,
        mut gone: impl FnMut(T),
    ) {
        let Some(depth) = self.rules.of(channel) else { return };
        let place = self.find_or_add(channel, depth);
        self.change(place, |channel| {
            channel.add(kept());
            channel.forget_by_rule(now).into_iter().for_each(&mut gone);
        });
        while (self.events > self.limits.events || self.bytes > self.limits.bytes)
            && let Some((_, largest)) = self.by_bytes.last().copied()
        {
            self.pushed_out += 1;
            self.change(largest, |channel| channel.pop(Going::PushedOut).into_iter().for_each(&mut gone));
        }
    }

    /// Deletes the events of `channel` with numbers within a range, and returns how many there were. `gone` is told each.
    /// A client that asks for them later is told that not all is there.
    pub fn delete(&mut self, channel: &Name, numbers: RangeInclusive<u64>, gone: impl FnMut(T)) -> usize {
        let Some(place) = self.names.get(channel).copied() else { return 0 };
        let mut deleted = Vec::new();
        self.change(place, |channel| deleted = channel.delete(numbers));
        let count = deleted.len();
        deleted.into_iter().for_each(gone);
        count
    }

    /// The events of `channel` that are asked for, the newest first.
    pub fn newest(&self, channel: &Name, range: Range, now: Instant) -> impl Iterator<Item = &Kept<T>> {
        self.get(channel).into_iter().flat_map(move |channel| channel.newest(range, now))
    }

    /// Whether the events of `channel` after this number are all kept.
    #[must_use]
    pub fn has_all_after(&self, channel: &Name, number: u64, now: Instant) -> bool {
        self.rules.of(channel).is_some() && self.edge_of(channel, now).number <= number
    }

    /// Whether `channel` has all events that its rule keeps: none was pushed out, and all of them are of a time of which
    /// this history knows.
    #[must_use]
    pub fn has_all_of_rule(&self, channel: &Name, now: Instant) -> bool {
        let Some(Depth { age, .. }) = self.rules.of(channel) else { return false };
        let is_past = |moment: Instant| now.saturating_duration_since(moment) > age;
        is_past(self.began) && self.edge_of(channel, now).pushed_out.is_none_or(is_past)
    }

    /// How many events `channel` keeps at most.
    #[must_use]
    pub fn depth(&self, channel: &Name) -> usize {
        self.rules.of(channel).map_or(0, |depth| depth.events)
    }

    /// Forgets a portion of the events that are too old. Returns whether there may be more.
    pub fn tidy(&mut self, now: Instant, mut gone: impl FnMut(T)) -> bool {
        for _ in 0..PORTION {
            let Ok(place) = u32::try_from(self.tidied) else { break };
            if self.tidied >= self.places.len() {
                break;
            }
            let mut forgotten = 0;
            self.change(place, |channel| {
                let old = channel.forget_by_rule(now);
                forgotten = old.len();
                old.into_iter().for_each(&mut gone);
            });
            if forgotten == PORTION {
                return true;
            }
            self.tidied += 1;
        }
        if self.tidied < self.places.len() {
            return true;
        }
        self.tidied = 0;
        shrink_map(&mut self.names);
        if self.names.is_empty() {
            (self.names, self.places, self.free) = (HashMap::new(), Vec::new(), Vec::new());
        }
        false
    }

    /// Events that are kept, each counted in each of its channels.
    #[must_use]
    pub fn events(&self) -> usize {
        self.events
    }

    /// Their bytes, with those of the channels.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Channels of which something is kept.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.names.len()
    }

    /// Events that gave way because all channels together had too much.
    #[must_use]
    pub fn pushed_out(&self) -> u64 {
        self.pushed_out
    }

    fn get(&self, channel: &Name) -> Option<&Channel<T>> {
        self.places[*self.names.get(channel)? as usize].as_ref()
    }

    fn edge_of(&self, channel: &Name, now: Instant) -> Edge {
        let edge = self.get(channel).map_or(self.edge, |channel| channel.edge_at(now));
        Edge { number: edge.number.max(self.lost), ..edge }
    }

    fn find_or_add(&mut self, name: &Name, depth: Depth) -> u32 {
        if let Some(place) = self.names.get(name) {
            return *place;
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            u32::try_from(self.places.len() - 1).expect("fewer channels than events")
        });
        // What it takes beside its events: its text, and places in four containers.
        let own_bytes = 2 * (size_of::<Option<Channel<T>>>() + size_of::<(Name, u32)>()) + name.bytes() + 64;
        self.bytes += own_bytes;
        self.by_bytes.insert((own_bytes, place));
        self.places[place as usize] = Some(Channel::new(name.clone(), depth, self.edge, own_bytes));
        self.names.insert(name.clone(), place);
        place
    }

    /// Changes a channel, if there is one at this place, and keeps the sums right. A channel without events is forgotten.
    fn change(&mut self, place: u32, change: impl FnOnce(&mut Channel<T>)) {
        let Some(slot) = self.places.get_mut(place as usize) else { return };
        let Some(channel) = slot else { return };
        let (bytes, events) = (channel.bytes(), channel.len());
        change(channel);
        self.events = self.events + channel.len() - events;
        self.bytes = self.bytes + channel.bytes() - bytes;
        if channel.bytes() == bytes && channel.len() > 0 {
            return;
        }
        self.by_bytes.remove(&(bytes, place));
        if channel.len() > 0 {
            self.by_bytes.insert((channel.bytes(), place));
            return;
        }
        self.bytes -= channel.bytes();
        self.edge = self.edge.join(channel.edge);
        self.names.remove(&channel.name);
        *slot = None;
        self.free.push(place);
    }
}

#[cfg(test)]
mod tests;
