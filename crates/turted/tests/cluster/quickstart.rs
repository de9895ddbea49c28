//! The quick start of `docs/cluster.md`, line by line, on other ports.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::support::{eventually, ports};

const PAGE: &str = include_str!("../../../../docs/cluster.md");

/// What the page has people run, with ports that are free.
fn blocks() -> Vec<String> {
    let (_, section) = PAGE.split_once("## Three servers on your laptop\n").expect("the quick start");
    let (section, _) = section.split_once("\n## ").expect("an end of it");
    let blocks = section.split("```sh\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    let free: [u16; 7] = ports::free();
    let named = ["6380", "7117", "7118", "7126", "7127", "7136", "7137"];
    let renamed = |block: &str| {
        named
            .iter()
            .zip(free)
            .fold(block.to_owned(), |text, (port, free)| text.replace(port, &free.to_string()))
    };
    blocks.map(renamed).collect()
}

/// A shell with all that it starts.
struct Shell(Child);

impl Shell {
    fn run(script: &str, directory: &Path) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_turted")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script]).current_dir(directory).process_group(0);
        shell.env_clear().env("PATH", path).env("TMPDIR", directory).env("TURTED_ADMIN_LISTEN", "");
        Self(shell.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap())
    }

    fn lines(&mut self) -> impl Iterator<Item = String> {
        BufReader::new(self.0.stdout.take().unwrap()).lines().map_while(Result::ok)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

#[test]
fn the_quick_start_ends_with_an_event_that_crossed_nodes() {
    let directory = TempDir::new().unwrap();
    let blocks = blocks();
    let [start, subscribe, push] = &blocks[..] else { panic!("three blocks: {blocks:?}") };
    // The first server has the admin listener of the default, which others on this machine may have.
    let admin = start.split_once("for port in ").expect("a wait").1.split_once(' ').unwrap().0;
    let start = start.replacen(
        "turted --listen",
        &format!("TURTED_ADMIN_LISTEN=127.0.0.1:{admin} turted --listen"),
        1,
    );
    let mut servers = Shell::run(&format!("{start}\necho ready\nwait"), directory.path());
    assert!(servers.lines().any(|line| line == "ready"), "the servers are ready");
    let mut subscriber = Shell::run(&format!("exec {subscribe}"), directory.path());
    let mut events = subscriber.lines();
    let mut answers = Vec::new();
    eventually("the push reaches the client", || {
        answers.extend(Shell::run(push, directory.path()).lines());
        answers.last().is_some_and(|answer| answer.contains(r#""delivered":1"#))
    });
    assert!(answers.last().unwrap().contains(r#""nodes":3"#), "{answers:?}");
    assert!(events.any(|line| line.contains("MESSAGE:NEW")), "the client shows the event");
}
