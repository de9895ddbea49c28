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
    let spread = Spread::Channels(4);
    let line = Line::parse_from([&["bench"], options].concat());
    let plan = Plan {
        target: Target {
            address: server.address,
            authority: server.address.to_string(),
            password: Some(Secret::from(PASSWORD.to_owned())),
        },
        protocol: line.args.protocol(spread).unwrap(),
        clients: Clients { reading: 10, stalled: 0, churned: 4, threads: 2 },
        spread,
        turn: Turn::Random,
        load: Load::Inflight(1),
        idle: Duration::from_millis(50),
        duration: Duration::from_secs(1),
        payload_bytes: 64,
        pushers: 2,
        process: Some(std::process::id()),
        patience,
    };
    run(plan, |_| {})
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
