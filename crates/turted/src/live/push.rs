//! Pushes whose connections are being counted: a push is told when each worker has resolved it.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::value::RawValue;
use turted_core::cursor::Cursor;
use turted_core::dispatch::{Dispatch, Targets};
use turted_core::limits::{WATCHED_PAYLOAD_BYTES_MAX, WATCHER_BYTES_MAX, WATCHER_RECORDS_MAX};
use turted_core::name::Name;

use super::filter::Filter;
use super::record::{Kind, NAMES_MAX, Payload, Record, ShownTargets};

/// About what a push takes in memory beside its names and its payload.
const PUSH_BYTES: usize = 512;

/// Where a push comes from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) source: Box<str>,
    pub(crate) address: Option<IpAddr>,
    /// The name of the key whose password it has.
    pub(crate) key: Option<Box<str>>,
}

/// A push that is told when it is counted.
#[derive(Debug)]
pub(super) struct Counted {
    at: SystemTime,
    cursor: Cursor,
    origin: Arc<Origin>,
    event: Name,
    /// The first of each.
    users: Vec<Name>,
    channels: Vec<Name>,
    broadcast: bool,
    /// How many targets are not among the first.
    more: usize,
    bytes: usize,
    payload: Option<Payload>,
    /// The watchers whose filters it passes.
    watchers: Vec<u64>,
    /// The watchers whose filters it passes if it reaches their user.
    asking: Vec<u64>,
    reached: usize,
    workers_left: usize,
}

impl Counted {
    /// `None` if none of these watchers wants it, whomever it reaches.
    pub(super) fn new<'a>(
        cursor: Cursor,
        dispatch: &Dispatch,
        origin: &Arc<Origin>,
        filters: impl Iterator<Item = (u64, &'a Filter)>,
    ) -> Option<Self> {
        let Targets { users, channels, broadcast } = &dispatch.targets;
        let mut record = Record::new(Kind::Push);
        record.event = Some(&dispatch.event);
        record.address = origin.address;
        record.channels = channels;
        let (mut watchers, mut asking, mut shows_payload) = (Vec::new(), Vec::new(), false);
        for (number, filter) in filters.filter(|(_, filter)| filter.passes_but_user(&record)) {
            shows_payload |= filter.shows_payload();
            // A push that names the user is told even if it reaches none of his connections.
            match filter.user().is_none_or(|user| users.contains(user)) {
                true => watchers.push(number),
                false => asking.push(number),
            }
        }
        if watchers.is_empty() && asking.is_empty() {
            return None;
        }
        let first = |names: &[Name]| names.iter().take(NAMES_MAX).cloned().collect::<Vec<_>>();
        let payload: &RawValue = &dispatch.payload;
        Some(Self {
            at: SystemTime::now(),
            cursor,
            origin: Arc::clone(origin),
            event: dispatch.event.clone(),
            users: first(users),
            channels: first(channels),
            broadcast: *broadcast,
            more: users.len().saturating_sub(NAMES_MAX) + channels.len().saturating_sub(NAMES_MAX),
            bytes: payload.get().len(),
            payload: shows_payload.then(|| Payload::of(payload)),
            watchers,
            asking,
            reached: 0,
            workers_left: 0,
        })
    }

    /// Whether the watcher with this number wants it.
    pub(super) fn is_for(&self, watcher: u64) -> bool {
        self.watchers.contains(&watcher)
    }

    /// It as a record.
    pub(super) fn record(&self, reached: Option<usize>) -> Record<'_> {
        let targets = ShownTargets {
            users: &self.users,
            channels: &self.channels,
            broadcast: self.broadcast,
            more: self.more,
        };
        Record {
            at: self.at,
            source: Some(&self.origin.source),
            address: self.origin.address,
            key: self.origin.key.as_deref(),
            event: Some(&self.event),
            targets: Some(targets),
            bytes: Some(self.bytes),
            position: Some(self.cursor),
            reached,
            payload: self.payload.as_ref(),
            ..Record::new(Kind::Push)
        }
    }

    /// About what it takes in memory. Names are shared with the log, but the log may give them up before.
    fn size(&self) -> usize {
        let names = self.users.iter().chain(&self.channels).map(Name::bytes).sum::<usize>();
        PUSH_BYTES + names + self.bytes.min(WATCHED_PAYLOAD_BYTES_MAX)
    }
}

/// Pushes in the order of the log.
#[derive(Debug, Default)]
pub(super) struct Pushes {
    counted: VecDeque<Counted>,
    bytes: usize,
}

impl Pushes {
    /// Counts the connections of a push, on so many workers. Returns the oldest ones if too many are counted at once: they
    /// are told without their count.
    pub(super) fn begin(&mut self, push: Counted, workers: usize) -> Vec<Counted> {
        self.bytes += push.size();
        self.counted.push_back(Counted { workers_left: workers, ..push });
        let mut over = Vec::new();
        while self.counted.len() > WATCHER_RECORDS_MAX || self.bytes > WATCHER_BYTES_MAX {
            over.extend(self.take(0));
        }
        over
    }

    /// A worker has resolved the push with this number. Returns it with its count if it was the last worker.
    pub(super) fn resolved<'a>(
        &mut self,
        sequence: u64,
        reached: usize,
        filters: impl Iterator<Item = (u64, &'a Filter)>,
        has_reached: impl Fn(&Name) -> bool,
    ) -> Option<(Counted, usize)> {
        let at = self.counted.binary_search_by_key(&sequence, |push| push.cursor.sequence).ok()?;
        let push = &mut self.counted[at];
        push.reached += reached;
        push.workers_left = push.workers_left.saturating_sub(1);
        if reached > 0 && !push.asking.is_empty() {
            for (number, filter) in filters {
                if push.asking.contains(&number) && filter.user().is_some_and(&has_reached) {
                    push.asking.retain(|own| *own != number);
                    push.watchers.push(number);
                }
            }
        }
        if push.workers_left > 0 {
            return None;
        }
        let push = self.take(at)?;
        let reached = push.reached;
        Some((push, reached))
    }

    fn take(&mut self, at: usize) -> Option<Counted> {
        let push = self.counted.remove(at)?;
        self.bytes -= push.size();
        Some(push)
    }
}
