//! Lines that are appended to files: whatever becomes of the files, each line is accepted, and none is half.

mod content;
mod full;
mod kills;
mod rotation;

use std::sync::{Arc, Mutex};

use turted::config::Config;
use turted::server::Server;

use super::support::{Logs, UP};
use crate::support::{TestServer, eventually};

/// A map for lines that are a number.
const NUMBERS: &str = "map = { match = '^n(?<n>\\d+)$', event = \"N{n}\", broadcast = true }\n";

/// A server and the numbers of the lines that it has accepted.
struct Counting {
    server: TestServer,
    accepted: Arc<Mutex<Vec<usize>>>,
}

impl Counting {
    /// Starts a server that has begun to read.
    fn start(config: Config) -> Self {
        let counting = Self::begin(config);
        eventually("the source is up", || counting.server.metric(UP) == 1);
        counting
    }

    /// Starts a server.
    fn begin(config: Config) -> Self {
        let server = Server::bind(config).unwrap();
        let accepted = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&accepted);
        server.dispatcher().on("*", move |dispatch| {
            seen.lock().unwrap().push(dispatch.event.as_str()[1..].parse().unwrap());
        });
        Self { server: TestServer::run(server), accepted }
    }

    /// Waits until so many lines were accepted, and returns their numbers.
    #[track_caller]
    fn wait(&self, count: usize) -> Vec<usize> {
        eventually(&format!("{count} lines are accepted"), || self.accepted.lock().unwrap().len() >= count);
        self.accepted.lock().unwrap().clone()
    }

    /// How many messages ended like this.
    fn outcome(&self, outcome: &str) -> usize {
        self.server.metric(&format!("turted_source_messages_total{{source=\"app\",outcome=\"{outcome}\"}}"))
    }

    fn gaps(&self) -> usize {
        self.server.metric(r#"turted_source_gaps_total{source="app"}"#)
    }
}

/// Writes numbered lines.
struct Numbered<'a> {
    logs: &'a Logs,
    next: usize,
}

impl<'a> Numbered<'a> {
    fn new(logs: &'a Logs) -> Self {
        Self { logs, next: 0 }
    }

    /// Appends so many lines to a file.
    fn write(&mut self, file: &str, count: usize) {
        let lines: String = (self.next..self.next + count).map(|number| format!("n{number}\n")).collect();
        self.logs.append(file, &lines);
        self.next += count;
    }

    /// Every number was accepted once and in order.
    #[track_caller]
    fn assert_all(&self, counting: &Counting) {
        assert_numbers(&counting.wait(self.next), (0..self.next).collect());
        assert_eq!(counting.outcome("skipped"), 0, "a half line does not match");
    }
}

/// The numbers are these. Only the first difference is shown.
#[track_caller]
fn assert_numbers(found: &[usize], expected: Vec<usize>) {
    let different = found.iter().zip(&expected).position(|(found, expected)| found != expected);
    assert_eq!(different.map(|at| (at, found[at], expected[at])), None, "place, found, expected");
    assert_eq!(found.len(), expected.len());
}
