//! HTTP requests of Engine.IO: the query, the rules a request must keep, and its answer.

use std::future::ready;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use hyper::body::Body as _;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, SET_COOKIE};
use hyper::{Method, Request, StatusCode};
use tokio::sync::oneshot;
use turted_core::wire::engineio::Version;

use super::engine::AbortGuard;
use super::operation::{self, Attempt, Operation, PostBody};
use super::payload::PollingBody;
use super::refusal::EngineRefusal;
use super::service::Service;
use super::state::Newcomer;
use super::turted::TURTED;
use super::{engine, stream};
use crate::config::Config;
use crate::http::cors::{self, Page};
use crate::http::endpoint::{Answering, Endpoint, Home};
use crate::http::query::Query;
use crate::http::websocket::handshake::{VERSION, accept_request, wants_upgrade};
use crate::http::{Answer, Body, Call, Outcome, RequestBody, answer as with_type, read_body, without_slash};
use crate::hub::worker::journal::Agent;
use crate::hub::worker::session_id::SessionId;
use crate::hub::worker::worker::Worker;
use crate::transport::assets::{self, Assets};

/// The version of Engine.IO a request is made in.
fn version(query: &Query) -> Option<Version> {
    match query.get("EIO")? {
        "3" => Some(Version::V3),
        "4" => Some(Version::V4),
        _ => None,
    }
}

/// How a request wants to be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TransportName {
    Polling,
    WebSocket,
}

impl TransportName {
    fn of<B>(query: &Query, request: &Request<B>) -> Result<Self, EngineRefusal> {
        match query.get("transport") {
            Some("polling") if wants_upgrade(request) => Err(EngineRefusal::BadRequest),
            Some("polling") => Ok(Self::Polling),
            Some("websocket") => Ok(Self::WebSocket),
            _ => Err(EngineRefusal::UnknownTransport),
        }
    }
}

/// The endpoint of Engine.IO, whatever is said on it.
#[derive(Debug)]
pub(crate) struct SocketIo {
    /// With a slash at its end.
    path: String,
    service: &'static Service,
    assets: Option<Arc<Assets>>,
}

impl SocketIo {
    /// turted at its path.
    pub(crate) fn turted(config: &Config, assets: Option<Arc<Assets>>) -> Self {
        Self { path: config.socketio.path.clone(), service: &TURTED, assets }
    }

    /// Another service at some path.
    pub(crate) fn of_service(path: &str, service: &'static Service) -> Self {
        Self { path: path.to_owned(), service, assets: None }
    }
}

impl Endpoint for SocketIo {
    fn serves(&self, path: &str) -> bool {
        path.starts_with(&self.path) || path == without_slash(&self.path)
    }

    fn home(&self, request: &Request<RequestBody>) -> Option<Home> {
        let query = Query::parse(request.uri().query()?)?;
        Some(Home::Node(SessionId::parse(query.get("sid")?)?.node()))
    }

    fn answer(self: Arc<Self>, call: Call) -> Answering {
        if let Some(file) = assets::file_name(call.request.uri().path(), &self.path) {
            let file = file.to_owned();
            return Box::pin(async move { assets::answer(self.assets.as_ref(), &file).await.into() });
        }
        answer(call, self.service)
    }
}

/// Answers a request. What waits is on the heap until then, so it keeps only what its answer needs.
fn answer(call: Call, service: &'static Service) -> Answering {
    let Call { worker, request, peer, agent } = call;
    let page = Page::of(&request, &worker.config.allow_origins);
    if request.method() == Method::OPTIONS {
        return Box::pin(ready(page.preflight(&request).into()));
    }
    let is_script = asks_for_script(&request);
    let work = match page.is_allowed() {
        true => begin(&worker, (peer, agent, service), request),
        false => Err(EngineRefusal::Forbidden),
    };
    let responder = Responder { worker, page, is_script };
    match work {
        Ok(Work::Done(outcome)) => Box::pin(ready(responder.mark(Ok(outcome)))),
        Ok(Work::Poll(id, version, unread)) => Box::pin(async move {
            let polled = poll(&responder.worker, id, version).await;
            // Without it hyper would take the connection for one on which nothing can follow.
            drop(unread);
            responder.mark(polled.map(Outcome::Answer))
        }),
        Ok(Work::Post(id, version, request)) => Box::pin(async move {
            let posted = post(&responder.worker, (peer, id), request).await;
            responder.mark(posted.map(|answer| mark_polling(answer, id, version).into()))
        }),
        Ok(Work::Upgrade(id, accepted)) => Box::pin(async move {
            let upgraded = upgrade(&responder.worker, id, accepted).await;
            responder.mark(upgraded)
        }),
        Err(refusal) => Box::pin(ready(responder.mark(Err(refusal)))),
    }
}

/// Adds to answers what all of them have.
struct Responder {
    worker: Rc<Worker>,
    page: Page,
    is_script: bool,
}

impl Responder {
    fn mark(&self, outcome: Result<Outcome, EngineRefusal>) -> Outcome {
        match outcome {
            Ok(outcome @ (Outcome::Takeover(_) | Outcome::Stream(_) | Outcome::Passed(_))) => outcome,
            Ok(Outcome::Answer(mut answer)) => {
                self.page.mark(&mut answer);
                if self.is_script {
                    cors::let_embed(&mut answer);
                }
                answer.into()
            }
            Err(refusal) => {
                let row = refusal.row();
                self.worker.metrics.refused(row.rule);
                let mut answer = row.answer("application/json");
                self.page.mark(&mut answer);
                answer.into()
            }
        }
    }
}

/// Whether a client polls with scripts, which pages load from other origins.
fn asks_for_script<B>(request: &Request<B>) -> bool {
    request.uri().query().is_some_and(|query| query.split('&').any(|part| part.starts_with("j=")))
}

/// What is left to do for a request that keeps the rules.
enum Work {
    Done(Outcome),
    /// With its body, if that is still to come. It means nothing.
    Poll(SessionId, Option<Version>, Option<Box<RequestBody>>),
    Post(SessionId, Option<Version>, Request<RequestBody>),
    /// With the answer that turns the connection into a WebSocket.
    Upgrade(SessionId, Vec<u8>),
}

fn begin(
    worker: &Rc<Worker>,
    (peer, agent, service): (IpAddr, Agent, &'static Service),
    request: Request<RequestBody>,
) -> Result<Work, EngineRefusal> {
    let query = Query::parse(request.uri().query().unwrap_or("")).ok_or(EngineRefusal::BadRequest)?;
    let transport = TransportName::of(&query, &request)?;
    let version = version(&query);
    let Some(sid) = query.get("sid") else {
        let newcomer = (version, peer, agent, service);
        return open(worker, newcomer, query, (transport, &request)).map(Work::Done);
    };
    let id = SessionId::parse(sid).ok_or(EngineRefusal::UnknownSession)?;
    match (transport, request.method()) {
        (TransportName::WebSocket, _) => Ok(Work::Upgrade(id, accept(&request)?)),
        (TransportName::Polling, &Method::GET) => {
            let unread = Some(request.into_body()).filter(|body| !body.is_end_stream());
            Ok(Work::Poll(id, version, unread.map(Box::new)))
        }
        (TransportName::Polling, &Method::POST) => Ok(Work::Post(id, version, request)),
        (TransportName::Polling, _) => Err(EngineRefusal::BadRequest),
    }
}

/// The answer that turns the connection of a request into a WebSocket.
fn accept<B>(request: &Request<B>) -> Result<Vec<u8>, EngineRefusal> {
    accept_request(request, &[VERSION]).ok_or(EngineRefusal::BadRequest)
}

/// A request without a session id opens a session.
fn open<B>(
    worker: &Rc<Worker>,
    (version, peer, agent, service): (Option<Version>, IpAddr, Agent, &'static Service),
    query: Query,
    (transport, request): (TransportName, &Request<B>),
) -> Result<Outcome, EngineRefusal> {
    if worker.shared.life.is_draining() {
        return Err(EngineRefusal::Stopping);
    }
    let version = version.ok_or_else(|| match query.get("EIO") {
        Some("1" | "2") => EngineRefusal::OldVersion,
        _ => EngineRefusal::UnsupportedVersion,
    })?;
    let newcomer = Newcomer { version, peer, agent, service };
    if request.method() != Method::GET {
        return Err(EngineRefusal::BadHandshakeMethod);
    }
    match transport {
        TransportName::Polling => {
            let (id, body) = engine::open_polling(worker, newcomer, &query)?;
            Ok(polling_answer(id, Some(version), body).into())
        }
        TransportName::WebSocket => {
            let accepted = accept(request)?;
            Ok(Outcome::Takeover(stream::open(Rc::clone(worker), newcomer, query, accepted)))
        }
    }
}

/// Turns a connection into the WebSocket of a session, or into one that is turned away.
async fn upgrade(worker: &Rc<Worker>, id: SessionId, accepted: Vec<u8>) -> Result<Outcome, EngineRefusal> {
    let takeover = match begin_upgrade(worker, id).await {
        Ok(attempt) => stream::upgrade(Rc::clone(worker), attempt, accepted),
        Err(refusal @ EngineRefusal::BadRequest) => {
            worker.metrics.refused(refusal.row().rule);
            stream::turn_away(Rc::clone(worker), accepted)
        }
        Err(refusal) => return Err(refusal),
    };
    Ok(Outcome::Takeover(takeover))
}

/// Claims a session for a WebSocket. The claim ends when the returned guard is dropped, or when this call
/// is dropped because the client is gone.
async fn begin_upgrade(worker: &Rc<Worker>, id: SessionId) -> Result<AbortGuard, EngineRefusal> {
    let attempt = Attempt::next();
    let claim = AbortGuard::new(worker, id, Operation::UpgradeAborted(attempt));
    ask(worker, id, |answer| Operation::BeginUpgrade(attempt, answer)).await?;
    Ok(claim)
}

async fn poll(worker: &Rc<Worker>, id: SessionId, version: Option<Version>) -> Result<Answer, EngineRefusal> {
    let (sender, answer) = oneshot::channel();
    let mut aborted = AbortGuard::new(worker, id, Operation::PollAborted);
    engine::request(worker, id, Operation::Poll(sender)).await;
    let answer = answer.await;
    aborted.disarm();
    Ok(polling_answer(id, version, answer.unwrap_or(Err(EngineRefusal::UnknownSession))?))
}

async fn post(
    worker: &Rc<Worker>,
    (peer, id): (IpAddr, SessionId),
    request: Request<RequestBody>,
) -> Result<Answer, EngineRefusal> {
    ask(worker, id, Operation::BeginPost).await?;
    let mut aborted = AbortGuard::new(worker, id, Operation::PostAborted);
    let content_type = request.headers().get(CONTENT_TYPE);
    let is_binary = content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"application/octet-stream"));
    let read = read_body(worker, peer, request.into_body(), worker.config.socketio.max_payload).await;
    aborted.disarm();
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(refusal) => {
            // Before the answer, because the client may send another POST once it has it.
            engine::request(worker, id, Operation::PostAborted).await;
            return Err(refusal.into());
        }
    };
    ask(worker, id, |sender| Operation::Post(PostBody { bytes, is_binary }, sender)).await?;
    // The node servers 3.3.6 and 4.0.2 send this type, to keep old Internet Explorers from asking for a download.
    Ok(with_type(StatusCode::OK, "text/html", "ok"))
}

/// Asks the owner of a session and waits for the answer.
async fn ask(
    worker: &Rc<Worker>,
    id: SessionId,
    request: impl FnOnce(operation::OperationAnswer<()>) -> Operation,
) -> Result<(), EngineRefusal> {
    let (sender, answer) = oneshot::channel();
    engine::request(worker, id, request(sender)).await;
    answer.await.unwrap_or(Err(EngineRefusal::UnknownSession))
}

/// The answer to a GET.
fn polling_answer(id: SessionId, version: Option<Version>, body: PollingBody) -> Answer {
    let kind = if body.is_binary { "application/octet-stream" } else { "text/plain; charset=UTF-8" };
    mark_polling(with_type(StatusCode::OK, kind, Body::of_parts(body.parts)), id, version)
}

/// Adds the cookie that the node server 3.3.6 set, by which load balancers may know a session, or the header that 4.x
/// sent instead.
fn mark_polling(mut answer: Answer, id: SessionId, version: Option<Version>) -> Answer {
    let headers = answer.headers_mut();
    match version {
        Some(Version::V3) => {
            let cookie = format!("io={id}; Path=/; HttpOnly; SameSite=Strict");
            headers.insert(SET_COOKIE, HeaderValue::from_str(&cookie).expect("ids are base64"));
        }
        _ => {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of what a function returns, without calling it.
    fn returned<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// Every poll that waits holds one of these.
    #[test]
    fn what_a_poll_keeps_while_it_waits_is_small() {
        let size = returned(|worker: &'static Rc<Worker>, id, version| poll(worker, id, version));
        assert!(size + size_of::<Responder>() <= 300, "{size} bytes and {}", size_of::<Responder>());
    }
}
