//! The lease of a source whose messages every node of a cluster would hear: one node reads it, the others wait.
//!
//! The holder renews the lease and carries its name with each push, so an append of a node that holds it no longer is
//! refused. A node that could not renew it in time drops what it has read: another one may have dispatched that. A second
//! value says which node has read the source last, so that the next one knows of the gap between them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::engine::Changed;
use crate::hub::cluster::Cluster;
use crate::hub::cluster::job::{Unavailable, Wanted};
use crate::push::intake::Status;

/// How long a node holds a source without renewing the lease: so long nothing is read if it is killed.
const AGE: Duration = Duration::from_secs(5);
/// Time between two renewals, and between two attempts to take it.
const RENEWAL: Duration = Duration::from_secs(1);
/// How long a question may wait for the engine.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Time after a loss in which the lease is not taken again: longer than the 2 s that a push may be under way, so that no
/// message of before the loss is appended under the lease of behind it.
pub(super) const REST: Duration = Duration::from_secs(3);
/// How long it is known which node has read a source last.
const READER_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// The lease of one source, as one node sees it.
pub(super) struct Lease {
    cluster: Cluster,
    status: Arc<Status>,
    /// The name that is held.
    name: Arc<str>,
    /// Under which it stands which node has read last.
    reader: String,
    /// When the lease was renewed for the last time.
    held: Instant,
}

impl Lease {
    pub(super) fn new(cluster: Cluster, status: &Arc<Status>) -> Self {
        let name = format!("source:{}", status.name());
        let reader = format!("reader:{}", status.name());
        Self { cluster, status: Arc::clone(status), name: name.into(), reader, held: Instant::now() }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Waits until this node holds the lease. Returns the number of the node that has read before, if another one has.
    pub(super) async fn take(&mut self) -> Option<u16> {
        loop {
            match self.hold().await {
                Ok(Changed::Done) => {
                    if let Ok(former) = self.replace_reader().await {
                        return former;
                    }
                }
                Ok(Changed::Owned(_, node)) => {
                    self.status.set_failure(format!("node {} reads it", number(&node)));
                }
                Ok(Changed::Refused(reason)) => self.status.set_failure(reason),
                Ok(Changed::Missing | Changed::Value(..)) => {}
                Err(unavailable) => self.status.set_failure(unavailable.to_string()),
            }
            sleep(RENEWAL).await;
        }
    }

    /// Renews the lease until it is lost, or may be.
    pub(super) async fn keep(&mut self) {
        loop {
            sleep(RENEWAL).await;
            let left = AGE.saturating_sub(self.held.elapsed());
            if left.is_zero() {
                return;
            }
            match timeout(left, self.hold()).await {
                Err(_) | Ok(Ok(Changed::Owned(..))) => return,
                Ok(_) => {}
            }
            let renewal = Wanted::Renew { name: self.reader.clone(), age: READER_AGE };
            // It lives for a day: one that is left out does no harm.
            drop(self.cluster.begin(renewal, ANSWER_MAX));
        }
    }

    /// Gives the lease up, so that another node takes it at once. It runs out by itself otherwise.
    pub(super) async fn release(self) {
        let release = Wanted::Delete { name: self.name.to_string() };
        drop(timeout(ANSWER_MAX, self.cluster.ask(release, ANSWER_MAX)).await);
    }

    async fn hold(&mut self) -> Result<Changed, Unavailable> {
        let asked = Instant::now();
        let hold = Wanted::Hold { name: self.name.to_string(), value: self.number(), age: AGE };
        let changed = self.cluster.ask(hold, ANSWER_MAX).await;
        // It has its age from when the engine did it, so at least from when it was asked.
        if let Ok(Changed::Done) = changed {
            self.held = asked;
        }
        changed
    }

    /// Notes that this node reads from now on. Returns which other one did before.
    async fn replace_reader(&self) -> Result<Option<u16>, Unavailable> {
        let name = || self.reader.clone();
        let before = self.cluster.ask(Wanted::Take { name: name(), age: READER_AGE }, ANSWER_MAX).await?;
        let put = Wanted::Put { name: name(), value: self.number(), age: READER_AGE };
        self.cluster.ask(put, ANSWER_MAX).await?;
        Ok(match before {
            Changed::Value(process, node) if process != self.cluster.process() => Some(number(&node)),
            _ => None,
        })
    }

    fn number(&self) -> Vec<u8> {
        self.cluster.number().to_be_bytes().to_vec()
    }
}

/// The number of a node. Others can write there.
fn number(value: &[u8]) -> u16 {
    value.try_into().map_or(0, u16::from_be_bytes)
}
