//! The handle of this node's place in a cluster, for the rest of the program.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use turted_core::cluster::head::Author;

use super::job::{Answered, Job, Unavailable, Wanted};
use super::sessions::SessionWrites;
use super::status::Status;
use crate::engine::Changed;

/// This node's place in a cluster. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(super) process: u64,
    pub(super) status: Arc<Status>,
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) sessions: Arc<SessionWrites>,
}

impl Cluster {
    /// The number of this node, which is in the ids of its sessions.
    pub(crate) fn number(&self) -> u16 {
        self.status.number()
    }

    /// The random number of this process.
    pub(crate) fn process(&self) -> u64 {
        self.process
    }

    /// What is known of this node and of the others.
    pub(crate) fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// Who writes for this process.
    pub(crate) fn author(&self) -> Author {
        Author { node: self.number(), process: self.process }
    }

    /// Sessions on their way to the engine.
    pub(crate) fn sessions(&self) -> &SessionWrites {
        &self.sessions
    }

    /// Asks the engine for something, and waits for it as long as `most` if it is not there.
    pub(crate) async fn ask(&self, wanted: Wanted, most: Duration) -> Result<Changed, Unavailable> {
        let (job, answered) = Job::new(wanted, most);
        self.jobs.send(job).await.map_err(|_| Unavailable)?;
        answered.await.unwrap_or(Err(Unavailable))
    }

    /// The same from a thread that must not wait. The answer comes later; `None` if too much waits already.
    pub(crate) fn begin(&self, wanted: Wanted, most: Duration) -> Option<Answered> {
        let (job, answered) = Job::new(wanted, most);
        self.jobs.try_send(job).ok().map(|()| answered)
    }
}
