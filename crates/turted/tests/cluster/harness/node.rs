//! A node: `turted` as a child, with a way to Redis of its own.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::proxy::Proxy;
use super::request::{Answer, get, post};
use crate::support::{Child, pause};

/// The variable that names a configuration file, if a node has one.
pub(crate) const FILE: &str = "FILE";
/// How long a node that stands still is waited for.
const ANSWER: Duration = Duration::from_secs(5);

/// Where the nodes are: clients and backends take any of them. A node that is killed stays, as a balancer does not know at
/// once.
#[derive(Default)]
pub(crate) struct Directory(RwLock<Vec<Option<SocketAddr>>>);

impl Directory {
    pub(crate) fn address(&self, place: usize) -> Option<SocketAddr> {
        *self.0.read().unwrap().get(place)?
    }

    pub(crate) fn set(&self, place: usize, address: Option<SocketAddr>) {
        let mut places = self.0.write().unwrap();
        if places.len() <= place {
            places.resize(place + 1, None);
        }
        places[place] = address;
    }

    /// The places of those that clients may go to.
    pub(crate) fn open(&self) -> Vec<usize> {
        let places = self.0.read().unwrap();
        (0..places.len()).filter(|place| places[*place].is_some()).collect()
    }
}

pub(crate) struct Node {
    child: Option<Child>,
    place: usize,
    variables: Vec<(String, String)>,
    directory: Arc<Directory>,
    pub(crate) proxy: Proxy,
}

impl Node {
    /// Starts a node with these variables, in this place of the directory. It need not be ready.
    pub(crate) fn start(
        place: usize,
        proxy: Proxy,
        variables: Vec<(String, String)>,
        directory: &Arc<Directory>,
    ) -> Self {
        let mut node = Self { child: None, place, variables, directory: Arc::clone(directory), proxy };
        node.run();
        node
    }

    /// Starts its program again.
    pub(crate) fn run(&mut self) {
        let variables: Vec<_> = self.variables.iter().map(|(name, value)| (&**name, &**value)).collect();
        let child = match self.variables.iter().any(|(name, _)| name == FILE) {
            false => Child::start(&variables),
            true => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", "exec \"$@\" --config \"$FILE\"", "sh"]);
                Child::start_by(shell, &variables)
            }
        };
        self.directory.set(self.place, Some(child.address()));
        self.child = Some(child);
    }

    pub(crate) fn child(&self) -> &Child {
        self.child.as_ref().expect("the node runs")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.child().address()
    }

    pub(crate) fn kill(&mut self) {
        self.child.take().expect("the node runs").kill();
    }

    pub(crate) fn freeze(&self) {
        self.child().signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.child().signal(Signal::CONT);
    }

    /// Ends it as an operator does, and returns what it wrote. New clients are sent elsewhere.
    pub(crate) fn stop(&mut self) -> String {
        self.begin_to_stop();
        self.finish()
    }

    /// Tells it to end, and waits for nothing.
    pub(crate) fn begin_to_stop(&self) {
        self.directory.set(self.place, None);
        self.child().signal(Signal::TERM);
    }

    /// Waits for its end, and returns what it wrote.
    pub(crate) fn finish(&mut self) -> String {
        self.child.take().expect("the node runs").finish()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(Child::is_running)
    }

    /// What the admin listener says to this.
    pub(crate) fn admin(&self, target: &str) -> Option<Answer> {
        get(self.child.as_ref()?.admin_address(), target, ANSWER)
    }

    pub(crate) fn status(&self, target: &str) -> Option<u16> {
        Some(self.admin(target)?.status)
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.status("/ready") == Some(200)
    }

    /// Waits until it follows the log.
    pub(crate) fn await_ready(&self, within: Duration) {
        let what = || {
            let said = self.admin("/ready").map(|answer| (answer.status, answer.body));
            format!("node {} is ready: {said:?}", self.place)
        };
        until(what, within, || self.is_ready());
    }

    /// Pushes as text.
    pub(crate) fn push(&self, body: &Value) -> Option<Answer> {
        post(self.address(), "/push/", "", &body.to_string(), ANSWER)
    }

    /// Pushes with an `Idempotency-Key`, answered as JSON.
    pub(crate) fn push_keyed(&self, key: &str, body: &Value) -> Option<Answer> {
        let headers = format!("Idempotency-Key: {key}\r\nAccept: application/json\r\n");
        post(self.address(), "/push/", &headers, &body.to_string(), ANSWER)
    }

    /// Pushes, answered as JSON.
    pub(crate) fn push_json(&self, body: &Value) -> Option<Answer> {
        post(self.address(), "/push/", "Accept: application/json\r\n", &body.to_string(), ANSWER)
    }
}

/// Waits until this is so. `what` says what is missing.
pub(crate) fn until(what: impl Fn() -> String, within: Duration, mut done: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < within, "not within {within:?}: {}", what());
        pause(Duration::from_millis(20));
    }
    began.elapsed()
}
