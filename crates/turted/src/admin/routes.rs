//! What answers a request to the admin listener, by its path and by who may ask.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Body as HttpBody;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::events::{self, AdminBody, Watch};
use super::guard::{Guard, Scope, Shown};
use super::history::Payloads;
use super::monitor::Monitor;
use super::node::{self, Node};
use super::page::{self, PageFiles};
use super::places::AdminPlace;
use super::refusal::ApiRefusal;
use super::{actions, exposition, metrics, nodes, ready};
use crate::config::{AllowOrigins, Limits};
use crate::http::cors::Page;
use crate::http::{self, Answer, HEALTH, allow, answer, embedded, text};

/// The path of metrics.
const METRICS: &str = "/metrics";

/// What every request needs.
#[derive(Debug)]
pub(super) struct AdminState {
    pub(super) monitor: Monitor,
    pub(super) guard: Guard,
    /// The limits of the public port, which hold here too.
    pub(super) limits: Limits,
    /// What `/openapi.json` answers.
    pub(super) openapi: Bytes,
    /// What is told of this server.
    pub(super) node: Node,
    /// The page.
    pub(super) page: PageFiles,
    /// Room for actions.
    pub(super) actions: Arc<Semaphore>,
    /// What the end waits for: connections, and actions, which may outlive theirs.
    pub(super) tasks: TaskTracker,
}

/// Answers a request, whoever makes it.
pub(super) async fn route<B>(
    (state, ending): (&AdminState, &CancellationToken),
    (peer, place): (IpAddr, &Arc<AdminPlace>),
    request: Request<B>,
) -> Response<AdminBody>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    if let Some(answer) = refuse(state, &request) {
        return answer.map(AdminBody::Known);
    }
    let known = |answer: Answer| answer.map(AdminBody::Known);
    let target = request.uri().path().to_owned();
    let mut answer = match http::without_slash(&target) {
        HEALTH => known(text(StatusCode::OK, "ok\n")),
        "/ready" => known(ready::answer(&state.monitor)),
        path => match state.page.file(path) {
            Some(file) => match state.guard.check_visitor(request.headers()) {
                Ok(()) => return known(embedded::protect(file.answer(&request))),
                Err(refusal) => known(refusal.into()),
            },
            None => {
                let scope = if path == METRICS { Scope::Metrics } else { Scope::Everything };
                match state.guard.check(peer, request.headers(), scope) {
                    Ok(shown) => let_in((state, ending), (peer, place, &shown), (path, request)).await,
                    Err(refusal) => known(refusal.into()),
                }
            }
        },
    };
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Answers a request that passed the guard.
async fn let_in<B>(
    (state, ending): (&AdminState, &CancellationToken),
    (peer, place, shown): (IpAddr, &Arc<AdminPlace>, &Shown),
    (path, request): (&str, Request<B>),
) -> Response<AdminBody>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let known = |answer: Answer| answer.map(AdminBody::Known);
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let acted = actions::answer(state, (peer, shown), (path, request)).await;
        return known(acted.unwrap_or_else(Answer::from));
    }
    let has_query = request.uri().query().is_some_and(|query| !query.is_empty());
    match path {
        node::PATH | nodes::list::PATH if has_query => known(ApiRefusal::BadQuery.into()),
        events::PATH => {
            let (live, node) = (&state.monitor.shared.live, state.node.name());
            let cluster = state.monitor.shared.cluster.get();
            let tasks = &state.tasks;
            let watched = Watch { live, cluster, node, shown, place, tasks, ending }.begin(&request);
            watched.unwrap_or_else(|refusal| known(refusal.into()))
        }
        METRICS => known(metrics(&state.monitor).await),
        "/openapi.json" => known(answer(StatusCode::OK, "application/json", state.openapi.clone())),
        nodes::list::PATH => known(nodes::list::answer(&state.monitor).await.unwrap_or_else(Answer::from)),
        node::PATH => known(state.node.answer(&state.monitor, &state.guard, shown)),
        _ => {
            let payloads = if shown.is_token() { Payloads::Shown } else { Payloads::Hidden };
            let (monitor, target) = (&state.monitor, (path, request.uri().query()));
            known(nodes::read(monitor, target, payloads).await.unwrap_or_else(Answer::from))
        }
    }
}

/// The answer to a request that is refused before anybody asks who makes it.
fn refuse<B>(state: &AdminState, request: &Request<B>) -> Option<Answer> {
    if let Err(breach) = http::check_rules(request) {
        return Some(breach.into());
    }
    let path = http::without_slash(request.uri().path());
    // The same rule as for pushes. Without it a page of strangers could take the places of watchers, or load what it
    // cannot read.
    if !Page::of(request, &AllowOrigins::Only(Vec::new())).is_allowed() && !page::is_visit(path, request) {
        return Some(ApiRefusal::ForeignPage.into());
    }
    let methods = actions::methods_of(path);
    if !methods.split(", ").any(|method| method == request.method().as_str()) {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "this path has other methods\n");
        allow(&mut answer, methods);
        return Some(answer);
    }
    http::check_target(&state.limits, request.uri())
}

async fn metrics(monitor: &Monitor) -> Answer {
    answer(StatusCode::OK, exposition::CONTENT_TYPE, metrics::write(monitor).await)
}
