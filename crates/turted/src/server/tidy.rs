//! Tidying: forgets what was kept for clients and backends that come back, when it is too old and none of
//! them comes any more.
//!
//! Each store makes room when it is given more. A server whose clients have all left is given nothing, and
//! would keep for ever what they left behind.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::hub::worker::worker::Worker;
use crate::io::tasks;
use crate::push::rest::PushGate;

/// A wake-up per second is as cheap as none, and what is kept for a second is gone a second later.
const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Ten seconds more or less do not matter to what was kept for minutes.
const INTERVAL_MAX: Duration = Duration::from_secs(10);

/// Tidies until the server ends. One worker does it for all.
pub(super) async fn run(worker: Rc<Worker>, push: Arc<PushGate>) {
    let interval = worker.config.recovery.max_age.clamp(INTERVAL_MIN, INTERVAL_MAX);
    let ending = worker.shared.life.ending.clone();
    tasks::every(interval, ending, |now| forget(&worker, &push, now)).await;
}

/// Forgets a portion of what is too old. Returns whether there is more.
fn forget(worker: &Worker, push: &PushGate, now: Instant) -> bool {
    let shared = &worker.shared;
    let dispatches = worker.dispatcher.tidy(now);
    let sessions = shared.recovery.tidy(now);
    let pushes = push.tidy(now);
    let idents = shared.gate.tidy(now);
    let seen = shared.presence.last_seen.tidy(now);
    dispatches || sessions || pushes || idents || seen
}
