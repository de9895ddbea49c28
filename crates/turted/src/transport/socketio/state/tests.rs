//! Which namespaces a session is in, and what it waits for.

use std::future::poll_fn;
use std::task::Poll;

use super::super::payload::Content;
use super::super::service::{ROOT, ignore_ack, ignore_message, say_nothing};
use super::super::turted::TURTED;
use super::*;
use crate::hub::worker::session::Step;
use crate::transport::testing::PEER;

/// A service of several namespaces.
static SEVERAL: Service = Service {
    namespaces: &[ROOT, "/a", "/b"],
    content: Content::Any,
    takes_binary: true,
    opened: say_nothing,
    connected: say_nothing,
    connect: |_, _, _| Step::Continue,
    disconnect: |_, _| Step::Continue,
    event: |_, _, _| Step::Continue,
    acked: ignore_ack,
    message: ignore_message,
};

/// A service that speaks Engine.IO alone.
static NONE: Service = Service { namespaces: &[], ..SEVERAL };

fn session(service: &'static Service) -> EngineSession {
    let newcomer = Newcomer { version: Version::V4, peer: PEER, agent: Agent::default(), service };
    EngineSession::new(&newcomer)
}

#[test]
fn a_session_is_in_the_namespaces_it_has_entered_and_not_left() {
    let session = session(&SEVERAL);
    session.enter(ROOT);
    session.enter("/b");
    assert_eq!([ROOT, "/a", "/b"].map(|namespace| session.is_in(namespace)), [true, false, true]);
    session.leave(ROOT);
    assert_eq!([ROOT, "/a", "/b"].map(|namespace| session.is_in(namespace)), [false, false, true]);
}

#[test]
fn a_session_is_unconnected_before_its_first_namespace_and_after_its_last() {
    let session = session(&SEVERAL);
    assert!(session.is_unconnected());
    session.enter("/a");
    assert!(!session.is_unconnected());
    session.leave("/a");
    assert!(session.is_unconnected());
}

#[test]
fn a_namespace_that_its_service_does_not_have_is_never_entered() {
    let session = session(&TURTED);
    session.enter("/a");
    assert!(!session.is_in("/a"));
    assert!(session.is_unconnected());
    session.enter(ROOT);
    session.leave("/a");
    assert!(session.is_in(ROOT), "another one is left");
}

#[test]
fn a_client_that_speaks_engine_io_alone_has_nothing_to_connect_to() {
    assert!(!session(&NONE).is_unconnected());
}

#[tokio::test]
async fn packets_wait_for_the_verification_of_a_handshake_once() {
    let session = session(&TURTED);
    session.handshake_verified().await;
    let (done, verified) = oneshot::channel();
    session.begin_verification(verified);
    assert!(session.is_verifying());
    let mut waiting = Box::pin(session.handshake_verified());
    assert!(poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context))).await.is_pending());
    done.send(()).unwrap();
    waiting.await;
    assert!(!session.is_verifying());
}

/// Every open connection of this transport owns one: up to 128 bytes the allocator gives no more.
#[test]
fn the_session_of_a_connection_is_small() {
    assert!(size_of::<EngineSession>() <= 128, "{} bytes", size_of::<EngineSession>());
}
