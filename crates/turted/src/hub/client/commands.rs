//! What a client asks for is done here, whatever it speaks; how the answer looks is the business of
//! its protocol.

use std::rc::Rc;

use turted_core::auth::{IdentRefusal, Identity, Verified};
use turted_core::command::{Command, Ident};
use turted_core::name::Name;
use turted_core::registry::MembershipRefusal;
use turted_core::reply::Reply;

use crate::auth::Verdict;
use crate::hub::client::identity::{self, ChannelRefusal};
use crate::hub::worker::connection::Connection;
use crate::hub::worker::journal;
use crate::hub::worker::session::Step;
use crate::hub::worker::worker::Worker;

/// What a client is told that sends more messages than it may; its connection then ends.
pub(crate) const RATE_LIMITED: &str = "too many messages (limits.message_rate, limits.message_burst)";

/// Why a command that was understood is not done. The text goes to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Ident(#[from] IdentRefusal),
    #[error(transparent)]
    Users(#[from] MembershipRefusal),
    #[error(transparent)]
    Channel(#[from] ChannelRefusal),
}

impl Refusal {
    /// The rule for metrics.
    fn rule(self) -> &'static str {
        match self {
            Self::Ident(IdentRefusal::TooManyWrong) => "too-many-wrong-idents",
            Self::Ident(_) => "ident",
            Self::Users(_) => "users-per-connection",
            Self::Channel(_) => "join",
        }
    }
}

/// What a client is answered.
pub(crate) type Outcome<'a> = Result<Reply<'a>, Refusal>;

/// Does what a client asks and hands the outcome to `answer`, at once or, where somebody has to be
/// asked, later: later messages of the client wait for that.
pub(crate) fn perform(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    command: Command<'_>,
    answer: impl FnOnce(&Rc<Worker>, &Rc<Connection>, Outcome<'_>) + 'static,
) -> Step {
    let outcome = match &command {
        Command::Ident(ident) => return identify(worker, connection, ident, answer),
        Command::Join(channel) => join(worker, connection, channel),
        Command::Leave(channel) => {
            worker.registry.borrow_mut().leave(connection.key, channel);
            journal::left(worker, connection, channel);
            Ok(Reply::Left(channel))
        }
        Command::Echo(data) => Ok(Reply::Echo(*data)),
        Command::Ping(data) => Ok(Reply::Pong(*data)),
    };
    answer(worker, connection, outcome);
    Step::Continue
}

fn join<'a>(worker: &Rc<Worker>, connection: &Rc<Connection>, channel: &'a Name) -> Outcome<'a> {
    let joined = identity::join(worker, connection, channel).map_err(Refusal::from);
    if let Err(refusal) = &joined {
        journal::join_refused(worker, connection, channel, refusal);
    }
    count(worker, joined.map(|()| Reply::Joined(channel)))
}

/// Verifies who the client is, and makes it so.
pub(crate) fn identify(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    ident: &Ident<'_>,
    answer: impl FnOnce(&Rc<Worker>, &Rc<Connection>, Outcome<'_>) + 'static,
) -> Step {
    match worker.shared.gate.verify(&worker.tasks, connection.visitor(worker), ident) {
        Verdict::Now(result) => {
            tell(worker, connection, result, answer);
            Step::Continue
        }
        Verdict::Later(verification) => {
            let (worker, connection) = (Rc::clone(worker), Rc::clone(connection));
            Step::Wait(Box::pin(async move {
                let result = verification.await;
                // A client that is gone meanwhile must not come back as a member of anything.
                if !connection.is_closed() {
                    tell(&worker, &connection, result, answer);
                }
            }))
        }
    }
}

fn tell(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    result: Result<Verified, IdentRefusal>,
    answer: impl FnOnce(&Rc<Worker>, &Rc<Connection>, Outcome<'_>),
) {
    let identified = admit(worker, connection, result);
    let outcome = identified.as_ref().map(Reply::Identified).map_err(|refusal| *refusal);
    answer(worker, connection, outcome);
}

/// Makes the connection what it was verified to be, if it was.
pub(crate) fn admit(
    worker: &Worker,
    connection: &Connection,
    result: Result<Verified, IdentRefusal>,
) -> Result<Identity, Refusal> {
    let admit = |verified: Verified| -> Result<Identity, Refusal> {
        identity::admit(worker, connection, &verified)?;
        Ok(verified.identity)
    };
    let admitted = result.map_err(Refusal::from).and_then(admit);
    count(worker, admitted)
}

/// Counts a refusal under its rule.
fn count<T>(worker: &Worker, result: Result<T, Refusal>) -> Result<T, Refusal> {
    if let Err(refusal) = &result {
        worker.metrics.refused(refusal.rule());
    }
    result
}
