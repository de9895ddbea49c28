//! The live view over several machines: who watches other nodes from here, and what others want to watch here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use turted_core::cluster::head::Author;
use turted_core::cluster::watch::{WatchTold, WatchedRecords};

/// Messages of other nodes that wait for one watcher, up to 256 KiB each. A further one counts as lost.
const MESSAGES_MAX: usize = 16;
/// What other nodes want to watch, and nobody has looked at yet.
const WANTED_MAX: usize = 64;

/// Who watches other nodes from here, and where what others want goes.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    /// Held for a look or a change alone.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By their numbers. There are no more than watchers.
    own: HashMap<u64, mpsc::Sender<(Author, WatchedRecords)>>,
    others: Option<mpsc::Sender<WatchWanted>>,
}

/// What another node wants to watch here.
#[derive(Debug)]
pub(crate) struct WatchWanted {
    pub(crate) from: Author,
    pub(crate) watch: u64,
    /// For how long; 0 if it watches no longer.
    pub(crate) seconds: u16,
    pub(crate) filter: String,
}

impl Watches {
    /// What other nodes want to watch here from now on.
    pub(crate) fn wanted(&self) -> mpsc::Receiver<WatchWanted> {
        let (sender, receiver) = mpsc::channel(WANTED_MAX);
        self.lock().others = Some(sender);
        receiver
    }

    /// Nobody is told anything any more.
    pub(super) fn end(&self) {
        self.lock().others = None;
    }

    /// Another node tells something. It is lost if nobody hears it: each of these messages is sent again, or missed.
    pub(super) fn hear(&self, from: Author, told: WatchTold) {
        let state = self.lock();
        match told {
            WatchTold::Wanted { watch, seconds, filter } => {
                if let Some(others) = &state.others {
                    let _ = others.try_send(WatchWanted { from, watch, seconds, filter });
                }
            }
            WatchTold::Records(records) => {
                if let Some(own) = state.own.get(&records.watch) {
                    let _ = own.try_send((from, records));
                }
            }
        }
    }

    /// What other nodes tell this watch from now on.
    pub(super) fn open(&self, watch: u64) -> mpsc::Receiver<(Author, WatchedRecords)> {
        let (sender, told) = mpsc::channel(MESSAGES_MAX);
        self.lock().own.insert(watch, sender);
        told
    }

    /// Nobody watches there any more.
    pub(super) fn close(&self, watch: u64) {
        self.lock().own.remove(&watch);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
