//! Sessions on a WebSocket: with frames of SockJS, or with nothing but messages. They stay on the
//! worker that accepted them, so the ids in their paths need not be unique.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::time::Instant;
use turted_core::close::Close;
use turted_core::limits::SOCKJS_ESCAPE_BYTES_MAX;
use turted_core::wire::sockjs::OPEN;

use super::mount::Mount;
use super::refusal::SockJsRefusal;
use super::state::{self, SessionKind, SockJsSession};
use crate::http::websocket::handshake::accept_request;
use crate::http::websocket::reader::Reader;
use crate::http::websocket::run::{run, write_whole};
use crate::http::{Call, Outcome};
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::outlet::{Form, Outlet, Stream};
use crate::hub::delivery::wire::Framing;
use crate::hub::worker::connection::{Client, Connection};
use crate::hub::worker::heartbeat::Heartbeat;
use crate::hub::worker::journal::Agent;
use crate::hub::worker::timers::Due;
use crate::hub::worker::worker::Worker;
use crate::io::socket::Socket;

/// Versions of the WebSocket protocol with the frames of RFC 6455: hybi-07, hybi-10 and RFC 6455 itself
/// (sockjs-protocol 0.3.3, `test_headersSanity`).
const VERSIONS: [&str; 3] = ["7", "8", "13"];

/// What stands around the messages of a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frames {
    /// Frames of SockJS.
    SockJs,
    /// Nothing.
    None,
}

/// Turns a request into a WebSocket.
pub(super) fn open(call: Call, mount: Arc<Mount>, frames: Frames) -> Result<Outcome, SockJsRefusal> {
    let Call { worker, peer, agent, request } = call;
    let accepted = accept_request(&request, &VERSIONS).ok_or(SockJsRefusal::NoWebSocket)?;
    if worker.shared.life.is_draining() {
        return Err(SockJsRefusal::Stopping);
    }
    Ok(Outcome::Takeover(Box::new(move |socket, leftover| {
        let mut limits = worker.config.limits.clone();
        if frames == Frames::SockJs {
            // A frame may hold several messages, whose length is checked one by one.
            limits.message_bytes = limits.message_bytes.saturating_mul(SOCKJS_ESCAPE_BYTES_MAX);
        }
        let reader = Reader::new(&limits, &leftover);
        let socket = Rc::new(socket);
        if let Some(connection) = begin(&worker, (peer, agent, mount, frames), &socket, &accepted) {
            worker.clone().spawn(run(worker, connection, socket, reader));
        }
    })))
}

/// Opens a connection. The handshake and the first frame go out in one write.
fn begin(
    worker: &Rc<Worker>,
    (peer, agent, mount, frames): (IpAddr, Agent, Arc<Mount>, Frames),
    socket: &Rc<Socket>,
    response: &[u8],
) -> Option<Rc<Connection>> {
    let (kind, framing, open) = match frames {
        Frames::SockJs => {
            (SessionKind::Framed(Heartbeat::default()), Framing::SockJsWebSocket, Some(Frame::text(OPEN, 0)))
        }
        Frames::None => (SessionKind::Raw(Heartbeat::default()), Framing::WebSocket, None),
    };
    let outlet = Outlet::Stream(Stream::new(Rc::clone(socket), Form::WebSocket));
    let (heartbeat, service) = (mount.options.heartbeat, mount.service);
    let connection = state::open(worker, (peer, &agent), SockJsSession::new(mount, kind), (framing, outlet));
    let greeting = [response, open.as_ref().map_or(b"", Frame::bytes)].concat();
    if !write_whole(socket, &greeting) {
        connection.close(worker, Close::TransportLost);
        return None;
    }
    worker.timers.add(Instant::now() + heartbeat, connection.key, Due::Ping);
    (service.opened)(Client::of(worker, &connection));
    Some(connection)
}
