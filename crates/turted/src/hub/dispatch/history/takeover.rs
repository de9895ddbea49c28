//! What nodes of a cluster hand each other of the history of channels: one that starts has only what the log has.
//!
//! A page is read under the dispatcher's lock, and its dispatches are written behind it. The node that asks replaces its own
//! history when it has all pages: up to where the other one had read the log, it has what that one had; behind that, its own.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use turted_core::cluster::history::{
    HistoryAsk, HistoryPage, HistoryPlace, PageChannel, PageEdge, PageEvent,
};
use turted_core::cursor::Cursor;
use turted_core::dispatch::Dispatch;
use turted_core::epochs::WrittenEpoch;
use turted_core::history::{self, Edge};
use turted_core::limits::HISTORY_EVENTS_IN_ALL_MAX;
use turted_core::name::Name;

use super::{History, Told, kept, told_of};
use crate::hub::dispatch::log::{Accepted, Log};

/// Events and channels of a page, some 50 ns each under the lock.
const PAGE_ENTRIES: usize = 1_024;
/// Bytes of the events of a page: with its numbers and names it is a message between nodes.
const PAGE_BYTES: usize = 768 * 1024;
/// Deletions that are remembered while a node takes history over. With more it takes nothing over.
const DELETIONS_MAX: usize = 10_000;

/// What is remembered while a node waits for the history of another one.
#[derive(Debug)]
pub(super) struct Filling {
    /// What was deleted meanwhile: the other node may not have read of it yet.
    deletions: Vec<(Name, RangeInclusive<u64>)>,
    /// The number of the first entry of the log that was read.
    from: u64,
}

/// A page as it was read under the lock.
pub(crate) struct HeldPage {
    read: u64,
    is_filling: bool,
    rules: u32,
    began: Instant,
    edge: Edge,
    events: BTreeMap<u64, Arc<Accepted>>,
    channels: Vec<(Name, Edge, Vec<u64>)>,
    next: Option<HistoryPlace>,
}

impl HeldPage {
    /// The page as it is sent.
    pub(crate) fn written(self, epochs: Vec<WrittenEpoch>) -> HistoryPage {
        let now = Instant::now();
        let age = |at: Instant| now.saturating_duration_since(at);
        let edge = |Edge { number, pushed_out }: Edge| PageEdge { number, pushed_out: pushed_out.map(age) };
        let event = |accepted: &Arc<Accepted>| PageEvent {
            cursor: accepted.cursor,
            age: accepted.age(),
            dispatch: accepted.dispatch.clone(),
        };
        let channel = |(name, own, numbers): (Name, Edge, _)| PageChannel { name, edge: edge(own), numbers };
        HistoryPage {
            read: self.read,
            is_filling: self.is_filling,
            rules: self.rules,
            began: age(self.began),
            edge: edge(self.edge),
            epochs,
            events: self.events.values().map(event).collect(),
            channels: self.channels.into_iter().map(channel).collect(),
            next: self.next,
        }
    }
}

/// The pages of another node, until there are all of them.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The number up to which it had read the log at the first page.
    read: u64,
    rules: u32,
    began: Instant,
    edge: Edge,
    pub(crate) epochs: Vec<WrittenEpoch>,
    events: HashMap<u64, (Cursor, Dispatch, Instant)>,
    channels: HashMap<Name, (Edge, Vec<u64>)>,
    bytes: usize,
    numbers: usize,
}

impl Fetched {
    /// The first page.
    pub(crate) fn new(page: HistoryPage) -> Self {
        let now = Instant::now();
        let mut fetched = Self {
            read: page.read,
            rules: page.rules,
            began: before(now, page.began),
            edge: edge_of(page.edge, now),
            epochs: page.epochs.clone(),
            events: HashMap::new(),
            channels: HashMap::new(),
            bytes: 0,
            numbers: 0,
        };
        fetched.add(page);
        fetched
    }

    /// The next page.
    pub(crate) fn add(&mut self, page: HistoryPage) {
        let now = Instant::now();
        self.edge = self.edge.join(edge_of(page.edge, now));
        for PageEvent { cursor, age, dispatch } in page.events {
            self.bytes += dispatch.payload.get().len();
            self.events.insert(cursor.sequence, (cursor, dispatch, before(now, age)));
        }
        for PageChannel { name, edge, numbers } in page.channels {
            self.numbers += numbers.len() + 1;
            let (own, known) = self.channels.entry(name).or_insert((edge_of(edge, now), Vec::new()));
            *own = own.join(edge_of(edge, now));
            known.extend(numbers);
        }
    }

    /// Whether it is more than a node has that keeps to these bytes.
    pub(crate) fn is_too_much(&self, bytes: usize) -> bool {
        self.bytes > bytes || self.numbers > 2 * HISTORY_EVENTS_IN_ALL_MAX
    }
}

fn edge_of(PageEdge { number, pushed_out }: PageEdge, now: Instant) -> Edge {
    Edge { number, pushed_out: pushed_out.map(|age| before(now, age)) }
}

fn before(now: Instant, age: Duration) -> Instant {
    now.checked_sub(age).unwrap_or(now)
}

impl History {
    /// From now on it waits for what another node has.
    pub(in crate::hub::dispatch) fn begin_filling(&mut self) {
        self.filling = Some(Filling { deletions: Vec::new(), from: u64::MAX });
    }

    /// The log of the cluster begins behind this number.
    pub(in crate::hub::dispatch) fn begins_behind(&mut self, number: u64) {
        self.store.set_edge(self.store.edge().join(Edge { number, pushed_out: None }));
        if let Some(filling) = &mut self.filling {
            filling.from = number + 1;
        }
    }

    /// From this number on it has what the log had; `None` if it waits for no other node.
    pub(in crate::hub::dispatch) fn fills_before(&self) -> Option<u64> {
        self.filling.as_ref().map(|filling| filling.from)
    }

    /// It has all that it will get of other nodes.
    pub(in crate::hub::dispatch) fn end_filling(&mut self) {
        self.filling = None;
    }

    /// What is deleted is not taken over.
    pub(super) fn note_deletion(&mut self, channel: &Name, numbers: RangeInclusive<u64>, last: u64) {
        let Some(filling) = &mut self.filling else { return };
        filling.deletions.push((channel.clone(), *numbers.start()..=last.min(*numbers.end())));
        if filling.deletions.len() > DELETIONS_MAX {
            self.filling = None;
        }
    }

    /// A page for another node.
    pub(in crate::hub::dispatch) fn page(&self, ask: HistoryAsk, log: &Log) -> HeldPage {
        let mut page = HeldPage {
            read: log.last(),
            is_filling: self.filling.is_some(),
            rules: self.store.rules_checksum(),
            began: self.store.began(),
            edge: self.store.edge(),
            events: BTreeMap::new(),
            channels: Vec::new(),
            next: None,
        };
        let (mut bytes, mut entries) = (0, 0);
        for (place, name, edge, events) in self.store.each_from(ask.from.channel) {
            let mut numbers = Vec::new();
            let after = if place == ask.from.channel { ask.from.after } else { 0 };
            for own in events.filter(|own| own.number > after) {
                let size = if own.number < ask.has_from { own.bytes } else { 0 };
                // What no message has room for is named alone.
                let size = if size > PAGE_BYTES { 0 } else { size };
                if entries >= PAGE_ENTRIES || bytes + size > PAGE_BYTES {
                    let after = numbers.last().copied().unwrap_or(after);
                    page.next = Some(HistoryPlace { channel: place, after });
                    break;
                }
                if size > 0 && page.events.insert(own.number, Arc::clone(&own.event.0)).is_none() {
                    bytes += size;
                }
                entries += 1;
                numbers.push(own.number);
            }
            entries += 1;
            page.channels.push((name.clone(), edge, numbers));
            if page.next.is_some() {
                break;
            }
        }
        page
    }

    /// Goes on with what another node has, up to where both have read the log. Returns whether it did: not if it waits for
    /// nothing any more, or if that one had not read as far as the log goes back.
    pub(in crate::hub::dispatch) fn fill(&mut self, fetched: Fetched, log: &Log, now: Instant) -> bool {
        let Some(Filling { deletions, .. }) =
            self.filling.take_if(|filling| fetched.read.saturating_add(1) >= filling.from)
        else {
            return false;
        };
        let is_all = fetched.rules == self.store.rules_checksum();
        let (read, edge) =
            (fetched.read.min(log.last()), if is_all { fetched.edge } else { self.store.edge() });
        let emptied = self.store.emptied(fetched.began.min(self.store.began()), edge);
        let own = std::mem::replace(&mut self.store, emptied);
        let restored = self.restore_fetched(fetched, (&own, log, read), now);
        for (channel, edge, events) in own.each() {
            let is_known_better = is_all || restored.contains(channel);
            for event in events.filter(|event| event.number > read || !is_known_better) {
                let (accepted, place) = &event.event;
                self.store.add(channel, now, || kept(accepted, *place), |(gone, _)| log.let_go(&gone));
            }
            if edge.pushed_out.is_some() && edge.number > read {
                self.store.join_edge(channel, edge);
            }
        }
        for (channel, numbers) in deletions {
            self.store.delete(&channel, numbers, |(gone, _)| log.let_go(&gone));
        }
        own.each().flat_map(|(_, _, events)| events).for_each(|event| log.let_go(&event.event.0));
        true
    }

    /// Keeps what another node has. Returns of which channels.
    fn restore_fetched(
        &mut self,
        fetched: Fetched,
        (own, log, read): (&history::History<Told>, &Log, u64),
        now: Instant,
    ) -> HashSet<Name> {
        let of_own = own.each().flat_map(|(_, _, events)| events);
        let mut dispatches: HashMap<_, _> =
            of_own.map(|event| (event.number, Arc::clone(&event.event.0))).collect();
        for (number, (cursor, dispatch, at)) in fetched.events {
            dispatches.entry(number).or_insert_with(|| Arc::new(Accepted::new(cursor, dispatch, at)));
        }
        let mut names = HashSet::new();
        for (name, (edge, numbers)) in fetched.channels {
            let (mut missing, mut told) = (None, Vec::new());
            for number in numbers.into_iter().filter(|number| *number <= read) {
                match dispatches.get(&number).and_then(|accepted| told_of(accepted, &name)) {
                    Some(found) => told.push(found),
                    None => missing = Some(number),
                }
            }
            let events = told.iter().map(|(accepted, place)| kept(accepted, *place));
            self.store.restore((&name, edge), now, events, |(gone, _)| log.let_go(&gone));
            // It is too large to be sent, and counts as one that gave way.
            if let Some(number) = missing {
                self.store.join_edge(&name, Edge { number, pushed_out: Some(now) });
            }
            names.insert(name);
        }
        names
    }
}

#[cfg(test)]
mod tests;
