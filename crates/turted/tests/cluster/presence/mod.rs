//! Presence over several nodes: what members of a channel hear, whichever node they are at, and what backends hear of users.
//!
//! | file | what |
//! |---|---|
//! | `member` | a client that hears who is in its channel, and adds it up |
//! | `moves` | users that are at several nodes, and go from one to another |
//! | `faults` | nodes that stand still, are killed, stop, or do not reach Redis |
//! | `transports` | the same for clients of each transport |
//! | `backends` | what backends hear of users |

mod backends;
mod faults;
mod member;
mod moves;
mod transports;
#[path = "../../it/presence/watcher.rs"]
#[allow(dead_code, reason = "it is that of the tests of one server")]
mod watcher;

use std::time::Duration;

use serde_json::json;

use crate::harness::{Cluster, FILE, KEPT};
use member::{Member, Page};

/// How long a change takes at most from one node to the members at another one: a second until it is told to the nodes, another
/// one until it is told to the members, and a busy machine.
const TOLD: Duration = Duration::from_secs(8);

/// Nodes whose channels that begin with `room` have presence.
struct Nodes {
    cluster: Cluster,
    _directory: tempfile::TempDir,
}

impl Nodes {
    fn start(count: usize, grace: &str) -> Self {
        Self::with(count, grace, "")
    }

    /// The same with this at the end of their configuration.
    fn with(count: usize, grace: &str, further: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("turted.toml");
        let text = format!(
            "{further}\n[presence]\ngrace = \"{grace}\"\n[[channels]]\nprefix = \"room\"\njoin = \"open\"\npresence = true\n"
        );
        std::fs::write(&file, text).unwrap();
        let cluster = Cluster::with(KEPT, count, &[(FILE, file.to_str().unwrap())]);
        Self { cluster, _directory: directory }
    }

    /// A page at a node that is this user and hears who is in the room.
    fn member(&self, node: usize, user: &str) -> Member {
        let page = self.page(node);
        page.ask(&json!({"do": "ident", "data": {"username": user}}));
        page.ask(&json!({"do": "join", "channel": "room", "presence": true}));
        page.into_member()
    }

    /// A page at a node that is nobody yet.
    fn page(&self, node: usize) -> Page {
        Page::open(self.cluster.nodes[node].address())
    }
}
