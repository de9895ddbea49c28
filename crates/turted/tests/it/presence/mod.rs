//! Presence: what members of a channel hear of each other, over each wire, and what backends hear of users. Each sentence of
//! `docs/presence.md` that states what happens.
//!
//! | file | what |
//! |---|---|
//! | `watcher` | a client of any transport that adds up what it is told |
//! | `life` | who is told of what, over each transport |
//! | `rules` | who may ask, and how often |
//! | `sessions` | sessions that outlive a connection, and a server |
//! | `backends` | what backends hear of users |
//! | `crowd` | many users that come and go: how much is told of them |
//! | `channel` | ten thousand users in one channel that leave and return: what it costs the server |

mod backends;
mod channel;
mod crowd;
mod life;
mod rules;
mod sessions;
mod watcher;

use std::time::Duration;

use turted::config::{ChannelPattern, Config, PresenceRules};

use crate::support::TestServer;
use watcher::{Watcher, Way};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Lets channels that begin with `c` tell their members who is in them.
fn allow(config: &mut Config) {
    config.presence.channels = PresenceRules::new([(ChannelPattern::parse("c*").unwrap(), true)]);
}

/// Such a server, with this grace.
fn server(grace: Duration) -> TestServer {
    TestServer::with(|config| {
        allow(config);
        config.presence.grace = grace;
        // Clients of these tests do not answer while they wait for something else.
        config.websocket.ping_interval = HOUR;
    })
}
