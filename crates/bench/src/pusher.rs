//! The backend of a run: it pushes dispatches over a connection that it keeps.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::TaskTracker;

use super::board::Board;
use super::channel::Channel;
use super::plan::{Load, Plan};
use super::stamp::Stamp;

/// How long to wait after a server had no room for another dispatch.
const OVERLOAD_WAIT: Duration = Duration::from_millis(5);

/// Pushes one dispatch after the other over one connection.
#[derive(Debug)]
pub(crate) struct Pusher {
    plan: Arc<Plan>,
    board: Arc<Board>,
    sender: SendRequest<Full<Bytes>>,
    /// The number of the next dispatch; the numbers of different pushers interleave.
    next: u32,
}

/// What one pusher did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pushed {
    pub(crate) accepted: u64,
    /// Pushes the server had no room for.
    pub(crate) refused: u64,
    /// The run ended early because deliveries stopped.
    pub(crate) gave_up: bool,
}

/// Why a run ended.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The connection broke.
    #[error("cannot push: {0}")]
    Io(#[from] std::io::Error),
    /// The answer is no HTTP.
    #[error("cannot push: {0}")]
    Http(#[from] hyper::Error),
    /// The server refused a push: the status and the text of its answer.
    #[error("a push was answered {0}: {1}")]
    Refused(StatusCode, String),
    /// The server did not answer in time.
    #[error("a push was not answered within {0:?}")]
    Slow(Duration),
}

impl Pusher {
    /// Connects. `number` is the number of this pusher.
    ///
    /// # Errors
    /// The server does not accept the connection.
    pub(crate) async fn open(
        plan: Arc<Plan>,
        board: Arc<Board>,
        number: u32,
        tasks: &TaskTracker,
    ) -> Result<Self, PushError> {
        let tcp = TcpStream::connect(plan.target.address).await?;
        let stream = Channel::open(tcp, plan.target.tls.as_ref()).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // An error that breaks the connection also fails the push that waits for its answer.
        tasks.spawn_local(async move { drop(connection.await) });
        let next = plan.first() + number;
        Ok(Self { plan, board, sender, next })
    }

    /// Pushes until `end`.
    ///
    /// # Errors
    /// The server cannot be pushed to.
    pub(crate) async fn run(mut self, end: Instant) -> Result<Pushed, PushError> {
        let mut pushed = Pushed::default();
        let (began, begin) = (Instant::now(), self.board.now());
        for turn in 0_u32.. {
            let due = self.due(turn, begin);
            sleep_until(began + due.saturating_sub(begin)).await;
            if Instant::now() >= end {
                break;
            }
            // Missing deliveries count as lost.
            let Ok(permit) = timeout(self.plan.patience, self.board.permits.acquire()).await else {
                pushed.gave_up = true;
                break;
            };
            let permit = permit.expect("the semaphore is never closed");
            if Instant::now() >= end {
                // Other pushers may be waiting for this permit.
                break;
            }
            // The last delivery gives the permit back.
            permit.forget();
            let due = if matches!(self.plan.load, Load::Rate(_)) { due } else { self.board.now() };
            if self.push(due).await? {
                pushed.accepted += 1;
            } else {
                pushed.refused += 1;
                sleep(OVERLOAD_WAIT).await;
            }
        }
        Ok(pushed)
    }

    /// When a push is due; in a closed loop as soon as it is allowed. Latency counts from this time on, so
    /// that a server cannot hide a pause by delaying the generator.
    fn due(&self, turn: u32, begin: Duration) -> Duration {
        match self.plan.load {
            Load::Inflight(_) => begin,
            Load::Rate(rate) => {
                let pushers = f64::from(u32::try_from(self.plan.pushers).unwrap_or(u32::MAX));
                begin + Duration::from_secs_f64(f64::from(turn) * pushers / f64::from(rate))
            }
        }
    }

    /// Pushes one dispatch. Returns whether the server accepted it.
    async fn push(&mut self, due: Duration) -> Result<bool, PushError> {
        let number = self.next;
        self.next += u32::try_from(self.plan.pushers).unwrap_or(u32::MAX);
        let group = self.plan.turn.group(number, self.plan.spread.groups());
        self.push_number(number, group, due).await
    }

    /// Pushes the dispatch of this number to this group. Returns whether the server accepted it.
    ///
    /// # Errors
    /// The server cannot be pushed to.
    pub(crate) async fn push_number(
        &mut self,
        number: u32,
        group: usize,
        due: Duration,
    ) -> Result<bool, PushError> {
        let request = self.request(Stamp(number), group);
        self.board.expect(Stamp(number), group, due);
        let answer = async {
            self.sender.ready().await?;
            let answer = self.sender.send_request(request).await?;
            let status = answer.status();
            Ok::<_, hyper::Error>((status, answer.into_body().collect().await?.to_bytes()))
        };
        let wait = self.plan.patience;
        let (status, body) = timeout(wait, answer).await.map_err(|_| PushError::Slow(wait))??;
        match status {
            status if status.is_success() => Ok(true),
            StatusCode::SERVICE_UNAVAILABLE => {
                self.board.forget(Stamp(number));
                Ok(false)
            }
            status => Err(PushError::Refused(status, String::from_utf8_lossy(&body).into_owned())),
        }
    }

    fn request(&self, stamp: Stamp, group: usize) -> Request<Full<Bytes>> {
        let plan = &self.plan;
        let channel = plan.spread.channel(group);
        let (push, channel) = (&plan.protocol.push, channel.as_deref());
        let body = push.body_to(channel, &stamp.payload(plan.payload_bytes));
        let mut request = Request::post(&*push.path_to(channel))
            .header(HOST, plan.target.authority.as_str())
            .header(CONTENT_TYPE, push.content_type.as_str());
        for field in push.fields(plan.target.password.as_ref()) {
            request = request.header(field.name, field.value);
        }
        request.body(Full::new(body.into())).expect("the command line was checked")
    }
}
