//! The deadlines of a session.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::super::service::ROOT;
use super::super::state::{self, Newcomer};
use super::super::turted::TURTED;
use super::*;
use crate::hub::delivery::metrics::Carrier;
use crate::hub::worker::connection::Connection;
use crate::hub::worker::journal::Agent;
use crate::transport::testing::{PEER, Recorder, closes, on_worker};

/// Longer than a worker is late.
const LATE: Duration = Duration::from_millis(50);

fn open(worker: &Rc<Worker>, version: Version, recorder: &Recorder) -> Rc<Connection> {
    let newcomer = Newcomer { version, peer: PEER, agent: Agent::default(), service: &TURTED };
    let outlet = Outlet::Requests(Box::new(recorder.clone()));
    state::open(worker, &newcomer, EngineSession::new(&newcomer), outlet)
}

/// What a client sends on a WebSocket.
fn say(worker: &Rc<Worker>, connection: &Rc<Connection>, text: &str) {
    drop(connection.session.receive(Client::of(worker, connection), &Message::Text(text)));
}

#[test]
fn a_client_of_version_4_that_never_connects_is_closed() {
    on_worker(
        |_| {},
        async |worker| {
            let recorder = Recorder::new(Carrier::WebSocket);
            let (silent, connected) =
                (open(&worker, Version::V4, &recorder), open(&worker, Version::V4, &recorder));
            say(&worker, &connected, "40");
            sleep(worker.config.socketio.connect_timeout + LATE).await;
            assert!(silent.is_closed());
            assert_eq!(closes(&worker, "connect_timeout"), 1);
            assert!(!connected.is_closed());
        },
    );
}

#[test]
fn a_client_of_version_4_that_does_not_answer_a_heartbeat_is_closed() {
    on_worker(
        |_| {},
        async |worker| {
            let recorder = Recorder::new(Carrier::WebSocket);
            let connection = open(&worker, Version::V4, &recorder);
            EngineSession::of(&connection).enter(ROOT);
            let config = &worker.config.socketio;
            sleep(config.ping_interval + LATE).await;
            assert_eq!(recorder.heard(), [PING]);
            sleep(config.ping_timeout - LATE * 2).await;
            assert!(!connection.is_closed());
            sleep(LATE * 2).await;
            assert_eq!(closes(&worker, "ping_timeout"), 1);
        },
    );
}

#[test]
fn a_client_of_version_4_that_answers_its_heartbeats_stays() {
    on_worker(
        |_| {},
        async |worker| {
            let recorder = Recorder::new(Carrier::WebSocket);
            let connection = open(&worker, Version::V4, &recorder);
            EngineSession::of(&connection).enter(ROOT);
            for _ in 0..5 {
                sleep(worker.config.socketio.ping_interval).await;
                sleep(LATE).await;
                assert_eq!(recorder.heard(), [PING]);
                say(&worker, &connection, "3");
            }
            assert!(!connection.is_closed());
        },
    );
}

#[test]
fn a_client_of_version_3_that_is_silent_is_closed_and_one_that_says_anything_stays() {
    on_worker(
        |_| {},
        async |worker| {
            let recorder = Recorder::new(Carrier::WebSocket);
            let (silent, alive) =
                (open(&worker, Version::V3, &recorder), open(&worker, Version::V3, &recorder));
            let config = &worker.config.socketio;
            sleep(config.ping_interval).await;
            say(&worker, &alive, "2");
            assert_eq!(recorder.heard(), ["3"]);
            sleep(config.ping_timeout + LATE).await;
            assert!(silent.is_closed());
            assert!(!alive.is_closed());
            sleep(config.ping_interval).await;
            assert!(alive.is_closed(), "it was silent for as long now");
            assert_eq!(closes(&worker, "ping_timeout"), 2);
        },
    );
}

#[test]
fn a_client_that_still_takes_what_was_sent_is_not_taken_for_silent() {
    on_worker(
        |_| {},
        async |worker| {
            let recorder = Recorder::being_taken(Carrier::WebSocket);
            let connection = open(&worker, Version::V3, &recorder);
            sleep((worker.config.socketio.ping_interval + worker.config.socketio.ping_timeout) * 3).await;
            assert!(!connection.is_closed());
        },
    );
}

#[test]
fn a_session_that_missed_its_deadline_is_closed_also_before_its_timer_says_so() {
    on_worker(
        |_| {},
        async |worker| {
            let connection = open(&worker, Version::V3, &Recorder::new(Carrier::WebSocket));
            assert!(state::is_in_time(Client::of(&worker, &connection)));
            let config = &worker.config.socketio;
            tokio::time::advance(config.ping_interval + config.ping_timeout).await;
            assert!(!state::is_in_time(Client::of(&worker, &connection)));
            assert_eq!(closes(&worker, "ping_timeout"), 1);
        },
    );
}

#[test]
fn a_frame_that_is_no_packet_breaks_a_rule() {
    on_worker(
        |_| {},
        async |worker| {
            for text in ["", "x", "9"] {
                let connection = open(&worker, Version::V4, &Recorder::new(Carrier::WebSocket));
                say(&worker, &connection, text);
                assert!(connection.is_closed(), "{text:?}");
            }
            assert_eq!(closes(&worker, "violation"), 3);
        },
    );
}
