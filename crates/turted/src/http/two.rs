//! HTTP/2 for clients that agree on it during the TLS handshake (RFC 9113): the same requests and
//! answers as over HTTP/1.1. A request that would take the socket over is refused.
//!
//! Its connections hold more memory than those of HTTP/1. A browser uses one for all its requests, and
//! opens another one over HTTP/1.1 for a WebSocket.

mod whole;
mod passed_on;

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, ready};
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Either;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::CONNECTION;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::Service;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use turted_core::limits::{
    H2_CONNECTION_WINDOW_BYTES, H2_SEND_BUFFER_BYTES, H2_STREAM_WINDOW_BYTES, H2_STREAMS_MAX, IDLE_GRACE,
    PING_INTERVAL, PING_TIMEOUT,
};

use crate::http::endpoint::Endpoints;
use crate::http::guests::{self, Guest};
use crate::http::incoming::{Unread, discard};
use crate::http::paced::Paced;
use crate::http::passing::passed::Passed;
use crate::http::passing::relay;
use crate::http::proxies;
use crate::http::{self, Answer, Arrival, Call, Outcome, RequestBody};
use crate::hub::delivery::outlet::StreamBody;
use crate::hub::delivery::outlet::switch::Switch;
use crate::hub::worker::journal::Agent;
use crate::hub::worker::worker::{CLOSING_WAIT, Worker};
use crate::io::tls::TlsStream;
use passed_on::PassedOn;
use whole::Whole;

type AnyBody = Either<Whole<UnderWay>, Either<Guarded, PassedOn<UnderWay>>>;

/// Serves one connection until it ends, or has had nothing to do for too long.
pub(crate) async fn serve(worker: Rc<Worker>, arrival: Arrival<TlsStream>) {
    let Arrival { channel, peer, permit, endpoints } = arrival;
    let guest = Guest::of(&worker, &permit);
    let head_wait = guests::head_wait(&worker, &permit);
    let activity = Rc::new(Activity::new());
    // A guest does not get the longer wait for a second request.
    let idle_wait = if guest.is_some() { head_wait } else { worker.config.limits.idle_wait + IDLE_GRACE };
    // Nor may it keep its spare place by a body that does not end.
    let body_wait = worker.config.limits.request_body_wait;
    let patience = if guest.is_some() { body_wait.min(head_wait) } else { body_wait };
    let (own, activity_of) = (Rc::clone(&worker), Rc::clone(&activity));
    let responder = Responder { worker: own, endpoints, peer, activity: activity_of, guest, patience };
    let channel = Paced::new(channel, worker.config.limits.outbox_stall);
    let connection = builder(&worker).serve_connection(TokioIo::new(channel), responder);
    tokio::pin!(connection);
    tokio::select! {
        _ = &mut connection => return,
        () = activity.idle_for(head_wait, idle_wait) => {}
        () = worker.shared.life.ending.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    // Requests under way may take that long to end.
    let _ = timeout(CLOSING_WAIT, connection).await;
}

fn builder(worker: &Rc<Worker>) -> http2::Builder<LocalExecutor> {
    let head_bytes = u32::try_from(worker.config.limits.request_head_bytes).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(LocalExecutor(Rc::clone(worker)));
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(head_bytes)
        .max_concurrent_streams(H2_STREAMS_MAX)
        .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(H2_SEND_BUFFER_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// Runs the tasks of a connection on its worker: hyper has one for each request and its response.
#[derive(Clone)]
struct LocalExecutor(Rc<Worker>);

impl<F: Future<Output = ()> + 'static> Executor<F> for LocalExecutor {
    fn execute(&self, task: F) {
        // An async block has room for what it awaits twice, and this one awaits through two more.
        let task = Box::pin(task);
        let worker = Rc::clone(&self.0);
        self.0.spawn(async move {
            if Switch::default().run(task, worker.config.limits.outbox_stall).await {
                worker.metrics.unread_answers.add(1);
            }
        });
    }
}

/// How many requests and responses of a connection are under way.
#[derive(Debug)]
struct Activity {
    under_way: Cell<usize>,
    idle_since: Cell<Instant>,
    /// Whether a request has come.
    is_used: Cell<bool>,
    changed: Notify,
}

impl Activity {
    fn new() -> Self {
        Self {
            under_way: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
            is_used: Cell::new(false),
            changed: Notify::new(),
        }
    }

    fn begin(self: &Rc<Self>) -> Token {
        self.is_used.set(true);
        self.under_way.set(self.under_way.get() + 1);
        Token(Rc::clone(self))
    }

    /// Waits until nothing has been under way for a while: `head` before the first request, then `idle`. Cancel
    /// safe.
    async fn idle_for(&self, head: Duration, idle: Duration) {
        loop {
            let due = self.idle_since.get() + if self.is_used.get() { idle } else { head };
            match self.under_way.get() {
                0 if due <= Instant::now() => return,
                0 => tokio::select! {
                    () = sleep_until(due) => {}
                    () = self.changed.notified() => {}
                },
                _ => self.changed.notified().await,
            }
        }
    }
}

/// A request or response that counts as under way until this is dropped.
struct Token(Rc<Activity>);

impl Drop for Token {
    fn drop(&mut self) {
        let activity = &self.0;
        activity.under_way.set(activity.under_way.get() - 1);
        activity.idle_since.set(Instant::now());
        activity.changed.notify_one();
    }
}

/// A request until its answer has been sent. What is unread of its body is then read and discarded: clients that
/// still send it would take the end of the stream for an error, as curl 7.88 does.
struct UnderWay {
    token: Token,
    unread: Unread,
    /// How long what is unread may take.
    patience: Duration,
    worker: Rc<Worker>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(body) = self.unread.take() {
            let (worker, token, patience) = (Rc::clone(&self.worker), self.token.0.begin(), self.patience);
            self.worker.spawn(async move {
                tokio::select! {
                    () = discard(body, worker.config.limits.push_body_bytes) => {}
                    () = sleep(patience) => {}
                    () = worker.shared.life.ending.cancelled() => {}
                }
                drop(token);
            });
        }
    }
}

/// The hyper service of one connection.
struct Responder {
    worker: Rc<Worker>,
    endpoints: Arc<Endpoints>,
    /// The other side of the connection.
    peer: IpAddr,
    activity: Rc<Activity>,
    /// Set for a connection that has no place of a client.
    guest: Option<Rc<Guest>>,
    /// How long the rest of a body may take whose request is answered.
    patience: Duration,
}

impl Service<Request<Incoming>> for Responder {
    type Response = Response<AnyBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (token, worker) = (self.activity.begin(), Rc::clone(&self.worker));
        let under_way = UnderWay { token, unread: Unread::default(), patience: self.patience, worker };
        let request = request.map(|body| RequestBody::kept_unread(body, &under_way.unread));
        let refusal =
            self.guest.as_ref().and_then(|guest| guest.check(&self.worker, &self.endpoints, &request));
        if let Some(refusal) = refusal {
            drop(request);
            return Box::pin(ready(Ok(whole(refusal, under_way))));
        }
        let peer = proxies::client(&self.worker.config, self.peer, request.headers());
        let agent = Agent::of(request.headers());
        let (worker, endpoints) = (Rc::clone(&self.worker), Arc::clone(&self.endpoints));
        Box::pin(async move {
            let call = Call { worker: Rc::clone(&worker), peer, agent, request };
            let answer = match endpoints.answer(call).await {
                Outcome::Answer(answer) => answer,
                Outcome::Stream(unending) => {
                    let (response, token) = (unending.respond(&worker), under_way.token.0.begin());
                    let guarded = |body| Either::Right(Either::Left(Guarded { body, _token: token }));
                    return Ok(response.map(guarded));
                }
                Outcome::Passed(passed) => return Ok(passed_on(*passed, under_way)),
                Outcome::Takeover(_) => http::text(
                    StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                    "this is not served over HTTP/2: ask with HTTP/1.1",
                ),
            };
            Ok(whole(answer, under_way))
        })
    }
}

/// The response of an answer that is known as a whole.
fn whole(mut answer: Answer, under_way: UnderWay) -> Response<AnyBody> {
    // `Connection` means nothing over HTTP/2, and must not be sent (RFC 9113 8.2.2).
    answer.headers_mut().remove(CONNECTION);
    let switch = Switch::current();
    answer.map(|body| Either::Left(Whole::new(body, switch, under_way)))
}

/// The response of an answer of another node.
fn passed_on(Passed { mut head, flow }: Passed, under_way: UnderWay) -> Response<AnyBody> {
    relay::strip(&mut head.headers);
    head.version = Version::HTTP_2;
    let body = PassedOn::new(flow, Switch::current(), under_way);
    Response::from_parts(head, Either::Right(Either::Right(body)))
}

/// The body of a stream, which counts as under way until it is dropped.
struct Guarded {
    body: StreamBody,
    _token: Token,
}

impl Body for Guarded {
    type Data = Bytes;
    type Error = <StreamBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
