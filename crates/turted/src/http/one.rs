//! One HTTP connection: requests in, answers out, until a transport takes the socket over.
//!
//! A connection begins on the [short way](super::short), which most connections of backends never leave. Of all others
//! hyper parses and answers the requests. A request that turns the connection into a stream leaves a
//! [`Takeover`] and makes hyper let go of the socket, so that nothing of HTTP stays in memory.

use std::cell::RefCell;
use std::future::{poll_fn, ready};
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::Service as HttpService;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::answer::{Answer, Takeover, close_if_unread};
use super::call::{Call, Outcome};
use super::endpoint::{Arrival, Endpoints};
use super::guests::{self, Guest};
use super::incoming::RequestBody;
use super::paced::{self, Paced};
use super::patience::{self, Patience};
use super::short::{self, Handed};
use super::{proxies, rules};
use crate::config::Limits;
use crate::hub::worker::journal::Agent;
use crate::hub::worker::worker::{CLOSING_WAIT, Worker};
use crate::io::seldom::warn_seldom;
use crate::io::socket::{Channel, Socket};
use crate::io::tls::HANDSHAKE;

/// Serves one connection until it ends or is taken over.
pub(crate) async fn serve<C>(worker: Rc<Worker>, arrival: Arrival<C>)
where
    C: AsyncRead + AsyncWrite + Unpin + Into<Channel> + 'static,
{
    if let Some(handed) = short::serve(&worker, arrival).await {
        // A task of its own, so that one on the short way is small.
        worker.spawn(go_on(Rc::clone(&worker), handed));
    }
}

/// Serves with hyper what is not for the short way.
async fn go_on<C>(worker: Rc<Worker>, Handed { arrival, spent }: Handed<C>)
where
    C: AsyncRead + AsyncWrite + Unpin + Into<Channel> + 'static,
{
    let Arrival { channel, peer, permit, endpoints } = arrival;
    let taken = Rc::new(RefCell::new(None));
    let limits = &worker.config.limits;
    let guest = Guest::of(&worker, &permit);
    let patience = Patience::new(guests::head_wait(&worker, &permit), limits).after(spent);
    let responder = Responder {
        worker: Rc::clone(&worker),
        endpoints,
        peer,
        taken: Rc::clone(&taken),
        guest: guest.clone(),
        idle_wait: patience::told(limits),
    };
    let channel = Paced::for_requests(channel, limits.outbox_stall, patience.clone());
    let mut connection = builder(limits, patience).serve_connection(TokioIo::new(channel), responder);
    let served = poll_fn(|context| connection.poll_without_shutdown(context));
    if worker.shared.life.ending.run_until_cancelled(served).await.is_none() {
        // The server stops: the request that is under way is still answered, then no other.
        Pin::new(&mut connection).graceful_shutdown();
        let served = poll_fn(|context| connection.poll_without_shutdown(context));
        let _ = timeout(CLOSING_WAIT, served).await;
    }
    let parts = connection.into_parts();
    let channel = parts.io.into_inner();
    let is_stalled = channel.is_stalled();
    let (channel, unread) = channel.into_inner().into_parts();
    let read = joined(parts.read_buf, &unread);
    let place = guest.and_then(|guest| guest.take_place());
    let socket = Socket::new(channel, place.unwrap_or(permit));
    let takeover = taken.take();
    drop(parts.service);
    match takeover {
        Some(takeover) => takeover(socket, read),
        None => {
            tell_of_tls(&worker, &read);
            paced::end(&worker, socket, is_stalled).await;
        }
    }
}

/// What hyper has read and not used, and what it has not read of what the short way had.
fn joined(read: Bytes, unread: &[u8]) -> Bytes {
    if unread.is_empty() { read } else { [&read, unread].concat().into() }
}

/// Tells the operator that a client speaks TLS on a port that does not. The client cannot read hyper's answer.
fn tell_of_tls(worker: &Worker, unread: &[u8]) {
    if worker.shared.certificates.is_none() && unread.starts_with(&[HANDSHAKE, 3]) {
        warn_seldom!(
            "a client speaks TLS, which this port does not: set tls_cert and tls_key, or have clients use http and ws"
        );
    }
}

/// HTTP/1 within the limits of the configuration.
pub(crate) fn builder(limits: &Limits, patience: Patience) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(patience.head())
        .timer(patience)
        .max_headers(limits.request_headers)
        .max_buf_size(limits.request_head_bytes);
    builder
}

/// The hyper service of one connection.
struct Responder {
    worker: Rc<Worker>,
    endpoints: Arc<Endpoints>,
    /// The other side of the connection.
    peer: IpAddr,
    taken: Rc<RefCell<Option<Takeover>>>,
    /// Set for a connection that has no place of a client.
    guest: Option<Rc<Guest>>,
    /// How long the connection may be idle, as its client is told.
    idle_wait: Option<HeaderValue>,
}

/// Makes hyper stop: the socket has another use from now on.
#[derive(Debug, thiserror::Error)]
#[error("the connection was taken over")]
struct TakenOver;

impl Responder {
    /// The answer to a request that no endpoint gets to see; `None` if one may see it.
    fn refuse<B>(&self, request: &Request<B>) -> Option<Answer> {
        if let Err(breach) = rules::check(request) {
            self.worker.metrics.refused(breach.rule());
            return Some(breach.into());
        }
        self.guest.as_ref().and_then(|guest| guest.check(&self.worker, &self.endpoints, request))
    }
}

impl HttpService<Request<Incoming>> for Responder {
    type Response = Answer;
    type Error = TakenOver;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, TakenOver>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let version = request.version();
        if let Some(refusal) = self.refuse(&request) {
            return Box::pin(ready(Ok(refusal)));
        }
        let other_version = rules::asks_for_other_version(&request);
        let peer = proxies::client(&self.worker.config, self.peer, request.headers());
        let agent = Agent::of(request.headers());
        let idle_wait = self.idle_wait.clone().filter(|_| patience::wants_more(&request));
        let call = Call {
            worker: Rc::clone(&self.worker),
            peer,
            agent,
            request: request.map(RequestBody::dropped_unread),
        };
        let (taken, guest) = (Rc::clone(&self.taken), self.guest.clone());
        let endpoints = Arc::clone(&self.endpoints);
        Box::pin(async move {
            match endpoints.answer(call).await {
                Outcome::Answer(mut answer) => {
                    if other_version {
                        rules::tell_version(&mut answer);
                    }
                    Ok(last_touch(answer, guest.as_deref(), idle_wait.as_ref()))
                }
                Outcome::Stream(unending) => {
                    taken.replace(Some(unending.take_over(version)));
                    Err(TakenOver)
                }
                Outcome::Takeover(takeover) => {
                    taken.replace(Some(takeover));
                    Err(TakenOver)
                }
            }
        })
    }
}

/// Adds to an answer over HTTP/1 what it says about its connection.
fn last_touch(answer: Answer, guest: Option<&Guest>, idle_wait: Option<&HeaderValue>) -> Answer {
    let mut answer = close_if_unread(answer);
    if let Some(guest) = guest {
        guest.dismiss(&mut answer);
    }
    patience::tell(&mut answer, idle_wait);
    answer
}
