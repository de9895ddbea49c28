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
    let (mut closed, mut told) = (0, None::<Instant>);
    while ending.run_until_cancelled(backlogs.exceeded()).await.is_some() {
        closed += relieve(&worker).await;
        if closed > 0 && told.is_none_or(|told| told.elapsed() >= TELL_PAUSE) {
            let limit = backlogs.limit();
            tracing::warn!(
                closed,
                limit,
                "too much waits for clients (limits.backlog_bytes): slow readers are closed"
            );
            (closed, told) = (0, Some(Instant::now()));
        }
        ending.run_until_cancelled(sleep(PAUSE)).await;
    }
}

/// Closes connections until there is room. Returns how many.
async fn relieve(worker: &Rc<Worker>) -> usize {
    let longest = &worker.shared.longest;
    let (start, mut closed) = (Instant::now(), 0);
    loop {
        let own = worker.waiting.longest(|since, key| worker.find_waiting(since, key));
        longest.tell(worker.index, own.as_ref().map(|(since, _)| *since));
        if !worker.shared.backlogs.is_full() {
            return closed;
        }
        let Some((_, connection)) = own else { return closed };
        if longest.is_of(worker.index) || start.elapsed() >= OTHERS_WAIT {
            worker.waiting.remove_longest();
            connection.cut(worker);
            closed += 1;
        } else {
            sleep(PAUSE).await;
        }
    }
}
