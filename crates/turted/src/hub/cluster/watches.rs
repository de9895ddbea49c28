//! The live view over several machines: who watches other nodes from here, and what others want to watch here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use turted_core::cluster::head::Author;
use turted_core::cluster::message::Told;
use turted_core::cluster::watch::{WatchTold, WatchedRecords};

use super::handle::Cluster;

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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    /// Watches other nodes until what this returns is dropped. They know nothing of it before it is renewed.
    pub(crate) fn watch_others(&self, filter: String) -> WatchingOthers {
        let watch = getrandom::u64().unwrap_or_default();
        let (sender, told) = mpsc::channel(MESSAGES_MAX);
        self.status().watches.lock().own.insert(watch, sender);
        WatchingOthers { cluster: self.clone(), watch, filter, told }
    }
}

/// One watcher of other nodes, until this is dropped.
#[derive(Debug)]
pub(crate) struct WatchingOthers {
    cluster: Cluster,
    watch: u64,
    filter: String,
    told: mpsc::Receiver<(Author, WatchedRecords)>,
}

impl WatchingOthers {
    /// The other nodes are to tell it for so many seconds from now on.
    pub(crate) fn renew(&self, seconds: u16) {
        let (watch, filter) = (self.watch, self.filter.clone());
        self.cluster.tell(None, Told::Watch(WatchTold::Wanted { watch, seconds, filter }));
    }

    /// What another node tells. Cancel safe.
    pub(crate) async fn told(&mut self) -> Option<(Author, WatchedRecords)> {
        self.told.recv().await
    }
}

impl Drop for WatchingOthers {
    fn drop(&mut self) {
        self.cluster.status().watches.lock().own.remove(&self.watch);
        self.renew(0);
    }
}
