//! What is wanted of the engine, on its way to the cluster thread.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::engine::{Change, Changed};

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

/// Where the answer to a job comes.
pub(crate) type Answered = oneshot::Receiver<Result<Changed, Unavailable>>;

/// Something that is wanted of the engine.
#[derive(Debug)]
pub(crate) struct Job {
    pub(super) wanted: Wanted,
    pub(super) answer: oneshot::Sender<Result<Changed, Unavailable>>,
    /// Until when it may wait for a connection.
    pub(super) until: Instant,
}

impl Job {
    /// Something that is wanted, and waits for a connection as long as `most`; and where the answer comes.
    pub(super) fn new(wanted: Wanted, most: Duration) -> (Self, Answered) {
        let (answer, answered) = oneshot::channel();
        (Self { wanted, answer, until: Instant::now() + most }, answered)
    }
}

impl Wanted {
    pub(super) fn of(change: &Change<'_>) -> Self {
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

    pub(super) fn as_change(&self) -> Change<'_> {
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
