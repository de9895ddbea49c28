//! The presets of servers of others, against a small server that speaks their protocols strictly.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod dialect;
mod server;

use std::thread;
use std::time::Duration;

use clap::Parser;
use turted_bench::plan::{Clients, Load, Plan, Spread, Target, Turn};
use turted_bench::protocol::ProtocolArgs;
use turted_bench::report::Report;
use turted_bench::{BenchError, run};
use turted_core::secret::Secret;

use dialect::{Dialect, PASSWORD};
use server::{Fault, Server};

const CENTRIFUGO: &[&str] = &["--protocol", "centrifugo"];
const DIALECTS: [(Dialect, &[&str]); 4] = [
    (Dialect::Centrifugo, CENTRIFUGO),
    (Dialect::CentrifugoSse, &["--protocol", "centrifugo", "--transport", "sse"]),
    (Dialect::ActionCable, &["--protocol", "actioncable"]),
    (Dialect::Mercure, &["--protocol", "mercure"]),
];

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: ProtocolArgs,
}

/// Loads a server: ten clients in four channels.
fn load(server: &Server, options: &[&str], patience: Duration) -> Result<Report, BenchError> {
    run(plan(server, options, patience), |_| {})
}

fn plan(server: &Server, options: &[&str], patience: Duration) -> Plan {
    let spread = Spread::Channels(4);
    let line = Line::parse_from([&["bench"], options].concat());
    Plan {
        target: Target {
            tls: None,
            address: server.address,
            authority: server.address.to_string(),
            password: Some(Secret::from(PASSWORD.to_owned())),
        },
        protocol: line.args.protocol(spread).unwrap(),
        clients: Clients { reading: 10, stalled: 0, churned: 4, threads: 2, opening: 64 },
        spread,
        joins: 1,
        turn: Turn::Random,
        load: Load::Inflight(1),
        idle: Duration::from_millis(50),
        missed: 0,
        duration: Duration::from_secs(1),
        payload_bytes: 64,
        pushers: 2,
        process: Some(std::process::id()),
        patience,
    }
}

/// Fifty clients in four channels lose their connections, miss 30 events each, and come back. Then the load goes on.
fn come_back(dialect: Dialect, options: &[&str], fault: Fault, patience: Duration) -> Report {
    let server = Server::start(dialect, fault);
    let plan = plan(&server, options, patience);
    let plan = Plan { missed: 30, clients: Clients { reading: 50, ..plan.clients }, ..plan };
    let report = run(plan, |_| {}).unwrap();
    let notes = server.notes();
    assert!(notes.iter().all(|note| note == "pong"), "{dialect:?}: {notes:?}");
    report
}

/// The protocols whose clients can come back to what they missed.
fn each_that_comes_back(check: impl Fn(Dialect, &[&str]) + Sync) {
    each(|dialect, options| {
        if dialect != Dialect::ActionCable {
            check(dialect, options);
        }
    });
}

#[test]
fn all_clients_come_back_to_what_they_missed() {
    each_that_comes_back(|dialect, options| {
        let report = come_back(dialect, options, Fault::None, LONG);
        assert!(report.is_clean(), "{dialect:?}: {report}");
        let back = report.comeback.unwrap();
        assert_eq!((back.clients, back.missed, back.deliveries), (50, 30, 50 * 31), "{dialect:?}: {report}");
        assert!(
            back.cpu_us_per_client.is_some() && back.rss_peak >= back.rss_before,
            "{dialect:?}: {report}"
        );
        assert!(report.load.deliveries >= 2, "{dialect:?}: {report}");
    });
}

#[test]
fn what_a_server_has_forgotten_is_lost() {
    each_that_comes_back(|dialect, options| {
        let report = come_back(dialect, options, Fault::Forgets, SHORT);
        let back = report.comeback.unwrap();
        assert_eq!((back.lost, back.deliveries, report.load.lost), (50 * 30, 50, 0), "{dialect:?}: {report}");
        assert!(!report.is_clean(), "{dialect:?}: {report}");
    });
}

#[test]
fn what_a_server_repeats_is_doubled() {
    each_that_comes_back(|dialect, options| {
        let report = come_back(dialect, options, Fault::Repeats, LONG);
        let back = report.comeback.unwrap();
        let found = (back.lost, back.duplicated, back.disordered, report.load.duplicated);
        assert_eq!(found, (0, 50, 0, 0), "{dialect:?}: {report}");
        assert!(!report.is_clean(), "{dialect:?}: {report}");
    });
}

/// For what comes.
const LONG: Duration = Duration::from_secs(60);
/// For what does not come, after a connection that does.
const SHORT: Duration = Duration::from_secs(5);

/// Does the same with each protocol, at once, because all of them wait.
fn each(check: impl Fn(Dialect, &[&str]) + Sync) {
    thread::scope(|scope| {
        for (dialect, options) in DIALECTS {
            let check = &check;
            scope.spawn(move || check(dialect, options));
        }
    });
}

#[test]
fn every_preset_connects_receives_and_answers_signs_of_life() {
    each(|dialect, options| {
        let server = Server::start(dialect, Fault::None);
        let report = load(&server, options, LONG).unwrap();
        assert!(report.is_clean(), "{dialect:?}: {report}");
        assert_eq!(report.connects.opened, 10, "{dialect:?}");
        assert!(report.idle.unwrap().cpu_us.is_some() && report.server.is_some(), "{dialect:?}: {report}");
        assert!(report.load.deliveries >= 2, "{dialect:?}: {report}");
        if dialect == Dialect::Centrifugo {
            server.wait_for("pong");
        }
        let notes = server.notes();
        let is_expected = |note: &String| dialect == Dialect::Centrifugo && note == "pong";
        assert!(notes.iter().all(is_expected), "{dialect:?}: {notes:?}");
    });
}

/// What the report says first about a server that fails.
fn complaint(dialect: Dialect, options: &[&str], fault: Fault, patience: Duration) -> String {
    let server = Server::start(dialect, fault);
    let report = load(&server, options, patience).unwrap();
    assert!(!report.is_clean(), "{dialect:?} {fault:?}: {report}");
    report.complaint.unwrap_or_default()
}

#[test]
fn a_server_that_refuses_is_quoted() {
    each(|dialect, options| {
        let text = match dialect {
            Dialect::Centrifugo => "permission denied",
            Dialect::CentrifugoSse => "bad request",
            Dialect::ActionCable => "reject_subscription",
            Dialect::Mercure => "403 Forbidden",
        };
        let complaint = complaint(dialect, options, Fault::Refuses, LONG);
        assert!(complaint.starts_with("refused: ") && complaint.contains(text), "{dialect:?}: {complaint}");
    });
}

#[test]
fn a_server_that_never_acknowledges_is_told_with_what_was_not_heard() {
    each(|dialect, options| {
        let text = match dialect {
            Dialect::Centrifugo => r#"heard no "id":2"#,
            Dialect::CentrifugoSse => r#"heard no "connect":{"#,
            Dialect::ActionCable => r#"heard no "type":"confirm_subscription""#,
            Dialect::Mercure => "not ready within 5s",
        };
        let complaint = complaint(dialect, options, Fault::IsSilent, SHORT);
        assert!(complaint.contains(text), "{dialect:?}: {complaint}");
    });
}

#[test]
fn a_server_that_closes_in_the_middle_is_told() {
    each(|dialect, options| {
        let complaint = complaint(dialect, options, Fault::Closes, SHORT);
        assert_eq!(complaint, "closed by the server", "{dialect:?}");
    });
}

#[test]
fn a_push_that_is_answered_500_or_not_at_all_ends_the_run() {
    let fail =
        |fault| load(&Server::start(Dialect::Centrifugo, fault), CENTRIFUGO, SHORT).unwrap_err().to_string();
    assert_eq!(fail(Fault::Breaks), "a push was answered 500 Internal Server Error: out of order");
    assert_eq!(fail(Fault::IsDeaf), "a push was not answered within 5s");
}

#[test]
fn a_push_without_its_password_is_refused_with_the_answer() {
    let server = Server::start(Dialect::Mercure, Fault::None);
    let options = ["--protocol", "mercure", "--push-header", "Authorization: Bearer {password}x"];
    let error = load(&server, &options, LONG).unwrap_err().to_string();
    assert_eq!(error, "a push was answered 400 Bad Request: no token");
}
