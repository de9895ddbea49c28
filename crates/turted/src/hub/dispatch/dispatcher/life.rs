//! From when what numbers the dispatches starts, the log writer or a cluster, to when everything has ended.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::{io, mem};

use tokio::sync::mpsc;

use super::Dispatcher;
use crate::hub::dispatch::feed::Feed;
use crate::hub::dispatch::history::DELETIONS_MAX;
use crate::hub::dispatch::inner::{Inner, lock};
use crate::hub::dispatch::log::disk::deleted;
use crate::hub::dispatch::order::Order;
use crate::hub::dispatch::queue::{BUSY_MAX, Queue};
use crate::hub::dispatch::writer::{Ending, Writer, WriterEnd, WriterParts};

impl Dispatcher {
    /// Starts the thread that writes pushes to disk, before the first one comes.
    ///
    /// # Errors
    /// The operating system refuses a thread.
    pub(crate) fn start_writer(&self, parts: WriterParts) -> io::Result<()> {
        if let Some((directory, _)) = &parts.settings.directory {
            let (deletions, receiver) = mpsc::channel(DELETIONS_MAX);
            deleted::start(Arc::clone(directory), receiver)?;
            self.order().deletions = Some(deletions);
        }
        let end = Writer::start(Arc::clone(&self.inner), parts)?;
        *lock(&self.inner.writer_end) = Some(end);
        self.inner.keeps_keys.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Lets a cluster number the dispatches from now on. Nothing is taken until it says so.
    pub(crate) fn feed(&self) -> Feed {
        let mut order = self.order();
        (order.queue, order.is_restoring, order.has_nodes) = (Some(Queue::new(true)), true, true);
        if let Some(history) = &mut order.history {
            history.begin_filling();
        }
        drop(order);
        self.inner.keeps_keys.store(true, Ordering::Relaxed);
        self.inner.has_nodes.store(true, Ordering::Relaxed);
        Feed::new(Arc::clone(&self.inner))
    }

    /// The workers begin behind what was read of the log of a cluster until now.
    pub(crate) fn begin_feed(&self) {
        Feed::new(Arc::clone(&self.inner)).begin();
    }

    /// Accepts nothing from now on; the workers end when their inboxes are empty.
    pub(crate) fn stop(&self) {
        let mut order = self.order();
        if order.queue.is_none() {
            order.close();
        } else if !mem::replace(&mut order.stopped, true) {
            // The log writer closes the inboxes, when it has written what waits.
            Inner::watch_stop(&self.inner);
            self.inner.wake_writer();
        }
    }

    /// Leaves the directory of the log behind: something else in it cannot be believed by a later start. Waits until it is
    /// marked, or until the disk is taken for one that hangs. Not for threads of workers.
    pub(crate) fn leave_log(&self) {
        let mut order = self.order();
        if let Some(queue) = &mut order.queue {
            queue.leave();
            self.inner.queued.notify_all();
            let is_unmarked = |order: &mut Order| !order.is_closed() && order.queue_mut().must_leave();
            drop(self.inner.queued.wait_timeout_while(order, BUSY_MAX, is_unmarked));
        }
    }

    /// Waits until the log writer has ended, after a [stop](Self::stop). What it gives ends the log in good order, when
    /// nothing else can be recorded.
    pub(crate) fn wait_for_writer(&self) -> Option<Ending> {
        let end = lock(&self.inner.writer_end).take();
        end.and_then(WriterEnd::wait)
    }

    /// Lets the log writer end without a clean end of the log, after a [stop](Self::stop) that nobody waits for.
    pub(crate) fn forget_writer(&self) {
        drop(lock(&self.inner.writer_end).take());
    }

    /// Waits until the handlers have heard everything, after a [stop](Self::stop).
    pub(crate) fn wait_for_handlers(&self) {
        let end = lock(&self.inner.handlers_end).take();
        if let Some(end) = end {
            end.wait();
        }
    }
}
