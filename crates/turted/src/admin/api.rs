//! What is asked of `/api/v1/..`: JSON, every answer bounded.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::time::SystemTime;

use serde::Serialize;
use turted_core::cursor::Cursor;
use turted_core::name::Name;

use super::history::{self, HistoryPage, Payloads};
use super::json::json;
use super::monitor::Monitor;
use super::nodes::merge::Merge;
use super::query::{decode, parameters, target};
use super::refusal::ApiRefusal;
use super::{groups, sources, trace};
use crate::http::Answer;
use crate::hub::delivery::metrics::Route;
use crate::hub::worker::queries::{
    ConnectionState, ConnectionWanted, GroupKind, LIST_MAX, ListPage, Selection,
};

/// Entries of a list whose request names no `limit`.
pub(super) const LIMIT_DEFAULT: usize = 100;

/// Behind the name of a channel.
const HISTORY: &str = "/history";

/// What is asked.
#[derive(Debug)]
pub(super) enum Question {
    Counts,
    Sources,
    List(Selection),
    Group(GroupKind, Name),
    History(Name, HistoryPage),
    Connections(ListPage),
    Connection(ConnectionWanted),
    Trace(Cursor),
}

/// Which nodes of a cluster a question is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The one that is asked: all know the same.
    Here,
    /// The one with this number.
    At(u16),
    /// All, whose answers become one.
    Everywhere(Merge),
}

impl Question {
    /// Which nodes of a cluster it is for.
    pub(super) fn place(&self) -> Place {
        let merge = match self {
            Self::History(..) => return Place::Here,
            Self::Connection(ConnectionWanted::ById(id)) => {
                return id.node().map_or(Place::Here, Place::At);
            }
            Self::Connection(ConnectionWanted::ByPublicId(_)) => Merge::First,
            Self::Counts => Merge::Counts,
            Self::Sources => Merge::Sources,
            Self::List(Selection { kind: GroupKind::Users, limit, .. }) => Merge::Names("users", *limit),
            Self::List(Selection { kind: GroupKind::Channels, limit, .. }) => {
                Merge::Names("channels", *limit)
            }
            Self::Group(..) => Merge::Group,
            Self::Connections(page) => Merge::Connections(page.limit),
            Self::Trace(_) => Merge::Trace,
        };
        Place::Everywhere(merge)
    }
}

/// Answers a request for `path` with what this node knows.
pub(super) async fn answer(
    monitor: &Monitor,
    (path, query): (&str, Option<&str>),
    payloads: Payloads,
) -> Result<Answer, ApiRefusal> {
    find(monitor, read(path, query)?, payloads).await
}

/// Reads what a request asks.
pub(super) fn read(path: &str, query: Option<&str>) -> Result<Question, ApiRefusal> {
    let (path, query) = target(path, query)?;
    let (path, query) = (&*path, query.as_deref());
    let (collection, item) = match path.split_once('/') {
        Some((collection, item)) => (collection, Some(item)),
        None => (path, None),
    };
    let question = match (collection, item) {
        ("users", None) => return read_list(GroupKind::Users, query).map(Question::List),
        ("channels", None) => return read_list(GroupKind::Channels, query).map(Question::List),
        ("connections", None) => return read_page(query).map(Question::Connections),
        ("channels", Some(item)) if item.ends_with(HISTORY) => {
            let name = read_name(&item[..item.len() - HISTORY.len()])?;
            return Ok(Question::History(name, read_history(query)?));
        }
        ("counts", None) => Question::Counts,
        ("sources", None) => Question::Sources,
        ("users", Some(name)) => Question::Group(GroupKind::Users, read_name(name)?),
        ("channels", Some(name)) => Question::Group(GroupKind::Channels, read_name(name)?),
        ("trace", Some(position)) => Question::Trace(read_position(position)?),
        ("connections", Some(id)) => Question::Connection(read_connection(id)?),
        _ => return Err(ApiRefusal::NoSuchPath),
    };
    if query.is_some_and(|query| !query.is_empty()) { Err(ApiRefusal::BadQuery) } else { Ok(question) }
}

pub(super) fn read_name(segment: &str) -> Result<Name, ApiRefusal> {
    if segment.contains('/') {
        // A slash inside a name is %2F.
        return Err(ApiRefusal::NoSuchPath);
    }
    let text = decode(segment).ok_or(ApiRefusal::BadPath)?;
    Name::new(&text).map_err(|_| ApiRefusal::BadName)
}

pub(super) fn read_position(segment: &str) -> Result<Cursor, ApiRefusal> {
    let text = decode(segment).ok_or(ApiRefusal::BadPath)?;
    text.parse().map_err(|_| ApiRefusal::BadPosition)
}

pub(super) fn read_connection(segment: &str) -> Result<ConnectionWanted, ApiRefusal> {
    let text = decode(segment).ok_or(ApiRefusal::BadPath)?;
    Ok(ConnectionWanted::of(text))
}

fn read_list(kind: GroupKind, query: Option<&str>) -> Result<Selection, ApiRefusal> {
    let mut parameters = parameters(query)?;
    let (prefix, after) = (parameters.remove("prefix"), parameters.remove("after"));
    let after = after.map(|name| Name::new(&name)).transpose().map_err(|_| ApiRefusal::BadQuery)?;
    Ok(Selection { kind, prefix: prefix.unwrap_or_default(), after, limit: read_limit(parameters)? })
}

fn read_page(query: Option<&str>) -> Result<ListPage, ApiRefusal> {
    let mut parameters = parameters(query)?;
    let after = parameters.remove("after").map(|id| id.parse());
    let after = after.transpose().map_err(|()| ApiRefusal::BadQuery)?;
    Ok(ListPage { after, limit: read_limit(parameters)? })
}

/// How many entries are asked for; there may be no other parameter than those that were taken out.
fn read_limit(mut parameters: BTreeMap<&str, String>) -> Result<usize, ApiRefusal> {
    let limit = parameters.remove("limit").map_or(Ok(LIMIT_DEFAULT), |limit| limit.parse());
    let limit = limit.ok().filter(|limit| parameters.is_empty() && (1..=LIST_MAX).contains(limit));
    limit.ok_or(ApiRefusal::BadQuery)
}

fn read_history(query: Option<&str>) -> Result<HistoryPage, ApiRefusal> {
    let mut parameters = parameters(query)?;
    let before = parameters.remove("before").map(|text| text.parse());
    let before = before.transpose().map_err(|_| ApiRefusal::BadQuery)?;
    Ok(HistoryPage { before, limit: read_limit(parameters)? })
}

async fn find(monitor: &Monitor, question: Question, payloads: Payloads) -> Result<Answer, ApiRefusal> {
    match question {
        Question::Counts => {
            let key = getrandom::u64().unwrap_or_default();
            counts(monitor, key).await.map(|(counts, _)| json(&counts))
        }
        Question::Trace(position) => trace::answer(monitor, position).await,
        Question::History(name, page) => history::answer(monitor, (&name, page), payloads),
        Question::Sources => Ok(sources::answer(&monitor.sources)),
        Question::List(selection) => list(monitor, selection).await,
        Question::Group(kind, name) => groups::group(monitor, kind, &name).await,
        Question::Connections(page) => connections(monitor, page).await,
        Question::Connection(wanted) => {
            let state = monitor.connection(&wanted).await?.ok_or(ApiRefusal::NoSuchConnection)?;
            Ok(json(&Connection::from(&state)))
        }
    }
}

/// `GET /api/v1/counts`
#[derive(Serialize)]
pub(super) struct Counts {
    /// By transport.
    connections: BTreeMap<&'static str, u64>,
    users: usize,
    channels: usize,
    workers: usize,
    draining: bool,
    uptime_seconds: u64,
}

/// The counts of this node, and the hashes of its users and of its channels with this key.
pub(super) async fn counts(monitor: &Monitor, key: u64) -> Result<(Counts, [HashSet<u64>; 2]), ApiRefusal> {
    let users = monitor.count(GroupKind::Users, key).await;
    let channels = monitor.count(GroupKind::Channels, key).await;
    if !users.answered.iter().chain(&channels.answered).all(|answered| *answered) {
        return Err(ApiRefusal::Unanswered);
    }
    let metrics = &monitor.shared.metrics;
    let mut connections = BTreeMap::new();
    for own in metrics {
        for (route, open) in Route::ALL.iter().zip(own.connections()) {
            *connections.entry(route.transport_label()).or_default() += open;
        }
    }
    let counts = Counts {
        connections,
        users: users.hashes.len(),
        channels: channels.hashes.len(),
        workers: metrics.len(),
        draining: monitor.is_draining(),
        uptime_seconds: monitor.started.elapsed().as_secs(),
    };
    Ok((counts, [users.hashes, channels.hashes]))
}

#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    connections: usize,
}

/// `GET /api/v1/users` and `GET /api/v1/channels`
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<Vec<Entry<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<Vec<Entry<'a>>>,
    /// Whether the list is longer than what was asked for.
    more: bool,
}

async fn list(monitor: &Monitor, selection: Selection) -> Result<Answer, ApiRefusal> {
    let one_more = Selection { limit: selection.limit + 1, ..selection };
    let names = monitor.list(&one_more).await?;
    let entries = names.iter().take(selection.limit);
    let entries = entries.map(|(name, &connections)| Entry { name: name.as_str(), connections }).collect();
    let more = names.len() > selection.limit;
    let (users, channels) = match selection.kind {
        GroupKind::Users => (Some(entries), None),
        GroupKind::Channels => (None, Some(entries)),
    };
    Ok(json(&Listed { users, channels, more }))
}

/// One of `GET /api/v1/connections`
#[derive(Serialize)]
struct ListedConnection<'a> {
    id: String,
    public_id: Option<&'a str>,
    address: IpAddr,
    transport: Option<&'static str>,
    version: Option<&'static str>,
    carrier: Option<&'static str>,
    users: Vec<&'a str>,
    /// Seconds since 1970.
    connected_since: u64,
}

/// `GET /api/v1/connections`
#[derive(Serialize)]
struct ListedConnections<'a> {
    connections: Vec<ListedConnection<'a>>,
    /// Whether there are others behind the last one.
    more: bool,
}

async fn connections(monitor: &Monitor, page: ListPage) -> Result<Answer, ApiRefusal> {
    let states = monitor.connections(ListPage { limit: page.limit + 1, ..page }).await?;
    let connections = states.iter().take(page.limit).map(ListedConnection::from).collect();
    Ok(json(&ListedConnections { connections, more: states.len() > page.limit }))
}

/// `GET /api/v1/connections/ID`
#[derive(Serialize)]
struct Connection<'a> {
    #[serde(flatten)]
    listed: ListedConnection<'a>,
    channels: Vec<&'a str>,
    sent: String,
    sent_bytes: u64,
    outbox_frames: usize,
    outbox_bytes: usize,
}

impl<'a> From<&'a ConnectionState> for ListedConnection<'a> {
    fn from(state: &'a ConnectionState) -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let labels = state.route.map(Route::labels);
        let label = |index: usize| labels.map(|labels| labels[index].1);
        Self {
            id: state.id.to_string(),
            public_id: state.public_id.as_deref(),
            address: state.address,
            transport: label(0),
            version: label(1),
            carrier: label(2),
            users: state.users.iter().map(Name::as_str).collect(),
            connected_since: since_epoch.saturating_sub(state.age).as_secs(),
        }
    }
}

impl<'a> From<&'a ConnectionState> for Connection<'a> {
    fn from(state: &'a ConnectionState) -> Self {
        Self {
            listed: state.into(),
            channels: state.channels.iter().map(Name::as_str).collect(),
            sent: state.sent.to_string(),
            sent_bytes: state.sent_bytes,
            outbox_frames: state.waiting.frames,
            outbox_bytes: state.waiting.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &str, query: Option<&str>) -> Option<ApiRefusal> {
        read(path, query).err()
    }

    #[test]
    fn names_in_paths_are_decoded_strictly() {
        let name = |segment: &str| read_name(segment).map(|name| name.as_str().to_owned());
        for (segment, decoded) in
            [("alice", "alice"), ("a%2Fb", "a/b"), ("%C3%A4", "\u{e4}"), ("a+b", "a+b"), ("%25", "%")]
        {
            assert_eq!(name(segment).as_deref(), Ok(decoded), "{segment}");
        }
        for segment in ["%", "%4", "%zz", "a%C3", "%ff", "%+1"] {
            assert_eq!(name(segment), Err(ApiRefusal::BadPath), "{segment}");
        }
        for segment in ["", "%0A", "%00"] {
            assert_eq!(name(segment), Err(ApiRefusal::BadName), "{segment}");
        }
        assert_eq!(name(&"x".repeat(256)), Err(ApiRefusal::BadName));
        assert_eq!(name("a/b"), Err(ApiRefusal::NoSuchPath));
    }

    #[test]
    fn a_list_is_bounded_and_its_parameters_are_known() {
        let list = |query| read_list(GroupKind::Users, query).map(|list| (list.prefix, list.limit));
        assert_eq!(list(None), Ok((String::new(), 100)));
        assert_eq!(list(Some("prefix=a%26+b&limit=1000")), Ok(("a& b".to_owned(), 1000)));
        let after = |query| read_list(GroupKind::Users, query).map(|list| list.after);
        assert_eq!(after(Some("after=a%2Fb")), Ok(Some(Name::new("a/b").unwrap())));
        for query in
            ["limit=0", "limit=1001", "limit=x", "limit=1&limit=2", "x=1", "prefix", "prefix=%f", "after="]
        {
            assert_eq!(list(Some(query)), Err(ApiRefusal::BadQuery), "{query}");
        }
    }

    #[test]
    fn a_page_of_connections_begins_behind_one_of_them() {
        let page = |query| read_page(query).map(|page| (page.after.map(|id| id.to_string()), page.limit));
        assert_eq!(page(None), Ok((None, 100)));
        assert_eq!(page(Some("after=0-17-3&limit=1000")), Ok((Some("0-17-3".to_owned()), 1_000)));
        for query in ["limit=1001", "after=x", "after=", "after=0-1-1&after=0-1-1", "prefix=a"] {
            assert_eq!(page(Some(query)), Err(ApiRefusal::BadQuery), "{query}");
        }
    }

    #[test]
    fn the_history_of_a_channel_is_a_page_before_a_position() {
        let asked = |path: &str, query| match read(path, query) {
            Ok(Question::History(name, page)) => {
                Ok((name.as_str().to_owned(), page.before.map(|before| before.to_string()), page.limit))
            }
            other => Err(other.err()),
        };
        assert_eq!(asked("/api/v1/channels/a%2Fb/history", None), Ok(("a/b".to_owned(), None, 100)));
        let page = asked("/api/v1/channels/history/history", Some("before=ff-36&limit=7"));
        assert_eq!(page, Ok(("history".to_owned(), Some("ff-36".to_owned()), 7)));
        let (bad, none) = (Err(Some(ApiRefusal::BadQuery)), Err(Some(ApiRefusal::NoSuchPath)));
        for query in ["before=", "before=x", "after=ff-36", "limit=0", "before=1-1&before=1-1"] {
            assert_eq!(asked("/api/v1/channels/a/history", Some(query)), bad, "{query}");
        }
        assert_eq!(asked("/api/v1/channels/a/history/history", None), none);
        assert_eq!(asked("/api/v1/users/a/history", None), none);
    }

    #[test]
    fn paths_are_exact() {
        for path in ["/", "/api", "/api/v1/", "/api/v1/user", "/api/v2/users", "/api/v1/connection", "/users"]
        {
            assert_eq!(refusal(path, None), Some(ApiRefusal::NoSuchPath), "{path}");
        }
        assert_eq!(refusal("/api/v1/counts", Some("x=1")), Some(ApiRefusal::BadQuery));
        assert_eq!(refusal("/api/v1/counts", Some("")), None);
    }
}
