//! Relief: when more waits for all clients together than may, the workers close the connections that
//! something has waited for longest, until there is room again. Each worker closes its own connections, and
//! tells the other workers since when something waits for these.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::hub::worker::worker::Worker;

/// Time until the next look where relief found nothing to close: what waits is held by answers or by
/// other workers, which need a moment.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a worker waits for another one whose connections have waited longer. That one may hang.
const OTHERS_WAIT: Duration = Duration::from_millis(100);
/// Time between two lines in the log: clients could fill it.
const TELL_PAUSE: Duration = Duration::from_secs(60);

/// Relieves the server of what waits whenever that is too much, until the server ends.
pub(crate) async fn run(worker: Rc<Worker>) {
    let backlogs = Arc::clone(&worker.shared.backlogs);
    let ending = worker.shared.life.ending.clone();
    let mut told = None::<Instant>;
    while ending.run_until_cancelled(backlogs.exceeded()).await.is_some() {
        relieve(&worker).await;
        if worker.relieved.get() > 0 && told.is_none_or(|told| told.elapsed() >= TELL_PAUSE) {
            let (closed, limit) = (worker.relieved.take(), backlogs.limit());
            tracing::warn!(
                closed,
                limit,
                "too much waits for clients (limits.backlog_bytes): slow readers are closed"
            );
            told = Some(Instant::now());
        }
        ending.run_until_cancelled(sleep(PAUSE)).await;
    }
}

/// Closes connections until there is room, or no connection of this worker has anything that waits.
pub(crate) async fn relieve(worker: &Worker) {
    let longest = &worker.shared.longest;
    let start = Instant::now();
    loop {
        let own = worker.waiting.longest(|since, key| worker.find_waiting(since, key));
        longest.tell(worker.index, own.as_ref().map(|(since, _)| *since));
        if !worker.shared.backlogs.is_full() {
            return;
        }
        let Some((_, connection)) = own else { return };
        if longest.is_of(worker.index) || start.elapsed() >= OTHERS_WAIT {
            worker.waiting.remove_longest();
            connection.cut(worker);
            worker.relieved.update(|closed| closed + 1);
        } else {
            sleep(PAUSE).await;
        }
    }
}
