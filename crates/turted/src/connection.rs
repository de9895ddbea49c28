//! One client, whatever its transport: the way out, and how it ends.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use turted_core::close::Close;
use turted_core::registry::ConnectionKey;
use turted_core::standing::Standing;
use turted_core::wire::websocket::encode_close;

use crate::fanout::Chain;
use crate::frame::Frame;
use crate::outlet::{Outlet, Sent};
use crate::socket::{LINGER, Socket};
use crate::transport::socketio::Session;
use crate::wire::Wire;
use crate::worker::Worker;

/// One client. Owned by its worker's registry and by the tasks that read from it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) key: ConnectionKey,
    /// What it speaks above its transport.
    pub(crate) session: Session,
    /// What it has proved beyond the users it is.
    pub(crate) standing: RefCell<Standing>,
    /// When the proofs are looked at next.
    pub(crate) expiry_due: Cell<Option<Instant>>,
    /// What waits in the fan-out.
    pub(crate) chain: Cell<Chain>,
    /// Seconds since the worker started. The worker's clock is a `Duration` of 16 bytes, too many
    /// for each connection.
    opened: u32,
    wire: Cell<Wire>,
    outlet: RefCell<Outlet>,
    /// The number of the last dispatch that was handed to the outlet.
    sent: Cell<u64>,
}

impl Connection {
    /// A connection that was opened when its worker was up for `uptime`.
    pub(crate) fn new(key: ConnectionKey, session: Session, outlet: Outlet, uptime: Duration) -> Self {
        Self {
            key,
            session,
            standing: RefCell::default(),
            expiry_due: Cell::new(None),
            chain: Cell::new(Chain::EMPTY),
            opened: u32::try_from(uptime.as_secs()).unwrap_or(u32::MAX),
            wire: Cell::new(Wire::SocketIo),
            outlet: RefCell::new(outlet),
            sent: Cell::new(0),
        }
    }

    /// The uptime of its worker at which it was opened.
    pub(crate) fn opened(&self) -> Duration {
        Duration::from_secs(self.opened.into())
    }

    pub(crate) fn wire(&self) -> Wire {
        self.wire.get()
    }

    pub(crate) fn set_wire(&self, wire: Wire) {
        self.wire.set(wire);
    }

    /// The number of the last dispatch that went out, or of the last one before it connected.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    pub(crate) fn set_sent(&self, sequence: u64) {
        self.sent.set(sequence);
    }

    /// The way out, to look at or to change. Not to be held across a call that sends.
    pub(crate) fn outlet(&self) -> &RefCell<Outlet> {
        &self.outlet
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(*self.outlet.borrow(), Outlet::Closed)
    }

    /// Sends one packet that carries no dispatch.
    pub(crate) fn send_packet(self: &Rc<Self>, worker: &Rc<Worker>, packet: &str) {
        self.send(worker, &[Frame::text(packet, 0)]);
    }

    /// Sends frames in order. A client that cannot take them is closed.
    pub(crate) fn send(self: &Rc<Self>, worker: &Rc<Worker>, frames: &[Frame]) {
        if let Some(last) = frames.iter().rev().find(|frame| frame.sequence() > 0) {
            self.sent.set(last.sequence());
        }
        let sent = self.outlet.borrow_mut().send(frames, worker.outbox());
        self.settle(worker, sent);
    }

    /// Does what the result of sending asks for.
    pub(crate) fn settle(self: &Rc<Self>, worker: &Rc<Worker>, sent: Sent) {
        match sent {
            Sent::Yes => {}
            Sent::Blocked => worker.spawn(flush(Rc::clone(worker), Rc::clone(self))),
            Sent::Full => self.close(worker, Close::SlowReader),
            Sent::Gone => self.close(worker, Close::TransportLost),
        }
    }

    /// Ends the connection: it leaves the registry at once, and its transport is told why.
    pub(crate) fn close(&self, worker: &Worker, close: Close) {
        if self.is_closed() {
            return;
        }
        tracing::debug!(key = ?self.key, reason = close.reason(), "closing");
        self.session.closing(worker, self, close);
        worker.registry.borrow_mut().remove(self.key);
        let outlet = self.outlet.replace(Outlet::Closed);
        worker.metrics.outbox_bytes.subtract(outlet.waiting().bytes);
        if let Some(transport) = outlet.transport() {
            worker.metrics.closed(transport, self.session.version, close);
        }
        match outlet {
            Outlet::Stream(stream) => {
                end_stream(&stream.socket, close, stream.is_blocked());
                if close.code().is_some() && close != Close::Drain {
                    worker.spawn(cut_off(Rc::downgrade(&stream.socket)));
                }
            }
            Outlet::Polling(mut polling) => polling.answer_alone(Session::CLOSE_PACKET),
            Outlet::Closed => {}
        }
    }

    /// Answers the close frame of a client with one of our own (RFC 6455 5.5.1).
    pub(crate) fn say_good_bye(&self, code: u16) {
        if let Some(socket) = self.socket() {
            // The client may be gone; it closed first.
            let _ = socket.try_write(&encode_close(code, ""));
        }
    }

    /// The socket that frames are written to, while it is open.
    fn socket(&self) -> Option<Rc<Socket>> {
        match &*self.outlet.borrow() {
            Outlet::Stream(stream) => Some(Rc::clone(&stream.socket)),
            Outlet::Polling(_) | Outlet::Closed => None,
        }
    }
}

/// Says good-bye where it can arrive and makes the task that reads the socket see the end.
fn end_stream(socket: &Socket, close: Close, blocked: bool) {
    match close.code() {
        Some(code) if !blocked => {
            // A full or broken socket takes no close frame; the end of the stream says it too.
            let _ = socket.try_write(&encode_close(code, close.reason()));
            socket.finish();
        }
        // Whoever does not read would keep the kernel's buffer alive until the last byte is sent.
        _ if blocked => socket.reset(),
        _ => socket.shutdown(),
    }
}

/// Ends a socket whose client had time to answer the good-bye: the task that reads it would wait
/// for a client that never does. When the server stops, nobody waits so long.
async fn cut_off(socket: Weak<Socket>) {
    sleep(LINGER).await;
    if let Some(socket) = socket.upgrade() {
        socket.shutdown();
    }
}

/// Writes what waits for a full socket, until nothing waits or the client takes nothing any more.
/// At most one such task exists per connection: only the first blocked write starts it.
async fn flush(worker: Rc<Worker>, connection: Rc<Connection>) {
    while let Some(socket) = connection.socket() {
        match timeout(worker.config.limits.outbox_stall, socket.writable()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return connection.close(&worker, Close::TransportLost),
            Err(_) => return connection.close(&worker, Close::SlowReader),
        }
        let sent = match &mut *connection.outlet.borrow_mut() {
            Outlet::Stream(stream) => stream.flush(&worker.metrics),
            Outlet::Polling(_) | Outlet::Closed => return,
        };
        match sent {
            Sent::Blocked => {}
            Sent::Yes => return,
            Sent::Full | Sent::Gone => return connection.close(&worker, Close::TransportLost),
        }
    }
}
