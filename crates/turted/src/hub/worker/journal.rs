//! What the log tells at level debug: one line for each step in the life of a connection, and for each push.
//!
//! `docs/logging.md` lists the lines; a test compares. Neither payloads nor secrets are among their fields, and
//! whatever a stranger chose is cut or bounded, and escaped. Nothing is made for a line that nobody asked for.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::header::{HeaderMap, USER_AGENT};
use tracing::{Level, debug, enabled};
use turted_core::auth::Identity;
use turted_core::close::Close;
use turted_core::dispatch::{Dispatch, Targets};
use turted_core::name::Name;
use turted_core::registry::MembershipRefusal;

use crate::auth::gate;
use crate::hub::delivery::metrics::Route;
use crate::hub::worker::connection::Connection;
use crate::hub::worker::worker::Worker;

/// Bytes of a user agent that are logged. Browsers need up to 130, the first hundred tell which.
const AGENT_BYTES_MAX: usize = 128;
/// Bytes of the name of a field in a push, which its sender chose.
const FIELD_BYTES_MAX: usize = 128;
/// Users, and channels, of a push that are named.
const NAMES_MAX: usize = 3;

/// What a client says it is; only known where it will be logged.
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

/// A client has its place.
pub(crate) fn opened(worker: &Worker, connection: &Connection, agent: &Agent) {
    if !enabled!(Level::DEBUG) {
        return;
    }
    let labels = connection.route().map(Route::labels);
    let label = |index: usize| labels.map(|labels| labels[index].1);
    debug!(
        connection = %connection.id(worker),
        public_id = connection.public_id(),
        address = %connection.peer,
        transport = label(0),
        version = label(1),
        carrier = label(2),
        agent = agent.0.as_deref(),
        "connection opened"
    );
}

/// A client has proved who it is.
pub(crate) fn identified(worker: &Worker, connection: &Connection, identity: &Identity) {
    debug!(
        connection = %connection.id(worker),
        user = identity.name.as_str(),
        method = worker.shared.gate.method(),
        "identified"
    );
}

/// A client may not be one more user.
pub(crate) fn users_refused(
    worker: &Worker,
    connection: &Connection,
    user: &Name,
    refusal: MembershipRefusal,
) {
    gate::log_refused(connection.visitor(worker), Some(user), &refusal);
}

/// A client is a member of a channel now.
pub(crate) fn joined(worker: &Worker, connection: &Connection, channel: &Name) {
    debug!(connection = %connection.id(worker), channel = channel.as_str(), "JOIN");
}

/// A client is not.
pub(crate) fn join_refused(
    worker: &Worker,
    connection: &Connection,
    channel: &Name,
    refusal: &dyn std::error::Error,
) {
    debug!(
        connection = %connection.id(worker),
        channel = channel.as_str(),
        reason = %refusal,
        "JOIN refused"
    );
}

/// A client is no member of a channel any more.
pub(crate) fn left(worker: &Worker, connection: &Connection, channel: &Name) {
    debug!(connection = %connection.id(worker), channel = channel.as_str(), "LEAVE");
}

/// A connection ends. To be called while it still has its ids.
pub(crate) fn closed(worker: &Worker, connection: &Connection, close: Close) {
    if !enabled!(Level::DEBUG) {
        return;
    }
    debug!(
        connection = %connection.id(worker),
        public_id = connection.public_id(),
        reason = close.reason(),
        seconds = worker.uptime().saturating_sub(connection.opened()).as_secs(),
        sent_bytes = connection.sent_bytes(),
        "connection closed"
    );
}

/// A push was not accepted.
pub(crate) fn push_refused(address: IpAddr, rule: &str, field: Option<&str>) {
    let field = field.map(cut);
    debug!(%address, rule, field, "push refused");
}

/// The beginning of the name of a field, in whole characters.
fn cut(field: &str) -> &str {
    let whole = (0..=field.len().min(FIELD_BYTES_MAX)).rev().find(|end| field.is_char_boundary(*end));
    &field[..whole.unwrap_or(0)]
}

/// Pushes of one request that will be logged: what is known of them before they are dispatched.
#[derive(Debug)]
pub(crate) struct Pushes {
    source: &'static str,
    address: Option<IpAddr>,
    pushes: Vec<Push>,
}

#[derive(Debug)]
struct Push {
    event: Name,
    users: usize,
    channels: usize,
    broadcast: bool,
    /// The first of both, as a list.
    targets: String,
    bytes: usize,
}

impl Push {
    fn of(dispatch: &Dispatch) -> Self {
        let Targets { users, channels, broadcast } = &dispatch.targets;
        let first = users.iter().take(NAMES_MAX).chain(channels.iter().take(NAMES_MAX));
        Self {
            event: dispatch.event.clone(),
            users: users.len(),
            channels: channels.len(),
            broadcast: *broadcast,
            targets: first.map(|name| format!("{:?}", name.as_str())).collect::<Vec<_>>().join(","),
            bytes: dispatch.payload.get().len(),
        }
    }
}

impl Pushes {
    /// `None` where nobody will read it.
    pub(crate) fn of(source: &'static str, address: Option<IpAddr>, dispatches: &[Dispatch]) -> Option<Self> {
        let pushes = || dispatches.iter().map(Push::of).collect();
        enabled!(Level::DEBUG).then(|| Self { source, address, pushes: pushes() })
    }

    /// Tells of the push at this index how many connections of this node it reached, if that was counted.
    pub(crate) fn tell(&self, index: usize, reached: Option<usize>) {
        let Some(Push { event, users, channels, broadcast, targets, bytes }) = self.pushes.get(index) else {
            return;
        };
        debug!(
            source = self.source,
            address = self.address.map(tracing::field::display),
            event = event.as_str(),
            users,
            channels,
            broadcast,
            %targets,
            bytes,
            reached,
            "push"
        );
    }

    /// Tells of all of them that they were not counted.
    pub(crate) fn tell_uncounted(&self) {
        (0..self.pushes.len()).for_each(|index| self.tell(index, None));
    }
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
    fn the_name_of_a_field_is_cut_to_128_bytes_and_whole_characters() {
        let field = format!("{}\u{e4}", "a".repeat(127));
        assert_eq!((cut(&field).len(), cut(&field[1..]).len(), cut("/event")), (127, 128, "/event"));
    }

    #[test]
    fn a_user_agent_costs_nothing_where_nobody_reads_it() {
        let headers = HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static("curl"))]);
        let quiet = fmt().with_max_level(Level::WARN).with_writer(std::io::sink).finish();
        assert!(with_default(quiet, || Agent::of(&headers)).0.is_none());
    }
}
