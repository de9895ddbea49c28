//! How a node watches the others: it says what it wants, again and again, and hears what they tell.

use tokio::sync::mpsc;
use turted_core::cluster::head::Author;
use turted_core::cluster::message::Told;
use turted_core::cluster::watch::{WatchTold, WatchedRecords};

use super::handle::Cluster;
use super::random;

impl Cluster {
    /// Watches other nodes until what this returns is dropped. They know nothing of it before it is renewed.
    pub(crate) fn watch_others(&self, filter: String) -> WatchingOthers {
        let watch = random::number();
        let told = self.status().watches.open(watch);
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
        self.cluster.status().watches.close(self.watch);
        self.renew(0);
    }
}
