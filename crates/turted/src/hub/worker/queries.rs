//! What the operator asks of a worker, and what the worker answers.
//!
//! Looking at many names or connections is done in slices: clients do not wait for operators.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, DefaultHasher, Hasher};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::yield_now;
use turted_core::connection_id::ConnectionId;
use turted_core::cursor::Cursor;
use turted_core::membership::Groups;
use turted_core::name::Name;
use turted_core::registry::Registry;

use crate::hub::delivery::metrics::Route;
use crate::hub::delivery::outlet::Waiting;
use crate::hub::dispatch::log::Accepted;
use crate::hub::worker::connection::Connection;
use crate::hub::worker::trace::{self, TracedConnections};
use crate::hub::worker::worker::Worker;

/// Names or connections looked at in one slice. The dearest, hashing an id, takes about 300 ns,
/// so a slice stays below 100 us.
const SLICE: usize = 256;

/// A question to a worker, and where the answer goes.
#[derive(Debug)]
pub(crate) enum Query {
    /// Are you there?
    Ping(oneshot::Sender<()>),
    /// The hash of each name, so that a name that several workers know is counted once.
    Hashes(GroupKind, NameHasher, oneshot::Sender<Vec<u64>>),
    /// The first names of a selection, each with its number of connections.
    List(Selection, oneshot::Sender<BTreeMap<Name, usize>>),
    /// The connections of one user or channel.
    Group(GroupKind, Name, oneshot::Sender<GroupState>),
    /// How many connections each of these users has.
    Sizes(Arc<[Name]>, oneshot::Sender<Vec<usize>>),
    /// The first connections of a page.
    Connections(ListPage, oneshot::Sender<Vec<ConnectionState>>),
    /// The connections that a dispatch concerns.
    Trace(Arc<Accepted>, oneshot::Sender<TracedConnections>),
    /// One connection.
    Connection(ConnectionWanted, oneshot::Sender<Option<ConnectionState>>),
}

/// Hashes names with a key: all who have the key get the same hashes, and nobody else can foresee them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NameHasher(pub(crate) u64);

impl BuildHasher for NameHasher {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}

/// Users or channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupKind {
    Users,
    Channels,
}

impl GroupKind {
    fn of<T>(self, registry: &Registry<T>) -> &Groups {
        match self {
            Self::Users => registry.users(),
            Self::Channels => registry.channels(),
        }
    }
}

/// Which names are listed.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) kind: GroupKind,
    pub(crate) prefix: String,
    /// The last one of the page before.
    pub(crate) after: Option<Name>,
    /// How many, in the order of their bytes.
    pub(crate) limit: usize,
}

/// Connection ids listed for one user or channel, as many as a list has at most.
pub(crate) const LIST_MAX: usize = 1_000;

/// One user or channel on one worker.
#[derive(Debug, Default)]
pub(crate) struct GroupState {
    pub(crate) connections: usize,
    /// The first [`LIST_MAX`] of them.
    pub(crate) ids: Vec<ConnectionId>,
}

/// Which connection is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionWanted {
    ById(ConnectionId),
    /// By the id its client knows it by (`socket.id`).
    ByPublicId(String),
}

impl ConnectionWanted {
    /// The connection with this id, of either kind.
    pub(crate) fn of(id: String) -> Self {
        id.parse().map_or(Self::ByPublicId(id), Self::ById)
    }

    /// Its id, if it is wanted by that.
    pub(crate) fn id(&self) -> Option<ConnectionId> {
        match self {
            Self::ById(id) => Some(*id),
            Self::ByPublicId(_) => None,
        }
    }

    /// The id its client knows it by, if it is wanted by that.
    pub(crate) fn public_id(&self) -> Option<&str> {
        match self {
            Self::ById(_) => None,
            Self::ByPublicId(id) => Some(id),
        }
    }
}

/// Which connections are listed, in the order of their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListPage {
    /// The last one of the page before.
    pub(crate) after: Option<ConnectionId>,
    /// How many.
    pub(crate) limit: usize,
}

/// What is known of one connection.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    pub(crate) id: ConnectionId,
    pub(crate) public_id: Option<String>,
    /// Where its client connects from.
    pub(crate) address: IpAddr,
    /// `None` once it is closed.
    pub(crate) route: Option<Route>,
    pub(crate) users: Vec<Name>,
    pub(crate) channels: Vec<Name>,
    pub(crate) sent: Cursor,
    pub(crate) sent_bytes: u64,
    pub(crate) waiting: Waiting,
    pub(crate) age: Duration,
}

/// Answers at once, or by a task in slices. The operator may have stopped waiting.
pub(crate) fn answer(worker: &Rc<Worker>, query: Query) {
    match query {
        Query::Ping(answer) => drop(answer.send(())),
        Query::Group(kind, name, answer) => drop(answer.send(group(worker, kind, &name))),
        Query::Sizes(users, answer) => drop(answer.send(sizes(worker, &users))),
        Query::Hashes(kind, hasher, answer) => {
            let worker = Rc::clone(worker);
            worker.clone().spawn(async move { drop(answer.send(hashes(&worker, kind, hasher).await)) });
        }
        Query::List(selection, answer) => {
            let worker = Rc::clone(worker);
            worker.clone().spawn(async move { drop(answer.send(list(&worker, &selection).await)) });
        }
        Query::Connections(page, answer) => {
            let worker = Rc::clone(worker);
            worker.clone().spawn(async move { drop(answer.send(connections(&worker, page).await)) });
        }
        Query::Trace(accepted, answer) => {
            let worker = Rc::clone(worker);
            worker.clone().spawn(async move {
                drop(answer.send(trace::connections(&worker, &accepted).await));
            });
        }
        Query::Connection(wanted, answer) => {
            let worker = Rc::clone(worker);
            worker.clone().spawn(async move {
                let found = find(&worker, &wanted).await;
                drop(answer.send(found.map(|connection| describe(&worker, &connection))));
            });
        }
    }
}

/// How many connections each of these users has: 1,000 of them take 50 us.
pub(crate) fn sizes(worker: &Worker, users: &[Name]) -> Vec<usize> {
    let registry = worker.registry.borrow();
    users.iter().map(|user| registry.users().size(user)).collect()
}

async fn hashes(worker: &Worker, kind: GroupKind, hasher: NameHasher) -> Vec<u64> {
    let mut hashes = Vec::with_capacity(kind.of(&worker.registry.borrow()).len());
    walk(worker, kind, |name, _| hashes.push(hasher.hash_one(name.as_str()))).await;
    hashes
}

async fn list(worker: &Worker, selection: &Selection) -> BTreeMap<Name, usize> {
    let mut first = BTreeMap::new();
    walk(worker, selection.kind, |name, connections| {
        if name.as_str().starts_with(&selection.prefix) && selection.after.as_ref() < Some(name) {
            first.insert(name.clone(), connections);
            if first.len() > selection.limit {
                first.pop_last();
            }
        }
    })
    .await;
    first
}

/// Visits every name with its number of connections. Names that come or go meanwhile may be
/// visited or not.
async fn walk(worker: &Worker, kind: GroupKind, mut visit: impl FnMut(&Name, usize)) {
    let mut from = 0;
    while from < kind.of(&worker.registry.borrow()).places() {
        let groups = from..from + SLICE;
        kind.of(&worker.registry.borrow()).at(groups).for_each(|(name, size)| visit(name, size));
        from += SLICE;
        yield_now().await;
    }
}

fn group(worker: &Worker, kind: GroupKind, name: &Name) -> GroupState {
    let registry = worker.registry.borrow();
    let groups = kind.of(&registry);
    let members = groups.slots(name).filter_map(|slot| registry.at(slot));
    let ids = members.take(LIST_MAX).map(|connection| connection.id(worker)).collect();
    GroupState { connections: groups.size(name), ids }
}

/// Visits the places behind that of the last connection of the page before. Connections that come meanwhile may
/// be listed or not.
async fn connections(worker: &Worker, ListPage { after, limit }: ListPage) -> Vec<ConnectionState> {
    let mut from = match after {
        Some(after) if after.worker() > worker.index => return Vec::new(),
        Some(after) if after.worker() == worker.index => after.slot() as usize,
        _ => 0,
    };
    let mut listed = Vec::new();
    while from < worker.registry.borrow().slot_count() && listed.len() < limit {
        let slots = (from..from + SLICE).filter_map(|slot| u32::try_from(slot).ok());
        let slice: Vec<_> = {
            let registry = worker.registry.borrow();
            slots.filter_map(|slot| registry.at(slot).cloned()).collect()
        };
        let behind = |connection: &Rc<Connection>| after < Some(connection.id(worker));
        let slice = slice.iter().filter(|connection| behind(connection)).take(limit - listed.len());
        listed.extend(slice.map(|connection| describe(worker, connection)));
        from += SLICE;
        yield_now().await;
    }
    listed
}

/// One connection of this worker.
pub(crate) async fn find(worker: &Worker, wanted: &ConnectionWanted) -> Option<Rc<Connection>> {
    match wanted {
        ConnectionWanted::ById(id) => {
            let found = worker.registry.borrow().at(id.slot()).cloned()?;
            (found.id(worker) == *id).then_some(found)
        }
        ConnectionWanted::ByPublicId(public_id) => find_public(worker, public_id).await,
    }
}

/// Looks at every connection: the id is a digest that does not tell where the connection is.
async fn find_public(worker: &Worker, public_id: &str) -> Option<Rc<Connection>> {
    let mut from = 0;
    while from < worker.registry.borrow().slot_count() {
        let found = {
            let registry = worker.registry.borrow();
            let mut slice = (from..from + SLICE).filter_map(|slot| registry.at(u32::try_from(slot).ok()?));
            slice.find(|connection| connection.public_id().as_deref() == Some(public_id)).cloned()
        };
        if found.is_some() {
            return found;
        }
        from += SLICE;
        yield_now().await;
    }
    None
}

fn describe(worker: &Worker, connection: &Connection) -> ConnectionState {
    let names = |held: Vec<(Name, _)>| held.into_iter().map(|(name, _)| name).collect();
    let memberships = worker.registry.borrow().memberships(connection.key);
    let outlet = connection.outlet().borrow();
    ConnectionState {
        id: connection.id(worker),
        public_id: connection.public_id(),
        address: connection.peer,
        route: connection.route(),
        users: names(memberships.users),
        channels: names(memberships.channels),
        sent: worker.dispatcher.cursor(connection.sent()),
        sent_bytes: connection.sent_bytes(),
        waiting: outlet.waiting(),
        age: worker.uptime().saturating_sub(connection.opened()),
    }
}
