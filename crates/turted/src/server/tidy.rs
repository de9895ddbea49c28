//! Tidying: what was kept for those who come back goes when it is too old, also where nobody comes
//! any more.
//!
//! Whoever keeps something makes room when it is given more. A server from which everybody went
//! away is given nothing, and would own for ever what they left behind.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::hub::worker::worker::Worker;
use crate::io::tasks;
use crate::push::rest::PushGate;

/// What is forgotten under one lock: about 50 us for those who wait for it.
pub(crate) const PORTION: usize = 64;
/// A wake-up per second is as cheap as none, and what is kept for a second is gone a second later.
const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Ten seconds more or less do not matter to what was kept for minutes.
const INTERVAL_MAX: Duration = Duration::from_secs(10);
/// Containers of fewer entries are not worth a second thought.
const SPARE: usize = 1_024;

/// Tidies until the server ends. One worker does it for all.
pub(super) async fn run(worker: Rc<Worker>, push: Arc<PushGate>) {
    let interval = worker.config.recovery.max_age.clamp(INTERVAL_MIN, INTERVAL_MAX);
    let ending = worker.shared.life.ending.clone();
    tasks::every(interval, ending, |now| forget(&worker, &push, now)).await;
}

/// Forgets a portion of what is too old: whether there is more.
fn forget(worker: &Worker, push: &PushGate, now: Instant) -> bool {
    let shared = &worker.shared;
    let dispatches = worker.dispatcher.read_log(|log| log.tidy(now));
    let sessions = shared.recovery.tidy(now);
    let pushes = push.tidy(now);
    let idents = shared.gate.tidy(now);
    dispatches || sessions || pushes || idents
}

/// Gives back what a map has room for beyond need, if that is most of it.
pub(crate) fn shrink_map<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if is_mostly_empty(map.len(), map.capacity()) {
        map.shrink_to(2 * map.len());
    }
}

/// Gives back what a queue has room for beyond need, if that is most of it.
pub(crate) fn shrink_queue<T>(queue: &mut VecDeque<T>) {
    if is_mostly_empty(queue.len(), queue.capacity()) {
        queue.shrink_to(2 * queue.len());
    }
}

/// Entries move when a container shrinks. So it happens when few are left of many.
fn is_mostly_empty(used: usize, capacity: usize) -> bool {
    capacity > SPARE && used < capacity / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_gives_back_its_room_when_little_of_it_is_used() {
        let mut map: HashMap<_, _> = (0..10_000).map(|number| (number, number)).collect();
        let mut queue: VecDeque<_> = (0..10_000).collect();
        map.retain(|number, _| *number < 5_000);
        queue.truncate(5_000);
        shrink_map(&mut map);
        shrink_queue(&mut queue);
        assert!(map.capacity() >= 7_000 && queue.capacity() >= 10_000, "half of it is used");
        map.retain(|number, _| *number < 10);
        queue.truncate(10);
        shrink_map(&mut map);
        shrink_queue(&mut queue);
        assert!(map.capacity() < 100 && queue.capacity() < 100);
        assert!((0..10).all(|number| map[&number] == number && queue[number] == number));
    }
}
