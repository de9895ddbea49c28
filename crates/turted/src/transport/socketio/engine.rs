//! What a request does to its session, on the worker that owns it.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;
use turted_core::close::Close;
use turted_core::wire::engineio::{
    Packet, Version, decode_binary_payload, decode_jsonp_form, decode_payload, decode_payload_of_bytes,
    undo_second_utf8,
};

use super::connect;
use super::packets;
use super::payload::{Content, PollingBody, PollingFormat, PollingReader};
use super::request::{AbortGuard, Attempt, EngineRefusal, PostBody};
use super::session::{self, Newcomer, Session};
use super::stream;
use crate::cli::conformance;
use crate::http::query::Query;
use crate::http::websocket::reader::Step;
use crate::hub::delivery::outlet::{Outlet, Polling, PollingAnswer, Sent};
use crate::hub::worker::connection::Connection;
use crate::hub::worker::mail::{Answer, EngineRequest, Mail};
use crate::hub::worker::places;
use crate::hub::worker::session_id::SessionId;
use crate::hub::worker::timers::Due;
use crate::hub::worker::worker::Worker;
use crate::io::socket::Socket;
use crate::transport::service::Service;

/// Time between two NOOPs while a client is about to move (as engine.io has it, `Socket.maybeUpgrade`).
const NOOP_PAUSE: Duration = Duration::from_millis(100);

/// Brings a request to the worker that owns the session, which may be this one.
pub(crate) async fn request(worker: &Rc<Worker>, id: SessionId, request: EngineRequest) {
    if id.worker() == worker.index {
        receive(worker, id, request);
    } else {
        worker.send_mail(id.worker(), Mail::Engine(id, request)).await;
    }
}

/// Opens a session over polling: its id, and the body of the answer.
pub(super) fn open_polling(
    worker: &Rc<Worker>,
    newcomer: Newcomer,
    query: &Query,
) -> Result<(SessionId, PollingBody), EngineRefusal> {
    let reader = match query.get("j") {
        Some(index) => PollingReader::Script(index.parse().map_err(|_| EngineRefusal::BadRequest)?),
        None if newcomer.version == Version::V3 && query.get("b64").is_none() => PollingReader::TextOrBytes,
        None => PollingReader::Text,
    };
    let place = places::take(worker, newcomer.peer)?;
    let content = if newcomer.service == Service::Turted { Content::Json } else { Content::Any };
    let format = PollingFormat { version: newcomer.version, reader, content };
    let session = Session::new(&newcomer).holding(place);
    let session = match reader {
        PollingReader::Script(_) => session.posting_forms(),
        PollingReader::Text | PollingReader::TextOrBytes => session,
    };
    let outlet = Outlet::Polling(Box::new(Polling::new(format, &worker.ledger)));
    let connection = session::open(worker, &newcomer, session, outlet);
    Session::of(&connection).place.await_return(worker, connection.key);
    let handshake = session::handshake(worker, &connection, session::Opening::Polling);
    // The CONNECT goes with the handshake.
    let unasked = connect::unasked(&newcomer);
    let body = format.encode_text([handshake.as_str()].into_iter().chain(unasked));
    if unasked.is_some() {
        connect::admit_v3(worker, &connection, query);
    }
    if let Service::Test(service) = newcomer.service {
        conformance::opened(worker, &connection, service);
    }
    Ok((Session::of(&connection).id(), body))
}

/// Does to a session of this worker what a request asks for.
pub(crate) fn receive(worker: &Rc<Worker>, id: SessionId, request: EngineRequest) {
    let found = session::find(worker, id).filter(|connection| session::is_in_time(worker, connection));
    match request {
        EngineRequest::Poll(answer) => poll(worker, found, answer),
        EngineRequest::PollAborted => {
            if let Some(connection) = found {
                poll_aborted(worker, &connection);
            }
        }
        EngineRequest::BeginPost(answer) => reply(answer, begin_post(worker, found)),
        EngineRequest::Post(body, answer) => post(worker, found, body, answer),
        EngineRequest::PostAborted => {
            // What it would have carried is lost, and the client may not know.
            if let Some(connection) = found {
                connection.close(worker, Close::TransportLost);
            }
        }
        EngineRequest::BeginUpgrade(attempt, answer) => reply(answer, begin_upgrade(found, attempt)),
        EngineRequest::UpgradeAborted(attempt) => {
            let taken = found.filter(|connection| Session::of(connection).upgrading.get() == Some(attempt));
            if let Some(connection) = taken {
                give_up_upgrade(worker, &connection);
            }
        }
        EngineRequest::Upgrade(socket, leftover) => match (found, socket.attach()) {
            (Some(connection), Ok(socket)) => {
                worker.spawn(stream::probe(Rc::clone(worker), connection, socket, leftover));
            }
            (Some(connection), Err(_)) => give_up_upgrade(worker, &connection),
            // Without a session the socket is dropped: closed.
            (None, _) => {}
        },
    }
}

fn reply<T>(answer: Answer<T>, result: Result<T, EngineRefusal>) {
    // Whoever asked may be gone.
    let _ = answer.send(result);
}

/// A session whose requests come by polling.
fn polling(found: Option<Rc<Connection>>) -> Result<Rc<Connection>, EngineRefusal> {
    let connection = found.ok_or(EngineRefusal::UnknownSession)?;
    Session::of(&connection).place.came_back();
    let is_polling = matches!(*connection.outlet().borrow(), Outlet::Polling(_));
    is_polling.then_some(connection).ok_or(EngineRefusal::BadRequest)
}

fn poll(worker: &Rc<Worker>, found: Option<Rc<Connection>>, answer: oneshot::Sender<PollingAnswer>) {
    let connection = match polling(found) {
        Ok(connection) => connection,
        Err(refusal) => return reply(answer, Err(refusal)),
    };
    let parked = match &mut *connection.outlet().borrow_mut() {
        Outlet::Polling(polling) => polling.park(answer),
        Outlet::Stream(_) | Outlet::Body(_) | Outlet::SockJs(_) | Outlet::Closed => return,
    };
    match parked {
        Ok(sent) => {
            connection.settle(worker, sent);
            send_home(worker, &connection);
        }
        Err(second) => {
            reply(second, Err(EngineRefusal::BadRequest));
            connection.close(worker, Close::PollingConflict);
        }
    }
}

/// Answers the request of a client that is about to move, and lets the next one wait a while: it
/// would come and go as fast as the client can ask.
pub(super) fn send_home(worker: &Worker, connection: &Connection) {
    if let Outlet::Polling(polling) = &mut *connection.outlet().borrow_mut()
        && polling.send_home()
    {
        worker.timers.add(Instant::now() + NOOP_PAUSE, connection.key, Due::Noop);
    }
}

/// A client that lets go of its request has closed its page, or lost its connection.
fn poll_aborted(worker: &Rc<Worker>, connection: &Rc<Connection>) {
    let gone = match &mut *connection.outlet().borrow_mut() {
        Outlet::Polling(polling) => polling.is_abandoned(),
        Outlet::Stream(_) | Outlet::Body(_) | Outlet::SockJs(_) | Outlet::Closed => false,
    };
    if gone {
        connection.close(worker, Close::TransportLost);
    }
}

fn begin_post(worker: &Rc<Worker>, found: Option<Rc<Connection>>) -> Result<(), EngineRefusal> {
    let connection = polling(found)?;
    if Session::of(&connection).posting.replace(true) {
        connection.close(worker, Close::PollingConflict);
        return Err(EngineRefusal::BadRequest);
    }
    Ok(())
}

fn post(worker: &Rc<Worker>, found: Option<Rc<Connection>>, body: PostBody, answer: Answer<()>) {
    let connection = match polling(found) {
        Ok(connection) => connection,
        Err(refusal) => return reply(answer, Err(refusal)),
    };
    let worker = Rc::clone(worker);
    worker.clone().spawn(async move {
        let result = process(&worker, &connection, &body).await;
        Session::of(&connection).posting.set(false);
        if result.is_err() {
            connection.close(&worker, Close::Violation(1002));
        }
        reply(answer, result);
    });
}

/// Receives the packets of a body one after the other.
async fn process(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    body: &PostBody,
) -> Result<(), EngineRefusal> {
    let unwrapped;
    let bytes: &[u8] = if Session::of(connection).posts_forms {
        unwrapped = decode_jsonp_form(&body.bytes).map_err(|_| EngineRefusal::BadRequest)?;
        unwrapped.as_bytes()
    } else {
        &body.bytes
    };
    let session = Session::of(connection);
    session.handshake_verified().await;
    let packets_max = worker.config.limits.polling_packets;
    let undone = if body.is_binary { None } else { undo_old_encoding(session, bytes) };
    let packets = match &undone {
        Some(text) => decode_payload_of_bytes(text, packets_max).map_err(|_| EngineRefusal::BadRequest)?,
        None => decode((session.version, packets_max), bytes, body.is_binary)?,
    };
    for packet in packets {
        if let Step::Wait(event) = packets::receive(worker, connection, &packet) {
            event.await;
        }
        if connection.is_closed() {
            break;
        }
    }
    Ok(())
}

/// A body of socket.io-client 1, which encodes UTF-8 twice, decoded the second time. A session that once said
/// what no such client says is none, whatever its texts look like later.
fn undo_old_encoding(session: &Session, bytes: &[u8]) -> Option<String> {
    let may_be_old = session.version == Version::V3 && session.service == Service::Turted;
    if !may_be_old || session.encodes_once.get() || bytes.is_ascii() {
        return None;
    }
    let undone = undo_second_utf8(std::str::from_utf8(bytes).ok()?);
    session.encodes_once.set(undone.is_none());
    undone
}

fn decode(
    (version, packets_max): (Version, usize),
    bytes: &[u8],
    is_binary: bool,
) -> Result<Vec<Packet<'_>>, EngineRefusal> {
    let packets = if is_binary && version == Version::V3 {
        decode_binary_payload(bytes, packets_max)
    } else {
        let text = std::str::from_utf8(bytes).map_err(|_| EngineRefusal::BadRequest)?;
        decode_payload(version, text, packets_max)
    };
    packets.map_err(|_| EngineRefusal::BadRequest)
}

fn begin_upgrade(found: Option<Rc<Connection>>, attempt: Attempt) -> Result<(), EngineRefusal> {
    let connection = polling(found)?;
    let upgrading = &Session::of(&connection).upgrading;
    if upgrading.get().is_some() {
        return Err(EngineRefusal::BadRequest);
    }
    upgrading.set(Some(attempt));
    Ok(())
}

/// Hands a socket that finished its WebSocket handshake to the owner of its session.
pub(super) async fn hand_over(mut attempt: AbortGuard, socket: Socket, leftover: Bytes) {
    if let Ok(socket) = socket.detach() {
        attempt.replace(EngineRequest::Upgrade(socket, leftover)).await;
    }
}

/// The upgrade came to nothing: the session goes on by polling.
pub(super) fn give_up_upgrade(worker: &Rc<Worker>, connection: &Rc<Connection>) {
    Session::of(connection).upgrading.set(None);
    let sent = match &mut *connection.outlet().borrow_mut() {
        Outlet::Polling(polling) => polling.release(),
        Outlet::Stream(_) | Outlet::Body(_) | Outlet::SockJs(_) | Outlet::Closed => Sent::Yes,
    };
    connection.settle(worker, sent);
}
