//! What all clones of a dispatcher share, with the log writer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use turted_core::epochs::{Epoch, Epochs};

use crate::hub::dispatch::handlers::{Handlers, HandlersEnd};
use crate::hub::dispatch::log::health::LogHealth;
use crate::hub::dispatch::losses::Losses;
use crate::hub::dispatch::order::Order;
use crate::hub::dispatch::writer::WriterEnd;
use crate::io::backlogs::Backlogs;
use crate::live::Live;

/// Time between two looks whether the disk answers, at a stop.
const STOP_LOOK: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Inner {
    /// Held while a push is numbered and put into the inboxes, so that the order of the inboxes is the order of
    /// the log. Once per push, never per delivery, never across await.
    pub(super) order: Mutex<Order>,
    /// Tells the log writer that something waits for it.
    pub(super) queued: Condvar,
    /// The same where the log stands in the engine of a cluster: its writer is a task.
    pub(super) queued_for_engine: Notify,
    pub(super) epochs: RwLock<Epochs>,
    /// The number of the last dispatch before this dispatcher was made.
    pub(super) began_after: AtomicU64,
    pub(super) losses: Losses,
    pub(super) backlogs: Arc<Backlogs>,
    pub(super) live: Live,
    pub(super) handlers: Arc<Handlers>,
    pub(super) handlers_end: Mutex<Option<HandlersEnd>>,
    pub(super) writer_end: Mutex<Option<WriterEnd>>,
    pub(super) health: Arc<LogHealth>,
    /// Whether the log is on disk, or that of a cluster.
    pub(super) keeps_keys: AtomicBool,
    /// Whether other nodes read what is dispatched here.
    pub(super) has_nodes: AtomicBool,
}

impl Inner {
    pub(super) fn order(&self) -> MutexGuard<'_, Order> {
        lock(&self.order)
    }

    /// Wakes the log writer: a task or a thread. To wake a thread costs a call of the system, even if none waits.
    pub(super) fn wake_writer(&self) {
        if self.has_nodes.load(Ordering::Relaxed) {
            self.queued_for_engine.notify_one();
        } else {
            self.queued.notify_all();
        }
    }

    pub(super) fn epochs(&self) -> RwLockReadGuard<'_, Epochs> {
        self.epochs.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn epochs_mut(&self) -> RwLockWriteGuard<'_, Epochs> {
        self.epochs.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the inboxes after a stop if the disk does not answer: workers and clients do not wait for it. What the disk
    /// takes after all is there at the next start.
    pub(super) fn watch_stop(inner: &Arc<Self>) {
        let inner = Arc::clone(inner);
        let watch = move || {
            let mut order = inner.order();
            while !order.is_closed() {
                let waited = inner.queued.wait_timeout(order, STOP_LOOK);
                order = waited.unwrap_or_else(PoisonError::into_inner).0;
                if order.queue_mut().is_stuck(Instant::now()) {
                    order.close();
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("turted-stop".to_owned()).spawn(watch) {
            tracing::warn!(%error, "cannot start a thread: a disk that hangs holds the stop up");
        }
    }

    /// Begins an epoch: what comes from here on may be missing on disk. Positions of earlier ones stay good.
    pub(super) fn begin_epoch(&self) {
        let mut order = self.order();
        let mut epochs = self.epochs_mut();
        // Without random numbers it is the first one that is not used.
        let fresh = getrandom::u32().unwrap_or_default();
        let begun = Epoch { epoch: epochs.unused(fresh).into(), after: order.log.last() };
        epochs.begin(begun);
        order.log.begin(begun);
    }
}

/// Nothing under these locks can panic half-way; a poisoned lock still guards a sound value.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
