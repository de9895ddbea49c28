//! What is due when: heartbeats and deadlines of all connections of one worker in one heap.
//!
//! Entries are never taken out early. One whose connection is gone, or was heard of since, is
//! dropped when it comes up; that is cheaper than a timer per connection.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use turted_core::registry::ConnectionKey;

/// What is due for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// It must have sent its first packet.
    Connect,
    /// It is time to send a heartbeat.
    Ping,
    /// The answer to the heartbeat must have come.
    Pong,
    /// It must have sent a heartbeat of its own.
    Silence,
    /// A polling request that waits during an upgrade may be sent home.
    Noop,
    /// The upgrade that began must have ended.
    Upgrade,
    /// A proof of who it is may have expired.
    Expiry,
}

type Entry = (Instant, ConnectionKey, Due);

/// The deadlines of one worker.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: RefCell<BinaryHeap<Reverse<Entry>>>,
    sooner: Notify,
}

impl Timers {
    /// Calls for `key` at `at`.
    pub(crate) fn add(&self, at: Instant, key: ConnectionKey, due: Due) {
        let mut heap = self.heap.borrow_mut();
        let is_first = heap.peek().is_none_or(|Reverse((first, ..))| at < *first);
        heap.push(Reverse((at, key, due)));
        if is_first {
            self.sooner.notify_one();
        }
    }

    /// Waits until something is due. Cancel safe: nothing is taken out.
    pub(crate) async fn wait(&self) {
        loop {
            let first = self.heap.borrow().peek().map(|Reverse((at, ..))| *at);
            match first {
                None => self.sooner.notified().await,
                Some(at) => tokio::select! {
                    () = sleep_until(at) => return,
                    () = self.sooner.notified() => {}
                },
            }
        }
    }

    /// Takes out what is due at `now`.
    pub(crate) fn pop(&self, now: Instant) -> Option<(ConnectionKey, Due)> {
        let mut heap = self.heap.borrow_mut();
        let Reverse((at, ..)) = heap.peek()?;
        if *at > now {
            return None;
        }
        let Reverse((_, key, due)) = heap.pop()?;
        if heap.len() * 4 < heap.capacity() && heap.capacity() > 1024 {
            heap.shrink_to_fit();
        }
        Some((key, due))
    }
}
