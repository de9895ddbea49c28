//! What the log tells of connections at level debug, and the live view to those who watch: one line and one record for each
//! step in their life.
//!
//! `docs/logging.md` lists the lines; a test compares. Neither payloads nor secrets are among their fields, and
//! text that a stranger chose is cut or bounded, and escaped. Nothing is computed for a line that the log level
//! leaves out, nor for a record that nobody watches.

use std::sync::Arc;

use hyper::header::{HeaderMap, USER_AGENT};
use tracing::{Level, debug, enabled};
use turted_core::auth::Identity;
use turted_core::name::Name;
use turted_core::registry::MembershipRefusal;

use crate::auth::Visitor;
use crate::hub::delivery::metrics::Route;
use crate::hub::worker::connection::Client;
use crate::hub::worker::worker::Worker;
use crate::live::{Kind, Record};

/// Bytes of a user agent that are logged. Browsers need up to 130; the first hundred tell which browser it is.
const AGENT_BYTES_MAX: usize = 128;
/// What a client says it is; only known if it will be logged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agent(Option<Arc<str>>);

impl Agent {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        if !enabled!(Level::DEBUG) {
            return Self::default();
        }
        let agent = headers.get(USER_AGENT).map(|agent| agent.as_bytes());
        let cut = agent.map(|agent| &agent[..agent.len().min(AGENT_BYTES_MAX)]);
        Self(cut.map(|cut| String::from_utf8_lossy(cut).into()))
    }
}

/// A client is connected.
pub(crate) fn opened(client: Client<'_>, agent: &Agent) {
    let labels = || client.connection.route().map(Route::labels);
    tell(client, || {
        let labels = labels();
        let label = |index: usize| labels.map(|labels| labels[index].1);
        Record {
            public_id: client.connection.public_id(),
            transport: label(0),
            version: label(1),
            carrier: label(2),
            ..Record::new(Kind::Connected)
        }
    });
    if !enabled!(Level::DEBUG) {
        return;
    }
    let labels = labels();
    let label = |index: usize| labels.map(|labels| labels[index].1);
    debug!(
        connection = %client.connection.told_id(client.worker),
        public_id = client.connection.public_id(),
        address = %client.connection.peer,
        transport = label(0),
        version = label(1),
        carrier = label(2),
        agent = agent.0.as_deref(),
        "connection opened"
    );
}

/// A client has proved who it is.
pub(crate) fn identified(client: Client<'_>, identity: &Identity) {
    debug!(
        connection = %client.connection.told_id(client.worker),
        user = identity.name.as_str(),
        method = client.worker.shared.gate.method(),
        "identified"
    );
    tell(client, || Record {
        method: Some(client.worker.shared.gate.method()),
        ..Record::new(Kind::Identified)
    });
}

/// A client has got back a session, and is who it was.
pub(crate) fn resumed(client: Client<'_>) {
    let is_user = || client.worker.registry.borrow().is_identified(client.connection.key);
    if client.worker.shared.live.is_watched() && is_user() {
        tell(client, || Record { method: Some("resume"), ..Record::new(Kind::Identified) });
    }
}

/// A client may not be one more user.
pub(crate) fn users_refused(client: Client<'_>, user: &Name, refusal: MembershipRefusal) {
    let visitor = client.connection.visitor(client.worker);
    client.worker.shared.gate.tell_refused(visitor, Some(user), &refusal);
}

/// A client is a member of a channel now.
pub(crate) fn joined(client: Client<'_>, channel: &Name) {
    debug!(connection = %client.connection.told_id(client.worker), channel = channel.as_str(), "JOIN");
    tell(client, || Record { channel: Some(channel), ..Record::new(Kind::Joined) });
}

/// A client may not join a channel.
pub(crate) fn join_refused(client: Client<'_>, channel: &Name, refusal: &dyn std::error::Error) {
    debug!(
        connection = %client.connection.told_id(client.worker),
        channel = channel.as_str(),
        reason = %refusal,
        "JOIN refused"
    );
    tell(client, || Record {
        channel: Some(channel),
        reason: Some(refusal.to_string().into()),
        ..Record::new(Kind::JoinRefused)
    });
}

/// A client is no member of a channel any more. `users` are who it was as a member, if it is somebody else already.
pub(crate) fn left(client: Client<'_>, channel: &Name, users: Option<&[Name]>) {
    debug!(connection = %client.connection.told_id(client.worker), channel = channel.as_str(), "LEAVE");
    client.worker.shared.live.tell(|| {
        let record = Record { channel: Some(channel), ..Record::new(Kind::Left) };
        let record = client.connection.described(client.worker, record);
        Record { users: users.map_or(record.users, <[Name]>::to_vec), ..record }
    });
}

/// Who a client is, if somebody watches: what it loses when it becomes somebody else is told of them.
pub(crate) fn users(client: Client<'_>) -> Option<Vec<Name>> {
    let users = || client.worker.registry.borrow().memberships(client.connection.key).users;
    client.worker.shared.live.is_watched().then(|| users().into_iter().map(|(name, _)| name).collect())
}

/// A visitor may not join a channel, and gets no connection for that reason.
pub(crate) fn stream_refused(
    worker: &Worker,
    visitor: Visitor,
    users: Option<&Name>,
    (channel, refusal): (&Name, &dyn std::error::Error),
) {
    debug!(address = %visitor.address, channel = channel.as_str(), reason = %refusal, "event stream refused");
    worker.shared.live.tell(|| Record {
        address: Some(visitor.address),
        transport: Some(visitor.transport),
        users: users.cloned().into_iter().collect(),
        channel: Some(channel),
        reason: Some(refusal.to_string().into()),
        ..Record::new(Kind::JoinRefused)
    });
}

/// Tells those who watch what a connection does, or what becomes of it.
fn tell<'a>(client: Client<'_>, describe: impl FnOnce() -> Record<'a>) {
    client.worker.shared.live.tell(|| client.connection.described(client.worker, describe()));
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use tracing::subscriber::with_default;
    use tracing_subscriber::fmt;

    use super::*;

    fn agent(value: &[u8]) -> Agent {
        let headers = HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_bytes(value).unwrap())]);
        with_default(fmt().with_max_level(Level::DEBUG).with_writer(std::io::sink).finish(), || {
            Agent::of(&headers)
        })
    }

    #[test]
    fn a_user_agent_is_cut_to_128_bytes_and_need_not_be_text() {
        assert_eq!(agent(&[b'a'; 128]).0.unwrap().len(), 128);
        assert_eq!(agent(&[b'a'; 129]).0.unwrap().len(), 128);
        assert_eq!(agent(b"a\xffb").0.as_deref(), Some("a\u{fffd}b"));
    }

    #[test]
    fn a_user_agent_costs_nothing_where_nobody_reads_it() {
        let headers = HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static("curl"))]);
        let quiet = fmt().with_max_level(Level::WARN).with_writer(std::io::sink).finish();
        assert!(with_default(quiet, || Agent::of(&headers)).0.is_none());
    }
}
