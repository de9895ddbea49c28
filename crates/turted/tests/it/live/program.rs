//! The program as its user runs it: lines of its output as they come, and how it ends.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;

use crate::support::{PATIENCE, eventually};

/// A running program.
pub(super) struct Program {
    process: std::process::Child,
    lines: Receiver<String>,
    errors: Option<JoinHandle<String>>,
}

impl Program {
    pub(super) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_turted"))
            .args(arguments)
            .env_clear()
            .envs(variables.iter().copied())
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (output, mut complaints) = (process.stdout.take().unwrap(), process.stderr.take().unwrap());
        let (sender, lines) = sync_channel(10_000);
        std::thread::spawn(move || {
            // A test that has seen enough drops the other side, and with that the pipe is closed.
            BufReader::new(output).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = complaints.read_to_string(&mut text);
            text
        });
        Self { process, lines, errors: Some(errors) }
    }

    /// The next line, which must come.
    pub(super) fn line(&self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("no line within {PATIENCE:?}"),
            Err(RecvTimeoutError::Disconnected) => panic!("the program has ended"),
        }
    }

    /// The same as JSON.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// Reads nothing more.
    pub(super) fn close_pipe(&mut self) {
        let (_, none) = sync_channel(1);
        self.lines = none;
    }

    /// Waits for its end. Returns its exit code, what it printed that was not read, and what it complained of.
    pub(super) fn end(mut self) -> (Option<i32>, String, String) {
        eventually("the program ends", || self.process.try_wait().unwrap().is_some());
        let code = self.process.wait().unwrap().code();
        let rest: Vec<_> = self.lines.iter().collect();
        (code, rest.join("\n"), self.errors.take().unwrap().join().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Only a test that failed, or that is done with it, leaves it running.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
