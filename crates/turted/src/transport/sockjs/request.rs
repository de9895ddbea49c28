//! HTTP requests: their routes, the rules they must keep, and their answers.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use hyper::header::{CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, StatusCode, Version};
use tokio::sync::oneshot;
use turted_core::limits::{SOCKJS_ESCAPE_BYTES_MAX, STREAM_INPUT_BYTES_MAX};
use turted_core::wire::sockjs::{BodyKind, GREETING, Info, Route, Sender, Transport, decode_body};

use super::headers::{Asker, cached, not_cached, preflight};
use super::mount::Mount;
use super::owner::{self, Operation, SessionPlace, SessionRequest, StreamOpening};
use super::refusal::SockJsRefusal;
use super::state::message_limits;
use super::turted::TURTED;
use super::websocket::Frames;
use super::{relay, websocket};
use crate::config::Config;
use crate::http::cors;
use crate::http::endpoint::{Answering, Endpoint};
use crate::http::query::Query;
use crate::http::streaming;
use crate::http::streaming::{Unending, Way};
use crate::http::{Answer, Body, Call, Outcome, answer as with_type, bare, close_after, read_body, text};
use crate::hub::worker::journal::Agent;
use crate::hub::worker::worker::Worker;
use crate::transport::assets::{self, Assets};

impl Mount {
    /// turted at its path.
    pub(crate) fn turted(config: &Config, assets: Option<Arc<Assets>>) -> Self {
        Self::new(config.sockjs.clone(), &TURTED, assets)
    }
}

impl Endpoint for Mount {
    fn serves(&self, path: &str) -> bool {
        self.below(path).is_some()
    }

    fn answer(self: Arc<Self>, call: Call) -> Answering {
        Box::pin(answer(call, self))
    }
}

/// Answers a request below the path of `mount`.
async fn answer(call: Call, mount: Arc<Mount>) -> Outcome {
    let worker = Rc::clone(&call.worker);
    let asker = Asker::of(&call.request, &worker.config.allow_origins);
    match serve(call, mount, &asker).await {
        Ok(outcome) => outcome,
        Err(refusal) => {
            worker.metrics.refused(refusal.row().rule);
            let mut answer = refusal.answer();
            asker.share(&mut answer);
            answer.into()
        }
    }
}

async fn serve(call: Call, mount: Arc<Mount>, asker: &Asker) -> Result<Outcome, SockJsRefusal> {
    let path = call.request.uri().path().to_owned();
    let below = mount.below(&path).ok_or(SockJsRefusal::NotFound)?;
    if let Some(file) = assets::file_name(below, "/") {
        return Ok(assets::answer(mount.assets.as_ref(), file).await.into());
    }
    let route = Route::parse(below).ok_or(SockJsRefusal::NotFound)?;
    check(&call.request, route, &mount)?;
    let is_page = matches!(route, Route::Greeting | Route::Iframe);
    if !is_page && !asker.page.is_allowed() {
        return Err(SockJsRefusal::Origin);
    }
    let responder = Responder { mount: &mount, asker };
    match route {
        _ if call.request.method() == Method::OPTIONS => {
            let answer = preflight(methods(route));
            Ok(if route == Route::Info { responder.shared(answer) } else { responder.of_session(answer) }
                .into())
        }
        Route::Greeting => Ok(text(StatusCode::OK, GREETING).into()),
        Route::Iframe => Ok(iframe(&call.request, &mount).into()),
        Route::Info => Ok(responder.shared(info(&mount)).into()),
        Route::RawWebSocket => websocket::open(call, Arc::clone(&mount), Frames::None),
        Route::Receive { transport: Transport::WebSocket, .. } => {
            websocket::open(call, Arc::clone(&mount), Frames::SockJs)
        }
        Route::Receive { session, transport } => receive(&responder, call, session, transport).await,
        Route::Send { session, sender } => send(&responder, call, session, sender).await.map(Outcome::Answer),
    }
}

/// The methods of a route.
fn methods(route: Route<'_>) -> &'static str {
    match route {
        Route::Info => "OPTIONS, GET",
        Route::Receive { transport: Transport::XhrPolling | Transport::XhrStreaming, .. }
        | Route::Send { sender: Sender::Xhr, .. } => "OPTIONS, POST",
        Route::Send { sender: Sender::Jsonp, .. } => "POST",
        Route::Greeting | Route::Iframe | Route::RawWebSocket | Route::Receive { .. } => "GET",
    }
}

/// Whether the mount has the route, and the route the method.
fn check<B>(request: &Request<B>, route: Route<'_>, mount: &Mount) -> Result<(), SockJsRefusal> {
    let is_websocket =
        matches!(route, Route::RawWebSocket | Route::Receive { transport: Transport::WebSocket, .. });
    if is_websocket && !mount.options.websocket {
        return Err(SockJsRefusal::NotFound);
    }
    let allowed = methods(route);
    let is_allowed = allowed.split(", ").any(|method| request.method().as_str() == method);
    is_allowed.then_some(()).ok_or(SockJsRefusal::Method(allowed))
}

/// Makes the answers to a request.
struct Responder<'a> {
    mount: &'a Arc<Mount>,
    asker: &'a Asker,
}

impl Responder<'_> {
    /// An answer that pages of other origins may read.
    fn shared(&self, mut answer: Answer) -> Answer {
        self.asker.share(&mut answer);
        answer
    }

    /// The same, with the cookie of the session if the mount has one.
    fn of_session(&self, answer: Answer) -> Answer {
        let mut answer = self.shared(answer);
        if self.mount.options.cookie {
            self.asker.set_cookie(&mut answer);
        }
        answer
    }

    /// A response that frames of `transport` go into.
    fn of_transport(&self, transport: Transport, body: impl Into<Body>) -> Answer {
        let kind = transport.content_type().unwrap_or_default();
        let mut answer = not_cached(with_type(StatusCode::OK, kind, body));
        answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if matches!(transport, Transport::HtmlFile | Transport::JsonpPolling) {
            cors::let_embed(&mut answer);
        }
        self.of_session(answer)
    }

    fn place(&self, session: &str, (peer, agent): (IpAddr, Agent)) -> SessionPlace {
        let key = format!("{}/{session}", self.mount.options.path);
        SessionPlace { mount: Arc::clone(self.mount), key, peer, agent }
    }
}

fn info(mount: &Mount) -> Answer {
    let mut random = [0; 4];
    getrandom::fill(&mut random).expect("the operating system gives random numbers");
    let info = Info {
        websocket: mount.options.websocket,
        cookie_needed: mount.options.cookie,
        entropy: u32::from_ne_bytes(random),
    };
    not_cached(with_type(StatusCode::OK, "application/json; charset=UTF-8", info.to_json()))
}

fn iframe<B>(request: &Request<B>, mount: &Mount) -> Answer {
    let page = &mount.iframe;
    let known = request.headers().get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let mut answer = cached(if known.is_some_and(|tags| page.is_known(tags)) {
        bare(StatusCode::NOT_MODIFIED, "")
    } else {
        with_type(StatusCode::OK, "text/html; charset=UTF-8", page.html().to_owned())
    });
    cors::let_everyone_read(&mut answer);
    if let Ok(etag) = HeaderValue::from_str(page.etag()) {
        answer.headers_mut().insert(ETAG, etag);
    }
    answer
}

/// A client receives: one frame, or all until the response has grown too long.
async fn receive(
    responder: &Responder<'_>,
    call: Call,
    session: &str,
    transport: Transport,
) -> Result<Outcome, SockJsRefusal> {
    let Call { worker, peer, agent, request } = call;
    let query = Query::parse(request.uri().query().unwrap_or(""));
    // A query that is no text has no valid name either: `%` is none.
    let callback = query.as_ref().map_or(Some("%"), |query| query.get("c"));
    let callback = transport.callback(callback)?;
    let version = request.version();
    // The body means nothing. It is read because the end of the connection shows only behind it.
    read_body(&worker, peer, request.into_body(), STREAM_INPUT_BYTES_MAX).await?;
    let place = responder.place(session, (peer, agent));
    if transport.is_polling() {
        let taken = relay::take(&worker, &place, transport).await?;
        let answer = taken.into_answer((transport, &callback), &worker.shared.backlogs);
        return Ok(responder.of_transport(transport, answer).into());
    }
    let permit = streaming::permit(&worker, version).map_err(|_| SockJsRefusal::Overload)?;
    let mut head = responder.of_transport(transport, String::new());
    if version < Version::HTTP_2 {
        // The socket is not read for requests any more.
        close_after(&mut head);
    }
    let prelude = transport.prelude(&callback);
    let begin = Box::new(move |way| worker.clone().spawn(begin(worker, place, way, (transport, prelude))));
    Ok(Outcome::Stream(Unending { head, permit, begin }))
}

/// Brings a response that streams to the owner of the session: with its socket, or frame by frame.
async fn begin(worker: Rc<Worker>, place: SessionPlace, way: Way, (transport, prelude): (Transport, String)) {
    match way {
        Way::Socket(socket, head) => {
            // A socket that cannot be taken off this runtime is dropped, which closes it.
            if let Some(socket) = Rc::into_inner(socket).and_then(|socket| socket.detach().ok()) {
                let operation = Operation::Stream(StreamOpening { socket, head, transport, prelude });
                owner::deliver(&worker, SessionRequest { place, operation }).await;
            }
        }
        Way::Response(queue) => relay::run(&worker, &place, &queue, (transport, prelude)).await,
    }
}

/// A client says something.
async fn send(
    responder: &Responder<'_>,
    call: Call,
    session: &str,
    sender: Sender,
) -> Result<Answer, SockJsRefusal> {
    let Call { worker, peer, agent, request } = call;
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = BodyKind::of(kind);
    let limit = worker.config.limits.message_bytes.saturating_mul(SOCKJS_ESCAPE_BYTES_MAX);
    let body = read_body(&worker, peer, request.into_body(), limit).await?;
    let messages = decode_body(&body, kind, message_limits(&worker))?;
    let messages = messages.into_iter().map(Into::into).collect();
    let (answer, received) = oneshot::channel();
    let request = SessionRequest {
        place: responder.place(session, (peer, agent)),
        operation: Operation::Send(messages, answer),
    };
    owner::deliver(&worker, request).await;
    received.await.unwrap_or(Err(SockJsRefusal::Stopping))?;
    let answer = match sender {
        // Firefox takes a 204 without a type for broken XML, Konqueror does strange things with any.
        Sender::Xhr => with_type(StatusCode::NO_CONTENT, "text/plain; charset=UTF-8", ""),
        Sender::Jsonp => text(StatusCode::OK, "ok"),
    };
    Ok(responder.of_session(not_cached(answer)))
}
