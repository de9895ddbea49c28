//! Sessions on a WebSocket: from the start, or by upgrade from polling.

use std::rc::Rc;

use bytes::Bytes;
use tokio::time::Instant;
use turted_core::close::Close;
use turted_core::wire::engineio::Packet;
use turted_core::wire::websocket::{Message, Opcode, encode_frame};

use super::engine::AbortGuard;
use super::polling::Polling;
use super::state::{self, EngineSession, FirstCarrier, Newcomer, send_home};
use super::{connect, engine};
use crate::http::Takeover;
use crate::http::query::Query;
use crate::http::websocket::reader::{ReadProgress, Reader};
use crate::http::websocket::run::{refuse, run, write_whole};
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::outlet::{Form, Outlet, Sent, Stream};
use crate::hub::worker::connection::{Client, Connection};
use crate::hub::worker::session::Step;
use crate::hub::worker::timers::Due;
use crate::hub::worker::worker::Worker;
use crate::io::socket::Socket;

/// What a client sends to see whether a WebSocket works, and the answer (engine.io protocol,
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
        let connection = state::open(&worker, &newcomer, EngineSession::new(&newcomer), outlet);
        let mut greeting = accepted;
        let handshake = state::handshake(Client::of(&worker, &connection), FirstCarrier::WebSocket);
        greeting.extend_from_slice(Frame::text(&handshake, 0).bytes());
        let unasked = connect::unasked(&newcomer);
        if let Some(packet) = unasked {
            greeting.extend_from_slice(Frame::text(packet, 0).bytes());
        }
        if !write_whole(&socket, &greeting) {
            return connection.close(&worker, Close::TransportLost);
        }
        if unasked.is_some() {
            connect::admit_v3(Client::of(&worker, &connection), &query);
        }
        (newcomer.service.opened)(Client::of(&worker, &connection), &query);
        let reader = Reader::new(&worker.config.limits, &leftover);
        serve(worker, connection, socket, reader);
    })
}

/// Lets a WebSocket take over a session, on whichever worker the session lives.
pub(super) fn upgrade(worker: Rc<Worker>, attempt: AbortGuard, accepted: Vec<u8>) -> Takeover {
    Box::new(move |socket, leftover| {
        worker.spawn(async move {
            // A client that does not even take the handshake has no use for the rest.
            let _ = write_whole(&socket, &accepted);
            engine::hand_over(attempt, socket, leftover).await;
        });
    })
}

/// Closes a second WebSocket of a session as soon as its handshake is done. The session lives on, and is
/// not moved (engine.io `Server.onWebSocket`).
pub(super) fn turn_away(worker: Rc<Worker>, accepted: Vec<u8>) -> Takeover {
    Box::new(move |socket, _| {
        worker.spawn(async move {
            if write_whole(&socket, &accepted) {
                refuse(&socket, ALREADY_UPGRADED).await;
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
        // The session has ended in the meantime, so nothing would end this socket any more.
        return;
    }
    let socket = Rc::new(socket);
    let deadline = Instant::now() + worker.config.socketio.upgrade_timeout;
    EngineSession::of(&connection)
        .probe
        .replace(Some(Box::new(state::Probe { deadline, socket: Rc::clone(&socket) })));
    worker.timers.add(deadline, connection.key, Due::Upgrade);
    let mut reader = Reader::new(&worker.config.limits, &leftover);
    let mut state = Probe::Running;
    while state == Probe::Running {
        let read = reader.read(&worker, &socket, |message| {
            state = probed(Client::of(&worker, &connection), &socket, &message);
            if state == Probe::Running { Step::Continue } else { Step::Stop }
        });
        match read {
            ReadProgress::Drained => {
                if reader.ready(&socket).await.is_err() {
                    state = Probe::Failed;
                }
            }
            ReadProgress::Stopped => {}
            ReadProgress::Violated(violation) => {
                refuse(&socket, violation.close_code()).await;
                state = Probe::Failed;
            }
            _ => state = Probe::Failed,
        }
    }
    EngineSession::of(&connection).probe.take();
    if state == Probe::Done && move_over(Client::of(&worker, &connection), &socket) {
        serve(worker, connection, socket, reader);
    } else {
        engine::give_up_upgrade(Client::of(&worker, &connection));
    }
}

/// One message on a WebSocket that has not taken over yet.
fn probed(client: Client<'_>, socket: &Socket, message: &Message<'_>) -> Probe {
    let session = EngineSession::of(client.connection);
    if !client.connection.may_send(client.worker) {
        return Probe::Failed;
    }
    let Message::Text(text) = message else {
        return if matches!(message, Message::Pong(_)) { Probe::Running } else { Probe::Failed };
    };
    match Packet::decode_text(session.version, text) {
        Ok(Packet::Ping(PROBE)) => {
            if let Some(polling) = client.connection.outlet().borrow_mut().requests_mut::<Polling>() {
                polling.hold();
            }
            send_home(client);
            let answered = write_whole(socket, &encode_frame(Opcode::Text, PROBE_ANSWER.as_bytes()));
            if answered { Probe::Running } else { Probe::Failed }
        }
        // A client waits for the end of its POST before it moves (engine.io-client, `Polling.pause`).
        // The packets of a client that does not wait would be received on two ways at once.
        Ok(Packet::Upgrade) if !session.posting.get() => Probe::Done,
        _ => Probe::Failed,
    }
}

/// Makes the WebSocket the way out and sends what waited for it.
fn move_over(client: Client<'_>, socket: &Rc<Socket>) -> bool {
    let waiting = match client.connection.outlet().borrow_mut().requests_mut::<Polling>() {
        Some(polling) => polling.leave(&client.worker.ledger),
        None => return false,
    };
    let polling = client.connection.route();
    let stream = Stream::going_on(Rc::clone(socket), Form::WebSocket, waiting);
    let sent = if stream.is_blocked() { Sent::Blocked } else { Sent::Yes };
    client.connection.outlet().replace(Outlet::Stream(stream));
    if let (Some(from), Some(to)) = (polling, client.connection.route()) {
        client.worker.metrics.moved(from, to);
    }
    // The socket has a permit of its own.
    drop(EngineSession::of(client.connection).place.release());
    client.connection.settle(client.worker, sent);
    true
}

/// Reads the WebSocket of a session until it ends, in a task of its own. The task lives as long as the
/// connection, so it must not hold what only the handshake or the upgrade needed.
fn serve(worker: Rc<Worker>, connection: Rc<Connection>, socket: Rc<Socket>, reader: Reader) {
    let spawner = Rc::clone(&worker);
    if !EngineSession::of(&connection).is_verifying() {
        return spawner.spawn(run(worker, connection, socket, reader));
    }
    spawner.spawn(async move {
        EngineSession::of(&connection).handshake_verified().await;
        Rc::clone(&worker).spawn(run(worker, connection, socket, reader));
    });
}
