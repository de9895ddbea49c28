//! Hooks: a backend of the test hears what happens, whatever it does itself. Each sentence of `docs/hooks.md` that
//! states what happens.
//!
//! | file | what |
//! |---|---|
//! | `backend` | a backend that does what a test says |
//! | `reference` | a backend that keeps to the documentation, and so knows who is online |
//! | `life` | what clients cause, and what they do not |
//! | `dispatches` | which dispatches are told, and how |
//! | `faults` | backends that are slow, broken, or refuse |
//! | `full` | more records than may wait |
//! | `flood` | one client that changes faster than the backend takes it |
//! | `crowd` | many clients that leave and come back |
//! | `lost` | what connections cost that have ended |
//! | `kills` | a server that is killed |
//! | `stops` | a server that stops, also while a backend hangs, and starts again |
//! | `refusals` | a backend that refuses some records, or all |
//! | `secrets` | secrets that are exchanged |
//! | `command` | `turted hook` |

mod backend;
mod command;
mod crowd;
mod dispatches;
mod faults;
mod flood;
mod full;
mod kills;
mod life;
mod lost;
mod reference;
mod refusals;
mod secrets;
mod stops;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use turted::config::{ClientRecord, Hook, Secret};

use crate::support::resuming::Resuming;
use crate::support::{Client, TestServer, config};
use backend::Backend;

/// A client that says who it is, and where it wants to be.
trait Says {
    fn say(&mut self, event: &str, argument: &Value);

    fn ident(&mut self, user: &str) {
        self.say("IDENT", &json!({"username": user}));
    }

    fn join(&mut self, channel: &str) {
        self.say("JOIN", &json!({"channel": channel}));
    }

    fn part(&mut self, channel: &str) {
        self.say("LEAVE", &json!({"channel": channel}));
    }
}

impl Says for Client {
    fn say(&mut self, event: &str, argument: &Value) {
        self.ask(event, &argument.to_string());
    }
}

impl Says for Resuming {
    fn say(&mut self, event: &str, argument: &Value) {
        self.ask(event, &argument.to_string());
    }
}

/// What batches are signed with: the second one is the one that the backend knows.
const SECRETS: [&str; 2] = ["the-old-secret-of-the-hook", "the-new-secret-of-the-hook"];

/// A hook that tells users and channels.
fn hook(backend: &Backend) -> Hook {
    Hook {
        name: "app".to_owned(),
        url: backend.url().parse().unwrap(),
        secrets: SECRETS.map(Secret::from).to_vec(),
        dispatches: Vec::new(),
        clients: vec![
            ClientRecord::UserOnline,
            ClientRecord::UserOffline,
            ClientRecord::Joined,
            ClientRecord::Left,
        ],
        grace: Duration::from_millis(100),
        ca: None,
        node: Some("one".to_owned()),
    }
}

/// Writes the secrets of the hook into a file beside its configuration.
fn write_secrets(directory: &Path, secrets: &[&str]) {
    let file = directory.join("hook.secret");
    std::fs::write(&file, secrets.join("\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A server with this hook.
fn server(hook: Hook) -> TestServer {
    let mut config = config();
    config.hooks = vec![hook];
    TestServer::start(config)
}
