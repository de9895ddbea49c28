//! A command that is run for each event, with the payload on its standard input.

use std::io::{self, Write};
use std::process::{Command, ExitStatus, Stdio};

use tokio::task::{JoinHandle, spawn_blocking};

use super::event::Event;

/// What is known of an event stands in these variables too.
const VARIABLES: [&str; 3] = ["TURTED_EVENT", "TURTED_VIA", "TURTED_CURSOR"];

/// What the command is not told: it handles what others push.
const SECRETS: [&str; 3] = ["TURTED_TOKEN", "TURTED_ADMIN_TOKEN", "TURTED_PUSH_PASSWORD"];

/// Runs the command, without a shell.
pub(super) fn run(command: &[String], event: &Event) -> JoinHandle<io::Result<ExitStatus>> {
    let (program, arguments) = command.split_first().expect("--exec takes one value at least");
    let mut command = Command::new(program);
    let values = [&event.name, &event.via, &event.cursor];
    for secret in SECRETS {
        command.env_remove(secret);
    }
    command.args(arguments).envs(VARIABLES.into_iter().zip(values)).stdin(Stdio::piped());
    let payload = event.payload.clone();
    spawn_blocking(move || {
        let mut child = command.spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // A command need not read it.
            let _ = input.write_all(payload.as_bytes());
        }
        child.wait()
    })
}
