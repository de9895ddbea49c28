//! A watcher of all nodes: this node asks the others, and puts what they tell before it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use turted_core::cluster::head::Author;
use turted_core::cluster::watch::WatchedRecords;
use turted_core::name::Name;

use crate::hub::cluster::Cluster;
use crate::hub::cluster::watching::WatchingOthers;
use crate::live::{Feeder, Kind, Record};

/// Time between two renewals.
const RENEW: Duration = Duration::from_secs(2);
/// For how long the others tell: a few renewals may be lost.
const LEASE_SECONDS: u16 = 10;
/// A node of which nothing was heard for so long is silent: two of its answers are missing.
const SILENT: Duration = Duration::from_secs(5);

/// Watches the other nodes for the watcher behind `feeder`, until what this returns is dropped.
pub(in crate::admin) fn begin(
    tasks: &TaskTracker,
    (cluster, filter): (&Cluster, String),
    feeder: Feeder,
) -> DropGuard {
    let (ended, cluster) = (CancellationToken::new(), cluster.clone());
    let watching = cluster.watch_others(filter);
    let own = ended.clone();
    tasks.spawn(async move {
        own.run_until_cancelled(follow(&cluster, watching, &feeder)).await;
    });
    ended.drop_guard()
}

async fn follow(cluster: &Cluster, mut watching: WatchingOthers, feeder: &Feeder) {
    let mut others = Others::default();
    let mut rounds = interval(RENEW);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = rounds.tick() => {
                watching.renew(LEASE_SECONDS);
                let nodes = cluster.status().nodes();
                let nodes = nodes.iter().filter(|node| node.process != cluster.process());
                let nodes: Vec<_> = nodes.map(|node| Author { node: node.number, process: node.process }).collect();
                others.look(&nodes, Instant::now(), feeder);
            }
            Some((from, records)) = watching.told() => others.hear(from, &records, (Instant::now(), feeder)),
        }
    }
}

/// What is known of the other nodes, by their processes.
#[derive(Debug, Default)]
struct Others(HashMap<u64, Other>);

#[derive(Debug)]
struct Other {
    number: u16,
    name: Option<Name>,
    state: State,
    heard: Instant,
    /// How many records it has told, those included that were lost.
    told: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It was asked, and has not answered.
    Asked,
    Telling,
    Silent,
    /// As many watch it as may.
    Full,
}

impl Other {
    fn new(number: u16, now: Instant) -> Self {
        Self { number, name: None, state: State::Asked, heard: now, told: 0 }
    }

    /// Its state changes. The watcher is told if it is another one.
    fn becomes(&mut self, state: State, feeder: &Feeder) {
        if self.state == state {
            return;
        }
        self.state = state;
        let (kind, reason) = match state {
            State::Asked => return,
            State::Telling => (Kind::Watching, None),
            State::Silent => (Kind::Silent, Some("no-answer")),
            State::Full => (Kind::Silent, Some("too-many-watchers")),
        };
        feeder.tell(&Record {
            node: self.name.as_ref().map(Name::as_str),
            cluster_node: Some(self.number),
            reason: reason.map(Into::into),
            ..Record::new(kind)
        });
    }
}

impl Others {
    /// These other nodes are there now.
    fn look(&mut self, nodes: &[Author], now: Instant, feeder: &Feeder) {
        for Author { node, process } in nodes {
            self.0.entry(*process).or_insert_with(|| Other::new(*node, now));
        }
        // One that has just been heard may not be among them yet.
        let is_there = |process: &u64| nodes.iter().any(|node| node.process == *process);
        self.0.retain(|process, other| is_there(process) || now - other.heard <= SILENT);
        for other in self.0.values_mut().filter(|other| now - other.heard > SILENT) {
            other.becomes(State::Silent, feeder);
        }
    }

    /// Another node tells something.
    fn hear(&mut self, from: Author, told: &WatchedRecords, (now, feeder): (Instant, &Feeder)) {
        let other = self.0.entry(from.process).or_insert_with(|| Other::new(from.node, now));
        (other.heard, other.name) = (now, Some(told.name.clone()));
        if told.is_full {
            // What it told before is over.
            other.told = 0;
            return other.becomes(State::Full, feeder);
        }
        other.becomes(State::Telling, feeder);
        let node = told.name.as_str();
        // It counts anew if its lease was over meanwhile.
        let known = if told.before < other.told { 0 } else { other.told };
        if told.before > known {
            feeder.dropped(told.before - known, node);
        }
        for record in &told.records {
            feeder.put(record, node);
        }
        other.told = told.before + told.records.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::live::{Filter, Live, Watching};

    const OTHER: Author = Author { node: 7, process: 70 };

    struct Case {
        watching: Watching,
        others: Others,
        now: Instant,
    }

    impl Case {
        fn new() -> Self {
            let watching = Live::default().watch(Filter::default(), None).unwrap();
            Self { watching, others: Others::default(), now: Instant::now() }
        }

        fn look(&mut self, nodes: &[Author], millis: u64) {
            self.now += Duration::from_millis(millis);
            self.others.look(nodes, self.now, &self.watching.feeder());
        }

        fn hear(&mut self, before: u64, records: &[&str], is_full: bool) {
            let records =
                records.iter().map(|channel| format!(r#"{{"type":"joined","channel":"{channel}"}}"#));
            let (name, records) = (Name::new("b:7117").unwrap(), records.collect());
            let told = WatchedRecords { watch: 1, name, is_full, before, records };
            self.others.hear(OTHER, &told, (self.now, &self.watching.feeder()));
        }

        /// What the watcher has got, without its time.
        fn expect(&self, expected: &[Value]) {
            let mut lines = Vec::new();
            while let Some(Some(taken)) = at_once(self.watching.take(1)).map(|taken| taken.first().cloned()) {
                let mut record: Value = serde_json::from_str(&taken).unwrap();
                record.as_object_mut().unwrap().remove("at");
                lines.push(record);
            }
            assert_eq!(lines, expected);
        }
    }

    /// What a future has at once.
    fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }

    fn watching() -> Value {
        json!({"type": "watching", "node": "b:7117", "cluster_node": 7})
    }

    fn joined(channel: &str) -> Value {
        json!({"type": "joined", "channel": channel, "node": "b:7117"})
    }

    fn dropped(count: u64) -> Value {
        json!({"type": "dropped", "dropped": count, "node": "b:7117"})
    }

    #[test]
    fn each_node_is_named_when_it_is_heard_first_and_in_each_of_its_records() {
        let mut case = Case::new();
        case.look(&[OTHER], 0);
        case.expect(&[]);
        case.hear(0, &[], false);
        case.hear(0, &["a", "b"], false);
        case.hear(2, &["c"], false);
        case.expect(&[watching(), joined("a"), joined("b"), joined("c")]);
    }

    #[test]
    fn a_message_that_is_lost_is_told_as_dropped_records() {
        let mut case = Case::new();
        case.hear(3, &["d"], false);
        case.hear(9, &[], false);
        case.hear(9, &["e"], false);
        case.expect(&[watching(), dropped(3), joined("d"), dropped(5), joined("e")]);
        // Its lease was over meanwhile: it counts anew.
        case.hear(1, &["f"], false);
        case.expect(&[dropped(1), joined("f")]);
    }

    #[test]
    fn a_node_that_does_not_answer_is_silent_until_it_is_heard() {
        let mut case = Case::new();
        case.look(&[OTHER], 0);
        case.look(&[OTHER], 5_000);
        case.expect(&[]);
        case.look(&[OTHER], 1);
        case.look(&[OTHER], 2_000);
        case.expect(&[json!({"type": "silent", "cluster_node": 7, "reason": "no-answer"})]);
        case.hear(0, &["a"], false);
        case.look(&[], 1_000);
        case.expect(&[watching(), joined("a")]);
        case.look(&[OTHER], 5_000);
        case.expect(&[json!({"type": "silent", "node": "b:7117", "cluster_node": 7, "reason": "no-answer"})]);
        case.look(&[], 1);
        assert!(case.others.0.is_empty(), "it is gone");
    }

    #[test]
    fn a_node_that_has_as_many_watchers_as_may_be_is_told_once() {
        let mut case = Case::new();
        let full =
            json!({"type": "silent", "node": "b:7117", "cluster_node": 7, "reason": "too-many-watchers"});
        case.hear(0, &[], true);
        case.hear(0, &[], true);
        case.expect(&[full]);
        case.hear(0, &["a"], false);
        case.expect(&[watching(), joined("a")]);
    }
}
