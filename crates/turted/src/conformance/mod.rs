//! The test services that the official suites of the protocols expect (`turted conformance`).
//!
//! They run on the transports of the product: only who answers a message differs
//! ([`Service`]). A server serves either turted or these, by its [`Routes`](crate::service::Routes);
//! nothing in the configuration leads here.
//!
//! | file | what |
//! |---|---|
//! | `settings` | the configuration that the suites take for granted |
//! | `engine` | Engine.IO: echo (engine.io protocol v3 and v4, "Test suite") |
//! | `socketio` | Socket.IO: two namespaces, echo, acks (socket.io protocol v5, "Test suite") |
//! | `websocket` | plain WebSocket: echo |
//! | `sockjs` | SockJS: echo, in three variants, and what demonstrations use (sockjs-protocol 0.3.3) |

pub(crate) mod engine;
pub(crate) mod settings;
pub(crate) mod socketio;
pub(crate) mod sockjs;
pub(crate) mod websocket;

use hyper::StatusCode;

use crate::http::{Call, Outcome, text};
use crate::service::Service;
use crate::transport;

/// Where Engine.IO is echoed, without Socket.IO.
const ENGINE_PATH: &str = "/engine.io/";
/// Where messages of a plain WebSocket are echoed.
const WEBSOCKET_PATH: &str = "/ws-echo";

/// What a client of the suites is answered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TestService {
    /// Every message of Engine.IO comes back.
    EngineEcho,
    /// Every event of Socket.IO comes back.
    SocketIo,
    /// Every message of a plain WebSocket comes back.
    WebSocketEcho,
}

impl TestService {
    /// The namespaces of Socket.IO there are.
    pub(crate) fn namespaces(self) -> &'static [&'static str] {
        match self {
            Self::SocketIo => &["/", "/custom"],
            Self::EngineEcho | Self::WebSocketEcho => &[],
        }
    }
}

/// Which test service a request is for.
pub(crate) async fn route(call: Call) -> Outcome {
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
