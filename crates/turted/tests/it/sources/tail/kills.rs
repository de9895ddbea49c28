//! A server that is killed: what it had accepted comes again at most 1,000 lines a kill, and nothing is lost.
//!
//! The server is this test binary, run again: it embeds turted and writes each number to its standard output when it is
//! accepted, before its offset can be written down.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};

use turted::config::{Config, ConfigFile, Sources};
use turted::server::Server;

use super::{Logs, NUMBERS, Numbered};
use crate::support::{PATIENCE, Random};

/// The file with the configuration of the server that this process is to be.
const ROLE: &str = "TURTED_TEST_TAIL";
/// Lines that a kill may have come again: those between two checkpoints.
const AGAIN_MAX: usize = 1_000;

/// No test: the server that others kill.
#[test]
#[ignore = "it is run by others"]
fn a_server_that_is_killed() {
    let Some(file) = std::env::var_os(ROLE) else { return };
    let file = ConfigFile::Named(PathBuf::from(file));
    let config = Config::load(&Sources { file, variables: Vec::new(), flags: Vec::new() }).unwrap();
    let server = Server::bind(config).unwrap();
    server.dispatcher().on("*", |dispatch| {
        let mut line = dispatch.event.as_str()[1..].to_owned();
        line.push('\n');
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(server.run(std::future::pending())).unwrap();
}

struct Victim {
    process: Child,
    numbers: Receiver<usize>,
}

impl Victim {
    fn start(config: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sources::tail::kills::a_server_that_is_killed", "--ignored", "--nocapture"])
            .env(ROLE, config)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, numbers) = sync_channel(1 << 20);
        std::thread::spawn(move || {
            // The first lines are those of the test harness. The last one may be half.
            let lines = output.lines().map_while(Result::ok);
            lines.filter_map(|line| line.parse().ok()).all(|number| sender.send(number).is_ok());
        });
        Self { process, numbers }
    }

    /// Kills it, and returns all that it has accepted and `seen` does not have.
    fn kill(mut self, seen: &mut Vec<usize>) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        seen.extend(self.numbers.iter());
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes `lines` numbered lines, rotates `rotations` times by renaming, and kills the server `kills` times meanwhile.
pub(super) fn check(lines: usize, rotations: usize, kills: usize) {
    let logs = Logs::new();
    logs.config(&format!("from = \"start\"\n{NUMBERS}"));
    let config = logs.path("turted.toml");
    let (mut numbered, mut random) = (Numbered::new(&logs), Random::new(15));
    let mut seen = Vec::new();
    for _ in 0..=kills {
        let victim = Victim::start(&config);
        let before = seen.len();
        let (share, rotate) = (lines / (kills + 1), rotations.div_ceil(kills + 1));
        for _ in 0..rotate {
            numbered.write("a.log", share / rotate);
            let rotated = format!("a.log.{}", numbered.next);
            std::fs::rename(logs.path("a.log"), logs.path(&rotated)).unwrap();
        }
        // Killed in the midst of it: after any part of the lines of this round.
        let until = before + 1 + random.below(share);
        while seen.len() < until {
            seen.push(victim.numbers.recv_timeout(PATIENCE).expect("lines are accepted"));
        }
        victim.kill(&mut seen);
    }
    let last = Victim::start(&config);
    let mut distinct: BTreeSet<usize> = seen.iter().copied().collect();
    while distinct.len() < numbered.next {
        let number = last.numbers.recv_timeout(PATIENCE).expect("nothing is lost");
        distinct.insert(number);
        seen.push(number);
    }
    last.kill(&mut seen);
    let doubled = seen.len() - numbered.next;
    println!("{lines} lines, {rotations} rotations, {kills} kills: {doubled} lines came again");
    assert!(doubled <= AGAIN_MAX * (kills + 1), "{doubled} lines came again");
}

#[test]
fn a_killed_server_loses_no_line_and_doubles_at_most_a_checkpoint() {
    check(20_000, 6, 3);
}

#[test]
#[ignore = "minutes: just soak-sources"]
fn soak_a_million_lines_fifty_rotations_and_ten_kills() {
    check(1_000_000, 50, 10);
}
