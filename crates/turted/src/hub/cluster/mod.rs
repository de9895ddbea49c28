//! Several machines as one server: this node among the others.
//!
//! One thread follows the log of all nodes and appends to it; it gives the dispatcher what it reads. Everything else in the
//! program has the handle [`Cluster`].
//!
//! | file | what |
//! |---|---|
//! | `node` | what the tasks of the thread share |
//! | `writer` | appends pushes and heartbeats |
//! | `reader` | reads what all nodes append, and hands it over |
//! | `reign` | which epoch a node may append under, and when another one begins |
//! | `watch` | whether this node reads back what it appends, and whether all nodes bear witness |
//! | `counts` | how many connections a dispatch reaches on all nodes |
//! | `values` | values of the engine, and messages to other nodes |
//! | `ears` | what other nodes tell this one |
//! | `settings`, `status` | what a node is told at its start; what is known outside the thread |
//! | `thread` | the thread itself: from its start, when it reads all that is kept, to its end |

mod node;
mod writer;
mod reader;
mod reign;
mod watch;
mod counts;
pub(crate) mod values;
mod ears;
pub(crate) mod settings;
pub(crate) mod status;
mod thread;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use self::status::Status;
use self::values::{Job, Unavailable, Wanted};
use crate::engine::Changed;

pub(crate) use self::thread::{ClusterThread, NotStarted, start};

/// This node's place in a cluster. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    process: u64,
    status: Arc<Status>,
    jobs: mpsc::Sender<Job>,
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

    /// Asks the engine for something, and waits for it as long as `most` if it is not there.
    pub(crate) async fn ask(&self, wanted: Wanted, most: Duration) -> Result<Changed, Unavailable> {
        let (answer, answered) = oneshot::channel();
        let job = Job { wanted, answer, until: Instant::now() + most };
        self.jobs.send(job).await.map_err(|_| Unavailable)?;
        answered.await.unwrap_or(Err(Unavailable))
    }

    /// The same from a thread that must not wait. The answer comes later; `None` if too much waits already.
    pub(crate) fn begin(
        &self,
        wanted: Wanted,
        most: Duration,
    ) -> Option<oneshot::Receiver<Result<Changed, Unavailable>>> {
        let (answer, answered) = oneshot::channel();
        let job = Job { wanted, answer, until: Instant::now() + most };
        self.jobs.try_send(job).ok().map(|()| answered)
    }
}
