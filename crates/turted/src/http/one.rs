//! One HTTP connection: requests in, answers out, until a transport takes the socket over.
//!
//! hyper parses and answers. A request that turns the connection into a stream leaves a
//! [`Takeover`] and makes hyper let go of the socket, so that nothing of HTTP stays in memory.

use std::cell::RefCell;
use std::future::{poll_fn, ready};
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::Service as HttpService;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::config::Limits;
use crate::http::entrance;
use crate::http::guests::{self, Guest};
use crate::http::paced::Paced;
use crate::http::proxies;
use crate::http::streaming::Unending;
use crate::hub::worker::journal::Agent;
use crate::hub::worker::worker::{GOOD_BYE, Worker};
use crate::io::permits::Permit;
use crate::io::seldom::warn_seldom;
use crate::io::socket::{Channel, Socket};

use super::body::Body;
use super::endpoint::Endpoints;
use super::patience::{self, Patience};
use super::rules;

/// Where balancers see that the server lives.
pub(crate) const HEALTH: &str = "/health";

/// The answer to a request.
pub(crate) type Answer = Response<Body>;

/// What goes on with a socket that left HTTP, given the bytes that were read of it already.
pub(crate) type Takeover = Box<dyn FnOnce(Socket, Bytes)>;

/// A request and where it came from.
pub(crate) struct Call {
    pub(crate) worker: Rc<Worker>,
    /// The client's address, also behind trusted proxies.
    pub(crate) peer: IpAddr,
    /// What it says it is.
    pub(crate) agent: Agent,
    pub(crate) request: Request<Incoming>,
}

/// What becomes of a request.
pub(crate) enum Outcome {
    /// It is answered.
    Answer(Answer),
    /// Its answer does not end.
    Stream(Unending),
    /// Its connection becomes something else.
    Takeover(Takeover),
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

/// A connection that is ready for its first request.
pub(crate) struct Arrival<C> {
    /// What its bytes go through.
    pub(crate) channel: C,
    /// The other side: a client, or the last proxy before us.
    pub(crate) peer: IpAddr,
    pub(crate) permit: Permit,
    /// Who answers its requests.
    pub(crate) endpoints: Arc<Endpoints>,
}

/// Serves one connection until it ends or is taken over.
pub(crate) async fn serve<C>(worker: Rc<Worker>, arrival: Arrival<C>)
where
    C: AsyncRead + AsyncWrite + Unpin + Into<Channel> + 'static,
{
    let Arrival { channel, peer, permit, endpoints } = arrival;
    let taken = Rc::new(RefCell::new(None));
    let limits = &worker.config.limits;
    let guest = Guest::of(&worker, &permit);
    let patience = Patience::new(guests::head_wait(&worker, &permit), limits);
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
        let _ = timeout(GOOD_BYE, served).await;
    }
    let parts = connection.into_parts();
    let channel = parts.io.into_inner();
    let is_stalled = channel.is_stalled();
    let place = guest.and_then(|guest| guest.take_place());
    let socket = Socket::new(channel.into_inner(), place.unwrap_or(permit));
    let takeover = taken.take();
    drop(parts.service);
    match takeover {
        Some(takeover) => takeover(socket, parts.read_buf),
        // Whoever does not read does not read a good-bye either, and the kernel holds bytes for it.
        None if is_stalled => {
            worker.metrics.unread_answers.add(1);
            socket.reset();
        }
        None => {
            tell_of_tls(&worker, &parts.read_buf);
            socket.linger().await;
        }
    }
}

/// Tells the operator of a client that speaks TLS where it is not spoken. hyper has answered in words it cannot read.
fn tell_of_tls(worker: &Worker, unread: &[u8]) {
    if worker.shared.certificates.is_none() && unread.starts_with(&[entrance::TLS_HANDSHAKE, 3]) {
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
    /// How long it may be idle, as clients are told.
    idle_wait: Option<HeaderValue>,
}

/// Makes hyper stop: the socket has another use from now on.
#[derive(Debug, thiserror::Error)]
#[error("the connection was taken over")]
struct TakenOver;

impl Responder {
    /// The answer to a request that is not looked at.
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
        let call = Call { worker: Rc::clone(&self.worker), peer, agent, request };
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

/// What each answer over HTTP/1 is told about its connection.
fn last_touch(answer: Answer, guest: Option<&Guest>, idle_wait: Option<&HeaderValue>) -> Answer {
    let mut answer = close_if_unread(answer);
    if let Some(guest) = guest {
        guest.dismiss(&mut answer);
    }
    patience::tell(&mut answer, idle_wait);
    answer
}

/// A body that was refused half-way is not read to its end, so no other request can follow it.
fn close_if_unread(mut answer: Answer) -> Answer {
    if matches!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
        close_after(&mut answer);
    }
    answer
}

/// Says that no other request is served on the connection of this one.
pub(crate) fn close_after(answer: &mut Answer) {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

/// Says which methods a resource has, as every 405 must (RFC 9110 15.5.6).
pub(crate) fn allow(answer: &mut Answer, methods: &'static str) {
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
}

/// Why a request that breaks no rule is refused with 503 and may be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// There are as many clients as there may be. Places come free one by one: those who wait should not
    /// all ask every second.
    Overload,
    /// What is needed to answer is away or busy for the moment.
    Moment,
    /// Too much is being read, so the body of this request was not.
    Unread,
    /// The server stops. Elsewhere the client may be served at once, on this connection never.
    Stopping,
}

impl Unavailable {
    /// Says in an answer when to try again, and whether on this connection.
    pub(crate) fn mark(self, answer: &mut Answer) {
        let seconds: u64 = match self {
            Self::Overload => 5,
            Self::Moment | Self::Unread | Self::Stopping => 1,
        };
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        if matches!(self, Self::Unread | Self::Stopping) {
            close_after(answer);
        }
    }
}

/// The answer to a request whose target is too long.
pub(crate) fn check_target(limits: &Limits, uri: &Uri) -> Option<Answer> {
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    (target.len() > limits.request_uri_bytes)
        .then(|| text(StatusCode::URI_TOO_LONG, "the request target is too long (limits.request_uri_bytes)"))
}

/// A path without the slash at its end: with it and without it is the same path, on every listener.
pub(crate) fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// An answer of plain text.
pub(crate) fn text(status: StatusCode, body: impl Into<Body>) -> Answer {
    answer(status, "text/plain; charset=UTF-8", body)
}

/// An answer with a body of some type.
pub(crate) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Answer {
    let mut answer = bare(status, body);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// An answer without a content type.
pub(crate) fn bare(status: StatusCode, body: impl Into<Body>) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer
}
