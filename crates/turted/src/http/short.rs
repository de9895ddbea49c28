//! The short way: an ordinary `POST` that has come completely, on a connection of HTTP/1.1, is answered without hyper.
//!
//! Backends push over connections that they keep, and most of what HTTP costs them is what a push does not need: a map
//! of headers, a body that comes in pieces, timers for it. So before hyper gets a connection, its requests are looked
//! at here, as long as each is one that an endpoint has a [short way](ShortWay) for. With the first other one the
//! connection goes to hyper for good, and hyper reads again what was read: it alone decides about anything unusual.
//! A connection on the short way owns no buffer. While an answer has to be waited for, nobody looks whether its client is still there:
//! that is as long as the workers count, or the disk takes, 5 s at most.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::header::{CONNECTION, HeaderMap};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use turted_core::limits::{IDLE_GRACE, SHORT_WAY_BYTES_MAX, SHORT_WAY_REST_WAIT};
use turted_core::wire::post::{Decoded, PostLimits, decode};

use super::answer::{Answer, close_after, close_if_unread};
use super::encode::{Clock, encode};
use super::endpoint::{Answering, Arrival, Endpoints, ShortAnswer};
use super::paced::{self, Paced};
use super::proxies;
use super::rewound::Rewound;
use crate::config::Limits;
use crate::hub::worker::worker::{CLOSING_WAIT, Worker};
use crate::io::socket::{Channel, Socket};

/// A connection that goes on with hyper.
pub(crate) struct Handed<C> {
    pub(crate) arrival: Arrival<Rewound<C>>,
    /// How much of the time for the head of its next request is over.
    pub(crate) spent: Duration,
}

/// Serves a connection until it ends, or until hyper has to go on with it.
pub(crate) async fn serve<C>(worker: &Rc<Worker>, arrival: Arrival<C>) -> Option<Handed<C>>
where
    C: AsyncRead + AsyncWrite + Unpin + Into<Channel>,
{
    let Arrival { channel, peer, permit, endpoints } = arrival;
    let hand_over = |channel, read: Vec<u8>, permit, endpoints, spent| {
        let channel = Rewound::new(channel, read);
        Some(Handed { arrival: Arrival { channel, peer, permit, endpoints }, spent })
    };
    // A connection that has only a spare place is told so in its answers.
    if worker.shared.spare.gave(&permit) || !endpoints.have_short_way() {
        return hand_over(channel, Vec::new(), permit, endpoints, Duration::ZERO);
    }
    let mut way = Way {
        worker,
        endpoints: &endpoints,
        client: proxies::client(&worker.config, peer, &HeaderMap::new()),
        channel: Paced::new(channel, worker.config.limits.outbox_stall),
        clock: worker.part(),
        begun: Vec::new(),
        is_kept: false,
        is_stopping: &Cell::new(false),
    };
    let began = Instant::now();
    let end = way.run_to_end(began).await;
    let Way { channel, is_kept, .. } = way;
    match end {
        End::Other(read) => {
            let spent = if is_kept { Duration::ZERO } else { began.elapsed() };
            hand_over(channel.into_inner(), read, permit, endpoints, spent)
        }
        End::Over => {
            let is_stalled = channel.is_stalled();
            let socket = Socket::new(channel.into_inner(), permit);
            // On the heap: others do not need the room.
            Box::pin(paced::end(worker, socket, is_stalled)).await;
            None
        }
    }
}

/// A connection on the short way.
struct Way<'a, C> {
    worker: &'a Rc<Worker>,
    endpoints: &'a Endpoints,
    /// The other side, as requests that name no other one have it.
    client: IpAddr,
    channel: Paced<C>,
    clock: Rc<Clock>,
    /// The start of a request of which the rest has not come.
    begun: Vec<u8>,
    /// Whether it has had an answer.
    is_kept: bool,
    /// Whether the server stops: no other request is answered.
    is_stopping: &'a Cell<bool>,
}

/// Why a connection leaves the short way.
enum End {
    /// These bytes are not for the short way.
    Other(Vec<u8>),
    /// The connection ends.
    Over,
}

/// What came of a read.
enum Step {
    /// A request is answered.
    Answer(Reply),
    /// The answer to a request has to be waited for. What came behind it is the next one, or its start.
    Wait(Answering<Answer>, Vec<u8>),
    /// The rest of a request is missing.
    Rest,
    End(End),
}

impl<C: AsyncRead + AsyncWrite + Unpin> Way<'_, C> {
    /// Runs until the connection leaves the short way. If the server stops, the answer that is on its way goes out.
    async fn run_to_end(&mut self, began: Instant) -> End {
        let (worker, is_stopping) = (self.worker, self.is_stopping);
        let mut run = pin!(self.run(began));
        if let Some(end) = worker.shared.life.ending.run_until_cancelled(run.as_mut()).await {
            return end;
        }
        is_stopping.set(true);
        timeout(CLOSING_WAIT, run).await.unwrap_or(End::Over)
    }

    async fn run(&mut self, began: Instant) -> End {
        let limits = &self.worker.config.limits;
        let mut patience = pin!(sleep_until(began + limits.request_head_wait));
        loop {
            let reply = match poll_fn(|context| self.poll_step(context, patience.as_mut())).await {
                Step::Answer(reply) => reply,
                Step::Wait(answering, behind) => {
                    let answer = answering.await;
                    self.reply(answer, behind)
                }
                Step::Rest => {
                    patience.as_mut().reset(Instant::now() + SHORT_WAY_REST_WAIT);
                    continue;
                }
                Step::End(end) => return end,
            };
            self.is_kept = true;
            if self.channel.write_all(&reply.bytes).await.is_err() || self.channel.flush().await.is_err() {
                return End::Over;
            }
            match reply.next {
                Next::Nothing => return End::Over,
                Next::Request(begun) if begun.is_empty() => {}
                Next::Request(begun) => return End::Other(begun),
            }
            patience.as_mut().reset(Instant::now() + limits.idle_wait + IDLE_GRACE);
        }
    }

    /// Waits for bytes, and deals with them in the same call: they lie in the buffer that all reads of a worker share.
    fn poll_step(&mut self, context: &mut Context<'_>, patience: Pin<&mut Sleep>) -> Poll<Step> {
        if self.is_stopping.get() {
            return Poll::Ready(Step::End(End::Over));
        }
        let scratch = &mut *self.worker.scratch.borrow_mut();
        // What has begun and is no whole request is shorter than one may be.
        let room = scratch.len().min(SHORT_WAY_BYTES_MAX - self.begun.len());
        let mut buffer = ReadBuf::new(&mut scratch[..room]);
        match Pin::new(&mut self.channel).poll_read(context, &mut buffer) {
            Poll::Ready(Ok(())) => Poll::Ready(self.read(buffer.filled())),
            Poll::Ready(Err(_)) => Poll::Ready(Step::End(End::Over)),
            Poll::Pending => patience.poll(context).map(|()| Step::End(self.out_of_patience())),
        }
    }

    /// Deals with what was read.
    fn read(&mut self, read: &[u8]) -> Step {
        if self.begun.is_empty() {
            return match read {
                [] => Step::End(End::Over),
                _ => self.answer(read),
            };
        }
        let mut begun = std::mem::take(&mut self.begun);
        begun.extend_from_slice(read);
        match self.answer(&begun) {
            // It comes in many pieces, or its client is gone.
            Step::Rest => {
                self.begun.clear();
                Step::End(End::Other(begun))
            }
            step => step,
        }
    }

    /// What becomes of the bytes that came.
    fn answer(&mut self, bytes: &[u8]) -> Step {
        match decode(bytes, limits_of(&self.worker.config.limits)) {
            Decoded::Whole { post, bytes: end } => {
                if let Some(way) = self.endpoints.short_way(post.path) {
                    let behind = bytes[end..].to_vec();
                    return match way.answer(self.worker, self.client, &post) {
                        ShortAnswer::Ready(answer) => Step::Answer(self.reply(answer, behind)),
                        ShortAnswer::Waits(answering) => Step::Wait(answering, behind),
                    };
                }
            }
            Decoded::Part { path } => {
                if self.endpoints.short_way(path).is_some() {
                    self.begun = bytes.to_vec();
                    return Step::Rest;
                }
            }
            Decoded::Other => {}
        }
        Step::End(End::Other(bytes.to_vec()))
    }

    /// What becomes of a connection on which nothing came in time.
    fn out_of_patience(&mut self) -> End {
        if self.begun.is_empty() { End::Over } else { End::Other(std::mem::take(&mut self.begun)) }
    }

    /// An answer as it goes out. `behind` is what came behind its request.
    fn reply(&self, answer: Answer, behind: Vec<u8>) -> Reply {
        let mut answer = close_if_unread(answer);
        if self.is_stopping.get() {
            close_after(&mut answer);
        }
        // Nothing else is said there but `close`.
        let is_last = answer.headers().contains_key(CONNECTION);
        let bytes = encode(answer, self.worker.config.limits.idle_wait.as_secs(), &self.clock);
        Reply { bytes, next: if is_last { Next::Nothing } else { Next::Request(behind) } }
    }
}

/// An answer as it goes out.
struct Reply {
    bytes: Vec<u8>,
    next: Next,
}

/// What comes behind an answer.
enum Next {
    /// A request, of which this has come already.
    Request(Vec<u8>),
    Nothing,
}

/// What requests on the short way have at most: no more than hyper would let them have.
fn limits_of(limits: &Limits) -> PostLimits {
    PostLimits {
        head_bytes: limits.request_head_bytes,
        headers: limits.request_headers,
        target_bytes: limits.request_uri_bytes,
        body_bytes: limits.push_body_bytes,
        bytes: SHORT_WAY_BYTES_MAX,
    }
}
