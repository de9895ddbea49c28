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
use crate::hub::presence::online::{Online, OnlineAnswer, everywhere};
use crate::hub::worker::queries::sizes;
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
    /// How many nodes did not answer.
    #[serde(skip_serializing_if = "is_zero")]
    silent: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_zero(number: &usize) -> bool {
    *number == 0
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
    let (online, silent) = match worker.shared.cluster.get() {
        Some(cluster) => everywhere(cluster, &users, here(&worker, &users)).await,
        None => (here(&worker, &users).await, 0),
    };
    let is_all = online.is_all && silent == 0;
    let statuses = users.iter().zip(online.users).map(|(user, known)| status(user, known, is_all));
    let body =
        to_vec(&Statuses { users: statuses.collect(), silent }).expect("numbers and texts can be JSON");
    Ok(with_type(StatusCode::OK, "application/json", Bytes::from(body)))
}

fn status(user: &Name, known: Online, is_all: bool) -> Status<'_> {
    let is_online = known.connections > 0;
    Status {
        user: user.as_str(),
        online: (is_online || is_all).then_some(is_online),
        connections: is_all.then_some(known.connections),
        last_seen: known.last_seen,
    }
}

/// What this node knows of each user: all workers are asked.
async fn here(worker: &Rc<Worker>, users: &[Name]) -> OnlineAnswer {
    let (mut connections, mut is_all) = (sizes(worker, users), true);
    let mut answers = Vec::new();
    for index in (0..=u8::MAX).take(worker.peers.len()).filter(|index| *index != worker.index) {
        let (asked, (answer, answered)) = (users.to_vec(), oneshot::channel());
        let ask = move |other: &Rc<Worker>| {
            // The request may be gone.
            let _ = answer.send(sizes(other, &asked));
        };
        let sent = timeout(COUNTING_MAX, worker.send_mail(index, Box::new(ask))).await;
        is_all &= sent.is_ok();
        answers.push(answered);
    }
    for answered in answers {
        match timeout(COUNTING_MAX, answered).await {
            Ok(Ok(sizes)) => connections.iter_mut().zip(sizes).for_each(|(sum, size)| *sum += size),
            _ => is_all = false,
        }
    }
    worker.shared.presence.online(users, (connections, is_all), unix_now())
}
