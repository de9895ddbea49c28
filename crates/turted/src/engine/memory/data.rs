//! What a server has: the log, the reign, and small values, with the commands that change them. Each is done in one step.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use turted_core::cursor::Cursor;

use super::super::{Append, Appended, Change, Changed, Reign, State};

/// Everything that a server has.
#[derive(Clone, Debug, Default)]
pub(super) struct Data {
    pub(super) entries: VecDeque<(Cursor, Bytes)>,
    /// The highest position that was given; `None` without a log.
    pub(super) last: Option<Cursor>,
    pub(super) reign: Option<Reign>,
    /// Entries that were ever appended to this log.
    appended: usize,
    values: Rc<BTreeMap<String, Kept>>,
}

/// A value.
#[derive(Clone, Debug)]
struct Kept {
    owner: u64,
    value: Bytes,
    /// The first entry of the push whose key it is.
    first: Option<Cursor>,
    until: Instant,
}

/// How far a server was at a moment.
#[derive(Clone, Debug)]
pub(super) struct Past {
    last: Option<Cursor>,
    reign: Option<Reign>,
    appended: usize,
    values: Rc<BTreeMap<String, Kept>>,
}

/// [`Append`] on its way.
#[derive(Clone, Debug)]
pub(super) struct Push {
    entries: Vec<Bytes>,
    key: Option<(String, Bytes, Duration)>,
    holds: Option<String>,
}

impl From<&Append<'_>> for Push {
    fn from(append: &Append<'_>) -> Self {
        let key = append.key.map(|(name, kept, age)| (name.to_owned(), Bytes::copy_from_slice(kept), age));
        Self { entries: append.entries.to_vec(), key, holds: append.holds.map(str::to_owned) }
    }
}

/// [`Change`] on its way.
#[derive(Clone, Debug)]
pub(super) enum Command {
    Put(String, Bytes, Duration),
    Take(String, Duration),
    Get(String),
    Delete(String),
    Renew(String, Duration),
    Tell(Option<u16>, Bytes),
}

impl From<&Change<'_>> for Command {
    fn from(change: &Change<'_>) -> Self {
        match *change {
            // Whoever owns a name may write it.
            Change::Put { name, value, age } | Change::Hold { name, value, age } => {
                Self::Put(name.to_owned(), Bytes::copy_from_slice(value), age)
            }
            Change::Take { name, age } => Self::Take(name.to_owned(), age),
            Change::Get { name } => Self::Get(name.to_owned()),
            Change::Delete { name } => Self::Delete(name.to_owned()),
            Change::Renew { name, age } => Self::Renew(name.to_owned(), age),
            Change::Tell { to, message } => Self::Tell(to, Bytes::copy_from_slice(message)),
        }
    }
}

impl Data {
    /// How it is now.
    pub(super) fn past(&self) -> Past {
        let Self { last, reign, appended, values, .. } = self;
        Past { last: *last, reign: reign.clone(), appended: *appended, values: Rc::clone(values) }
    }

    /// Goes back to how it was. Entries that were trimmed meanwhile stay away.
    pub(super) fn go_back(&mut self, past: &Past) {
        let lost = self.appended.saturating_sub(past.appended);
        self.entries.truncate(self.entries.len().saturating_sub(lost));
        (self.last, self.reign, self.appended) = (past.last, past.reign.clone(), past.appended);
        self.values = Rc::clone(&past.values);
    }

    /// There is no log any more.
    pub(super) fn forget_log(&mut self) {
        self.entries.clear();
        (self.last, self.appended) = (None, 0);
    }

    /// Appends a push of a process under an epoch.
    pub(super) fn append(
        &mut self,
        epoch: u64,
        push: Push,
        (process, stores_first): (u64, bool),
    ) -> Appended {
        let now = Instant::now();
        if let Some(name) = &push.holds
            && self.value(name, now).is_none_or(|kept| kept.owner != process)
        {
            return Appended::NotHeld;
        }
        if let Some((name, ..)) = &push.key
            && let Some(Kept { first: Some(first), value, .. }) = self.value(name, now)
        {
            return Appended::Known(*first, value.clone());
        }
        let supposed = Cursor { epoch, sequence: self.last.map_or(0, |last| last.sequence + 1) };
        if stores_first {
            self.store(push.key.clone(), supposed, now);
        }
        let Some(last) = self.last else { return Appended::Gone };
        if last.epoch > epoch {
            return Appended::Stale;
        }
        let mut next = Cursor { epoch, sequence: if last.epoch == epoch { last.sequence + 1 } else { 0 } };
        let first = next;
        for entry in push.entries {
            self.add(next, entry);
            next.sequence += 1;
        }
        self.store(push.key, first, now);
        Appended::At(first)
    }

    fn store(&mut self, key: Option<(String, Bytes, Duration)>, first: Cursor, now: Instant) {
        if let Some((name, value, age)) = key {
            self.put(name, Kept { owner: 0, value, first: Some(first), until: now + age });
        }
    }

    fn add(&mut self, at: Cursor, entry: Bytes) {
        self.entries.push_back((at, entry));
        (self.last, self.appended) = (Some(at), self.appended + 1);
    }

    /// Begins an epoch, if reign and log are as they were seen.
    pub(super) fn begin(&mut self, seen: &State, begun: Reign, entry: Bytes) -> bool {
        let first = Cursor { epoch: begun.epoch, sequence: begun.first };
        if (&self.reign, self.last) != (&seen.reign, seen.last)
            || self.last.is_some_and(|last| !is_behind(first, last))
        {
            return false;
        }
        self.add(first, entry);
        self.reign = Some(begun);
        true
    }

    /// Gives up the entries before a position.
    pub(super) fn trim(&mut self, first: Cursor) {
        while self.entries.front().is_some_and(|(at, _)| is_behind(first, *at)) {
            self.entries.pop_front();
        }
    }

    pub(super) fn entry(&self, at: Cursor) -> Option<Bytes> {
        let place = self.entries.partition_point(|(other, _)| is_behind(at, *other));
        self.entries.get(place).filter(|(other, _)| *other == at).map(|(_, entry)| entry.clone())
    }

    /// The next entries behind a position.
    pub(super) fn behind(&self, after: Option<Cursor>, count: usize) -> Vec<(Cursor, Option<Bytes>)> {
        let is_read = |at: Cursor| after.is_some_and(|after| !is_behind(at, after));
        let place = self.entries.partition_point(|(at, _)| is_read(*at));
        self.entries.range(place..).take(count).map(|(at, entry)| (*at, Some(entry.clone()))).collect()
    }

    /// Makes a change of a process. Messages are told elsewhere.
    pub(super) fn change(&mut self, process: u64, command: Command) -> Changed {
        let now = Instant::now();
        let (Command::Put(name, ..)
        | Command::Take(name, _)
        | Command::Get(name)
        | Command::Delete(name)
        | Command::Renew(name, _)) = &command
        else {
            return Changed::Done;
        };
        let kept = self.value(name, now).cloned();
        let owned = kept.as_ref().filter(|kept| kept.owner != process);
        let is_written = matches!(command, Command::Put(..) | Command::Delete(_) | Command::Renew(..));
        if let Some(kept) = owned.filter(|_| is_written) {
            return Changed::Owned(kept.owner, kept.value.clone());
        }
        match (command, kept) {
            (Command::Put(name, value, age), _) => {
                self.put(name, Kept { owner: process, value, first: None, until: now + age });
                Changed::Done
            }
            (_, None) => Changed::Missing,
            (Command::Take(name, age), Some(kept)) => {
                let taken = Kept { owner: process, until: now + age, ..kept.clone() };
                self.put(name, taken);
                Changed::Value(kept.owner, kept.value)
            }
            (Command::Renew(name, age), Some(kept)) => {
                self.put(name, Kept { until: now + age, ..kept });
                Changed::Done
            }
            (Command::Delete(name), Some(_)) => {
                Rc::make_mut(&mut self.values).remove(&name);
                Changed::Done
            }
            (Command::Get(_) | Command::Tell(..), Some(kept)) => Changed::Value(kept.owner, kept.value),
        }
    }

    fn value(&self, name: &str, now: Instant) -> Option<&Kept> {
        self.values.get(name).filter(|kept| kept.until > now)
    }

    fn put(&mut self, name: String, kept: Kept) {
        Rc::make_mut(&mut self.values).insert(name, kept);
    }
}

/// Whether a position comes behind another one.
fn is_behind(at: Cursor, other: Cursor) -> bool {
    (at.epoch, at.sequence) > (other.epoch, other.sequence)
}
