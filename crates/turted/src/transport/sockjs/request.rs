//! HTTP requests: their routes, the rules they must keep, and their answers.

use std::future::ready;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use hyper::body::Body as _;
use hyper::header::{CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, StatusCode, Version};
use tokio::sync::oneshot;
use turted_core::limits::{SOCKJS_ESCAPE_BYTES_MAX, STREAM_INPUT_BYTES_MAX};
use turted_core::session_key::SessionKey;
use turted_core::wire::sockjs::{BodyKind, Callback, GREETING, Info, Route, Sender, Transport, decode_body};

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
use crate::http::endpoint::{Answering, Endpoint, Home};
use crate::http::query::Query;
use crate::http::streaming;
use crate::http::streaming::{Unending, Way};
use crate::http::{
    Answer, Body, Call, Outcome, RequestBody, answer as with_type, bare, close_after, read_body, text,
};
use crate::hub::cluster::claims::Opening;
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

    fn home(&self, request: &Request<RequestBody>) -> Option<Home> {
        let route = self.below(request.uri().path()).and_then(Route::parse)?;
        check(request, route, self).ok()?;
        let (session, opening) = match route {
            Route::Receive { transport: Transport::WebSocket, .. } => return None,
            Route::Receive { session, .. } => (session, Opening::Opens),
            Route::Send { session, .. } => (session, Opening::OpensNothing),
            Route::Greeting | Route::Info | Route::Iframe | Route::RawWebSocket => return None,
        };
        Some(Home::Claimed(SessionKey::of(self.key(session).as_bytes()), opening))
    }

    fn answer(self: Arc<Self>, call: Call) -> Answering {
        answer(call, self)
    }
}

/// Answers a request below the path of `mount`. What waits is on the heap until then, so it keeps only what its answer
/// needs.
fn answer(call: Call, mount: Arc<Mount>) -> Answering {
    let below = mount.below(call.request.uri().path());
    if let Some(file) = below.and_then(|below| assets::file_name(below, "/")) {
        let file = file.to_owned();
        return Box::pin(async move { assets::answer(mount.assets.as_ref(), &file).await.into() });
    }
    let asker = Asker::of(&call.request, &call.worker.config.allow_origins);
    let responder = Responder { worker: Rc::clone(&call.worker), mount, asker };
    match begin(&responder, call) {
        Ok(Work::Done(outcome)) => Box::pin(ready(outcome)),
        Ok(Work::Receive(receiving, body)) => Box::pin(async move {
            let received = receive(&responder, receiving, body).await;
            responder.settle(received)
        }),
        Ok(Work::Send(place, sender, request)) => Box::pin(async move {
            let sent = send(&responder, place, sender, request).await;
            responder.settle(sent.map(Outcome::Answer))
        }),
        Err(refusal) => Box::pin(ready(responder.settle(Err(refusal)))),
    }
}

/// What is left to do for a request that keeps the rules.
enum Work {
    Done(Outcome),
    Receive(Receiving, RequestBody),
    Send(SessionPlace, Sender, Request<RequestBody>),
}

/// How a client receives, and from which session.
struct Receiving {
    place: SessionPlace,
    transport: Transport,
    callback: Callback,
    version: Version,
}

fn begin(responder: &Responder, call: Call) -> Result<Work, SockJsRefusal> {
    let mount = &responder.mount;
    let path = call.request.uri().path().to_owned();
    let route = mount.below(&path).and_then(Route::parse).ok_or(SockJsRefusal::NotFound)?;
    check(&call.request, route, mount)?;
    let is_page = matches!(route, Route::Greeting | Route::Iframe);
    if !is_page && !responder.asker.page.is_allowed() {
        return Err(SockJsRefusal::Origin);
    }
    let done = |answer: Answer| Ok(Work::Done(answer.into()));
    match route {
        _ if call.request.method() == Method::OPTIONS => {
            let answer = preflight(methods(route));
            done(if route == Route::Info { responder.shared(answer) } else { responder.of_session(answer) })
        }
        Route::Greeting => done(text(StatusCode::OK, GREETING)),
        Route::Iframe => done(iframe(&call.request, mount)),
        Route::Info => done(responder.shared(info(mount))),
        Route::RawWebSocket => websocket::open(call, Arc::clone(mount), Frames::None).map(Work::Done),
        Route::Receive { transport: Transport::WebSocket, .. } => {
            websocket::open(call, Arc::clone(mount), Frames::SockJs).map(Work::Done)
        }
        Route::Receive { session, transport } => {
            let Call { peer, agent, request, .. } = call;
            let (place, version) = (responder.place(session, (peer, agent)), request.version());
            let query = Query::parse(request.uri().query().unwrap_or(""));
            // A query that is no text has no valid name either: `%` is none.
            let callback = query.as_ref().map_or(Some("%"), |query| query.get("c"));
            let callback = transport.callback(callback)?;
            Ok(Work::Receive(Receiving { place, transport, callback, version }, request.into_body()))
        }
        Route::Send { session, sender } => {
            let Call { peer, agent, request, .. } = call;
            Ok(Work::Send(responder.place(session, (peer, agent)), sender, request))
        }
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
struct Responder {
    worker: Rc<Worker>,
    mount: Arc<Mount>,
    asker: Asker,
}

impl Responder {
    fn settle(&self, outcome: Result<Outcome, SockJsRefusal>) -> Outcome {
        outcome.unwrap_or_else(|refusal| {
            self.worker.metrics.refused(refusal.row().rule);
            self.shared(refusal.answer()).into()
        })
    }

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
        let key = self.mount.key(session);
        SessionPlace { mount: Arc::clone(&self.mount), key, peer, agent }
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
    responder: &Responder,
    receiving: Receiving,
    body: RequestBody,
) -> Result<Outcome, SockJsRefusal> {
    let worker = &responder.worker;
    if !body.is_end_stream() {
        // The body means nothing. It is read because the end of the connection shows only behind it.
        Box::pin(read_body(worker, receiving.place.peer, body, STREAM_INPUT_BYTES_MAX)).await?;
    }
    if !receiving.transport.is_polling() {
        return stream(responder, receiving);
    }
    let Receiving { place, transport, callback, .. } = &receiving;
    let taken = relay::take(worker, place, *transport).await?;
    let answer = taken.into_answer((*transport, callback), &worker.shared.backlogs);
    Ok(responder.of_transport(*transport, answer).into())
}

/// A client receives by a response that streams.
fn stream(responder: &Responder, receiving: Receiving) -> Result<Outcome, SockJsRefusal> {
    let Receiving { place, transport, callback, version } = receiving;
    let worker = Rc::clone(&responder.worker);
    let permit = streaming::permit(&worker, version).map_err(|_| SockJsRefusal::Overload)?;
    let mut head = responder.of_transport(transport, String::new());
    if version < Version::HTTP_2 {
        // The socket is not read for requests any more.
        close_after(&mut head);
    }
    let prelude = transport.prelude(&callback);
    let begin = Box::new(move |way| worker.clone().spawn(go_on(worker, place, way, (transport, prelude))));
    Ok(Outcome::Stream(Unending { head, permit, begin }))
}

/// Brings a response that streams to the owner of the session: with its socket, or frame by frame.
async fn go_on(worker: Rc<Worker>, place: SessionPlace, way: Way, (transport, prelude): (Transport, String)) {
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
    responder: &Responder,
    place: SessionPlace,
    sender: Sender,
    request: Request<RequestBody>,
) -> Result<Answer, SockJsRefusal> {
    let worker = &responder.worker;
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = BodyKind::of(kind);
    let limit = worker.config.limits.message_bytes.saturating_mul(SOCKJS_ESCAPE_BYTES_MAX);
    let body = read_body(worker, place.peer, request.into_body(), limit).await?;
    let messages = decode_body(&body, kind, message_limits(worker))?;
    let messages = messages.into_iter().map(Into::into).collect();
    let (answer, received) = oneshot::channel();
    let operation = Operation::Send(messages, answer);
    owner::deliver(worker, SessionRequest { place, operation }).await;
    received.await.unwrap_or(Err(SockJsRefusal::Stopping))?;
    let answer = match sender {
        // Firefox takes a 204 without a type for broken XML, Konqueror does strange things with any.
        Sender::Xhr => with_type(StatusCode::NO_CONTENT, "text/plain; charset=UTF-8", ""),
        Sender::Jsonp => text(StatusCode::OK, "ok"),
    };
    Ok(responder.of_session(not_cached(answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of what a function returns, without calling it.
    fn returned<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// Every request that waits for a frame holds one of these.
    #[test]
    fn what_a_request_keeps_while_it_waits_is_small() {
        let size =
            returned(|responder: &'static Responder, receiving, body| receive(responder, receiving, body));
        let responder = size_of::<Responder>();
        assert!(size + responder <= 576, "{size} bytes and {responder}");
    }
}
