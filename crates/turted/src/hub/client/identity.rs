//! What an IDENT changes on its connection: the user it is, the channels it may join, and when
//! that ends. The same for every transport; telling the client is the transport's part.

use std::time::Duration;

use tokio::time::Instant;
use turted_core::auth::Verified;
use turted_core::channel::JoinRefusal;
use turted_core::membership::Since;
use turted_core::name::Name;
use turted_core::registry::{IdentMode, MembershipRefusal};
use turted_core::standing::{Applicant, Standing};
use turted_core::time::UnixTime;

use crate::auth::unix_now;
use crate::hub::hooks::{EXPIRED, OTHER_IDENT};
use crate::hub::worker::connection::Client;
use crate::hub::worker::journal;
use crate::hub::worker::timers::Due;
use crate::hub::worker::worker::Worker;

/// The longest time until the next look at the clock, which may be set meanwhile.
const EXPIRY_CHECK_MAX: Duration = Duration::from_secs(60 * 60);

/// Makes the connection what it proved to be. It leaves channels that only an earlier proof had opened; returns
/// them.
pub(crate) fn admit(client: Client<'_>, verified: &Verified) -> Result<Vec<Name>, MembershipRefusal> {
    let (mode, since) = (client.worker.config.auth.ident, Since(client.worker.dispatcher.last()));
    let (name, before) = (&verified.identity.name, journal::users(client));
    let replaced: Vec<_> = match mode {
        IdentMode::Replace => users(client).into_iter().filter(|user| user != name).collect(),
        IdentMode::Add => Vec::new(),
    };
    if let Err(refusal) =
        client.worker.registry.borrow_mut().identify(client.connection.key, name, mode, since)
    {
        journal::users_refused(client, name, refusal);
        return Err(refusal);
    }
    journal::identified(client, &verified.identity);
    client.connection.standing.borrow_mut().accept(verified, mode);
    note_last_seen(client, &replaced);
    let left = leave_forbidden(client, before.as_deref());
    tell_became(client, OTHER_IDENT);
    // Events of the user that it was, and of channels that it has left, come before the reply.
    client.send_chained();
    watch_expiry(client);
    Ok(left)
}

/// Why a channel was not joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChannelRefusal {
    #[error(transparent)]
    Rule(#[from] JoinRefusal),
    #[error(transparent)]
    Limit(#[from] MembershipRefusal),
}

/// Joins a channel, if its rule lets the connection in.
pub(crate) fn join(client: Client<'_>, channel: &Name) -> Result<(), ChannelRefusal> {
    may_join(client, channel)?;
    let is_new = client.worker.registry.borrow().since(client.connection.key, channel).is_none();
    let since = Since(client.worker.dispatcher.last());
    client.worker.registry.borrow_mut().join(client.connection.key, channel, since)?;
    let id = client.connection.id(client.worker);
    client.worker.shared.hooks.joined(id, channel);
    client.worker.shared.presence.joined(id, channel, || users(client));
    if is_new {
        journal::joined(client, channel);
    }
    Ok(())
}

pub(super) fn may_join(client: Client<'_>, channel: &Name) -> Result<(), JoinRefusal> {
    let rules = &client.worker.config.channels;
    if rules.is_empty() {
        return Ok(());
    }
    let is_identified = client.worker.registry.borrow().is_identified(client.connection.key);
    Applicant { is_identified, standing: &client.connection.standing.borrow() }.may_join(channel, rules)
}

/// Whether a client that proved this, or nothing, may join a channel, before it has a connection.
pub(crate) fn may_join_as(
    worker: &Worker,
    verified: Option<&Verified>,
    channel: &Name,
) -> Result<(), JoinRefusal> {
    let mut standing = Standing::default();
    if let Some(verified) = verified {
        standing.accept(verified, worker.config.auth.ident);
    }
    let applicant = Applicant { is_identified: verified.is_some(), standing: &standing };
    applicant.may_join(channel, &worker.config.channels)
}

/// Leaves the channels that the connection could not join any more, and returns them. `before` are the users that it was.
pub(crate) fn leave_forbidden(client: Client<'_>, before: Option<&[Name]>) -> Vec<Name> {
    if client.worker.config.channels.is_empty() {
        return Vec::new();
    }
    let joined = client.worker.registry.borrow().memberships(client.connection.key).channels;
    let forbidden = joined.into_iter().map(|(channel, _)| channel);
    let forbidden: Vec<_> = forbidden.filter(|channel| may_join(client, channel).is_err()).collect();
    for channel in &forbidden {
        client.worker.registry.borrow_mut().leave(client.connection.key, channel);
        client.worker.audience.leave(client.connection.key, channel);
        journal::left(client, channel, before);
    }
    let (position, max) =
        (client.worker.passed(client.connection), client.worker.config.limits.channels_per_connection);
    client.connection.standing.borrow_mut().forfeit(&forbidden, position, max);
    forbidden
}

/// Tells presence and hooks what the connection is now, and why it is not what it was.
fn tell_became(client: Client<'_>, reason: &'static str) {
    let id = client.connection.id(client.worker);
    let memberships = || client.worker.registry.borrow().memberships(client.connection.key);
    client.worker.shared.presence.became(id, memberships);
    client.worker.shared.hooks.became(id, memberships, reason);
}

/// The users that a client is.
fn users(client: Client<'_>) -> Vec<Name> {
    let users = client.worker.registry.borrow().memberships(client.connection.key).users;
    users.into_iter().map(|(user, _)| user).collect()
}

/// Notes when users were last connected that a client is no longer.
fn note_last_seen(client: Client<'_>, users: &[Name]) {
    if !users.is_empty() {
        client.worker.shared.presence.last_seen.note(users, unix_now());
    }
}

/// How long a proof is good that ends at this time by its own word; `None` if it does not expire.
pub(crate) fn time_left(expires: Option<UnixTime>) -> Option<Duration> {
    expires.map(|expires| expires.0.saturating_sub(unix_now().0))
}

/// Sets a timer, so that the connection is looked at again when its first proof expires.
pub(crate) fn watch_expiry(client: Client<'_>) {
    let Some(expiry) = client.connection.standing.borrow().next_expiry() else { return };
    // A millisecond later: at the time of its expiry itself a proof still counts.
    let left = expiry.0.saturating_sub(unix_now().0) + Duration::from_millis(1);
    let due = Instant::now() + left.min(EXPIRY_CHECK_MAX);
    // One timer is enough, unless it comes too late: timers cannot be taken back.
    if client.connection.expiry_due.get().is_none_or(|pending| due < pending) {
        client.connection.expiry_due.set(Some(due));
        client.worker.timers.add(due, client.connection.key, Due::Expiry);
    }
}

/// Takes from the connection what has expired: the users, and the channels that they opened. Returns these
/// channels; `None` if nothing had expired.
pub(crate) fn expire(client: Client<'_>) -> Option<Vec<Name>> {
    if client.connection.expiry_due.get().is_some_and(|due| due <= Instant::now()) {
        client.connection.expiry_due.set(None);
    }
    let (expired, before) =
        (client.connection.standing.borrow_mut().expire(unix_now()), journal::users(client));
    for user in &expired {
        client.worker.registry.borrow_mut().forget_user(client.connection.key, user);
    }
    let left = (!expired.is_empty()).then(|| leave_forbidden(client, before.as_deref()));
    if left.is_some() {
        note_last_seen(client, &expired);
        tell_became(client, EXPIRED);
        // As with an IDENT.
        client.send_chained();
    }
    watch_expiry(client);
    left
}
