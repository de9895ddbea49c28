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

/// How long hyper keeps a connection between two requests before it lets go of it: a client that asks again at once
/// finds hyper there. Longer would cost memory while many clients come together, shorter a little time for each request.
const REST_WAIT: Duration = Duration::from_millis(10);

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
    /// Whether the connection has been idle for a while, so that hyper may let go of it.
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

    /// How long one may still be that hyper has let go of.
    pub(super) fn rest(&self) -> Duration {
        self.0.idle.saturating_sub(REST_WAIT)
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

    /// Whether hyper waits for the head of another request, has waited for a while, and holds nothing of the
    /// connection. To be asked right after hyper was polled.
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
        let sleep = Box::pin(time::sleep(REST_WAIT));
        Box::pin(Idle { state: Arc::clone(&self.0), sleep, stage: Stage::Kept })
    }

    fn now(&self) -> Instant {
        TokioTimer::new().now()
    }
}

/// Waits for the first byte, and from then on as long as a head may take. hyper polls it whenever bytes have come
/// that make no whole head.
struct Idle {
    state: Arc<PatienceState>,
    sleep: Pin<Box<time::Sleep>>,
    stage: Stage,
}

/// How far the wait for a head has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing has come yet, and it is early to let go.
    Kept,
    /// Nothing has come for a while.
    Resting,
    /// A head is coming.
    Head,
}

impl Sleep for Idle {}

impl Idle {
    fn enter(&mut self, stage: Stage, wait: Duration) {
        self.stage = stage;
        self.sleep.as_mut().reset(time::Instant::now() + wait);
    }
}

impl Future for Idle {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.stage != Stage::Head && self.state.has_read.load(Ordering::Relaxed) {
            let head = self.state.head;
            self.enter(Stage::Head, head);
        }
        ready!(self.sleep.as_mut().poll(context));
        if self.stage != Stage::Kept {
            return Poll::Ready(());
        }
        // A connection whose answer is still on its way stays: its time goes on.
        self.state.is_resting.store(self.state.is_flushed.load(Ordering::Relaxed), Ordering::Relaxed);
        let rest = self.state.idle.saturating_sub(REST_WAIT);
        self.enter(Stage::Resting, rest);
        self.sleep.as_mut().poll(context)
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
