//! `POST /push/presence`: a backend asks which of its users are online.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize;
use serde_json::to_vec;
use tokio::sync::oneshot;
use tokio::time::timeout;
use turted_core::name::Name;
use turted_core::push::{self, Scope};

use super::answer::Problem;
use super::gate::PushGate;
use super::request::check_encoding;
use crate::auth::attempts::bearer;
use crate::auth::unix_now;
use crate::http::{Answer, Call, answer as with_type, read_body};
use crate::hub::worker::worker::Worker;

/// How long another worker may take to count. One that still runs answers within its current slice, 500 us.
const COUNTING_MAX: Duration = Duration::from_secs(3);

/// What is known of one user. What is `None` is unknown.
#[derive(Debug, Serialize)]
struct Status<'a> {
    user: &'a str,
    online: Option<bool>,
    connections: Option<usize>,
    /// Milliseconds since 1970.
    last_seen: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Statuses<'a> {
    users: Vec<Status<'a>>,
}

/// Answers which users have connections, and when the others had one.
pub(super) async fn answer(call: Call, gate: &PushGate) -> Result<Answer, Problem> {
    let Call { worker, peer, request, .. } = call;
    gate.check_address(peer, bearer(request.headers()))?;
    check_encoding(request.headers())?;
    let (head, body) = request.into_parts();
    let body = read_body(&worker, peer, body, worker.config.limits.push_body_bytes).await?;
    let parsed = push::parse(&body, gate.limits())?;
    let password = gate.check_credentials(&worker.tasks, peer, bearer(&head.headers), &parsed).await?;
    let scope = password.as_ref().map_or(&Scope::ALL, |password| &password.scope);
    let users = push::asked_users(&body, scope)
        .map_err(|refusal| Problem::from(refusal).with_password(password.as_ref()))?;
    let counted = count(&worker, &users).await;
    let statuses = users.iter().enumerate().map(|(index, user)| status(&worker, user, counted.of(index)));
    let body = to_vec(&Statuses { users: statuses.collect() }).expect("numbers and texts can be JSON");
    Ok(with_type(StatusCode::OK, "application/json", Bytes::from(body)))
}

fn status<'a>(worker: &Worker, user: &'a Name, (connections, is_all): (usize, bool)) -> Status<'a> {
    let is_online = connections > 0;
    let seen = if is_online { Some(unix_now()) } else { worker.shared.presence.last_seen.of(user) };
    Status {
        user: user.as_str(),
        online: (is_online || is_all).then_some(is_online),
        connections: is_all.then_some(connections),
        last_seen: seen.map(|time| u64::try_from(time.0.as_millis()).unwrap_or(u64::MAX)),
    }
}

/// How many connections each user has on the workers that have answered.
struct Counted {
    connections: Vec<usize>,
    is_all: bool,
}

impl Counted {
    fn of(&self, index: usize) -> (usize, bool) {
        (self.connections[index], self.is_all)
    }
}

/// Asks all workers how many connections each user has.
async fn count(worker: &Rc<Worker>, users: &[Name]) -> Counted {
    let mut counted = Counted { connections: sizes(worker, users), is_all: true };
    let mut answers = Vec::new();
    for index in (0..=u8::MAX).take(worker.peers.len()).filter(|index| *index != worker.index) {
        let (asked, (answer, answered)) = (users.to_vec(), oneshot::channel());
        let ask = move |other: &Rc<Worker>| {
            // The request may be gone.
            let _ = answer.send(sizes(other, &asked));
        };
        let sent = timeout(COUNTING_MAX, worker.send_mail(index, Box::new(ask))).await;
        counted.is_all &= sent.is_ok();
        answers.push(answered);
    }
    for answered in answers {
        match timeout(COUNTING_MAX, answered).await {
            Ok(Ok(sizes)) => {
                counted.connections.iter_mut().zip(sizes).for_each(|(sum, size)| *sum += size);
            }
            _ => counted.is_all = false,
        }
    }
    counted
}

/// How many connections of a worker each user has: 1,000 of them take 50 us.
fn sizes(worker: &Worker, users: &[Name]) -> Vec<usize> {
    let registry = worker.registry.borrow();
    users.iter().map(|user| registry.users().size(user)).collect()
}
