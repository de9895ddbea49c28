//! `GET /api/v1/events`: the live view, as an event stream that does not end. `docs/live-view.md` is the contract.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use turted_core::limits::WATCH_FILTER_BYTES_MAX;

use super::guard::Shown;
use super::nodes::watch;
use super::places::AdminPlace;
use super::query;
use super::refusal::ApiRefusal;
use crate::http::Body;
use crate::hub::cluster::Cluster;
use crate::live::{Filter, Kind, Live, Record, TooMany, Watching};

pub(super) const PATH: &str = "/api/v1/events";
/// Bytes that go out at once. Records that come one by one do so too.
const PORTION_BYTES: usize = 16 * 1024;
/// Silence after which a comment is sent: a watcher that is gone is noticed, and no proxy takes the stream for a dead one.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The parameter that asks for the records of other nodes as well.
const NODES: &str = "nodes";
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The body of an answer of the admin listener.
pub(super) enum AdminBody {
    Known(Body),
    Records(Records),
}

/// What a watcher needs.
pub(super) struct Watch<'a> {
    pub(super) live: &'a Live,
    /// The place of this node among others, if it is one of a cluster.
    pub(super) cluster: Option<&'a Cluster>,
    pub(super) node: &'a str,
    pub(super) shown: &'a Shown,
    pub(super) place: &'a Arc<AdminPlace>,
    /// What the end waits for.
    pub(super) tasks: &'a TaskTracker,
    /// Ends all streams.
    pub(super) ending: &'a CancellationToken,
}

impl Watch<'_> {
    /// Begins to tell what the request asks for. The request [may read](super::guard::Guard::check).
    pub(super) fn begin<B>(&self, request: &Request<B>) -> Result<Response<AdminBody>, ApiRefusal> {
        let (filter, others) = self.filter(request.uri().query())?;
        if !self.shown.is_token() && filter.shows_payload() {
            return Err(ApiRefusal::PayloadNeedsToken);
        }
        let mut answer = Response::new(AdminBody::Known(Body::default()));
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
        if request.method() == Method::GET {
            let (node, cluster_node) =
                (Some(self.node), others.as_ref().map(|others| others.cluster.number()));
            let greeting = Record { node, cluster_node, ..Record::new(Kind::Watching) };
            let watching = self.live.watch(filter, Some(&greeting));
            let watching = watching.map_err(|TooMany| ApiRefusal::TooManyWatchers)?;
            let others = others
                .map(|others| watch::begin(self.tasks, (others.cluster, others.filter), watching.feeder()));
            let watched = Watched {
                _others: others,
                watching,
                ending: self.ending.clone(),
                shown: self.shown.clone(),
                place: Arc::clone(self.place),
            };
            *answer.body_mut() = AdminBody::Records(Records { watched: Arc::new(watched), next: None });
        }
        Ok(answer)
    }

    /// Which records a query asks for; and what the other nodes are asked, if it asks for theirs.
    fn filter(&self, query: Option<&str>) -> Result<(Filter, Option<AskedOthers<'_>>), ApiRefusal> {
        let mut parameters = query::parameters(query).map_err(|_| ApiRefusal::BadFilter)?;
        let nodes = parameters.remove(NODES);
        let parameters = parameters.iter().map(|(key, value)| (*key, &**value));
        let filter = Filter::read(parameters).map_err(|_| ApiRefusal::BadFilter)?;
        match nodes.as_deref() {
            None => return Ok((filter, None)),
            Some("all") if filter.is_narrow() => {}
            Some("all") => return Err(ApiRefusal::NodesNeedFilter),
            Some(_) => return Err(ApiRefusal::BadFilter),
        }
        let Some(cluster) = self.cluster else { return Ok((filter, None)) };
        let is_of_filter = |part: &&str| part.split_once('=').is_some_and(|(key, _)| key != NODES);
        let parts: Vec<_> = query.unwrap_or("").split('&').filter(is_of_filter).collect();
        let asked = AskedOthers { cluster, filter: parts.join("&") };
        if asked.filter.len() > WATCH_FILTER_BYTES_MAX {
            return Err(ApiRefusal::BadFilter);
        }
        Ok((filter.naming(self.node), Some(asked)))
    }
}

/// What other nodes are asked.
struct AskedOthers<'a> {
    cluster: &'a Cluster,
    filter: String,
}

/// Records as they come.
pub(super) struct Records {
    watched: Arc<Watched>,
    next: Option<Pin<Box<dyn Future<Output = Option<Bytes>> + Send>>>,
}

struct Watched {
    /// Ends what other nodes tell.
    _others: Option<DropGuard>,
    watching: Watching,
    ending: CancellationToken,
    /// What the watcher has shown.
    shown: Shown,
    /// The connection has its place as if it waited for an answer: it is not one that makes no progress.
    place: Arc<AdminPlace>,
}

impl Watched {
    /// What goes out next; `None` at the end of the server, or if the token of the watcher does not count any more.
    async fn next(self: Arc<Self>) -> Option<Bytes> {
        let taking = timeout(HEARTBEAT, self.watching.take(PORTION_BYTES));
        let taken = self.ending.run_until_cancelled(taking).await?;
        if !self.shown.counts() {
            return None;
        }
        let Ok(records) = taken else { return Some(Bytes::from_static(b":\n\n")) };
        let mut lines = String::with_capacity(records.iter().map(|record| record.len() + 8).sum());
        for record in records {
            lines.push_str("data: ");
            lines.push_str(&record);
            lines.push_str("\n\n");
        }
        Some(lines.into())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.place.answered();
    }
}

impl HttpBody for AdminBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Known(body) => Pin::new(body).poll_frame(context),
            Self::Records(Records { watched, next }) => {
                let due = next.get_or_insert_with(|| Box::pin(Arc::clone(watched).next()));
                let bytes = ready!(due.as_mut().poll(context));
                *next = None;
                Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Known(body) => body.is_end_stream(),
            Self::Records(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Known(body) => body.size_hint(),
            Self::Records(_) => SizeHint::default(),
        }
    }
}
