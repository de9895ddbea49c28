//! A server that is embedded in a process of its own, which writes down each event that is accepted before its source
//! hears of it: what was accepted by a server that is killed.
//!
//! The process is this program of tests, which runs one test alone. What it writes is in the kernel when the call returns.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use turted::authenticator::{IdentRefusal, IdentRequest, Verified};
use turted::config::{Config, ConfigFile, Sources};
use turted::server::Server;

use super::{eventually, pause, resident};

const CONFIG: &str = "TURTED_TEST_EMBEDDED_CONFIG";
const ACCEPTED: &str = "TURTED_TEST_EMBEDDED_ACCEPTED";
/// The event whose payloads are written down.
pub(crate) const EVENT: &str = "N";
/// The user whose IDENT makes a worker do nothing more, until it is let go.
const STALLING: &str = "stall";

pub(crate) struct Accepting {
    process: Child,
    accepted: PathBuf,
}

impl Accepting {
    /// Starts a server with this configuration, which appends to this file.
    pub(crate) fn start(config: &Path, accepted: &Path) -> Self {
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "support::accepting::serve", "--ignored", "--nocapture"])
            .env(CONFIG, config)
            .env(ACCEPTED, accepted)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, accepted: accepted.to_owned() }
    }

    /// The payloads that were accepted, also by those before it, in their order.
    pub(crate) fn accepted(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.accepted).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Where it listens for clients, and where for operators.
    pub(crate) fn addresses(&self) -> (SocketAddr, SocketAddr) {
        let file = beside(&self.accepted, "addresses");
        let mut addresses = None;
        eventually("it listens", || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            // The end says that it is whole.
            let both = text.strip_suffix('\n').and_then(|line| line.split_once(' '));
            addresses = both.map(|(one, other)| (one.parse().unwrap(), other.parse().unwrap()));
            addresses.is_some()
        });
        addresses.unwrap()
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(&self) -> usize {
        resident(self.process.id())
    }

    /// Makes the worker of a client do nothing more, by the IDENT that `ask` sends.
    pub(crate) fn stall(&self, ask: impl FnOnce(&str)) -> Stalled {
        let stalled = Stalled(beside(&self.accepted, "stall"));
        fs::write(&stalled.0, "").unwrap();
        ask(STALLING);
        let says = beside(&self.accepted, "stalls");
        eventually("a worker stalls", || says.exists());
        stalled
    }

    /// Ends it without a word.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A worker that stalls until this is dropped.
pub(crate) struct Stalled(PathBuf);

impl Drop for Stalled {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A file by which the two processes talk.
fn beside(accepted: &Path, what: &str) -> PathBuf {
    accepted.with_extension(what)
}

/// Lets everyone in. Blocks the thread of a worker for the one that stalls it.
fn verify(request: &IdentRequest, accepted: &Path) -> Result<Verified, IdentRefusal> {
    let user = request.user.clone().ok_or(IdentRefusal::UserMissing)?;
    if user.name.as_str() == STALLING {
        fs::write(beside(accepted, "stalls"), "").unwrap();
        while beside(accepted, "stall").exists() {
            pause(Duration::from_millis(10));
        }
    }
    Ok(Verified::user(user.name))
}

#[test]
#[ignore = "it is the process that other tests kill"]
fn serve() {
    let (Some(config), Some(accepted)) = (std::env::var_os(CONFIG), std::env::var_os(ACCEPTED)) else {
        return;
    };
    let sources =
        Sources { file: ConfigFile::Named(config.into()), variables: Vec::new(), flags: Vec::new() };
    let accepted = PathBuf::from(accepted);
    let file = OpenOptions::new().create(true).append(true).open(&accepted).unwrap();
    let files = accepted.clone();
    let server =
        Server::builder(Config::load(&sources).unwrap()).authenticator(move |request: IdentRequest| {
            let verified = verify(&request, &files);
            async move { verified }
        });
    let server = server.bind().unwrap();
    let addresses = format!("{} {}\n", server.address(), server.admin_address().unwrap());
    fs::write(beside(&accepted, "addresses"), addresses).unwrap();
    server.dispatcher().on(EVENT, move |dispatch| {
        (&file).write_all(format!("{}\n", dispatch.payload.get()).as_bytes()).unwrap();
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(server.run(std::future::pending())).unwrap();
}
