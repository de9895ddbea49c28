//! A message between nodes, and a page of history in it: what is read is written as the same bytes, and is not longer than
//! it may be.
#![no_main]

use libfuzzer_sys::fuzz_target;
use turted_core::cluster::head::Read;
use turted_core::cluster::history::HistoryPage;
use turted_core::cluster::message::{BODY_BYTES_MAX, COUNTS_MAX, Told, decode};
use turted_core::cluster::watch::WatchTold;
use turted_core::limits::{
    PRESENCE_MESSAGE_BYTES_MAX, WATCH_FILTER_BYTES_MAX, WATCHED_MESSAGE_BYTES_MAX,
};

/// The mark, the version, the kind and the author.
const HEAD_BYTES: usize = 15;

fuzz_target!(|data: &[u8]| {
    if let Ok(page) = HistoryPage::decode(data) {
        assert_eq!(page.encode(), data);
    }
    let Read::Ours(message) = decode(data) else { return };
    assert_eq!(message.encode(), data);
    match message.told {
        Told::Counts(counts) => assert!(counts.len() <= COUNTS_MAX),
        Told::Ask { body, .. } | Told::Answer { body, .. } => assert!(body.len() <= BODY_BYTES_MAX),
        Told::Presence(_) => assert!(data.len() <= PRESENCE_MESSAGE_BYTES_MAX + HEAD_BYTES),
        Told::Watch(WatchTold::Wanted { filter, .. }) => assert!(filter.len() <= WATCH_FILTER_BYTES_MAX),
        Told::Watch(WatchTold::Records(_)) => assert!(data.len() <= WATCHED_MESSAGE_BYTES_MAX + HEAD_BYTES),
        Told::LetGo { .. } | Told::LetGone { .. } | Told::Block { .. } | Told::AskHistory { .. } => {}
    }
});
