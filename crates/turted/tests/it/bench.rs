//! The load generator, loading a server.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::TestServer;

/// What `turted bench` says with these arguments.
fn report(server: &TestServer, arguments: &[&str]) -> Value {
    let url = format!("http://{}", server.address());
    let mut command = Command::new(env!("CARGO_BIN_EXE_turted"));
    command.args(["bench", "--json", "--url", &url]).args(arguments);
    let done = command.env_clear().stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

#[test]
fn of_more_pushers_than_events_may_be_outstanding_none_waits_for_good() {
    let server = TestServer::new();
    let arguments = ["--connections", "2", "--inflight", "1", "--pushers", "4", "--duration", "300ms"];
    let report = report(&server, &arguments);
    let load = &report["load"];
    assert_eq!((&load["gave_up"], &load["lost"]), (&Value::Bool(false), &0.into()), "{report}");
    assert!(load["deliveries"].as_u64().unwrap() > 0);
}
