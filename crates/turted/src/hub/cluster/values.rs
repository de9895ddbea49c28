//! Values of a cluster, and messages to other nodes: what the rest of the program asks the engine for goes through one queue,
//! and over one connection.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};

use super::claims::Question;
use super::job::{Job, Unavailable, Wanted};
use super::lease::in_time;
use super::node::Node;
use super::sessions::{REST, Underway};
use super::ways::Way;
use crate::engine::{Engine, Values};

/// Jobs that may wait.
pub(super) const JOBS_MAX: usize = 16_384;
/// Changes that are sent together.
const TOGETHER_MAX: usize = 256;
/// How long a question of those who pass requests on waits for the engine.
const QUESTION_MAX: Duration = Duration::from_secs(10);
/// Time between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(200);

/// Asks what those want to know who pass requests on, until they are gone.
pub(super) async fn answer<E: Engine>(node: Rc<Node<E>>, mut questions: mpsc::Receiver<Question>) {
    while let Some(question) = questions.recv().await {
        let (job, answered) = Job::new(Wanted::of(&question.change()), QUESTION_MAX);
        if node.jobs.send(job).await.is_err() {
            return;
        }
        // Whoever drops a question leaves it unanswered.
        tokio::task::spawn_local(async move {
            if let Ok(Ok(changed)) = answered.await {
                question.settle(&changed);
            }
        });
    }
}

/// Does what is wanted, until nobody can want anything any more, and writes sessions.
pub(super) async fn run<E: Engine>(node: Rc<Node<E>>, mut jobs: mpsc::Receiver<Job>) {
    let mut connection: Option<E::Values> = None;
    let mut waiting: Vec<Job> = Vec::new();
    loop {
        if waiting.is_empty() {
            tokio::select! {
                biased;
                taken = jobs.recv_many(&mut waiting, TOGETHER_MAX) => if taken == 0 { return },
                () = node.sessions.filled() => {}
            }
        }
        let Some(values) = &mut connection else {
            match in_time(node.engine.values()).await {
                Ok(values) => {
                    connection = Some(values);
                    node.sessions.is_back();
                    node.status.works(Way::Values);
                }
                Err(failure) => {
                    node.status.failed(Way::Values, &failure.to_string());
                    node.sessions.put_back(Vec::new());
                    give_up_old(&mut waiting);
                    sleep(PAUSE).await;
                    node.sessions.look();
                }
            }
            continue;
        };
        let sessions = node.sessions.take(TOGETHER_MAX);
        let written = sessions.iter().map(Underway::as_change);
        let changes: Vec<_> = waiting.iter().map(|job| job.wanted.as_change()).chain(written).collect();
        if changes.is_empty() {
            continue;
        }
        let changed = in_time(values.all(&changes)).await;
        drop(changes);
        match changed {
            Ok(changed) => {
                let mut changed = changed.into_iter();
                for (job, changed) in waiting.drain(..).zip(changed.by_ref()) {
                    // Whoever asked may have stopped waiting.
                    let _ = job.answer.send(Ok(changed));
                }
                if node.sessions.done(sessions.into_iter().zip(changed)) {
                    spawn_local(look_later(Rc::clone(&node)));
                }
            }
            // Each of these may be done twice: they say what is to be, not what is to be changed.
            Err(failure) => {
                node.status.failed(Way::Values, &failure.to_string());
                connection = None;
                node.sessions.put_back(sessions);
                give_up_old(&mut waiting);
            }
        }
    }
}

/// Writes sessions again that the engine has refused.
async fn look_later<E: Engine>(node: Rc<Node<E>>) {
    sleep(REST).await;
    node.sessions.look();
}

/// Those that have waited long enough are told that the engine is not there. What others are to be told waits as long,
/// though nobody waits for an answer.
fn give_up_old(waiting: &mut Vec<Job>) {
    let now = Instant::now();
    let is_unwanted = |job: &Job| job.answer.is_closed() && !matches!(job.wanted, Wanted::Tell { .. });
    for job in waiting.extract_if(.., |job| job.until <= now || is_unwanted(job)) {
        let _ = job.answer.send(Err(Unavailable));
    }
}

#[cfg(test)]
mod tests;
