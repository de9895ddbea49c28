//! A push whose credentials and syntax are known: it is dispatched, and answered once it is as safe as it is to be.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use turted_core::cursor::Cursor;
use turted_core::dispatch::Dispatch;
use turted_core::push::{Parsed, Scope, Shape};
use turted_core::record::push::AnswerForm;

use super::answer::{self, Accepted, AnswerFormat, Problem};
use super::gate::PushGate;
use super::idempotency::{self, Claim, Claimant, StoredAnswer};
use super::owners::OwnedKey;
use crate::auth::passwords::Password;
use crate::hub::dispatch::dispatcher::{DispatchRefusal, Positions, Reach, Reached, Submitted};
use crate::hub::dispatch::journal::{Pusher, Pushes};
use crate::hub::dispatch::queue::{BUSY_MAX, PushedKey};
use crate::hub::worker::worker::Worker;

/// How long an answer of a cluster waits for counts. Nodes have a second from when the push is read, which a node whose
/// connection to the log is broken does later or never.
const COUNT_MAX: Duration = Duration::from_secs(2);

/// A push that may be made.
pub(super) struct Offer<'a> {
    pub(super) peer: IpAddr,
    pub(super) format: AnswerFormat,
    pub(super) body: &'a [u8],
    pub(super) parsed: Parsed<'a>,
    /// The password that it has, if it needs one.
    pub(super) password: Option<Arc<Password>>,
    /// Its `Idempotency-Key`, if it has one.
    pub(super) key: Result<Option<String>, Problem>,
    pub(super) began: Instant,
}

/// What became of a push that is valid.
pub(super) enum Taken {
    /// It is dispatched.
    Dispatched(Dispatched),
    /// It is dispatched, and its answer is kept for this key.
    Keyed(Dispatched, OwnedKey),
    /// It was dispatched before: this was the answer.
    Before(StoredAnswer),
}

/// An answer that is there, or what has to be waited for.
#[expect(clippy::large_enum_variant, reason = "it is moved once, and an allocation would cost more")]
pub(super) enum Settled {
    Now(StoredAnswer),
    Later(Taken),
}

/// Checks what a push is about, and dispatches it.
pub(super) fn take(worker: &Worker, gate: &PushGate, offer: Offer<'_>) -> Result<Taken, Problem> {
    let Offer { peer, format, body, parsed, password, key, began } = offer;
    let shape = parsed.shape();
    let scope = password.as_ref().map_or(&Scope::ALL, |password| &password.scope);
    let dispatches = parsed
        .into_dispatches_of(scope)
        .map_err(|refusal| Problem::from(refusal).with_password(password.as_ref()))?;
    let asked = Asked { peer, format, shape, password, began };
    let Some(key) = key? else { return Ok(Taken::Dispatched(dispatch(worker, asked, dispatches, None)?)) };
    let key = OwnedKey::new(asked.key_name(), &key);
    let claimant = Claimant {
        body: idempotency::digest(body),
        answer_bytes: answer::bytes_max(asked.format, dispatches.len()),
        share: gate.share(),
    };
    let refuse = |problem: Problem| Err(problem.with_password(asked.password.as_ref()));
    match gate.idempotency().claim(&key, claimant, Instant::now()) {
        Claim::Granted => {
            let pushed = worker.dispatcher.keeps_keys().then(|| asked.pushed_key(&key, claimant.body));
            match dispatch(worker, asked, dispatches, pushed) {
                Ok(dispatched) => Ok(Taken::Keyed(dispatched, key)),
                Err(refusal) => {
                    gate.idempotency().release(&key);
                    Err(refusal.into())
                }
            }
        }
        Claim::Answered(answer) => Ok(Taken::Before(answer)),
        Claim::UnderWay => refuse(under_way()),
        Claim::OtherBody => refuse(other_body()),
        Claim::Full => refuse(keys_full()),
    }
}

impl Taken {
    /// The answer, if there is nothing to wait for.
    pub(super) fn settle(self, worker: &Rc<Worker>) -> Settled {
        match self {
            Self::Before(answer) => Settled::Now(answer),
            Self::Dispatched(dispatched) => match dispatched.positions_at_once() {
                Some(positions) => {
                    dispatched.record(worker);
                    Settled::Now(dispatched.plain(worker, positions))
                }
                None => Settled::Later(Self::Dispatched(dispatched)),
            },
            Self::Keyed(..) => Settled::Later(self),
        }
    }

    /// The answer, once the push is as safe as it is to be.
    pub(super) async fn answer(
        self,
        worker: &Rc<Worker>,
        gate: &Arc<PushGate>,
    ) -> Result<StoredAnswer, Problem> {
        match self {
            Self::Before(answer) => Ok(answer),
            Self::Dispatched(mut dispatched) => {
                let positions = in_time(worker, dispatched.accepted(worker)).await??;
                Ok(dispatched.answer(worker, positions).await)
            }
            Self::Keyed(dispatched, key) => answer_once(worker, gate, dispatched, key).await,
        }
    }
}

/// What is known of a push beside its dispatches.
struct Asked {
    peer: IpAddr,
    format: AnswerFormat,
    shape: Shape,
    /// The password that it has, if it needs one.
    password: Option<Arc<Password>>,
    began: Instant,
}

impl Asked {
    /// The name of the push key whose password it has.
    fn key_name(&self) -> Option<&str> {
        self.password.as_ref()?.name.as_deref()
    }

    /// What the log keeps of the key.
    fn pushed_key(&self, key: &OwnedKey, body: [u8; 32]) -> PushedKey {
        let answer = match (self.format, self.shape) {
            (AnswerFormat::Plain, _) => AnswerForm::Plain,
            (AnswerFormat::Json, Shape::Single) => AnswerForm::Single,
            (AnswerFormat::Json, Shape::Batch) => AnswerForm::Batch,
        };
        PushedKey { owner: key.owner.clone(), key: key.key.as_bytes().into(), body, answer }
    }
}

/// A push that was dispatched, and what its answer waits for.
pub(super) struct Dispatched {
    submitted: Submitted,
    pushes: Option<Pushes>,
    asked: Asked,
    /// How many dispatches it has.
    count: usize,
    /// Whether the log keeps its key.
    is_keyed: bool,
}

fn dispatch(
    worker: &Worker,
    asked: Asked,
    mut dispatches: Vec<Dispatch>,
    key: Option<PushedKey>,
) -> Result<Dispatched, DispatchRefusal> {
    let pusher = Pusher { source: "rest", address: Some(asked.peer), key: asked.key_name() };
    let pushes = Pushes::of(pusher, &dispatches);
    let is_counted = asked.format == AnswerFormat::Json || pushes.is_some();
    let reach = if is_counted { Reach::Counted } else { Reach::Uncounted };
    let (is_keyed, count) = (key.is_some(), dispatches.len());
    let submitted = worker.dispatcher.submit_from(pusher, &mut dispatches, reach, key)?;
    Ok(Dispatched { submitted, pushes, asked, count, is_keyed })
}

impl Dispatched {
    /// Waits until the push is as safe as it is to be.
    async fn accepted(&mut self, worker: &Worker) -> Result<Positions, DispatchRefusal> {
        let positions = (&mut self.submitted.receipt).await?;
        self.record(worker);
        Ok(positions)
    }

    /// Counts how long it took.
    fn record(&self, worker: &Worker) {
        worker.metrics.push_latency.record(self.asked.began.elapsed());
    }

    /// Its positions, if it is safe already and its answer needs nothing else.
    fn positions_at_once(&self) -> Option<Positions> {
        let settled = self.submitted.receipt.settled().filter(|_| self.asked.format == AnswerFormat::Plain);
        settled?.ok()
    }

    /// The answer of the node server, which does not wait for the counts: only the journal needs them.
    fn plain(self, worker: &Rc<Worker>, positions: Positions) -> StoredAnswer {
        if self.pushes.is_some() {
            let (reached, pushes) = (self.submitted.reached, self.pushes);
            worker.spawn(async move { drop(count(positions, reached, pushes).await) });
        }
        answer::ok()
    }

    /// The answer to a push that another node has accepted before. How many connections it reached is not known here.
    fn again(&self, first: Cursor) -> StoredAnswer {
        if self.asked.format == AnswerFormat::Plain {
            return answer::ok();
        }
        let accepted = Positions::new(first, self.count).iter().map(|id| Accepted::alone(None, id));
        answer::accepted(self.asked.shape, &accepted.collect::<Vec<_>>())
    }

    async fn answer(self, worker: &Rc<Worker>, positions: Positions) -> StoredAnswer {
        if self.asked.format == AnswerFormat::Plain {
            return self.plain(worker, positions);
        }
        let results = count(positions, self.submitted.reached, self.pushes).await;
        if self.is_keyed {
            let delivered = results.iter().filter_map(|result| result.delivered).collect();
            worker.dispatcher.note_delivered(positions.first().sequence, delivered);
        }
        answer::accepted(self.asked.shape, &results)
    }
}

/// Waits for an answer that may depend on a disk, or on other machines.
async fn in_time<T>(worker: &Worker, answer: impl Future<Output = T>) -> Result<T, Problem> {
    if !worker.dispatcher.keeps_keys() {
        return Ok(answer.await);
    }
    let place = if worker.shared.cluster.get().is_some() { LogPlace::Cluster } else { LogPlace::Disk };
    worker.seconds.wait(BUSY_MAX, answer).await.ok_or_else(|| place.is_silent())
}

/// Where the log is that pushes wait for.
#[derive(Clone, Copy, Debug)]
pub(super) enum LogPlace {
    Disk,
    Cluster,
}

impl LogPlace {
    /// It has not answered in time.
    pub(super) fn is_silent(self) -> Problem {
        let (rule, detail) = match self {
            Self::Disk => {
                (answer::LOG_SLOW, "the disk of the log does not answer: the push may still be dispatched")
            }
            Self::Cluster => (
                answer::LOG_UNAVAILABLE,
                "the log of the cluster does not answer: the push may still be dispatched",
            ),
        };
        Problem::new(rule, detail).retry_after(5)
    }
}

/// Waits until each dispatch is counted, in a cluster [not for ever](COUNT_MAX).
async fn count(positions: Positions, reached: Vec<Reached>, pushes: Option<Pushes>) -> Vec<Accepted> {
    let mut results = Vec::with_capacity(positions.len());
    let until = tokio::time::Instant::now() + COUNT_MAX;
    for (id, reached) in positions.iter().zip(reached) {
        let (delivered, nodes) = reached.count_until(until).await;
        if let Some(pushes) = &pushes {
            pushes.tell(results.len(), Some(delivered));
        }
        let alone = Accepted::alone(Some(delivered as u64), id);
        let silent = nodes.map(|counted| counted.silent).filter(|silent| *silent > 0);
        results.push(Accepted { nodes: nodes.map(|counted| counted.nodes), silent, ..alone });
    }
    results
}

/// Answers a push under its key. The answer is kept even if the caller is gone by then, because such a
/// caller asks again.
async fn answer_once(
    worker: &Rc<Worker>,
    gate: &Arc<PushGate>,
    mut dispatched: Dispatched,
    key: OwnedKey,
) -> Result<StoredAnswer, Problem> {
    let ((accepting, accepted), (answering, answered)) = (oneshot::channel(), oneshot::channel());
    let (gate, own) = (Arc::clone(gate), Rc::clone(worker));
    // The caller may be gone before either.
    worker.spawn(async move {
        match dispatched.accepted(&own).await {
            Ok(positions) => {
                let _ = accepting.send(Ok(()));
                let answer = dispatched.answer(&own, positions).await;
                gate.idempotency().answer(&key, answer.clone());
                let _ = answering.send(answer);
            }
            Err(DispatchRefusal::Repeated { first, is_same: true }) => {
                let _ = accepting.send(Ok(()));
                let answer = dispatched.again(first);
                gate.idempotency().answer(&key, answer.clone());
                let _ = answering.send(answer);
            }
            Err(refusal) => {
                gate.idempotency().release(&key);
                let _ = accepting.send(Err(refusal));
            }
        }
    });
    in_time(worker, accepted).await?.unwrap_or(Err(DispatchRefusal::Stopped))?;
    answered.await.map_err(|_| DispatchRefusal::Stopped.into())
}

fn under_way() -> Problem {
    let detail = "a push with this Idempotency-Key is under way";
    Problem::new("idempotency-key-under-way", detail).retry_after(1)
}

fn other_body() -> Problem {
    Problem::new("idempotency-key-reused", answer::OTHER_BODY)
}

fn keys_full() -> Problem {
    let detail = "no room for another Idempotency-Key (limits.idempotency_keys, limits.idempotency_bytes)";
    Problem::new("idempotency-keys-full", detail).retry_after(5)
}
