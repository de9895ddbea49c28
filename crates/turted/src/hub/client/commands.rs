//! Performs the commands of clients, whatever they speak. How an answer looks is up to the protocol of the
//! client.

use turted_core::auth::{IdentRefusal, Verified};
use turted_core::command::{Command, Extras, Ident};
use turted_core::history::{Following, Wanted};
use turted_core::name::Name;
use turted_core::presence::PresenceRefusal;
use turted_core::registry::MembershipRefusal;
use turted_core::reply::{Identified, Reply};

use crate::auth::Verdict;
use crate::hub::client::history;
use crate::hub::client::identity::{self, ChannelRefusal};
use crate::hub::client::presence;
use crate::hub::client::record;
use crate::hub::worker::connection::Client;
use crate::hub::worker::journal;
use crate::hub::worker::session::Step;
use crate::hub::worker::sessions::{Effect, Recorded};
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
    #[error(transparent)]
    Presence(#[from] PresenceRefusal),
}

impl CommandRefusal {
    /// The rule for metrics.
    fn rule(self) -> &'static str {
        match self {
            Self::Ident(IdentRefusal::TooManyWrong) => "too-many-wrong-idents",
            Self::Ident(_) => "ident",
            Self::Users(_) => "users-per-connection",
            Self::Channel(_) => "join",
            Self::Presence(_) => "presence",
        }
    }
}

/// The answer to a command.
pub(crate) type CommandOutcome<'a> = Result<Reply<'a>, CommandRefusal>;

/// Performs a command and hands the outcome to `answer`: at once, or later if the backend or the embedding
/// program has to be asked, or if the outcome has to be recorded. Later messages of the client wait for that.
pub(crate) fn perform(
    client: Client<'_>,
    command: Command<'_>,
    answer: impl FnOnce(Client<'_>, CommandOutcome<'_>) + 'static,
) -> Step {
    match command {
        Command::Ident(ident) => identify(client, &ident, answer),
        Command::Join(channel) => {
            let joined = join(client, &channel);
            let recorded = match &joined {
                Ok(()) => record::joined(client, [&channel]),
                Err(_) => Recorded::NOW,
            };
            record::then(client, recorded, move |client| {
                answer(client, joined.map(|()| Reply::Joined(&channel)));
            })
        }
        Command::JoinWith(channel, Extras { history: None, .. }) => join_present(client, channel, answer),
        Command::JoinWith(channel, Extras { history: Some(wanted), presence }) => {
            join_from(client, Past { channel, wanted, presence }, answer)
        }
        Command::Presence(channel) => {
            let asked = presence::ask(client, &channel).map_err(CommandRefusal::from);
            answer(client, count(client.worker, asked).map(|()| Reply::Present(&channel)));
            presence::begin(client);
            Step::Continue
        }
        Command::Leave(channel) => {
            if history::member_since(client, &channel).is_some() {
                leave(client, &channel);
                // Events of the channel that were on their way come before the reply.
                client.send_chained();
            }
            let recorded = record::left(client, &channel);
            record::then(client, recorded, move |client| answer(client, Ok(Reply::Left(&channel))))
        }
        Command::Echo(data) => {
            answer(client, Ok(Reply::Echo(data)));
            Step::Continue
        }
        Command::Ping(data) => {
            answer(client, Ok(Reply::Pong(data)));
            Step::Continue
        }
    }
}

/// Takes a client out of a channel that it is in.
pub(super) fn leave(client: Client<'_>, channel: &Name) {
    client.worker.registry.borrow_mut().leave(client.connection.key, channel);
    let id = client.connection.id(client.worker);
    client.worker.shared.hooks.left(id, channel);
    client.worker.shared.presence.left(id, channel);
    client.worker.audience.leave(client.connection.key, channel);
    journal::left(client, channel, None);
}

/// Joins a channel of which the client wants to hear who is in it.
fn join_present(
    client: Client<'_>,
    channel: Name,
    answer: impl FnOnce(Client<'_>, CommandOutcome<'_>) + 'static,
) -> Step {
    let joined = join_and_listen(client, &channel);
    let recorded = match &joined {
        Ok(()) => recorded_present(client, [&channel]),
        Err(_) => Recorded::NOW,
    };
    record::then(client, recorded, move |client| {
        answer(client, joined.map(|()| Reply::Joined(&channel)));
        presence::begin(client);
    })
}

/// Records that a client joins channels, and is told who is in them.
pub(crate) fn recorded_present<'a>(
    client: Client<'_>,
    channels: impl IntoIterator<Item = &'a Name> + Clone,
) -> Recorded {
    // The records are written in this order.
    drop(record::joined(client, channels.clone()));
    record::told(client, channels)
}

/// A channel whose history a client wants.
struct Past {
    channel: Name,
    wanted: Wanted,
    /// Whether it wants to hear who is in it, too.
    presence: bool,
}

/// Joins a channel whose history the client wants, when it has taken all of the past that is under way to it: one after
/// the other, so that nobody holds the history of many channels.
fn join_from(
    client: Client<'_>,
    past: Past,
    answer: impl FnOnce(Client<'_>, CommandOutcome<'_>) + 'static,
) -> Step {
    if !client.worker.feeds.has(client.connection.key) {
        return join_and_tell(client, past, answer);
    }
    let (worker, connection) = client.owned();
    Step::Wait(Box::pin(async move {
        worker.feeds.ended(connection.key).await;
        if !connection.is_closed()
            && let Step::Wait(told) = join_and_tell(Client::of(&worker, &connection), past, answer)
        {
            told.await;
        }
    }))
}

/// Records that a client joins a channel, and then joins it: its history comes before what is new, so nothing new may come
/// while that is recorded.
fn join_and_tell(
    client: Client<'_>,
    Past { channel, wanted, presence }: Past,
    answer: impl FnOnce(Client<'_>, CommandOutcome<'_>) + 'static,
) -> Step {
    let join = if presence { join_and_listen } else { join };
    if history::member_since(client, &channel).is_some() {
        let following = Following { replayed: 0, complete: false };
        let joined = join(client, &channel);
        let recorded = match &joined {
            Ok(()) if presence => record::told(client, [&channel]),
            _ => Recorded::NOW,
        };
        return record::then(client, recorded, move |client| {
            answer(client, joined.map(|()| Reply::JoinedFrom(&channel, following)));
            presence::begin(client);
        });
    }
    let may_join = identity::may_join(client, &channel).is_ok();
    let recorded = match may_join {
        true => record::joining(client, &channel, presence.then_some(&channel)),
        false => Recorded::NOW,
    };
    record::then(client, recorded, move |client| {
        let since = join(client, &channel).map(|()| history::member_since(client, &channel));
        match since {
            Err(refusal) => {
                if may_join {
                    drop(record::left(client, &channel));
                }
                answer(client, Err(refusal));
            }
            Ok(since) => {
                record::has_joined(client);
                let joined: Vec<_> = since.map(|since| (channel.clone(), since)).into_iter().collect();
                let found = history::of(client, &joined, wanted);
                client.send_chained();
                answer(client, Ok(Reply::JoinedFrom(&channel, found.following)));
                client.connection.replay(client.worker, found.missed);
                presence::begin(client);
            }
        }
    })
}

/// Joins a channel, if its rule lets the client in, and lets it hear who is in it, if the rule lets anybody.
pub(crate) fn join_and_listen(client: Client<'_>, channel: &Name) -> Result<(), CommandRefusal> {
    if let Err(refusal) = client.worker.shared.presence.check(channel) {
        journal::join_refused(client, channel, &refusal);
        return count(client.worker, Err(refusal.into()));
    }
    join(client, channel)?;
    presence::listen(client, channel);
    Ok(())
}

/// Joins a channel, if its rule lets the client in.
pub(crate) fn join(client: Client<'_>, channel: &Name) -> Result<(), CommandRefusal> {
    let joined = identity::join(client, channel).map_err(CommandRefusal::from);
    if let Err(refusal) = &joined {
        journal::join_refused(client, channel, refusal);
    }
    count(client.worker, joined)
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
        Verdict::Now(result) => tell(client, result, answer),
        Verdict::Later(verification) => {
            let (worker, connection) = client.owned();
            Step::Wait(Box::pin(async move {
                let result = verification.await;
                // A client that is gone meanwhile must not become a member of anything again.
                if !connection.is_closed()
                    && let Step::Wait(told) = tell(Client::of(&worker, &connection), result, answer)
                {
                    told.await;
                }
            }))
        }
    }
}

fn tell(
    client: Client<'_>,
    result: Result<Verified, IdentRefusal>,
    answer: impl FnOnce(Client<'_>, CommandOutcome<'_>) + 'static,
) -> Step {
    let effect = match client.worker.registry.borrow().is_identified(client.connection.key) {
        // Another user may take the place of the one before.
        true => Effect::TakesAway,
        false => Effect::Adds,
    };
    let identified = admit(client, result);
    let recorded = match &identified {
        Ok(identified) => record::proved(client, effect, &identified.left),
        Err(_) => Recorded::NOW,
    };
    record::then(client, recorded, move |client| {
        let outcome = identified.as_ref().map(Reply::Identified).map_err(|refusal| *refusal);
        answer(client, outcome);
    })
}

/// Makes the connection the user that was verified, unless the IDENT was refused.
pub(crate) fn admit(
    client: Client<'_>,
    result: Result<Verified, IdentRefusal>,
) -> Result<Identified, CommandRefusal> {
    let admit = |verified: Verified| -> Result<Identified, CommandRefusal> {
        let left = identity::admit(client, &verified)?;
        let expires_in = identity::time_left(verified.expires);
        Ok(Identified { identity: verified.identity, expires_in, left })
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
