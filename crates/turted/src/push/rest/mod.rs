//! The REST push connector: `POST /push/`.
//!
//! Pages that may not push are refused first. Then a push is refused in the order of the node server: for what is no
//! JSON, for wrong credentials, for broken rules. Nothing is dispatched unless all of a body is valid.
//!
//! | file | what |
//! |---|---|
//! | `gate`, `verifier` | what all pushes have to pass: which pages may push, their credentials and guesses at them; the backend that is asked |
//! | `idempotency`, `owners` | answers to pushes with an `Idempotency-Key`, to be given again; whose a key is, and how much room each push key has |
//! | `request` | what the head of a request says of its push: its coding, its `Idempotency-Key` |
//! | `taken` | a push whose credentials and syntax are known: its dispatches, its key, what its answer waits for |
//! | `short` | an ordinary push, without what HTTP keeps of a request |
//! | `presence` | which users are online, for a backend that asks |
//! | `operator` | pushes that come by the admin listener |
//! | `answer` | answers, in the words of the node server or as JSON |
//! | `rules` | every rule that a push can break, and its status |
//! | `tests` | each rule that the code names is in the table and in the documentation |

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use hyper::header::{ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue};
use hyper::{Method, StatusCode};
use turted_core::push;

mod gate;
mod verifier;
mod idempotency;
mod owners;
mod request;
mod taken;
mod short;
mod presence;
pub(crate) mod operator;
mod answer;
pub(crate) mod rules;
#[cfg(test)]
mod tests;

use self::answer::{AnswerFormat, Problem};
pub(crate) use self::gate::PushGate;
use self::request::{check_encoding, idempotency_key};
use self::taken::{Offer, take};
use crate::auth::attempts::bearer;
use crate::config::Config;
use crate::http::cors::{self, Page};
use crate::http::endpoint::{Answering, Endpoint, ShortWay};
use crate::http::{Answer, Call, read_body, without_slash};
use crate::hub::dispatch::journal;
use crate::hub::worker::worker::Worker;

/// The endpoint of pushes, or of questions about users.
#[derive(Debug)]
pub(crate) struct Rest {
    path: String,
    subject: Subject,
    gate: Arc<PushGate>,
}

/// What a backend posts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Push,
    Presence,
}

impl Rest {
    pub(crate) fn new(config: &Config, gate: &Arc<PushGate>) -> Self {
        Self { path: config.push.path.clone(), subject: Subject::Push, gate: Arc::clone(gate) }
    }

    /// Where backends ask which users are online.
    pub(crate) fn presence(config: &Config, gate: &Arc<PushGate>) -> Self {
        let path = format!("{}/presence", config.push.path);
        Self { path, subject: Subject::Presence, gate: Arc::clone(gate) }
    }
}

impl Endpoint for Rest {
    fn serves(&self, path: &str) -> bool {
        without_slash(path) == self.path
    }

    fn answer(self: Arc<Self>, call: Call) -> Answering {
        Box::pin(async move { answer(call, &self.gate, self.subject).await.into() })
    }

    fn is_for_operators(&self) -> bool {
        self.subject == Subject::Push
    }

    fn short_way(&self) -> Option<&dyn ShortWay> {
        // A question to a backend takes longer than all that the short way saves.
        (self.subject == Subject::Push && !self.gate.asks()).then_some(self)
    }
}

/// Answers a request to the push path, or to the one below it.
async fn answer(call: Call, gate: &Arc<PushGate>, subject: Subject) -> Answer {
    let worker = Rc::clone(&call.worker);
    let format = AnswerFormat::of(call.request.headers());
    let page = Page::of(&call.request, &worker.config.push.allow_origins);
    let peer = call.peer;
    let refuse = |problem: Problem| match subject {
        Subject::Push => refuse(&worker, (peer, format), &problem),
        Subject::Presence => {
            worker.metrics.refused(problem.rule());
            problem.answer(format)
        }
    };
    // Before all else: a page must neither push nor guess, and browsers send a form or a beacon of any page.
    let texts = match subject {
        Subject::Push => gate::MAY_NOT_PUSH,
        Subject::Presence => gate::MAY_NOT_ASK,
    };
    let is_for_loopback = || cors::is_for_loopback(&call.request);
    if let Err(problem) = gate::check_page(&worker.config, (&page, texts), is_for_loopback) {
        return refuse(problem);
    }
    let mut answer = match *call.request.method() {
        Method::POST if subject == Subject::Push => push(call, gate).await.unwrap_or_else(refuse),
        Method::POST => presence::answer(call, gate).await.unwrap_or_else(refuse),
        Method::OPTIONS => return preflight(&page, &call),
        _ => return answer::method_not_supported(),
    };
    mark(&worker, &page, &mut answer);
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
    let (format, key) = (AnswerFormat::of(&head.headers), idempotency_key(&head.headers));
    let taken = take(&worker, gate, Offer { peer, format, body: &body, parsed, password, key, began })?;
    taken.answer(&worker, gate).await.map(Answer::from)
}

/// The answer to a push that is refused.
fn refuse(worker: &Worker, (peer, format): (IpAddr, AnswerFormat), problem: &Problem) -> Answer {
    journal::push_refused(&worker.shared.live, peer, (problem.rule(), problem.field()), problem.key());
    worker.metrics.refused(problem.rule());
    problem.answer(format)
}

/// Lets a page read an answer, where pages push or one has asked.
fn mark(worker: &Worker, page: &Page, answer: &mut Answer) {
    if !worker.config.push.allow_origins.is_none() || page.has_origin() {
        page.mark(answer);
    }
}
