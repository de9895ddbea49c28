//! A message of a source on its way to acceptance: read, compared with what was accepted before, dispatched.
//!
//! Not here: where messages come from and what is told to whoever has them (`push/source`).
//!
//! | file | what |
//! |---|---|
//! | `message` | a message as a source gives it, and what became of it |
//! | `reading` | from a message to its dispatches, or the rule that it breaks |
//! | `keys` | which messages were accepted before |
//! | `portion` | messages that are accepted together |
//! | `status` | what operators see of a source |
//! | `tests` | what becomes of messages, and of those that there is no room for |

mod message;
mod reading;
mod keys;
mod portion;
mod status;

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use self::keys::{Key, Keys};
pub(crate) use self::message::{Labels, Message, Outcome, Refusal};
pub(crate) use self::portion::Portion;
use self::portion::{PortionLimits, Ready};
pub(crate) use self::reading::{Read, Reading};
pub(crate) use self::status::{OUTCOMES, Status};
use crate::hub::dispatch::dispatcher::{DispatchRefusal, Dispatcher, Reach, Source, Submitted};
use crate::hub::dispatch::journal;
use crate::hub::dispatch::log::disk::FoundKey;
use crate::io::seldom::Seldom;

/// Time between two lines about refused messages of one source.
const REFUSAL_PAUSE: Duration = Duration::from_secs(1);

/// Takes the messages of one source.
#[derive(Debug)]
pub(crate) struct Intake {
    reading: Reading,
    dispatcher: Dispatcher,
    keys: Keys,
    status: Arc<Status>,
    refusals: Seldom,
}

/// What is to be done with the first of several messages.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// They are to be accepted together. It may be none.
    pub(crate) portion: Portion,
    /// What became of the message behind those, if that is known: it is not to be accepted.
    pub(crate) behind: Option<Outcome>,
}

/// Messages whose dispatches were submitted.
#[derive(Debug)]
pub(crate) struct Taking {
    submitted: Submitted,
    /// One for each message.
    keys: Vec<Key>,
    /// How many dispatches they have.
    count: usize,
}

impl Taking {
    /// Whether nothing is to be waited for.
    pub(crate) fn is_settled(&self) -> bool {
        self.submitted.is_settled()
    }
}

/// Whether messages are accepted.
#[derive(Debug)]
pub(crate) enum Acceptance {
    /// They will be, as soon as it is safe.
    Taken(Taking),
    /// They are not: this became of each of them.
    Settled(Outcome),
    /// Too much waits to be delivered. They are to be tried again.
    Full,
    /// The server is stopping: they are not accepted any more.
    Stopped,
}

impl Intake {
    pub(crate) fn new(reading: Reading, dispatcher: &Dispatcher, status: Arc<Status>) -> Self {
        let dispatcher = dispatcher.for_source(Source::Named(status.name().into()));
        Self { reading, dispatcher, keys: Keys::default(), status, refusals: Seldom::every(REFUSAL_PAUSE) }
    }

    /// Notes the messages of this source that were accepted before the start.
    pub(crate) fn restore(&mut self, keys: &[FoundKey]) {
        let own = keys.iter().filter(|key| key.owner == self.status.name());
        own.for_each(|key| self.keys.restore(&key.key));
    }

    /// Nothing is accepted any more unless this node holds the name in the engine of its cluster.
    pub(crate) fn hold(&mut self, name: &Arc<str>) {
        self.dispatcher = self.dispatcher.holding(name);
    }

    pub(crate) fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// What is accepted from here on comes by a new connection.
    pub(crate) fn reconnected(&mut self) {
        self.keys.reconnected();
    }

    /// Reads messages, and compares them with those that were accepted before, until some are to be accepted or it is
    /// known what becomes of the first.
    pub(crate) fn gather<T>(&mut self, messages: &[Message<T>]) -> Gathered {
        // A record of the log on disk has one key.
        let limits = if self.dispatcher.keeps_keys() { PortionLimits::ONE } else { self.reading.portion };
        let mut portion = Portion::default();
        for message in messages {
            let ready = match self.judge(message) {
                Ok(ready) => ready,
                Err(outcome) => return Gathered { portion, behind: Some(outcome) },
            };
            if !portion.add(ready, limits) || portion.is_full(limits) {
                break;
            }
        }
        Gathered { portion, behind: None }
    }

    fn judge<T>(&mut self, message: &Message<T>) -> Result<Ready, Outcome> {
        let Read { dispatches, id } = self.reading.read(message).map_err(Outcome::Refused)?;
        let dispatches = dispatches.ok_or(Outcome::Skipped)?;
        let id = id.as_deref().or(message.id.as_deref());
        let body = message.body.as_deref().unwrap_or_default();
        let key =
            self.keys.find(id, body, message.is_redelivered).map_err(|keys::Known| Outcome::Duplicate)?;
        Ok(Ready { dispatches, key })
    }

    /// Submits messages, all or none. Those that there is no room for stay in the portion.
    pub(crate) fn accept(&mut self, portion: &mut Portion) -> Acceptance {
        let count = portion.dispatches.len();
        let key = self.dispatcher.keeps_keys().then(|| portion.pushed_key(self.status.name())).flatten();
        match self.dispatcher.submit(&mut portion.dispatches, Reach::Uncounted, key) {
            Ok(submitted) => {
                let keys = mem::take(&mut portion.keys);
                // A message that comes again before this one is accepted is the same one.
                keys.iter().for_each(|key| self.keys.insert(*key));
                Acceptance::Taken(Taking { submitted, keys, count })
            }
            Err(
                DispatchRefusal::Overload
                | DispatchRefusal::BacklogsFull
                | DispatchRefusal::LogUnavailable
                | DispatchRefusal::Unreplicated,
            ) => Acceptance::Full,
            Err(DispatchRefusal::Stopped) => Acceptance::Stopped,
            // Only of a message by itself: several together are below the limit.
            Err(refusal) => {
                let rule = match refusal {
                    DispatchRefusal::EntryTooLarge { .. } => "entry-too-large",
                    DispatchRefusal::TargetsTooMany { .. } => "targets-too-many",
                    _ => "expansion-too-large",
                };
                Acceptance::Settled(Outcome::Refused(Refusal { rule, detail: refusal.to_string() }))
            }
        }
    }

    /// Waits until messages are accepted, and every handler of the embedding program has heard of them.
    ///
    /// # Errors
    /// They are refused after all, so they have to come again.
    pub(crate) async fn finish(&mut self, taking: Taking) -> Result<Outcome, DispatchRefusal> {
        match taking.submitted.settled().await {
            Ok(_) => {
                self.status.dispatched(taking.count);
                Ok(Outcome::Accepted)
            }
            // Another node has dispatched it.
            Err(DispatchRefusal::Repeated { .. }) => Ok(Outcome::Duplicate),
            Err(refusal) => {
                taking.keys.iter().for_each(|key| self.keys.remove(*key));
                Err(refusal)
            }
        }
    }

    /// Counts what became of a message, and logs a refusal.
    pub(crate) fn tell(&self, outcome: &Outcome, labels: &Labels) {
        self.status.count(outcome);
        let Outcome::Refused(Refusal { rule, detail }) = outcome else { return };
        journal::message_refused(self.dispatcher.live(), self.status.name(), rule);
        if let Some(untold) = self.refusals.tell(Instant::now()) {
            let file = (!labels.file.is_empty()).then_some(&*labels.file);
            warn!(source = self.status.name(), rule, detail, file, untold, "message refused");
        }
    }
}

#[cfg(test)]
mod tests;
