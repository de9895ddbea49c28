//! How long the server waits for a request on a connection of HTTP/1. The first request may take as long as a head
//! may. A later one may begin later; from its first byte on it may take as long as a head may.
//!
//! hyper has one time for both (`header_read_timeout`), which begins with the wait and not with the first byte. It
//! asks for a timer anew for each head, so a timer of our own can tell them apart (hyper 1.12, `Conn::poll_read_head`).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};
use hyper::rt::{Sleep, Timer};
use hyper::{Request, Version};
use hyper_util::rt::TokioTimer;
use tokio::time;
use turted_core::limits::IDLE_GRACE;

use super::answer::Answer;
use crate::config::Limits;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// How long hyper keeps an idle connection of a backend, which probably asks again at once: to make hyper anew costs it
/// 0.7 us of 9. Connections of clients leave at once, because thousands may come together.
const STAY: Duration = Duration::from_millis(10);

/// The timer of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Patience(Arc<PatienceState>);

#[derive(Debug)]
struct PatienceState {
    head: Duration,
    /// How much of that was over for the first head when hyper began to wait for it.
    spent: Duration,
    idle: Duration,
    /// Whether a head has come already.
    is_kept: AtomicBool,
    /// Whether bytes have come since the last wait began.
    has_read: AtomicBool,
    /// Whether all that hyper had to write is written.
    is_flushed: AtomicBool,
    /// Whether the last request was that of a backend.
    is_of_backend: AtomicBool,
    /// Whether hyper may let go of the connection, which is idle.
    is_resting: AtomicBool,
}

impl Patience {
    /// For a connection that may take `head` for a request head, and be idle between two requests as the limits say.
    pub(crate) fn new(head: Duration, limits: &Limits) -> Self {
        Self::after(Duration::ZERO, head, limits)
    }

    /// The same where so much of the time for the first head is over.
    pub(super) fn after(spent: Duration, head: Duration, limits: &Limits) -> Self {
        let idle = limits.idle_wait + IDLE_GRACE;
        Self(Arc::new(PatienceState {
            head,
            spent,
            idle,
            is_kept: AtomicBool::new(false),
            has_read: AtomicBool::new(false),
            is_flushed: AtomicBool::new(true),
            is_of_backend: AtomicBool::new(false),
            is_resting: AtomicBool::new(false),
        }))
    }

    /// How long a head may take.
    pub(super) fn head(&self) -> Duration {
        self.0.head
    }

    /// How long a connection may be idle between two requests.
    pub(super) fn idle(&self) -> Duration {
        self.0.idle
    }

    /// Notes whether a request is that of a backend.
    pub(super) fn asked_by_backend(&self, is_of_backend: bool) {
        self.0.is_of_backend.store(is_of_backend, Ordering::Relaxed);
    }

    /// Notes that bytes have come.
    pub(crate) fn read(&self) {
        self.0.has_read.store(true, Ordering::Relaxed);
    }

    /// Notes whether all is written. hyper flushes its channel only when it has handed over everything (hyper 1.12,
    /// `Buffered::poll_flush`).
    pub(crate) fn flushed(&self, is_flushed: bool) {
        self.0.is_flushed.store(is_flushed, Ordering::Relaxed);
    }

    /// Whether hyper holds nothing that is still to be written.
    pub(super) fn is_flushed(&self) -> bool {
        self.0.is_flushed.load(Ordering::Relaxed)
    }

    /// Whether hyper waits for the head of another request and holds nothing of the connection, so that it may let go
    /// of it. To be asked right after hyper was polled.
    pub(super) fn is_resting(&self) -> bool {
        self.0.is_resting.swap(false, Ordering::Relaxed)
    }
}

impl Timer for Patience {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        TokioTimer::new().sleep(duration)
    }

    /// hyper calls this when it begins to wait for a head.
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        if !self.0.is_kept.swap(true, Ordering::Relaxed) {
            return TokioTimer::new().sleep_until(deadline.checked_sub(self.0.spent).unwrap_or(deadline));
        }
        self.0.has_read.store(false, Ordering::Relaxed);
        Box::pin(Idle { state: Arc::clone(&self.0), sleep: None, stage: Stage::Begun })
    }

    fn now(&self) -> Instant {
        TokioTimer::new().now()
    }
}

/// Waits for the first byte, and from then on as long as a head may take. hyper polls it whenever bytes have come
/// that make no whole head, and first when none have come.
struct Idle {
    state: Arc<PatienceState>,
    /// On the heap, and only when it is needed: mostly hyper lets go before.
    sleep: Option<Pin<Box<time::Sleep>>>,
    stage: Stage,
}

/// How far the wait for a head has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It has not been waited yet.
    Begun,
    /// Nothing has come, and hyper stays.
    Staying,
    /// Nothing has come, and hyper may go.
    Resting,
    /// A head is coming.
    Head,
}

impl Sleep for Idle {}

impl Idle {
    fn enter(&mut self, stage: Stage, wait: Duration) {
        self.stage = stage;
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(time::Instant::now() + wait),
            None => self.sleep = Some(Box::pin(time::sleep(wait))),
        }
    }

    /// hyper may go, unless an answer is still on its way: the time goes on then.
    fn rest(&mut self) {
        self.state.is_resting.store(self.state.is_flushed.load(Ordering::Relaxed), Ordering::Relaxed);
        let idle = self.state.idle;
        self.enter(Stage::Resting, idle);
    }

    fn poll_sleep(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(context))
    }
}

impl Future for Idle {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.stage != Stage::Head && self.state.has_read.load(Ordering::Relaxed) {
            let head = self.state.head;
            self.enter(Stage::Head, head);
        }
        match self.stage {
            Stage::Begun if self.state.is_of_backend.load(Ordering::Relaxed) => {
                self.enter(Stage::Staying, STAY)
            }
            Stage::Begun => self.rest(),
            Stage::Staying | Stage::Resting | Stage::Head => {}
        }
        if self.stage == Stage::Staying {
            ready!(self.poll_sleep(context));
            self.rest();
        }
        self.poll_sleep(context)
    }
}

/// What clients are told of the time between two requests, in whole seconds; `None` if it is below a second.
pub(super) fn told(limits: &Limits) -> Option<HeaderValue> {
    let seconds = limits.idle_wait.as_secs();
    (seconds > 0).then(|| HeaderValue::from_str(&format!("timeout={seconds}")).expect("digits are a value"))
}

/// Whether another request may follow on the connection of this one (RFC 9112 9.3).
pub(super) fn wants_more<B>(request: &Request<B>) -> bool {
    match request.version() {
        Version::HTTP_11 => !has_token(request.headers(), "close"),
        _ => has_token(request.headers(), "keep-alive") && !has_token(request.headers(), "close"),
    }
}

/// Whether the connection header has this token.
pub(super) fn has_token(headers: &HeaderMap, token: &str) -> bool {
    let lines = headers.get_all(CONNECTION).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// Says how long the connection may now be idle, as the node server did, unless it ends with this answer.
pub(super) fn tell(answer: &mut Answer, told: Option<&HeaderValue>) {
    let headers = answer.headers_mut();
    if let Some(told) = told
        && !headers.contains_key(CONNECTION)
    {
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        headers.insert(KEEP_ALIVE, told.clone());
    }
}
