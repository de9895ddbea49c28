//! One HTTP connection: requests in, answers out, until a transport takes the socket over.
//!
//! A connection begins on the [short way](super::short), which most connections of backends never leave. Of all others
//! hyper parses the requests and writes most answers. A request that turns the connection into a stream leaves a
//! [`Takeover`] and makes hyper let go of the socket, so that nothing of HTTP stays in memory. A request that waits for
//! its answer does the same, and an idle connection leaves hyper as well: hyper is made anew when more comes.

use std::cell::RefCell;
use std::future::{poll_fn, ready};
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

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
use super::parked::{self, Asked, Parked, Written};
use super::patience::{self, Patience};
use super::rewound::Rewound;
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
    let Arrival { mut channel, peer, permit, endpoints } = arrival;
    let limits = &worker.config.limits;
    let responder = Rc::new(Responder {
        endpoints,
        peer,
        guest: Guest::of(&worker, &permit),
        patience: Patience::after(spent, guests::head_wait(&worker, &permit), limits),
        idle_wait: patience::told(limits),
        left: RefCell::default(),
        worker: Rc::clone(&worker),
    });
    let end = loop {
        // On the heap: most of its life a connection has no use for hyper.
        let next = match Box::pin(speak(&responder, &mut channel)).await {
            Parting::Parked(parked) => wait(&responder, &mut channel, parked).await,
            Parting::Resting => idle(&worker, &mut channel, responder.patience.rest()).await,
            Parting::Ended(end) => Some(end),
        };
        if let Some(end) = next {
            break end;
        }
    };
    let place = responder.guest.as_ref().and_then(|guest| guest.take_place());
    drop(responder);
    let (channel, unread) = channel.into_parts();
    let socket = Socket::new(channel, place.unwrap_or(permit));
    let is_stalled = match end {
        End::Takeover(takeover) => return takeover(socket, unread),
        End::Stalled => true,
        End::Over => {
            tell_of_tls(&worker, &unread);
            false
        }
    };
    Box::pin(paced::end(&worker, socket, is_stalled)).await;
}

/// Why hyper has let go of a connection.
enum Parting {
    /// A request waits for its answer.
    Parked(Parked),
    /// It is idle.
    Resting,
    Ended(End),
}

/// How HTTP ends on a connection.
enum End {
    /// The socket has another use from now on.
    Takeover(Takeover),
    /// The client does not read its answers.
    Stalled,
    Over,
}

/// Lets hyper serve requests until it lets go of the connection.
async fn speak<C>(responder: &Rc<Responder>, channel: &mut Rewound<C>) -> Parting
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let (worker, patience) = (&responder.worker, &responder.patience);
    let limits = &worker.config.limits;
    let paced = Paced::for_requests(&mut *channel, limits.outbox_stall, patience.clone());
    let mut connection = builder(limits, patience.clone())
        .serve_connection(TokioIo::new(paced), HyperService(Rc::clone(responder)));
    let served = poll_fn(|context| match connection.poll_without_shutdown(context) {
        Poll::Pending if patience.is_resting() => Poll::Ready(Parting::Resting),
        polled => polled.map(|_| Parting::Ended(End::Over)),
    });
    let served = worker.shared.life.ending.run_until_cancelled(served).await;
    if served.is_none() {
        // The server stops: the request that is under way is still answered, then no other.
        Pin::new(&mut connection).graceful_shutdown();
        let served = poll_fn(|context| connection.poll_without_shutdown(context));
        let _ = timeout(CLOSING_WAIT, served).await;
    }
    let http1::Parts { io, read_buf, .. } = connection.into_parts();
    let is_stalled = io.into_inner().is_stalled();
    channel.rewind(&read_buf);
    match (responder.left.take(), served) {
        (Some(parting), _) => parting,
        (None, Some(Parting::Resting)) => Parting::Resting,
        (None, _) if is_stalled => Parting::Ended(End::Stalled),
        (None, _) => Parting::Ended(End::Over),
    }
}

/// Waits for what becomes of a request that has left hyper, and answers it. Returns how the connection ends, if it
/// does.
async fn wait<C>(responder: &Responder, channel: &mut Rewound<C>, mut parked: Parked) -> Option<End>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let worker = &responder.worker;
    let ending = &worker.shared.life.ending;
    let outcome = match ending.run_until_cancelled(parked.outcome(worker, channel)).await {
        Some(outcome) => outcome,
        // The server stops: as in `speak`.
        None => Box::pin(timeout(CLOSING_WAIT, parked.outcome(worker, channel))).await.ok().flatten(),
    };
    let mut asked = parked.asked;
    drop(parked);
    let Some(outcome) = outcome else { return Some(End::Over) };
    asked.wants_more &= !ending.is_cancelled();
    match responder.settle(outcome, asked) {
        Err(takeover) => Some(End::Takeover(takeover)),
        Ok(answer) => {
            let stall = worker.config.limits.outbox_stall;
            match Box::pin(parked::write(channel, answer, asked, stall)).await {
                Written::Whole => idle(worker, channel, responder.patience.idle()).await,
                Written::Stalled => Some(End::Stalled),
                Written::Last | Written::Broken => Some(End::Over),
            }
        }
    }
}

/// Waits for another request. Returns how the connection ends, if it does.
async fn idle<C>(worker: &Worker, channel: &mut Rewound<C>, wait: Duration) -> Option<End>
where
    C: AsyncRead + Unpin,
{
    let unread = poll_fn(|context| channel.poll_unread(context, &mut worker.scratch.borrow_mut()));
    match worker.shared.life.ending.run_until_cancelled(timeout(wait, unread)).await {
        Some(Ok(Ok(()))) => None,
        _ => Some(End::Over),
    }
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

/// Answers the requests of one connection.
struct Responder {
    worker: Rc<Worker>,
    endpoints: Arc<Endpoints>,
    /// The other side of the connection.
    peer: IpAddr,
    /// Why hyper lets go of the connection, said by the request that makes it.
    left: RefCell<Option<Parting>>,
    /// Set for a connection that has no place of a client.
    guest: Option<Rc<Guest>>,
    patience: Patience,
    /// How long the connection may be idle, as its client is told.
    idle_wait: Option<HeaderValue>,
}

/// Makes hyper let go of the socket.
#[derive(Debug, thiserror::Error)]
#[error("the connection has left hyper")]
struct LeftHyper;

impl Responder {
    /// The answer to a request that no endpoint gets to see; `None` if one may see it.
    fn refuse<B>(&self, request: &Request<B>) -> Option<Answer> {
        if let Err(breach) = rules::check(request) {
            self.worker.metrics.refused(breach.rule());
            return Some(breach.into());
        }
        self.guest.as_ref().and_then(|guest| guest.check(&self.worker, &self.endpoints, request))
    }

    /// The answer to a request, or what goes on with its socket.
    fn settle(&self, outcome: Outcome, asked: Asked) -> Result<Answer, Takeover> {
        match outcome {
            Outcome::Answer(answer) => Ok(self.last_touch(answer, asked)),
            Outcome::Stream(unending) => Err(unending.take_over(asked.version)),
            Outcome::Takeover(takeover) => Err(takeover),
        }
    }

    /// Adds to an answer over HTTP/1 what it says about its connection.
    fn last_touch(&self, mut answer: Answer, asked: Asked) -> Answer {
        if asked.other_version {
            rules::tell_version(&mut answer);
        }
        let mut answer = close_if_unread(answer);
        if let Some(guest) = &self.guest {
            guest.dismiss(&mut answer);
        }
        patience::tell(&mut answer, self.idle_wait.as_ref().filter(|_| asked.wants_more));
        answer
    }

    /// Answers a request in hyper, unless it has to wait and can do so outside.
    async fn answer(&self, call: Call, asked: Asked) -> Result<Answer, LeftHyper> {
        let mut answering = self.endpoints.answer(call);
        let at_once = poll_fn(|context| Poll::Ready(answering.as_mut().poll(context))).await;
        let outcome = match at_once {
            Poll::Ready(outcome) => outcome,
            // Earlier answers that hyper has not written would be lost.
            Poll::Pending if asked.is_whole && self.patience.is_flushed() => {
                return Err(self.leave(Parting::Parked(Parked { answering, asked })));
            }
            Poll::Pending => answering.await,
        };
        let settled = self.settle(outcome, asked);
        settled.map_err(|takeover| self.leave(Parting::Ended(End::Takeover(takeover))))
    }

    fn leave(&self, parting: Parting) -> LeftHyper {
        self.left.replace(Some(parting));
        LeftHyper
    }
}

/// The hyper service of one connection.
struct HyperService(Rc<Responder>);

impl HttpService<Request<Incoming>> for HyperService {
    type Response = Answer;
    type Error = LeftHyper;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, LeftHyper>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let responder = &self.0;
        if let Some(refusal) = responder.refuse(&request) {
            return Box::pin(ready(Ok(refusal)));
        }
        let asked = Asked::of(&request);
        let call = Call {
            worker: Rc::clone(&responder.worker),
            peer: proxies::client(&responder.worker.config, responder.peer, request.headers()),
            agent: Agent::of(request.headers()),
            request: request.map(RequestBody::dropped_unread),
        };
        let responder = Rc::clone(responder);
        Box::pin(async move { responder.answer(call, asked).await })
    }
}
