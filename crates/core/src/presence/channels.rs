//! All channels in which somebody is, and those of them that are to be told.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Bound;

use super::channel::{Channel, Moment};
use crate::name::Name;

/// The channels, by their names.
#[derive(Debug, Default)]
pub(super) struct Channels {
    channels: BTreeMap<Name, Channel>,
    /// Channels of which something is to be told when the next period begins. One that has gone meanwhile may be among them.
    noted: Vec<Name>,
    /// Those that wait for their turn in this period.
    due: Vec<Name>,
    pub(super) moment: Moment,
    /// The channel behind which the number of silent nodes is not noted yet; the inner `None` is the beginning.
    spread: Option<Option<Name>>,
}

impl Channels {
    pub(super) fn all(&self) -> &BTreeMap<Name, Channel> {
        &self.channels
    }

    pub(super) fn get(&self, name: &Name) -> Option<&Channel> {
        self.channels.get(name)
    }

    /// The next number for a version or a lost connection.
    pub(super) fn next_number(&mut self) -> u64 {
        self.moment.last += 1;
        self.moment.last
    }

    /// Changes who is in a channel.
    pub(super) fn change(&mut self, name: &Name, change: impl FnOnce(&mut Channel)) {
        let Self { channels, moment, noted, .. } = self;
        let channel = channels.entry(name.clone()).or_insert_with(|| {
            moment.last += 1;
            Channel::new(moment)
        });
        change(channel);
        if channel.is_empty() {
            // Nobody is left who could be told.
            channels.remove(name);
        } else if channel.has_to_wait(moment.silent) {
            noted.push(name.clone());
        }
    }

    /// So many nodes are silent from now on. The channels are told by and by.
    pub(super) fn set_silent(&mut self, silent: usize) {
        if self.moment.silent != silent {
            self.moment.silent = silent;
            self.spread = Some(None);
        }
    }

    /// Begins the next period.
    pub(super) fn begin_period(&mut self) {
        self.moment.period += 1;
        if self.due.is_empty() {
            // Without a look at each of them.
            self.due = mem::take(&mut self.noted);
        } else {
            self.due.append(&mut self.noted);
        }
    }

    /// Tells of a portion of the channels that have changed; see [`Table::tell`](super::Table::tell).
    pub(super) fn tell(&mut self, portion: usize, told: &mut Vec<Name>) -> bool {
        if self.spread(portion) {
            return true;
        }
        for _ in 0..portion {
            let Some(name) = self.due.pop() else { break };
            let Some(channel) = self.channels.get_mut(&name) else { continue };
            let is_told = channel.take_turn(&mut self.moment);
            if channel.has_to_wait(self.moment.silent) {
                self.noted.push(name.clone());
            }
            if is_told {
                told.push(name);
            }
        }
        !self.due.is_empty()
    }

    /// Lets a portion of the channels be told how many nodes are silent. Returns whether it did.
    fn spread(&mut self, portion: usize) -> bool {
        let Some(after) = self.spread.take() else { return false };
        let behind = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let channels = self.channels.range_mut::<Name, _>((behind, Bound::Unbounded)).take(portion);
        let mut last = None;
        for (name, channel) in channels {
            if channel.has_to_wait(self.moment.silent) {
                // In this period: it is the one in which that was noticed.
                self.due.push(name.clone());
            }
            last = Some(name.clone());
        }
        self.spread = last.map(Some);
        true
    }

    /// Tells of a channel at once, if nothing was told of it in this period.
    pub(super) fn refresh(&mut self, name: &Name) {
        let Some(channel) = self.channels.get_mut(name) else { return };
        channel.refresh(&mut self.moment);
        if channel.has_to_wait(self.moment.silent) {
            self.noted.push(name.clone());
        }
    }
}
