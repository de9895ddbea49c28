//! Endpoints: what answers requests above HTTP, found by path.

use std::fmt::Debug;
use std::future::ready;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use futures_core::future::LocalBoxFuture;
use hyper::header::HeaderMap;
use turted_core::wire::post::Post;

use super::answer::{Answer, nothing_here};
use super::call::{Call, Outcome, check_target};
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
pub(crate) struct Endpoints(Vec<Arc<dyn Endpoint>>);

impl Endpoints {
    pub(crate) fn new(endpoints: Vec<Arc<dyn Endpoint>>) -> Self {
        Self(endpoints)
    }

    /// The same, and another endpoint that is asked last.
    #[cfg(test)]
    pub(crate) fn with(mut self, endpoint: Arc<dyn Endpoint>) -> Self {
        self.0.push(endpoint);
        self
    }

    /// The endpoint that answers requests to this path.
    pub(crate) fn find(&self, path: &str) -> Option<&Arc<dyn Endpoint>> {
        self.0.iter().find(|endpoint| endpoint.serves(path))
    }

    /// How requests to this path are answered on the short way, if they can be.
    pub(crate) fn short_way(&self, path: &str) -> Option<&dyn ShortWay> {
        self.find(path)?.short_way()
    }

    /// Whether any requests can be answered on the short way.
    pub(crate) fn have_short_way(&self) -> bool {
        self.0.iter().any(|endpoint| endpoint.short_way().is_some())
    }

    /// Answers a request.
    pub(crate) fn answer(&self, call: Call) -> Answering {
        if let Some(refusal) = check_target(&call.worker.config.limits, call.request.uri()) {
            return Box::pin(ready(refusal.into()));
        }
        match self.find(call.request.uri().path()) {
            Some(endpoint) => Arc::clone(endpoint).answer(call),
            None => Box::pin(ready(nothing_here().into())),
        }
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
