//! Puts what happens on other nodes before a watcher. It waits in the same queue as what happens on this one.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Live;
use super::record::{self, Record};

/// Puts records before one watcher, as long as it is there.
#[derive(Clone, Debug)]
pub(crate) struct Feeder {
    live: Live,
    number: u64,
}

/// What every record has.
#[derive(Deserialize)]
struct AnyRecord {
    #[serde(rename = "type")]
    _kind: IgnoredAny,
}

impl Feeder {
    pub(super) fn new(live: Live, number: u64) -> Self {
        Self { live, number }
    }

    /// Puts a record of another node before the watcher. Returns whether it is one.
    pub(crate) fn put(&self, record: &str, node: &str) -> bool {
        let is_line = record.starts_with('{') && record.ends_with('}') && !record.contains(['\n', '\r']);
        let is_record = is_line && serde_json::from_str::<AnyRecord>(record).is_ok();
        if is_record {
            self.put_line(record::named(record, node));
        }
        is_record
    }

    /// Tells that so many records of another node are missing here.
    pub(crate) fn dropped(&self, count: u64, node: &str) {
        self.put_line(record::named(&record::dropped(count), node));
    }

    /// Tells something that this node knows of another.
    pub(crate) fn tell(&self, record: &Record<'_>) {
        self.put_line(record.write(false).into());
    }

    fn put_line(&self, line: Arc<str>) {
        let mut told = self.live.told();
        if let Some(own) = told.watchers.iter_mut().find(|watcher| watcher.number == self.number) {
            own.queue.put(line);
            own.news.notify_one();
        }
    }
}
