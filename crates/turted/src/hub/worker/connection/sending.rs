//! What goes out to a client: at once, gathered, or as its client takes it.

use std::rc::Rc;

use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};
use turted_core::close::Close;

use super::Connection;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::outlet::{Ledger, Missed, Outlet, Pace, Queue, Sent};
use crate::hub::worker::worker::Worker;

impl Connection {
    /// Sends one message that carries no dispatch.
    pub(crate) fn send_message(self: &Rc<Self>, worker: &Rc<Worker>, message: &str) {
        self.send(worker, &[self.wire().framing.wrap(message, 0)]);
    }

    /// Sends frames in order. A client that cannot take them is closed.
    pub(crate) fn send(self: &Rc<Self>, worker: &Rc<Worker>, frames: &[Frame]) {
        if !worker.replies.add(self.key, frames) {
            return self.send_with(worker, frames, Outlet::send);
        }
        self.note_last(frames);
        if worker.replies.is_full() {
            self.send_gathered(worker);
        }
    }

    /// Deals with what a client has sent: what `deal` sends to it goes out in one write at the end.
    pub(crate) fn gather<T>(self: &Rc<Self>, worker: &Rc<Worker>, deal: impl FnOnce() -> T) -> T {
        if self.outlet.borrow().is_being_taken() {
            // All that is sent waits behind the rest, so there is nothing to write.
            return deal();
        }
        let gathering = worker.replies.begin(self.key);
        let dealt = deal();
        self.send_gathered(worker);
        drop(gathering);
        dealt
    }

    /// Sends what was [gathered](Self::gather) so far.
    pub(crate) fn send_gathered(self: &Rc<Self>, worker: &Rc<Worker>) {
        if let Some(frames) = worker.replies.take(self.key) {
            self.send_with(worker, &frames, Outlet::send);
            worker.replies.give_back(frames);
        }
    }

    /// Sends what was gathered, whatever comes of it: the connection ends.
    pub(super) fn send_last(&self, worker: &Worker) {
        if let Some(frames) = worker.replies.take(self.key) {
            self.hand_over(worker, &frames, Outlet::send);
        }
    }

    /// Goes on sending frames, after `written` bytes of the first one were written to the socket.
    pub(crate) fn wrote(self: &Rc<Self>, worker: &Rc<Worker>, frames: &[Frame], written: usize) {
        self.send_with(worker, frames, |outlet, frames, ledger| outlet.wrote(frames, written, ledger));
    }

    /// Sends a heartbeat, before all that waits for the client.
    pub(crate) fn send_ahead(self: &Rc<Self>, worker: &Rc<Worker>, frame: &Frame) {
        self.send_gathered(worker);
        let sent = self.outlet.borrow_mut().send_ahead(frame, &worker.ledger);
        self.settle(worker, sent);
    }

    /// Sends what the client missed, or history that it asked for, as it takes it. What is sent from now on comes behind.
    pub(crate) fn replay(self: &Rc<Self>, worker: &Rc<Worker>, mut missed: Missed) {
        let Some(last) = missed.last() else { return };
        self.send_gathered(worker);
        if !missed.is_history() {
            self.sent.set(last);
        }
        missed.begin(worker.feeds.begin(self.key));
        if let Some(route) = self.route() {
            worker.metrics.delivered(route, missed.len());
        }
        let sent = self.outlet.borrow_mut().replay(missed, &worker.ledger);
        self.settle(worker, sent);
    }

    fn send_with(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        frames: &[Frame],
        send: impl FnOnce(&mut Outlet, &[Frame], &Rc<Ledger>) -> Sent,
    ) {
        self.note_last(frames);
        let sent = self.hand_over(worker, frames, send);
        self.settle(worker, sent);
    }

    /// Notes the last dispatch among frames.
    fn note_last(&self, frames: &[Frame]) {
        if let Some(last) = frames.iter().rev().find(|frame| frame.sequence() > 0) {
            self.sent.set(last.sequence());
        }
    }

    /// Hands frames to the outlet, and counts them.
    fn hand_over(
        &self,
        worker: &Worker,
        frames: &[Frame],
        send: impl FnOnce(&mut Outlet, &[Frame], &Rc<Ledger>) -> Sent,
    ) -> Sent {
        let route = self.route();
        let sent = send(&mut self.outlet.borrow_mut(), frames, &worker.ledger);
        if let (Some(route), Sent::Yes | Sent::Kept | Sent::Blocked) = (route, sent) {
            let dispatches = frames.iter().filter(|frame| frame.sequence() > 0).count();
            worker.metrics.delivered(route, dispatches);
            let bytes: usize = frames.iter().map(|frame| frame.bytes().len()).sum();
            self.sent_bytes.set(self.sent_bytes.get() + bytes as u64);
        }
        sent
    }

    /// Does what the result of sending asks for.
    pub(crate) fn settle(self: &Rc<Self>, worker: &Rc<Worker>, sent: Sent) {
        match sent {
            Sent::Yes => {}
            Sent::Kept => self.note_waiting(worker),
            Sent::Blocked => {
                self.note_waiting(worker);
                self.watch_outlet(worker);
            }
            Sent::Full => self.close(worker, Close::SlowReader),
            Sent::Gone => self.close(worker, Close::TransportLost),
        }
    }

    /// Notes that something waits for it from now on.
    fn note_waiting(&self, worker: &Worker) {
        let since = self.outlet.borrow().since();
        if let Some(since) = since
            && worker.waiting.add(since, self.key, |since, key| worker.find_waiting(since, key).is_some())
        {
            worker.shared.longest.tell(worker.index, Some(since));
        }
    }

    /// The same for the task that watches the outlet. If all that waited `since` was taken and something else
    /// waits now, notes that, and gives the client as much time for it. A session of SockJS, say, gives its
    /// response the next portion at once.
    fn note_anew(&self, worker: &Worker, since: &mut Option<Instant>, pace: &mut Pace) {
        let now_since = self.outlet.borrow().since();
        if now_since != *since {
            (*since, *pace) = (now_since, Pace::new(worker.config.limits.outbox_stall, Instant::now()));
            self.note_waiting(worker);
        }
    }

    /// Starts a task that writes what waits as the client takes it, and closes the connection if the client
    /// does not.
    fn watch_outlet(self: &Rc<Self>, worker: &Rc<Worker>) {
        let queue = match &*self.outlet.borrow() {
            Outlet::Body(body) => Some(Rc::clone(body.queue())),
            _ => None,
        };
        match queue {
            Some(queue) => worker.spawn(watch(Rc::clone(worker), Rc::clone(self), queue)),
            None => worker.spawn(flush(Rc::clone(worker), Rc::clone(self))),
        }
    }
}

/// Writes what waits for a full socket, until nothing waits or the client takes nothing any more.
/// At most one such task exists per connection: only the first blocked write starts it.
async fn flush(worker: Rc<Worker>, connection: Rc<Connection>) {
    let mut pace = Pace::new(worker.config.limits.outbox_stall, Instant::now());
    let mut since = connection.outlet.borrow().since();
    while let Some(socket) = connection.socket() {
        match timeout_at(pace.deadline(), socket.writable()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return connection.close(&worker, Close::TransportLost),
            Err(_) => return connection.close(&worker, Close::SlowReader),
        }
        // A task that is woken goes to the end of the runtime's queue: all other tasks have a turn in between.
        let turn = worker.flushes.acquire().await.expect("the semaphore is never closed");
        let flushed = connection.outlet.borrow_mut().flush(&worker.ledger);
        pace.took(flushed.bytes, Instant::now());
        connection.note_anew(&worker, &mut since, &mut pace);
        match flushed.sent {
            Sent::Blocked => {}
            Sent::Yes | Sent::Kept => return,
            Sent::Full | Sent::Gone => return connection.close(&worker, Close::TransportLost),
        }
        drop(turn);
        // A client that takes bytes as fast as they come leaves its socket writable.
        yield_now().await;
    }
}

/// Watches that a response of HTTP/2 takes what waits for it, and closes the connection if it takes nothing any
/// more. At most one such task exists per connection.
async fn watch(worker: Rc<Worker>, connection: Rc<Connection>, queue: Rc<Queue>) {
    let mut pace = Pace::new(worker.config.limits.outbox_stall, Instant::now());
    let (mut taken, mut since) = (queue.taken(), connection.outlet.borrow().since());
    while !queue.stop_watching() {
        if timeout_at(pace.deadline(), queue.progress()).await.is_err() {
            return connection.close(&worker, Close::SlowReader);
        }
        pace.took(queue.taken().wrapping_sub(taken), Instant::now());
        taken = queue.taken();
        connection.note_anew(&worker, &mut since, &mut pace);
    }
}
