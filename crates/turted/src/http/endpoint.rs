//! Endpoints: what answers requests above HTTP, found by path.

use std::fmt::Debug;
use std::future::ready;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use futures_core::future::LocalBoxFuture;
use hyper::Request;
use hyper::header::HeaderMap;
use turted_core::session_key::SessionKey;
use turted_core::wire::post::Post;

use super::answer::{Answer, nothing_here};
use super::call::{Call, Outcome, check_target};
use super::incoming::RequestBody;
use super::passing::pass;
use crate::hub::cluster::claims::Opening;
use crate::hub::cluster::peers::Peers;
use crate::hub::worker::worker::Worker;
use crate::io::permits::Permit;

/// An answer that is being made.
pub(crate) type Answering<T = Outcome> = LocalBoxFuture<'static, T>;

/// What answers requests to some paths: a transport, or a push connector.
pub(crate) trait Endpoint: Debug + Send + Sync {
    /// Whether it answers requests to this path.
    fn serves(&self, path: &str) -> bool;

    /// Answers a request.
    fn answer(self: Arc<Self>, call: Call) -> Answering;

    /// Where the session of a request is, in a cluster, if the request is for one.
    fn home(&self, _request: &Request<RequestBody>) -> Option<Home> {
        None
    }

    /// Whether its requests are answered even when all connections are taken: clients must not keep an operator
    /// out of a full server.
    fn is_for_operators(&self) -> bool {
        false
    }

    /// The answer to a request when no connection is left; `None` for the common one, a 503.
    fn no_place(&self, _worker: &Worker, _headers: &HeaderMap) -> Option<Answer> {
        None
    }

    /// How it answers an ordinary `POST` to a path that it serves without the rest of HTTP, if it can.
    fn short_way(&self) -> Option<&dyn ShortWay> {
        None
    }
}

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// At the node that made its id.
    Node(u16),
    /// At the node that has claimed its name.
    Claimed(SessionKey, Opening),
}

/// Answers what is an ordinary `POST` and came completely.
pub(crate) trait ShortWay {
    /// Answers as [`Endpoint::answer`] would. `client` is the other side, which names no client behind it.
    fn answer(&self, worker: &Rc<Worker>, client: IpAddr, post: &Post<'_>) -> ShortAnswer;
}

/// The answer to a request on the short way.
pub(crate) enum ShortAnswer {
    Ready(Answer),
    Waits(Answering<Answer>),
}

/// The endpoints of a server. The first one that serves a path answers.
#[derive(Debug)]
pub(crate) struct Endpoints {
    endpoints: Vec<Arc<dyn Endpoint>>,
    asked_by: AskedBy,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AskedBy {
    /// Clients: what is for a session of another node is passed on.
    Clients,
    /// Other nodes, who have passed it on already: a request makes one hop, so it cannot go in a circle.
    Nodes,
}

impl Endpoints {
    pub(crate) fn new(endpoints: Vec<Arc<dyn Endpoint>>) -> Self {
        Self { endpoints, asked_by: AskedBy::Clients }
    }

    /// The same, as other nodes are answered.
    pub(crate) fn for_nodes(&self) -> Self {
        Self { endpoints: self.endpoints.clone(), asked_by: AskedBy::Nodes }
    }

    /// The same, and another endpoint that is asked last.
    #[cfg(test)]
    pub(crate) fn with(mut self, endpoint: Arc<dyn Endpoint>) -> Self {
        self.endpoints.push(endpoint);
        self
    }

    /// The endpoint that answers requests to this path.
    pub(crate) fn find(&self, path: &str) -> Option<&Arc<dyn Endpoint>> {
        self.endpoints.iter().find(|endpoint| endpoint.serves(path))
    }

    /// How requests to this path are answered on the short way, if they can be.
    pub(crate) fn short_way(&self, path: &str) -> Option<&dyn ShortWay> {
        self.find(path)?.short_way()
    }

    /// Whether any requests can be answered on the short way.
    pub(crate) fn have_short_way(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.short_way().is_some())
    }

    /// Answers a request.
    pub(crate) fn answer(&self, call: Call) -> Answering {
        if let Some(refusal) = check_target(&call.worker.config.limits, call.request.uri()) {
            return Box::pin(ready(refusal.into()));
        }
        let Some(endpoint) = self.find(call.request.uri().path()).map(Arc::clone) else {
            return Box::pin(ready(nothing_here().into()));
        };
        match self.elsewhere(&*endpoint, &call) {
            None => endpoint.answer(call),
            Some((peers, home)) => Box::pin(pass::answer(endpoint, call, (peers, home, self.asked_by))),
        }
    }

    /// Where the session of a request is, if that may be another node.
    fn elsewhere(&self, endpoint: &dyn Endpoint, call: &Call) -> Option<(Arc<Peers>, Home)> {
        let peers = call.worker.shared.nodes.as_ref()?;
        if !pass::may_be_of_session(call.request.method()) {
            return None;
        }
        let home = endpoint.home(&call.request)?;
        let is_here = match home {
            Home::Node(node) => self.asked_by == AskedBy::Nodes || peers.own() == Some(node),
            // What is opened here is claimed here, whoever asks.
            Home::Claimed(_, opening) => self.asked_by == AskedBy::Nodes && opening == Opening::OpensNothing,
        };
        (!is_here).then(|| (Arc::clone(peers), home))
    }
}

/// A connection that is ready for its first request.
pub(crate) struct Arrival<C> {
    /// What its bytes go through.
    pub(crate) channel: C,
    /// The other side: a client, or the last proxy before us.
    pub(crate) peer: IpAddr,
    pub(crate) permit: Permit,
    /// What answers its requests.
    pub(crate) endpoints: Arc<Endpoints>,
}
