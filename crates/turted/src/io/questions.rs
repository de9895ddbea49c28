//! Questions that somebody else answers, a backend say: how many are under way at once, and how long each may take.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::tasks::Tasks;

/// Leave to ask, for all threads of a node.
#[derive(Debug)]
pub(crate) struct Questions {
    /// Places for questions under way. What waits for a place has a connection that waits with it, so the queue is no
    /// longer than there are connections.
    places: Semaphore,
    /// How long a question may take, the wait for a place included.
    timeout: Duration,
}

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// Its time is over.
    Late,
    /// The server ends.
    Ended,
}

impl Questions {
    pub(crate) fn new(most: usize, timeout: Duration) -> Self {
        Self { places: Semaphore::new(most.min(Semaphore::MAX_PERMITS)), timeout }
    }

    /// Asks as soon as there is a place. Waits no longer than it may take or the server runs. As cancel safe as what is
    /// asked.
    pub(crate) async fn ask<T>(
        &self,
        tasks: &Tasks,
        asking: impl Future<Output = T>,
    ) -> Result<T, Unanswered> {
        let asking = async {
            // The semaphore is never closed.
            let _place = self.places.acquire().await.map_err(|_| Unanswered::Ended)?;
            Ok(asking.await)
        };
        let answered = tasks.until_end(timeout(self.timeout, asking)).await;
        answered.ok_or(Unanswered::Ended)?.map_err(|_| Unanswered::Late)?
    }
}
