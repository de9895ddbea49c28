//! What a request does to its session, on the worker that owns it: the worker that its id hashes to.
//! Requests that arrive at other workers come by mail.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;
use turted_core::close::Close;
use turted_core::session_key::SessionKey;
use turted_core::wire::sockjs::{OPEN, Transport, encode_close};

use super::keyed::{Ended, Entry, KeyedSessions};
use super::mount::Mount;
use super::receiving::{Receiving, Taker};
use super::refusal::{SockJsRefusal, refusal_head};
use super::response::{Beginning, Response, put, watch};
use super::state::{self, Requests, SessionKind, SockJsSession};
use crate::http::streaming::Head;
use crate::hub::client::place;
use crate::hub::cluster::peers::UnopenedClaim;
use crate::hub::delivery::outlet::{Outlet, Sent};
use crate::hub::delivery::wire::Framing;
use crate::hub::worker::connection::{Client, Connection};
use crate::hub::worker::journal::Agent;
use crate::hub::worker::session::Step;
use crate::hub::worker::timers::Due;
use crate::hub::worker::worker::Worker;
use crate::io::socket::DetachedSocket;

/// Tells a client that it already receives by another request (sockjs-protocol 0.3.3, `test_close_request`).
const OCCUPIED: (u16, &str) = (2010, "Another connection still open");

/// A request for a session.
#[derive(Debug)]
pub(super) struct SessionRequest {
    pub(super) place: SessionPlace,
    pub(super) operation: Operation,
}

/// Which session a request is for.
#[derive(Clone, Debug)]
pub(super) struct SessionPlace {
    pub(super) mount: Arc<Mount>,
    /// The path of the mount and the id that the client chose.
    pub(super) key: String,
    /// Where the client connects from.
    pub(super) peer: IpAddr,
    /// What the client says it is.
    pub(super) agent: Agent,
}

/// What a client asks of its session.
#[derive(Debug)]
pub(super) enum Operation {
    /// To take the next frame, now or later, by this transport.
    Take(Transport, Taker),
    /// The request for the next frame is gone before its answer.
    TakeAborted,
    /// To receive all frames, on this socket.
    Stream(StreamOpening),
    /// To send messages.
    Send(Vec<String>, oneshot::Sender<Result<(), SockJsRefusal>>),
}

/// A response that is about to stream.
#[derive(Debug)]
pub(super) struct StreamOpening {
    pub(super) socket: DetachedSocket,
    pub(super) head: Head,
    pub(super) transport: Transport,
    pub(super) prelude: String,
}

/// Brings a request to the worker that owns the session, which may be this one: then it is done when this returns.
pub(super) fn deliver(worker: &Rc<Worker>, request: SessionRequest) -> impl Future<Output = ()> + use<> {
    let owner = owner(worker, &request.place);
    let mail = if owner == worker.index {
        receive(worker, request);
        None
    } else {
        let (worker, mail) = (Rc::clone(worker), move |owner: &Rc<Worker>| receive(owner, request));
        // On the heap: each request that waits would have room for it.
        Some(Box::pin(async move { worker.send_mail(owner, Box::new(mail)).await }))
    };
    async move {
        if let Some(mail) = mail {
            mail.await;
        }
    }
}

/// The worker that owns a session.
pub(super) fn owner(worker: &Worker, place: &SessionPlace) -> u8 {
    place.mount.owner(&place.key, worker.config.workers)
}

/// What there is of a session.
enum Found {
    Open(Rc<Connection>),
    Ended(Rc<Ended>),
    Nothing,
}

fn find(worker: &Worker, key: &str) -> Found {
    match worker.part::<KeyedSessions>().get(key) {
        Some(Entry::Open(key)) => {
            worker.registry.borrow().get(key).map_or(Found::Nothing, |found| Found::Open(Rc::clone(found)))
        }
        Some(Entry::Ended(ended)) => Found::Ended(ended),
        None => Found::Nothing,
    }
}

/// The same for a request that wants to receive. A session whose receiver turns out to be gone ends
/// first.
fn find_for_receiver(worker: &Rc<Worker>, key: &str) -> Found {
    if let Found::Open(connection) = find(worker, key) {
        close_if_abandoned(Client::of(worker, &connection));
    }
    find_again(worker, key)
}

/// The same for any further request of a client, and notes that the client has come back.
fn find_again(worker: &Worker, key: &str) -> Found {
    let found = find(worker, key);
    if let Found::Open(connection) = &found
        && let Some(requests) = SockJsSession::of(connection).requests()
    {
        requests.place.came_back();
    }
    found
}

/// A client that lets go of its request has closed its page, or lost its connection and what was on
/// its way (sockjs-protocol 0.3.3, `test_abort_xhr_polling`).
fn close_if_abandoned(client: Client<'_>) {
    let is_abandoned =
        client.connection.outlet().borrow().requests::<Receiving>().is_some_and(Receiving::is_abandoned);
    if is_abandoned {
        client.close(Close::TransportLost);
    }
}

/// Does to a session of this worker what a request asks for.
pub(super) fn receive(worker: &Rc<Worker>, request: SessionRequest) {
    let SessionRequest { place, operation } = request;
    match operation {
        Operation::Take(transport, taker) => take(worker, place, transport, taker),
        Operation::TakeAborted => {
            if let Found::Open(connection) = find(worker, &place.key) {
                close_if_abandoned(Client::of(worker, &connection));
            }
        }
        Operation::Stream(opening) => begin_stream(worker, place, opening),
        Operation::Send(messages, answer) => send(worker, &place.key, messages, answer),
    }
}

/// Opens a session that lives by requests.
fn open(
    worker: &Rc<Worker>,
    SessionPlace { mount, key, peer, agent }: SessionPlace,
    transport: Transport,
) -> Result<Rc<Connection>, SockJsRefusal> {
    // Its name is claimed already: that is given up if there is no room for the session.
    let _unopened =
        worker.shared.nodes.as_ref().map(|nodes| UnopenedClaim::new(nodes, SessionKey::of(key.as_bytes())));
    if worker.shared.life.is_draining() {
        return Err(SockJsRefusal::Stopping);
    }
    let taken = place::take(worker, peer)?;
    let first_look = mount.options.disconnect_delay.min(mount.options.heartbeat);
    let session = SockJsSession::new(mount, SessionKind::Requests(Box::new(Requests::new(&key, taken))));
    let way = (
        Framing::of_sockjs(transport),
        Outlet::Requests(Box::new(Receiving::new(transport, &worker.ledger))),
    );
    let connection = state::open(worker, (peer, &agent), session, way);
    let claim = worker.shared.nodes.as_ref().map(|nodes| nodes.hold(SessionKey::of(key.as_bytes())));
    worker.part::<KeyedSessions>().opened(&key, connection.key, claim);
    worker.timers.add(Instant::now() + first_look, connection.key, Due::Silence);
    Ok(connection)
}

fn opened(client: Client<'_>) {
    (SockJsSession::of(client.connection).mount().service.opened)(client);
}

/// A session that was opened by a poll may have to give way until its client polls again, or sends
/// something. A session whose response streams need not, because its client is known to be there.
fn await_return(client: Client<'_>) {
    if let Some(requests) = SockJsSession::of(client.connection).requests() {
        requests.place.await_return(client.worker.index, client.connection.key);
    }
}

fn is_occupied(connection: &Connection) -> bool {
    connection.outlet().borrow().requests::<Receiving>().is_some_and(Receiving::is_occupied)
}

fn take(worker: &Rc<Worker>, place: SessionPlace, transport: Transport, taker: Taker) {
    // The request that asked may be gone.
    let answer = |taker: Taker, answer| drop(taker.send(answer));
    match find_for_receiver(worker, &place.key) {
        Found::Ended(ended) => answer(taker, Ok(ended.next())),
        Found::Nothing => match open(worker, place, transport) {
            Err(refusal) => answer(taker, Err(refusal)),
            Ok(connection) => {
                await_return(Client::of(worker, &connection));
                answer(taker, Ok(OPEN.to_owned().into()));
                opened(Client::of(worker, &connection));
            }
        },
        Found::Open(connection) if is_occupied(&connection) => {
            answer(taker, Ok(encode_close(OCCUPIED.0, OCCUPIED.1).into()));
        }
        Found::Open(connection) => {
            attach(Client::of(worker, &connection), transport, |receiving| {
                receiving.take(taker, transport, &worker.ledger)
            });
        }
    }
}

/// Gives a session a receiver.
fn attach(client: Client<'_>, transport: Transport, attach: impl FnOnce(&mut Receiving) -> Sent) {
    let before = client.connection.route();
    state::set_transport(client.connection, transport);
    let sent = match client.connection.outlet().borrow_mut().requests_mut::<Receiving>() {
        Some(receiving) => attach(receiving),
        None => return,
    };
    if let (Some(from), Some(to)) = (before, client.connection.route())
        && from != to
    {
        client.worker.metrics.moved(from, to);
    }
    client.connection.settle(client.worker, sent);
}

fn begin_stream(worker: &Rc<Worker>, place: SessionPlace, opening: StreamOpening) {
    let StreamOpening { socket, head: Head { form, bytes }, transport, prelude } = opening;
    // A socket that cannot be put onto this runtime is dropped, which closes it.
    let Ok(socket) = socket.attach() else { return };
    let mut beginning = Beginning { socket: Rc::new(socket), form, transport, bytes, said: 0 };
    put(form, prelude.as_bytes(), &mut beginning.bytes);
    let worker = Rc::clone(worker);
    worker.clone().spawn(async move {
        // Until the runtime has looked at the socket it takes the socket for full. Bytes would wait without
        // need, and be lost if the session ends at once.
        if beginning.socket.writable().await.is_ok() {
            stream(&worker, place, beginning);
        }
    });
}

fn stream(worker: &Rc<Worker>, place: SessionPlace, mut beginning: Beginning) {
    let (form, transport) = (beginning.form, beginning.transport);
    match find_for_receiver(worker, &place.key) {
        Found::Ended(ended) => {
            ended.all().iter().for_each(|frame| beginning.push(frame));
            worker.spawn(beginning.finish(worker.config.limits.outbox_stall));
        }
        Found::Nothing => match open(worker, place, transport) {
            Err(refusal) => {
                worker.metrics.refused(refusal.row().rule);
                beginning.bytes = refusal_head(form, refusal);
                worker.spawn(beginning.finish(worker.config.limits.outbox_stall));
            }
            Ok(connection) => {
                beginning.push(OPEN);
                attach_stream(Client::of(worker, &connection), beginning);
                opened(Client::of(worker, &connection));
            }
        },
        Found::Open(connection) if is_occupied(&connection) => {
            beginning.push(&encode_close(OCCUPIED.0, OCCUPIED.1));
            worker.spawn(beginning.finish(worker.config.limits.outbox_stall));
        }
        Found::Open(connection) => attach_stream(Client::of(worker, &connection), beginning),
    }
}

/// Lets a response receive.
fn attach_stream(client: Client<'_>, beginning: Beginning) {
    let transport = beginning.transport;
    let bytes = SockJsSession::of(client.connection).mount().options.response_bytes;
    let (response, begun) = Response::begin(beginning, bytes, &client.worker.ledger);
    attach(client, transport, |receiving| receiving.stream(response, &client.worker.ledger));
    client.connection.settle(client.worker, begun.sent);
    client.worker.spawn(watch(
        Rc::clone(client.worker),
        Rc::clone(client.connection),
        begun.socket,
        begun.over,
    ));
}

fn send(
    worker: &Rc<Worker>,
    key: &str,
    messages: Vec<String>,
    mut answer: oneshot::Sender<Result<(), SockJsRefusal>>,
) {
    let reply = |answer: oneshot::Sender<_>, result| {
        // The request that asked may be gone.
        let _ = answer.send(result);
    };
    let connection = match find_again(worker, key) {
        Found::Open(connection) => connection,
        // The client learns of the end where it receives.
        Found::Ended(_) => return reply(answer, Ok(())),
        Found::Nothing => return reply(answer, Err(SockJsRefusal::UnknownSession)),
    };
    let worker = Rc::clone(worker);
    worker.clone().spawn(async move {
        let Some(requests) = SockJsSession::of(&connection).requests() else { return };
        // A client that gives up waiting sends another body, so a kept body would be one of any number.
        let _turn = tokio::select! {
            // In this order: a body that need not wait is received, even if its client has given up.
            biased;
            turn = requests.turn.lock() => turn,
            () = answer.closed() => return,
        };
        if connection.is_closed() {
            return reply(answer, Ok(()));
        }
        let receive = || state::receive_all(Client::of(&worker, &connection), messages);
        if let Step::Wait(event) = connection.gather(&worker, receive) {
            event.await;
        }
        reply(answer, Ok(()));
    });
}
