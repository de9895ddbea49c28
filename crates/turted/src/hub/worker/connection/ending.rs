//! How a connection ends: what its client, its transport and others are told, and what is kept of it.

use tracing::{Level, debug, enabled};
use turted_core::close::{Close, Closing};
use turted_core::wire::websocket::encode_close;

use super::Connection;
use crate::auth::unix_now;
use crate::hub::delivery::outlet::Outlet;
use crate::hub::worker::session_id::SessionId;
use crate::hub::worker::worker::Worker;
use crate::live::{Kind, Record};

impl Connection {
    /// Closes the connection if its client has ended it, which a task that reads would notice later.
    pub(crate) fn close_if_gone(&self, worker: &Worker) {
        if self.socket().is_some_and(|socket| socket.is_gone()) {
            self.close(worker, Close::TransportLost);
        }
    }

    /// Ends the connection: it leaves the registry at once, and its transport is told why.
    pub(crate) fn close(&self, worker: &Worker, close: Close) {
        self.close_saying(worker, close.into());
    }

    /// The same, with other words for the client.
    pub(crate) fn close_saying(&self, worker: &Worker, closing: Closing<'_>) {
        let (Some(route), close) = (self.route(), closing.close) else { return };
        self.send_last(worker);
        self.tell_end(worker, close);
        // Before another worker can resume the session.
        let (id, session) = (self.id(worker), self.recovery_id.get().map(SessionId::key));
        worker.shared.hooks.closed(id, session, close);
        worker.shared.presence.closed(id, session, close, &worker.shared.life);
        self.keep_session(worker, close);
        worker.audience.forget(self.key);
        self.note_last_seen(worker);
        worker.registry.borrow_mut().remove(self.key);
        let mut outlet = self.outlet.replace(Outlet::Closed);
        worker.metrics.closed(route, close);
        let farewell = self.session.end(worker, &mut outlet, closing);
        match outlet {
            Outlet::Stream(stream) => stream.end(&worker.tasks, farewell, close),
            Outlet::Body(body) => body.end(farewell, close),
            Outlet::Requests(_) | Outlet::Closed => {}
        }
    }

    /// Notes when its users were last connected, if it has any.
    fn note_last_seen(&self, worker: &Worker) {
        let registry = worker.registry.borrow();
        if registry.is_identified(self.key) {
            let users = registry.memberships(self.key).users;
            worker.shared.presence.last_seen.note(users.iter().map(|(user, _)| user), unix_now());
        }
    }

    /// Tells the log, and those who watch, that it ends. To be called while it still has its ids and its users.
    fn tell_end(&self, worker: &Worker, close: Close) {
        let seconds = || worker.uptime().saturating_sub(self.opened()).as_secs();
        worker.shared.live.tell(|| {
            let record = Record {
                public_id: self.public_id(),
                reason: Some(close.reason().into()),
                seconds: Some(seconds()),
                sent_bytes: Some(self.sent_bytes()),
                ..Record::new(Kind::Closed)
            };
            self.described(worker, record)
        });
        if !enabled!(Level::DEBUG) {
            return;
        }
        debug!(
            connection = %self.told_id(worker),
            public_id = self.public_id(),
            reason = close.reason(),
            seconds = seconds(),
            sent_bytes = self.sent_bytes(),
            "connection closed"
        );
    }

    /// Ends the connection of a slow reader and gives up at once all that waits for it. The client is told no
    /// reason, which would have to wait behind what it has not read.
    pub(crate) fn cut(&self, worker: &Worker) {
        if let Outlet::Stream(stream) = &mut *self.outlet.borrow_mut() {
            stream.give_up();
        }
        self.close(worker, Close::SlowReader);
    }

    /// Keeps the session if its client may come back.
    fn keep_session(&self, worker: &Worker, close: Close) {
        let Some(id) = self.recovery_id.take() else { return };
        if !close.is_recoverable() {
            return worker.shared.recovery.forget(id.key());
        }
        worker.shared.recovery.keep(id.key(), self.state(worker));
    }

    /// Answers the close frame of a client with one of our own (RFC 6455 5.5.1), unless a frame is
    /// half sent.
    pub(crate) fn answer_close(&self, code: u16) {
        if let Outlet::Stream(stream) = &*self.outlet.borrow()
            && !stream.is_blocked()
        {
            // The client may be gone; it closed first.
            let _ = stream.socket.try_write(&encode_close(code, ""));
        }
    }
}
