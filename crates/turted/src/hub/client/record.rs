//! What becomes of the session of a client is recorded, and the client is answered when it is.
//!
//! A command takes effect at once; only its answer waits, and with it later messages of the same client. Without a log
//! on disk nothing waits, and nothing is made for it.

use turted_core::close::Close;
use turted_core::membership::Since;
use turted_core::name::Name;
use turted_core::record::session::{Change, SessionState};
use turted_core::session_key::SessionKey;

use crate::hub::dispatch::queue::BUSY_MAX;
use crate::hub::worker::connection::Client;
use crate::hub::worker::session::Step;
use crate::hub::worker::sessions::{Effect, Recorded};

/// The session that changes are recorded of, if any are.
fn key(client: Client<'_>) -> Option<SessionKey> {
    let is_on_disk = client.worker.sessions.is_on_disk();
    client.connection.recovery_id.get().filter(|_| is_on_disk).map(|id| id.key())
}

fn record(client: Client<'_>, effect: Effect, change: impl FnOnce() -> Change) -> Recorded {
    let Some(key) = key(client) else { return Recorded::NOW };
    client.worker.sessions.record(key, effect, change())
}

/// Records a session that begins as what its client is now. Its connection may be not admitted yet.
pub(crate) fn begun(client: Client<'_>) -> Recorded {
    if !client.worker.registry.borrow().is_admitted(client.connection.key) {
        // The admission sets it anew. Until then the session is one that has received nothing.
        client.connection.began_after.set(client.worker.dispatcher.last());
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

/// Records that a client joins a channel, before it is a member.
pub(crate) fn joining(client: Client<'_>, channel: &Name) -> Recorded {
    let since = Since(client.worker.dispatcher.last());
    record(client, Effect::Adds, || Change::Joined(vec![(channel.clone(), since)]))
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

/// Waits as long as a push does.
async fn is_too_late(client: Client<'_>, recorded: Recorded) -> bool {
    client.worker.seconds.wait(BUSY_MAX, recorded.wait()).await.is_none()
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
