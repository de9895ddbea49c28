//! Which packets a client may send, in which order, and what comes of the others.

use std::rc::Rc;

use turted_core::wire::engineio::Packet as Engine;

use super::super::service::ROOT;
use super::super::state::{self, Newcomer};
use super::super::turted::TURTED;
use super::*;
use crate::hub::delivery::metrics::Carrier;
use crate::hub::delivery::outlet::Outlet;
use crate::hub::worker::connection::Connection;
use crate::hub::worker::journal::Agent;
use crate::hub::worker::worker::Worker;
use crate::transport::testing::{PEER, Recorder, closes, on_worker};

/// A client and what it hears.
struct Visit {
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    recorder: Recorder,
    /// How many clients had broken a rule before.
    violations: u64,
}

impl Visit {
    fn new(worker: &Rc<Worker>, version: Version) -> Self {
        let newcomer = Newcomer { version, peer: PEER, agent: Agent::default(), service: &TURTED };
        let recorder = Recorder::new(Carrier::WebSocket);
        let outlet = Outlet::Requests(Box::new(recorder.clone()));
        let connection = state::open(worker, &newcomer, EngineSession::new(&newcomer), outlet);
        Self { worker: Rc::clone(worker), connection, recorder, violations: closes(worker, "violation") }
    }

    /// The same, connected.
    fn connected(worker: &Rc<Worker>) -> Self {
        let visit = Self::new(worker, Version::V4);
        visit.say("40");
        assert!(visit.hear().starts_with("40"));
        visit
    }

    fn send(&self, packet: &Engine<'_>) {
        drop(receive(Client::of(&self.worker, &self.connection), packet));
    }

    /// Sends a message, behind the digit of Engine.IO.
    fn say(&self, packet: &str) {
        let packet = Engine::decode_text(Version::V4, packet).unwrap();
        self.send(&packet);
    }

    /// The one message that came.
    fn hear(&self) -> String {
        let mut heard = self.recorder.heard();
        assert_eq!(heard.len(), 1, "{heard:?}");
        heard.remove(0)
    }

    /// Whether it was closed because it broke a rule.
    fn broke_a_rule(&self) -> bool {
        self.connection.is_closed() && closes(&self.worker, "violation") == self.violations + 1
    }
}

#[test]
fn heartbeats_are_asked_for_by_one_side_in_each_version() {
    on_worker(
        |_| {},
        async |worker| {
            let visit = Visit::new(&worker, Version::V3);
            visit.send(&Engine::Ping(""));
            assert_eq!(visit.hear(), "3");
            let visit = Visit::new(&worker, Version::V4);
            visit.send(&Engine::Pong(""));
            assert!(!visit.connection.is_closed());
            for (version, packet) in [(Version::V3, Engine::Pong("")), (Version::V4, Engine::Ping(""))] {
                let visit = Visit::new(&worker, version);
                visit.send(&packet);
                assert!(visit.broke_a_rule(), "{version:?}");
            }
        },
    );
}

#[test]
fn a_client_connects_once_before_all_else() {
    on_worker(
        |_| {},
        async |worker| {
            for early in [r#"42["ECHO",1]"#, "451-[\"ECHO\",{\"_placeholder\":true,\"num\":0}]"] {
                let visit = Visit::new(&worker, Version::V4);
                visit.say(early);
                assert!(visit.broke_a_rule(), "{early}");
            }
            let visit = Visit::connected(&worker);
            visit.say(r#"42["ECHO",1]"#);
            assert_eq!(visit.hear(), r#"42["ECHO",1]"#);
            visit.say("40");
            assert!(visit.broke_a_rule(), "a second time");
        },
    );
}

#[test]
fn a_namespace_that_is_not_there_is_refused_and_the_session_lives() {
    on_worker(
        |_| {},
        async |worker| {
            let visit = Visit::new(&worker, Version::V4);
            visit.say("40/other,");
            assert_eq!(visit.hear(), r#"44/other,{"message":"Invalid namespace"}"#);
            assert!(!EngineSession::of(&visit.connection).is_in(ROOT));
            visit.say("40");
            assert!(visit.hear().starts_with("40{"));
        },
    );
}

#[test]
fn events_of_the_protocol_itself_are_not_for_clients_to_send() {
    on_worker(
        |_| {},
        async |worker| {
            for name in ["connect", "disconnect", "connect_error"] {
                let visit = Visit::connected(&worker);
                visit.say(&format!(r#"42["{name}",1]"#));
                assert!(visit.broke_a_rule(), "{name}");
            }
        },
    );
}

#[test]
fn a_binary_message_belongs_to_a_packet_that_announced_it() {
    on_worker(
        |_| {},
        async |worker| {
            let visit = Visit::connected(&worker);
            visit.send(&Engine::Binary(vec![1, 2].into()));
            assert!(visit.broke_a_rule());
        },
    );
}

#[test]
fn binary_events_are_refused_with_their_attachments_and_the_session_goes_on() {
    on_worker(
        |_| {},
        async |worker| {
            let visit = Visit::connected(&worker);
            let places = r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#;
            visit.say(&format!(r#"452-["ECHO",{places}]"#));
            assert!(visit.hear().contains(BINARY));
            visit.send(&Engine::Binary(vec![1].into()));
            visit.send(&Engine::Binary(vec![2].into()));
            visit.say(r#"42["ECHO",1]"#);
            assert_eq!(visit.hear(), r#"42["ECHO",1]"#);
            visit.send(&Engine::Binary(vec![3].into()));
            assert!(visit.broke_a_rule(), "one more than was announced");
        },
    );
}

#[test]
fn no_text_comes_between_a_packet_and_its_attachments() {
    on_worker(
        |_| {},
        async |worker| {
            let visit = Visit::connected(&worker);
            visit.say(r#"451-["ECHO",{"_placeholder":true,"num":0}]"#);
            visit.say(r#"42["ECHO",1]"#);
            assert!(visit.broke_a_rule());
        },
    );
}

#[test]
fn a_message_may_have_as_many_bytes_as_the_limit_and_no_more() {
    on_worker(
        |config| config.limits.message_bytes = 100,
        async |worker| {
            // The digit of Engine.IO is not part of the message.
            let echo = |bytes: usize| format!(r#"42["ECHO",["{}"]]"#, "x".repeat(bytes - 14));
            let visit = Visit::connected(&worker);
            visit.say(&echo(100));
            assert_eq!(visit.hear(), echo(100));
            visit.say(&echo(101));
            assert!(visit.broke_a_rule());
        },
    );
}

#[test]
fn a_client_that_says_too_much_is_told_so_and_closed() {
    on_worker(
        |config| config.limits.message_burst = 3,
        async |worker| {
            // Its first packet was the one that connected it.
            let visit = Visit::connected(&worker);
            for _ in 0..2 {
                visit.say(r#"42["ECHO",1]"#);
                assert_eq!(visit.hear(), r#"42["ECHO",1]"#);
            }
            visit.say(r#"42["ECHO",1]"#);
            assert!(visit.hear().contains(RATE_LIMITED));
            assert!(visit.connection.is_closed());
            assert_eq!(closes(&worker, "rate_limited"), 1);
        },
    );
}

#[test]
fn a_good_bye_of_either_protocol_ends_the_session() {
    on_worker(
        |_| {},
        async |worker| {
            let visit = Visit::connected(&worker);
            visit.say("41");
            assert!(visit.connection.is_closed());
            assert_eq!(closes(&worker, "by_client"), 1);
            let visit = Visit::connected(&worker);
            visit.send(&Engine::Close);
            assert!(visit.connection.is_closed());
            assert_eq!(closes(&worker, "transport_lost"), 1);
        },
    );
}
