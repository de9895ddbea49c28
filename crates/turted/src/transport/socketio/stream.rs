//! Sessions on a WebSocket: from the start, or by upgrade from polling.

use std::rc::Rc;

use bytes::Bytes;
use tokio::time::Instant;
use turted_core::close::Close;
use turted_core::wire::engineio::{Malformed, Packet};
use turted_core::wire::websocket::{Message, Opcode, encode_frame};

use super::request::AbortGuard;
use super::session::{self, Newcomer, Opening, Session};
use super::{connect, engine, packets};
use crate::cli::conformance;
use crate::http::Takeover;
use crate::http::query::Query;
use crate::http::websocket::reader::Progress;
use crate::http::websocket::reader::Reader;
use crate::http::websocket::reader::Step;
use crate::http::websocket::run::write_whole;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::outlet::{Form, Outlet, Sent, Stream};
use crate::hub::worker::connection::Connection;
use crate::hub::worker::timers::Due;
use crate::hub::worker::worker::Worker;
use crate::io::socket::Socket;
use crate::transport::service::Service;

/// What a client sends to see whether a WebSocket works, and what it hears (engine.io protocol,
/// "Upgrade").
const PROBE: &str = "probe";
const PROBE_ANSWER: &str = "3probe";

/// Closes a WebSocket that may not take its session over: "policy violation" (RFC 6455 7.4.1).
const ALREADY_UPGRADED: u16 = 1008;

/// Opens a session on a WebSocket. The handshakes of WebSocket and Engine.IO go out in one write.
pub(super) fn open(worker: Rc<Worker>, newcomer: Newcomer, query: Query, accepted: Vec<u8>) -> Takeover {
    Box::new(move |socket, leftover| {
        let socket = Rc::new(socket);
        let outlet = Outlet::Stream(Stream::new(Rc::clone(&socket), Form::WebSocket));
        let connection = session::open(&worker, &newcomer, Session::new(&newcomer), outlet);
        let mut greeting = accepted;
        let handshake = session::handshake(&worker, &connection, Opening::WebSocket);
        greeting.extend_from_slice(Frame::text(&handshake, 0).bytes());
        let unasked = connect::unasked(&newcomer);
        if let Some(packet) = unasked {
            greeting.extend_from_slice(Frame::text(packet, 0).bytes());
        }
        if !write_whole(&socket, &greeting) {
            return connection.close(&worker, Close::TransportLost);
        }
        if unasked.is_some() {
            connect::admit_v3(&worker, &connection, &query);
        }
        if let Service::Test(service) = newcomer.service {
            conformance::opened(&worker, &connection, service);
        }
        let reader = Reader::new(&worker.config.limits, &leftover);
        run(worker, connection, socket, reader);
    })
}

/// Lets a WebSocket take over a session, wherever that lives.
pub(super) fn upgrade(worker: Rc<Worker>, attempt: AbortGuard, accepted: Vec<u8>) -> Takeover {
    Box::new(move |socket, leftover| {
        worker.spawn(async move {
            // A client that does not even take the handshake has no use for the rest.
            let _ = write_whole(&socket, &accepted);
            engine::hand_over(attempt, socket, leftover).await;
        });
    })
}

/// Closes a second WebSocket of a session as soon as it is one: the session is not to be moved, and
/// lives (engine.io `Server.onWebSocket`).
pub(super) fn turn_away(worker: Rc<Worker>, accepted: Vec<u8>) -> Takeover {
    Box::new(move |socket, _| {
        worker.spawn(async move {
            if write_whole(&socket, &accepted) {
                crate::http::websocket::run::refuse(&socket, ALREADY_UPGRADED).await;
            }
        });
    })
}

/// How far an upgrade came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    /// The client tries the WebSocket.
    Running,
    /// The client has moved.
    Done,
    /// The client gave up, or broke a rule.
    Failed,
}

/// A WebSocket that wants to take a session over: answers its probe, then waits for the client to
/// move. Until then frames wait; if it never moves they go out by polling.
pub(super) async fn probe(worker: Rc<Worker>, connection: Rc<Connection>, socket: Socket, leftover: Bytes) {
    if connection.is_closed() {
        // Since its letter was read. Nobody would end the socket any more.
        return;
    }
    let socket = Rc::new(socket);
    let deadline = Instant::now() + worker.config.socketio.upgrade_timeout;
    Session::of(&connection).probe.replace(Some((deadline, Rc::clone(&socket))));
    worker.timers.add(deadline, connection.key, Due::Upgrade);
    let mut reader = Reader::new(&worker.config.limits, &leftover);
    let mut state = Probe::Running;
    while state == Probe::Running {
        let read = reader.read(&worker, &socket, |message| {
            state = probed(&worker, &connection, &socket, &message);
            if state == Probe::Running { Step::Continue } else { Step::Stop }
        });
        match read {
            Progress::Drained => {
                if reader.ready(&socket).await.is_err() {
                    state = Probe::Failed;
                }
            }
            Progress::Stopped => {}
            Progress::Violated(violation) => {
                crate::http::websocket::run::refuse(&socket, violation.close_code()).await;
                state = Probe::Failed;
            }
            _ => state = Probe::Failed,
        }
    }
    Session::of(&connection).probe.take();
    if state == Probe::Done && move_over(&worker, &connection, &socket) {
        run(worker, connection, socket, reader);
    } else {
        engine::give_up_upgrade(&worker, &connection);
    }
}

/// One message on a WebSocket that has not taken over yet.
fn probed(worker: &Worker, connection: &Rc<Connection>, socket: &Socket, message: &Message<'_>) -> Probe {
    let session = Session::of(connection);
    if !connection.may_send(worker) {
        return Probe::Failed;
    }
    let Message::Text(text) = message else {
        return if matches!(message, Message::Pong(_)) { Probe::Running } else { Probe::Failed };
    };
    match Packet::decode_text(session.version, text) {
        Ok(Packet::Ping(PROBE)) => {
            if let Outlet::Polling(polling) = &mut *connection.outlet().borrow_mut() {
                polling.hold();
            }
            engine::send_home(worker, connection);
            let answered = write_whole(socket, &encode_frame(Opcode::Text, PROBE_ANSWER.as_bytes()));
            if answered { Probe::Running } else { Probe::Failed }
        }
        // A client waits for the end of its POST before it moves (engine.io-client, `Polling.pause`).
        // The packets of one that does not would be received on two ways at once.
        Ok(Packet::Upgrade) if !session.posting.get() => Probe::Done,
        _ => Probe::Failed,
    }
}

/// Makes the WebSocket the way out and sends what waited for it.
fn move_over(worker: &Rc<Worker>, connection: &Rc<Connection>, socket: &Rc<Socket>) -> bool {
    let waiting = match &mut *connection.outlet().borrow_mut() {
        Outlet::Polling(polling) => polling.leave(&worker.ledger),
        Outlet::Stream(_) | Outlet::Body(_) | Outlet::SockJs(_) | Outlet::Closed => return false,
    };
    let polling = connection.route();
    let stream = Stream::going_on(Rc::clone(socket), Form::WebSocket, waiting);
    let sent = if stream.is_blocked() { Sent::Blocked } else { Sent::Yes };
    connection.outlet().replace(Outlet::Stream(stream));
    if let (Some(from), Some(to)) = (polling, connection.route()) {
        worker.metrics.moved(from, to);
    }
    // The socket has a permit of its own.
    drop(Session::of(connection).place.release());
    connection.settle(worker, sent);
    true
}

/// Reads the WebSocket of a session until it ends, in a task of its own: it lives as long as the
/// connection, so nothing of the way there is kept in it.
fn run(worker: Rc<Worker>, connection: Rc<Connection>, socket: Rc<Socket>, reader: Reader) {
    let spawner = Rc::clone(&worker);
    if !Session::of(&connection).is_verifying() {
        return spawner.spawn(crate::http::websocket::run::run(worker, connection, socket, reader));
    }
    spawner.spawn(async move {
        Session::of(&connection).handshake_verified().await;
        Rc::clone(&worker).spawn(crate::http::websocket::run::run(worker, connection, socket, reader));
    });
}

/// A text message of a client.
pub(crate) fn text(worker: &Rc<Worker>, connection: &Rc<Connection>, session: &Session, text: &str) -> Step {
    receive(worker, connection, Packet::decode_text(session.version, text))
}

/// A binary message of a client.
pub(crate) fn binary(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    session: &Session,
    bytes: &[u8],
) -> Step {
    receive(worker, connection, Packet::decode_binary(session.version, bytes))
}

fn receive(worker: &Rc<Worker>, connection: &Rc<Connection>, packet: Result<Packet<'_>, Malformed>) -> Step {
    match packet {
        Ok(packet) => packets::receive(worker, connection, &packet),
        Err(malformed) => {
            tracing::debug!(connection = %connection.id(worker), %malformed, "malformed packet");
            connection.close(worker, Close::Violation(1002));
            Step::Stop
        }
    }
}
