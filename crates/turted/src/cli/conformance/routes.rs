//! The test services that the official suites of the protocols expect (`turted conformance`).
//!
//! They run on the transports of the product: only who answers a message differs
//! ([`Service`]). A server serves either turted or these, by its [`Routes`](crate::transport::service::Routes);
//! nothing in the configuration leads here.
//!
//! | file | what |
//! |---|---|
//! | `settings` | the configuration that the suites take for granted |
//! | `engine` | Engine.IO: echo (engine.io protocol v3 and v4, "Test suite"), and what the suite of engine.io-client asks for |
//! | `socketio` | Socket.IO: two namespaces, echo, acks (socket.io protocol v5, "Test suite") |
//! | `client` | Socket.IO for the suite of socket.io-client |
//! | `guests` | what clients sent over HTTP and want to hear again |
//! | `websocket` | plain WebSocket: echo |
//! | `sockjs` | SockJS: echo, in three variants, and what demonstrations use (sockjs-protocol 0.3.3) |

use std::rc::Rc;
use std::time::Duration;

use hyper::header::{HeaderValue, SET_COOKIE};
use hyper::{Method, StatusCode};
use tokio::time::sleep;

use super::guests::{self, Guest};
use super::{client, engine};
use crate::http::query::Query;
use crate::http::{Call, Outcome, text};
use crate::hub::worker::connection::Connection;
use crate::hub::worker::worker::Worker;
use crate::transport;
use crate::transport::service::Service;

/// Where Engine.IO is echoed, without Socket.IO.
const ENGINE_PATH: &str = "/engine.io/";
/// Where messages of a plain WebSocket are echoed.
const WEBSOCKET_PATH: &str = "/ws-echo";

/// How long a handshake of the suite of socket.io-client takes: it expects to be faster with a timeout of nothing.
const HANDSHAKE_WAIT: Duration = Duration::from_millis(10);
/// The cookies that a handshake of the suite of engine.io-client sets: two that last, and two that are over.
const COOKIES: [&str; 4] = [
    "1=1; Max-Age=86400",
    "2=2; Path=/; HttpOnly; Secure; SameSite=Strict",
    "3=3; Max-Age=0",
    "4=4; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
];

/// Whose suites a server is for. They expect different services under the same paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    /// Those of the protocols.
    Protocols,
    /// That of engine.io-client.
    EngineClient,
    /// That of socket.io-client.
    SocketIoClient,
}

/// What a client of the suites is answered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TestService {
    /// Every message of Engine.IO comes back.
    EngineEcho,
    /// Every event of Socket.IO comes back.
    SocketIo,
    /// Every message of a plain WebSocket comes back.
    WebSocketEcho,
    /// What the suite of engine.io-client expects.
    EngineClient,
    /// What the suite of socket.io-client expects.
    SocketIoClient(Guest),
}

impl TestService {
    /// The namespaces of Socket.IO there are.
    pub(crate) fn namespaces(self) -> &'static [&'static str] {
        match self {
            Self::SocketIo => &["/", "/custom"],
            Self::SocketIoClient(_) => &client::NAMESPACES,
            Self::EngineEcho | Self::WebSocketEcho | Self::EngineClient => &[],
        }
    }
}

/// A client of Engine.IO has its handshake.
pub(crate) fn opened(worker: &Rc<Worker>, connection: &Rc<Connection>, service: TestService) {
    if service == TestService::EngineClient {
        engine::greet(worker, connection);
    }
}

/// Which test service a request is for.
pub(crate) async fn route(call: Call, suite: Suite) -> Outcome {
    match suite {
        Suite::Protocols => route_protocols(call).await,
        Suite::EngineClient => serve_engine_client(call).await,
        Suite::SocketIoClient => serve_socketio_client(call).await,
    }
}

/// What the suite of engine.io-client asks for: cookies with the handshake, and a query that is refused.
async fn serve_engine_client(call: Call) -> Outcome {
    let query = query(&call);
    if query.get("deny").is_some() {
        return text(StatusCode::FORBIDDEN, "denied, as the query asks for").into();
    }
    match query.get("sid") {
        Some(sid) if call.request.method() == Method::POST => guests::note_cookies(sid, &call.request),
        _ => {}
    }
    let outcome = transport::socketio::answer(call, Service::Test(TestService::EngineClient)).await;
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

async fn serve_socketio_client(call: Call) -> Outcome {
    let query = query(&call);
    if query.get("sid").is_none() {
        sleep(HANDSHAKE_WAIT).await;
    }
    let service = TestService::SocketIoClient(Guest::arrive(&query));
    transport::socketio::answer(call, Service::Test(service)).await
}

/// The query of a request. One that cannot be decoded is refused where it is used.
fn query(call: &Call) -> Query {
    call.request.uri().query().and_then(Query::parse).unwrap_or_default()
}

/// Which test service of the protocols a request is for.
async fn route_protocols(call: Call) -> Outcome {
    let path = call.request.uri().path();
    if path.starts_with(&call.worker.config.socketio.path) {
        return transport::socketio::answer(call, Service::Test(TestService::SocketIo)).await;
    }
    if path.starts_with(ENGINE_PATH) {
        return transport::socketio::answer(call, Service::Test(TestService::EngineEcho)).await;
    }
    if path == WEBSOCKET_PATH {
        return transport::websocket::answer(call, Service::Test(TestService::WebSocketEcho)).await;
    }
    if let Some(mount) = call.worker.shared.sockjs.find(path) {
        return transport::sockjs::answer(call, mount).await;
    }
    text(StatusCode::NOT_FOUND, "no test service is served under this path").into()
}
