//! The REST push connector: `POST /push/`.
//!
//! Pages that may not push are refused first. Then a push is refused in the order of the node server: for what is no
//! JSON, for wrong credentials, for broken rules. Nothing is dispatched unless all of a body is valid.
//!
//! | file | what |
//! |---|---|
//! | `gate` | what all pushes have to pass: which pages may push, the password and its guesses |
//! | `idempotency` | answers to pushes with an `Idempotency-Key`, to be given again |
//! | `answer` | answers, in the words of the node server or as JSON |
//! | `tests` | the rules of pushes and their documentation |

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_REQUEST_HEADERS, CONTENT_ENCODING, HeaderMap, HeaderValue,
};
use hyper::{Method, StatusCode};
use tokio::sync::oneshot;
use turted_core::cursor::Cursor;
use turted_core::dispatch::Dispatch;
use turted_core::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use turted_core::push::{self, Shape};

mod gate;
mod idempotency;
mod answer;
#[cfg(test)]
mod tests;

use self::answer::{Accepted, AnswerFormat, Problem};
pub(crate) use self::gate::PushGate;
use self::idempotency::{Claim, StoredAnswer};
use crate::auth::attempts::bearer;
use crate::config::Config;
use crate::http::cors::Page;
use crate::http::endpoint::{Answering, Endpoint};
use crate::http::{Answer, Call, read_body, without_slash};
use crate::hub::dispatch::dispatcher::{DispatchRefusal, Reached};
use crate::hub::dispatch::journal::{self, Pushes};
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
        journal::push_refused(peer, problem.rule(), problem.field());
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
    gate.check_password(peer, bearer(&head.headers), parsed.credentials())?;
    let shape = parsed.shape();
    let dispatches = parsed.into_dispatches()?;
    let format = AnswerFormat::of(&head.headers);
    let Some(key) = idempotency_key(&head.headers)? else {
        return Ok(dispatch(&worker, (peer, format), dispatches, began)?.answer(shape).await.into());
    };
    let answer_bytes = answer::bytes_max(format, dispatches.len());
    match gate.idempotency().claim(&key, &body, answer_bytes, Instant::now()) {
        Claim::Granted => match dispatch(&worker, (peer, format), dispatches, began) {
            Ok(dispatched) => answer_once(&worker, gate, dispatched.answer(shape), key).await,
            Err(refusal) => {
                gate.idempotency().release(&key);
                Err(refusal.into())
            }
        },
        Claim::Answered(answer) => Ok(answer.into()),
        Claim::UnderWay => Err(under_way()),
        Claim::OtherBody => Err(other_body()),
        Claim::Full => Err(keys_full()),
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
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "body-encoded", detail))
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
            StatusCode::BAD_REQUEST,
            "idempotency-key-invalid",
            format!(
                "an Idempotency-Key is given once, as 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters without a space"
            ),
        )),
    }
}

fn under_way() -> Problem {
    let detail = "a push with this Idempotency-Key is under way";
    Problem::new(StatusCode::CONFLICT, "idempotency-key-under-way", detail).retry_after(1)
}

fn other_body() -> Problem {
    let detail = "this Idempotency-Key was used for another body";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", detail)
}

fn keys_full() -> Problem {
    let detail = "no room for another Idempotency-Key (limits.idempotency_keys, limits.idempotency_bytes)";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "idempotency-keys-full", detail).retry_after(5)
}

/// Dispatches that were accepted, and what is still to be counted for the answer.
enum Dispatched {
    Plain,
    Counted(Vec<(Cursor, Reached)>, Option<Pushes>),
}

impl Dispatched {
    async fn answer(self, shape: Shape) -> StoredAnswer {
        let Self::Counted(dispatches, pushes) = self else { return answer::ok() };
        let mut results = Vec::with_capacity(dispatches.len());
        for (id, reached) in dispatches {
            let delivered = reached.count().await;
            if let Some(pushes) = &pushes {
                pushes.tell(results.len(), Some(delivered));
            }
            results.push(Accepted { delivered, id });
        }
        answer::accepted(shape, &results)
    }
}

fn dispatch(
    worker: &Worker,
    (peer, format): (IpAddr, AnswerFormat),
    dispatches: Vec<Dispatch>,
    began: Instant,
) -> Result<Dispatched, DispatchRefusal> {
    let pushes = Pushes::of("rest", Some(peer), &dispatches);
    let dispatched = match (format, pushes) {
        (AnswerFormat::Json, pushes) => {
            Dispatched::Counted(worker.dispatcher.dispatch_counted(dispatches)?, pushes)
        }
        // The answer does not wait for the counts, which only the log needs.
        (AnswerFormat::Plain, pushes @ Some(_)) => {
            let counted = Dispatched::Counted(worker.dispatcher.dispatch_counted(dispatches)?, pushes);
            worker.spawn(async { drop(counted.answer(Shape::Single).await) });
            Dispatched::Plain
        }
        (AnswerFormat::Plain, None) => {
            worker.dispatcher.dispatch_all(dispatches)?;
            Dispatched::Plain
        }
    };
    worker.metrics.push_latency.record(began.elapsed());
    Ok(dispatched)
}

/// Answers a push under its key. The answer is kept even if the caller is gone by then, because such a
/// caller asks again.
async fn answer_once(
    worker: &Worker,
    gate: &Arc<PushGate>,
    answer: impl Future<Output = StoredAnswer> + 'static,
    key: String,
) -> Result<Answer, Problem> {
    let (sender, receiver) = oneshot::channel();
    let gate = Arc::clone(gate);
    worker.spawn(async move {
        let answer = answer.await;
        gate.idempotency().answer(&key, answer.clone());
        // The caller may be gone.
        let _ = sender.send(answer);
    });
    receiver.await.map(Answer::from).map_err(|_| DispatchRefusal::Stopped.into())
}
