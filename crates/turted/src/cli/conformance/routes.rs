//! Which test service answers under which path. The suites expect different services under the same paths.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{HeaderValue, SET_COOKIE};
use hyper::{Method, StatusCode};
use tokio::time::sleep;

use super::{client, engine, guests, socketio, sockjs, websocket};
use crate::http::endpoint::{Answering, Endpoint, Endpoints};
use crate::http::query::Query;
use crate::http::{Call, Outcome, text};
use crate::server::routes::Site;
use crate::transport::socketio::SocketIo;
use crate::transport::websocket::WebSocket;

const SOCKETIO_PATH: &str = "/socket.io/";
/// Where Engine.IO is echoed, without Socket.IO.
const ENGINE_PATH: &str = "/engine.io/";
/// Where messages of a plain WebSocket are echoed.
const WEBSOCKET_PATH: &str = "/ws-echo";

/// How long a handshake of the suite of socket.io-client takes: a client of the suite with a timeout of 0 must give up
/// before it is done.
const HANDSHAKE_WAIT: Duration = Duration::from_millis(10);
/// The cookies that a handshake of the suite of engine.io-client sets: two that last, and two that have expired.
const COOKIES: [&str; 4] = [
    "1=1; Max-Age=86400",
    "2=2; Path=/; HttpOnly; Secure; SameSite=Strict",
    "3=3; Max-Age=0",
    "4=4; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
];

/// The suites that a server is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suite {
    /// The suites of the protocols.
    Protocols,
    /// The suite of engine.io-client.
    EngineClient,
    /// The suite of socket.io-client.
    SocketIoClient,
}

impl Suite {
    /// What a server serves for it.
    pub(super) fn endpoints(self) -> fn(&Site<'_>) -> Endpoints {
        match self {
            Self::Protocols => protocols,
            Self::EngineClient => engine_client,
            Self::SocketIoClient => socketio_client,
        }
    }
}

fn protocols(_: &Site<'_>) -> Endpoints {
    let mut endpoints: Vec<Arc<dyn Endpoint>> = vec![
        Arc::new(SocketIo::of_service(SOCKETIO_PATH, &socketio::ECHO)),
        Arc::new(SocketIo::of_service(ENGINE_PATH, &engine::ECHO)),
        Arc::new(WebSocket::of_service(WEBSOCKET_PATH, &websocket::ECHO)),
    ];
    for mount in sockjs::mounts() {
        endpoints.push(Arc::new(mount));
    }
    Endpoints::new(endpoints)
}

fn engine_client(_: &Site<'_>) -> Endpoints {
    let inner = Arc::new(SocketIo::of_service(ENGINE_PATH, &engine::CLIENT));
    Endpoints::new(vec![Arc::new(EngineClient(inner))])
}

fn socketio_client(_: &Site<'_>) -> Endpoints {
    let inner = Arc::new(SocketIo::of_service(SOCKETIO_PATH, &client::CLIENT));
    Endpoints::new(vec![Arc::new(SocketIoClient(inner))])
}

/// What the suite of engine.io-client asks for: cookies with the handshake, and a query that is refused.
#[derive(Debug)]
struct EngineClient(Arc<SocketIo>);

impl Endpoint for EngineClient {
    fn serves(&self, _: &str) -> bool {
        true
    }

    fn answer(self: Arc<Self>, call: Call) -> Answering {
        Box::pin(async move { self.serve(call).await })
    }
}

impl EngineClient {
    async fn serve(&self, call: Call) -> Outcome {
        let query = query(&call);
        if query.get("deny").is_some() {
            return text(StatusCode::FORBIDDEN, "denied, as the query asks for").into();
        }
        match query.get("sid") {
            Some(sid) if call.request.method() == Method::POST => guests::note_cookies(sid, &call.request),
            _ => {}
        }
        let outcome = Arc::clone(&self.0).answer(call).await;
        match outcome {
            Outcome::Answer(mut answer) if query.get("sid").is_none() => {
                for cookie in COOKIES {
                    answer.headers_mut().append(SET_COOKIE, HeaderValue::from_static(cookie));
                }
                answer.into()
            }
            outcome => outcome,
        }
    }
}

/// What the suite of socket.io-client asks for: a handshake that takes a while.
#[derive(Debug)]
struct SocketIoClient(Arc<SocketIo>);

impl Endpoint for SocketIoClient {
    fn serves(&self, _: &str) -> bool {
        true
    }

    fn answer(self: Arc<Self>, call: Call) -> Answering {
        Box::pin(async move {
            if query(&call).get("sid").is_none() {
                sleep(HANDSHAKE_WAIT).await;
            }
            Arc::clone(&self.0).answer(call).await
        })
    }
}

/// The query of a request. A query that cannot be decoded is refused where it is used.
fn query(call: &Call) -> Query {
    call.request.uri().query().and_then(Query::parse).unwrap_or_default()
}
