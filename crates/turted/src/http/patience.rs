//! How long the server waits for a request on a connection of HTTP/1. The first request may take as long as a head
//! may. A later one may begin later; from its first byte on it may take as long as a head may.
//!
//! hyper has one time for both (`header_read_timeout`), which begins with the wait and not with the first byte. It
//! asks for a timer anew for each head, so a timer of our own can tell them apart (hyper 1.12, `Conn::poll_read_head`).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
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
}

impl Patience {
    /// For a connection that may take `head` for a request head, and be idle between two requests as the limits say.
    pub(crate) fn new(head: Duration, limits: &Limits) -> Self {
        let idle = limits.idle_wait + IDLE_GRACE;
        Self(Arc::new(PatienceState {
            head,
            spent: Duration::ZERO,
            idle,
            is_kept: AtomicBool::new(false),
            has_read: AtomicBool::new(false),
        }))
    }

    /// The same where so much of the time for the first head is over.
    pub(super) fn after(self, spent: Duration) -> Self {
        let PatienceState { head, idle, .. } = *self.0;
        let (is_kept, has_read) = (AtomicBool::new(false), AtomicBool::new(false));
        Self(Arc::new(PatienceState { head, spent, idle, is_kept, has_read }))
    }

    /// How long a head may take.
    pub(super) fn head(&self) -> Duration {
        self.0.head
    }

    /// Notes that bytes have come.
    pub(crate) fn read(&self) {
        self.0.has_read.store(true, Ordering::Relaxed);
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
        let sleep = Box::pin(time::sleep(self.0.idle));
        Box::pin(Idle { state: Arc::clone(&self.0), sleep, is_idle: true })
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
    is_idle: bool,
}

impl Sleep for Idle {}

impl Future for Idle {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.is_idle && self.state.has_read.load(Ordering::Relaxed) {
            self.is_idle = false;
            let deadline = time::Instant::now() + self.state.head;
            self.sleep.as_mut().reset(deadline);
        }
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
        _ => has_token(request.headers(), "keep-alive"),
    }
}

fn has_token(headers: &HeaderMap, token: &str) -> bool {
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
