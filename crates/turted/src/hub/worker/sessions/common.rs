//! Sessions that all nodes of a cluster can take: each is written as a whole, under its key, with the process that has it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;
use turted_core::cluster::session::{Kept, KeptSession, SESSION_BYTES_MAX};
use turted_core::record::session::{Change, SessionState};
use turted_core::session_key::SessionKey;

use super::journal::{Effect, Recorded, SessionsLink};
use crate::hub::cluster::Cluster;
use crate::hub::cluster::sessions::{Receipt, Write};

/// Sessions in the engine of a cluster.
#[derive(Debug)]
pub(crate) struct Common {
    cluster: Cluster,
}

impl Common {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    /// Records what a session is now. What adds something is answered at once while the engine is away, and recorded when it
    /// is back.
    pub(super) fn record(
        &self,
        key: SessionKey,
        effect: Effect,
        (change, link): (&Change, Option<&Arc<SessionsLink>>),
    ) -> Recorded {
        let Change::Whole(state) = change else {
            debug_assert!(false, "in a cluster a session is recorded as a whole");
            return Recorded::NOW;
        };
        if effect == Effect::Adds && self.cluster.sessions().is_away() {
            self.put(key, state);
            self.answered_before(key);
            return Recorded::NOW;
        }
        let (sender, recorded) = oneshot::channel();
        self.write(key, Kept::Whole(state), Some((link.cloned(), sender)));
        match effect {
            Effect::Adds => Recorded::or_later(recorded),
            Effect::TakesAway => Recorded::when(recorded),
        }
    }

    /// Notes that a client was answered before its change of this session was recorded.
    pub(crate) fn answered_before(&self, key: SessionKey) {
        self.cluster.status().counters.unrecorded.fetch_add(1, Ordering::Relaxed);
        self.cluster.sessions().answered_before(key);
    }

    pub(super) fn put(&self, key: SessionKey, state: &SessionState) {
        self.write(key, Kept::Whole(state), None);
    }

    pub(super) fn succeeded(&self, former: SessionKey, key: SessionKey) {
        self.write(former, Kept::Succeeded(key), None);
    }

    pub(super) fn delete(&self, key: SessionKey) {
        self.cluster.sessions().write(key, Write::Delete, None);
    }

    fn write(&self, key: SessionKey, kept: Kept<&SessionState>, receipt: Option<Receipt>) {
        let value = KeptSession { owner: self.cluster.author(), kept }.encode();
        let write = match value.len() <= SESSION_BYTES_MAX {
            true => Write::Put(value),
            // Nor may an earlier state of it be taken for what it is.
            false => Write::Delete,
        };
        self.cluster.sessions().write(key, write, receipt);
    }
}
