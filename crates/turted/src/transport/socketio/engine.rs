//! What a request does to its session, on the worker that owns it.

use std::io;
use std::rc::Rc;

use bytes::Bytes;
use futures_core::future::LocalBoxFuture;
use tokio::sync::oneshot;
use turted_core::close::Close;
use turted_core::wire::engineio::{
    Packet, Version, decode_binary_payload, decode_jsonp_form, decode_payload, decode_payload_of_bytes,
    undo_second_utf8,
};

use super::connect;
use super::goodbye;
use super::operation::{Attempt, Operation, OperationAnswer, PostBody};
use super::packets;
use super::payload::{Content, PollingBody, PollingFormat, PollingReader};
use super::polling::{Polling, PollingAnswer};
use super::refusal::EngineRefusal;
use super::state::{self, EngineSession, Newcomer, id_of, send_home};
use super::stream;
use crate::http::query::Query;
use crate::hub::client::place;
use crate::hub::delivery::outlet::{Outlet, Sent};
use crate::hub::worker::connection::{Client, Connection};
use crate::hub::worker::session::Step;
use crate::hub::worker::session_id::SessionId;
use crate::hub::worker::worker::Worker;
use crate::io::socket::Socket;

/// Brings an operation to the worker that owns the session, which may be this one: then it is done when this returns.
pub(super) fn request(
    worker: &Rc<Worker>,
    id: SessionId,
    operation: Operation,
) -> impl Future<Output = ()> + use<> {
    let mail = if id.worker() == worker.index {
        receive(worker, id, operation);
        None
    } else {
        let (worker, mail) = (Rc::clone(worker), move |owner: &Rc<Worker>| receive(owner, id, operation));
        // On the heap: polls are many, and each would have room for it while it waits.
        Some(Box::pin(async move { worker.send_mail(id.worker(), Box::new(mail)).await }))
    };
    async move {
        if let Some(mail) = mail {
            mail.await;
        }
    }
}

/// Opens a session over polling. Returns its id and the body of the answer.
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
    let place = place::take(worker, newcomer.peer)?;
    let format = PollingFormat { version: newcomer.version, reader, content: newcomer.service.content };
    let session = EngineSession::new(&newcomer).holding(place);
    let session = match reader {
        PollingReader::Script(_) => session.posting_forms(),
        PollingReader::Text | PollingReader::TextOrBytes => session,
    };
    let outlet = Outlet::Requests(Box::new(Polling::new(format, &worker.ledger)));
    let connection = state::open(worker, &newcomer, session, outlet);
    EngineSession::of(&connection).place.await_return(worker.index, connection.key);
    let handshake = state::handshake(Client::of(worker, &connection), state::FirstCarrier::Polling);
    // The CONNECT goes with the handshake.
    let unasked = connect::unasked(&newcomer);
    let body = format.encode_text([handshake.as_str()].into_iter().chain(unasked));
    if unasked.is_some() {
        connect::admit_v3(Client::of(worker, &connection), query);
    }
    (newcomer.service.opened)(Client::of(worker, &connection), query);
    Ok((id_of(&connection), body))
}

/// A session of this worker whose client has not been silent for too long.
fn find(worker: &Rc<Worker>, id: SessionId) -> Option<Rc<Connection>> {
    state::find(worker, id).filter(|connection| state::is_in_time(Client::of(worker, connection)))
}

/// Does to a session of this worker what a request asks for.
fn receive(worker: &Rc<Worker>, id: SessionId, operation: Operation) {
    let found = find(worker, id);
    match operation {
        Operation::Poll(answer) => match goodbye::take(worker, (id, &found)) {
            Some(body) => reply(answer, Ok(body)),
            None => poll(worker, found, answer),
        },
        Operation::PollAborted => {
            if let Some(connection) = found {
                poll_aborted(Client::of(worker, &connection));
            }
        }
        Operation::BeginPost(answer) => reply(answer, begin_post(worker, found)),
        Operation::Post(body, answer) => post(worker, found, body, answer),
        Operation::PostAborted => {
            // The packets of the POST are lost, and the client may not know.
            if let Some(connection) = found {
                connection.close(worker, Close::TransportLost);
            }
        }
        Operation::BeginUpgrade(attempt, answer) => reply(answer, begin_upgrade(found, attempt)),
        Operation::UpgradeAborted(attempt) => {
            let taken =
                found.filter(|connection| EngineSession::of(connection).upgrading.get() == Some(attempt));
            if let Some(connection) = taken {
                give_up_upgrade(Client::of(worker, &connection));
            }
        }
        Operation::Upgrade(socket, leftover) => probe(worker, found, (socket.attach(), leftover)),
    }
}

/// Lets a socket try to take a session over.
fn probe(
    worker: &Rc<Worker>,
    found: Option<Rc<Connection>>,
    (socket, leftover): (io::Result<Socket>, Bytes),
) {
    match (found, socket) {
        (Some(connection), Ok(socket)) => {
            worker.spawn(stream::probe(Rc::clone(worker), connection, socket, leftover));
        }
        (Some(connection), Err(_)) => give_up_upgrade(Client::of(worker, &connection)),
        // Without a session the socket is dropped, which closes it.
        (None, _) => {}
    }
}

fn reply<T>(answer: OperationAnswer<T>, result: Result<T, EngineRefusal>) {
    // The request that asked may be gone.
    let _ = answer.send(result);
}

/// A session whose requests come by polling.
fn polling(found: Option<Rc<Connection>>) -> Result<Rc<Connection>, EngineRefusal> {
    let connection = found.ok_or(EngineRefusal::UnknownSession)?;
    EngineSession::of(&connection).place.came_back();
    let is_polling = connection.outlet().borrow().requests::<Polling>().is_some();
    is_polling.then_some(connection).ok_or(EngineRefusal::BadRequest)
}

fn poll(worker: &Rc<Worker>, found: Option<Rc<Connection>>, answer: oneshot::Sender<PollingAnswer>) {
    let connection = match polling(found) {
        Ok(connection) => connection,
        Err(refusal) => return reply(answer, Err(refusal)),
    };
    let parked = match connection.outlet().borrow_mut().requests_mut::<Polling>() {
        Some(polling) => polling.park(answer),
        None => return,
    };
    match parked {
        Ok(sent) => {
            connection.settle(worker, sent);
            send_home(Client::of(worker, &connection));
        }
        Err(second) => {
            reply(second, Err(EngineRefusal::BadRequest));
            connection.close(worker, Close::PollingConflict);
        }
    }
}

/// A client that lets go of its request has closed its page, or lost its connection.
fn poll_aborted(client: Client<'_>) {
    let gone = client.connection.outlet().borrow().requests::<Polling>().is_some_and(Polling::is_abandoned);
    if gone {
        client.close(Close::TransportLost);
    }
}

fn begin_post(worker: &Rc<Worker>, found: Option<Rc<Connection>>) -> Result<(), EngineRefusal> {
    let connection = polling(found)?;
    if EngineSession::of(&connection).posting.replace(true) {
        connection.close(worker, Close::PollingConflict);
        return Err(EngineRefusal::BadRequest);
    }
    Ok(())
}

fn post(worker: &Rc<Worker>, found: Option<Rc<Connection>>, body: PostBody, answer: OperationAnswer<()>) {
    let connection = match polling(found) {
        Ok(connection) => connection,
        Err(refusal) => return reply(answer, Err(refusal)),
    };
    let worker = Rc::clone(worker);
    worker.clone().spawn(async move {
        let result = process(Client::of(&worker, &connection), &body).await;
        EngineSession::of(&connection).posting.set(false);
        if result.is_err() {
            connection.close(&worker, Close::Violation(1002));
        }
        reply(answer, result);
    });
}

/// Receives the packets of a body one after the other.
async fn process(client: Client<'_>, body: &PostBody) -> Result<(), EngineRefusal> {
    let unwrapped;
    let bytes: &[u8] = if EngineSession::of(client.connection).posts_forms {
        unwrapped = decode_jsonp_form(&body.bytes).map_err(|_| EngineRefusal::BadRequest)?;
        unwrapped.as_bytes()
    } else {
        &body.bytes
    };
    let session = EngineSession::of(client.connection);
    session.handshake_verified().await;
    let packets_max = client.worker.config.limits.polling_packets;
    let undone = if body.is_binary { None } else { undo_old_encoding(session, bytes) };
    let packets = match &undone {
        Some(text) => decode_payload_of_bytes(text, packets_max).map_err(|_| EngineRefusal::BadRequest)?,
        None => decode((session.version, packets_max), bytes, body.is_binary)?,
    };
    let mut packets = packets.into_iter();
    // The replies to all packets fit into one answer, unless one has to be waited for.
    while let Some(event) =
        client.connection.gather(client.worker, || receive_until_wait(client, &mut packets))
    {
        event.await;
    }
    Ok(())
}

/// Receives packets until something has to be waited for; `None` if nothing has.
fn receive_until_wait<'a>(
    client: Client<'_>,
    packets: &mut impl Iterator<Item = Packet<'a>>,
) -> Option<LocalBoxFuture<'static, ()>> {
    while !client.connection.is_closed() {
        if let Step::Wait(event) = packets::receive(client, &packets.next()?) {
            return Some(event);
        }
    }
    None
}

/// Undoes the second encoding in a body of socket.io-client 1, which encodes UTF-8 twice. A session that once sent text
/// that is not encoded twice is of a later client, whatever its texts look like from then on.
fn undo_old_encoding(session: &EngineSession, bytes: &[u8]) -> Option<String> {
    let may_be_old = session.version == Version::V3 && session.service.content == Content::Json;
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
    let upgrading = &EngineSession::of(&connection).upgrading;
    if upgrading.get().is_some() {
        return Err(EngineRefusal::BadRequest);
    }
    upgrading.set(Some(attempt));
    Ok(())
}

/// Hands a socket that finished its WebSocket handshake to the owner of its session.
pub(super) async fn hand_over(mut attempt: AbortGuard, socket: Socket, leftover: Bytes) {
    if attempt.id.worker() == attempt.worker.index {
        // It stays on the runtime that it is on.
        attempt.disarm();
        probe(&attempt.worker, find(&attempt.worker, attempt.id), (Ok(socket), leftover));
    } else if let Ok(socket) = socket.detach() {
        attempt.replace(Operation::Upgrade(socket, leftover)).await;
    }
}

/// The upgrade came to nothing: the session goes on by polling.
pub(super) fn give_up_upgrade(client: Client<'_>) {
    EngineSession::of(client.connection).upgrading.set(None);
    let sent = match client.connection.outlet().borrow_mut().requests_mut::<Polling>() {
        Some(polling) => polling.release(),
        None => Sent::Yes,
    };
    client.connection.settle(client.worker, sent);
}

/// Tells the owner of a session that a request was given up before it was done.
pub(super) struct AbortGuard {
    worker: Rc<Worker>,
    id: SessionId,
    operation: Option<Operation>,
}

impl AbortGuard {
    pub(super) fn new(worker: &Rc<Worker>, id: SessionId, operation: Operation) -> Self {
        Self { worker: Rc::clone(worker), id, operation: Some(operation) }
    }

    pub(super) fn disarm(&mut self) {
        self.operation = None;
    }

    /// Tells the owner something else instead.
    pub(super) async fn replace(&mut self, operation: Operation) {
        request(&self.worker, self.id, operation).await;
        self.disarm();
    }
}

impl Drop for AbortGuard {
    fn drop(&mut self) {
        let Some(operation) = self.operation.take() else { return };
        let (worker, id) = (Rc::clone(&self.worker), self.id);
        if id.worker() == worker.index {
            // At once: the next request of the client must not find this one still under way.
            return receive(&worker, id, operation);
        }
        // `drop` cannot wait for room in a mail box, a task can.
        self.worker.spawn(async move { request(&worker, id, operation).await });
    }
}

#[cfg(test)]
mod tests;
