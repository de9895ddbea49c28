//! The SockJS services: those that the suite expects, and those that sockjs-node has beside them for
//! demonstrations and tests of clients.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;
use turted_core::close::Close;

use crate::config::SockJs;
use crate::hub::worker::connection::{Client, Connection};
use crate::hub::worker::session::Step;
use crate::hub::worker::worker::Worker;
use crate::transport::sockjs::{Mount, Service, SockJsSession};

/// Bytes of a streaming response of `/echo`: "the server should close it after 4K" (sockjs-protocol
/// 0.3.3, `test_response_limit`).
const RESPONSE_BYTES: usize = 4_096;
/// What `/close` says (sockjs-protocol 0.3.3, `test_close_frame`).
const GO_AWAY: Close = Close::ByService(3000, "Go away!");
/// Time between two messages of `/ticker`.
const TICK: Duration = Duration::from_secs(1);
/// The largest exponent of `/amplify`: 256 KiB.
const AMPLIFY_MAX: u32 = 18;

/// Every message comes back.
static ECHO: Service = Service {
    opened: say_nothing,
    receive: |client, text| {
        client.send_message(text);
        Step::Continue
    },
    expired: |_, _| {},
    removed: |_, _| {},
};
/// The connection is closed at once.
static CLOSE: Service =
    Service { opened: |client| client.connection.close(client.worker, GO_AWAY), receive: ignore, ..ECHO };
/// A message comes every second.
static TICKER: Service = Service {
    opened: |client| client.worker.spawn(tick(Rc::clone(client.worker), Rc::clone(client.connection))),
    receive: ignore,
    ..ECHO
};
/// Every message goes to all connections.
static BROADCAST: Service = Service { receive: broadcast, ..ECHO };
/// A number n comes back as two to the n letters.
static AMPLIFY: Service = Service { receive: amplify, ..ECHO };

/// All services, each at its place with its options.
pub(super) fn mounts() -> [Mount; 7] {
    let at = |path: &str| SockJs { path: path.to_owned(), ..SockJs::default() };
    [
        (SockJs { response_bytes: RESPONSE_BYTES, ..at("/echo") }, &ECHO),
        (SockJs { websocket: false, ..at("/disabled_websocket_echo") }, &ECHO),
        (SockJs { cookie: true, ..at("/cookie_needed_echo") }, &ECHO),
        (at("/close"), &CLOSE),
        (at("/ticker"), &TICKER),
        (at("/broadcast"), &BROADCAST),
        (at("/amplify"), &AMPLIFY),
    ]
    .map(|(options, service)| Mount::new(options, service, None))
}

fn say_nothing(_: Client<'_>) {}

fn ignore(_: Client<'_>, _: &str) -> Step {
    Step::Continue
}

fn amplify(client: Client<'_>, text: &str) -> Step {
    let exponent = text.parse().ok().filter(|exponent| (1..=AMPLIFY_MAX).contains(exponent));
    client.send_message(&"x".repeat(1 << exponent.unwrap_or(1)));
    Step::Continue
}

/// Sends a message to all connections of `/broadcast`; the server has one worker.
fn broadcast(client: Client<'_>, text: &str) -> Step {
    let is_listening = |connection: &&Rc<Connection>| {
        let session = connection.session::<SockJsSession>();
        session.is_some_and(|session| std::ptr::eq(session.mount().service, &BROADCAST))
    };
    let listeners: Vec<_> = client.worker.registry.borrow().iter().filter(is_listening).cloned().collect();
    listeners.iter().for_each(|connection| connection.send_message(client.worker, text));
    Step::Continue
}

/// Sends messages until the connection or the server ends.
async fn tick(worker: Rc<Worker>, connection: Rc<Connection>) {
    let ending = worker.shared.life.ending.clone();
    while ending.run_until_cancelled(sleep(TICK)).await.is_some() && !connection.is_closed() {
        connection.send_message(&worker, "tick!");
    }
}
