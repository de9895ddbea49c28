//! Sessions that live by requests: how long they wait for their client, and what they leave behind.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::sync::oneshot::Receiver;
use tokio::time::sleep;
use turted_core::wire::sockjs::Transport as Way;

use super::super::keyed::Entry;
use super::super::mount::Mount;
use super::super::owner::{self, Operation, SessionPlace, SessionRequest};
use super::super::refusal::SockJsRefusal;
use super::super::state::Protocol;
use super::super::taken::Taken;
use super::*;
use crate::hub::worker::connection::Connection;
use crate::hub::worker::journal::Agent;
use crate::transport::testing::{PEER, closes, on_worker};
use crate::transport::v1;

const KEY: &str = "/turted/session";

type Taking = Receiver<Result<Taken, SockJsRefusal>>;

/// Asks for the next frame of the session.
fn poll(worker: &Rc<Worker>, mount: &Arc<Mount>) -> Taking {
    let (taker, taking) = oneshot::channel();
    let place =
        SessionPlace { mount: Arc::clone(mount), key: KEY.to_owned(), peer: PEER, agent: Agent::default() };
    owner::receive(worker, SessionRequest { place, operation: Operation::Take(Way::XhrPolling, taker) });
    taking
}

/// Opens the session, as its first request does.
fn open(worker: &Rc<Worker>) -> (Arc<Mount>, Rc<Connection>) {
    let mount = Arc::new(Mount::turted(&worker.config, None));
    assert_eq!(frame(&mut poll(worker, &mount)).as_deref(), Some("o"));
    let Some(Entry::Open(key)) = worker.part::<KeyedSessions>().get(KEY) else { panic!("it is open") };
    let connection = worker.registry.borrow().get(key).cloned();
    (mount, connection.unwrap())
}

/// The frame that a request took, if it has come.
fn frame(taking: &mut Taking) -> Option<String> {
    let taken = taking.try_recv().ok()?.unwrap();
    Some(taken.frame().into_owned())
}

fn is_known(worker: &Worker) -> bool {
    worker.part::<KeyedSessions>().get(KEY).is_some()
}

#[test]
fn a_session_that_no_request_comes_for_ends_and_is_forgotten() {
    on_worker(
        |_| {},
        async |worker| {
            let (mount, connection) = open(&worker);
            let delay = mount.options.disconnect_delay;
            sleep(delay - Duration::from_millis(1)).await;
            assert!(!connection.is_closed());
            sleep(Duration::from_millis(50)).await;
            assert!(connection.is_closed());
            assert_eq!(closes(&worker, "ping_timeout"), 1);
            assert!(!is_known(&worker), "the next one with this id is another");
        },
    );
}

/// What becomes of a client of turted.v1 that asks for this while the disk hangs: whether it is still there after so
/// long, and what it was told.
async fn ask(worker: &Rc<Worker>, command: &str, wait: Duration) -> (bool, Option<String>) {
    let (mount, connection) = open(worker);
    let client = Client::of(worker, &connection);
    connection.recovery_id.set(connection.session_id());
    SockJsSession::of(&connection).protocol.set(Protocol::V1);
    let mut taking = poll(worker, &mount);
    if let Step::Wait(told) = v1::receive(client, command) {
        worker.spawn(told);
    }
    sleep(wait).await;
    (!connection.is_closed(), frame(&mut taking))
}

#[test]
fn a_client_is_told_to_come_back_if_the_disk_does_not_answer() {
    const COMMANDS: [&str; 3] = [
        r#"{"do":"join","channel":"chat","id":1}"#,
        r#"{"do":"leave","channel":"chat","id":1}"#,
        r#"{"do":"ident","data":{"username":"alice"},"id":1}"#,
    ];
    for command in COMMANDS {
        for (wait, is_there, told) in [
            (Duration::from_millis(4_900), true, None),
            (Duration::from_millis(6_100), false, Some(r#"c[4102,"the log does not answer"]"#)),
        ] {
            on_worker(
                |_| {},
                async |worker| {
                    let seconds = Rc::clone(&worker.seconds);
                    worker.spawn(async move { seconds.run().await });
                    worker.sessions.hang();
                    let found = ask(&worker, command, wait).await;
                    assert_eq!(found, (is_there, told.map(str::to_owned)), "{command} after {wait:?}");
                    assert_eq!(closes(&worker, "log_slow"), u64::from(!is_there));
                },
            );
        }
    }
}

#[test]
fn a_request_that_waits_gets_a_heartbeat_and_keeps_its_session() {
    on_worker(
        |_| {},
        async |worker| {
            let (mount, connection) = open(&worker);
            for _ in 0..3 {
                let mut taking = poll(&worker, &mount);
                sleep(mount.options.heartbeat - Duration::from_millis(1)).await;
                assert_eq!(frame(&mut taking), None);
                sleep(Duration::from_millis(50)).await;
                assert_eq!(frame(&mut taking).as_deref(), Some("h"));
            }
            assert!(!connection.is_closed());
        },
    );
}

#[test]
fn the_last_words_of_a_session_stay_for_those_who_ask_and_then_go() {
    on_worker(
        |_| {},
        async |worker| {
            let (mount, connection) = open(&worker);
            connection.send_message(&worker, "unread");
            connection.close(&worker, Close::ByClient);
            let told = r#"c[1000,"closed by the client"]"#;
            assert_eq!(frame(&mut poll(&worker, &mount)).as_deref(), Some(r#"a["unread"]"#));
            assert_eq!(frame(&mut poll(&worker, &mount)).as_deref(), Some(told));
            assert_eq!(worker.shared.places.taken(), 1, "it counts as a session");
            sleep(mount.options.disconnect_delay + Duration::from_millis(50)).await;
            assert!(!is_known(&worker));
            assert_eq!(worker.shared.places.taken(), 0);
        },
    );
}

#[test]
fn a_session_whose_connection_broke_says_that_it_was_interrupted() {
    on_worker(
        |_| {},
        async |worker| {
            let (mount, connection) = open(&worker);
            connection.close(&worker, Close::TransportLost);
            let told = r#"c[1002,"Connection interrupted"]"#;
            assert_eq!(frame(&mut poll(&worker, &mount)).as_deref(), Some(told));
        },
    );
}

#[test]
fn what_a_slow_reader_did_not_take_is_given_up() {
    on_worker(
        |_| {},
        async |worker| {
            let (mount, connection) = open(&worker);
            connection.send_message(&worker, "unread");
            connection.cut(&worker);
            assert_eq!(frame(&mut poll(&worker, &mount)).as_deref(), Some(r#"c[4101,"slow reader"]"#));
        },
    );
}

#[test]
fn a_second_request_beside_one_that_waits_is_told_so_and_the_session_lives() {
    on_worker(
        |_| {},
        async |worker| {
            let (mount, connection) = open(&worker);
            let mut first = poll(&worker, &mount);
            let second = frame(&mut poll(&worker, &mount));
            assert_eq!(second.as_deref(), Some(r#"c[2010,"Another connection still open"]"#));
            connection.send_message(&worker, "a");
            assert_eq!(frame(&mut first).as_deref(), Some(r#"a["a"]"#));
        },
    );
}

#[test]
fn a_request_that_is_let_go_of_ends_its_session() {
    on_worker(
        |_| {},
        async |worker| {
            let (mount, connection) = open(&worker);
            drop(poll(&worker, &mount));
            assert!(!connection.is_closed(), "the worker has not heard of it");
            let told = r#"c[1002,"Connection interrupted"]"#;
            assert_eq!(frame(&mut poll(&worker, &mount)).as_deref(), Some(told));
            assert_eq!(closes(&worker, "transport_lost"), 1);
        },
    );
}
