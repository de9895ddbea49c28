//! The SockJS services: those that the suite expects, and those that sockjs-node has beside them for
//! demonstrations and tests of clients.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;
use turted_core::close::Close;

use crate::config::SockJs;
use crate::http::websocket::reader::Step;
use crate::hub::worker::connection::Connection;
use crate::hub::worker::session::Session;
use crate::hub::worker::worker::Worker;
use crate::transport::service::Service;
use crate::transport::sockjs::Mount;

/// Bytes of a streaming response of `/echo`: "the server should close it after 4K" (sockjs-protocol
/// 0.3.3, `test_response_limit`).
const RESPONSE_BYTES: usize = 4_096;
/// What `/close` says (sockjs-protocol 0.3.3, `test_close_frame`).
const GO_AWAY: Close = Close::ByService(3000, "Go away!");
/// Time between two messages of `/ticker`.
const TICK: Duration = Duration::from_secs(1);
/// The largest exponent of `/amplify`: 256 KiB.
const AMPLIFY_MAX: u32 = 18;

/// What a client is answered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SockJsTest {
    /// Every message comes back.
    Echo,
    /// The connection is closed at once.
    Close,
    /// A message comes every second.
    Ticker,
    /// Every message goes to all.
    Broadcast,
    /// A number n comes back as two to the n letters.
    Amplify,
}

/// All services, each at its place with its options.
pub(crate) fn mounts() -> Vec<Mount> {
    use SockJsTest::{Amplify, Broadcast, Close, Echo, Ticker};
    let at = |path: &str| SockJs { path: path.to_owned(), ..SockJs::default() };
    let mounts = [
        (SockJs { response_bytes: RESPONSE_BYTES, ..at("/echo") }, Echo),
        (SockJs { websocket: false, ..at("/disabled_websocket_echo") }, Echo),
        (SockJs { cookie: true, ..at("/cookie_needed_echo") }, Echo),
        (at("/close"), Close),
        (at("/ticker"), Ticker),
        (at("/broadcast"), Broadcast),
        (at("/amplify"), Amplify),
    ];
    mounts.map(|(options, service)| Mount::new(options, Service::Test(service))).into()
}

impl SockJsTest {
    /// A connection is open.
    pub(crate) fn opened(self, worker: &Rc<Worker>, connection: &Rc<Connection>) {
        match self {
            Self::Close => connection.close(worker, GO_AWAY),
            Self::Ticker => worker.spawn(tick(Rc::clone(worker), Rc::clone(connection))),
            Self::Echo | Self::Broadcast | Self::Amplify => {}
        }
    }

    /// A message came.
    pub(crate) fn receive(self, worker: &Rc<Worker>, connection: &Rc<Connection>, text: &str) -> Step {
        match self {
            Self::Echo => connection.send_message(worker, text),
            Self::Broadcast => broadcast(worker, text),
            Self::Amplify => {
                let exponent = text.parse().ok().filter(|exponent| (1..=AMPLIFY_MAX).contains(exponent));
                connection.send_message(worker, &"x".repeat(1 << exponent.unwrap_or(1)));
            }
            Self::Close | Self::Ticker => {}
        }
        Step::Continue
    }
}

/// Sends a message to all connections of `/broadcast`; the server has one worker.
fn broadcast(worker: &Rc<Worker>, text: &str) {
    let is_listening = |connection: &&Rc<Connection>| match &connection.session {
        Session::SockJs(session) => session.mount().service == Service::Test(SockJsTest::Broadcast),
        _ => false,
    };
    let listeners: Vec<_> = worker.registry.borrow().iter().filter(is_listening).cloned().collect();
    listeners.iter().for_each(|connection| connection.send_message(worker, text));
}

/// Sends messages until the connection or the server ends.
async fn tick(worker: Rc<Worker>, connection: Rc<Connection>) {
    let ending = worker.shared.life.ending.clone();
    while ending.run_until_cancelled(sleep(TICK)).await.is_some() && !connection.is_closed() {
        connection.send_message(&worker, "tick!");
    }
}
