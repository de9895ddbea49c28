//! Values of a cluster, and messages to other nodes: what the rest of the program asks the engine for goes through one queue,
//! and over one connection.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, timeout};

use super::claims::Question;
use super::node::Node;
use super::sessions::{REST, Underway};
use crate::engine::{Change, Changed, Engine, Values};

/// Jobs that may wait.
pub(super) const JOBS_MAX: usize = 16_384;
/// Changes that are sent together.
const TOGETHER_MAX: usize = 256;
/// How long the engine may take for changes that are sent together.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Time between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(200);

/// A change of a value, or a look at it, on its way to the cluster thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Put { name: String, value: Vec<u8>, age: Duration },
    Take { name: String, age: Duration },
    Get { name: String },
    Delete { name: String },
    Hold { name: String, value: Vec<u8>, age: Duration },
    Renew { name: String, age: Duration },
    Tell { to: Option<u16>, message: Vec<u8> },
}

/// What the engine did not do: it is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine of the cluster does not answer")]
pub(crate) struct Unavailable;

/// Something that is wanted of the engine.
#[derive(Debug)]
pub(crate) struct Job {
    pub(super) wanted: Wanted,
    pub(super) answer: oneshot::Sender<Result<Changed, Unavailable>>,
    /// Until when it may wait for a connection.
    pub(super) until: Instant,
}

impl Wanted {
    fn of(change: &Change<'_>) -> Self {
        match change {
            Change::Put { name, value, age } => {
                Self::Put { name: (*name).to_owned(), value: value.to_vec(), age: *age }
            }
            Change::Take { name, age } => Self::Take { name: (*name).to_owned(), age: *age },
            Change::Get { name } => Self::Get { name: (*name).to_owned() },
            Change::Delete { name } => Self::Delete { name: (*name).to_owned() },
            Change::Hold { name, value, age } => {
                Self::Hold { name: (*name).to_owned(), value: value.to_vec(), age: *age }
            }
            Change::Renew { name, age } => Self::Renew { name: (*name).to_owned(), age: *age },
            Change::Tell { to, message } => Self::Tell { to: *to, message: message.to_vec() },
        }
    }

    fn as_change(&self) -> Change<'_> {
        match self {
            Self::Put { name, value, age } => Change::Put { name, value, age: *age },
            Self::Take { name, age } => Change::Take { name, age: *age },
            Self::Get { name } => Change::Get { name },
            Self::Delete { name } => Change::Delete { name },
            Self::Hold { name, value, age } => Change::Hold { name, value, age: *age },
            Self::Renew { name, age } => Change::Renew { name, age: *age },
            Self::Tell { to, message } => Change::Tell { to: *to, message },
        }
    }
}

/// Asks what those want to know who pass requests on, until they are gone.
pub(super) async fn answer<E: Engine>(node: Rc<Node<E>>, mut questions: mpsc::Receiver<Question>) {
    while let Some(question) = questions.recv().await {
        let (answer, answered) = oneshot::channel();
        let wanted = Wanted::of(&question.change());
        let job = Job { wanted, answer, until: Instant::now() + ANSWER_MAX };
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
            match timeout(ANSWER_MAX, node.engine.values()).await {
                Ok(Ok(values)) => {
                    connection = Some(values);
                    node.sessions.is_back();
                }
                Ok(Err(_)) | Err(_) => {
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
        let changed = timeout(ANSWER_MAX, values.all(&changes)).await;
        drop(changes);
        match changed {
            Ok(Ok(changed)) => {
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
            Ok(Err(_)) | Err(_) => {
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

/// Those that have waited long enough are told that the engine is not there.
fn give_up_old(waiting: &mut Vec<Job>) {
    let now = Instant::now();
    for job in waiting.extract_if(.., |job| job.until <= now || job.answer.is_closed()) {
        let _ = job.answer.send(Err(Unavailable));
    }
}
