//! Whatever happens to the broker, its queue or the connection: the source is told once to be down, is back by itself, and
//! nothing is lost.

use std::time::{Duration, Instant};

use lapin::BasicProperties;

use super::delivers;
use super::setup::{Setup, messages, source, up};
use crate::support::rabbitmq::{PASSWORD, RabbitMq, USER};
use crate::support::{Child, Kind, eventually, pause};

/// One server and one broker go through all of it, because each takes seconds to start. The pause before an attempt grows
/// until a connection has lasted for 10 s: the one to the frozen broker does.
#[test]
fn a_source_survives_what_happens_to_its_broker() {
    let mut broker = RabbitMq::start();
    let run = Run::start(&broker);
    broker.control(&["close_all_connections", "maintenance"]);
    run.is_down_for("320 CONNECTION_FORCED");
    run.is_back(&broker, "forced");

    broker.publisher().delete_queue("q");
    run.is_down_for("404 NOT_FOUND");
    broker.publisher().declare_queue("q", None);
    run.is_back(&broker, "queue made again");

    broker.control(&["change_password", USER, "another"]);
    broker.control(&["close_all_connections", "maintenance"]);
    run.is_down_for("403 ACCESS_REFUSED");
    broker.control(&["change_password", USER, PASSWORD]);
    run.is_back(&broker, "password changed back");

    broker.freeze();
    run.is_down_for("no sign of life within 10 s");
    broker.thaw();
    run.is_back(&broker, "thawed");

    broker.control(&["stop_app"]);
    run.is_down_for("cannot connect to 127.0.0.1:");
    broker.control(&["start_app"]);
    run.is_back(&broker, "application started");

    broker.kill();
    run.is_down_for("cannot connect to 127.0.0.1:");
    broker.run();
    run.is_back(&broker, "started again");

    run.consumes_while_publishers_are_blocked(&broker);
    run.end();
}

struct Run {
    setup: Setup,
    child: Child,
}

impl Run {
    fn start(broker: &RabbitMq) -> Self {
        let setup = Setup::new(broker);
        broker.publisher().declare_queue("q", None);
        let sources = source("q", "queue = \"q\"\nheartbeat = \"5 s\"");
        let child = setup.child(&sources, &[("TURTED_LOG_LEVEL", "debug")]);
        eventually("the source is up", || child.metric(&up("q")) == 1);
        Self { setup, child }
    }

    /// Waits until operators are told this reason.
    fn is_down_for(&self, reason: &str) {
        patiently(reason, || {
            let answer = self.child.admin().get("/api/v1/sources").json();
            answer["sources"][0]["failure"].as_str().is_some_and(|failure| failure.contains(reason))
        });
        assert_eq!(self.child.admin().get("/ready").status, 200);
    }

    /// Waits until there is a connection again, on which a message is delivered.
    fn is_back(&self, broker: &RabbitMq, event: &str) {
        patiently("there is a connection again", || self.child.metric(&up("q")) == 1);
        // A client of its own: none answers pings while the test waits.
        let mut client = self.child.client(Kind::V4_WEBSOCKET);
        delivers(&broker.publisher(), "q", &mut client, event);
        client.leave();
    }

    /// An alarm blocks publishers, and no consumer.
    fn consumes_while_publishers_are_blocked(&self, broker: &RabbitMq) {
        let publisher = broker.publisher();
        publisher.declare_queue("late", None);
        let bodies = (0..500).map(|number| format!(r#"{{"event":"late","payload":{number}}}"#));
        publisher.publish_all("", "late", bodies, &BasicProperties::default());
        broker.control(&["set_vm_memory_high_watermark", "0.000001"]);
        eventually("there is an alarm", || broker.log().contains("memory resource limit alarm set"));
        let server = self.setup.server(&source("late", "queue = \"late\""));
        eventually("all is consumed", || server.metric(&messages("late", "accepted")) == 500);
        eventually("all is acknowledged", || publisher.count("late") == (0, 1));
        assert_eq!(self.child.metric(&up("q")), 1);
        server.stop();
    }

    fn end(self) {
        let log = self.child.stop();
        assert!(log.contains("the broker cancelled the consumer"), "{log}");
        assert!(!log.contains(PASSWORD) && !log.contains("another"), "{log}");
        let (down, back) =
            (log.matches("the source is down").count(), log.matches("the source is back").count());
        assert_eq!((down, back), (6, 6), "each loss is told once, and its end: {log}");
    }
}

/// Waits until `done`, for as long as the pause between two attempts may last.
fn patiently(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        pause(Duration::from_millis(20));
    }
}
