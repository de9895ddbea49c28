//! Sessions on disk, or in the engine of a cluster: what a client is and has joined is recorded before the client is
//! answered, so that it can come back to a server that was killed, or to another node.
//!
//! | file | what |
//! |---|---|
//! | `journal` | what waits for the disk, and who waits for it |
//! | `writer` | the thread that writes |
//! | `files` | the files of a directory |
//! | `common` | sessions that all nodes of a cluster can take |
//! | `found` | what a start finds there |
//! | `verifier` | by which configuration users were verified |
//! | `tests` | what is recorded is found, and nothing else; also after a loss of power |
//!
//! Without a directory and without a cluster nothing is recorded, and every answer goes out at once. Which changes there are, and when a
//! client may be answered, is in [`record`](crate::hub::client::record); [`rewrite`](super::rewrite) writes all sessions
//! anew when most of the files is out of date.

mod journal;
mod writer;
mod files;
pub(crate) mod common;
mod found;
mod verifier;

use std::io;
use std::sync::{Arc, OnceLock};

use turted_core::record::session::{Change, SessionState};
use turted_core::session_key::SessionKey;

use self::common::Common;
use self::files::Files;
use self::journal::Journal;
use self::writer::Writer;

use crate::hub::cluster::Cluster;

pub(crate) use files::{GROWTH_BYTES_MIN, Place};
pub(crate) use found::Found;
pub(crate) use journal::{Effect, Recorded, SessionsLink};
pub(crate) use verifier::Verification;

/// The sessions of a node as they stand on disk, or in the engine of a cluster. Cheap to clone; before it has begun, and
/// without either of them, it does nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    journal: Arc<OnceLock<Arc<Journal>>>,
    common: Arc<OnceLock<Common>>,
    /// By which a worker and the thread that writes wake each other.
    link: Option<Arc<SessionsLink>>,
}

impl Sessions {
    /// Writes anew what a start has found, deletes the files in which it stood, and records what happens from then on.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub(crate) fn begin(
        &self,
        place: Place<'_>,
        (verification, found): (&Verification, &Found),
    ) -> io::Result<()> {
        let mut files = Files::new(place, (verification, found))?;
        files.begin(found)?;
        self.start(Journal::new(place.sync, found.version), files)
    }

    /// The same on a disk that fails: sessions are in memory alone until it takes something again.
    ///
    /// # Errors
    /// There is no thread, or there are no random numbers.
    pub(crate) fn begin_without(
        &self,
        place: Place<'_>,
        (verification, found): (&Verification, &Found),
        reason: String,
    ) -> io::Result<()> {
        let journal = Journal::new(place.sync, found.version);
        journal.fail(reason);
        self.start(journal, Files::new(place, (verification, found))?)
    }

    /// From now on nothing that is recorded comes to an end: the disk hangs.
    #[cfg(test)]
    pub(crate) fn hang(&self) {
        let is_first = self.journal.set(Arc::new(Journal::new(crate::config::LogSync::Always, 0))).is_ok();
        assert!(is_first, "nothing was recorded before");
    }

    fn start(&self, journal: Journal, files: Files) -> io::Result<()> {
        let journal = Arc::new(journal);
        Writer::start(Arc::clone(&journal), files)?;
        // There is one start, which begins once.
        let is_first = self.journal.set(journal).is_ok();
        debug_assert!(is_first, "a server has one file of sessions");
        Ok(())
    }

    fn journal(&self) -> Option<&Arc<Journal>> {
        self.journal.get()
    }

    /// The same sessions for one worker, which wakes the thread that writes when this link asks for it.
    pub(crate) fn linked(&self, link: Arc<SessionsLink>) -> Self {
        Self { journal: Arc::clone(&self.journal), common: Arc::clone(&self.common), link: Some(link) }
    }

    /// Wakes the thread that writes.
    pub(crate) fn wake(&self) {
        if let Some(journal) = self.journal() {
            journal.wake();
        }
    }

    /// Begins a new file and asks for all sessions, because somebody else has deleted the files: the log has begun anew
    /// in the same directory.
    pub(crate) fn begin_again(&self) {
        if let Some(journal) = self.journal() {
            journal.begin_again();
        }
    }

    /// Writes sessions to the engine of a cluster from now on.
    pub(crate) fn begin_in_cluster(&self, cluster: Cluster) {
        let is_first = self.common.set(Common::new(cluster)).is_ok();
        debug_assert!(is_first, "a server joins one cluster");
    }

    /// The sessions of the cluster, if this server is a node of one. They are written as a whole.
    pub(crate) fn common(&self) -> Option<&Common> {
        self.common.get()
    }

    /// Whether anything is recorded.
    pub(crate) fn is_recorded(&self) -> bool {
        self.journal().is_some() || self.common().is_some()
    }

    /// Records a change. The client may be answered when it is recorded. In a cluster it has to be all that the session is.
    pub(crate) fn record(&self, key: SessionKey, effect: Effect, change: Change) -> Recorded {
        if let Some(common) = self.common() {
            return common.record(key, effect, (&change, self.link.as_ref()));
        }
        match self.journal() {
            Some(journal) => journal.record(key, effect, change, self.link.as_ref()),
            None => Recorded::NOW,
        }
    }

    /// Records what a session is, for which no client waits.
    pub(crate) fn note(&self, key: SessionKey, state: impl FnOnce() -> SessionState) {
        if let Some(common) = self.common() {
            common.put(key, &state());
        } else if let Some(journal) = self.journal() {
            journal.note(key, Change::Whole(state()));
        }
    }

    /// Records what a session is that has lost its connection. On disk it stands already.
    pub(crate) fn lost(&self, key: SessionKey, state: &SessionState) {
        if let Some(common) = self.common() {
            common.put(key, state);
        }
    }

    /// Records that the client of a session was given another one, and may not know it yet.
    pub(crate) fn succeeded(&self, former: SessionKey, key: SessionKey) {
        if let Some(common) = self.common() {
            common.succeeded(former, key);
        }
        if let Some(journal) = self.journal() {
            journal.note(former, Change::Succeeded(key));
        }
    }

    /// Records that a session has ended for good.
    pub(crate) fn ended(&self, key: SessionKey) {
        if let Some(common) = self.common() {
            common.delete(key);
        }
        if let Some(journal) = self.journal() {
            // No client waits for it, but one that said good-bye must not come back.
            drop(journal.record(key, Effect::TakesAway, Change::Ended, self.link.as_ref()));
        }
    }

    /// Records that a session is kept no longer.
    pub(crate) fn forgotten(&self, key: SessionKey) {
        if let Some(common) = self.common() {
            common.delete(key);
        }
        if let Some(journal) = self.journal() {
            journal.note(key, Change::Ended);
        }
    }

    /// Says how all sessions are asked to be [noted](Self::note) anew. It returns whether they were asked;
    /// [`noted_all`](Self::noted_all) is called when all of them are.
    pub(crate) fn ask_by(&self, ask: impl Fn() -> bool + Send + Sync + 'static) {
        if let Some(journal) = self.journal() {
            journal.ask_by(Box::new(ask));
        }
    }

    /// Says who is told that sessions which are out of date stand on disk and cannot be deleted: no start may believe them.
    pub(crate) fn tell_stale_by(&self, tell: impl Fn() + Send + Sync + 'static) {
        if let Some(journal) = self.journal() {
            journal.tell_stale_by(Box::new(tell));
        }
    }

    /// Every session was noted since it was asked for: what stood in older files is not needed any more.
    pub(crate) fn noted_all(&self) {
        if let Some(journal) = self.journal() {
            journal.noted_all();
        }
    }

    /// Why sessions are kept in memory alone, although they should be on disk.
    pub(crate) fn failure(&self) -> Option<String> {
        self.journal()?.failure()
    }

    /// Writes and syncs what waits, and ends the thread that writes. Returns whether all of it is on disk.
    pub(crate) fn end(&self) -> bool {
        self.journal().is_none_or(|journal| journal.end())
    }
}

#[cfg(test)]
mod tests;
