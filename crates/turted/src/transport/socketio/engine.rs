//! What a request does to its session, on the worker that owns it.

use std::net::IpAddr;
use std::rc::Rc;

use bytes::Bytes;
use tokio::sync::oneshot;
use turted_core::close::Close;
use turted_core::wire::engineio::{
    Packet, PayloadEncoder, Version, decode_binary_payload, decode_jsonp_form, decode_payload, encode_jsonp,
};

use super::connect;
use super::packets;
use super::request::{EngineRefusal, PostBody, Query};
use super::session::{self, Session};
use super::stream;
use crate::connection::Connection;
use crate::mail::{Answer, EngineRequest, Mail};
use crate::outlet::{Outlet, Polling, PollingAnswer, Sent};
use crate::session_id::SessionId;
use crate::transport::websocket::Step;
use crate::worker::Worker;

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
    (version, peer): (Version, IpAddr),
    query: &Query,
) -> Result<(SessionId, Vec<u8>), EngineRefusal> {
    let jsonp = match query.get("j") {
        Some(index) => Some(index.parse().map_err(|_| EngineRefusal::BadRequest)?),
        None => None,
    };
    let permit = worker.shared.polling.take().ok_or(EngineRefusal::Overload)?;
    let outlet = Outlet::Polling(Polling::new(version, jsonp));
    let session = Session::new(version, jsonp).holding(permit);
    let connection = session::open(worker, peer, session, outlet);
    let mut payload = PayloadEncoder::new(version);
    payload.push(&session::handshake(worker, &connection, session::Opening::Polling));
    let id = Session::of(&connection).id();
    if version == Version::V3 {
        // Version 4 of the Socket.IO protocol connects unasked; the CONNECT goes with the handshake.
        payload.push(packets::CONNECTED_V3);
        connect::admit_v3(worker, &connection, query);
    }
    Ok((id, wrap(jsonp, payload.finish())))
}

/// Wraps a payload for a client that reads it as a script.
pub(crate) fn wrap(jsonp: Option<u32>, payload: Vec<u8>) -> Vec<u8> {
    match jsonp {
        None => payload,
        Some(index) => encode_jsonp(index, &String::from_utf8_lossy(&payload)).into_bytes(),
    }
}

/// Does to a session of this worker what a request asks for.
pub(crate) fn receive(worker: &Rc<Worker>, id: SessionId, request: EngineRequest) {
    let found = session::find(worker, id);
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
        EngineRequest::BeginUpgrade(answer) => reply(answer, begin_upgrade(found)),
        EngineRequest::Upgrade(socket, leftover) => {
            // A socket that cannot be put onto this runtime, or has no session, is dropped: closed.
            if let (Some(connection), Ok(socket)) = (found, socket.attach()) {
                worker.spawn(stream::probe(Rc::clone(worker), connection, socket, leftover));
            }
        }
    }
}

fn reply<T>(answer: Answer<T>, result: Result<T, EngineRefusal>) {
    // Whoever asked may be gone.
    let _ = answer.send(result);
}

/// A session whose requests come by polling.
fn polling(found: Option<Rc<Connection>>) -> Result<Rc<Connection>, EngineRefusal> {
    let connection = found.ok_or(EngineRefusal::UnknownSession)?;
    let is_polling = matches!(*connection.outlet().borrow(), Outlet::Polling(_));
    is_polling.then_some(connection).ok_or(EngineRefusal::BadRequest)
}

fn poll(worker: &Rc<Worker>, found: Option<Rc<Connection>>, answer: oneshot::Sender<PollingAnswer>) {
    let connection = match polling(found) {
        Ok(connection) => connection,
        Err(refusal) => return reply(answer, Err(refusal)),
    };
    let parked = match &mut *connection.outlet().borrow_mut() {
        Outlet::Polling(polling) => polling.park(answer, &worker.metrics),
        Outlet::Stream(_) | Outlet::Closed => return,
    };
    match parked {
        Ok(sent) => connection.settle(worker, sent),
        Err(second) => {
            reply(second, Err(EngineRefusal::BadRequest));
            connection.close(worker, Close::PollingConflict);
        }
    }
}

/// A client that lets go of its request has closed its page, or lost its connection.
fn poll_aborted(worker: &Rc<Worker>, connection: &Rc<Connection>) {
    let gone = match &mut *connection.outlet().borrow_mut() {
        Outlet::Polling(polling) => polling.is_abandoned(),
        Outlet::Stream(_) | Outlet::Closed => false,
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
    let bytes: &[u8] = match Session::of(connection).jsonp {
        None => &body.bytes,
        Some(_) => {
            unwrapped = decode_jsonp_form(&body.bytes).map_err(|_| EngineRefusal::BadRequest)?;
            unwrapped.as_bytes()
        }
    };
    Session::of(connection).handshake_verified().await;
    for packet in decode(Session::of(connection).version, bytes, body.is_binary)? {
        if let Step::Wait(event) = packets::receive(worker, connection, &packet) {
            event.await;
        }
        if connection.is_closed() {
            break;
        }
    }
    Ok(())
}

fn decode(version: Version, bytes: &[u8], is_binary: bool) -> Result<Vec<Packet<'_>>, EngineRefusal> {
    let packets = if is_binary && version == Version::V3 {
        decode_binary_payload(bytes)
    } else {
        let text = std::str::from_utf8(bytes).map_err(|_| EngineRefusal::BadRequest)?;
        decode_payload(version, text)
    };
    packets.map_err(|_| EngineRefusal::BadRequest)
}

fn begin_upgrade(found: Option<Rc<Connection>>) -> Result<(), EngineRefusal> {
    let connection = polling(found)?;
    if Session::of(&connection).upgrading.replace(true) {
        return Err(EngineRefusal::BadRequest);
    }
    Ok(())
}

/// Hands a socket that finished its WebSocket handshake to the owner of its session.
pub(super) async fn hand_over(
    worker: &Rc<Worker>,
    id: SessionId,
    socket: crate::socket::Socket,
    leftover: Bytes,
) {
    if let Ok(socket) = socket.detach() {
        request(worker, id, EngineRequest::Upgrade(socket, leftover)).await;
    }
}

/// The upgrade came to nothing: the session goes on by polling.
pub(super) fn give_up_upgrade(worker: &Rc<Worker>, connection: &Rc<Connection>) {
    Session::of(connection).upgrading.set(false);
    let sent = match &mut *connection.outlet().borrow_mut() {
        Outlet::Polling(polling) => polling.release(&worker.metrics),
        Outlet::Stream(_) | Outlet::Closed => Sent::Yes,
    };
    connection.settle(worker, sent);
}
