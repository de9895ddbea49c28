//! What nodes tell each other of the live view: one of them watches, the others tell it what happens on them.

use crate::limits::{WATCH_FILTER_BYTES_MAX, WATCHED_MESSAGE_BYTES_MAX, WATCHER_RECORDS_MAX};
use crate::name::Name;
use crate::record::field::{Fields, Malformed, put_bytes, put_count, put_name};

/// Least bytes of a record: its length.
const RECORD_BYTES_MIN: usize = 4;

/// What a node asks, or tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchTold {
    /// A node watches the others, now and for some seconds more. It says so again before they are over.
    Wanted {
        /// What the answers name.
        watch: u64,
        /// For how long; 0 if it watches no longer.
        seconds: u16,
        /// Which records: parameters as they stand in a URL.
        filter: String,
    },
    /// What happened on a node.
    Records(WatchedRecords),
}

/// Records of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedRecords {
    /// Who watches.
    pub watch: u64,
    /// What operators call the node.
    pub name: Name,
    /// Whether as many watch the node as may: then there are no records.
    pub is_full: bool,
    /// How many records were sent before: more than have come if a message was lost.
    pub before: u64,
    /// One JSON object each.
    pub records: Vec<String>,
}

impl WatchTold {
    pub(super) fn room(&self) -> usize {
        match self {
            Self::Wanted { filter, .. } => filter.len(),
            Self::Records(told) => {
                260 + told.records.iter().map(|record| record.len() + RECORD_BYTES_MIN).sum::<usize>()
            }
        }
    }

    pub(super) fn put(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Wanted { watch, seconds, filter } => {
                bytes.extend_from_slice(&watch.to_le_bytes());
                bytes.extend_from_slice(&seconds.to_le_bytes());
                put_bytes(bytes, filter.as_bytes());
            }
            Self::Records(WatchedRecords { watch, name, is_full, before, records }) => {
                bytes.extend_from_slice(&watch.to_le_bytes());
                put_name(bytes, name);
                bytes.push((*is_full).into());
                bytes.extend_from_slice(&before.to_le_bytes());
                put_count(bytes, records.len());
                records.iter().for_each(|record| put_bytes(bytes, record.as_bytes()));
            }
        }
    }
}

pub(super) fn wanted(fields: &mut Fields<'_>) -> Result<WatchTold, Malformed> {
    let (watch, seconds, filter) = (fields.u64()?, fields.u16()?, fields.text()?);
    if filter.len() > WATCH_FILTER_BYTES_MAX {
        return Err(Malformed);
    }
    Ok(WatchTold::Wanted { watch, seconds, filter: filter.to_owned() })
}

pub(super) fn records(fields: &mut Fields<'_>) -> Result<WatchTold, Malformed> {
    if fields.rest() > WATCHED_MESSAGE_BYTES_MAX {
        return Err(Malformed);
    }
    let (watch, name) = (fields.u64()?, fields.name()?);
    let (is_full, before) = (fields.flag()?, fields.u64()?);
    let count = fields.count(RECORD_BYTES_MIN)?;
    // One more tells how many were dropped.
    if count > WATCHER_RECORDS_MAX + 1 {
        return Err(Malformed);
    }
    let records = (0..count).map(|_| fields.text().map(str::to_owned)).collect::<Result<_, _>>()?;
    Ok(WatchTold::Records(WatchedRecords { watch, name, is_full, before, records }))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn told() -> impl Strategy<Value = WatchTold> {
        let wanted = (any::<u64>(), any::<u16>(), "[a-zé=&%]{0,20}")
            .prop_map(|(watch, seconds, filter)| WatchTold::Wanted { watch, seconds, filter });
        let records = (any::<u64>(), "[a-zé:]{1,9}", any::<bool>(), any::<u64>(), vec("[a-zé{}]{0,9}", 0..5))
            .prop_map(|(watch, name, is_full, before, records)| {
                let name = Name::new(&name).unwrap();
                WatchTold::Records(WatchedRecords { watch, name, is_full, before, records })
            });
        prop_oneof![wanted, records]
    }

    fn read(told: &WatchTold) -> Result<WatchTold, Malformed> {
        let mut bytes = Vec::new();
        told.put(&mut bytes);
        let mut fields = Fields::of(&bytes);
        match told {
            WatchTold::Wanted { .. } => super::wanted(&mut fields),
            WatchTold::Records(_) => super::records(&mut fields),
        }
    }

    #[test]
    fn a_filter_and_records_above_their_bounds_are_refused() {
        let filter = |bytes: usize| WatchTold::Wanted { watch: 1, seconds: 1, filter: "x".repeat(bytes) };
        assert!(read(&filter(WATCH_FILTER_BYTES_MAX)).is_ok());
        assert!(read(&filter(WATCH_FILTER_BYTES_MAX + 1)).is_err());
        let records = |count: usize, bytes: usize| {
            let name = Name::new("a").unwrap();
            let records = vec!["x".repeat(bytes); count];
            WatchTold::Records(WatchedRecords { watch: 1, name, is_full: false, before: 0, records })
        };
        assert!(read(&records(WATCHER_RECORDS_MAX + 1, 1)).is_ok());
        assert!(read(&records(WATCHER_RECORDS_MAX + 2, 1)).is_err());
        assert!(read(&records(1, WATCHED_MESSAGE_BYTES_MAX - 100)).is_ok());
        assert!(read(&records(1, WATCHED_MESSAGE_BYTES_MAX)).is_err());
    }
}
