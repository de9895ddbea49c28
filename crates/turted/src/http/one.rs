//! One HTTP connection: requests in, answers out, until a transport takes the socket over.
//!
//! A connection begins on the [short way](super::short), which most connections of backends never leave. Of all others
//! hyper parses the requests and writes most answers. A request that turns the connection into a stream leaves a
//! [`Takeover`] and makes hyper let go of the socket, so that nothing of HTTP stays in memory. A request that waits for
//! its answer does the same, and an idle connection leaves hyper as well: hyper is made anew when more comes.

mod responder;

use std::cell::RefCell;
use std::future::{poll_fn, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_core::future::LocalBoxFuture;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

use self::responder::{HyperService, Responder};
use super::answer::{Answer, Takeover};
use super::endpoint::Arrival;
use super::guests::{self, Guest};
use super::paced::{self, Paced};
use super::parked::{self, Asked, Parked};
use super::passing::passed::Passed;
use super::passing::relay;
use super::patience::{self, Patience};
use super::rewound::Rewound;
use super::short::{self, Handed};
use crate::config::Limits;
use crate::hub::worker::worker::{CLOSING_WAIT, Worker};
use crate::io::permits::Permit;
use crate::io::seldom::warn_seldom;
use crate::io::socket::{Channel, Socket};
use crate::io::tls::HANDSHAKE;

/// Serves one connection until it ends or is taken over.
pub(crate) fn serve<C>(worker: Rc<Worker>, arrival: Arrival<C>) -> impl Future<Output = ()>
where
    C: AsyncRead + AsyncWrite + Unpin + Into<Channel> + 'static,
{
    // On the heap until it is over: most connections leave it with their first request.
    let short_way = Box::pin({
        let worker = Rc::clone(&worker);
        async move { short::serve(&worker, arrival).await }
    });
    async move {
        if let Some(handed) = short_way.await {
            go_on(worker, handed).await;
        }
    }
}

/// Serves with hyper what is not for the short way.
fn go_on<C>(worker: Rc<Worker>, Handed { arrival, spent }: Handed<C>) -> impl Future<Output = ()>
where
    C: AsyncRead + AsyncWrite + Unpin + Into<Channel> + 'static,
{
    let Arrival { channel, peer, permit, endpoints } = arrival;
    let limits = &worker.config.limits;
    let responder = Responder {
        endpoints,
        peer,
        guest: Guest::of(&worker, &permit),
        patience: Patience::after(spent, guests::head_wait(&worker, &permit), limits),
        idle_wait: patience::told(limits),
        left: RefCell::default(),
        worker,
    };
    serve_with(Rc::new(responder), channel, permit)
}

/// Each step is on the heap while it is taken: a connection spends most of its life in the small ones.
#[expect(clippy::manual_async_fn, reason = "an async fn keeps room for its arguments twice")]
fn serve_with<C>(
    responder: Rc<Responder>,
    mut channel: Rewound<C>,
    permit: Permit,
) -> impl Future<Output = ()>
where
    C: AsyncRead + AsyncWrite + Unpin + Into<Channel> + 'static,
{
    async move {
        let mut step = Step::Speak;
        let end = loop {
            step = match step {
                Step::Speak => Box::pin(speak(&responder, &mut channel)).await,
                Step::Wait(parked) => Box::pin(wait(&responder, &mut channel, parked)).await,
                Step::WaitAtTheEnd(parked) => {
                    Box::pin(wait_at_the_end(&responder, &mut channel, parked)).await
                }
                Step::Reply(reply) => Box::pin(write(&responder, &mut channel, *reply)).await,
                Step::Relay(relayed) => Box::pin(pass_back(&responder, &mut channel, *relayed)).await,
                Step::Idle(most) => Box::pin(idle(&responder.worker, &mut channel, most)).await,
                Step::End(end) => break end,
            };
        };
        finish(responder, (channel, permit), end).await;
    }
}

/// What comes next on a connection.
enum Step {
    /// hyper reads requests and answers them.
    Speak,
    /// A request has left hyper and waits for its answer.
    Wait(Parked),
    /// It does so while the server stops.
    WaitAtTheEnd(Parked),
    /// That answer is written.
    Reply(Box<(Answer, Asked)>),
    /// The answer of another node is written as it comes.
    Relay(Box<(Passed, Asked)>),
    /// Nothing is under way. For so long another request may come.
    Idle(Duration),
    End(End),
}

/// Ends HTTP on a connection.
fn finish<C>(
    responder: Rc<Responder>,
    (channel, permit): (Rewound<C>, Permit),
    end: End,
) -> LocalBoxFuture<'static, ()>
where
    C: Into<Channel>,
{
    let worker = Rc::clone(&responder.worker);
    let place = responder.guest.as_ref().and_then(|guest| guest.take_place());
    drop(responder);
    let (channel, unread) = channel.into_parts();
    let socket = Socket::new(channel, place.unwrap_or(permit));
    let is_stalled = match end {
        End::Takeover(takeover) => {
            takeover(socket, unread);
            return Box::pin(ready(()));
        }
        End::Stalled => true,
        End::Over => {
            tell_of_tls(&worker, &unread);
            false
        }
    };
    Box::pin(async move { paced::end(&worker, socket, is_stalled).await })
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
async fn speak<C>(responder: &Rc<Responder>, channel: &mut Rewound<C>) -> Step
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let (worker, patience) = (&responder.worker, &responder.patience);
    let limits = &worker.config.limits;
    let paced = Paced::for_requests(&mut *channel, limits.outbox_stall, patience.clone());
    let mut connection = builder(limits, patience.clone())
        .serve_connection(TokioIo::new(paced), HyperService(Rc::clone(responder)));
    let served = poll_fn(|context| match connection.poll_without_shutdown(context) {
        Poll::Pending if patience.is_resting() => Poll::Ready(Step::Idle(patience.idle())),
        polled => polled.map(|_| Step::End(End::Over)),
    });
    let served = tokio::select! {
        // First: what was read of a request already is not lost when the server stops meanwhile.
        biased;
        served = served => Some(served),
        () = worker.shared.life.ending.cancelled() => None,
    };
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
        (Some(step), _) => step,
        (None, Some(Step::Idle(most))) => Step::Idle(most),
        (None, _) if is_stalled => Step::End(End::Stalled),
        (None, _) => Step::End(End::Over),
    }
}

/// Waits for what becomes of a request that has left hyper.
async fn wait<C>(responder: &Responder, channel: &mut Rewound<C>, mut parked: Parked) -> Step
where
    C: AsyncRead + Unpin,
{
    let worker = &responder.worker;
    let outcome = tokio::select! {
        biased;
        outcome = parked.outcome(worker, channel) => outcome,
        () = worker.shared.life.ending.cancelled() => return Step::WaitAtTheEnd(parked),
    };
    responder.answered(outcome, parked.asked)
}

/// The same once the server stops: as in [`speak`].
async fn wait_at_the_end<C>(responder: &Responder, channel: &mut Rewound<C>, mut parked: Parked) -> Step
where
    C: AsyncRead + Unpin,
{
    let outcome = timeout(CLOSING_WAIT, parked.outcome(&responder.worker, channel)).await;
    responder.answered(outcome.ok().flatten(), Asked { wants_more: false, ..parked.asked })
}

/// Writes the answer to a request that has left hyper.
async fn write<C>(responder: &Responder, channel: &mut Rewound<C>, reply: (Answer, Asked)) -> Step
where
    C: AsyncWrite + Unpin,
{
    let (answer, asked) = reply;
    let written = parked::write(channel, answer, asked, responder.worker.config.limits.outbox_stall).await;
    responder.written(written)
}

/// Writes the answer of another node.
async fn pass_back<C>(
    responder: &Responder,
    channel: &mut Rewound<C>,
    (passed, asked): (Passed, Asked),
) -> Step
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let (answer, asked) = responder.own(passed.head, asked);
    responder.written(relay::run(&responder.worker, channel, (answer, passed.flow), asked).await)
}

/// Waits for another request. Cancel safe.
async fn idle<C: AsyncRead + Unpin>(worker: &Worker, channel: &mut Rewound<C>, most: Duration) -> Step {
    let unread = poll_fn(|context| channel.poll_unread(context, &mut worker.scratch.borrow_mut()));
    tokio::select! {
        biased;
        unread = unread => unread.map_or(Step::End(End::Over), |()| Step::Speak),
        () = sleep(most) => Step::End(End::Over),
        () = worker.shared.life.ending.cancelled() => Step::End(End::Over),
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    /// The size of what a function returns, without calling it.
    fn returned<A, B, F>(_: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    fn returned_of_three<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// Backends keep connections for pushes, each with one of these tasks.
    #[test]
    fn the_task_of_a_connection_on_the_short_way_is_small() {
        let bytes = returned(serve::<TcpStream>);
        assert!(bytes <= 928, "{bytes} bytes");
    }

    /// Every poll that waits and every kept connection holds the first one, and one of the others.
    #[test]
    fn the_task_of_a_connection_that_waits_is_small() {
        let task = returned_of_three(serve_with::<TcpStream>);
        let waiting = returned_of_three(wait::<TcpStream>);
        let idle = returned_of_three(idle::<TcpStream>);
        assert!(task <= 144, "{task} bytes");
        assert!(waiting <= 224, "{waiting} bytes");
        assert!(idle <= 256, "{idle} bytes");
    }
}
