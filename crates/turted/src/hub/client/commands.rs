//! Performs the commands of clients, whatever they speak. How an answer looks is up to the protocol of the
//! client.

use turted_core::auth::{IdentRefusal, Identity, Verified};
use turted_core::command::{Command, Ident};
use turted_core::name::Name;
use turted_core::registry::MembershipRefusal;
use turted_core::reply::Reply;

use crate::auth::Verdict;
use crate::hub::client::identity::{self, ChannelRefusal};
use crate::hub::worker::connection::Client;
use crate::hub::worker::journal;
use crate::hub::worker::session::Step;
use crate::hub::worker::worker::Worker;

/// The text for a client that sends more messages than it may; its connection then ends.
pub(crate) const RATE_LIMITED: &str = "too many messages (limits.message_rate, limits.message_burst)";

/// Why a command that was understood is not done. The text goes to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommandRefusal {
    #[error(transparent)]
    Ident(#[from] IdentRefusal),
    #[error(transparent)]
    Users(#[from] MembershipRefusal),
    #[error(transparent)]
    Channel(#[from] ChannelRefusal),
}

impl CommandRefusal {
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

/// The answer to a command.
pub(crate) type CommandOutcome<'a> = Result<Reply<'a>, CommandRefusal>;

/// Performs a command and hands the outcome to `answer`: at once, or later if the backend or the embedding
/// program has to be asked. Later messages of the client wait for that.
pub(crate) fn perform(
    client: Client<'_>,
    command: Command<'_>,
    answer: impl FnOnce(Client<'_>, CommandOutcome<'_>) + 'static,
) -> Step {
    let outcome = match &command {
        Command::Ident(ident) => return identify(client, ident, answer),
        Command::Join(channel) => join(client, channel),
        Command::Leave(channel) => {
            client.worker.registry.borrow_mut().leave(client.connection.key, channel);
            journal::left(client, channel);
            Ok(Reply::Left(channel))
        }
        Command::Echo(data) => Ok(Reply::Echo(*data)),
        Command::Ping(data) => Ok(Reply::Pong(*data)),
    };
    answer(client, outcome);
    Step::Continue
}

fn join<'a>(client: Client<'_>, channel: &'a Name) -> CommandOutcome<'a> {
    let joined = identity::join(client, channel).map_err(CommandRefusal::from);
    if let Err(refusal) = &joined {
        journal::join_refused(client, channel, refusal);
    }
    count(client.worker, joined.map(|()| Reply::Joined(channel)))
}

/// Verifies an IDENT, and makes the client the user that it proved to be.
pub(crate) fn identify(
    client: Client<'_>,
    ident: &Ident<'_>,
    answer: impl FnOnce(Client<'_>, CommandOutcome<'_>) + 'static,
) -> Step {
    match client.worker.shared.gate.verify(
        &client.worker.tasks,
        client.connection.visitor(client.worker),
        ident,
    ) {
        Verdict::Now(result) => {
            tell(client, result, answer);
            Step::Continue
        }
        Verdict::Later(verification) => {
            let (worker, connection) = client.owned();
            Step::Wait(Box::pin(async move {
                let result = verification.await;
                // A client that is gone meanwhile must not become a member of anything again.
                if !connection.is_closed() {
                    tell(Client::of(&worker, &connection), result, answer);
                }
            }))
        }
    }
}

fn tell(
    client: Client<'_>,
    result: Result<Verified, IdentRefusal>,
    answer: impl FnOnce(Client<'_>, CommandOutcome<'_>),
) {
    let identified = admit(client, result);
    let outcome = identified.as_ref().map(Reply::Identified).map_err(|refusal| *refusal);
    answer(client, outcome);
}

/// Makes the connection the user that was verified, unless the IDENT was refused.
pub(crate) fn admit(
    client: Client<'_>,
    result: Result<Verified, IdentRefusal>,
) -> Result<Identity, CommandRefusal> {
    let admit = |verified: Verified| -> Result<Identity, CommandRefusal> {
        identity::admit(client, &verified)?;
        Ok(verified.identity)
    };
    let admitted = result.map_err(CommandRefusal::from).and_then(admit);
    count(client.worker, admitted)
}

/// Counts a refusal under its rule.
fn count<T>(worker: &Worker, result: Result<T, CommandRefusal>) -> Result<T, CommandRefusal> {
    if let Err(refusal) = &result {
        worker.metrics.refused(refusal.rule());
    }
    result
}
