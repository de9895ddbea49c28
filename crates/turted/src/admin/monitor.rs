//! Asks the workers, and does not wait for one that does not answer.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use turted_core::connection_id::ConnectionId;
use turted_core::name::Name;

use crate::auth::unix_now;
use crate::hub::client::operator::{self, Deed, Whom};
use crate::hub::cluster::Cluster;
use crate::hub::dispatch::dispatcher::Dispatcher;
use crate::hub::dispatch::log::Accepted;
use crate::hub::dispatch::queue::BUSY_MAX;
use crate::hub::presence::online::OnlineAnswer;
use crate::hub::worker::queries::{
    self, ConnectionState, ConnectionWanted, GroupKind, GroupState, LIST_MAX, ListPage, NameHasher, Query,
    Selection,
};
use crate::hub::worker::shared::Shared;
use crate::hub::worker::trace::TracedConnections;
use crate::hub::worker::worker::{Mail, Peers, Worker};
use crate::push::intake::Status;
use crate::push::rest::PushGate;
use crate::push::rest::operator::{OperatorPush, Pushed};

/// How long a worker may take to answer. A slice takes half a millisecond, a walk over a million
/// names a few hundred. A worker that takes longer does not serve its clients either.
const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// How long a push may take to be answered: as long as it may wait for a disk, and until each worker has counted.
const PUSH_WAIT: Duration = BUSY_MAX.saturating_add(ANSWER_WAIT);

/// Sees all workers of a node. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Monitor {
    pub(super) shared: Arc<Shared>,
    pub(super) dispatcher: Dispatcher,
    pub(super) push: Arc<PushGate>,
    pub(super) sources: Arc<[Arc<Status>]>,
    peers: Peers,
    pub(super) started: Instant,
}

/// A worker did not answer in time, is gone, or is not there yet.
#[derive(Debug)]
pub(crate) struct Unanswered;

/// The names that there are on the node.
#[derive(Debug)]
pub(super) struct NamesCounted {
    /// The hash of each.
    pub(super) hashes: HashSet<u64>,
    /// Which workers answered; the names of the others are missing.
    pub(super) answered: Vec<bool>,
}

impl Monitor {
    pub(crate) fn new(
        shared: Arc<Shared>,
        peers: &Peers,
        dispatcher: Dispatcher,
        (push, sources): (&Arc<PushGate>, Arc<[Arc<Status>]>),
    ) -> Self {
        let (peers, push) = (Arc::clone(peers), Arc::clone(push));
        Self { shared, dispatcher, push, sources, peers, started: Instant::now() }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.shared.life.is_draining()
    }

    /// Whether every worker answers. At the end of the server workers need not answer: once all clients were told,
    /// they read no mail any more. The wait for that end has a limit of its own (`worker::CLOSING_WAIT`).
    pub(crate) async fn workers_answer(&self) -> bool {
        let ending = &self.shared.life.ending;
        let answered = self.ask_all(Query::Ping).await.iter().all(Option::is_some);
        // Looked at last, because the end may have begun while the workers were asked.
        answered || ending.is_cancelled()
    }

    /// Counts the names of the node, each once, however many workers know it.
    pub(super) async fn count(&self, kind: GroupKind, key: u64) -> NamesCounted {
        let hashes = self.ask_all(|answer| Query::Hashes(kind, NameHasher(key), answer)).await;
        let answered = hashes.iter().map(Option::is_some).collect();
        NamesCounted { hashes: hashes.into_iter().flatten().flatten().collect(), answered }
    }

    /// What this node knows of users for a backend that asks.
    pub(super) async fn online(&self, users: Vec<Name>) -> OnlineAnswer {
        let users: Arc<[Name]> = users.into();
        let mut connections = vec![0_usize; users.len()];
        let sizes = self.ask_all(|answer| Query::Sizes(Arc::clone(&users), answer)).await;
        let is_all = sizes.iter().all(Option::is_some);
        for sizes in sizes.into_iter().flatten() {
            connections.iter_mut().zip(sizes).for_each(|(sum, size)| *sum += size);
        }
        self.shared.presence.online(&users, (connections, is_all), unix_now())
    }

    /// The id of a connection of this node as operators see it.
    fn told(&self, id: ConnectionId) -> ConnectionId {
        self.shared.cluster.get().map_or(id, |cluster| id.of_node(cluster.number()))
    }

    /// The id of a connection of this node as its workers know it; `None` for one of another node.
    fn own(&self, id: ConnectionId) -> Option<ConnectionId> {
        let own = self.shared.cluster.get().map(Cluster::number);
        (id.node().is_none() || id.node() == own).then(|| id.without_node())
    }

    /// The same of a connection that is wanted by an id of either kind.
    fn own_wanted(&self, wanted: &ConnectionWanted) -> Option<ConnectionWanted> {
        match wanted {
            ConnectionWanted::ById(id) => self.own(*id).map(ConnectionWanted::ById),
            ConnectionWanted::ByPublicId(_) => Some(wanted.clone()),
        }
    }

    /// The first names of the node, which are among the first names of each worker.
    pub(super) async fn list(&self, selection: &Selection) -> Result<BTreeMap<Name, usize>, Unanswered> {
        let lists = self.ask_all(|answer| Query::List(selection.clone(), answer)).await;
        let mut names = BTreeMap::new();
        for list in lists {
            for (name, connections) in list.ok_or(Unanswered)? {
                *names.entry(name).or_default() += connections;
            }
        }
        while names.len() > selection.limit {
            names.pop_last();
        }
        Ok(names)
    }

    /// The connections of one user or channel.
    pub(super) async fn group(&self, kind: GroupKind, name: &Name) -> Result<GroupState, Unanswered> {
        let mut whole = GroupState::default();
        for group in self.ask_all(|answer| Query::Group(kind, name.clone(), answer)).await {
            let group = group.ok_or(Unanswered)?;
            whole.connections += group.connections;
            whole.ids.extend(group.ids);
        }
        whole.ids.iter_mut().for_each(|id| *id = self.told(*id));
        whole.ids.sort_unstable();
        whole.ids.truncate(LIST_MAX);
        Ok(whole)
    }

    /// The first connections of a page, which are among the first ones of each worker.
    pub(super) async fn connections(&self, page: ListPage) -> Result<Vec<ConnectionState>, Unanswered> {
        let own = self.shared.cluster.get().map(Cluster::number);
        let after = match page.after {
            // They are in the order of their nodes.
            Some(after) if after.node() > own => return Ok(Vec::new()),
            Some(after) if after.node() == own => Some(after.without_node()),
            _ => None,
        };
        let (page, mut all) = (ListPage { after, ..page }, Vec::new());
        for listed in self.ask_all(|answer| Query::Connections(page, answer)).await {
            all.extend(listed.ok_or(Unanswered)?);
        }
        all.iter_mut().for_each(|state: &mut ConnectionState| state.id = self.told(state.id));
        all.sort_unstable_by_key(|state| state.id);
        all.truncate(page.limit);
        Ok(all)
    }

    /// The connections that a dispatch concerns, by worker.
    pub(super) async fn trace(&self, accepted: &Arc<Accepted>) -> Vec<Option<TracedConnections>> {
        let mut traced = self.ask_all(|answer| Query::Trace(Arc::clone(accepted), answer)).await;
        for traced in traced.iter_mut().flatten().flat_map(|of_worker| &mut of_worker.first) {
            traced.id = self.told(traced.id);
        }
        traced
    }

    /// One connection, if it is there.
    pub(super) async fn connection(
        &self,
        wanted: &ConnectionWanted,
    ) -> Result<Option<ConnectionState>, Unanswered> {
        let Some(wanted) = self.own_wanted(wanted) else { return Ok(None) };
        let mut complete = true;
        for answer in self.ask_all(|answer| Query::Connection(wanted.clone(), answer)).await {
            match answer {
                Some(Some(state)) => return Ok(Some(ConnectionState { id: self.told(state.id), ..state })),
                Some(None) => {}
                None => complete = false,
            }
        }
        if complete { Ok(None) } else { Err(Unanswered) }
    }

    /// Does something to connections, and returns how many of the node it concerned.
    pub(super) async fn act(&self, whom: &Whom, deed: &Deed) -> Result<usize, Unanswered> {
        let whom = match whom {
            Whom::User(_) => whom.clone(),
            Whom::Connection(wanted) => match self.own_wanted(wanted) {
                Some(own) => Whom::Connection(own),
                None => return Ok(0),
            },
        };
        let act = |answer| {
            let what = (whom.clone(), deed.clone());
            move |worker: &Rc<Worker>| operator::perform(worker, what, answer)
        };
        let mut concerned = 0;
        for of_worker in self.send_all(act).await {
            concerned += of_worker.ok_or(Unanswered)?;
        }
        Ok(concerned)
    }

    /// Has a push of an operator answered by the first worker that takes it.
    pub(super) async fn push(&self, push: OperatorPush) -> Result<Pushed, Unanswered> {
        if !self.shared.life.has_begun() {
            return Err(Unanswered);
        }
        let ((sender, answer), gate) = (oneshot::channel(), Arc::clone(&self.push));
        let mut mail: Mail = Box::new(move |worker: &Rc<Worker>| {
            let own = Rc::clone(worker);
            worker.spawn(async move { drop(sender.send(push.answer(&own, &gate).await)) });
        });
        for peer in self.peers.iter() {
            match peer.try_send(mail) {
                Ok(()) => {
                    return timeout(PUSH_WAIT, answer).await.ok().and_then(Result::ok).ok_or(Unanswered);
                }
                Err(refused) => mail = refused.into_inner(),
            }
        }
        Err(Unanswered)
    }

    async fn ask_all<T: Send + 'static>(
        &self,
        query: impl Fn(oneshot::Sender<T>) -> Query,
    ) -> Vec<Option<T>> {
        let ask = |answer| {
            let query = query(answer);
            move |worker: &Rc<Worker>| queries::answer(worker, query)
        };
        self.send_all(ask).await
    }

    /// Asks all workers at once. Returns one answer per worker, in their order. A worker whose mail box is
    /// full counts as one that does not answer.
    async fn send_all<T, M>(&self, mail: impl Fn(oneshot::Sender<T>) -> M) -> Vec<Option<T>>
    where
        T: Send + 'static,
        M: FnOnce(&Rc<Worker>) + Send + 'static,
    {
        let ask = |peer: &mpsc::Sender<Mail>| {
            let (sender, answer) = oneshot::channel();
            peer.try_send(Box::new(mail(sender))).is_ok().then_some(answer)
        };
        if !self.shared.life.has_begun() {
            return self.peers.iter().map(|_| None).collect();
        }
        let asked: Vec<_> = self.peers.iter().map(ask).collect();
        let deadline = Instant::now() + ANSWER_WAIT;
        let mut answers = Vec::with_capacity(asked.len());
        for answer in asked {
            answers.push(match answer {
                Some(answer) => timeout_at(deadline, answer).await.ok().and_then(Result::ok),
                None => None,
            });
        }
        answers
    }
}
