//! HTTP requests of Engine.IO: the query, the rules a request must keep, and its answer.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, SET_COOKIE};
use hyper::{Method, Request, StatusCode};
use tokio::sync::oneshot;
use turted_core::wire::engineio::Version;

use super::payload::PollingBody;
use super::session::Newcomer;
use super::{engine, stream};
use crate::http::cors::{self, Page};
use crate::http::query::Query;
use crate::http::{Answer, Body, BodyRefusal, Call, Outcome, Unavailable, answer as with_type, read_body};
use crate::hub::worker::journal::Agent;
use crate::hub::worker::mail::EngineRequest;
use crate::hub::worker::places::NoPlace;
use crate::hub::worker::session_id::SessionId;
use crate::hub::worker::worker::Worker;
use crate::transport::assets;
use crate::transport::service::Service;

/// Why a request is refused (engine.io `Server.errors`, with their numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EngineRefusal {
    UnknownTransport,
    UnknownSession,
    BadHandshakeMethod,
    BadRequest,
    Forbidden,
    UnsupportedVersion,
    /// A version of Engine.IO before 3, as of socket.io-client 1.0.
    OldVersion,
    /// The body is longer than `socketio.max_payload`.
    TooLong,
    /// The body took longer than `limits.request_body_wait`.
    TooSlow,
    /// The body has more pieces than it may have.
    TooManyChunks,
    /// As many bodies are read as may be.
    BodiesFull,
    /// There are as many polling sessions as there may be connections.
    Overload,
    /// There are as many of this address as it may have.
    TooManyOfAddress,
    /// The server takes no new session.
    Stopping,
}

impl EngineRefusal {
    fn status(self) -> StatusCode {
        match self {
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::TooLong | Self::TooManyChunks => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodiesFull | Self::Overload | Self::TooManyOfAddress | Self::Stopping => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The rule for metrics.
    fn rule(self) -> &'static str {
        match self {
            Self::UnknownTransport => "engine-transport",
            Self::UnknownSession => "engine-session",
            Self::BadHandshakeMethod => "engine-method",
            Self::BadRequest => "engine-request",
            Self::Forbidden => "engine-origin",
            Self::UnsupportedVersion | Self::OldVersion => "engine-version",
            Self::TooLong => "engine-body-too-long",
            Self::TooSlow => "engine-body-too-slow",
            Self::TooManyChunks => "engine-body-chunks",
            Self::BodiesFull => "bodies-full",
            Self::Overload => "engine-sessions",
            Self::TooManyOfAddress => "engine-sessions-per-address",
            Self::Stopping => "stopping",
        }
    }

    fn body(self) -> &'static str {
        match self {
            Self::UnknownTransport => r#"{"code":0,"message":"Transport unknown"}"#,
            Self::UnknownSession => r#"{"code":1,"message":"Session ID unknown"}"#,
            Self::BadHandshakeMethod => r#"{"code":2,"message":"Bad handshake method"}"#,
            Self::BadRequest => r#"{"code":3,"message":"Bad request"}"#,
            Self::Forbidden => r#"{"code":4,"message":"Forbidden"}"#,
            Self::UnsupportedVersion => r#"{"code":5,"message":"Unsupported protocol version"}"#,
            Self::OldVersion => {
                r#"{"code":5,"message":"Unsupported protocol version: Engine.IO 3 and 4 are spoken here, by socket.io-client 1.1 and later"}"#
            }
            Self::TooLong => r#"{"code":3,"message":"Payload too large (socketio.max_payload)"}"#,
            Self::TooSlow => r#"{"code":3,"message":"Payload too slow (limits.request_body_wait)"}"#,
            Self::TooManyChunks => {
                r#"{"code":3,"message":"Payload in too many pieces: 1,024 and one for each 64 bytes are enough"}"#
            }
            Self::BodiesFull => {
                r#"{"code":3,"message":"Too many payloads are being read (limits.bodies_bytes)"}"#
            }
            Self::Overload => r#"{"code":3,"message":"Too many sessions (limits.connections)"}"#,
            Self::TooManyOfAddress => {
                r#"{"code":3,"message":"Too many sessions of this address (limits.sessions_per_address)"}"#
            }
            Self::Stopping => r#"{"code":3,"message":"The server is stopping"}"#,
        }
    }
}

impl From<EngineRefusal> for Answer {
    fn from(refusal: EngineRefusal) -> Self {
        let mut answer = with_type(refusal.status(), "application/json", refusal.body());
        match refusal {
            EngineRefusal::Overload | EngineRefusal::TooManyOfAddress => {
                Unavailable::Overload.mark(&mut answer);
            }
            EngineRefusal::BodiesFull => Unavailable::Unread.mark(&mut answer),
            EngineRefusal::Stopping => Unavailable::Stopping.mark(&mut answer),
            _ => {}
        }
        answer
    }
}

impl From<NoPlace> for EngineRefusal {
    fn from(none: NoPlace) -> Self {
        match none {
            NoPlace::All => Self::Overload,
            NoPlace::OfAddress => Self::TooManyOfAddress,
        }
    }
}

impl From<BodyRefusal> for EngineRefusal {
    fn from(refusal: BodyRefusal) -> Self {
        match refusal {
            BodyRefusal::TooLong => Self::TooLong,
            BodyRefusal::TooManyChunks => Self::TooManyChunks,
            BodyRefusal::TooSlow => Self::TooSlow,
            BodyRefusal::Full => Self::BodiesFull,
            BodyRefusal::Broken => Self::BadRequest,
        }
    }
}

/// The body of a POST, and whether it is a binary payload.
#[derive(Debug)]
pub(crate) struct PostBody {
    pub(crate) bytes: Bytes,
    pub(crate) is_binary: bool,
}

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
            Some("polling") if crate::http::websocket::handshake::wants_upgrade(request) => {
                Err(EngineRefusal::BadRequest)
            }
            Some("polling") => Ok(Self::Polling),
            Some("websocket") => Ok(Self::WebSocket),
            _ => Err(EngineRefusal::UnknownTransport),
        }
    }
}

/// Answers a request of a client of `service`.
pub(crate) async fn answer(call: Call, service: Service) -> Outcome {
    let Call { worker, request, peer, agent } = call;
    if let Some(file) = assets::file_name(request.uri().path(), &worker.config.socketio.path) {
        return assets::answer(&worker, file).await.into();
    }
    let page = Page::of(&request, &worker.config.allow_origins);
    if request.method() == Method::OPTIONS {
        return page.preflight(&request).into();
    }
    let is_script = asks_for_script(&request);
    let outcome = match page.is_allowed() {
        true => serve(&worker, (peer, agent, service), request).await,
        false => Err(EngineRefusal::Forbidden),
    };
    match outcome {
        Ok(outcome @ (Outcome::Takeover(_) | Outcome::Stream(_))) => outcome,
        Ok(Outcome::Answer(mut answer)) => {
            page.mark(&mut answer);
            if is_script {
                cors::let_embed(&mut answer);
            }
            answer.into()
        }
        Err(refusal) => {
            worker.metrics.refused(refusal.rule());
            let mut answer = Answer::from(refusal);
            page.mark(&mut answer);
            answer.into()
        }
    }
}

/// Whether a client polls with scripts, which pages load from other origins.
fn asks_for_script<B>(request: &Request<B>) -> bool {
    request.uri().query().is_some_and(|query| query.split('&').any(|part| part.starts_with("j=")))
}

async fn serve(
    worker: &Rc<Worker>,
    (peer, agent, service): (IpAddr, Agent, Service),
    request: Request<hyper::body::Incoming>,
) -> Result<Outcome, EngineRefusal> {
    let query = Query::parse(request.uri().query().unwrap_or("")).ok_or(EngineRefusal::BadRequest)?;
    let transport = TransportName::of(&query, &request)?;
    let Some(sid) = query.get("sid") else {
        let version = version(&query);
        let newcomer = (version, peer, agent, service);
        return open(worker, newcomer, query, (transport, &request));
    };
    let id = SessionId::parse(sid).ok_or(EngineRefusal::UnknownSession)?;
    match (transport, request.method()) {
        (TransportName::WebSocket, _) => {
            let accepted = accept(&request)?;
            match begin_upgrade(worker, id).await {
                Ok(attempt) => Ok(Outcome::Takeover(stream::upgrade(Rc::clone(worker), attempt, accepted))),
                Err(refusal @ EngineRefusal::BadRequest) => {
                    worker.metrics.refused(refusal.rule());
                    Ok(Outcome::Takeover(stream::turn_away(Rc::clone(worker), accepted)))
                }
                Err(refusal) => Err(refusal),
            }
        }
        (TransportName::Polling, &Method::GET) => poll(worker, id, &query).await.map(Outcome::Answer),
        (TransportName::Polling, &Method::POST) => {
            let answer = post(worker, (peer, id), request).await?;
            Ok(mark_polling(answer, id, version(&query)).into())
        }
        (TransportName::Polling, _) => Err(EngineRefusal::BadRequest),
    }
}

/// The answer that turns the connection of a request into a WebSocket.
fn accept<B>(request: &Request<B>) -> Result<Vec<u8>, EngineRefusal> {
    crate::http::websocket::handshake::accept_request(request, &[crate::http::websocket::handshake::VERSION])
        .ok_or(EngineRefusal::BadRequest)
}

/// A request without a session id opens a session.
fn open<B>(
    worker: &Rc<Worker>,
    (version, peer, agent, service): (Option<Version>, IpAddr, Agent, Service),
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

/// Claims a session for a WebSocket. The claim ends with what this returns, and with this call if
/// the client is gone before it was answered.
async fn begin_upgrade(worker: &Rc<Worker>, id: SessionId) -> Result<AbortGuard, EngineRefusal> {
    let attempt = Attempt::next();
    let claim = AbortGuard::new(worker, id, EngineRequest::UpgradeAborted(attempt));
    ask(worker, id, |answer| EngineRequest::BeginUpgrade(attempt, answer)).await?;
    Ok(claim)
}

async fn poll(worker: &Rc<Worker>, id: SessionId, query: &Query) -> Result<Answer, EngineRefusal> {
    let (sender, answer) = oneshot::channel();
    let mut aborted = AbortGuard::new(worker, id, EngineRequest::PollAborted);
    engine::request(worker, id, EngineRequest::Poll(sender)).await;
    let answer = answer.await;
    aborted.disarm();
    Ok(polling_answer(id, version(query), answer.unwrap_or(Err(EngineRefusal::UnknownSession))?))
}

async fn post(
    worker: &Rc<Worker>,
    (peer, id): (IpAddr, SessionId),
    request: Request<hyper::body::Incoming>,
) -> Result<Answer, EngineRefusal> {
    ask(worker, id, EngineRequest::BeginPost).await?;
    let mut aborted = AbortGuard::new(worker, id, EngineRequest::PostAborted);
    let content_type = request.headers().get(CONTENT_TYPE);
    let is_binary = content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"application/octet-stream"));
    let read = read_body(worker, peer, request.into_body(), worker.config.socketio.max_payload).await;
    aborted.disarm();
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(refusal) => {
            // Before the answer, which the client may follow up with another POST.
            engine::request(worker, id, EngineRequest::PostAborted).await;
            return Err(refusal.into());
        }
    };
    ask(worker, id, |sender| EngineRequest::Post(PostBody { bytes, is_binary }, sender)).await?;
    // 3.3.6 and 4.0.2 both say so, to keep old Internet Explorers from asking for a download.
    Ok(with_type(StatusCode::OK, "text/html", "ok"))
}

/// Asks the owner of a session and waits for the answer.
async fn ask(
    worker: &Rc<Worker>,
    id: SessionId,
    request: impl FnOnce(crate::hub::worker::mail::Answer<()>) -> EngineRequest,
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

/// Adds the cookie that 3.3.6 set and balancers may know a session by, or what 4.x said instead.
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

/// One attempt to move a session to a WebSocket. What belongs to another is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt(NonZeroU32);

impl Attempt {
    fn next() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        // Those of one session are few at a time: numbers that come round again do not meet.
        Self(NonZeroU32::new(LAST.fetch_add(1, Ordering::Relaxed)).unwrap_or(NonZeroU32::MAX))
    }
}

/// Tells the owner of a session that a request went away before it was through.
pub(super) struct AbortGuard {
    worker: Rc<Worker>,
    id: SessionId,
    request: Option<EngineRequest>,
}

impl AbortGuard {
    fn new(worker: &Rc<Worker>, id: SessionId, request: EngineRequest) -> Self {
        Self { worker: Rc::clone(worker), id, request: Some(request) }
    }

    fn disarm(&mut self) {
        self.request = None;
    }

    /// Tells the owner something else instead.
    pub(super) async fn replace(&mut self, request: EngineRequest) {
        engine::request(&self.worker, self.id, request).await;
        self.disarm();
    }
}

impl Drop for AbortGuard {
    fn drop(&mut self) {
        let Some(request) = self.request.take() else { return };
        let (worker, id) = (Rc::clone(&self.worker), self.id);
        if id.worker() == worker.index {
            // At once: the next request of the client must not find this one still under way.
            return engine::receive(&worker, id, request);
        }
        // Dropping cannot wait for a mail box, a task can.
        self.worker.spawn(async move { engine::request(&worker, id, request).await });
    }
}
