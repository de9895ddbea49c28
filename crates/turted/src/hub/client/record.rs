//! What becomes of the session of a client is recorded, and the client is answered when it is.
//!
//! A command takes effect at once; only its answer waits, and with it later messages of the same client. Without a log
//! on disk and without a cluster nothing waits, and nothing is made for it.
//!
//! On disk each change is a record of its own. In a cluster a session is written as a whole.

use std::time::Duration;

use turted_core::close::Close;
use turted_core::membership::Since;
use turted_core::name::Name;
use turted_core::record::session::{Change, SessionState};
use turted_core::session_key::SessionKey;

use crate::hub::dispatch::queue::BUSY_MAX;
use crate::hub::worker::connection::Client;
use crate::hub::worker::session::Step;
use crate::hub::worker::sessions::{Effect, Recorded};
use crate::hub::worker::worker::Worker;

/// How long a client waits for an engine that is slow to record what the client has joined.
const ADDED_MAX: Duration = Duration::from_secs(1);

/// The session that changes are recorded of, if any are.
fn key(client: Client<'_>) -> Option<SessionKey> {
    let is_recorded = client.worker.sessions.is_recorded();
    client.connection.recovery_id.get().filter(|_| is_recorded).map(|id| id.key())
}

fn record(client: Client<'_>, effect: Effect, change: impl FnOnce() -> Change) -> Recorded {
    let Some(key) = key(client) else { return Recorded::NOW };
    let change = match client.worker.sessions.common() {
        Some(_) => Change::Whole(client.connection.state(client.worker)),
        None => change(),
    };
    client.worker.sessions.record(key, effect, change)
}

/// Records a session that begins as what its client is now. Its connection may be not admitted yet.
pub(crate) fn begun(client: Client<'_>) -> Recorded {
    if !client.worker.registry.borrow().is_admitted(client.connection.key) {
        // The admission sets it anew. Until then the session is one that has received nothing.
        client.connection.began_after.set(client.worker.dispatcher.last());
    }
    if let Some(key) = key(client).filter(|_| client.worker.sessions.common().is_some()) {
        // Another node that asks for it knows its key alone.
        client.worker.shared.recovery.moved(key, client.home());
    }
    record(client, Effect::Adds, || Change::Whole(client.connection.state(client.worker)))
}

/// Records that a client has joined channels.
pub(crate) fn joined<'a>(client: Client<'_>, channels: impl IntoIterator<Item = &'a Name>) -> Recorded {
    record(client, Effect::Adds, || {
        let registry = client.worker.registry.borrow();
        let since = |channel| registry.since(client.connection.key, channel);
        let joined = channels.into_iter().filter_map(|channel| Some((channel.clone(), since(channel)?)));
        Change::Joined(joined.collect())
    })
}

/// Records that a client joins a channel, before it is a member; and, if it wants that, that it is told who is in it.
pub(crate) fn joining(client: Client<'_>, channel: &Name, told: Option<&Name>) -> Recorded {
    let since = Since(client.worker.dispatcher.last());
    let Some(key) = key(client) else { return Recorded::NOW };
    if client.worker.sessions.common().is_some() {
        let mut state = client.connection.state(client.worker);
        state.memberships.channels.push((channel.clone(), since));
        state.presence.extend(told.filter(|told| !state.presence.contains(told)).cloned());
        return client.worker.sessions.record(key, Effect::Adds, Change::Whole(state));
    }
    let joining = record(client, Effect::Adds, || Change::Joined(vec![(channel.clone(), since)]));
    match told {
        // The records are written in this order.
        Some(told) => self::told(client, [told]),
        None => joining,
    }
}

/// Records in a cluster that a client has become the member that it was [recorded](joining) as: meanwhile the session may have
/// been written without that.
pub(crate) fn has_joined(client: Client<'_>) {
    if let Some(key) = key(client)
        && client.worker.sessions.common().is_some()
    {
        client.worker.sessions.note(key, || client.connection.state(client.worker));
    }
}

/// Records that a client is told who is in channels. To be called behind the record that it joins them.
pub(crate) fn told<'a>(client: Client<'_>, channels: impl IntoIterator<Item = &'a Name>) -> Recorded {
    record(client, Effect::Adds, || Change::Told(channels.into_iter().cloned().collect()))
}

/// Records that a client has left a channel.
pub(crate) fn left(client: Client<'_>, channel: &Name) -> Recorded {
    record(client, Effect::TakesAway, || Change::Left(vec![channel.clone()]))
}

/// Records who a client is by an IDENT, or after a proof has expired, and the channels it lost by that.
pub(crate) fn proved(client: Client<'_>, effect: Effect, left: &[Name]) -> Recorded {
    record(client, effect, || {
        let SessionState { memberships, standing, .. } = client.connection.state(client.worker);
        Change::Proved { users: memberships.users, standing, left: left.to_vec() }
    })
}

/// Answers a client when its change is recorded. Later messages of the client wait for that.
pub(crate) fn then(
    client: Client<'_>,
    recorded: Recorded,
    answer: impl FnOnce(Client<'_>) + 'static,
) -> Step {
    if recorded.is_now() {
        answer(client);
        return Step::Continue;
    }
    let (worker, connection) = client.owned();
    Step::Wait(Box::pin(async move {
        if wait(Client::of(&worker, &connection), recorded).await {
            answer(Client::of(&worker, &connection));
        }
    }))
}

/// Waits until a change is recorded, and returns whether the client is still there to be answered. If the disk does not
/// answer, the connection is closed: a client that has no answer asks again, and one that had it could be something else
/// after the next start.
pub(crate) async fn wait(client: Client<'_>, recorded: Recorded) -> bool {
    if is_too_late(client, recorded).await {
        client.close(Close::LogSlow);
    }
    !client.connection.is_closed()
}

/// Waits until changes of several clients are recorded, as long as a push does. Returns whether they are.
pub(crate) async fn wait_for_all(worker: &Worker, recorded: Vec<Recorded>) -> bool {
    let all = async {
        for recorded in recorded {
            recorded.wait().await;
        }
    };
    worker.seconds.wait(BUSY_MAX, all).await.is_some()
}

/// Waits as long as a push does; or for a while alone, if the change may be recorded later.
async fn is_too_late(client: Client<'_>, recorded: Recorded) -> bool {
    let may_come_later = recorded.may_come_later();
    let longest = if may_come_later { ADDED_MAX } else { BUSY_MAX };
    let is_late = client.worker.seconds.wait(longest, recorded.wait()).await.is_none();
    if is_late && may_come_later {
        let common = client.worker.sessions.common().zip(key(client));
        common.into_iter().for_each(|(common, key)| common.answered_before(key));
    }
    is_late && !may_come_later
}

/// Tells a client that a proof of it has expired, when that is recorded. Its messages do not wait. If the disk does not
/// answer it is told all the same: what has expired does not come back, whatever is recorded.
pub(crate) fn expired(client: Client<'_>, recorded: Recorded, tell: impl FnOnce(Client<'_>) + 'static) {
    if recorded.is_now() {
        return tell(client);
    }
    let (worker, connection) = client.owned();
    client.worker.spawn(async move {
        is_too_late(Client::of(&worker, &connection), recorded).await;
        if !connection.is_closed() {
            tell(Client::of(&worker, &connection));
        }
    });
}
