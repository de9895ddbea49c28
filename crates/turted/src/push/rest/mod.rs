//! The REST push connector: `POST /push/`.
//!
//! Pages that may not push are refused first. Then a push is refused in the order of the node server: for what is no
//! JSON, for wrong credentials, for broken rules. Nothing is dispatched unless all of a body is valid.
//!
//! | file | what |
//! |---|---|
//! | `gate`, `verifier` | what all pushes have to pass: which pages may push, their credentials and guesses at them; the backend that is asked |
//! | `idempotency`, `owners` | answers to pushes with an `Idempotency-Key`, to be given again; whose a key is, and how much room each push key has |
//! | `answer` | answers, in the words of the node server or as JSON |
//! | `rules` | every rule that a push can break, and its status |
//! | `tests` | each rule that the code names is in the table and in the documentation |

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_REQUEST_HEADERS, CONTENT_ENCODING, HeaderMap, HeaderValue,
};
use hyper::{Method, StatusCode};
use tokio::sync::oneshot;
use turted_core::dispatch::Dispatch;
use turted_core::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use turted_core::push::{self, Scope, Shape};
use turted_core::record::push::AnswerForm;

mod gate;
mod verifier;
mod idempotency;
mod owners;
mod answer;
pub(crate) mod rules;
#[cfg(test)]
mod tests;

use self::answer::{Accepted, AnswerFormat, Problem};
pub(crate) use self::gate::PushGate;
use self::idempotency::{Claim, Claimant, StoredAnswer};
use self::owners::OwnedKey;
use crate::auth::attempts::bearer;
use crate::auth::passwords::Password;
use crate::config::Config;
use crate::http::cors::Page;
use crate::http::endpoint::{Answering, Endpoint};
use crate::http::{Answer, Call, read_body, without_slash};
use crate::hub::dispatch::dispatcher::{DispatchRefusal, Positions, Reach, Reached, Submitted};
use crate::hub::dispatch::journal::{self, Pusher, Pushes};
use crate::hub::dispatch::queue::{BUSY_MAX, PushedKey};
use crate::hub::worker::worker::Worker;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The endpoint of pushes.
#[derive(Debug)]
pub(crate) struct Rest {
    path: String,
    gate: Arc<PushGate>,
}

impl Rest {
    pub(crate) fn new(config: &Config, gate: &Arc<PushGate>) -> Self {
        Self { path: config.push.path.clone(), gate: Arc::clone(gate) }
    }
}

impl Endpoint for Rest {
    fn serves(&self, path: &str) -> bool {
        without_slash(path) == self.path
    }

    fn answer(self: Arc<Self>, call: Call) -> Answering {
        Box::pin(async move { answer(call, &self.gate).await.into() })
    }

    fn is_for_operators(&self) -> bool {
        true
    }
}

/// Answers a request to the push path.
async fn answer(call: Call, gate: &Arc<PushGate>) -> Answer {
    let worker = Rc::clone(&call.worker);
    let origins = &worker.config.push.allow_origins;
    let format = AnswerFormat::of(call.request.headers());
    let page = Page::of(&call.request, origins);
    let peer = call.peer;
    let refuse = |problem: Problem| {
        let live = &worker.shared.live;
        journal::push_refused(live, peer, (problem.rule(), problem.field()), problem.key());
        worker.metrics.refused(problem.rule());
        problem.answer(format)
    };
    // Before all else: a page must neither push nor guess, and browsers send a form or a beacon of any page.
    if let Err(problem) = gate::check_page(&worker.config, &page, &call.request) {
        return refuse(problem);
    }
    let mut answer = match *call.request.method() {
        Method::POST => push(call, gate).await.unwrap_or_else(refuse),
        Method::OPTIONS => return preflight(&page, &call),
        _ => return answer::method_not_supported(),
    };
    if !origins.is_none() || page.has_origin() {
        page.mark(&mut answer);
    }
    answer
}

/// Tells a page what it may send. A page that names no header may send any, as TURTED for reactphp had it.
fn preflight(page: &Page, call: &Call) -> Answer {
    let mut answer = page.preflight(&call.request);
    if answer.status() == StatusCode::OK
        && !call.request.headers().contains_key(ACCESS_CONTROL_REQUEST_HEADERS)
    {
        answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
    }
    answer
}

async fn push(call: Call, gate: &Arc<PushGate>) -> Result<Answer, Problem> {
    let began = Instant::now();
    let Call { worker, peer, request, .. } = call;
    gate.check_address(peer, bearer(request.headers()))?;
    check_encoding(request.headers())?;
    let (head, body) = request.into_parts();
    let body = read_body(&worker, peer, body, worker.config.limits.push_body_bytes).await?;
    let parsed = push::parse(&body, gate.limits())?;
    let password = gate.check_credentials(&worker.tasks, peer, bearer(&head.headers), &parsed).await?;
    let shape = parsed.shape();
    let scope = password.as_ref().map_or(&Scope::ALL, |password| &password.scope);
    let dispatches = parsed
        .into_dispatches_of(scope)
        .map_err(|refusal| Problem::from(refusal).with_password(password.as_ref()))?;
    let asked = Asked { peer, format: AnswerFormat::of(&head.headers), shape, password, began };
    let Some(key) = idempotency_key(&head.headers)? else {
        let mut dispatched = dispatch(&worker, asked, dispatches, None)?;
        let positions = in_time(&worker, dispatched.accepted(&worker)).await??;
        return Ok(dispatched.answer(&worker, positions).await.into());
    };
    let key = OwnedKey::new(asked.key_name(), &key);
    let claimant = Claimant {
        body: idempotency::digest(&body),
        answer_bytes: answer::bytes_max(asked.format, dispatches.len()),
        share: gate.share(),
    };
    let refuse = |problem: Problem| Err(problem.with_password(asked.password.as_ref()));
    match gate.idempotency().claim(&key, claimant, Instant::now()) {
        Claim::Granted => {
            let pushed = worker.dispatcher.keeps_keys().then(|| asked.pushed_key(&key, claimant.body));
            match dispatch(&worker, asked, dispatches, pushed) {
                Ok(dispatched) => answer_once(&worker, gate, dispatched, key).await,
                Err(refusal) => {
                    gate.idempotency().release(&key);
                    Err(refusal.into())
                }
            }
        }
        Claim::Answered(answer) => Ok(answer.into()),
        Claim::UnderWay => refuse(under_way()),
        Claim::OtherBody => refuse(other_body()),
        Claim::Full => refuse(keys_full()),
    }
}

/// Refuses a body that is encoded. It is not decoded here, because a few bytes could become very many.
fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let lines = headers.get_all(CONTENT_ENCODING).iter().map(|line| line.to_str().unwrap_or("?"));
    let mut codings = lines.flat_map(|line| line.split(',')).map(str::trim);
    if codings.all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case("identity")) {
        return Ok(());
    }
    let detail = "the body has a Content-Encoding: send it as it is";
    Err(Problem::new("body-encoded", detail))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let is_key = |key: &str| {
        (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len())
            && key.bytes().all(|byte| byte.is_ascii_graphic())
    };
    // With two keys it would not be clear which one counts.
    match (value.to_str(), values.next()) {
        (Ok(key), None) if is_key(key) => Ok(Some(key.to_owned())),
        _ => Err(Problem::new(
            "idempotency-key-invalid",
            format!(
                "an Idempotency-Key is given once, as 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters without a space"
            ),
        )),
    }
}

fn under_way() -> Problem {
    let detail = "a push with this Idempotency-Key is under way";
    Problem::new("idempotency-key-under-way", detail).retry_after(1)
}

fn other_body() -> Problem {
    let detail = "this Idempotency-Key was used for another body";
    Problem::new("idempotency-key-reused", detail)
}

fn keys_full() -> Problem {
    let detail = "no room for another Idempotency-Key (limits.idempotency_keys, limits.idempotency_bytes)";
    Problem::new("idempotency-keys-full", detail).retry_after(5)
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

/// A push that was taken, and what its answer waits for.
struct Dispatched {
    submitted: Submitted,
    pushes: Option<Pushes>,
    asked: Asked,
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
    let is_keyed = key.is_some();
    let submitted = worker.dispatcher.submit_from(pusher, &mut dispatches, reach, key)?;
    Ok(Dispatched { submitted, pushes, asked, is_keyed })
}

impl Dispatched {
    /// Waits until the push is as safe as it is to be.
    async fn accepted(&mut self, worker: &Worker) -> Result<Positions, DispatchRefusal> {
        let positions = (&mut self.submitted.receipt).await?;
        worker.metrics.push_latency.record(self.asked.began.elapsed());
        Ok(positions)
    }

    async fn answer(self, worker: &Rc<Worker>, positions: Positions) -> StoredAnswer {
        let reached = self.submitted.reached;
        match (self.asked.format, self.pushes) {
            (AnswerFormat::Json, pushes) => {
                let results = count(positions, reached, pushes).await;
                if self.is_keyed {
                    let delivered = results.iter().filter_map(|result| result.delivered).collect();
                    worker.dispatcher.note_delivered(positions.first().sequence, delivered);
                }
                answer::accepted(self.asked.shape, &results)
            }
            // The answer does not wait for the counts, which only the log needs.
            (AnswerFormat::Plain, pushes @ Some(_)) => {
                worker.spawn(async move { drop(count(positions, reached, pushes).await) });
                answer::ok()
            }
            (AnswerFormat::Plain, None) => answer::ok(),
        }
    }
}

/// Waits for an answer that may depend on a disk.
async fn in_time<T>(worker: &Worker, answer: impl Future<Output = T>) -> Result<T, Problem> {
    if !worker.dispatcher.keeps_keys() {
        return Ok(answer.await);
    }
    worker.seconds.wait(BUSY_MAX, answer).await.ok_or_else(|| {
        let detail = "the disk of the log does not answer: the push may still be dispatched";
        Problem::new("log-slow", detail).retry_after(5)
    })
}

/// Waits until each dispatch is counted.
async fn count(positions: Positions, reached: Vec<Reached>, pushes: Option<Pushes>) -> Vec<Accepted> {
    let mut results = Vec::with_capacity(positions.len());
    for (id, reached) in positions.iter().zip(reached) {
        let delivered = reached.count().await;
        if let Some(pushes) = &pushes {
            pushes.tell(results.len(), Some(delivered));
        }
        results.push(Accepted { delivered: Some(delivered as u64), id });
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
) -> Result<Answer, Problem> {
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
            Err(refusal) => {
                gate.idempotency().release(&key);
                let _ = accepting.send(Err(refusal));
            }
        }
    });
    in_time(worker, accepted).await?.unwrap_or(Err(DispatchRefusal::Stopped))?;
    answered.await.map(Answer::from).map_err(|_| DispatchRefusal::Stopped.into())
}
