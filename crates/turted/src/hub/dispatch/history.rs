//! The last events of channels, for those who join later. They are filled where dispatches are numbered, under the
//! dispatcher's lock, and share their dispatches with the log.

pub(crate) mod deletion;
mod takeover;

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Instant;

use turted_core::cursor::Cursor;
use turted_core::dispatch::Dispatch;
use turted_core::history::{self, Edge, HistoryLimits, Kept, Range};
use turted_core::limits::HISTORY_EVENTS_IN_ALL_MAX;
use turted_core::name::Name;

use crate::config::Config;
use crate::hub::dispatch::log::disk::history::LeftHistory;
use crate::hub::dispatch::log::{Accepted, Log};

pub(crate) use self::takeover::Fetched;
use self::takeover::Filling;

/// Deletions that wait to be recorded: operators have fewer connections.
pub(super) const DELETIONS_MAX: usize = 256;
/// Events that are read while the log is locked, some 50 ns each.
pub(super) const EVENTS_PER_LOCK: usize = 256;

/// A dispatch, and the number of the reason to receive it that is the channel.
pub(crate) type Told = (Arc<Accepted>, u32);

/// The history that a former life has left, up to the last number of the log.
#[derive(Debug)]
pub(crate) struct FormerHistory {
    /// In the order of their numbers, with the moments at which they were accepted.
    pub(crate) dispatches: Vec<(Cursor, Dispatch, Instant)>,
    /// Each with the numbers of its events.
    pub(crate) channels: Vec<(Name, Edge, Vec<u64>)>,
    /// What is not kept of channels of which nothing is.
    pub(crate) edge: Edge,
    /// Since when it has all that its rules keep.
    pub(crate) began: Instant,
    /// The checksum of the rules by which it was kept.
    pub(crate) rules: u32,
}

/// The history of all channels.
#[derive(Debug)]
pub(crate) struct History {
    store: history::History<Told>,
    /// What is remembered while this node waits for what another one of its cluster has.
    filling: Option<Filling>,
}

impl History {
    /// The history that goes on with a log, and with what the last life left; `None` if no channel has any.
    pub(super) fn over(
        log: &Log,
        config: &Config,
        (former, now): (Option<FormerHistory>, Instant),
    ) -> Option<Self> {
        if config.history.is_empty() {
            return None;
        }
        let limits = HistoryLimits { events: HISTORY_EVENTS_IN_ALL_MAX, bytes: config.limits.history_bytes };
        let of_log = log.kept();
        let began = of_log.first().map_or(now, |first| first.accepted_at());
        let began = former.as_ref().map_or(began, |former| began.min(former.began));
        let edge = (log.gone(), began);
        let mut own =
            Self { store: history::History::new(config.history.clone(), limits, edge), filling: None };
        let restored = former.map(|former| own.restore(former, log, now)).unwrap_or_default();
        if restored.is_all {
            return Some(own);
        }
        // Of channels that had no history the log knows what it keeps.
        for accepted in &of_log {
            own.each_channel(accepted, |own, channel, kept| {
                if !restored.channels.contains(channel) {
                    own.add(channel, now, kept, |(gone, _)| log.let_go(&gone));
                }
            });
        }
        Some(own)
    }

    /// Goes on with what a former life left.
    fn restore(&mut self, former: FormerHistory, log: &Log, now: Instant) -> Restored {
        let FormerHistory { dispatches, channels, edge, rules, .. } = former;
        let is_all = rules == self.store.rules_checksum();
        if is_all {
            self.store.set_edge(edge);
        }
        let accepted = |(cursor, dispatch, at): (Cursor, Dispatch, Instant)| {
            let of_log = log.get(cursor.sequence).cloned();
            (cursor.sequence, of_log.unwrap_or_else(|| Arc::new(Accepted::new(cursor, dispatch, at))))
        };
        let dispatches: BTreeMap<_, _> = dispatches.into_iter().map(accepted).collect();
        for (channel, edge, numbers) in &channels {
            let told = numbers.iter().filter_map(|number| told_of(dispatches.get(number)?, channel));
            let kept = told.map(|(accepted, place)| kept(&accepted, place));
            self.store.restore((channel, *edge), now, kept, |(gone, _)| log.let_go(&gone));
        }
        Restored { channels: channels.into_iter().map(|(channel, ..)| channel).collect(), is_all }
    }

    /// Keeps a dispatch that the log has numbered.
    pub(super) fn add(&mut self, accepted: &Arc<Accepted>, log: &Log, now: Instant) {
        self.each_channel(accepted, |own, channel, kept| {
            own.add(channel, now, kept, |(gone, _)| log.let_go(&gone));
        });
    }

    fn each_channel(
        &mut self,
        accepted: &Arc<Accepted>,
        mut keep: impl FnMut(&mut history::History<Told>, &Name, &dyn Fn() -> Kept<Told>),
    ) {
        for (place, channel) in places_of(accepted) {
            keep(&mut self.store, channel, &|| kept(accepted, place));
        }
    }

    /// What the next life may go on with.
    pub(super) fn left(&self) -> LeftHistory {
        let (mut dispatches, mut channels) = (BTreeMap::new(), Vec::new());
        for (name, edge, kept) in self.store.each() {
            let number = |kept: &Kept<Told>| {
                dispatches.entry(kept.number).or_insert_with(|| Arc::clone(&kept.event.0));
                kept.number
            };
            channels.push((name.clone(), edge, kept.map(number).collect()));
        }
        LeftHistory {
            dispatches: dispatches.into_values().collect(),
            channels,
            edge: self.store.edge(),
            began: self.store.began(),
            rules: self.store.rules_checksum(),
        }
    }

    /// Notes that something that the log has numbered until now may be lost.
    pub(super) fn mark_lost(&mut self, log: &Log, now: Instant) {
        // Also for a client that has seen the last one: what followed on it may be lost before another epoch.
        self.store.mark_lost(log.next().sequence, now);
        // What another node has may be of before.
        self.filling = None;
    }

    /// Forgets a portion of what is too old. Returns whether there may be more.
    pub(super) fn tidy(&mut self, log: &Log, now: Instant) -> bool {
        self.store.tidy(now, |(gone, _)| log.let_go(&gone))
    }

    /// Deletes the events of `channel` with numbers within a range, and returns how many there were.
    pub(super) fn delete(&mut self, channel: &Name, numbers: RangeInclusive<u64>, log: &Log) -> usize {
        self.note_deletion(channel, numbers.clone(), log.last());
        self.store.delete(channel, numbers, |(gone, _)| log.let_go(&gone))
    }

    pub(super) fn newest(&self, channel: &Name, range: Range, now: Instant) -> Vec<Told> {
        self.store.newest(channel, range, now).map(|kept| kept.event.clone()).collect()
    }

    /// Whether it waits for nothing that another node has.
    pub(crate) fn is_whole(&self) -> bool {
        self.filling.is_none()
    }

    /// What is known of it beside its events.
    pub(crate) fn store(&self) -> &history::History<Told> {
        &self.store
    }
}

/// What was restored of a former history.
#[derive(Default)]
struct Restored {
    /// Of these channels something is kept.
    channels: HashSet<Name>,
    /// Of all others nothing is, because the rules are those by which it was kept.
    is_all: bool,
}

/// The channels of a dispatch, each with the number of the reason to receive it that it is.
fn places_of(accepted: &Accepted) -> impl Iterator<Item = (u32, &Name)> {
    let (users, channels) = (accepted.dispatch.targets.users.len(), &accepted.dispatch.targets.channels);
    (u32::try_from(users).unwrap_or(u32::MAX)..).zip(channels)
}

/// A dispatch as an event of a channel; `None` if the channel is none of its targets.
fn told_of(accepted: &Arc<Accepted>, channel: &Name) -> Option<Told> {
    let (place, _) = places_of(accepted).find(|(_, own)| *own == channel)?;
    Some((Arc::clone(accepted), place))
}

fn kept(accepted: &Arc<Accepted>, place: u32) -> Kept<Told> {
    accepted.hold();
    Kept {
        number: accepted.sequence(),
        at: accepted.accepted_at(),
        bytes: accepted.bytes(),
        event: (Arc::clone(accepted), place),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use turted_core::channel::ChannelPattern;
    use turted_core::dispatch::{Dispatch, Targets};
    use turted_core::epochs::Epoch;
    use turted_core::history::{Depth, HistoryRules};

    use super::*;
    use crate::hub::dispatch::log::LogLimits;
    use crate::io::backlogs::Backlogs;

    fn log(dispatches: usize) -> Log {
        let limits = LogLimits { dispatches, bytes: usize::MAX, age: Duration::from_secs(60) };
        Log::new(limits, Epoch { epoch: 7, after: 0 }, &Backlogs::new(usize::MAX))
    }

    fn config(events: usize) -> Config {
        let depth = Depth { events, age: Duration::from_secs(60) };
        let history = HistoryRules::new([(ChannelPattern::parse("c*").unwrap(), depth)]);
        Config { history, ..Config::default() }
    }

    fn append(log: &mut Log, history: &mut History, channels: &[&str]) -> Arc<Accepted> {
        let payload = serde_json::value::to_raw_value(&1).unwrap();
        let channels = channels.iter().map(|channel| Name::new(channel).unwrap()).collect();
        let targets = Targets { users: vec![Name::new("u").unwrap()], channels, broadcast: false };
        let now = Instant::now();
        let accepted = log.append(Dispatch { event: Name::new("e").unwrap(), payload, targets }, now);
        history.add(&accepted, log, now);
        accepted
    }

    fn numbers(history: &History, channel: &str) -> Vec<(u64, u32)> {
        let range = Range { after: 0, up_to: u64::MAX, most: 1_000 };
        let newest = history.newest(&Name::new(channel).unwrap(), range, Instant::now());
        newest.iter().map(|(accepted, place)| (accepted.sequence(), *place)).collect()
    }

    #[test]
    fn an_event_is_kept_in_each_of_its_channels_with_its_reason() {
        let mut log = log(100);
        let mut history = History::over(&log, &config(2), (None, Instant::now())).unwrap();
        for channels in [&["c1", "x", "c2"][..], &["c2"], &["c2"]] {
            append(&mut log, &mut history, channels);
        }
        assert_eq!((numbers(&history, "c1"), numbers(&history, "c2")), (vec![(1, 1)], vec![(3, 1), (2, 1)]));
        assert_eq!(numbers(&history, "x"), []);
        assert!(History::over(&log, &Config::default(), (None, Instant::now())).is_none());
    }

    #[test]
    fn events_stand_in_history_over_holes_and_what_is_no_dispatch_does_not() {
        let mut log = log(2);
        let mut history = History::over(&log, &config(3), (None, Instant::now())).unwrap();
        let now = Instant::now();
        append(&mut log, &mut history, &["c"]);
        for sequence in [2, 1_000, 1_001] {
            let filler = log.skip_at(Cursor { epoch: 8, sequence }, now);
            history.add(&filler, &log, now);
        }
        append(&mut log, &mut history, &["c"]);
        assert_eq!(numbers(&history, "c"), [(1_002, 1), (1, 1)]);
        let channel = Name::new("c").unwrap();
        let has_all_after = |history: &History, number| history.store().has_all_after(&channel, number, now);
        assert!(has_all_after(&history, 0), "history has what the log has given up");
        history.mark_lost(&log, now);
        append(&mut log, &mut history, &["c"]);
        assert!(!has_all_after(&history, 1_002) && has_all_after(&history, 1_003));
        assert_eq!(numbers(&history, "c"), [(1_003, 1), (1_002, 1), (1, 1)]);
        let begun = History::over(&log, &config(10), (None, now)).unwrap();
        assert_eq!(numbers(&begun, "c"), [(1_003, 1), (1_002, 1)]);
        assert!(
            has_all_after(&begun, 1_001) && !has_all_after(&begun, 1_000),
            "the log does not know of 1001"
        );
    }

    #[test]
    fn history_begins_with_what_the_log_holds() {
        let mut log = log(2);
        let mut first = History::over(&log, &config(10), (None, Instant::now())).unwrap();
        (0..3).for_each(|_| drop(append(&mut log, &mut first, &["c"])));
        let history = History::over(&log, &config(10), (None, Instant::now())).unwrap();
        assert_eq!(numbers(&history, "c"), [(3, 1), (2, 1)]);
        let (channel, now) = (Name::new("c").unwrap(), Instant::now());
        assert!(history.store().has_all_after(&channel, 1, now));
        assert!(!history.store().has_all_after(&channel, 0, now), "the log does not know of 1");
    }

    #[test]
    fn what_history_holds_counts_there_and_what_clients_still_need_counts_as_backlog_after_it() {
        let mut log = log(1);
        let mut history = History::over(&log, &config(2), (None, Instant::now())).unwrap();
        let first = append(&mut log, &mut history, &["c", "c2"]);
        append(&mut log, &mut history, &["c", "c2"]);
        assert_eq!(log.backlogs().bytes(), 0, "the log has given up the first one, history has it");
        append(&mut log, &mut history, &["c"]);
        assert_eq!(log.backlogs().bytes(), 0, "the other channel has it");
        append(&mut log, &mut history, &["c2"]);
        append(&mut log, &mut history, &["c2"]);
        assert_eq!(log.backlogs().bytes(), first.bytes(), "only its client has it");
        drop(first);
        assert_eq!(log.backlogs().bytes(), 0);
    }
}
