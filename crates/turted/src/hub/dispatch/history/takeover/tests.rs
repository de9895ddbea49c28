//! What a node has that takes the history of another one over, whichever of them has read further.

use std::sync::Arc;

use serde_json::value::RawValue;
use turted_core::channel::ChannelPattern;
use turted_core::dispatch::Targets;
use turted_core::epochs::Epoch;
use turted_core::history::{Depth, HistoryRules, Range};

use super::*;
use crate::config::Config;
use crate::hub::dispatch::log::LogLimits;
use crate::io::backlogs::Backlogs;

/// The log and the history of a node, which keeps so many entries.
struct Node {
    log: Log,
    history: History,
}

impl Node {
    fn new(dispatches: usize) -> Self {
        let limits = LogLimits { dispatches, bytes: usize::MAX, age: Duration::from_secs(60) };
        let log = Log::new(limits, Epoch { epoch: 7, after: 0 }, &Backlogs::new(usize::MAX));
        let depth = Depth { events: 5_000, age: Duration::from_secs(3_600) };
        let history = HistoryRules::new([(ChannelPattern::parse("c*").unwrap(), depth)]);
        let config = Config { history, ..Config::default() };
        let history = History::over(&log, &config, (None, Instant::now())).unwrap();
        Self { log, history }
    }

    /// One that has read the log from this number on, and waits for others.
    fn filling(first: u64) -> Self {
        let mut node = Self::new(100);
        node.history.begin_filling();
        node.history.begins_behind(first - 1);
        node
    }

    fn read(&mut self, sequence: u64, channels: &[&str], bytes: usize) {
        let payload = RawValue::from_string(format!("{:?}", "x".repeat(bytes))).unwrap();
        let channels = channels.iter().map(|channel| Name::new(channel).unwrap()).collect();
        let targets = Targets { users: Vec::new(), channels, broadcast: false };
        let dispatch = Dispatch { event: Name::new("e").unwrap(), payload, targets };
        let now = Instant::now();
        let accepted = self.log.append_at(Cursor { epoch: 7, sequence }, dispatch, now);
        self.history.add(&accepted, &self.log, now);
    }

    fn delete(&mut self, channel: &str, numbers: RangeInclusive<u64>) {
        self.history.delete(&Name::new(channel).unwrap(), numbers, &self.log);
    }

    /// All pages, and how many there were.
    fn pages(&self, has_from: u64) -> (Fetched, usize) {
        let (mut from, mut fetched, mut pages) = (HistoryPlace::default(), None::<Fetched>, 0);
        loop {
            let page = self.history.page(HistoryAsk { from, has_from }, &self.log).written(Vec::new());
            let page = HistoryPage::decode(&page.encode()).unwrap();
            let next = page.next;
            pages += 1;
            match &mut fetched {
                None => fetched = Some(Fetched::new(page)),
                Some(fetched) => fetched.add(page),
            }
            match next {
                Some(next) => from = next,
                None => return (fetched.unwrap(), pages),
            }
        }
    }

    fn fill(&mut self, fetched: Fetched) -> bool {
        self.history.fill(fetched, &self.log, Instant::now())
    }

    fn numbers(&self, channel: &str) -> Vec<u64> {
        let range = Range { after: 0, up_to: u64::MAX, most: 10_000 };
        let newest = self.history.newest(&Name::new(channel).unwrap(), range, Instant::now());
        newest.iter().rev().map(|(accepted, _)| accepted.sequence()).collect()
    }
}

#[test]
fn a_node_goes_on_with_what_another_one_has_and_with_its_own_behind_that() {
    let (mut old, mut new) = (Node::new(2), Node::filling(4));
    for number in 1..=5 {
        old.read(number, &["c1", "c2"], 1);
    }
    // It has read further than the other one.
    (4..=7).for_each(|number| new.read(number, &["c1", "c2"], 1));
    let (fetched, pages) = old.pages(4);
    assert_eq!(pages, 1);
    assert!(!new.history.is_whole() && new.fill(fetched) && new.history.is_whole());
    for channel in ["c1", "c2"] {
        assert_eq!(new.numbers(channel), [1, 2, 3, 4, 5, 6, 7]);
    }
    let (channel, range) = (Name::new("c1").unwrap(), Range { after: 0, up_to: 7, most: 1 });
    let held = new.history.store().newest(&channel, range, Instant::now());
    assert!(held.map(|kept| Arc::strong_count(&kept.event.0)).eq([3]), "log and both channels share it");
}

#[test]
fn a_node_that_has_read_less_takes_no_event_over_that_it_reads_later() {
    let (mut old, mut new) = (Node::new(2), Node::filling(3));
    (1..=6).for_each(|number| old.read(number, &["c"], 1));
    (3..=4).for_each(|number| new.read(number, &["c"], 1));
    assert!(new.fill(old.pages(3).0));
    assert_eq!(new.numbers("c"), [1, 2, 3, 4]);
    (5..=6).for_each(|number| new.read(number, &["c"], 1));
    assert_eq!(new.numbers("c"), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn what_was_deleted_is_not_taken_over_whichever_node_reads_of_it_first() {
    let (mut old, mut new) = (Node::new(2), Node::filling(4));
    (1..=5).for_each(|number| old.read(number, &["c"], 1));
    (4..=5).for_each(|number| new.read(number, &["c"], 1));
    old.delete("c", 5..=5);
    new.delete("c", 2..=2);
    assert!(new.fill(old.pages(4).0));
    assert_eq!(new.numbers("c"), [1, 3, 4]);
}

#[test]
fn nothing_is_taken_over_after_a_loss_or_from_a_node_that_is_far_behind() {
    let (mut old, mut new) = (Node::new(9), Node::filling(9));
    (1..=3).for_each(|number| old.read(number, &["c"], 1));
    new.read(9, &["c"], 1);
    assert!(!new.fill(old.pages(9).0) && !new.history.is_whole());
    (4..=9).for_each(|number| old.read(number, &["c"], 1));
    new.history.mark_lost(&new.log, Instant::now());
    assert!(new.history.is_whole() && !new.fill(old.pages(9).0));
    assert_eq!(new.numbers("c"), [9]);
}

#[test]
fn a_history_of_any_size_goes_in_pages_that_a_message_has_room_for() {
    let (mut old, mut new) = (Node::new(2), Node::filling(2_021));
    (1..=20).for_each(|number| old.read(number, &["c-large"], 100_000));
    (21..=2_020).for_each(|number| old.read(number, &["c", "c-too"], 1));
    old.read(2_021, &["c-huge"], PAGE_BYTES + 1);
    new.read(2_021, &["c-huge"], PAGE_BYTES + 1);
    let (fetched, pages) = old.pages(2_021);
    assert!(pages > 5, "{pages}");
    assert!(new.fill(fetched));
    assert_eq!(new.numbers("c-large"), (1..=20).collect::<Vec<_>>());
    for channel in ["c", "c-too"] {
        assert_eq!(new.numbers(channel), (21..=2_020).collect::<Vec<_>>());
    }
    assert_eq!(new.numbers("c-huge"), [2_021], "the log has it");
    let mut late = Node::filling(2_022);
    late.read(2_022, &["c"], 1);
    old.read(2_022, &["c"], 1);
    assert!(late.fill(old.pages(2_022).0));
    let huge = Name::new("c-huge").unwrap();
    assert_eq!(late.numbers("c-huge"), [0; 0]);
    assert!(!late.history.store().has_all_after(&huge, 2_020, Instant::now()));
}
